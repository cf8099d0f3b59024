"""The clocks of a zone: its local times as moments, and moments as its clocks show them.

Here: columns and single times, by one rule. Not here: reading texts (`core.values.text_times`), windows and their days
(`windows`).

An hour that the clocks have twice is the second one, and one that they skip is counted on from before: so read
PostgreSQL and DuckDB, and so one rule holds in files and in SQL.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

_FIRST, _LAST = pd.Timestamp("1973-01-01").as_unit("us"), pd.Timestamp("2037-12-30").as_unit("us")
"""From when to when pandas has the clocks of a zone, by pytz: after 2037 pytz (and Arrow) have winter all year, and
before 1973 some zones were off by seconds, which pytz rounds to minutes. Beyond, `zoneinfo` is asked, which has the
rules, value by value: 80 times slower by the value."""


def moment_in(time: datetime, zone: tzinfo) -> datetime:
    """A time as a moment in UTC, naive ones in this zone; what lies beyond the calendar's ends is brought to them."""
    if time.tzinfo is None:
        time = time.replace(tzinfo=zone)
        # Of two equal hours the second; in the hour that is skipped fold=0 has the offset from before.
        later = time.replace(fold=1)
        if (later.utcoffset() or timedelta()) < (time.utcoffset() or timedelta()):
            time = later
    return _brought_to_ends(time, UTC)


def moments_in(naive: pd.Series, zone: str) -> pd.Series:
    """A column of local times as moments, UTC microseconds, by the same rule.

    Args:
        naive: times without an offset.
        zone: in which they are meant.
    """
    naive = naive.dt.as_unit("us").clip(*(pd.Timestamp(end).as_unit("us") for end in (datetime.min, datetime.max)))
    second = np.zeros(len(naive), dtype=np.bool_)
    known = naive.where(naive.between(_FIRST, _LAST))
    local = known.dt.tz_localize(zone, ambiguous=second, nonexistent="NaT").dt.tz_convert("UTC").dt.tz_localize(None)
    rules = ZoneInfo(zone)
    return _completed(local, naive, lambda at: moment_in(at, rules)).dt.tz_localize("UTC")


def local_times(moments: pd.Series, zone: str) -> pd.Series:
    """A column of moments as the clocks of a zone show them, without an offset.

    Args:
        moments: in UTC; beyond the calendar's ends they are brought to them.
        zone: whose clocks.
    """
    known = moments.where(moments.between(_FIRST.tz_localize("UTC"), _LAST.tz_localize("UTC")))
    local, rules = known.dt.tz_convert(zone).dt.tz_localize(None), ZoneInfo(zone)
    return _completed(local, moments, lambda at: _brought_to_ends(at, rules))


def _completed(some: pd.Series, of: pd.Series, convert: Callable[[datetime], datetime]) -> pd.Series:
    """A column in which what is missing, though its value is not, is worked out by `convert`, each value once."""
    left = (some.isna() & of.notna()).to_numpy()
    if not left.any():
        return some
    codes, values = pd.factorize(of[left])
    converted = [convert(at.to_pydatetime()).replace(tzinfo=None) for at in values]
    cells = some.to_numpy(copy=True)
    cells[left] = np.array(converted, dtype="datetime64[us]")[codes]
    return pd.Series(cells, index=some.index)


def _brought_to_ends(time: datetime, zone: tzinfo) -> datetime:
    try:
        return time.astimezone(zone)
    except OverflowError:
        return (datetime.max if time.year > 5000 else datetime.min).replace(tzinfo=zone)
