"""What makes a window's feature a fault of its source rather than drift: nothing may be trained on it.

Here: `faults_of` a window, and how they are told. Not here: the statistics (`feature_drift`), where a window's faults
are kept (`steps.watch.drift_report`), what follows from them (`rules`).

Each is what no world does by itself. A month or a holiday holds still all day and is new one morning, campaigns come
and go: those are not among them, nor is one new category. That is drift, and the probe says whether a training pays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mlops_assets.core.drift.day_counts import DayCounts
from mlops_assets.core.drift.feature_drift import FeatureDrift
from mlops_assets.core.drift.grid import CategoryGrid, NumericGrid
from mlops_assets.core.drift.profile import SQUARES, SUM, Profile
from mlops_assets.core.values.display import some

MIN_DAYS = 28
"""Days on which a feature must have varied before one value throughout a window is a fault."""
MIN_DAY_ROWS = 30
"""Days with fewer values are not asked."""
_NAMED = 5
"""Features named in a sentence."""

Faults = Mapping[str, Sequence[str]]
"""Kind of fault (a key of `TOLD`) -> features."""
TOLD = {
    "infinite": (
        "{} has infinite values in {}. Guard the division in its dbt model with nullif(..., 0), and build the days "
        "again."
    ),
    "missing": (
        "No value of {} is known in {}, where the reference has some. Fix what the column comes from and send its "
        "files again; a feature that is gone for good is retired (meta.retired)."
    ),
    "constant": (
        "{} has one value throughout {}, and it varied on every day of the reference. Fix what the column comes from "
        "and send its files again; a feature that is to stay so can tell nothing and is retired (meta.retired)."
    ),
    "unseen": (
        "No category of {} in {} is one that the reference has. Write them as before in its dbt model and build the "
        "days again; where the new ones are to stay, give the feature another name and retire this one (meta.retired)."
    ),
}
"""Kind of fault -> what is told of its features in a window, ending in the remedy."""


def faults_of(drifts: Sequence[FeatureDrift], current: Profile, days: DayCounts | None) -> dict[str, list[str]]:
    """The faults of a window's features; each has one at most.

    Args:
        drifts: the window's features beside the reference's.
        current: profile of the window's rows.
        days: what each day of the reference held; None where that was not kept, and only what needs none is told.
    """
    faults: dict[str, list[str]] = {}
    for drift in drifts:
        if drift.kind is not None and (kind := _fault(drift, current, days)):
            faults.setdefault(kind, []).append(drift.feature)
    return faults


def faults_in_words(faults: Faults, window: str) -> list[str]:
    """A sentence for each kind of fault in a window."""
    return [TOLD[kind].format(named(features), window) for kind, features in faults.items() if features]


def named(names: Sequence[str]) -> str:
    """Some names, and how many more there are."""
    return some(names, _NAMED)


def _fault(drift: FeatureDrift, current: Profile, days: DayCounts | None) -> str | None:
    if drift.infinite_share:
        return "infinite"
    if not drift.n_reference:
        return None
    if not drift.n_current:
        return "missing"
    if days is None or not _varied_daily(drift, days):
        return None
    if drift.new_share == 1.0:
        return None if _rotates(days.counts[drift.feature]) else "unseen"
    return "constant" if _is_constant(drift.feature, current) else None


def _is_constant(name: str, current: Profile) -> bool:
    """Whether all known values are the same one; of numbers, to some ten thousandths of the reference's range."""
    grid, counts = current.grid.features[name], current.counts[name]
    if isinstance(grid, CategoryGrid):
        return bool(counts.max() == counts.sum())
    assert isinstance(grid, NumericGrid)
    extra = current.extra[name]
    mean = extra[SUM] / counts.sum()
    # In cells of the grid; the second term is what rounding may leave of a difference of two large numbers.
    return bool(extra[SQUARES] / counts.sum() - mean**2 <= max(1.0, 1e-9 * mean**2))


def _varied_daily(drift: FeatureDrift, days: DayCounts) -> bool:
    """Whether it took more than one value on each day of the reference with no more values than the window has."""
    if drift.feature not in days.counts:
        return False
    known = days.counts[drift.feature][:, :-1]
    n = known.sum(axis=1)
    asked = (n >= MIN_DAY_ROWS) & (n <= drift.n_current)
    return int(asked.sum()) >= MIN_DAYS and bool(np.all(known[asked].max(axis=1) < n[asked]))


def _rotates(table: np.ndarray) -> bool:
    """Whether the reference's categories come and go: those of its last day are not among those of its first."""
    present = table[:, :-1] > 0
    with_values = np.flatnonzero(present.any(axis=1))
    return not bool((present[with_values[0]] & present[with_values[-1]]).any())
