"""Some columns of a table of the lake, kept in this process: of what was read once, only new partitions are read.

Here: the rows that are counted again and again (when an event was, when its label became known). Not here: rows that
something is fitted or judged on, which are read each time (`world.lake`).

The table's folder has the time of its newest change (`world.atomic.touch_table`): while that stands still nothing is
looked at. Else those partitions are read whose files have another time or size.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from mlops_assets.world.lake import Lake

MOST_BYTES = 256 * 2**20
"""Of all tables that are kept; larger ones are read each time."""
_DAY = "partition"

_Stamps = dict[Path, tuple[int, int]]


@dataclass(frozen=True)
class _Table:
    """A table as it was read: rows in the order of their partitions, and what their files were."""

    folder_ns: int
    stamps: _Stamps
    rows: pd.DataFrame

    @cached_property
    def size(self) -> int:
        """In bytes; asked of all tables at each reading, and 40 tables take 5 ms."""
        return int(self.rows.memory_usage(index=False).sum())


_kept: OrderedDict[tuple[str, ...], _Table] = OrderedDict()
_lock = Lock()


def kept_columns(
    lake: Lake,
    *parts: str,
    columns: Sequence[str],
    start: date | None = None,
    end: date | None = None,
    where: str = "true",
    parameters: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """These columns of the partitions in [start, end), oldest partition first; not to be changed.

    Args:
        lake: the lake.
        parts: the table.
        columns: its columns.
        start: first partition, inclusive.
        end: last partition, exclusive.
        where: which rows, in SQL with `$name` parameters.
        parameters: their values.
    """
    chosen = {"where": where, "parameters": parameters or {}}
    key = (str(lake.home.lake), *parts, "", *columns, where, *(parameters or {}).values())
    with _lock:
        table = _newest(lake, parts, columns, chosen, _kept.pop(key, None))
        _kept[key] = table
        while sum(each.size for each in _kept.values()) > MOST_BYTES:
            _kept.popitem(last=False)
    days = table.rows[_DAY].to_numpy() if len(table.rows) else pd.Series(dtype="datetime64[s]").to_numpy()
    first = 0 if start is None else int(days.searchsorted(pd.Timestamp(start).to_datetime64()))
    after = len(days) if end is None else int(days.searchsorted(pd.Timestamp(end).to_datetime64()))
    return table.rows.iloc[first:after].drop(columns=_DAY, errors="ignore")


def _newest(
    lake: Lake, parts: Sequence[str], columns: Sequence[str], chosen: Mapping[str, Any], known: _Table | None
) -> _Table:
    folder = lake.folder(*parts)
    folder_ns = folder.stat().st_mtime_ns if folder.exists() else 0
    if known is not None and folder_ns and known.folder_ns == folder_ns:
        return known
    partitions = lake.partitions(*parts)
    stamps = {path: ((stat := path.stat()).st_mtime_ns, stat.st_size) for path in partitions.values()}
    same = {path for path, stamp in stamps.items() if known is not None and known.stamps.get(path) == stamp}
    changed = [day for day, path in partitions.items() if path not in same]
    frames = []
    if known is not None and same:
        days = pd.DatetimeIndex([day for day, path in partitions.items() if path in same])
        frames.append(known.rows[known.rows[_DAY].isin(days)])
    if changed:
        read = lake.read(*parts, columns=[*columns, _DAY], days=changed, **chosen)
        frames.append(read.assign(**{_DAY: pd.to_datetime(read[_DAY])}))
    rows = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    if len(rows):
        rows = rows.sort_values(_DAY, kind="stable", ignore_index=True)
    return _Table(folder_ns, stamps, rows)
