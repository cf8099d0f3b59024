"""Hours in which no training starts by itself.

Here: reading them from text, and when they are over. Not here: what they hold back (`rules`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Self
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TEXT = re.compile(r"(?:([a-z,\-]+)\s+)?(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")
_DAY = 24 * 60


@dataclass(frozen=True)
class QuietHours:
    """A stretch of some weekdays.

    Attributes:
        days: weekdays on which it begins, 0 for Monday.
        begins: minutes after local midnight.
        ends: minutes after the same midnight; beyond 1,440 on the next day.
    """

    days: tuple[int, ...]
    begins: int
    ends: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """`08:00-18:00`, `mon-fri 08:00-18:00`, `sat,sun 00:00-24:00`; `22:00-06:00` ends on the next day.

        Raises:
            ValueError: anything else.
        """
        match = _TEXT.fullmatch(str(text).strip().lower())
        days = _days(match[1]) if match else ()
        if match and days:
            begins, ends = (60 * int(match[n]) + int(match[n + 1]) for n in (2, 4))
            minutes = int(match[3]), int(match[5])
            if begins < _DAY and ends <= _DAY and max(minutes) < 60 and begins != ends:
                return cls(days, begins, ends if ends > begins else ends + _DAY)
        msg = (
            f"retrain.quiet_hours has {text!r}: write hours, with weekdays before them or without, for example "
            "08:00-18:00, mon-fri 08:00-18:00 or sat,sun 00:00-24:00"
        )
        raise ValueError(msg)

    def end_at(self, now: datetime, zone: ZoneInfo) -> datetime | None:
        """When the stretch that `now` lies in ends, in UTC; None where it lies in none."""
        today = now.astimezone(zone).date()
        for day in (today, today - timedelta(days=1)):
            begins, ends = (_at(day, minutes, zone) for minutes in (self.begins, self.ends))
            if day.weekday() in self.days and begins <= now < ends:
                return ends
        return None


@lru_cache(maxsize=64)
def parse_all(texts: tuple[str, ...]) -> tuple[QuietHours, ...]:
    """All stretches.

    Raises:
        ValueError: one cannot be read, or together they leave no minute of a week.
    """
    spans = tuple(QuietHours.parse(text) for text in texts)
    quiet = {(day * _DAY + minute) % (7 * _DAY) for q in spans for day in q.days for minute in range(q.begins, q.ends)}
    if len(quiet) == 7 * _DAY:
        msg = "retrain.quiet_hours leave no time for a training: shorten them, or stop trainings with mlops pause"
        raise ValueError(msg)
    return spans


def quiet_until(texts: tuple[str, ...], now: datetime, timezone: str) -> datetime | None:
    """The first moment from `now` on, in UTC, that lies in no quiet hours; None where `now` does not lie in any.

    Args:
        texts: as `QuietHours.parse` reads them.
        now: aware.
        timezone: of the hours; where clocks change, hours are those that the clock shows.
    """
    zone, spans, moment = ZoneInfo(timezone), parse_all(texts), now.astimezone(UTC)
    while end := max((e for quiet in spans if (e := quiet.end_at(moment, zone))), default=None):
        moment = end
    return None if moment == now else moment


def _days(text: str | None) -> tuple[int, ...]:
    """The weekdays of a text, every day where there is none; nothing where it cannot be read."""
    if text is None:
        return tuple(range(7))
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            return ()
        begin = DAYS.index(first)
        days |= {(begin + n) % 7 for n in range((DAYS.index(last or first) - begin) % 7 + 1)}
    return tuple(sorted(days))


def _at(day: date, minutes: int, zone: ZoneInfo) -> datetime:
    """A time of the clock on a day, in UTC."""
    later, rest = divmod(minutes, _DAY)
    shown = datetime.combine(day + timedelta(days=later), time(rest // 60, rest % 60), tzinfo=zone)
    return shown.astimezone(UTC)
