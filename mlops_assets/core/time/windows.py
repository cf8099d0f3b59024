"""Windows of event time: which have closed, which are mature, which days they cover.

Here: half-open windows in UTC, the calendar that cuts them in a source's time zone, durations as people write
them, and label maturity. Not here: reading rows (`world`), metrics on a window (`performance.window_metrics`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

import numpy as np

if TYPE_CHECKING:
    # Settings import this module, and commands that only look read settings: pandas costs them half a second.
    import pandas as pd
    from numpy.typing import NDArray

ANCHOR = date(1970, 1, 5)
"""A Monday. Windows of N days are counted from it, so `7d` is the ISO week and never depends on the first
file."""

_LONGEST_DAY = timedelta(hours=25)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Unit = Literal["day", "month"]

_MOST_DAYS = 730
"""Of a window: two years. A thousand of them still lie within the calendar."""
_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(s|min|m|h|d|w)\s*$")
_SECONDS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@dataclass(frozen=True, order=True)
class Window:
    """A half-open stretch of time [start, end), both time-zone aware and kept in UTC; ordered by start."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            msg = f"window {self.start} to {self.end} has no time zone: pass aware datetimes (UTC)"
            raise ValueError(msg)
        object.__setattr__(self, "start", self.start.astimezone(UTC))
        object.__setattr__(self, "end", self.end.astimezone(UTC))
        if self.end <= self.start:
            msg = f"window ends ({self.end}) at or before its start ({self.start}): swap or widen them"
            raise ValueError(msg)

    def days(self, tz: str) -> tuple[date, ...]:
        """The calendar days in time zone `tz` that the window touches, in order."""
        first = self.start.astimezone(ZoneInfo(tz)).date()
        last = (self.end - timedelta(microseconds=1)).astimezone(ZoneInfo(tz)).date()
        return tuple(first + timedelta(days=i) for i in range((last - first).days + 1))

    def label(self, tz: str) -> str:
        """The window's name: `2013-05` for a month, `2013-05-06` for a day, `2013-05-06..2013-05-12` for others.

        Of a part of a day it is `2013-05-06T06..12`, the hours at which it begins and ends; of 24 hours that slide
        `2013-05-06T06..2013-05-07T06`.
        """
        days = self.days(tz)
        first, last = days[0], days[-1]
        if first != last and self.end - self.start <= _LONGEST_DAY and self.start != midnight(first, tz):
            begins, ends = (moment.astimezone(ZoneInfo(tz)) for moment in (self.start, self.end))
            return f"{begins:%Y-%m-%dT%H}..{ends:%Y-%m-%dT%H}"
        if first == last and (self.start, self.end) != (midnight(first, tz), midnight(first + timedelta(days=1), tz)):
            begins, ends = (moment.astimezone(ZoneInfo(tz)) for moment in (self.start, self.end))
            return f"{first}T{begins:%H}..{ends.hour or 24:02}"
        if first.day == 1 and last == _next_month(first) - timedelta(days=1):
            return f"{first:%Y-%m}"
        return first.isoformat() if first == last else f"{first.isoformat()}..{last.isoformat()}"

    def contains(self, times: Any) -> NDArray[np.bool_]:
        """Which of `times` (aware, or naive meaning UTC; shape (n,)) lie in [start, end). NaT does not."""
        import pandas as pd

        stamps = utc_index(times)
        inside = (stamps >= pd.Timestamp(self.start)) & (stamps < pd.Timestamp(self.end))
        return np.asarray(inside, dtype=np.bool_)


@dataclass(frozen=True)
class Every:
    """A rhythm: `n` days counted from `anchor`, or `n` months counted from January of year 1."""

    unit: Unit
    n: int
    text: str
    anchor: date = ANCHOR

    @property
    def approximately(self) -> timedelta:
        """The length of one window; a month counts 30 days. For thresholds, never for cutting."""
        return timedelta(days=self.n if self.unit == "day" else 30 * self.n)


@dataclass(frozen=True)
class Maturity:
    """How much of a window's labels is known.

    `expected` counts every row of the window, also those that will never get a label (a cancelled flight);
    `share` is known / expected, NaN for a window without rows; `reason` is a sentence.
    """

    window: Window
    expected: int
    known: int
    share: float
    mature: bool
    reason: str


