"""The rhythm of a model's monitoring windows: one after the other, or sliding.

Here: `7d every 1d`, and which windows that makes. Not here: the calendar that cuts them (`windows`), which reports
slide (`steps.watch`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from mlops_assets.core.time.windows import Every, Window, closed_windows, midnight, parse_every, window_at

_SLIDING = re.compile(r"\s*(.+?)\s+every\s+(.+?)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Rhythm:
    """How long windows are, and how often one ends; the same where one follows the other."""

    length: Every
    step: Every

    @property
    def slides(self) -> bool:
        """Whether windows overlap."""
        return (self.step.unit, self.step.n) != (self.length.unit, self.length.n)

    def ending(self, end: datetime, tz: str) -> Window:
        """The window that ends at a moment at which one does."""
        if not self.slides:
            return window_at(end - timedelta(microseconds=1), self.length, tz)
        return Window(midnight(end.astimezone(ZoneInfo(tz)).date() - timedelta(days=self.length.n), tz), end)

    def next_to_close(self, moment: datetime, tz: str) -> Window:
        """The window that ends first after a moment."""
        return self.ending(window_at(moment, self.step, tz).end, tz)

    def last_closed(self, moment: datetime, tz: str) -> Window:
        """The window that ended last by a moment."""
        return self.ending(window_at(moment, self.step, tz).start, tz)

    def closed(self, first: date, now: datetime, tz: str) -> list[Window]:
        """All whole windows since a local day that have ended by now, oldest first."""
        windows = (self.ending(window.end, tz) for window in closed_windows(first, now, self.step, tz))
        return [window for window in windows if window.start >= midnight(first, tz)]


def parse_rhythm(text: str) -> Rhythm:
    """A rhythm as written in YAML: what `parse_every` reads, or `7d every 1d`.

    Raises:
        ValueError: anything else, months that slide, and steps that would leave days out.
    """
    if not (match := _SLIDING.fullmatch(str(text))):
        every = parse_every(text)
        return Rhythm(every, every)
    length, step = (parse_every(part) for part in match.groups())
    if "month" in (length.unit, step.unit):
        raise ValueError(f"{text!r}: only windows of days or weeks can slide: write 28d every 7d, for example")
    if step.n > length.n:
        raise ValueError(f"{text!r} leaves days out: let a window end at least every {length.n}d")
    return Rhythm(length, step)
