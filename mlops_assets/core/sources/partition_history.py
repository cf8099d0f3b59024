"""The partitions of one history against each other: which of them have changed, though none was accepted before.

Here: `changed_within`, which holds each partition of a file against the others. Not here: what a change is
(`partition_faults`), partitions that land one after the other (`steps.land.accepted_days`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date

import numpy as np

from mlops_assets.core.sources.contract import Failure
from mlops_assets.core.sources.partition_faults import LONG, MIN_ROWS, changes, refused_shape
from mlops_assets.core.sources.partition_profile import ColumnShape, Shape
from mlops_assets.core.sources.partition_units import MIN_PAST, PAST, WAIT

GAP = 3.0
"""So many times as wide as the next one is the gap between days of one unit and those of another."""
USUAL = (0.1, 0.9)
"""A day whose median lies between these shares of the accepted ones is not looked at further: that takes 7 ms each."""


def changed_within(name: str, days: Mapping[date, ColumnShape]) -> dict[date, Failure]:
    """The partitions of a column that no world changes so; none where there are too few to tell.

    They are judged one after the other, from the calmest stretch to the end and then to the beginning, so that what
    has changed is met from days that have not. Of two units the one with fewer days has changed.

    Args:
        name: of the column.
        days: its shapes, in the order of time.
    """
    known = {day: shape for day, shape in days.items() if shape.n >= MIN_ROWS}
    places = {day: _place(shape) for day, shape in known.items()}
    found = _judged(name, known, places, _apart(places))
    if found and 2 * len(found) >= len(known):
        found = _judged(name, known, places, known.keys() - found.keys())
    return found


def _judged(
    name: str, days: Mapping[date, ColumnShape], places: Mapping[date, float], aside: Collection[date]
) -> dict[date, Failure]:
    """What has changed; those aside are judged too, and vouch for none."""
    accepted = set(_calmest([day for day in days if day not in aside], places))
    if not accepted:
        return {}
    shapes = {day: Shape({name: shape}) for day, shape in days.items()}
    found, refused, end = dict[date, Failure](), dict[date, Shape](), max(accepted)
    others = [day for day in days if day not in accepted]
    for is_back, order in ((False, [day for day in others if day > end]), (True, [d for d in others[::-1] if d < end])):
        for day in order:
            before = sorted(one for one in (*accepted, *refused) if one < day)
            after = sorted((one for one in (*accepted, *refused) if one > day), reverse=True)
            # What lies on the other side speaks too, as what is longer ago.
            past = [*before, *after][-LONG:] if is_back else [*after, *before][-LONG:]
            if not _is_looked_at(places, day, past, refused):
                accepted.add(day)
                continue
            failures = changes(shapes[day], [refused.get(one) or shapes[one] for one in past], day)
            if failures:
                found[day] = failures[0]
                refused |= {day: kept} if (kept := refused_shape(shapes[day], failures)) else {}
            elif day not in aside:
                accepted.add(day)
    return dict(sorted(found.items()))


def _is_looked_at(places: Mapping[date, float], day: date, past: Sequence[date], refused: Collection[date]) -> bool:
    if any(one in refused for one in past[-WAIT:]):
        return True
    low, high = np.quantile([places[one] for one in past[-PAST:] if one not in refused], USUAL)
    return not low <= places[day] <= high


def _place(shape: ColumnShape) -> float:
    """Where a day's numbers lie."""
    return float(np.median(shape.nonzero or shape.quantiles or (0.0,)))


def _scale(values: np.ndarray) -> np.ndarray:
    return np.log(values) if values.size and values.min() > 0.0 else values


def _calmest(days: Sequence[date], places: Mapping[date, float]) -> Sequence[date]:
    """The stretch of days that are most alike, long enough to judge others; none where there are too few."""
    if len(days) < MIN_PAST:
        return ()
    scale = _scale(np.array([places[day] for day in days]))
    spread = np.ptp(np.lib.stride_tricks.sliding_window_view(scale, MIN_PAST), axis=1)
    first = int(np.argmin(spread))
    return days[first : first + MIN_PAST]


def _apart(places: Mapping[date, float]) -> set[date]:
    """The lesser part of the days where they fall into two; none where they do not."""
    values = np.array(sorted(places.values()))
    gaps = np.diff(_scale(values))
    if len(gaps) < 2 or gaps.max() < GAP * np.sort(gaps)[-2]:
        return set()
    edge = int(np.argmax(gaps))
    is_low = edge + 1 <= len(values) / 2
    return {day for day, place in places.items() if (place <= values[edge]) == is_low}
