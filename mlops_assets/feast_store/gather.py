"""Taking columns by place: from "which row" to the values in it, a few columns at a time.

What doesn't live here: finding the places (`sql.places`), and what is done with the columns (`plans`).

Memory holds `CELLS` values of a history and as many of the result, however many columns or entity rows there are.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pyarrow as pa

CELLS = 2**25
"""Values that are read at a time: 256 MiB of numbers. A history longer than that is taken a column at a time."""
BATCH_ROWS = 2**20
"""Rows of a result's batch."""


def gather(
    connection: duckdb.DuckDBPyConnection, statement: str, places: pa.ChunkedArray, *, rows: int
) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    """The columns of a statement's rows, in the order of the places.

    Args:
        connection: the session that `statement` runs in.
        statement: a SELECT whose rows come in the same order each time.
        places: which row (int64, from 0) each row of the result is; null gives nulls.
        rows: how many rows the statement has.

    Yields:
        The columns group by group, in the statement's order: their schema, and their values in batches. Each group's
        batches are to be read before the next group.
    """
    schema = connection.sql(f"SELECT * FROM ({statement}) LIMIT 0").to_arrow_table().schema
    # Text beyond 2 GiB in a column has no room in Arrow's short offsets.
    connection.execute("SET arrow_large_buffer_size = true")
    width = max(1, CELLS // max(rows, 1))
    for first in range(0, len(schema), width):
        group = pa.schema([schema.field(i) for i in range(first, min(first + width, len(schema)))])
        yield group, _take(connection, statement, places, group)
    connection.execute("SET arrow_large_buffer_size = false")


def _take(
    connection: duckdb.DuckDBPyConnection, statement: str, places: pa.ChunkedArray, group: pa.Schema
) -> Iterator[pa.RecordBatch]:
    names = ", ".join('"' + name.replace('"', '""') + '"' for name in group.names)
    table = connection.sql(f"SELECT {names} FROM ({statement})").to_arrow_table()
    columns = [column.combine_chunks() for column in table.columns]
    del table
    for first in range(0, len(places), BATCH_ROWS):
        wanted = places.slice(first, BATCH_ROWS).combine_chunks()
        yield pa.record_batch(
            [column.take(wanted).cast(kind) for column, kind in zip(columns, group.types, strict=True)], schema=group
        )
