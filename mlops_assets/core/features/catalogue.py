"""The feature catalogue: which feature views and label models there are.

What lives here: the frozen description of views, features and labels that Feast, training, monitors and serving all
read, and its JSON. What does not: reading it out of dbt's manifest (`dbt_meta`), finding the manifest
(`world/catalogue.py`) and Feast's objects (`feature_repo/features.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Literal, TypeVar

from mlops_assets.core.time.calendar_cycles import Cycle
from mlops_assets.core.time.windows import format_duration, parse_duration

FeatureKind = Literal["numeric", "categorical", "boolean"]


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
        cycle: `week` or `year` where it says only at which part of that its row lies; else empty.
    """

    name: str
    dtype: str
    kind: FeatureKind
    description: str
    trained: bool = True
    retired: str = ""
    cycle: Cycle | Literal[""] = ""


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
        sources: set[str] = set()
        for name in models:
            if name not in known:
                raise CatalogueError(_unknown(name, "feature view or label model", "feature_view or label", known))
            sources.update(known[name])
        return frozenset(sources)


_Entry = TypeVar("_Entry", FeatureView, LabelModel)


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
