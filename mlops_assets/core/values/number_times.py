"""Times that stand as numbers: counted since 1970 or 1900, or the digits of a date without anything between them.

Here: reading them in a stated unit, and which units numbers may have. Not here: texts (`text_times`), which of the
units that are left a column has (`onboarding.times`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from mlops_assets.core.values.text_formats import TimeFormat

_PER_UNIT: dict[TimeFormat, tuple[int, int]] = {"s": (1_000_000, 1), "ms": (1_000, 1), "us": (1, 1), "ns": (1, 1_000)}
"""A unit in microseconds, as a fraction."""
_EXCEL_DAY_0 = datetime(1899, 12, 30)
_EXCEL_LAST = 2_958_466  # the end of 9999
COUNTED: dict[TimeFormat, tuple[float, float]] = {
    "excel": (25_569, 73_415),  # 1970 to 2100
    "s": (5e8, 5e9),
    "ms": (5e11, 5e12),
    "us": (5e14, 5e15),
    "ns": (5e17, 5e18),
}
"""Where the numbers of each unit lie: for those since 1970 it is 1985 to 2128."""
DIGITS: dict[TimeFormat, str] = {
    "yyyy": "%Y",
    "yyyymm": "%Y%m",
    "yyyymmdd": "%Y%m%d",
    "yyyymmddhh": "%Y%m%d%H",
    "yyyymmddhhmm": "%Y%m%d%H%M",
    "yyyymmddhhmmss": "%Y%m%d%H%M%S",
    "yymmddhhmm": "%Y%m%d%H%M",
}
"""Dates as digits, in the words of `strptime`; a year of two digits is made one of four (`_whole_year`)."""
YEARS = (1900, 2100)
_SPAN = timedelta(days=1)
"""So far after now a row may be: clocks differ, and zones."""


def is_moment(unit: TimeFormat) -> bool:
    """Whether a number in this unit is a moment, whatever the zone."""
    return unit in _PER_UNIT


def units_of(low: float, high: float, now: datetime | None = None) -> tuple[TimeFormat, ...]:
    """The units in which numbers from `low` to `high` may all be times of our days; of digits only the ends are read.

    Args:
        low: the smallest.
        high: the largest.
        now: what counts since 1970 and lies more than a day after it is no time of an event; None: any may be.
    """
    counted = [unit for unit in COUNTED if (ends := bounds(unit, now))[0] <= low <= high <= ends[1]]
    if not all(float(end).is_integer() and 0 < end < 1e14 for end in (low, high)):
        return tuple(counted)
    read = {unit: [_packed(str(int(end)), unit) for end in (low, high)] for unit in DIGITS}
    return (
        *(unit for unit, ends in read.items() if all(at and YEARS[0] <= at.year <= YEARS[1] for at in ends)),
        *counted,
    )


def bounds(unit: TimeFormat, now: datetime | None = None) -> tuple[float, float]:
    """The numbers of a unit that counts, from the least to the most that can be a time of an event; see `units_of`."""
    least, most = COUNTED[unit]
    if now is None or unit not in _PER_UNIT:
        return least, most
    times, per = _PER_UNIT[unit]
    return least, min(most, (now + _SPAN).timestamp() * 1_000_000 * per / times)


def read_numbers(raw: pd.Series, written: TimeFormat) -> pd.Series:
    """A column of numbers (or their digits) in a stated unit, as naive microseconds; what cannot be read is NaT."""
    if raw.dtype == object or pd.api.types.is_string_dtype(raw.dtype):
        text = raw.astype("string").str.strip()
        raw = pd.to_numeric(text, errors="coerce", dtype_backend="numpy_nullable")
    out = pd.Series(np.datetime64("NaT", "us"), index=raw.index, dtype="datetime64[us]")

    def holds(condition: pd.Series) -> np.ndarray:
        return condition.fillna(False).to_numpy(dtype=np.bool_, copy=True)

    if written in _PER_UNIT:
        # Seconds among milliseconds would be days of 1970: another unit's numbers are refused.
        fits = holds(raw.abs() <= COUNTED[written][1])
        for low, high in (range_ for unit, range_ in COUNTED.items() if unit in _PER_UNIT and unit != written):
            fits &= ~holds(raw.between(low, high))
        values, (times, per) = raw[fits], _PER_UNIT[written]
        whole = pd.api.types.is_integer_dtype(values.dtype)
        exact = values.astype("int64") * times // per if whole else (values.astype("float64") * times / per).round()
        out[fits] = exact.astype("int64").to_numpy().astype("datetime64[us]")
        return out
    if written == "excel":
        fits = holds(raw.between(1, _EXCEL_LAST))
        # To a millisecond: a fraction of a day as a float is no finer.
        milliseconds = (raw[fits].astype("float64") * 86_400_000).round().astype("int64").to_numpy()
        out[fits] = np.datetime64(_EXCEL_DAY_0, "us") + milliseconds.astype("timedelta64[ms]")
        return out
    fits = holds(raw.between(1, 99_991_231_235_959) & (raw % 1 == 0))
    codes, digits = pd.factorize(raw[fits].astype("int64").to_numpy())
    at = np.array([_packed(str(number), written) for number in digits], dtype="datetime64[us]")
    out[fits] = at[codes]
    return out


def _packed(digits: str, unit: TimeFormat) -> datetime | None:
    """The digits of a date as that date."""
    digits = _whole_year(digits) if unit == "yymmddhhmm" else digits
    if len(digits) != len(unit) + 2 * (unit == "yymmddhhmm"):
        return None
    parts = [int(digits[:4]), *(int(digits[place : place + 2]) for place in range(4, len(digits), 2))]
    try:
        return datetime(*([*parts, 1, 1][: max(3, len(parts))]))  # type: ignore[arg-type]  # years, months, ... in order
    except ValueError:
        return None


def _whole_year(digits: str) -> str:
    """Digits whose year has two, with four: 69 to 99 are of the last century, as POSIX has it."""
    digits = digits.zfill(10)
    return ("19" if digits[:2] >= "69" else "20") + digits
