"""Whether a partition is in another unit than the accepted ones before it, and which.

Here: the units that are known, and `changed_unit`. Not here: other changes (`partition_faults`), shapes
(`partition_profile`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_assets.core.sources.partition_decimals import on_grid
from mlops_assets.core.sources.partition_profile import ColumnShape

MIN_PAST = 21
"""With fewer nothing is said."""
PAST = 91
"""Accepted days that say what is usual: a quarter knows weekdays, turns of a month and some storms."""
BEYOND = 2.0
"""Standard deviations of a day beyond all accepted ones, in the direction in which a unit moves it."""
STORM = 1.5
"""So many times as far, too, as an accepted day was beyond the others."""
NEAR = 3.0
"""Standard deviations of a day between it, put right, and the accepted days around it."""
AMONG = 3
"""Accepted days that must be so near: half a storm is like one other storm, and still no usual day."""
WARMEST = 100.0
"""Degrees Celsius, on either side of zero."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Unit:
    """A mistake of units: what is read is `factor` times what it was, plus `offset`."""

    factor: float
    offset: float
    told: str


def _units() -> tuple[Unit, ...]:
    factors = (
        (10.0, ""), (25.4, "inches and millimetres"), (60.0, "minutes and seconds"), (100.0, "cents, or per cent"),
        (1000.0, "thousands"), (3600.0, "hours and seconds"), (1e6, "millions"),
        (1.609344, "miles and kilometres"), (2.2046226, "kilograms and pounds"),
    )  # fmt: skip
    found = []
    for factor, what in factors:
        told = f" ({what})" if what else ""
        found.append(Unit(factor, 0.0, f"by a factor of {factor:.6g}{told}"))
        small = f"{1 / factor:.4g}" if 1 / factor >= 1e-3 else f"1/{factor:g}"
        found.append(Unit(1 / factor, 0.0, f"by a factor of {small}{told}"))
    found.append(Unit(1.8, 32.0, "times 1.8 plus 32 (Fahrenheit where it was Celsius)"))
    found.append(Unit(1 / 1.8, -32.0 / 1.8, "less 32, by 1.8 (Celsius where it was Fahrenheit)"))
    return tuple(found)


UNITS = _units()
HOURS = tuple(hours for h in range(1, 15) for hours in (h, -h))
"""How far a clock can be off: time zones go from -12 to +14."""
SHIFTS = tuple(Unit(1.0, float(hours), f"{hours:+d} hours") for hours in HOURS)


def changed_unit(today: ColumnShape, past: Sequence[ColumnShape]) -> str | None:
    """Whether all quantiles are those of the accepted days by one factor, or one line.

    Args:
        today: the new partition.
        past: the accepted ones before it, newest last: the newest `PAST` say what is usual, all of them how far a day
            can be from that.
    """
    known = [one for one in past if one.quantiles is not None]
    if today.quantiles is None or len(known) < MIN_PAST:
        return None
    if today.modal == 1.0 or np.median([one.modal for one in known[-PAST:]]) == 1.0:
        # A month is one number all day, and another one morning.
        return None
    lowest = min(one.quantiles[0] for one in [*known, today] if one.quantiles is not None)
    is_signed = today.is_lag or lowest < 0.0
    scale, units = _by_line if is_signed else _by_factor, SHIFTS if today.is_lag else UNITS
    every = scale(_stacked(known), np.array([one.zeros for one in known]))
    (here,) = scale(_stacked([today]), np.array([today.zeros]))
    is_number = np.isfinite(every).all(axis=1)
    every, known = every[is_number], [known[place] for place in np.flatnonzero(is_number)]
    days, known = every[-PAST:], known[-PAST:]
    if not np.isfinite(here).all() or len(days) < MIN_PAST:
        return None
    width = _widths(days, today, float(np.median([one.n for one in known])), is_log=not is_signed)
    values = _put_back(today, units)
    back = scale(values, np.full(len(units), today.zeros))
    if not today.is_lag:
        is_line = np.array([one.offset != 0.0 for one in units])
        back[is_line & ~_are_degrees(today, values)] = np.nan
    grid = _grid(today, known, units)
    is_proved = (grid > 0) & (_distances(back, days, width) <= NEAR)
    if is_proved.any():
        # Days like one that a person let in follow it.
        proved = [units[place] for place in np.flatnonzero(is_proved)]
        for place in np.flatnonzero(_distances(days, here[None], width) <= NEAR):
            is_proved[is_proved] &= _grid(known[place], known, proved) <= 0
            proved = [units[place] for place in np.flatnonzero(is_proved)]
    may_be = (grid == 0) & (_distances(back, days, width, AMONG) <= NEAR)
    among = np.flatnonzero(is_proved if is_proved.any() else may_be & _is_beyond(here, back, every, width))
    if not among.size:
        return None
    # Of those that put it among the days, the one that puts it where most of the newest lie.
    recent = np.median(days[-MIN_PAST:], axis=0)[None]
    order = np.argsort(_distances(back[among], recent, width))
    # What the days cannot tell apart is named too: a weekend times 100 may be a weekday times 60.
    named = ", or ".join(units[among[n]].told for n in order[:3])
    median, before = (f"{value:.6g}" for value in (_median(today), np.median([_median(one) for one in known])))
    if today.is_lag:
        return f"is off by {named} from the event time: its median is {median} hours after it, before {before}."
    return (
        f"is in another unit: its quantiles are those of the {len(known)} accepted partitions before it {named} "
        f"(median {median}, before {before})."
    )


