"""Feature views as a request names them: which of their features, under which names, joined how.

What doesn't live here: the join (`plans`), the statements (`sql`), the files (`sources`), the rows that are joined to
(`entity_rows`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
from feast.feature_view import FeatureView
from feast.infra.offline_stores.file_source import FileSource
from feast.utils import _parse_feature_ref

from mlops_assets.feast_store import sources, sql


@dataclass(frozen=True)
class RequestedView:
    """A feature view as requested, before its files were looked at.

    Attributes:
        name: what the request calls it.
        source: its FileSource.
        declared: the source's schema as the view declares it, for a source without files.
        join: how it joins; the survey in it is not taken yet.
        types: column name (in lower case) to DuckDB type; empty until the files were looked at.
    """

    name: str
    source: FileSource
    declared: pa.Schema
    join: sql.AsofView
    types: Mapping[str, str] = field(default_factory=dict)


def view_history(view: FeatureView, features: Iterable[str], *, cutoff: bool) -> sql.History:
    """A view's history in the names of its source's columns; the relation is filled in when it is read."""
    source = sources.as_file_source(view.batch_source, f"Feature view {view.name!r}")
    return sql.History(
        relation="",
        keys=tuple(sources.source_name(view, key) for key in sources.join_keys(view)),
        event=sources.source_name(view, source.timestamp_field),
        created=sources.source_name(view, source.created_timestamp_column) or None,
        features=tuple(sources.source_name(view, feature) for feature in features),
        tie_break=tuple(sources.source_name(view, feature.name) for feature in view.features),
        cutoff=cutoff,
    )


def requested_views(
    views: list[FeatureView], refs: list[str], *, full_feature_names: bool, cutoff: bool, event_times: bool
) -> list[RequestedView]:
    """The views that `refs` ask for, features in the order asked; on-demand views are left out."""
    requested = []
    for view in views:
        name = str(view.projection.name_to_use())
        features = list(
            dict.fromkeys(feature for ref in refs for view_name, feature in [_named(ref)] if view_name == name)
        )
        if not features:
            continue
        aliases = view.projection.join_key_map
        join = sql.AsofView(
            history=view_history(view, features, cutoff=cutoff),
            spine_keys=tuple(aliases.get(key, key) for key in sources.join_keys(view)),
            outputs=tuple(f"{name}__{feature}" if full_feature_names else feature for feature in features),
            ttl=view.ttl or None,
            event_time=f"{name}__event_timestamp" if event_times else None,
        )
        source = sources.as_file_source(view.batch_source, f"Feature view {view.name!r}")
        requested.append(RequestedView(name, source, sources.declared_schema(view), join))
    return requested


def _named(ref: str) -> tuple[str, str]:
    """A feature reference as (name of the view as requested, feature)."""
    name, version, feature = _parse_feature_ref(ref)
    return (name if version is None else f"{name}@v{version}"), feature
