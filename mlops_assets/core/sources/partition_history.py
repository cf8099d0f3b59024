"""The partitions of one history against each other: which of them have changed, though none was accepted before.

Here: `changed_within`, which holds each partition of a file against the others. Not here: what a change is
(`partition_faults`), partitions that land one after the other (`steps.land.accepted_days`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from mlops_assets.core.sources.contract import Failure
from mlops_assets.core.sources.partition_faults import LONG, MIN_ROWS, changes, refused_shape
from mlops_assets.core.sources.partition_profile import MIN_PAST, WAIT, ColumnShape, Shape
from mlops_assets.core.sources.partition_scale import Array
from mlops_assets.core.sources.partition_units import PAST

GAP = 3.0
"""So many times as wide as the next one is the gap between days of one unit and those of another."""
WEEK = 7
USUAL = 0.9
"""A day that lies no further from the week before it than this share of days does is not looked at: it takes 10 ms."""
LEAST = math.log(1.3)
"""Nor one of numbers over 0 that lies nearer than this: no unit is."""
PARTLY = math.log(5.0)
"""Some rows in another unit move the outer ones further than this, on the scale of logarithms, and not the median."""


def changed_within(name: str, days: Mapping[date, ColumnShape]) -> dict[date, Failure]:
    """The partitions of a column that no world changes so; none where there are too few to tell.

    They are judged one after the other, from the calmest stretch to the end and then to the beginning, so that what
    has changed is met from days that have not. Of two units the one with fewer days has changed.

    Args:
        name: of the column.
        days: its shapes, in the order of time.
    """
    known = {day: shape for day, shape in days.items() if shape.n >= MIN_ROWS}
    places = _Places.of(known)
    failures = _judged(name, known, places, places.apart())
    if failures and 2 * len(failures) >= len(known):
        failures = _judged(name, known, places, known.keys() - failures.keys())
    return failures


@dataclass(frozen=True)
class _Places:
    """Where the numbers of each day lie.

    Attributes:
        rows: median, a low and a high quantile of a day, as logarithms where all are over 0.
        is_log: whether they are.
        step: by how much more than usual a day's median lies from those of the week before it, before it is looked at.
    """

    rows: Mapping[date, Array]
    is_log: bool
    step: float

    @classmethod
    def of(cls, days: Mapping[date, ColumnShape]) -> _Places:
        """Of these days."""
        quantiles = np.array([shape.nonzero or shape.quantiles for shape in days.values()], dtype=np.float64)
        if not quantiles.size:
            return cls({}, False, 0.0)
        rows = np.column_stack([np.median(quantiles, axis=1), quantiles[:, 2], quantiles[:, -3]])
        if is_log := bool(rows.min() > 0.0):
            rows = np.log(rows)
        steps = [abs(rows[at, 0] - np.median(rows[max(0, at - WEEK) : at, 0])) for at in range(1, len(rows))]
        step = float(np.quantile(steps, USUAL)) if steps else 0.0
        return cls(dict(zip(days, rows, strict=True)), is_log, max(step, LEAST) if is_log else step)

    def are_far(self, day: date, week: Sequence[date]) -> bool:
        """Whether a day lies so far from the week before it that it may be in another unit."""
        middle, *outer = np.abs(self.rows[day] - np.median([self.rows[other] for other in week], axis=0))
        return bool(middle > self.step or (self.is_log and max(outer) > PARTLY))

    def calmest(self, days: Sequence[date]) -> Sequence[date]:
        """The stretch of these days that are most alike, long enough to judge others; none where there are too few."""
        if len(days) < MIN_PAST:
            return ()
        middles = np.array([self.rows[day][0] for day in days])
        first = int(np.argmin(np.ptp(np.lib.stride_tricks.sliding_window_view(middles, MIN_PAST), axis=1)))
        return days[first : first + MIN_PAST]

    def apart(self) -> set[date]:
        """The lesser part of the days where they fall into two; none where they do not."""
        middles = np.sort([row[0] for row in self.rows.values()])
        gaps = np.diff(middles)
        if len(gaps) < 2 or gaps.max() < GAP * np.sort(gaps)[-2]:
            return set()
        edge = int(np.argmax(gaps))
        is_low = edge + 1 <= len(middles) / 2
        return {day for day, row in self.rows.items() if (row[0] <= middles[edge]) == is_low}


def _judged(
    name: str, days: Mapping[date, ColumnShape], places: _Places, aside: Collection[date]
) -> dict[date, Failure]:
    """What has changed; those aside are judged too, and vouch for none."""
    accepted = set(places.calmest([day for day in days if day not in aside]))
    if not accepted:
        return {}
    shapes = {day: Shape({name: shape}) for day, shape in days.items()}
    changed, refused, end = dict[date, Failure](), dict[date, Shape](), max(accepted)
    others = [day for day in days if day not in accepted]
    for is_back, order in ((False, [day for day in others if day > end]), (True, [d for d in others[::-1] if d < end])):
        for day in order:
            before = sorted(other for other in (*accepted, *refused) if other < day)
            after = sorted((other for other in (*accepted, *refused) if other > day), reverse=True)
            # What lies on the other side speaks too, as what is longer ago.
            past = [*before, *after][-LONG:] if is_back else [*after, *before][-LONG:]
            week = [other for other in past[-PAST:] if other not in refused][-WEEK:]
            may_be = (
                days[day].modal == 1.0 or any(other in refused for other in past[-WAIT:]) or places.are_far(day, week)
            )
            failures = (
                changes(shapes[day], [refused.get(other) or shapes[other] for other in past], day) if may_be else []
            )
            if failures:
                changed[day] = failures[0]
                refused |= {day: kept} if (kept := refused_shape(shapes[day], failures)) else {}
            elif day not in aside:
                accepted.add(day)
    return dict(sorted(changed.items()))
