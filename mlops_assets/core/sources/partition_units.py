"""Whether a partition is in another unit than the accepted ones before it, and which.

Here: `changed_unit`, by one day, by a few that follow each other, and by days that were refused before. Not here: the
units (`known_units`), the scale that days are compared on (`partition_scale`), their decimals (`partition_decimals`),
other changes (`partition_faults`), shapes (`partition_profile`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mlops_assets.core.sources.known_units import SHIFTS, UNITS, Unit
from mlops_assets.core.sources.partition_decimals import on_grid
from mlops_assets.core.sources.partition_profile import LEVELS, MIN_PAST, RUN, ColumnShape, witnesses
from mlops_assets.core.sources.partition_scale import (
    Array,
    deviation,
    distances,
    means,
    median,
    parts,
    put_back,
    put_part_back,
    widths,
)

PAST = 91
"""Accepted days that say what is usual: a quarter knows weekdays, turns of a month and some storms."""
BEYOND = 2.0
"""Standard deviations of a day beyond all accepted ones, in the direction in which a unit moves it."""
BEYOND_RUN = 2.5
"""The same of days that follow each other: more looks, and more chances."""
STEP = 1.8
"""So many times as far from the days right before them as such days ever were from those right before."""
AT_ONCE = 0.75
"""Share of the way from what is usual that must be made in that step: a level that falls for a week makes it in two."""
STORM = 1.5
"""So many times as far, too, as an accepted day was beyond the others."""
NEAR = 3.0
"""Standard deviations of a day between it, put right, and the accepted days around it."""
OF_WAY = 0.1
"""Or this share of how far it lies from them as it came: a day 67 away is in another unit, though it be odd besides."""
AMONG = 3
"""Accepted days that must be so near: half a storm is like one other storm, and still no usual day."""
USUAL = 75
"""Per cent of accepted days that each of those must lie beyond: one storm does not make a run of its neighbours."""
LENT = 3.0
"""Log-odds that the days since the first refusal lend to today at most: twenty to one, for its unit or against it."""
LIKELIER = 1.5
"""Log-odds from which such a day is in that unit: a day that could be either is accepted."""
UNLIKELY = -1.0
"""Log-odds from which a line, such as Fahrenheit's, is not named beside a factor: kilograms in pounds fit it nearly."""
SURE = 3.0
"""Standard deviations on either side of a factor as it is measured."""
MANY = 5.0
"""From so many times as large on, or as small, a day is in another unit though none is known: no night does that."""
UNKNOWN = "by another factor"
APART = 50.0
"""A factor that tells the rows of a day apart, where some of them only are in another unit."""
STORMS = tuple(Unit(factor, 0.0, "") for factor in (3.0, 5.0, 10.0, 16.0))
"""What may make a part of a day's rows so many times as large, and is no fault."""
_ANOTHER = "in another unit, "
COUNTS = range(len(LEVELS) // 4, 3 * len(LEVELS) // 4 + 1)
"""Of the quantiles that are kept: a quarter of the rows to three; fewer are a tail, as minutes after midnight are."""


@dataclass(frozen=True)
class ChangedUnit:
    """A day in another unit.

    Attributes:
        state: what it is.
        shown: by what that is seen.
        units: those that it may be in, as `Unit.name`, the likeliest first.
        apart: standard deviations between the day, put right, and the accepted ones.
    """

    state: str
    shown: str
    units: tuple[str, ...]
    apart: float

    @property
    def sentence(self) -> str:
        """What is said of it."""
        return f"is {self.state}: {self.shown}"

    def rather_than(self, other: ChangedUnit) -> float:
        """Log-odds that it is this and not the other, which is measured on another scale."""
        return (other.apart**2 - self.apart**2) / 2


def changed_unit(today: ColumnShape, past: Sequence[ColumnShape]) -> ChangedUnit | None:
    """Whether all quantiles are those of the accepted days by one factor, or one line.

    Args:
        today: the new partition.
        past: those before it, newest last, accepted ones and those that were refused for their unit: the newest `PAST`
            accepted ones say what is usual, all of them how far a day can be from that.
    """
    known, since = witnesses([shape for shape in past if shape.quantiles is not None])
    if today.quantiles is None or len(known) < MIN_PAST:
        return None
    if today.modal == 1.0 or np.median([shape.modal for shape in known[-PAST:]]) == 1.0:
        # A month is one number all day, and another one morning.
        return None
    lowest = min(shape.quantiles[0] for shape in [*known, today] if shape.quantiles is not None)
    if today.is_lag or lowest < 0.0:
        return _changed(_Look.of(today, known, SHIFTS if today.is_lag else UNITS, is_log=False), since)
    # What is multiplied is far away by its logarithm, degrees are not: 8 degrees after 32 are a cold night.
    factors, lines = ([unit for unit in UNITS if bool(unit.offset) == is_line] for is_line in (False, True))
    factor = _changed(_Look.of(today, known, factors, is_log=True), since)
    line = _changed(_Look.of(today, known, lines, is_log=False), since)
    if factor is None or line is None:
        return factor or line
    # A warm day in Fahrenheit is some three times as large too, and not three times as wide.
    odds = line.rather_than(factor)
    if odds > LIKELIER or odds < UNLIKELY or not (line.units and factor.units):
        return line if odds > LIKELIER else factor
    first, second = (line, factor) if odds > 0.0 else (factor, line)
    state = f"{first.state}, or {second.state.removeprefix(_ANOTHER)}"
    return replace(first, state=state, units=(*first.units, *second.units))


def _changed(look: _Look | None, since: Sequence[ColumnShape]) -> ChangedUnit | None:
    if look is None:
        return None
    if (among := look.suspected(since)).size or (among := look.proved()).size:
        return look.conclude(among)
    # Days before one that was refused are no run with those after it.
    for n in range(1, 2 if since else RUN + 1):
        if (among := look.beyond(n)).size:
            return look.conclude(among, n)
    return look.part()


@dataclass(frozen=True)
class _Look:
    """A day beside the accepted ones, on one scale.

    Attributes:
        today: the day.
        known: accepted days, oldest first.
        asked: the known units that it may be in.
        rows: shape (n + 1, 4), parts of the known days and of today.
        is_log: whether they are of logarithms.
    """

    today: ColumnShape
    known: Sequence[ColumnShape]
    asked: Sequence[Unit]
    rows: Array
    is_log: bool
    _widths: dict[int, Array] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, today: ColumnShape, past: Sequence[ColumnShape], asked: Sequence[Unit], *, is_log: bool
    ) -> _Look | None:
        """None where the day has no parts, or too few others have."""
        rows = parts([*past, today], is_log=is_log)
        is_number = np.asarray(np.isfinite(rows).all(axis=1))
        known = [past[place] for place in np.flatnonzero(is_number[:-1]).tolist()]
        return cls(today, known, asked, rows[is_number], is_log) if is_number[-1] and len(known) >= MIN_PAST else None

    @cached_property
    def units(self) -> Sequence[Unit]:
        """What the day may be in; the last may be the factor that is measured."""
        if not any(unit.factor > 0.0 and not unit.offset for unit in self.asked):
            return self.asked
        factor, *_ = self._measured(1)
        return self.asked if 1 / MANY < factor < MANY else (*self.asked, Unit(factor, 0.0, UNKNOWN))

    @cached_property
    def newest(self) -> Sequence[ColumnShape]:
        """Accepted days that say what is usual."""
        return self.known[-PAST:]

    @cached_property
    def grid(self) -> NDArray[np.int64]:
        """What the decimals of the day say of each unit."""
        return self._decimals(np.arange(len(self.units)))

    def proved(self) -> NDArray[np.intp]:
        """Which units the day's decimals prove, where it lies near accepted days in that unit; the likeliest first."""
        days, width, back = self._days(1), self._width(1), self._back(self.today)
        near = max(NEAR, OF_WAY * distances(self.rows[-1:], days, width)[0])
        among = np.flatnonzero(distances(back, days, width) <= near)
        # An ordinary day is near in few units, and decimals are asked of those alone.
        among = among[self._decimals(among) > 0]
        for shape, is_like in zip(self.newest, distances(days, self.rows[-1:], width) <= NEAR, strict=True):
            if among.size and is_like:
                # Days like one that a person let in follow it.
                among = among[self._grid(shape, [self.units[unit] for unit in among.tolist()]) <= 0]
        return self._likeliest(among, back, 1)

    def beyond(self, n: int) -> NDArray[np.intp]:
        """Which units put the newest n days together, which are beyond all others, among them; the likeliest first."""
        run = [*self.known[len(self.known) - n + 1 :], self.today]
        if len(self.rows) - 2 * n + 1 < MIN_PAST or any(shape.is_let_in for shape in run):
            return np.empty(0, dtype=np.intp)
        every, here, days, width = means(self.rows[:-n], n), self.rows[-n:].mean(axis=0), self._days(n), self._width(n)
        least, apart = BEYOND if n == 1 else BEYOND_RUN, distances(here[None], days, width)[0]
        if apart <= least:
            # So near a usual day it is beyond it in no direction: on most days nothing else is computed.
            return np.empty(0, dtype=np.intp)
        backs = [self._back(shape) for shape in run]
        back = np.mean(backs, axis=0)
        among = (self.grid == 0) & (distances(back, days, width, AMONG) <= max(NEAR, OF_WAY * apart))
        among &= self._can_be(n) & _is_beyond(here, back, every, width, least)
        if n > 1 and among.any():
            # A level that wanders comes there by steps; a unit changes at once.
            step, steps = _along(here - every[-1], back - every[-1], every[n:] - every[:-n], width)
            way, ways = _along(here, back, days, width)
            at_once = np.maximum(STEP * np.abs(steps).max(axis=0), AT_ONCE * (way - median(ways)))
            among &= (step > at_once) & self._is_each(backs, n)
        return self._likeliest(np.flatnonzero(among), back, n)

    def suspected(self, since: Sequence[ColumnShape]) -> NDArray[np.intp]:
        """Which of the units that days were refused for a short while ago today is in rather than in none.

        The refused one says which units; how likely each is, the days after it and today say together. An ordinary day
        after a storm that looked like a unit is no further from the others than it was before.

        Args:
            since: all days from the first that was refused.
        """
        days, here, width = self._days(1), self.rows[-1:], self._width(1)
        is_let_in = np.array([shape.is_let_in for shape in self.newest])
        if not since or (is_let_in.any() and distances(here, days[is_let_in], width)[0] <= NEAR):
            return np.empty(0, dtype=np.intp)
        names = {name for shape in since for name in shape.refused}
        lent = np.zeros(len(self.units))
        for shape in since[1:]:
            lent = np.clip(lent + self._odds(shape)[0], -LENT, LENT)
        odds, back, as_it_is = self._odds(self.today)
        is_one = np.array([unit.name in names for unit in self.units]) & (self.grid >= 0)
        among = np.flatnonzero(is_one & (odds + lent > LIKELIER) & (back <= max(NEAR, OF_WAY * as_it_is)))
        return among[np.argsort(back[among])]

    def _odds(self, shape: ColumnShape) -> tuple[Array, Array, float]:
        """Log-odds that a day is in each unit and not as it came, by how far from the accepted it is; and how far."""
        days, width = self._days(1), self._width(1)
        as_it_is = float(distances(parts([shape], is_log=self.is_log), days, width, AMONG)[0])
        back = distances(self._back(shape), days, width, AMONG)
        # A day without numbers over 0 is nowhere, and says nothing.
        return np.nan_to_num((as_it_is**2 - back**2) / 2, nan=0.0), back, as_it_is

    def conclude(self, among: NDArray[np.intp], n: int = 1) -> ChangedUnit:
        """What is said where the newest n days are in one of these units, the likeliest first."""
        names = [self.units[unit].name for unit in among]
        known = self.known[: len(self.known) - n + 1][-PAST:]
        median, before = (f"{value:.6g}" for value in (_median(self.today), np.median([_median(day) for day in known])))
        # What the days cannot tell apart is named too: a weekend times 100 may be a weekday times 60.
        named = ", or ".join([name for name in names if name != UNKNOWN][:3] or names)
        if self.today.is_lag:
            text = f"its median is {median} hours after it, before {before}."
            return ChangedUnit(f"off by {named} from the event time", text, tuple(names), self._apart(among[0]))
        text = f"median {median}, before {before}"
        if not any(self.units[unit].offset or self.units[unit].factor < 0 for unit in among):
            factor, low, high = self._measured(n)
            text = f"{text}; measured factor {factor:.3g}, {low:.3g} to {high:.3g}"
            named = f"by a factor of about {factor:.3g}, of no known unit" if named == UNKNOWN else named
        whose, them = "its quantiles", "it"
        if n > 1:
            whose, them = f"its quantiles and those of the {n - 1} before it", "them"
        text = f"{whose} are those of the {len(known)} accepted partitions before {them}, changed so ({text})."
        return ChangedUnit(f"{_ANOTHER}{named}", text, tuple(names), self._apart(among[0]))

    def _apart(self, unit: int) -> float:
        """How far the day is from the accepted ones where it is in this unit."""
        return float(distances(self._back(self.today)[[unit]], self._days(1), self._width(1), AMONG)[0])

    def part(self) -> ChangedUnit | None:
        """Whether some rows of the day are in another unit: one that tells rows apart, and the others as they were."""
        days, here, width = self._days(1), self.rows[-1], self._width(1)
        wide = (here[1] - days[:, 1].max()) / width[1]
        if not self.is_log or wide <= BEYOND or (self.grid[: len(self.asked)] > 0).any():
            return None
        units = [u for u in self.asked if not u.offset and u.factor > 0.0 and not 1 / APART < u.factor < APART]
        back = put_part_back(self.today, [*units, *STORMS], COUNTS)
        # Of each unit the number of rows that fits best, and of the units the three that fit, if no storm does better.
        apart = distances(back, days, width, AMONG).reshape(-1, len(COUNTS))
        is_beyond = _is_beyond(here, back, self.rows[:-1], width).reshape(apart.shape)
        best = np.where((apart <= NEAR) & is_beyond, apart, np.inf)[: len(units)]
        best[~self._is_outside(units)] = np.inf
        fitting = [unit for unit in np.argsort(best.min(axis=1)).tolist() if np.isfinite(best[unit]).any()]
        if not fitting or apart[len(units) :].min() < best.min():
            return None
        share = COUNTS[int(np.argmin(best[fitting[0]]))] / len(LEVELS)
        likely = ", or ".join(units[unit].name for unit in fitting[:3])
        past = f"the {len(self.newest)} accepted partitions before it"
        return ChangedUnit(
            f"in another unit in about {share:.0%} of its rows",
            f"its quantiles are those of {past} where these change {likely}.",
            (),
            float(best.min()),
        )

    def _is_outside(self, units: Sequence[Unit]) -> NDArray[np.bool_]:
        """For each unit and count, whether most of the quantiles in it are beyond all that accepted days had."""
        kept = np.array([shape.nonzero or shape.quantiles for shape in self.newest])
        row = np.array(self.today.nonzero or self.today.quantiles)
        is_over, is_under = row > kept.max(), row < kept.min()
        return np.array(
            [
                [np.mean(is_over[-count:] if unit.factor > 1.0 else is_under[:count]) > 0.5 for count in COUNTS]
                for unit in units
            ]
        )

    def _measured(self, n: int) -> tuple[float, float, float]:
        """How many times as large the newest n days are as those before, and between which numbers that lies."""
        days, here = self._days(1), self.rows[-n:].mean(axis=0)
        # Weekdays that differ count here: it may be any of them.
        width = np.maximum(self._width(n), days.std(axis=0) / np.sqrt(n))
        part = 0 if self.is_log else 1
        way = here[part] - median(days[:, part])
        factor, low, high = np.exp([way, way - SURE * width[part], way + SURE * width[part]])
        return float(factor), float(low), float(high)

    def _can_be(self, n: int) -> NDArray[np.bool_]:
        """For each unit, whether its factor is one that the newest n days can have."""
        _, low, high = self._measured(n)
        return np.array([unit.offset != 0.0 or unit.factor < 0.0 or low <= unit.factor <= high for unit in self.units])

    def _days(self, n: int) -> Array:
        """The newest means of n days before these."""
        return means(self.rows[:-n], n)[-PAST:]

    def _likeliest(self, among: NDArray[np.intp], back: Array, n: int) -> NDArray[np.intp]:
        """Those that put the days among others, ordered by how near to where most of the newest lie."""
        if not among.size:
            return among
        recent = median(self._days(n)[-MIN_PAST:])[None]
        return among[np.argsort(distances(back[among], recent, self._width(n)))]

    def _back(self, shape: ColumnShape) -> Array:
        return put_back(shape, self.units, is_log=self.is_log)

    def _width(self, n: int) -> Array:
        if n not in self._widths:
            usual = float(np.median([shape.n for shape in self.newest]))
            self._widths[n] = widths(self.rows[:-n][-PAST:], self.today, usual, is_log=self.is_log, together=n)
        return self._widths[n]

    def _is_each(self, backs: Sequence[Array], n: int) -> NDArray[np.bool_]:
        """For each unit, whether each of the newest n days by itself is as it would be in that unit.

        And none of those before today so far away that a person must have let it in: days like that one follow.
        """
        every, width = self.rows[:-n], self._width(1)
        fits = np.ones(len(self.units), dtype=bool)
        for here, back in zip(self.rows[-n:], backs, strict=True):
            way, ways = _along(here, back, every[-PAST:], width)
            fits &= (distances(back, every[-PAST:], width, AMONG) <= NEAR) & (way > np.percentile(ways, USUAL, axis=0))
        for here, back in zip(self.rows[-n:-1], backs, strict=False):
            fits &= ~_is_beyond(here, back, every, width)
        return fits

    def _decimals(self, among: NDArray[np.intp]) -> NDArray[np.int64]:
        """What the decimals of the day say of these units; of a factor that is measured they say nothing."""
        units = [self.units[unit] for unit in among.tolist()]
        is_known = np.array([unit.name != UNKNOWN for unit in units], dtype=bool)
        return np.where(is_known, self._grid(self.today, units), 0)

    def _grid(self, today: ColumnShape, units: Sequence[Unit]) -> NDArray[np.int64]:
        if today.is_lag:
            return np.zeros(len(units), dtype=np.int64)
        here, *before = ([*(day.quantiles or ()), *(day.nonzero or ())] for day in (today, *self.newest))
        return on_grid(np.array(here), np.concatenate(before), [unit.spellings for unit in units])


def _along(here: Array, back: Array, days: Array, width: Array) -> tuple[Array, Array]:
    """Where a day, and each of others, lies on the line along which each unit moves it: (units,), (days, units)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        move = (here - back) / width
        along = move / np.sqrt((move**2).sum(axis=1, keepdims=True))
    return (along * (here / width)).sum(axis=1), days / width @ along.T


def _is_beyond(here: Array, back: Array, every: Array, width: Array, least: float = BEYOND) -> NDArray[np.bool_]:
    """For each unit, whether the day lies beyond the newest days on the line along which the unit moves it.

    By more than few days do, and by more than any day ever was from those below it: for what has storms, days that are
    nothing like the others, and no fault.
    """
    way, ways = _along(here, back, every, width)
    days = ways[-PAST:]
    few = least * (1.0 + MIN_PAST / len(days)) * np.maximum(1.0, deviation(days))
    storm = STORM * np.diff(np.sort(ways, axis=0)[len(ways) // 2 :], axis=0).max(axis=0)
    return np.asarray((way - days.max(axis=0) > few) & (way - ways.max(axis=0) > storm))


def _median(shape: ColumnShape) -> float:
    return float(np.median(shape.quantiles or (np.nan,)))
