"""Reading the feature catalogue out of dbt's manifest: the one parser of dbt `meta`.

What lives here: `parse_manifest` and what it refuses. What does not: the catalogue itself (`catalogue`), finding or
making the manifest (`world/catalogue.py`), what a model is computed by (`code_version`).

The convention, under `config.meta` of a dbt model:

    feature_view: {entity: carrier, timestamp: event_timestamp, created: created_timestamp, ttl: 7d,
                   owner: ml-engineering, online: true, lookback_days: 30}
    label: {entities: [flight_id, carrier], timestamp: event_timestamp, available_at: label_available_at,
            label: is_late, owner: ml-engineering}

`waits_days: 60` says that labels land up to so many days after their events, in files of their own. `timestamp`,
`created` and `available_at` may be left out where the columns are called as above. `entities: [a, b]`
stands in for `entity: a` when a view has several keys. Every column of a feature view that
is neither key nor timestamp is a feature, named here once for everybody. Its `data_type` decides whether it
is numeric, categorical or boolean. A column's own `config.meta` may say `kind: categorical`, `feature: false` (in the
file, not a feature), `trained: false` (served, not trained on) or `retired: true` (computed and served for the versions
that were trained on it, and not trained on any more; a text instead of `true` says why).
`cycle: week` or `cycle: year` says that the time of its row alone determines a feature, as a weekday or a month:
monitoring windows that are shorter do not compare it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, cast, get_args

from mlops_assets.core.features.catalogue import (
    Catalogue,
    CatalogueError,
    Feature,
    FeatureKind,
    FeatureView,
    LabelModel,
)
from mlops_assets.core.features.code_version import above, code_of
from mlops_assets.core.time.calendar_cycles import CYCLES
from mlops_assets.core.time.windows import parse_duration
from mlops_assets.core.values.display import shown

_PARTITION = "partition"
"""The hive key: part of the file's path, never a column in it."""

_DTYPES = {
    "bigint": "int64",
    "integer": "int32",
    "smallint": "int32",
    "double": "float64",
    "float": "float32",
    "real": "float32",
    "varchar": "string",
    "text": "string",
    "boolean": "bool",
    "timestamptz": "timestamp",
    "timestamp with time zone": "timestamp",
    "date": "date",
}
_VIEW_REQUIRED = {"ttl", "owner", "lookback_days"}
_VIEW_USUAL = {"timestamp": "event_timestamp", "created": "created_timestamp"}
_LABEL_REQUIRED = {"entities", "label", "owner"}
_LABEL_USUAL = {"timestamp": "event_timestamp", "available_at": "label_available_at"}
WAITS = "waits_days"
_COLUMN_KNOWN = {"kind", "feature", "trained", "retired", "cycle"}


def parse_manifest(manifest: Mapping[str, Any], variables: Mapping[str, Any] | None = None) -> Catalogue:
    """Read the catalogue out of dbt's manifest.

    Args:
        manifest: The content of `target/manifest.json`, as parsed JSON.
        variables: The values of dbt's vars, which the manifest does not hold; they are part of a model's code.

    Returns:
        The catalogue.

    Raises:
        CatalogueError: If a model in the lake lacks its meta, or a meta is incomplete, misspelt or names a
            column that the YAML does not. The message names the file and the remedy.
    """
    views: list[FeatureView] = []
    labels: list[LabelModel] = []
    entity_owners: dict[str, tuple[str, str]] = {}
    for node in sorted(manifest["nodes"].values(), key=lambda node: str(node["name"])):
        if node["resource_type"] != "model":
            continue
        meta = node["config"].get("meta") or {}
        if "feature_view" in meta:
            view = _feature_view(node, meta["feature_view"], manifest, variables or {})
            _refuse_other_types(node, view, entity_owners)
            views.append(view)
        elif "label" in meta:
            labels.append(_label_model(node, meta["label"], manifest, variables or {}))
        elif node["config"].get("materialized") == "lake":
            raise _error(
                node,
                "is written to the lake but has neither `config.meta.feature_view` nor `config.meta.label`",
                "add one of them (its fields: mlops_assets/core/features/dbt_meta.py), or materialize it as a view",
            )
    return Catalogue(tuple(views), tuple(labels))


