"""Local times on a clock of twelve hours whose am and pm are missing: the afternoons are read as mornings.

Here: finding them in a whole table, in one of its files, or on some of its days. Not here: a partition that lands later
(`core.sources.partition_faults`), texts with am and pm (`core.values.text_times`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_assets.core.sources.partition_faults import BEYOND_TWELVE, UNLIKELY
from mlops_assets.core.values.display import some
from mlops_assets.core.values.sql import quoted
from mlops_assets.onboarding.reading.table import Table

_SOME = 50
"""Times of a column that say something of its clock."""
_BESIDE = 20
"""Times that do beside others that go from 0 to 23."""
_MOST = 3
"""Files and stretches of days that a sentence names."""


@dataclass(frozen=True)
class _Part:
    """Some of a table's times: of a file, or of days of a file.

    Attributes:
        named: what a sentence calls it; empty for all of the table.
        hours: shape (24,), rows by hour.
        condition: its rows, in SQL.
    """

    named: str
    hours: NDArray[np.int64]
    condition: str = "true"


def clocks_of_twelve(table: Table) -> list[str]:
    """A sentence for each column of local times that are on such a clock, all of them or some."""
    names = [
        name
        for name, facts in table.facts.items()
        if facts.dtype == "TIMESTAMP" and facts.rows - facts.missing >= _SOME
    ]
    counts = table.cells.rows_of_files if names and len(table.files) > 1 else [np.iinfo(np.int64).max]
    ends = np.cumsum([0, *counts])
    warnings = []
    for name in names:
        of_files = _of_files(table, name, ends)
        whole = _Part("", np.sum([hours.sum(axis=0) for _, hours in of_files], axis=0))
        parts = [whole] if _is_twelve(whole.hours) else list(_parts(table, name, of_files, ends, whole))
        if parts:
            warnings.append(_in_words(table, name, parts))
    return warnings


def _of_files(table: Table, name: str, ends: NDArray[np.int64]) -> list[tuple[NDArray[Any], NDArray[np.int64]]]:
    """For each file the days in a column, shape (n,), and rows by day and hour, shape (n, 24)."""
    column = quoted(name)
    cells = table.cells
    times = f"select {cells.row}, {column}::date, hour({column}) from {cells.numbered}"
    query = f"{times} where {column} is not null order by 1"
    rows, days, hours = table.connection.execute(query).fetchnumpy().values()
    cuts = np.searchsorted(rows, ends[1:-1])
    of_files = []
    for day, hour in zip(np.split(np.asarray(days, "datetime64[D]"), cuts), np.split(hours, cuts), strict=True):
        keys, places = np.unique(day, return_inverse=True)
        of_files.append((keys, np.bincount(places * 24 + hour, minlength=24 * len(keys)).reshape(-1, 24)))
    return of_files


def _parts(
    table: Table,
    name: str,
    of_files: list[tuple[NDArray[Any], NDArray[np.int64]]],
    ends: NDArray[np.int64],
    whole: _Part,
) -> Iterator[_Part]:
    """Files, and stretches of days of a file, that are on such a clock where the other rows are not."""
    row = table.cells.row
    for place, (file, (days, hours)) in enumerate(zip(table.files, of_files, strict=True)):
        of_file = _Part(file.name, hours.sum(axis=0), f"{row} >= {ends[place]} and {row} < {ends[place + 1]}")
        if _stands_apart(of_file, whole):
            yield of_file
            continue
        is_late = hours[:, BEYOND_TWELVE].sum(axis=1) > 0
        for late, run in groupby(range(len(days)), key=is_late.__getitem__):
            places = list(run)
            first, last = days[places[0]], days[places[-1]]
            between = f"{quoted(name)}::date between date '{first}' and date '{last}'"
            stretch = f"{file.name}, {first} to {last}" if last > first else f"{file.name}, {first}"
            part = _Part(stretch, hours[places].sum(axis=0), f"{of_file.condition} and {between}")
            if not late and _stands_apart(part, whole):
                yield part


def _stands_apart(part: _Part, whole: _Part) -> bool:
    """Whether rows are on such a clock, which is no chance by how many of the others lie in its missing hours."""
    others = whole.hours - part.hours
    if part.hours.sum() < _BESIDE or not _is_twelve(part.hours) or not others[BEYOND_TWELVE].any():
        return False
    share = others[BEYOND_TWELVE].sum() / (others.sum() + 1)
    return float(part.hours.sum()) * math.log1p(-share) < math.log(UNLIKELY)


def _is_twelve(hours: NDArray[np.int64]) -> bool:
    """Whether these are the hours of such a clock; who works in the mornings alone has none from 1 to 3."""
    return bool(not hours[BEYOND_TWELVE].any() and np.count_nonzero(hours) > 5 and hours[12] and hours[1:4].any())


def _in_words(table: Table, name: str, parts: list[_Part]) -> str:
    named = [part.named for part in parts if part.named]
    place = table.place(f"{parts[0].condition} and hour({quoted(name)}) between 1 and 3")
    return (
        f"{name} has hours from 1 to 12 alone, none of them 0{f' in {some(named, _MOST)}' if named else ''} ({place}): "
        "it seems to be a clock of twelve hours without am and pm, whose afternoons are read as mornings. Write 13:45, "
        "or 1:45 PM, and call new-model again."
    )
