"""Writing Parquet files that appear whole or not at all.

Here: from a statement and from an Arrow table, with times as DuckDB compares them. Not here: what is written
(`plans`, `offline`).
"""

from __future__ import annotations

import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.feast_store import sql
from mlops_assets.feast_store.entity_rows import Connection


def copy_to_parquet(connection: Connection, statement: str, path: Path) -> int:
    """Write a statement's rows to one file, which appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        copied = connection.execute(f"COPY ({statement}) TO {sql.literal(str(temporary))} (FORMAT parquet)").fetchall()
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return int(copied[0][0])


def write_table(table: pa.Table, path: Path) -> None:
    """Write an Arrow table to one file, which appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        pq.write_table(in_microseconds(table), temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def in_microseconds(table: pa.Table) -> pa.Table:
    """Nanosecond times as microseconds: DuckDB refuses to compare TIMESTAMPTZ with TIMESTAMPTZ_NS."""
    fields = [
        field.with_type(pa.timestamp("us", tz=field.type.tz)) if pa.types.is_timestamp(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields), safe=False)
