"""Rows that stand in two files of a table: a copy in a folder below, exports that begin with the last rows before them.

Here: counting such rows once where they are the same for sure, and naming them where nobody can tell. Days that
come again with other values. Not here: links to a file, which are that file (`world.files.matching`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path

import duckdb
import numpy as np

from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.sources.partition_parts import parts_of
from mlops_assets.core.values.display import row_numbers, some
from mlops_assets.core.values.identifiers import NEARLY_ALL
from mlops_assets.core.values.sql import free_name, quoted
from mlops_assets.onboarding.reading.exact_types import columns_of
from mlops_assets.onboarding.reading.places import Cells

_CLOSE = 0.9
"""Share of the rows of a stretch that stand in the other file, too."""
_FEW = 3
"""So many rows in a row are no chance, wherever they stand; fewer must be the first or last of a file."""
_MOST = 3
"""Pairs of files that a sentence names."""
_ALIKE = 0.05
"""Share of a file's rows that are equal to others of it, from which on some of another are by chance."""
_KINDS = 20
"""Different rows in one order are no chance."""
_AGAIN = 0.05
"""Share of a partition's rows whose time another row has, from which on its files are held against each other."""
_MOST_PARTS = 50
"""Partitions that are looked at, of many that could be."""
_COPIES = '"copies of rows"'


@dataclass(frozen=True)
class Repeats:
    """What is said of rows that stand in two files.

    Attributes:
        notes: on those that count once.
        warnings: on others.
        copied: the pairs of files of which the second one wrote what the first had.
    """

    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    copied: tuple[tuple[int, int], ...] = ()


@dataclass
class _Pair:
    """Two files, and where in each the rows of both stand, counted from 0."""

    first: int
    second: int
    places: list[tuple[int, int]] = field(default_factory=list)
    kinds: set[int] = field(default_factory=set)

    def is_copied(self, rows: Sequence[int], alike: Mapping[int, float]) -> bool:
        """Whether one wrote what the other had: these rows follow each other in one of them, or in both.

        Where a file has many rows that are equal, others are by chance; only many kinds in the same order are none.

        Args:
            rows: of each file.
            alike: share of the rows of a file that it has before.
        """
        if max(alike[self.first], alike[self.second]) > _ALIKE and (
            len(self.kinds) < _KINDS or len({here - two for here, two in self.places}) > 1
        ):
            return False
        for file, own in (
            (self.first, [here for here, _ in self.places]),
            (self.second, [two for _, two in self.places]),
        ):
            low, high = min(own), max(own)
            is_edge = low == 0 or high == rows[file] - 1
            if len(own) >= _CLOSE * (high - low + 1) and (len(own) >= _FEW or is_edge):
                return True
        return False


def count_once(cells: Cells) -> Repeats:
    """Leave out the rows of a table that an earlier file has, too.

    Of rows that are equal in all cells, each file may have some: as many are kept as the file with most of them has.
    Equal rows that are scattered over two files may be different events, and are kept.

    Args:
        cells: the rows, whose `rowid` tells their place; that of those which are kept stays.
    """
    session, relation = cells.connection, cells.relation
    alias = free_name("one", [name for name, _ in columns_of(session, relation)])
    if len(cells.files) < 2 or not _has_equal_rows(session, relation, alias):
        return Repeats()
    with cells.by_place():
        copied, others, left_out = _copies(cells, alias)
    cells.leave_out(left_out)
    names = tuple((pair.first, pair.second) for pair in copied)
    return Repeats(_notes(cells, copied), _warnings(cells, others), names)


def _copies(cells: Cells, alias: str) -> tuple[list[_Pair], list[_Pair], list[int]]:
    """Pairs of files of which one has rows of the other copied, other pairs, and the rows that are copies."""
    session, relation, rows = cells.connection, cells.relation, cells.rows_of_files
    ends = list(accumulate(rows))
    filled = [file for file, count in enumerate(rows) if count]
    session.execute(
        f"create or replace temp table {_COPIES} as "
        "with ends as (select unnest($ends) as ends_at, unnest($files) as file), "
        f"placed as (select hash({alias}) as made, {alias}.rowid as place from {relation} as {alias}), "
        "filed as (select made, place, file, ends_at from placed asof join ends on place < ends_at), "
        "ranked as (select *, row_number() over (partition by made, file order by place) as rank from filed) "
        "select made, place, file, rank, first_value(place) over same as first_place, first_value(file) over same as "
        "first_file from ranked window same as (partition by made, rank order by place)",
        {"ends": [ends[file] for file in filled], "files": filled},
    )
    pairs: dict[tuple[int, int], _Pair] = {}
    starts = [end - count for end, count in zip(ends, rows, strict=True)]
    repeated = session.execute(
        f"select first_file, file, first_place, place, made from {_COPIES} where file <> first_file order by place"
    ).fetchall()
    for first, second, here, two, made in repeated:
        pair = pairs.setdefault((first, second), _Pair(first, second))
        pair.places.append((here - starts[first], two - starts[second]))
        pair.kinds.add(made)
    shares = session.execute(f"select file, count(*) filter (rank > 1) / count(*) from {_COPIES} group by 1").fetchall()
    copied = [pair for pair in pairs.values() if pair.is_copied(rows, dict(shares))]
    left_out = [starts[pair.second] + two for pair in copied for _, two in pair.places]
    session.execute(f"drop table {_COPIES}")
    return copied, [pair for pair in pairs.values() if pair not in copied], left_out


