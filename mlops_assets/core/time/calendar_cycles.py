"""Columns that are a function of the time of their row: which cycle of the calendar each goes by.

Here: the cycles, what is said of a window that is shorter, and how a weekly one is known from rows. Not here: what
drift reports leave out for it (`core.drift.policy`, `steps.watch.calendar_features`).

A window of a day holds one weekday and a week one part of the year: against a reference that holds all of them such a
column differs in every window, and nothing has happened. The hour of the day needs no such rule: windows are whole
days, or are compared with the same hours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mlops_assets.core.time.windows import Window, local_days, utc_index

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

Cycle = Literal["week", "year"]
CYCLES: Mapping[Cycle, timedelta] = {"week": timedelta(days=7), "year": timedelta(days=365)}
"""How long a window must be to hold all of it."""
_BY_CALENDAR = "it goes by the calendar"
"""How the reason of a feature begins that is left out for it."""
_TOO_SHORT = f"{_BY_CALENDAR}, and the window holds only a part of the "
_NO_NEWS = " It differs from the reference in every such window, so nothing has to be done."
_COVERED = 0.9
"""Share of the rows that lie in parts of the week which the reference has on two days or more: parts that were there
once say nothing about what returns."""


def part_of_cycle(cycle: Cycle, window: Window, *, lacks_weekdays: bool = False) -> str:
    """Why a column of this cycle is not compared in a window; empty where the window holds the whole cycle.

    Args:
        cycle: of the column.
        window: its length counts.
        lacks_weekdays: whether its rows do not fill it (`lacks_weekdays`).
    """
    # On days on which clocks change a week is an hour shorter.
    if window.end - window.start < CYCLES[cycle] - timedelta(hours=1):
        return f"{_TOO_SHORT}{cycle}.{_NO_NEWS}"
    if cycle == "week" and lacks_weekdays:
        return f"{_BY_CALENDAR}, and the window has no rows of some weekdays.{_NO_NEWS}"
    return ""


def is_never_compared(why: str) -> bool:
    """Whether a column of which `part_of_cycle` has said this is left out of every window as long."""
    return why.startswith(_TOO_SHORT)


def lacks_weekdays(reference: Any, window: Any, *, tz: str) -> bool:
    """Whether a window has no row of a weekday that the reference has on two days or more.

    The first window of a champion begins where its predictions do, in the middle of a week, say.

    Args:
        reference: the time of each of its rows.
        window: the same.
        tz: whose weekdays.
    """
    weekdays, _ = _weeks(reference, tz)
    returns = weekdays[_on_two_days(weekdays, local_days(reference, tz))]
    return not set(returns.tolist()) <= set(next(_weeks(window, tz)).tolist())


def why_silent(why: str) -> str:
    """Why a trigger cannot fire that watches such columns alone, with the remedy: of drift there is no news in them.

    Args:
        why: what `part_of_cycle` has said of columns that are never compared.
    """
    remedy = "Let the trigger watch other features, or set a monitoring.window that holds the whole cycle."
    return f"{why.removesuffix(_NO_NEWS)} {remedy}"


def weekly(reference: pd.DataFrame, window: pd.DataFrame, names: Sequence[str], *, time: str, tz: str) -> set[str]:
    """The columns that weekday, or weekday and hour, determine: in the reference, and alike in the window.

    One that the hour alone determines is not among them. Neither is one whose values in the window are others than the
    reference has in the same part of the week: that is news.

    Args:
        reference: rows over two weeks or more.
        window: rows of the window.
        names: columns that both have.
        time: the column with the time of each row.
        tz: whose week is asked, beside that of UTC.
    """
    if reference.empty or window.empty:
        return set()
    determined: set[str] = set()
    for zone in dict.fromkeys((tz, "UTC")):
        days = local_days(reference[time], zone)
        hours = _hours(reference[time], zone)
        for then, now in zip(_weeks(reference[time], zone), _weeks(window[time], zone), strict=True):
            returns = _on_two_days(then, days)
            known = np.isin(now, then[returns])
            if min(returns.mean(), known.mean()) < _COVERED:
                continue
            parts, by_hour = np.concatenate([then[returns], now[known]]), hours[returns]
            for name in names:
                if name in determined:
                    continue
                before, after = _codes(reference[name][returns], window[name][known])
                if not _is_determined(by_hour, before) and _is_determined(parts, np.concatenate([before, after])):
                    determined.add(name)
    return determined


def _weeks(times: Any, zone: str) -> Iterator[NDArray[np.int64]]:
    """The part of the week that each time lies in: its weekday, and its hour of the week."""
    weekday = utc_index(times).tz_convert(zone).dayofweek.to_numpy().astype(np.int64)
    yield weekday
    yield weekday * 24 + _hours(times, zone)


def _hours(times: Any, zone: str) -> NDArray[np.int64]:
    return utc_index(times).tz_convert(zone).hour.to_numpy().astype(np.int64)


def _on_two_days(parts: NDArray[np.int64], days: NDArray[np.datetime64]) -> NDArray[np.bool_]:
    """Which rows lie in a part that there is on two days or more."""
    ordinal = days.astype(np.int64)
    first, last = (_by_part(parts, ordinal, which) for which in (np.minimum, np.maximum))
    return np.asarray(first < last, dtype=np.bool_)


def _codes(reference: pd.Series, window: pd.Series) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The values of both as numbers, equal where the values are; missing ones are one value."""
    import pandas as pd

    both = pd.concat([reference, window], ignore_index=True)
    if pd.api.types.is_numeric_dtype(both) and not pd.api.types.is_bool_dtype(both):
        # Either side may have been kept with half the digits.
        both = both.astype("float64").astype("float32")
    codes = pd.factorize(both, use_na_sentinel=True)[0].astype(np.int64)
    return codes[: len(reference)], codes[len(reference) :]


def _is_determined(parts: NDArray[np.int64], codes: NDArray[np.int64]) -> bool:
    """Whether each part has one value."""
    return bool(np.all(_by_part(parts, codes, np.minimum) == _by_part(parts, codes, np.maximum)))


def _by_part(parts: NDArray[np.int64], values: NDArray[np.int64], which: np.ufunc) -> NDArray[np.int64]:
    """Of each row the smallest, or the largest, value of its part."""
    start = np.iinfo(np.int64).max if which is np.minimum else np.iinfo(np.int64).min
    out = np.full(24 * 7, start, dtype=np.int64)
    which.at(out, parts, values)
    return np.asarray(out[parts], dtype=np.int64)
