"""The rhythm of a model's monitoring windows: one after the other, sliding, or parts of days.

Here: `7d every 1d`, `24h every 1h` and `6h`, and which windows these make. Not here: the calendar that cuts them
(`windows`), which reports go by it (`steps.watch`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from mlops_assets.core.time.windows import Every, Window, closed_windows, midnight, parse_every, window_at

_HOURS = re.compile(r"\s*(\d+)\s*h\s*", re.IGNORECASE)
_A_DAY = re.compile(r"\s*(?:24\s*h|1\s*d|day)\s+every\s+(\d+)\s*h\s*", re.IGNORECASE)
_SLIDING = re.compile(r"\s*(.+?)\s+every\s+(.+?)\s*", re.IGNORECASE)


_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Rhythm:
    """How long windows are, and how often one ends; the same where one follows the other.

    Attributes:
        length: of a window; where `hours` are given, of those of labels: a day.
        step: how often one ends.
        hours: of parts of days; None for whole days. 24 where a day slides by hours.
        every: hours after which the next window ends, where a day slides by them; else None.
    """

    length: Every
    step: Every
    hours: int | None = None
    every: int | None = None

    @property
    def slides(self) -> bool:
        """Whether windows overlap."""
        return self.every is not None or (self.step.unit, self.step.n) != (self.length.unit, self.length.n)

    @property
    def parts_days(self) -> bool:
        """Whether windows are shorter than a day, and so are held against the same hours."""
        return self.hours is not None and self.every is None

    def ending(self, end: datetime, tz: str) -> Window:
        """The window that ends at a moment at which one does."""
        if self.every is not None:
            return Window(end - _DAY, end)
        if self.hours is not None:
            return self.next_to_close(end - timedelta(microseconds=1), tz)
        if not self.slides:
            return window_at(end - timedelta(microseconds=1), self.length, tz)
        return Window(midnight(end.astimezone(ZoneInfo(tz)).date() - timedelta(days=self.length.n), tz), end)

    def next_to_close(self, moment: datetime, tz: str) -> Window:
        """The window that ends first after a moment."""
        whole = window_at(moment, self.step, tz)
        if self.hours is None:
            return self.ending(whole.end, tz)
        part = next(part for part in _parts(whole, self.every or self.hours) if moment < part.end)
        return part if self.every is None else self.ending(part.end, tz)

    def last_closed(self, moment: datetime, tz: str) -> Window:
        """The window that ended last by a moment."""
        if self.hours is None:
            return self.ending(window_at(moment, self.step, tz).start, tz)
        following = self.next_to_close(moment, tz)
        # Of windows that overlap the one before does not end where the next begins.
        ended = following.start if self.every is None else self._begins(following.end, tz)
        return self.ending(ended, tz)

    def _begins(self, end: datetime, tz: str) -> datetime:
        """When the step that ends at a moment began."""
        day = window_at(end - timedelta(microseconds=1), self.step, tz)
        return next(part.start for part in _parts(day, self.every or 24) if part.end == end)

    def closed(self, first: date, now: datetime, tz: str) -> list[Window]:
        """All whole windows since a local day that have ended by now, oldest first."""
        if self.hours is not None:
            days = [*closed_windows(first, now, self.step, tz), window_at(now, self.step, tz)]
            parts = [part for day in days for part in _parts(day, self.every or self.hours)]
            ended = parts if self.every is None else [self.ending(part.end, tz) for part in parts]
            return [window for window in ended if midnight(first, tz) <= window.start and window.end <= now]
        windows = (self.ending(window.end, tz) for window in closed_windows(first, now, self.step, tz))
        return [window for window in windows if window.start >= midnight(first, tz)]


def _parts(day: Window, hours: int) -> list[Window]:
    """A day in parts of so many hours; on days on which clocks change the last is an hour longer or shorter."""
    length = timedelta(hours=hours)
    starts = [start for n in range(24 // hours) if (start := day.start + n * length) < day.end]
    return [Window(start, end) for start, end in pairwise([*starts, day.end])]


def parse_rhythm(text: str) -> Rhythm:
    """A rhythm as written in YAML: what `parse_every` reads, `7d every 1d`, `24h every 1h`, or `6h`.

    Raises:
        ValueError: anything else, months that slide, steps that would leave days out, hours that do not part a day.
    """
    if hourly := _HOURS.fullmatch(str(text)):
        hours, day = int(hourly[1]), parse_every("day")
        if not 0 < hours < 24 or 24 % hours:
            # Whole days are counted as such: where clocks change a day has 23 or 25 hours.
            as_days = f"{hours // 24}d, or " if hours and hours % 24 == 0 else ""
            raise ValueError(f"{text!r} does not part a day: write {as_days}1h, 2h, 3h, 4h, 6h, 8h or 12h")
        return Rhythm(day, day, hours)
    if by_hours := _A_DAY.fullmatch(str(text)):
        hours, day = int(by_hours[1]), parse_every("day")
        if not 0 < hours < 24 or 24 % hours:
            raise ValueError(f"{text!r} does not part a day: write 24h every 1h, 2h, 3h, 4h, 6h, 8h or 12h")
        return Rhythm(day, day, 24, hours)
    if not (match := _SLIDING.fullmatch(str(text))):
        every = parse_every(text)
        return Rhythm(every, every)
    if _HOURS.fullmatch(match[2]):
        raise ValueError(f"{text!r}: only windows of a day slide by hours: write 24h every {match[2].strip()}")
    if (hourly := _HOURS.fullmatch(match[1])) and int(hourly[1]) and int(hourly[1]) % 24 == 0:
        raise ValueError(f"{text!r}: windows of whole days are written in days: write {int(hourly[1]) // 24}d every 1d")
    length, step = (parse_every(part) for part in match.groups())
    if "month" in (length.unit, step.unit):
        raise ValueError(f"{text!r}: only windows of days or weeks can slide: write 28d every 7d, for example")
    if step.n > length.n:
        raise ValueError(f"{text!r} leaves days out: let a window end at least every {length.n}d")
    return Rhythm(length, step)
