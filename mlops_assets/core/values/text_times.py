"""Times as people and programs write them: the one reader of all ways in.

Here: texts as moments, in which order day and month stand. Not here: numbers as times and their units (`number_times`),
numbers and missing values (`text_numbers`), whose columns they are, the clocks of a zone (`core.time.local_times`).

A text with an offset (`Z`, `UTC`, `+00`, `+0000`, `+00:00`) is that moment, whatever its neighbours have and whatever
name stands behind it (`+0000 UTC`, as Go writes it); without one it is local time of the zone given. The year stands
first, or the month is a word; `04/05/2024` is read only where the order is stated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from mlops_assets.core.time.local_times import moment_in, moments_in
from mlops_assets.core.values.number_times import is_moment, read_numbers, units_of
from mlops_assets.core.values.text_formats import DATE_ORDERS, TIMES_IN_WORDS, DateOrder, TimeFormat

_ISO = re.compile(
    r"\d{4}-(?:\d\d-\d\d|W\d\d-\d)(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d(?::?[0-5]\d)?)?)?", re.ASCII
)
"""What Python reads as it is meant. It also takes 12.30 for twelve hours and 0.3 seconds, and 12:30.15 alike."""
_TEXT = re.compile(
    r"""(?:(?:MON|TUE|WED|THU|FRI|SAT|SUN)[A-Z]*,?\s+)?
    (?: (?P<year>\d{4}) (?P<sep>[-/.]?) (?P<month>\d\d?) (?P=sep) (?P<day>\d\d?)
      | (?P<only_year>\d{4}) - (?P<only_month>\d\d)
      | (?P<first>\d\d?) (?P<sep2>[-/.]) (?P<second>\d\d?) (?P=sep2) (?P<last_year>\d{4})
      | (?: (?P<word_day>\d\d?) [\s-] )? (?P<word>[A-Z]{3,9})\.?,? [\s-] (?P<word_year>\d{4})
      | (?P<us_word>[A-Z]{3,9})\.?\s (?P<us_day>\d\d?) ,?\s (?P<us_year>\d{4})
    )
    (?: (?: T | ,?\s+ ) (?P<hour>\d\d?)
        (?: (?P<gap>[:.]?) (?P<minute>\d\d)
            (?: (?P=gap) (?P<second_of>\d\d) (?: (?: [.,] | :(?=\d{3}\b) ) (?P<part>\d{1,9}) )? )? )?
        (?: \s? (?P<half>[AP])\.?M\.? )? )?
    (?: \s? (?P<offset> Z | UTC | GMT | [+-]\d\d (?: :?[0-5]\d (?: :?[0-5]\d )? )? )
        (?: \[ [\w/+-]+ \] | (?<=\d)\s[A-Z]{3,5} )? )?""",
    re.VERBOSE | re.ASCII,
)
_OF_A_DAY = re.compile(r"Z|UTC|GMT|[+-]\d\d:\d\d")
"""The offset of a day alone, as XML has it: 2024-01-31Z, 2024-01-31+01:00."""
_OPEN_CLOCK = re.compile(r"\d[T\s]\s*(\d\d?(?:[:.]?\d\d)?[.,]\d+|\d\d?[:.]\d{4}|\d{3,4}[:.]\d\d)$", re.ASCII)
"""A clock whose last digits may be minutes, seconds or parts of them."""
_NAMES = (
    *("JANUARY", "FEBRUARY", "MARCH", "APRIL", "MAY", "JUNE"),
    *("JULY", "AUGUST", "SEPTEMBER", "OCTOBER", "NOVEMBER", "DECEMBER"),
)
_MONTHS = {name[:length]: number for number, name in enumerate(_NAMES, 1) for length in (3, 4, len(name))}


# --- one value ---------------------------------------------------------------------------------------------


def read_text(text: str, order: DateOrder | None = None) -> datetime | None:
    """The time that a text tells: aware where it has an offset, else naive; None where it tells none.

    Args:
        text: ISO 8601, or a date whose year stands first or whose month is a word; with `order` also 31/01/2024.
        order: whether the day or the month stands first where the year stands last.
    """
    text = text.strip()
    if _ISO.fullmatch(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            return None
    match = _TEXT.fullmatch(text.upper())
    if match is None:
        return None
    part = match.groupdict()
    if part["sep"] == "" and len(part["month"]) + len(part["day"]) < 4:
        return None  # 202401 and the like: a number, not a date
    if part["hour"] is None and (offset := part["offset"]) and (part["only_year"] or not _OF_A_DAY.fullmatch(offset)):
        return None  # 2024-01-0500, in which more digits may be missing than a sign is there
    date = _date(part, order)
    if date is None:
        return None
    hour, half = int(part["hour"] or 0), part["half"]
    if half is not None and not 1 <= hour <= 12:
        return None
    if half is not None:
        hour = hour % 12 + (12 if half == "P" else 0)
    offset = (part["offset"] or "").replace("UTC", "Z").replace("GMT", "Z")
    clock = f"{hour:02}:{part['minute'] or '00'}:{part['second_of'] or '00'}.{(part['part'] or '0')[:6]:0<6}"
    try:
        return datetime.fromisoformat("{:04}-{:02}-{:02}T".format(*date) + clock + offset)
    except ValueError:
        return None


def _date(part: dict[str, str | None], order: DateOrder | None) -> tuple[int, int, int] | None:
    """Year, month and day of a text that has the form of a date."""

    def number(name: str) -> int:
        return int(part[name] or 1)

    if part["year"]:
        return number("year"), number("month"), number("day")
    if part["only_year"]:
        return number("only_year"), number("only_month"), 1
    if part["last_year"]:
        if order is None:
            return None
        day, month = ("first", "second") if order == "dmy" else ("second", "first")
        return number("last_year"), number(month), number(day)
    word = part["word"] or part["us_word"] or ""
    if word not in _MONTHS:
        return None
    year, day = ("us_year", "us_day") if part["us_word"] else ("word_year", "word_day")
    return number(year), _MONTHS[word], number(day)


def moment_of(value: str | datetime, zone: str, order: DateOrder | None = None) -> datetime | None:
    """A text, or a time that may lack its offset, as a moment in UTC; None where it tells no time."""
    time = read_text(value, order) if isinstance(value, str) else value
    return None if time is None else moment_in(time, ZoneInfo(zone))


# --- columns -----------------------------------------------------------------------------------------------


def read_times(raw: pd.Series, zone: str, written: TimeFormat | None = None) -> pd.Series:
    """A column as moments, UTC microseconds; what cannot be read is NaT.

    Args:
        raw: texts, times, or numbers.
        zone: of times without an offset.
        written: how it is written, where it is not ISO 8601; numbers are times only with it, since nobody else knows
            their unit.
    """
    if isinstance(raw.dtype, pd.DatetimeTZDtype):
        return raw.dt.tz_convert("UTC").dt.as_unit("us")
    if pd.api.types.is_datetime64_dtype(raw.dtype):
        return moments_in(raw.dt.as_unit("us"), zone)
    if written is not None and written not in DATE_ORDERS:
        naive = read_numbers(raw, written)
        return naive.dt.tz_localize("UTC") if is_moment(written) else moments_in(naive, zone)
    if pd.api.types.is_numeric_dtype(raw.dtype) and not raw.isna().all():
        return _missing(raw.index)
    # The same moment stands in many rows: each text is read once.
    codes, texts = pd.factorize(raw.astype("string"))
    at, aware = _read(texts, written)
    moments = pd.Series(at).dt.tz_localize("UTC")
    if not aware.all():
        moments = moments.where(aware, moments_in(pd.Series(at), zone))
    return pd.Series(moments.array.take(codes, allow_fill=True), index=raw.index)


def _read(texts: Any, order: Any) -> tuple[NDArray[np.datetime64], NDArray[np.bool_]]:
    """Each text as a time, one with an offset in UTC; and which have one."""
    if (uniform := _uniform(texts)) is not None:
        at, is_aware = uniform
        return at, np.full(len(at), is_aware)
    read = [read_text(text, order) for text in texts]
    aware = np.fromiter((time is not None and time.tzinfo is not None for time in read), np.bool_, len(read))
    return np.array([None if time is None else _plain(time) for time in read], dtype="datetime64[us]"), aware


def _uniform(texts: Any) -> tuple[NDArray[np.datetime64], bool] | None:
    """Texts that all are ISO 8601, all with an offset or all without, by Arrow: a twentieth of the time."""
    array = pa.array(texts, pa.string())
    for zone in (None, "UTC"):
        try:
            at = array.cast(pa.timestamp("us", tz=zone)).to_numpy()
        except pa.ArrowInvalid:
            continue
        if not len(at) or at.min() >= np.datetime64(datetime.min, "us"):
            return at, zone is not None
    return None


def _plain(time: datetime) -> datetime:
    """A time without its offset: an aware one as UTC has it."""
    return time if time.tzinfo is None else moment_in(time, UTC).replace(tzinfo=None)


def _missing(index: pd.Index) -> pd.Series:
    return pd.Series(np.datetime64("NaT", "us"), index=index, dtype="datetime64[us]").dt.tz_localize("UTC")


# --- how a column is written -------------------------------------------------------------------------------


@dataclass(frozen=True)
class TimeTexts:
    """What the texts of a column say about how its times are written, each as an example; None: there is none.

    Attributes:
        count: texts looked at.
        unread: texts that tell no time, whatever the order; the first few.
        failed: how many there are.
        day_first: one that can only have the day first.
        month_first: one that can only have the month first.
        either: one that can have both.
        dotted: whether all of these three are written with dots, as 04.05.2024: there the day stands first.
        aware: one with an offset.
        naive: one without.
        has_clock: whether one tells more than a day.
    """

    count: int = 0
    unread: tuple[str, ...] = ()
    failed: int = 0
    day_first: str | None = None
    month_first: str | None = None
    either: str | None = None
    dotted: bool = True
    aware: str | None = None
    naive: str | None = None
    has_clock: bool = False

    def __add__(self, other: TimeTexts) -> TimeTexts:
        """Both together."""
        return TimeTexts(
            self.count + other.count,
            (*self.unread, *other.unread)[:3],
            self.failed + other.failed,
            self.day_first or other.day_first,
            self.month_first or other.month_first,
            self.either or other.either,
            self.dotted and other.dotted,
            self.aware or other.aware,
            self.naive or other.naive,
            self.has_clock or other.has_clock,
        )

    @property
    def order(self) -> DateOrder | None:
        """The order that the texts themselves prove; None where they prove none or need none."""
        if self.day_first or self.month_first:
            return None if self.day_first and self.month_first else "dmy" if self.day_first else "mdy"
        return "dmy" if self.either and self.dotted else None

    @property
    def needs_order(self) -> bool:
        """Whether some texts cannot be read without knowing which stands first."""
        return bool(self.day_first or self.month_first or self.either)


def look_at(texts: Iterable[str]) -> TimeTexts:
    """What texts say about how times are written."""
    texts = list(texts)
    if texts and (uniform := _uniform(texts)) is not None:
        sample, has_clock = texts[0], max(map(len, texts)) > len("2024-01-31")
        return TimeTexts(
            len(texts), aware=sample if uniform[1] else None, naive=None if uniform[1] else sample, has_clock=has_clock
        )
    count, aware, naive, has_clock, others = 0, None, None, False, []
    for count, text in enumerate(texts, 1):  # noqa: B007 - the last number is how many there are
        read = read_text(text)
        if read is None:
            others.append(text)
            continue
        aware, naive = (aware or text, naive) if read.tzinfo else (aware, naive or text)
        has_clock = has_clock or _has_clock(read, text)
    readable = TimeTexts(count - len(others), aware=aware, naive=naive, has_clock=has_clock)
    return sum(map(_look_at_other, others), readable)


def _look_at_other(text: str) -> TimeTexts:
    """What a text says that is no time without a stated order."""
    by_day, by_month = (read_text(text, order) for order in DATE_ORDERS)
    read = by_day or by_month
    if read is None:
        return TimeTexts(1, (text,), 1)
    both = by_day is not None and by_month is not None and by_day != by_month
    return TimeTexts(
        1,
        day_first=text if by_day and not by_month else None,
        month_first=text if by_month and not by_day else None,
        either=text if both or by_day == by_month else None,
        dotted="." in text[:6],
        aware=text if read.tzinfo else None,
        naive=None if read.tzinfo else text,
        has_clock=_has_clock(read, text),
    )


def _has_clock(read: datetime, text: str) -> bool:
    return ":" in text or (read.hour, read.minute, read.second) != (0, 0, 0)


def hint(value: Any) -> str:
    """Why a value is not read as a time, as far as it can be told, and what to write; else empty."""
    text = str(value).strip()
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if units := units_of(number, number):
        read = {unit: read_numbers(pd.Series([number]), unit).iloc[0] for unit in units}
        return " or ".join(
            f"{text} may be {TIMES_IN_WORDS[unit]}, {at:%Y-%m-%d}: then set `format: {unit}`"
            for unit, at in read.items()
        )
    if number == number or read_text(text) is not None:
        return ""
    if read_text(text, "dmy") and read_text(text, "mdy"):
        return f"{text} has the day or the month first: set `format: dmy` or `format: mdy`"
    orders = [order for order in DATE_ORDERS if read_text(text, order)]
    if orders:
        return f"{text} is written with the {'day' if orders[0] == 'dmy' else 'month'} first: set `format: {orders[0]}`"
    if clock := _OPEN_CLOCK.search(text):
        return f"nobody can tell whether {clock[1]} ends in minutes, seconds or parts of them: write it as 12:30:15"
    if re.match(r"\d\d?[./-]\d\d?[./-]\d\d(\D|$)", text):
        return f"{text} has a year of two digits: write four"
    half = re.search(r"\b(\d\d?)(?:[:.]\d\d){0,2}\s?([AP])\.?M\b", text.upper())
    if half and not 1 <= int(half[1]) <= 12:
        return f"{half[1]} is no hour beside {half[2]}M, which go from 1 to 12: leave {half[2]}M out"
    if (zone := re.search(r"\d\s?([A-Z]{2,5})$", text)) and read_text(text[: zone.start(1)]) is not None:
        return f"{zone[1]} is a name that several time zones have: write the offset, such as -05:00"
    return ""