def _has_equal_rows(session: duckdb.DuckDBPyConnection, relation: str, alias: str) -> bool:
    query = f"select count(*) > count(distinct hash({alias})) from {relation} as {alias}"
    return bool(session.execute(query).fetchall()[0][0])


def _notes(cells: Cells, pairs: Sequence[_Pair]) -> tuple[str, ...]:
    if not pairs:
        return ()
    many = counted(sum(len(pair.places) for pair in pairs), "row")
    return (f"{many} that another file has, too, count once: {_named(cells, pairs)}.",)


def _warnings(cells: Cells, pairs: Sequence[_Pair]) -> tuple[str, ...]:
    if not pairs:
        return ()
    many = counted(sum(len(pair.places) for pair in pairs), "row")
    return (
        f"{many} are equal in all cells to rows of another file, here and there: {_named(cells, pairs)}. They count "
        "each, as other events; if they are the same ones, remove them from one of the files.",
    )


def _changed_rows(cells: Cells, copied: Sequence[tuple[int, int]], time_sql: str) -> list[str]:
    """Sentences on rows of a file that wrote what another one had: at the times of that one's, with other values.

    Nothing is said where one time has several rows.
    """
    if not copied:
        return []
    query = f"select rowid, epoch_us({time_sql}) as moment from {cells.relation} order by rowid"
    places, moments = cells.connection.execute(query).fetchnumpy().values()
    ends = np.cumsum(cells.rows_of_files)
    files = np.searchsorted(ends, places, side="right")
    changed = []
    for first, second in copied:
        had = moments[files == first]
        is_changed = (files == second) & np.isin(moments, had)
        if is_changed.any() and len(np.unique(had)) >= NEARLY_ALL * len(had):
            start = ends[second - 1] if second else 0
            name, two = _names(cells, _Pair(first, second))
            changed.append(f"{row_numbers((places[is_changed] - start).tolist(), _MOST)} of {two} (in {name}, too)")
    if not changed:
        return []
    return [
        f"Among rows that two files have are some at the same time with other values: {some(changed, _MOST)}. They are "
        "there twice, once as corrected: leave the older file's out."
    ]


def corrected_rows(cells: Cells, repeats: Repeats, time: str, time_sql: str, *, zone: str, grain: str) -> list[str]:
    """Sentences on rows, and on whole partitions, that stand in two files with other values.

    Args:
        cells: the rows, without those that are equal.
        repeats: what was found of those.
        time: the column with the time of the event.
        time_sql: SQL over a row that gives that moment.
        zone: whose days are counted.
        grain: length of a partition.
    """
    if len(cells.files) < 2:
        return []
    with cells.by_place():
        return [*_changed_rows(cells, repeats.copied, time_sql), *_days_again(cells, time, time_sql, zone, grain)]


def _days_again(cells: Cells, time: str, time_sql: str, zone: str, grain: str) -> list[str]:
    """Sentences on partitions that two files hold, most of whose rows come again in the other with other values."""
    part_sql = f"date_trunc('{grain}', timezone('{zone}', {time_sql}))::date"
    parts = cells.connection.execute(
        f"select {part_sql} from {cells.relation} group by 1 "
        f"having count(*) - count(distinct {time_sql}) >= {_AGAIN} * count(*) order by 1"
    ).fetchall()
    if not parts:
        return []
    ends = np.cumsum(cells.rows_of_files)
    days = []
    for (part,) in parts[:: len(parts) // _MOST_PARTS + 1]:
        query = (
            f"select * replace ({time_sql} as {quoted(time)}), rowid from {cells.relation} where {part_sql} = $part "
            "order by rowid"
        )
        rows = cells.connection.execute(query, {"part": part}).df()
        files = np.searchsorted(ends, rows.iloc[:, -1], side="right")
        frames = {int(file): rows.iloc[:, :-1][files == file] for file in np.unique(files)}
        for first, second in pairwise(frames):
            fewer, more = sorted((frames[first], frames[second]), key=len)
            if len(fewer) >= _FEW and parts_of(fewer, more, time).verdict == "whole":
                names = _names(cells, _Pair(first, second))
                sizes = [counted(len(frames[file]), "row") for file in (first, second)]
                days.append(f"{part} ({sizes[0]} of {names[0]}, {sizes[1]} of {names[1]})")
    if not days:
        return []
    return [
        f"Two files hold {some(days, _MOST)}, with most rows at the same times, and other values: if one corrects the "
        "other, these rows are there twice, so leave the older file's out; if they are about other things, add a "
        "column that says which."
    ]


def _names(cells: Cells, pair: _Pair) -> tuple[Path, Path]:
    """The two files below the folder that all have in common."""
    folder = os.path.commonpath([file.parent for file in cells.files])
    return cells.files[pair.first].relative_to(folder), cells.files[pair.second].relative_to(folder)


def _named(cells: Cells, pairs: Sequence[_Pair]) -> str:
    sentences = []
    for pair in pairs:
        (row, two), (first, second) = pair.places[0], _names(cells, pair)
        sentences.append(
            f"{counted(len(pair.places), 'row')} of {second} (the first is row {two + 1:,}, row {row + 1:,} of {first})"
        )
    return some(sentences, _MOST)
