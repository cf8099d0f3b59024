"""Local times that fall into an hour which the clocks have twice, or skip: how many, and how they were read.

Here: finding and counting them, and the sentences. Not here: reading them (`core.values.text_times`), whose rule this
tells: of two equal hours the second, and a skipped one counted on from before.
"""

from __future__ import annotations

import pandas as pd

from mlops_assets.core.sources.contract import SourceContract
from mlops_assets.core.values.text_formats import TimeFormat
from mlops_assets.core.values.text_times import read_times

_ELSEWHERE = "Etc/GMT+12"
"""No zone that has such hours: a time without offset read there is another moment, one with an offset the same."""


def told_of_columns(contract: SourceContract, raw: pd.DataFrame, read: pd.DataFrame) -> tuple[str, ...]:
    """A sentence for each such hour in the times of a source's raw rows.

    Args:
        contract: of the source.
        raw: the rows as they came.
        read: the same as they are stored.
    """
    sentences: list[str] = []
    for name, column in contract.columns.items():
        if column.type == "timestamp" and name in raw.columns:
            sentences += told_of(name, raw[name], contract.tz, column.format, read[name])  # type: ignore[arg-type]
    return tuple(sentences)


def told_of(
    name: str, raw: pd.Series, zone: str, written: TimeFormat | None = None, moments: pd.Series | None = None
) -> list[str]:
    """A sentence for each hour of a column that the zone has twice or skips, in the order of time.

    Args:
        name: of the column.
        raw: texts or times; those with an offset are moments, and in no doubt.
        zone: of those without one.
        written: how they are written, where that is not ISO 8601.
        moments: the column as it was read, where that is known.
    """
    if isinstance(raw.dtype, pd.DatetimeTZDtype):
        return []
    moments = read_times(raw, zone, written) if moments is None else moments
    near = raw[_changes_near(moments, zone).to_numpy()]
    if near.empty:
        return []
    local = read_times(near, "UTC", written).dt.tz_localize(None)
    local = local[read_times(near, _ELSEWHERE, written).ne(read_times(near, zone, written)) & local.notna()]
    second = local.dt.tz_localize(zone, ambiguous=[False] * len(local), nonexistent="NaT")
    known = local.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    sentences = []
    for hour, rows in local[known.isna()].groupby(local.dt.floor("h")):
        is_twice = bool(second[rows.index].notna().any())
        what = "has twice" if is_twice else "skips"
        read = "read as the second one" if is_twice else "read as if the clocks had not been put forward"
        at = f"{hour.day} {hour:%B %Y, %H:%M}"
        count = "1 row falls" if len(rows) == 1 else f"{len(rows):,} rows fall"
        sentences.append(f"{name}: {count} into the hour that {zone} {what} ({at}); {read}.")
    return sentences


def _changes_near(moments: pd.Series, zone: str) -> pd.Series:
    """Which moments lie within a day and a half of a change of the clocks: on most days none."""
    days = moments.dt.floor("D")
    known = pd.DatetimeIndex(days.dropna().unique())
    known = known[(known > pd.Timestamp("1700-01-01", tz="UTC")) & (known < pd.Timestamp("2200-01-01", tz="UTC"))]
    before, after = known - pd.Timedelta(hours=12), known + pd.Timedelta(hours=36)
    local = [at.tz_convert(zone).tz_localize(None) - at.tz_localize(None) for at in (before, after)]
    return days.isin(known[local[0] != local[1]])
