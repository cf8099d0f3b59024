"""The part of dbt's `lake` materialization that Jinja cannot do: writing partitions atomically.

What lives here: a dbt-duckdb plugin whose `store` runs a model's SQL and replaces its Parquet files in the
lake, partition by partition. What does not: which partitions to build (dbt vars `start` and `end`) and the
view over the files (`dbt/macros/materializations/lake.sql`). Only dbt imports this module; it is
named in `dbt_project/profiles.yml`.

DuckDB's own `COPY ... PARTITION_BY` is not used: with several threads it does not keep the order within a
file (22 of 400 files came out unsorted), it writes NULL into `__HIVE_DEFAULT_PARTITION__`, and it writes in
place. Here a sorted stream is cut where the partition changes, so the same rows give the same bytes, at two
milliseconds a file and the memory of one partition.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from dbt.adapters.duckdb.plugins import BasePlugin
from dbt_common.exceptions import DbtRuntimeError

if TYPE_CHECKING:
    from dbt.adapters.duckdb.utils import TargetConfig
    from duckdb import DuckDBPyConnection

_PARTITION = "partition"
FILE_NAME = "data.parquet"
_BATCH_ROWS = 100_000


class Plugin(BasePlugin):
    """Stores a model as one Parquet file per partition; see `store`."""

    _connection: DuckDBPyConnection

    def configure_connection(self, conn: DuckDBPyConnection) -> None:
        """Keep the connection: a store needs a cursor of its own to stream from."""
        self._connection = conn

    def store(self, target_config: TargetConfig) -> None:
        """Run the model's SQL and replace the partitions of its range.

        Args:
            target_config: `location.path` is the model's folder in the lake; `config` holds `sql`, `model`,
                `range_filter` (SQL over `partition`), `start` and `end` (ISO dates or None) and `order_by`.

        Raises:
            DbtRuntimeError: If the range is malformed, a row has no partition, or the columns differ from
                those of the partitions outside the range. The lake is then as it was.
        """
        job: dict[str, Any] = target_config.config
        if target_config.location is None:
            raise DbtRuntimeError(
                f"{job['model']} has no folder to go to. Set `+lake_folder` in dbt_project.yml. The lake is unchanged."
            )
        folder = Path(target_config.location.path)
        first, end = _day(job["start"], "start"), _day(job["end"], "end")
        building = building_folder(folder)
        # Rubbish of a killed build. No other build can be at work: it would hold the warehouse's lock.
        shutil.rmtree(building, ignore_errors=True)
        try:
            with self._connection.cursor() as cursor:
                cursor.execute("set TimeZone = 'UTC'")
                reader = cursor.sql(_sorted_sql(job)).to_arrow_reader(_BATCH_ROWS)
                _refuse_other_columns(folder, reader.schema, first, end, job["model"])
                for partition, table in partitions(reader, job["model"]):
                    _write(building / f"{_PARTITION}={partition}" / FILE_NAME, table)
            publish(building, folder, first, end)
        finally:
            shutil.rmtree(building, ignore_errors=True)


def building_folder(folder: Path) -> Path:
    """Return where a model's partitions are written before they are renamed: same file system, hidden."""
    return folder.parent / f".{folder.name}.building"


def publish(building: Path, folder: Path, first: date | None, end: date | None) -> None:
    """Rename every built partition into the lake, then remove those of the range that were not built.

    Killed at any moment, each partition holds its whole old or its whole new file; running the same build
    again completes the change.

    Args:
        building: Folder with the new partitions, on the same file system as `folder`.
        folder: The model's folder in the lake.
        first: First partition of the range; None for no bound.
        end: First partition after the range; None for no bound.
    """
    built = {path.parent.name: path for path in sorted(building.glob(f"{_PARTITION}=*/{FILE_NAME}"))}
    for name, path in built.items():
        target = folder / name
        target.mkdir(parents=True, exist_ok=True)
        path.replace(target / FILE_NAME)
    for target in sorted(folder.glob(f"{_PARTITION}=*")):
        if target.name not in built and _within(target, first, end):
            (target / FILE_NAME).unlink(missing_ok=True)
            if not any(target.iterdir()):
                target.rmdir()
    if folder.exists():
        # It has the time of the table's newest change (`world.atomic.touch_table`).
        moment = time.time_ns()
        os.utime(folder, ns=(moment, moment))


