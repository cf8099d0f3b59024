"""A table's rows cut into the files that the landing sensor takes in, one a partition or an hour of it.

Here: cutting, converting times, writing Parquet into the landing folder. Not here: taking them in
(`world.landed.intake`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.sources.partition_parts import Parts, parts_of
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.values.display import shown
from mlops_assets.core.values.sql import free_name, quoted
from mlops_assets.onboarding.reading.instructions import Reading
from mlops_assets.onboarding.reading.parquet_parts import union_of
from mlops_assets.onboarding.reading.table import Table
from mlops_assets.onboarding.times import TimeColumn
from mlops_assets.world.atomic import keep_time, replacing
from mlops_assets.world.lake import file_hash
from mlops_assets.world.parquet import connected, exact_frame


@dataclass(frozen=True)
class Landed:
    """What was put into the landing folder.

    Attributes:
        folder: where.
        written: partitions, or hours, whose file is new or has changed.
        unchanged: those whose file was there already.
        rows: of all.
        added: those of the written ones that hold rows which had landed, and these beside them: how many of each.
        left_out: those of the written ones that took the place of rows which do not come again: how many.
    """

    folder: Path
    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    rows: int
    added: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Met:
    """New rows of a partition and those that had landed.

    Attributes:
        rows: both, where the new ones are a part; None where they take the place.
        landed: how many of these had landed.
        left_out: how many that had landed do not come again.
    """

    rows: pa.Table | None = None
    landed: int = 0
    left_out: int = 0


def land(table: Table, time: TimeColumn, source: SourceSettings, landing: Path, *, adds: bool = False) -> Landed:
    """Write the rows of each partition as one Parquet file, in the order of time.

    A file that is there already with the same content is not touched, so landing twice is no news. Rows that hold a
    partition anew take the place of its file (`core.sources.partition_parts`).

    Args:
        table: the rows.
        time: how their time is read.
        source: whose partitions.
        landing: the landing folder of the home.
        adds: whether rows that are another part of a partition are put beside those of its file; else they are refused.

    Raises:
        ValueError: rows that have landed would be lost.
    """
    folder = landing / source.name
    local = f"timezone('{source.timezone}', {time.sql})"
    part = quoted(free_name("the partition", table.facts))
    length, form = ("hour", "%Y-%m-%dT%H") if source.is_hourly else (source.grain, "%Y-%m-%d")
    table.connection.execute(
        f"create or replace temp table cut as select {_columns(table, time, source.timezone)}, "
        f"strftime(date_trunc('{length}', {local}), '{form}') as {part} from {table.relation} "
        f"order by {part}, {quoted(time.name)}"
    )
    _refuse_doubled(table, source)
    parts = table.connection.execute(f"select {part}, count(*) from cut group by 1 order by 1").fetchall()

    def rows_of(key: str) -> pa.Table:
        return table.connection.sql(
            f"select * exclude ({part}) from cut where {part} = $key", params={"key": key}
        ).to_arrow_table()

    paths = {key: folder / f"{source.name}_{key}.parquet" for key, _ in parts}
    met = {key: _joined(source, path, rows_of(key), adds) for key, path in paths.items() if path.exists()}
    written, unchanged = list[str](), list[str]()
    for key, path in paths.items():
        joined = met[key].rows if key in met else None
        rows = rows_of(key) if joined is None else joined
        (written if _write(rows, path) else unchanged).append(key)
    table.connection.execute("drop table cut")
    news = {key: met[key] for key in written if key in met}
    added = {key: (m.landed, m.rows.num_rows - m.landed) for key, m in news.items() if m.rows is not None}
    left_out = {key: m.left_out for key, m in news.items() if m.rows is None and m.left_out}
    return Landed(folder, tuple(written), tuple(unchanged), sum(count for _, count in parts), added, left_out)


def _refuse_doubled(table: Table, source: SourceSettings) -> None:
    """Refuse rows that share what the contract says names each of them: landing would hold back their days.

    Raises:
        ValueError: naming the first of them.
    """
    keys = [key for key in source.contract.unique if key in table.facts]
    if not keys or len(keys) < len(source.contract.unique):
        return
    names = ", ".join(map(quoted, keys))
    doubled = table.connection.execute(
        f"select {names}, count(*) from cut where {' and '.join(f'{quoted(key)} is not null' for key in keys)} "
        "group by all having count(*) > 1 order by all"
    ).fetchall()
    if doubled:
        *values, count = doubled[0]
        named = ", ".join(f"{key} {shown(str(value))}" for key, value in zip(keys, values, strict=True))
        others = f" ({counted(len(doubled) - 1, 'more key')} likewise)" if len(doubled) > 1 else ""
        raise ValueError(
            f"{named} stands in {count} rows{others}, and the contract of {source.name} has "
            f"`unique: [{', '.join(keys)}]`. Land the files one by one, the older first, so that newer rows take the "
            "place of older ones; or remove what is wrong. Nothing was landed."
        )


def _joined(source: SourceSettings, path: Path, new: pa.Table, adds: bool) -> _Met:
    """The rows of a partition's file and newer ones: together where those are a part of it.

    Raises:
        ValueError: the newer rows are a part and may not be added, or nobody can tell what they are.
    """
    old, time = pq.read_table(path, partitioning=None), str(source.event_time)
    if old.equals(new):
        return _Met()
    keys = [key for key in source.contract.unique if key in new.column_names]
    if not ({time, *keys} <= {*old.column_names} and old.schema.field(time).type == new.schema.field(time).type):
        none = np.ones(old.num_rows, dtype=np.bool_)
        parts = Parts("unclear", none, none)
    else:
        parts = parts_of(exact_frame(old), exact_frame(new), time, keys)
    if parts.verdict == "whole":
        return _Met(left_out=int(parts.lost.sum()))
    if not adds or parts.verdict == "unclear":
        raise ValueError(_refusal(source, path, old, new, parts, adds=adds))
    beside = old.filter(pa.array(parts.beside))
    with TemporaryDirectory() as folder, connected() as session:
        files = [Path(folder) / name for name in ("old.parquet", "new.parquet")]
        for file, rows in zip(files, (beside, new), strict=True):
            pq.write_table(rows, file)
        query = f"select * from ({union_of(session, files, Reading(zone=source.timezone))[0]}) order by {quoted(time)}"
        return _Met(session.sql(query).to_arrow_table(), beside.num_rows)


def _refusal(source: SourceSettings, path: Path, old: pa.Table, new: pa.Table, parts: Parts, *, adds: bool) -> str:
    length = "hour" if source.is_hourly else source.grain
    lost = f"{int(parts.lost.sum()):,} of the {old.num_rows:,} rows of {path.name} are not among the {new.num_rows:,}"
    if adds:
        return (
            f"{lost} of that {length} that are to take their place, and others are: whether these are other rows, or "
            f"the same ones corrected, cannot be told. Give all files of the {length} in one call, or remove {path} "
            "first. Nothing was landed."
        )
    return (
        f"{lost} of that {length} in the table, and a new model begins with all rows. Give all files in one call; "
        f"after that, `mlops land {source.name} --files FILES` adds more. If they are of an earlier try, remove them "
        f"first: {path.parent}. Nothing was landed."
    )


def _columns(table: Table, time: TimeColumn, zone: str) -> str:
    """The columns as they are, the event time as a moment, other times in the source's zone."""
    read = []
    for name, facts in table.facts.items():
        column = quoted(name)
        if name == time.name:
            read.append(f"{time.sql} as {column}")
        elif facts.dtype == "TIMESTAMP":
            read.append(f"timezone('{zone}', {column}) as {column}")
        else:
            read.append(column)
    return ", ".join(read)


def _write(rows: pa.Table, path: Path) -> bool:
    """Whether the file is new or has changed."""
    before = file_hash(path) if path.exists() else None
    with replacing(path) as temporary:
        pq.write_table(rows, temporary, compression="zstd")
        if before is not None and file_hash(temporary) == before:
            keep_time(path, temporary)
            return False
    return True