def _feature_view(
    node: Mapping[str, Any], meta: Any, manifest: Mapping[str, Any], variables: Mapping[str, Any]
) -> FeatureView:
    """Read one feature model."""
    known = _VIEW_REQUIRED | _VIEW_USUAL.keys() | {"entity", "entities", "online"}
    _check_fields(node, "feature_view", meta, required=_VIEW_REQUIRED, known=known)
    meta = {**_VIEW_USUAL, **meta}
    keys = meta.get("entities") or ([meta["entity"]] if meta.get("entity") else [])
    if not keys:
        raise _error(node, "has a `feature_view` without entity", "add `entity: <key column>` to it")
    types = _column_types(node, [*keys, meta["timestamp"], meta["created"]])
    for name in (meta["timestamp"], meta["created"]):
        _require_timestamp(node, name, types)
    not_features = {*keys, meta["timestamp"], meta["created"], _PARTITION}
    features = tuple(
        _feature(node, column, types[name])
        for name, column in node["columns"].items()
        if name not in not_features and _column_meta(node, column).get("feature", True)
    )
    if not features:
        raise _error(node, "has no feature", "list its feature columns, each with description and `data_type`")
    return FeatureView(
        name=node["name"],
        entities={key: types[key] for key in keys},
        timestamp=meta["timestamp"],
        created=meta["created"],
        ttl=_ttl(node, meta["ttl"]),
        owner=str(meta["owner"]),
        online=bool(meta.get("online", True)),
        lookback_days=_whole_days(node, "lookback_days", meta["lookback_days"]),
        features=features,
        **_common(node, manifest, variables),
    )


def _label_model(
    node: Mapping[str, Any], meta: Any, manifest: Mapping[str, Any], variables: Mapping[str, Any]
) -> LabelModel:
    """Read one label model."""
    _check_fields(node, "label", meta, required=_LABEL_REQUIRED, known=_LABEL_REQUIRED | _LABEL_USUAL.keys() | {WAITS})
    meta = {**_LABEL_USUAL, **meta}
    named = [*meta["entities"], meta["timestamp"], meta["available_at"], meta["label"]]
    types = _column_types(node, named)
    for name in (meta["timestamp"], meta["available_at"]):
        _require_timestamp(node, name, types)
    return LabelModel(
        name=node["name"],
        entities={key: types[key] for key in meta["entities"]},
        timestamp=meta["timestamp"],
        available_at=meta["available_at"],
        label=meta["label"],
        label_dtype=types[meta["label"]],
        owner=str(meta["owner"]),
        columns={name: dtype for name, dtype in types.items() if name not in {*named, _PARTITION}},
        waits_days=_whole_days(node, WAITS, meta.get(WAITS, 0)),
        **_common(node, manifest, variables),
    )


def _feature(node: Mapping[str, Any], column: Mapping[str, Any], dtype: str) -> Feature:
    """Read one feature column."""
    name, meta = str(column["name"]), _column_meta(node, column)
    if dtype in ("timestamp", "date"):
        raise _error(
            node,
            f"has a {dtype} column `{name}`, which no model can be fitted on",
            f"turn it into a number, or say `config: {{meta: {{feature: false}}}}` at `{name}`",
        )
    kind = meta.get("kind", {"string": "categorical", "bool": "boolean"}.get(dtype, "numeric"))
    is_unfit = (kind == "numeric" and dtype == "string") or (kind == "boolean" and dtype != "bool")
    if kind not in get_args(FeatureKind) or is_unfit:
        raise _error(
            node,
            f"says `kind: {kind}` at the {dtype} column `{name}`",
            "write `numeric` (numbers only), `categorical` or `boolean` (of `data_type: boolean`)",
        )
    retired = meta.get("retired") or ""
    trained = meta.get("trained", not retired)
    if retired and trained:
        raise _error(node, f"says `trained: true` at the retired column `{name}`", "remove one of the two")
    cycle = meta.get("cycle", "")
    if cycle and cycle not in CYCLES:
        raise _error(node, f"says `cycle: {cycle}` at the column `{name}`", f"write one of {', '.join(CYCLES)}")
    return Feature(
        name,
        dtype,
        cast(FeatureKind, kind),
        description=str(column.get("description") or "").strip(),
        trained=trained,
        retired="true" if retired is True else str(retired),
        cycle=cycle,
    )


