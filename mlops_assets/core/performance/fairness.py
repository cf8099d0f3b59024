"""Whether groups are treated alike: differences of a rate between groups, with an interval by days.

Here: a measure's values by group, how sure a difference is, and the sentences. Not here: the measures and limits
(`fairness_policy`), which columns hold the groups (`steps`), the gate's rule (`promote.gate_limits`).

The difference of a measure is that of its highest and its lowest group. A largest difference of many noisy groups is
large by chance, so its interval holds for all pairs of groups at once (Bonferroni): the lower bound is the largest of
the pairs' lower bounds. The noise is that of whole days, as everywhere (`stats.intervals`), and for a rate never
smaller than that of independent rows with one more success and one more failure (Agresti and Coull, 1998): a small
group with a rate of 0 or 1 has no noise of its own to measure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np

from mlops_assets.core.performance.fairness_policy import RATES, parts_of
from mlops_assets.core.performance.policy import PerformanceVerdict
from mlops_assets.core.stats.comparison import slice_rows
from mlops_assets.core.stats.intervals import MIN_BLOCKS, Array, CannotJudge, sums_interval, t_quantile
from mlops_assets.core.stats.metrics import THRESHOLD, metric

MIN_OF_A_RATE = 30
"""Fewest rows that a rate is of: positives of a true positive rate, negatives of a false positive rate."""


@dataclass(frozen=True)
class Difference:
    """How far the groups of one column differ by one measure.

    Attributes:
        by: the column.
        measure: its name.
        value: the highest less the lowest group; None where it can't be judged.
        lower: bound of the true difference, at least 0; None without an interval.
        upper: the other bound.
        part: the number that differs most (`true_positive_rate` of `equalized_odds`).
        highest: the group where it is highest.
        lowest: ... and lowest.
        groups: group -> its parts' values, and the `rows` that they are of; only those that were judged.
        small: groups that were not judged -> rows.
        why: why there is no value or no interval, ending in the remedy.
    """

    by: str
    measure: str
    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    part: str = ""
    highest: str = ""
    lowest: str = ""
    groups: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    small: Mapping[str, int] = field(default_factory=dict)
    why: str | None = None

    @property
    def sentence(self) -> str:
        """What was found."""
        if self.value is None:
            return f"{self.measure} by {self.by}: {self.why}"
        span = (
            f"interval {self.lower:.4f} to {self.upper:.4f}" if self.lower is not None else f"no interval: {self.why}"
        )
        part = "" if self.part == self.measure else f" of {self.part}"
        first, second = self.groups[self.highest][self.part], self.groups[self.lowest][self.part]
        return (
            f"{self.measure} by {self.by}: a difference of {self.value:.4f}{part} between {self.highest} "
            f"({first:.4f}) and {self.lowest} ({second:.4f}), {span}"
        )


def difference(
    y: Any,
    s: Any,
    days: Any,
    groups: Any,
    *,
    by: str,
    measure: str,
    min_rows: int = 200,
    confidence: float = 0.95,
) -> Difference:
    """How far the groups of a column differ.

    Args:
        y: labels, shape (n,), NaN where unknown; such rows count only for `demographic_parity`.
        s: scores, shape (n,); class probabilities (n, k) only for `accuracy`.
        days: the day of each row, shape (n,).
        groups: the group of each row, shape (n,); missing values form no group.
        by: what the column is called.
        measure: one of `measures_for` the task.
        min_rows: smaller groups are not judged.
        confidence: of the interval, two-sided, of all pairs of groups at once.

    Returns:
        The difference with its interval; what can't be judged says why.
    """
    labels, scores, blocks = np.asarray(y, dtype=np.float64), np.asarray(s, dtype=np.float64), np.asarray(days)
    members = dict(slice_rows({by: np.asarray(groups, dtype=object)}))
    judged = {name: rows for name, rows in members.items() if rows.size >= min_rows}
    small = {name: int(rows.size) for name, rows in members.items() if rows.size < min_rows}
    try:
        numbers = [_part(part, labels, scores, blocks, judged) for part in parts_of(measure)]
    except CannotJudge as why:
        return Difference(by, measure, small=small, why=str(why))
    groups_of = {
        name: {"rows": float(rows.size)} | values
        for name, rows in judged.items()
        if (values := {number.name: number.values[name] for number in numbers if name in number.values})
    }
    small |= {name: int(rows.size) for name, rows in judged.items() if name not in groups_of}
    empty = Difference(by, measure, groups=groups_of, small=small)
    if all(len(number.values) < 2 for number in numbers):
        return replace(
            empty,
            why=f"fewer than two groups of {by} have {min_rows:,} rows and {MIN_OF_A_RATE} of each label. Judge on a "
            "longer window, or lower monitoring.fairness.min_rows.",
        )
    widest = max((number for number in numbers if len(number.values) > 1), key=lambda number: number.difference)
    highest = max(widest.values, key=widest.values.__getitem__)
    lowest = min(widest.values, key=widest.values.__getitem__)
    known = replace(empty, value=widest.difference, part=widest.name, highest=highest, lowest=lowest)
    try:
        lower, upper = _joint_interval(numbers, confidence)
    except CannotJudge as why:
        return replace(known, why=str(why))
    return replace(known, lower=lower, upper=upper)


def fairness_holds(differences: Sequence[Difference], limit: float) -> PerformanceVerdict:
    """Whether no difference is surely above the limit; of several columns the worst is told.

    Args:
        differences: one difference a column.
        limit: largest difference between two groups.
    """
    judged = [gap for gap in differences if gap.lower is not None]
    if not judged:
        return PerformanceVerdict(None, None, limit, "; ".join(gap.sentence for gap in differences))
    broken = [gap for gap in judged if (gap.lower or 0.0) > limit]
    worst = max(judged, key=lambda gap: gap.value or 0.0)
    text = "; ".join(gap.sentence for gap in (broken or [worst]))
    said = "breaks" if broken else "keeps, or does not surely break,"
    return PerformanceVerdict(not broken, (broken or [worst])[0].value, limit, f"{text}: {said} the limit of {limit:g}")


@dataclass(frozen=True)
class _Part:
    """One number by group: values, and by group and day the influence values' sums and the rows."""

    name: str
    values: Mapping[str, float]
    sums: Mapping[str, Array]
    sizes: Mapping[str, Array]

    @property
    def difference(self) -> float:
        """As fairlearn's `MetricFrame.difference`."""
        return max(self.values.values()) - min(self.values.values())

    def pairs(self) -> list[tuple[str, str]]:
        return list(combinations(self.values, 2))

    def contrast(self, group: str, other: str) -> tuple[float, float, float]:
        """Absolute difference of two groups, its standard error by days and the degrees of freedom."""
        n_group, n_other = float(self.sizes[group].sum()), float(self.sizes[other].sum())
        sizes = self.sizes[group] + self.sizes[other]
        sums = (n_group + n_other) * (self.sums[group] / n_group - self.sums[other] / n_other)
        gap = abs(self.values[group] - self.values[other])
        span = sums_interval(gap, sums[sizes > 0], sizes[sizes > 0])
        se = span.se
        if self.name in RATES:
            rates = [(self.values[name], n) for name, n in ((group, n_group), (other, n_other))]
            adjusted = [((value * n + 1.0) / (n + 2.0), n + 2.0) for value, n in rates]
            se = max(se, math.sqrt(sum(p * (1.0 - p) / n for p, n in adjusted)))
        return gap, se, span.df