def parse_duration(text: str | timedelta) -> timedelta:
    """`30m` (or `30min`), `36h`, `7d`, `2w` as a timedelta.

    Raises:
        ValueError: anything else.
    """
    if isinstance(text, timedelta):
        return text
    match = _DURATION.match(str(text))
    if not match:
        msg = f"{text!r} is not a duration: write a number and one of s, m, h, d, w, for example 7d"
        raise ValueError(msg)
    try:
        return timedelta(seconds=float(match.group(1)) * _SECONDS[match.group(2)])
    except OverflowError as error:
        raise ValueError(
            f"{text!r} is longer than any calendar: write less than {timedelta.max.days:,} days"
        ) from error


def format_duration(length: timedelta) -> str:
    """The shortest text that `parse_duration` reads back as `length`: 7d, 36h, 90s."""
    seconds = length.total_seconds()
    unit = next((u for u in ("d", "h", "m") if seconds % _SECONDS[u] == 0), "s")
    return f"{seconds / _SECONDS[unit]:g}{unit}"


def parse_every(text: str, *, anchor: date = ANCHOR) -> Every:
    """A rhythm as written in YAML: `day`, `week`, `month`, `7d`, `28d`, `2w`.

    Args:
        text: the rhythm.
        anchor: the day from which windows of several days are counted; a Monday by default.

    Raises:
        ValueError: anything else, also zero.
    """
    names: dict[str, tuple[Unit, int]] = {"day": ("day", 1), "week": ("day", 7), "month": ("month", 1)}
    cleaned = str(text).strip().lower()
    if cleaned in names:
        unit, n = names[cleaned]
        return Every(unit, n, cleaned, anchor)
    match = re.fullmatch(r"(\d+)\s*([dw])", cleaned)
    days = int(match.group(1)) * (7 if match.group(2) == "w" else 1) if match else 0
    if not 1 <= days <= _MOST_DAYS:
        most = f"at most {_MOST_DAYS}d"
        raise ValueError(f"{text!r} is not a length: write day, week, month, or days or weeks such as 7d or 2w, {most}")
    return Every("day", days, cleaned, anchor)


def window_at(moment: datetime, every: Every | str, tz: str) -> Window:
    """The window of the calendar that `moment` (aware) falls into."""
    rhythm = parse_every(every) if isinstance(every, str) else every
    day = _floor(_aware(moment).astimezone(ZoneInfo(tz)).date(), rhythm)
    return _between(day, _step(day, rhythm), tz)


def closed_windows(first: datetime | date, now: datetime, every: Every | str, tz: str) -> list[Window]:
    """All whole windows since `first` that have ended by `now`, oldest first.

    Windows are cut at midnights of time zone `tz`, so a day on which the clocks change has 23 or 25 hours and
    no row falls between two windows. A window that begins before the local day of `first` is partial and left
    out.

    Args:
        first: the time (aware) or local day of the earliest data.
        now: the clock, aware. A window that ends exactly now has closed.
        every: the rhythm, or its text.
        tz: IANA time zone, for example `America/New_York`.

    Returns:
        Adjacent windows; an empty list if none has closed yet.
    """
    rhythm = parse_every(every) if isinstance(every, str) else every
    local = _aware(first).astimezone(ZoneInfo(tz)).date() if isinstance(first, datetime) else first
    day = _floor(local, rhythm)
    if day < local:
        day = _step(day, rhythm)
    windows: list[Window] = []
    while midnight(following := _step(day, rhythm), tz) <= _aware(now):
        windows.append(_between(day, following, tz))
        day = following
    return windows


