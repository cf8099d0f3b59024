"""The feature catalogue: which feature views and label models there are, read from dbt's manifest.

What lives here: the one parser of dbt `meta`, the frozen description of views, features and labels that
Feast, training, monitors and serving all read, and its JSON. What does not: finding or making the manifest
(`resources/catalogue.py`), what a model is computed by (`model_code`) and Feast's objects (`feature_repo/features.py`).

The convention, under `config.meta` of a dbt model:

    feature_view: {entity: carrier, timestamp: event_timestamp, created: created_timestamp, ttl: 7d,
                   owner: ml-engineering, online: true, lookback_days: 30}
    label: {entities: [flight_id, carrier], timestamp: event_timestamp, available_at: label_available_at,
            label: is_late, owner: ml-engineering}

`waits_days: 60` says that labels land up to so many days after their events, in files of their own. `timestamp`,
`created` and `available_at` may be left out where the columns are called as above. `entities: [a, b]`
stands in for `entity: a` when a view has several keys. Every column of a feature view that
is neither key nor timestamp is a feature, named here once for everybody. Its `data_type` decides whether it
is numeric or categorical. A column's own `config.meta` may say `kind: categorical`, `feature: false` (in the
file, not a feature), `trained: false` (served, not trained on) or `retired: true` (computed and served for the versions
that were trained on it, and not trained on any more; a text instead of `true` says why).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Literal, TypeVar, cast

from mlops_assets.core.model_code import above, code_of
from mlops_assets.core.windows import format_duration, parse_duration

Kind = Literal["numeric", "categorical"]

PARTITION = "partition"
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
_COLUMN_KNOWN = {"kind", "feature", "trained", "retired"}


class CatalogueError(ValueError):
    """A dbt model's meta is missing or wrong; the message names the file and what to write there."""


@dataclass(frozen=True)
class Feature:
    """One feature of a view.

    Attributes:
        name: The column's name, and the feature's name everywhere.
        dtype: `int64`, `int32`, `float64`, `float32`, `string` or `bool`.
        kind: How monitors and models treat it.
        description: What it is, with its unit.
        trained: Whether models are fitted on it; it is served either way.
        retired: Why it is not trained on any more, or `true`; empty for one that is in use.
    """

    name: str
    dtype: str
    kind: Kind
    description: str
    trained: bool = True
    retired: str = ""


@dataclass(frozen=True)
class FeatureView:
    """One dbt feature model, as Feast and the platform see it.

    Attributes:
        name: Name of the dbt model and of Feast's feature view.
        entities: Join keys and their dtypes, in order.
        timestamp: Column that says when a value is about.
        created: Column that says when a value became known.
        ttl: How old a value may be and still count.
        owner: Who answers for it.
        online: Whether it is served online.
        lookback_days: How many days before a partition its windows read: a corrected day changes the
            partitions of that many days after it.
        features: The features, in the order of the YAML.
        path_glob: Its Parquet files, relative to the lake.
        description: The dbt description; begins with the grain.
        tags: dbt tags.
        sources: Names of the raw sources it is built from, directly or not.
        code: Hash of what its values are computed by: SQL and macros of it and of all models above it, and its columns.
        above: Names of the dbt models above it, which are views in the warehouse.
    """

    name: str
    entities: dict[str, str]
    timestamp: str
    created: str
    ttl: timedelta
    owner: str
    online: bool
    lookback_days: int
    features: tuple[Feature, ...]
    path_glob: str
    description: str
    tags: tuple[str, ...]
    sources: tuple[str, ...]
    code: str = ""
    above: tuple[str, ...] = ()

    @property
    def trained_features(self) -> tuple[Feature, ...]:
        """The features models are fitted on."""
        return tuple(feature for feature in self.features if feature.trained)


@dataclass(frozen=True)
class LabelModel:
    """One dbt label model.

    Attributes:
        name: Name of the dbt model.
        entities: Entity keys and their dtypes, in order.
        timestamp: Column with the time of prediction.
        available_at: Column that says when the label became known; NULL while unknown.
        label: The label column.
        label_dtype: Its dtype.
        owner: Who answers for it.
        columns: The other columns, such as slices, with their dtypes.
        waits_days: How many days after its event a label may land, where labels are a source of their own: what
            lands on a day changes the partitions of that many days before it.
        path_glob: Its Parquet files, relative to the lake.
        description: The dbt description; begins with the grain.
        tags: dbt tags.
        sources: Names of the raw sources it is built from, directly or not.
        code: As of a feature view.
        above: As of a feature view.
    """

    name: str
    entities: dict[str, str]
    timestamp: str
    available_at: str
    label: str
    label_dtype: str
    owner: str
    columns: dict[str, str]
    path_glob: str
    description: str
    tags: tuple[str, ...]
    sources: tuple[str, ...]
    waits_days: int = 0
    code: str = ""
    above: tuple[str, ...] = ()