def _common(node: Mapping[str, Any], manifest: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """Read what feature views and label models share."""
    folder = node["config"].get("lake_folder")
    if not folder:
        raise _error(
            node,
            "has no `lake_folder`",
            "put it under models/features or models/labels, or set `+lake_folder`",
        )
    description = " ".join(str(node.get("description") or "").split())
    if not description:
        raise _error(node, "has no description", 'write one that begins with the grain: "One row per ..."')
    return {
        "path_glob": f"{folder}/{node['alias']}/*/data.parquet",
        "description": description,
        "tags": tuple(node.get("tags") or ()),
        "sources": tuple(sorted(_sources(node, manifest))),
        "code": code_of(node, manifest, variables),
        "above": tuple(
            sorted(str(manifest["nodes"][key]["name"]) for key in above(node, manifest) if key in manifest["nodes"])
        ),
    }


def _sources(node: Mapping[str, Any], manifest: Mapping[str, Any]) -> set[str]:
    """Return the names of all sources above a node."""
    sources = manifest.get("sources", {})
    return {str(sources[key]["name"]) for key in above(node, manifest) if key in sources}


def _column_types(node: Mapping[str, Any], needed: Iterable[str]) -> dict[str, str]:
    """Return every column's dtype; `needed` are the columns that the meta names."""
    types: dict[str, str] = {}
    for name, column in node["columns"].items():
        data_type = str(column.get("data_type") or "").lower()
        if data_type not in _DTYPES:
            raise _error(
                node,
                f"has a column `{name}` with `data_type: {data_type or '(none)'}`",
                f"write one of {', '.join(sorted(_DTYPES))}",
            )
        if not name.isidentifier():
            raise _error(
                node,
                f"has a column called {shown(name)!r}",
                "name it with letters, digits and underscores: Feast, MLflow and the service use it as it is",
            )
        types[name] = _DTYPES[data_type]
    for name in needed:
        if name not in types:
            raise _error(
                node,
                f"names `{name}` in its meta but not among its columns",
                f"add `- name: {name}` or correct the meta",
            )
    return types


def _require_timestamp(node: Mapping[str, Any], name: str, types: Mapping[str, str]) -> None:
    """Refuse a time column that is not in UTC."""
    if types[name] != "timestamp":
        raise _error(
            node,
            f"says that its time column `{name}` is {types[name]}",
            "make it `data_type: timestamptz`, in UTC",
        )


def _column_meta(node: Mapping[str, Any], column: Mapping[str, Any]) -> dict[str, Any]:
    """Return a column's own meta."""
    meta = {**(column.get("meta") or {}), **((column.get("config") or {}).get("meta") or {})}
    unknown = sorted(meta.keys() - _COLUMN_KNOWN)
    if unknown:
        raise _error(
            node,
            f"has an unknown meta {', '.join(unknown)} at the column `{column['name']}`",
            f"use {', '.join(sorted(_COLUMN_KNOWN))}",
        )
    return meta


def _check_fields(node: Mapping[str, Any], name: str, meta: Any, *, required: set[str], known: set[str]) -> None:
    """Refuse a meta with missing or unknown fields."""
    if not isinstance(meta, Mapping):
        raise _error(node, f"has a `{name}` that is not a mapping", f"write its fields: {', '.join(sorted(known))}")
    missing, unknown = sorted(required - meta.keys()), sorted(meta.keys() - known)
    if missing:
        raise _error(node, f"has a `{name}` without {', '.join(missing)}", f"add {', '.join(missing)} to it")
    if unknown:
        raise _error(
            node,
            f"has a `{name}` with unknown {', '.join(unknown)}",
            f"correct or remove it; known are {', '.join(sorted(known))}",
        )


def _ttl(node: Mapping[str, Any], value: Any) -> timedelta:
    """Read a ttl."""
    try:
        return parse_duration(value)
    except ValueError as error:
        raise _error(node, f"has the ttl {value!r}", "write a number and a unit, such as 6h, 7d or 4w") from error


def _whole_days(node: Mapping[str, Any], name: str, value: Any) -> int:
    """Read lookback_days or waits_days."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _error(
            node,
            f"has {name} {value!r}",
            "write a whole number of days, 0 if it reads its own day only",
        )
    return value


def _refuse_other_types(node: Mapping[str, Any], view: FeatureView, seen: dict[str, tuple[str, str]]) -> None:
    """Refuse an entity that has another type in another view."""
    for key, dtype in view.entities.items():
        other, by = seen.setdefault(key, (dtype, view.name))
        if other != dtype:
            raise _error(
                node,
                f"has the entity `{key}` as {dtype}, {by} has it as {other}",
                "give the key one type in both",
            )


def _error(node: Mapping[str, Any], wrong: str, remedy: str) -> CatalogueError:
    """Return an error that names the model, its YAML file and the remedy."""
    file = str(node.get("patch_path") or node.get("original_file_path") or "").partition("://")
    where = file[2] or file[0]
    return CatalogueError(f"{node['name']} {wrong}. In dbt_project/{where}: {remedy}. Nothing was changed.")
