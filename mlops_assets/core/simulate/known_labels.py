"""Which rows may be judged and fitted on at a moment of a life: those whose labels are known by then.

Here: rows by window, by what is known at a moment, by calendar. Not here: what is fitted and decided (`life`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from mlops_assets.core.decide.folds import shift_of
from mlops_assets.core.models.refit_rows import Calendar
from mlops_assets.core.simulate.life_settings import LifePolicy
from mlops_assets.core.simulate.shared_fits import Positions, Rows
from mlops_assets.core.time.windows import Window, local_days, microseconds

SEED = 13


class KnownLabels:
    """The rows of a life by what is known of them, and when.

    Args:
        rows: all labelled events, oldest first.
        windows: adjacent monitoring windows.
        policy: what was agreed.
        good: whether each window's data are; rows of others are never fitted on or judged.
    """

    def __init__(self, rows: Rows, windows: Sequence[Window], policy: LifePolicy, good: Sequence[bool]):
        self.rows, self.windows, self.policy = rows, windows, policy
        self.length = windows[0].end - windows[0].start
        self.times, self.known = (index.as_unit("us").asi8 for index in (rows.times, rows.known))
        window_of = np.searchsorted([microseconds(window.start) for window in windows], self.times, side="right") - 1
        # Rows are oldest first, so each window's are neighbours.
        edges = np.searchsorted(window_of, np.arange(len(windows) + 1))
        self._windows = [np.arange(start, end) for start, end in pairwise(edges)]
        self.usable = np.array(good)[window_of]
        # One uniform number a row thins calendars whose rows count less with age.
        self._draws = np.random.default_rng(SEED).random(len(self.times))
        self.days = local_days(rows.times, policy.timezone)

    def of_window(self, number: int) -> Positions:
        """All rows of a window."""
        return self._windows[number]

    def count(self, now: datetime) -> int:
        """Usable rows whose label is known at a moment."""
        return int(((self.known < microseconds(now)) & self.usable).sum())

    def stretch(self, number: int) -> Window | None:
        """The newest stretch of a window's length whose labels are known at the window's end; None without one."""
        window = self.windows[number]
        now = microseconds(window.end)

        def is_mature(end: datetime) -> bool:
            inside = self.inside(Window(end - self.length, end))
            known = self.known[inside] < now
            return bool(len(inside) and known.sum() >= self.policy.mature_share * len(inside))

        days = window.end - self.windows[0].start
        ends = [window.end - timedelta(days=back) for back in range(max(1, days.days - self.length.days), -1, -1)]
        end = window.end if is_mature(window.end) else shift_of(ends, is_mature)
        return None if end is None else Window(end - self.length, end)

    def inside(self, stretch: Window) -> Positions:
        """Usable rows of a stretch."""
        low, high = np.searchsorted(self.times, [microseconds(stretch.start), microseconds(stretch.end)])
        return np.arange(low, high)[self.usable[low:high]]

    def judged(self, stretch: Window, now: datetime, fitted_until: datetime | None) -> Positions:
        """A stretch's rows whose label is known, and was not when the champion was fitted, if there is one."""
        inside = self.inside(stretch)
        known = self.known[inside]
        return inside[(known < microseconds(now)) & (fitted_until is None or known >= microseconds(fitted_until))]

    def fit_rows(
        self, of: str, now: datetime, *, before: datetime | None = None, end: datetime | None = None
    ) -> Positions:
        """Positions of the rows that a calendar is fitted on: labels known at `now`, events before a moment.

        Args:
            of: the calendar.
            now: the clock.
            before: events from here on are left out; by default none.
            end: what windows are counted back from; by default the newest event that is known.
        """
        use = (self.known < microseconds(now)) & self.usable
        if not use.any():
            return np.empty(0, dtype=np.int64)
        newest = self.rows.times[np.flatnonzero(use)[-1]].to_pydatetime() + timedelta(microseconds=1)
        before, end = before or newest, end or newest
        calendar = Calendar.parse(of)
        start = calendar.start(before=before, end=end, length=self.length, timezone=self.policy.timezone)
        length = self.length // timedelta(microseconds=1)
        start_us = None if start is None else microseconds(start)
        use &= calendar.chosen(self.times, self._draws, start=start_us, before=microseconds(before), length=length)
        return np.flatnonzero(use)
