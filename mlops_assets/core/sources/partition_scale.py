"""Where the numbers of a day lie, how wide and how skewed they are, on a scale on which days are compared.

Here: the parts of a day, of one that is put back into its old unit, means of days that follow each other, distances.
Not here: which distance is a fault (`partition_units`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_assets.core.sources.known_units import Unit
from mlops_assets.core.sources.partition_profile import ColumnShape

WARMEST = 100.0
"""Degrees Celsius, on either side of zero."""

Array = NDArray[np.float64]


def parts(shapes: Sequence[ColumnShape], *, is_log: bool) -> Array:
    """The parts of days: where they lie, how wide, how skewed, and their share of zeros.

    Args:
        shapes: the days.
        is_log: of numbers that are never negative, where those over 0 lie, and how wide, are of their logarithms; of
            others, how wide is as a logarithm.

    Returns:
        Shape (days, 4); not finite where a day has none.
    """
    rows = np.array([shape.nonzero or shape.quantiles for shape in shapes], dtype=np.float64)
    return _parts(rows, np.array([shape.zeros for shape in shapes]), is_log=is_log)


def put_back(today: ColumnShape, units: Sequence[Unit], *, is_log: bool) -> Array:
    """The parts of a day as it was in the old unit: shape (units, 4), not finite where it cannot have been."""
    # 0 is 0 in each unit but those of a temperature.
    rows = [(unit.offset and today.quantiles) or today.nonzero or today.quantiles for unit in units]
    factor, offset = (np.array([getattr(unit, name) for unit in units])[:, None] for name in ("factor", "offset"))
    values = (np.array(rows, dtype=np.float64) - offset) / factor
    back = _parts(values, np.full(len(units), today.zeros), is_log=is_log)
    if not today.is_lag:
        back[(offset[:, 0] != 0.0) & ~_are_degrees(today, values)] = np.nan
    return back


def put_part_back(today: ColumnShape, units: Sequence[Unit], counts: Sequence[int]) -> Array:
    """The parts of a day of which only so many of its quantiles, the ones at the end of that unit, are put back.

    Args:
        today: the day, of numbers that are never negative.
        units: factors alone.
        counts: of the quantiles.

    Returns:
        Shape (units x counts, 4).
    """
    row, rows = np.array(today.nonzero or today.quantiles), []
    for unit in units:
        for count in counts:
            moved = row[-count:] if unit.factor > 1.0 else row[:count]
            kept = row[:-count] if unit.factor > 1.0 else row[count:]
            rows.append(np.sort(np.concatenate([kept, moved / unit.factor])))
    return _parts(np.array(rows), np.full(len(rows), today.zeros), is_log=True)


def means(rows: Array, n: int) -> Array:
    """Means of each n rows that follow each other, n fewer than 8: numpy adds those one after the other, too."""
    last = len(rows) - n + 1
    total = rows[:last]
    for start in range(1, n):
        total = total + rows[start : start + last]
    return total / n


def median(rows: Array) -> Any:
    """`np.median` over the first axis, to the bit: of a few dozen rows in a third of the time."""
    ordered = np.sort(rows, axis=0)
    middle = len(rows) // 2
    value = ordered[middle] if len(rows) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    # What is no number is sorted to the end.
    return np.where(np.isnan(ordered[-1]), np.nan, value)


def distances(here: Array, days: Array, width: Array, place: int = 1) -> Array:
    """From the nearest day (or the second, the third), in standard deviations; infinite where a row is no number."""
    apart = np.sqrt((((here[:, None] - days[None]) / width) ** 2).sum(axis=2))
    nearest = np.partition(apart, min(place, len(days)) - 1, axis=1)[:, min(place, len(days)) - 1]
    return np.where(np.isfinite(nearest), nearest, np.inf)


def widths(days: Array, today: ColumnShape, usual: float, *, is_log: bool, together: int = 1) -> Array:
    """Standard deviations of the parts of a day: as the days have them, and never less than its rows allow.

    Args:
        days: parts of accepted days, one by one.
        today: the day.
        usual: rows of an accepted day.
        is_log: as of `parts`.
        together: of the mean of so many days that follow each other; their own means say how alike they are.
    """
    middle, root = median(days), math.sqrt(together)
    seen = np.maximum(deviation(days) / root, deviation(means(days, together)))
    seen = seen * math.sqrt(max(1.0, usual / today.n))
    spread = float(middle[1] if is_log else np.exp(middle[1]))
    zeros = float(np.clip(middle[3], 1 / today.n, 1 - 1 / today.n))
    n = max(1.0, today.n * (1.0 - today.zeros)) if is_log else today.n
    of_spread = (spread if is_log else 1.0) / math.sqrt(2 * n)
    by_rows = [spread / math.sqrt(n), of_spread, 0.7 / math.sqrt(n), math.sqrt(zeros * (1 - zeros) / today.n)]
    least = [0.02 if is_log else 0.02 * spread, 0.02, 0.05, 0.01]
    return np.maximum.reduce([seen, np.array(by_rows) / root, least])


def deviation(days: Array) -> Any:
    """Standard deviation over days by the median of deviations: few odd days, as weekends are, do not count."""
    return 1.4826 * median(np.abs(days - median(days)))


def _parts(rows: Array, zeros: Array, *, is_log: bool) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        rows = np.log(rows[:, 1:-1]) if is_log else rows[:, 2:-2]
        mean, spread = rows.mean(axis=1), rows.std(axis=1)
        skew = np.where(spread > 1e-9 * np.abs(mean), (mean - median(rows.T)) / spread, 0.0)
        return np.column_stack([mean, spread if is_log else np.log(spread), skew, zeros])


def _are_degrees(today: ColumnShape, before: Array) -> NDArray[np.bool_]:
    """Whether the day, or what it was before, can be Celsius: a fee on top of a price is no Fahrenheit."""
    is_now = np.abs(np.array(today.quantiles)).max() <= WARMEST
    return np.asarray(is_now | (np.abs(before).max(axis=1) <= WARMEST))