def partitions(batches: pa.RecordBatchReader, model: str) -> Iterator[tuple[date, pa.Table]]:
    """Cut a stream sorted by `partition` into one table per partition, without that column.

    Args:
        batches: Record batches with a DATE column `partition`, sorted by it, NULLs last.
        model: The model's name, for the error.

    Yields:
        The partition and its rows, in the order of the stream.

    Raises:
        DbtRuntimeError: If a row has no partition.
    """
    current: date | None = None
    pieces: list[pa.RecordBatch] = []
    for batch in batches:
        runs = pc.run_end_encode(batch.column(_PARTITION))
        rows = batch.drop_columns([_PARTITION])
        begin = 0
        for value, stop in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
            if value is None:
                raise DbtRuntimeError(
                    f"{model} has rows whose `{_PARTITION}` is NULL, so they belong to no file. "
                    "Derive the column from a timestamp that is never NULL, or filter such rows out where "
                    "they are counted. The lake is unchanged."
                )
            if value != current and pieces and current is not None:
                yield current, pa.Table.from_batches(pieces)
                pieces = []
            current = value
            pieces.append(rows.slice(begin, stop - begin))
            begin = stop
    if pieces and current is not None:
        yield current, pa.Table.from_batches(pieces)


def _sorted_sql(job: dict[str, Any]) -> str:
    """Return the model's SQL, cut to the range and sorted by partition, time and keys."""
    order = ", ".join([_PARTITION, *(f'"{name}"' for name in job["order_by"])])
    kept = f"{_PARTITION} is null or ({job['range_filter']})"
    return f"select * from (\n{job['sql']}\n) as model where {kept} order by {order}"


def _write(path: Path, table: pa.Table) -> None:
    """Write one partition; dictionaries for strings only, and snappy: half the time of the defaults."""
    path.parent.mkdir(parents=True)
    strings = [field.name for field in table.schema if pa.types.is_string(field.type)]
    pq.write_table(table, path, compression="snappy", use_dictionary=strings)


def _refuse_other_columns(folder: Path, schema: pa.Schema, first: date | None, end: date | None, model: str) -> None:
    """Stop a range build whose columns differ from the partitions that would stay.

    The oldest and the newest of them are looked at: a whole rebuild goes from old to new, so one that was
    killed leaves new columns first and old columns last.
    """
    staying = [path for path in sorted(folder.glob(f"{_PARTITION}=*")) if not _within(path, first, end)]
    new = {field.name: field.type for field in schema if field.name != _PARTITION}
    for path in staying[:1] + staying[1:][-1:]:
        old = {field.name: field.type for field in pq.read_schema(path / FILE_NAME)}
        if old != new:
            changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
            raise DbtRuntimeError(
                f"The columns of {model} have changed ({', '.join(changed)}), and {len(staying)} partitions "
                "outside the range still have the old ones. Rebuild the model whole, without the vars "
                f"`start` and `end`: `dbt build --select {model}`. The lake is unchanged."
            )


def _within(path: Path, first: date | None, end: date | None) -> bool:
    """Tell whether a partition folder lies in the range."""
    day = date.fromisoformat(path.name.partition("=")[2])
    return (first is None or day >= first) and (end is None or day < end)


def _day(value: object, name: str) -> date | None:
    """Read one bound of the range."""
    if value is None:
        return None
    try:
        return date.fromisoformat(str(value))
    except ValueError as error:
        raise DbtRuntimeError(
            f"The dbt var `{name}` is {value!r}, not a date. Pass an ISO date such as "
            f"`--vars '{{{name}: \"2013-04-01\"}}'`. The lake is unchanged."
        ) from error