def _grid(today: ColumnShape, past: Sequence[ColumnShape], units: Sequence[Unit]) -> NDArray[np.int64]:
    """What the decimals of the day say of each unit."""
    if today.is_lag:
        return np.zeros(len(units), dtype=np.int64)
    here, *before = ([*(one.quantiles or ()), *(one.nonzero or ())] for one in (today, *past))
    factors, offsets = (np.array([getattr(one, name) for one in units]) for name in ("factor", "offset"))
    return on_grid(np.array(here), np.concatenate(before), factors, offsets)


def _is_beyond(here: Array, back: Array, every: Array, width: Array) -> NDArray[np.bool_]:
    """For each unit, whether the day lies beyond the newest days on the line along which the unit moves it.

    By more than few days do, and by more than any day ever was from those below it: for what has storms, days that are
    nothing like the others, and no fault.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        move = (here - back) / width
        along = move / np.sqrt((move**2).sum(axis=1, keepdims=True))
    ways, way = every / width @ along.T, (along * (here / width)).sum(axis=1)
    days = ways[-PAST:]
    few = BEYOND * (1.0 + MIN_PAST / len(days)) * np.maximum(1.0, deviation(days))
    storm = STORM * np.diff(np.sort(ways, axis=0)[len(ways) // 2 :], axis=0).max(axis=0)
    return np.asarray((way - days.max(axis=0) > few) & (way - ways.max(axis=0) > storm))


def _stacked(shapes: Sequence[ColumnShape]) -> Array:
    """Quantiles of the values other than 0, a row for each shape."""
    return np.array([one.nonzero or one.quantiles for one in shapes], dtype=np.float64)


def _put_back(today: ColumnShape, units: Sequence[Unit]) -> Array:
    """The day's quantiles as they were in the old unit, a row for each unit."""
    # 0 is 0 in each unit but those of a temperature.
    rows = [(one.offset and today.quantiles) or today.nonzero or today.quantiles for one in units]
    factor, offset = (np.array([getattr(one, name) for one in units])[:, None] for name in ("factor", "offset"))
    return (np.array(rows, dtype=np.float64) - offset) / factor


def _are_degrees(today: ColumnShape, before: Array) -> NDArray[np.bool_]:
    """Whether the day, or what it was before, can be Celsius: a fee on top of a price is no Fahrenheit."""
    is_now = np.abs(np.array(today.quantiles)).max() <= WARMEST
    return np.asarray(is_now | (np.abs(before).max(axis=1) <= WARMEST))


def _distances(here: Array, days: Array, width: Array, place: int = 1) -> Array:
    """From the nearest day (or the second, the third), in standard deviations; infinite where a row is no number."""
    apart = np.sqrt((((here[:, None] - days[None]) / width) ** 2).sum(axis=2))
    nearest = np.partition(apart, min(place, len(days)) - 1, axis=1)[:, min(place, len(days)) - 1]
    return np.where(np.isfinite(nearest), nearest, np.inf)


def _by_factor(rows: Array, zeros: Array) -> Array:
    """Of numbers that are never negative: where those over 0 lie, how wide, how skewed, as logarithms; share of 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return _parts(np.log(rows[:, 1:-1]), zeros)


def _by_line(rows: Array, zeros: Array) -> Array:
    """Of any numbers: where they lie, the logarithm of how wide, how skewed, and the share of 0."""
    found = _parts(rows[:, 2:-2], zeros)
    with np.errstate(divide="ignore"):
        found[:, 1] = np.log(found[:, 1])
    return found


def _parts(rows: Array, zeros: Array) -> Array:
    mean, spread = rows.mean(axis=1), rows.std(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        skew = np.where(spread > 1e-9 * np.abs(mean), (mean - np.median(rows, axis=1)) / spread, 0.0)
    return np.column_stack([mean, spread, skew, zeros])


def _widths(days: Array, today: ColumnShape, usual: float, *, is_log: bool) -> Array:
    """Standard deviations of the parts of a day: as the days have them, and never less than its rows allow."""
    middle = np.median(days, axis=0)
    seen = deviation(days) * math.sqrt(max(1.0, usual / today.n))
    spread = float(middle[1] if is_log else np.exp(middle[1]))
    zeros = float(np.clip(middle[3], 1 / today.n, 1 - 1 / today.n))
    n = max(1.0, today.n * (1.0 - today.zeros)) if is_log else today.n
    of_spread = (spread if is_log else 1.0) / math.sqrt(2 * n)
    by_rows = [spread / math.sqrt(n), of_spread, 0.7 / math.sqrt(n), math.sqrt(zeros * (1 - zeros) / today.n)]
    least = [0.02 if is_log else 0.02 * spread, 0.02, 0.05, 0.01]
    return np.maximum.reduce([seen, by_rows, least])


def deviation(days: Array) -> Any:
    """Standard deviation over days by the median of deviations: few odd days, as weekends are, do not count."""
    return 1.4826 * np.median(np.abs(days - np.median(days, axis=0)), axis=0)


def _median(shape: ColumnShape) -> float:
    return float(np.median(shape.quantiles or (math.nan,)))
