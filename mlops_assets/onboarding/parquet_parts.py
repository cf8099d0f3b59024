"""Several Parquet files as the rows of one table, each file read for what it is.

Here: a file's columns that are no data, that are missing throughout, or that are times without a zone where other files
have one. Not here: reading the table (`loading`), the few types that its columns have in the end (`exact_types`).

DuckDB reads files as one by the widest type among them: an empty column of floats makes floats of all identifiers, and
a column of moments makes moments in UTC of all clock times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from mlops_assets.core.values.sql import exact, is_blank, literal, quoted
from mlops_assets.world.files.parquet_rows import row_numbers_in


@dataclass(frozen=True)
class _Column:
    """A column of a file, by DuckDB's type."""

    file: Path
    name: str
    dtype: str

    @property
    def is_moment(self) -> bool:
        return self.dtype in ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")

    @property
    def is_local_time(self) -> bool:
        return self.dtype.startswith(("DATE", "TIMESTAMP")) and not self.is_moment


def union_of(connection: duckdb.DuckDBPyConnection, files: Sequence[Path], zone: str) -> str:
    """A query for the rows of all files, in their order.

    Args:
        connection: where it will run.
        files: at least one, each with a column that is data.
        zone: in which times without one are read where other files' have one.
    """
    columns: dict[str, list[_Column]] = {}
    for file in files:
        for name, dtype, *_ in connection.execute(f"describe select * from {_read(file)}").fetchall():
            columns.setdefault(str(name).casefold(), []).append(_Column(file, str(name), str(dtype)))
    changes: dict[Path, list[str]] = {file: [] for file in files}
    for same in columns.values():
        if len({column.dtype for column in same}) > 1:
            for column, value in _changed(connection, same, zone).items():
                changes[column.file].append(f"{value} as {quoted(column.name)}")
    ways = {file: _way(file, changes[file]) for file in files}
    parts = []
    for way, some in groupby(files, key=lambda file: ways[file]):
        names = ", ".join(literal(exact(file)) for file in some)
        parts.append(f"select {way} from read_parquet([{names}], union_by_name = true, hive_partitioning = false)")
    return " union all by name ".join(parts)


def index_note(files: Sequence[Path]) -> tuple[str, ...]:
    """A sentence on what pandas wrote beside the data, if it wrote something."""
    left_out = dict.fromkeys(name for file in files for name in row_numbers_in(pq.read_schema(file)))
    if not left_out:
        return ()
    told = "the index of a pandas frame, without a name, and left out (name it, and it is a column like any other)"
    return (f"{', '.join(left_out)} is {told}.",)


def _changed(connection: duckdb.DuckDBPyConnection, same: Sequence[_Column], zone: str) -> dict[_Column, str]:
    """What stands for a column of several files in those whose own type would change what others hold."""
    known = [column for column in same if _has_values(connection, column)]
    if not known:
        return {}
    changed = {column: f"null::{known[0].dtype}" for column in same if column not in known}
    if any(column.is_moment for column in known):
        local = (column for column in known if column.is_local_time)
        changed |= {column: f"timezone({literal(zone)}, {quoted(column.name)}::timestamp)" for column in local}
    return changed


def _has_values(connection: duckdb.DuckDBPyConnection, column: _Column) -> bool:
    """Whether anything but missing values stands in it; to some writers they are NaN."""
    name = quoted(column.name)
    is_value = f"{name} is not null"
    if column.dtype in ("FLOAT", "DOUBLE"):
        is_value = f"not isnan({name})"
    elif column.dtype == "VARCHAR":
        is_value = f"not {is_blank(name)}"
    query = f"select exists (select 1 from {_read(column.file)} where {is_value})"
    return bool(connection.execute(query).fetchall()[0][0])


def _way(file: Path, changes: Sequence[str]) -> str:
    """All columns of a file that are data, some of them changed."""
    left_out = ", ".join(map(quoted, row_numbers_in(pq.read_schema(file))))
    return (
        "*" + (f" exclude ({left_out})" if left_out else "") + (f" replace ({', '.join(changes)})" if changes else "")
    )


def _read(file: Path) -> str:
    return f"read_parquet({literal(exact(file))}, hive_partitioning = false)"