@dataclass(frozen=True)
class Catalogue:
    """All feature views and label models of the dbt project, sorted by name."""

    views: tuple[FeatureView, ...]
    labels: tuple[LabelModel, ...]

    def view(self, name: str) -> FeatureView:
        """Return one feature view.

        Raises:
            CatalogueError: If there is none of that name.
        """
        return _named(self.views, name, "feature view", "feature_view")

    def label_model(self, name: str) -> LabelModel:
        """Return one label model.

        Raises:
            CatalogueError: If there is none of that name.
        """
        return _named(self.labels, name, "label model", "label")

    @property
    def models(self) -> tuple[FeatureView | LabelModel, ...]:
        """All that stands in the lake: feature views and label models."""
        return (*self.views, *self.labels)

    @property
    def entities(self) -> dict[str, str]:
        """Every join key of the feature views with its dtype."""
        return {key: dtype for view in self.views for key, dtype in view.entities.items()}

    def lookback_of(self, models: Iterable[str]) -> int:
        """The longest look back of these views: a corrected day changes at most that many days after it."""
        named = set(models)
        return max((view.lookback_days for view in self.views if view.name in named), default=0)

    def waits_of(self, models: Iterable[str]) -> int:
        """The longest wait of these label models: what lands on a day changes at most that many days before it."""
        named = set(models)
        return max((label.waits_days for label in self.labels if label.name in named), default=0)

    def readers(self, source: str) -> frozenset[str]:
        """Return the names of the feature views and label models that are built from a raw source."""
        return frozenset(entry.name for entry in self.models if source in entry.sources)

    def sources_of(self, models: Iterable[str]) -> frozenset[str]:
        """Return the names of the raw sources that these feature views and label models are built from.

        Raises:
            CatalogueError: If a name is neither a feature view nor a label model.
        """
        known = {view.name: view.sources for view in self.views}
        known |= {label.name: label.sources for label in self.labels}
        found: set[str] = set()
        for name in models:
            if name not in known:
                raise CatalogueError(_unknown(name, "feature view or label model", "feature_view or label", known))
            found.update(known[name])
        return frozenset(found)


_Entry = TypeVar("_Entry", FeatureView, LabelModel)


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
                "add one of them (its fields: mlops_assets/core/catalogue.py), or materialize it as a view",
            )
    return Catalogue(tuple(views), tuple(labels))


def to_json(catalogue: Catalogue) -> str:
    """Write a catalogue as JSON; `from_json` reads it back."""

    def plain(value: object) -> object:
        if isinstance(value, timedelta):
            return format_duration(value)
        raise TypeError(f"{type(value).__name__} has no place in the catalogue.")

    return json.dumps(asdict(catalogue), default=plain, indent=1) + "\n"


def from_json(text: str) -> Catalogue:
    """Read a catalogue that `to_json` wrote.

    Raises:
        CatalogueError: If the text is not what this version writes.
    """
    try:
        values = json.loads(text)
        views = tuple(
            FeatureView(
                **{
                    **entry,
                    "ttl": parse_duration(entry["ttl"]),
                    "features": tuple(Feature(**feature) for feature in entry["features"]),
                    "tags": tuple(entry["tags"]),
                    "sources": tuple(entry["sources"]),
                    "above": tuple(entry["above"]),
                }
            )
            for entry in values["views"]
        )
        labels = tuple(
            LabelModel(**{**entry, **{name: tuple(entry[name]) for name in ("tags", "sources", "above")}})
            for entry in values["labels"]
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CatalogueError(
            f"The feature catalogue cannot be read ({error}). Delete dbt_project/target/"
            "feature_catalogue.json; it is written anew from dbt's manifest. No data is touched by that."
        ) from error
    return Catalogue(views, labels)


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
    not_features = {*keys, meta["timestamp"], meta["created"], PARTITION}
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
        columns={name: dtype for name, dtype in types.items() if name not in {*named, PARTITION}},
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
    kind = meta.get("kind", "categorical" if dtype in ("string", "bool") else "numeric")
    if kind not in ("numeric", "categorical") or (kind == "numeric" and dtype == "string"):
        raise _error(
            node,
            f"says `kind: {kind}` at the {dtype} column `{name}`",
            "write `numeric` (numbers only) or `categorical`",
        )
    retired = meta.get("retired") or ""
    trained = meta.get("trained", not retired)
    if retired and trained:
        raise _error(node, f"says `trained: true` at the retired column `{name}`", "remove one of the two")
    description = str(column.get("description") or "").strip()
    return Feature(name, dtype, cast(Kind, kind), description, trained, "true" if retired is True else str(retired))


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


def _named(entries: tuple[_Entry, ...], name: str, what: str, meta: str) -> _Entry:
    """Return the entry of that name."""
    for entry in entries:
        if entry.name == name:
            return entry
    raise CatalogueError(_unknown(name, what, meta, [entry.name for entry in entries]))


def _unknown(name: str, what: str, meta: str, known: Iterable[str]) -> str:
    """Say that there is no such model and what to do."""
    return (
        f"There is no {what} {name!r}; there are {', '.join(sorted(known)) or 'none'}. "
        f"Correct the name, or add a dbt model of that name with `config.meta.{meta}`."
    )


def _error(node: Mapping[str, Any], wrong: str, remedy: str) -> CatalogueError:
    """Return an error that names the model, its YAML file and the remedy."""
    file = str(node.get("patch_path") or node.get("original_file_path") or "").partition("://")
    where = file[2] or file[0]
    return CatalogueError(f"{node['name']} {wrong}. In dbt_project/{where}: {remedy}. Nothing was changed.")
