"""A table's rows cut into the files that the landing sensor takes in, one a partition or an hour of it.

Here: cutting, converting times, writing Parquet into the landing folder. Not here: taking them in
(`world.landed.intake`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.values.sql import free_name, quoted
from mlops_assets.onboarding.table import Table
from mlops_assets.onboarding.times import TimeColumn
from mlops_assets.world.atomic import keep_time, replacing
from mlops_assets.world.lake import file_hash


@dataclass(frozen=True)
class Landed:
    """What was put into the landing folder.

    Attributes:
        folder: where.
        written: partitions, or hours, whose file is new or has changed.
        unchanged: those whose file was there already.
        rows: of all.
    """

    folder: Path
    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    rows: int


def land(table: Table, time: TimeColumn, source: SourceSettings, landing: Path) -> Landed:
    """Write the rows of each partition as one Parquet file, in the order of time.

    A file that is there already with the same content is not touched, so landing twice is no news.

    Args:
        table: the rows.
        time: how their time is read.
        source: whose partitions.
        landing: the landing folder of the home.

    Raises:
        ValueError: a partition would lose rows that have landed.
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
    _refuse_less(table, source, folder, part)
    parts = table.connection.execute(f"select {part}, count(*) from cut group by 1 order by 1").fetchall()
    written, unchanged = list[str](), list[str]()
    for key, _ in parts:
        rows = table.connection.sql(
            f"select * exclude ({part}) from cut where {part} = $key", params={"key": key}
        ).to_arrow_table()
        path = folder / f"{source.name}_{key}.parquet"
        (written if _write(rows, path) else unchanged).append(key)
    table.connection.execute("drop table cut")
    return Landed(folder, tuple(written), tuple(unchanged), sum(count for _, count in parts))


def _refuse_less(table: Table, source: SourceSettings, folder: Path, part_sql: str) -> None:
    """Refuse to replace a partition by a part of it.

    Raises:
        ValueError: a partition that has landed has more rows than it would have.
    """
    length = "hour" if source.is_hourly else source.grain
    for part, count in table.connection.execute(f"select {part_sql}, count(*) from cut group by 1").fetchall():
        path = folder / f"{source.name}_{part}.parquet"
        if path.exists() and (before := pq.read_metadata(path).num_rows) > count:
            raise ValueError(
                f"{path.name} has {before:,} rows, and the {length} of {part} would have {count:,}: a file "
                f"holds its {length} whole. Give all rows of that {length}, or remove the file first. "
                "Nothing was landed."
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