def _joint_interval(parts: list[_Part], confidence: float) -> tuple[float, float]:
    """Bounds of the largest difference: those of all pairs of groups hold at once."""
    n_pairs = sum(len(part.pairs()) for part in parts)
    level = 1.0 - (1.0 - confidence) / (2.0 * n_pairs)
    lower = upper = 0.0
    for part in parts:
        for group, other in part.pairs():
            gap, se, df = part.contrast(group, other)
            half = t_quantile(level, df) * se
            lower, upper = max(lower, gap - half), max(upper, gap + half)
    return lower, upper


def _part(name: str, y: Array, s: Array, days: Array, groups: Mapping[str, np.ndarray]) -> _Part:
    """The number `name` of each group that has enough rows for it."""
    _, codes = np.unique(days, return_inverse=True)
    n_days = int(codes.max(initial=-1)) + 1
    counted = _counted(name, y)
    # On fewer days in all there is no interval, but there are values.
    days_needed = min(MIN_BLOCKS, n_days)
    kept = {
        group: used
        for group, rows in groups.items()
        if (used := rows[counted[rows]]).size >= MIN_OF_A_RATE and np.unique(codes[used]).size >= days_needed
    }
    values = {group: _value(name, y[rows], s[rows]) for group, rows in kept.items()}
    sums: dict[str, Array] = {}
    sizes: dict[str, Array] = {}
    for group, rows in kept.items():
        psi = _influence(name, y[rows], s[rows], values[group])
        sums[group] = np.bincount(codes[rows], weights=psi, minlength=n_days).astype(np.float64)
        sizes[group] = np.bincount(codes[rows], minlength=n_days).astype(np.float64)
    return _Part(name, values, sums, sizes)


def _counted(name: str, y: Array) -> np.ndarray:
    """The rows that a number is of."""
    if name == "selection_rate":
        return np.ones(y.size, dtype=bool)
    if name in ("true_positive_rate", "false_positive_rate"):
        return np.asarray(y == float(name == "true_positive_rate"))
    return np.isfinite(y)


def _value(name: str, y: Array, s: Array) -> float:
    """The number of a group's rows: of a rate, those that it looks at."""
    if name == "accuracy":
        return float(np.mean(_called(s) == y))
    if name in RATES:
        return float(np.mean(_called(s)))
    if name == "mean_error":
        return float(np.mean(s - y))
    return metric(name).score(y, s)


def _influence(name: str, y: Array, s: Array, value: float) -> Array:
    """Influence values of a group's rows; all but the registry's metrics are means."""
    if name == "accuracy":
        return (_called(s) == y) - value
    if name in RATES:
        return _called(s) - value
    if name == "mean_error":
        return s - y - value
    return metric(name).influence(y, s)


def _called(s: Array) -> Array:
    """The call: class 1 at the threshold, or the most likely class."""
    return s.argmax(axis=1).astype(np.float64) if s.ndim == 2 else (s >= THRESHOLD).astype(np.float64)
