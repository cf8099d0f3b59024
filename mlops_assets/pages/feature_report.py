"""What a change of feature models does to the values and to the models that are made of them, on paper.

Here: the comparison of two frames of a view, feature by feature, the gain of a model with and without what changed, and
the values of the report. Not here: building the change and reading both sides (`steps.features.report`), the page
(`feature_report_page`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.drift.feature_drift import compare
from mlops_assets.core.drift.grid import MIN_REFERENCE_ROWS, Grid, kind_of
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.features.catalogue import Feature, FeatureView
from mlops_assets.core.models.matrix import CannotTrain, FeatureColumn
from mlops_assets.core.models.model import fit
from mlops_assets.core.models.recipe import Recipe
from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.stats.comparison import Paired, paired
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.values.display import some
from mlops_assets.pages.drift import drawing

JUDGED = 0.25
"""Share of the days, the newest, that models are judged on."""
_NAMED = 8
"""Unchanged features that are named."""
_MOVED = 0.005
"""PSI, or share of missing values, from which on an equal feature is shown all the same."""
ROUNDS = 60
_MIN_ROWS = 100
PARAMETERS = {"max_depth": 5, "eta": 0.1, "min_child_weight": 20}
"""A small model for where there is no champion: it is compared with itself on other columns, and never kept."""


@dataclass(frozen=True)
class FeatureChange:
    """One feature before and after.

    Attributes:
        name: its name.
        state: `new`, `gone`, `changed` or `same`.
        changed: rows whose value is another one; None for a feature that is new or gone.
        missing: share of rows without a value, before and after; None where there is no such side.
        psi: population stability index of after against before, on all values; None where it cannot be judged.
        drift: PSI of each window against the first, before and after; None where it cannot be judged.
        drawing: both distributions as SVG.
    """

    name: str
    state: str
    changed: int | None
    missing: tuple[float | None, float | None]
    psi: float | None
    drift: tuple[tuple[float | None, ...], tuple[float | None, ...]]
    drawing: str

    @property
    def is_unchanged(self) -> bool:
        """Whether nothing is to be seen: equal values, and a distribution that rows come or gone have not moved."""
        before, after = (share or 0.0 for share in self.missing)
        return self.state == "same" and (self.psi or 0.0) < _MOVED and abs(after - before) < _MOVED


@dataclass(frozen=True)
class ViewChange:
    """One feature view before and after.

    Attributes:
        view: its name.
        rows: rows before and after.
        gone: rows that are there no more.
        added: rows that were not there.
        windows: what drift is counted by, oldest first.
        features: its features, those that changed first.
        online: whether online values agree with the offline join, in a sentence; empty for a view that is not online.
        guard: what the guard against looking ahead says.
    """

    view: str
    rows: tuple[int, int]
    gone: int
    added: int
    windows: tuple[str, ...]
    features: tuple[FeatureChange, ...]
    online: str = ""
    guard: str = ""

    @property
    def shown(self) -> tuple[FeatureChange, ...]:
        """The features that have a row in tables."""
        return tuple(feature for feature in self.features if not feature.is_unchanged)

    @property
    def unchanged(self) -> str:
        """The others in a line; empty where there are none."""
        names = [feature.name for feature in self.features if feature.is_unchanged]
        return f"{counted(len(names), 'feature')} unchanged: {some(names, _NAMED)}." if names else ""


@dataclass(frozen=True)
class ModelChange:
    """What a model gains by the change, by a quick backtest: fitted on the older days, judged on the newest.

    Attributes:
        model: its name.
        recipe: how it was made, in words.
        rows: rows fitted on, and judged.
        against_before: with the features after against before.
        against_without: with them against without any feature that changed; None where nothing is left.
        why: why there is no figure, if there is none.
    """

    model: str
    recipe: str
    rows: tuple[int, int]
    against_before: Paired | None
    against_without: Paired | None
    why: str = ""


def feature_changes(
    before: pd.DataFrame,
    after: pd.DataFrame,
    *,
    views: tuple[FeatureView | None, FeatureView],
    changed: Mapping[str, int],
    windows: tuple[Sequence[str], Sequence[str]],
) -> tuple[tuple[str, ...], tuple[FeatureChange, ...]]:
    """Compare the values of a view, feature by feature.

    Args:
        before: rows of the view, or a sample, in the order of time; empty for a new view.
        after: the same with the change.
        views: the view before, None for a new one, and after.
        changed: how many rows have another value, for each feature that both have.
        windows: the window of each row, before and after.

    Returns:
        The windows, and the features: those that changed first.
    """
    old, new = ({feature.name: feature for feature in view.features} if view else {} for view in views)
    names = tuple(sorted({*windows[0], *windows[1]}))
    drifts = tuple(
        _drift(frame, of, np.asarray(which), names)
        for frame, of, which in zip((before, after), (old, new), windows, strict=True)
    )
    psi, drawings = _side_by_side(before, after, old, new)
    changes = []
    for name in (*new, *(name for name in old if name not in new)):
        state = "new" if name not in old else "gone" if name not in new else "changed" if changed[name] else "same"
        missing = tuple(
            float(frame[name].isna().mean()) if name in side and len(frame) else None
            for frame, side in ((before, old), (after, new))
        )
        changes.append(
            FeatureChange(
                name,
                state,
                changed.get(name),
                (missing[0], missing[1]),
                psi.get(name),
                (drifts[0].get(name, ()), drifts[1].get(name, ())),
                drawings.get(name, ""),
            )
        )
    order = ("new", "gone", "changed", "same")
    return names, tuple(sorted(changes, key=lambda change: order.index(change.state)))


def _side_by_side(
    before: pd.DataFrame, after: pd.DataFrame, old: Mapping[str, Feature], new: Mapping[str, Feature]
) -> tuple[dict[str, float | None], dict[str, str]]:
    """PSI of the features that both sides have, and a drawing of every feature, against itself where it is alone."""
    psi: dict[str, float | None] = {}
    drawings: dict[str, str] = {}
    both = [name for name in old if name in new and old[name].kind == new[name].kind]
    alone = [(after, new, [n for n in new if n not in both]), (before, old, [n for n in old if n not in new])]
    for reference, current, of, names in ((before, after, new, both), *((f, f, of, names) for f, of, names in alone)):
        if names and len(reference) >= MIN_REFERENCE_ROWS and len(current):
            grid = Grid.from_reference(reference, {name: kind_of(of[name].kind) for name in names})
            sides = (Profile.of(grid, reference), Profile.of(grid, current))
            drawings |= {name: drawing(name, sides) for name in names}
            if reference is not current:
                psi |= {drift.feature: drift.psi for drift in compare(*sides)}
    return psi, drawings


def _drift(
    frame: pd.DataFrame, features: Mapping[str, Feature], window: Any, names: Sequence[str]
) -> dict[str, tuple[float | None, ...]]:
    """PSI of each window against the first, by feature."""
    if not len(frame) or not features:
        return {}
    first = frame[window == min(window)]
    if len(first) < MIN_REFERENCE_ROWS:
        return {name: (None,) * len(names) for name in features}
    grid = Grid.from_reference(first, {name: kind_of(feature.kind) for name, feature in features.items()})
    reference = Profile.of(grid, first)
    by_feature: dict[str, list[float | None]] = {name: [] for name in features}
    for name in names:
        rows = frame[window == name]
        values = {drift.feature: drift.psi for drift in compare(reference, Profile.of(grid, rows))} if len(rows) else {}
        for feature, psis in by_feature.items():
            psis.append(values.get(feature))
    return {name: tuple(psis) for name, psis in by_feature.items()}


@dataclass(frozen=True, eq=False)
class KnownLabels:
    """Labels of n rows.

    Attributes:
        y: labels, shape (n,).
        days: local calendar day of each row, shape (n,): the blocks of the interval.
        known: local calendar day on which each label was known, shape (n,): no label of the judged days is fitted on.
    """

    y: Any
    days: Any
    known: Any


def model_change(
    model: str,
    sides: tuple[pd.DataFrame, pd.DataFrame],
    columns: tuple[Sequence[FeatureColumn], Sequence[FeatureColumn]],
    labels: KnownLabels,
    *,
    changed: set[str],
    recipe: Recipe,
    recipe_of: str,
    metric: str,
) -> ModelChange:
    """Fit a model on the older days before and after the change, and judge both on the same newest days.

    Args:
        model: its name.
        sides: features of the same n rows before and after.
        columns: what is trained on, before and after.
        labels: of those rows.
        changed: names of the columns that changed.
        recipe: how the models are made; its columns are replaced.
        recipe_of: the recipe in words.
        metric: what the model is judged by.
    """
    y, days, known = labels.y, labels.days, labels.known
    cut = np.quantile(np.unique(days).astype("int64"), 1 - JUDGED).astype(np.unique(days).dtype)
    older, newer = (days < cut) & (known < cut), days >= cut
    counts = (int(older.sum()), int(newer.sum()))
    without = [column for column in columns[1] if column.name not in changed]
    try:
        if counts[0] < _MIN_ROWS:
            raise CannotJudge(f"{counts[0]:,} labelled rows before the judged days", f"Give {_MIN_ROWS} and more.")
        scores = [
            fit(replace(recipe, columns=tuple(taken), categories={}), frame[older], y[older]).predict(frame[newer])
            if taken
            else None
            for frame, taken in zip((*sides, sides[1]), (*columns, without), strict=True)
        ]
        gains = [
            paired(y[newer], scores[place], scores[1], days[newer], metric) if scores[place] is not None else None
            for place in (0, 2)
        ]
    except (CannotJudge, CannotTrain) as why:
        return ModelChange(model, recipe_of, counts, None, None, str(why))
    return ModelChange(model, recipe_of, counts, gains[0], gains[1])
