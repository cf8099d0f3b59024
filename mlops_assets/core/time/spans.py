"""Ranges of calendar days: the unit in which data lands, is built and is scored.

Here: half-open day ranges and cutting partitions into contiguous runs. Not here: windows of time with a time
zone (`windows`), Dagster's partitions (`assets.partitions`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from typing import NamedTuple


class Span(NamedTuple):
    """A range of calendar days, half-open."""

    start: date
    end: date

    def widened(self, *, lookback_days: int, newest_end: date | None, waits_days: int = 0) -> Span:
        """The days whose features and labels change when rows of this span do.

        Windows look back `lookback_days`, so days after it change; labels land up to `waits_days` after their events,
        so days before it do. For the newest day without late labels that is the day itself: one more day costs the
        work of a day.
        """
        start = self.start - timedelta(days=waits_days)
        if newest_end is None or newest_end <= self.end:
            return Span(start, self.end)
        return Span(start, min(newest_end, self.end + timedelta(days=lookback_days)))


def contiguous(keys: Iterable[date], following: Callable[[date], date]) -> list[tuple[date, date]]:
    """First and last key of each unbroken run of partitions.

    Args:
        keys: first days of partitions, in any order.
        following: the key after a key (a day, a week or a month later).
    """
    runs: list[tuple[date, date]] = []
    for key in sorted(set(keys)):
        if runs and following(runs[-1][1]) == key:
            runs[-1] = (runs[-1][0], key)
        else:
            runs.append((key, key))
    return runs
