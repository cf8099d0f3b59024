"""Rows and Parquet files that callers send, as tables to measure.

Here: reading them within limits, and a batch's columns as its reference has them. Not here: references and what is
held against them (`profiles`), HTTP (`http.drift_api`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from mlops_assets.core.drift.grid import Grid, Kind
from mlops_assets.world.files.parquet_rows import ParquetRows
from mlops_assets.world.files.unpacked_size import TooLarge

MAX_COLUMNS = 1_000
MAX_CELLS = 20_000_000
"""Of a Parquet file, by its own word and before it is unpacked: a small file can hold a very large table."""
MAX_UNPACKED = 2**29
_LARGE = "the file is too large once it is unpacked; send fewer columns or rows"


class WrongTable(ValueError):
    """Rows or a file that make no table to measure."""


def frame_of_rows(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a table, each column of one kind.

    Raises:
        WrongTable: a column mixes numbers and texts, holds something else, or there are too many.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    if len(names) > MAX_COLUMNS:
        raise WrongTable(f"a table may have {MAX_COLUMNS:,} columns, this one has {len(names):,}")
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        types = {type(value) for value in values if value is not None}
        if types <= {int, float}:
            try:
                columns[name] = pd.Series([None if v is None else float(v) for v in values], dtype="float64")
            except OverflowError as error:
                raise WrongTable(f"column {name[:100]!r} holds a number that is too large") from error
        elif types <= {str} or types <= {bool}:
            columns[name] = pd.Series(values, dtype=object)
        else:
            raise WrongTable(f"column {name[:100]!r} must hold numbers, texts or booleans, one of them throughout")
    return pd.DataFrame(columns)


def frame_of_parquet(content: bytes, most_rows: int) -> pd.DataFrame:
    """A Parquet file as a table. Nothing in it can run code; its size is counted by its pages first.

    Raises:
        WrongTable: it is none, or too large.
    """
    try:
        rows = ParquetRows(content, MAX_UNPACKED)
        meta = rows.metadata
        if meta.num_rows > most_rows or meta.num_columns > MAX_COLUMNS:
            raise WrongTable(
                f"a file may have {most_rows:,} rows and {MAX_COLUMNS:,} columns, this one has {meta.num_rows:,} and "
                f"{meta.num_columns:,}"
            )
        if meta.num_rows * meta.num_columns > MAX_CELLS:
            raise WrongTable(_LARGE)
        flat = [field.name for field in rows.schema if not pa.types.is_nested(field.type)]
        table = rows.table(flat)
        # Without pandas' own notes in the file: they name types and an index, which the sender made.
        return table.replace_schema_metadata(None).to_pandas()
    except TooLarge as error:
        raise WrongTable(_LARGE) from error
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, WrongTable):
            raise
        raise WrongTable(
            f"the body is no Parquet file that can be read ({str(error).splitlines()[0][:200]})"
        ) from error


def like_reference(frame: pd.DataFrame, grid: Grid, kinds: Mapping[str, Kind]) -> pd.DataFrame:
    """The batch's columns that the grid judges, numbers as numbers.

    Raises:
        WrongTable: one is missing or of another kind.
    """
    columns: dict[str, pd.Series] = {}
    for name, laid in grid.judged.items():
        if name not in frame.columns:
            raise WrongTable(f"the batch has no column {name[:100]!r}, which the reference has")
        series = frame[name]
        if hasattr(laid, "edges") and series.isna().all():
            series = series.astype("float64")
        elif hasattr(laid, "edges") and kinds.get(name) != "numeric":
            raise WrongTable(f"column {name[:100]!r} is numeric in the reference and {series.dtype} in the batch")
        columns[name] = series
    return pd.DataFrame(columns)