def maturity(
    window: Window,
    event_times: Any,
    label_available_at: Any,
    *,
    now: datetime,
    share: float = 0.95,
    max_delay: timedelta | None = None,
) -> Maturity:
    """Whether enough of a window's labels are known to judge on it.

    Mature when the window has closed and either `share` of the expected labels is known at `now`, or
    `max_delay` has passed since its end (after that, a missing label never comes). A row that never gets a
    label stays expected.

    Args:
        window: the window.
        event_times: shape (n,), prediction times; rows outside the window are not counted.
        label_available_at: shape (n,), when each label became known; NaT while unknown, or for ever.
        now: the clock, aware.
        share: the share of expected labels that is enough, 0.95 by default.
        max_delay: the longest a label can take; None if there is no such bound.

    Returns:
        Counts, verdict and a sentence. A window without rows is never mature.
    """
    import pandas as pd

    inside = window.contains(event_times)
    known_at = utc_index(label_available_at)
    if len(known_at) != len(inside):
        msg = f"{len(inside)} event times and {len(known_at)} label times: pass one of each per row"
        raise ValueError(msg)
    expected = int(inside.sum())
    known = int(np.asarray(known_at[inside] <= pd.Timestamp(_aware(now))).sum())
    known_share = known / expected if expected else float("nan")
    mature, reason = _ripe(window, (expected, known), _aware(now), share, max_delay)
    return Maturity(window, expected, known, known_share, mature, reason)


def _ripe(
    window: Window, counts: tuple[int, int], now: datetime, share: float, max_delay: timedelta | None
) -> tuple[bool, str]:
    expected, known = counts
    if now < window.end:
        return False, f"the window is open until {window.end:%Y-%m-%d %H:%M} UTC"
    if expected == 0:
        return False, "the window has no rows, so there is no label to wait for"
    progress = f"{known:,} of {expected:,} expected labels are known ({known / expected:.1%})"
    if known >= share * expected:
        return True, f"{progress}; {share:.0%} is enough"
    if max_delay is not None and now >= window.end + max_delay:
        return True, f"{progress}, and the longest label delay of {format_duration(max_delay)} has passed"
    until = "" if max_delay is None else f", or {window.end + max_delay:%Y-%m-%d %H:%M} UTC"
    return False, f"{progress}; it waits for {share:.0%}{until}"


def local_days(times: Any, tz: str) -> NDArray[np.datetime64]:
    """The calendar day in `tz` of each time, as datetime64[D] of shape (n,): the blocks of the gate."""
    local = utc_index(times).tz_convert(tz).tz_localize(None)
    return np.asarray(local.to_numpy(), dtype="datetime64[D]")


def local_stretches(times: Any, tz: str) -> NDArray[np.datetime64]:
    """The quarter of the local day in `tz` that each time lies in, as datetime64[6h] of shape (n,).

    Where clocks change, one is an hour longer or shorter.
    """
    local = utc_index(times).tz_convert(tz).tz_localize(None)
    return np.asarray(local.to_numpy(), dtype="datetime64[6h]")


def utc_index(times: Any) -> pd.DatetimeIndex:
    """Any times (aware, or naive meaning UTC) as a UTC DatetimeIndex."""
    import pandas as pd

    # to_datetime looks for repetitions first, which costs more than all the rest where nothing is to be parsed.
    parsed = times if pd.api.types.is_datetime64_any_dtype(times) else pd.to_datetime(times, utc=True)
    index = pd.DatetimeIndex(parsed)
    return index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")


def midnight(day: date, tz: str) -> datetime:
    """The first moment of `day` in `tz`, in UTC."""
    return datetime.combine(day, time(), tzinfo=ZoneInfo(tz)).astimezone(UTC)


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970 of an aware moment, as `DatetimeIndex.as_unit("us").asi8` counts them."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def _between(first: date, following: date, tz: str) -> Window:
    return Window(midnight(first, tz), midnight(following, tz))


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        msg = f"{moment} has no time zone: pass an aware datetime (UTC)"
        raise ValueError(msg)
    return moment


def _next_month(day: date, months: int = 1) -> date:
    total = day.year * 12 + day.month - 1 + months
    return date(total // 12, total % 12 + 1, 1)


def _floor(day: date, every: Every) -> date:
    if every.unit == "day":
        return day - timedelta(days=(day - every.anchor).days % every.n)
    back = (day.year * 12 + day.month - 1) % every.n
    return _next_month(day.replace(day=1), -back)


def _step(day: date, every: Every) -> date:
    return day + timedelta(days=every.n) if every.unit == "day" else _next_month(day, every.n)
