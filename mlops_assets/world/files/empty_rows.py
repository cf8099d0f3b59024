"""Rows of a CSV file whose cells are all empty or blank, as spreadsheets write between and behind the rows.

Here: where they are, as readers count rows. They are no rows of data: who reads the file leaves them out and says so.
Not here: cells with a word for missing (a row of nothing but `NA` is a row), files of one column, in which an empty
line is a row without a value or none, as the reader has it.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd

from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.values.csv_head import CsvHead
from mlops_assets.core.values.display import row_numbers
from mlops_assets.core.values.sql import exact, free_name, is_blank, literal, quoted
from mlops_assets.world.files.csv_lines import csv_head

_CHUNK = 2**22
_LONGEST = 2**16
"""Bytes of a row without a value, at most: names of so many columns no reader takes."""
_SHOWN = 3

RowNumbers = npt.NDArray[np.int64]
"""Numbers of rows, from 0, in order."""


def may_have_empty_rows(content: IO[bytes] | gzip.GzipFile, head: CsvHead) -> bool:
    """Whether a line holds separators, quotes and white space alone; within quotes it is no row, so the rows decide.

    Most files have none, and are asked at a gigabyte a second.
    """
    separator = re.escape(head.separator.encode())
    # What is no ASCII character may be white space, too.
    empty = rb'[ \t\x0b\x0c"\x1c-\x1f\x80-\xff' + separator + rb"]"
    line = re.compile(rb"[\r\n]" + empty + rb"*" + separator + empty + rb"*(?=[\r\n]|\Z)")
    begins = np.array([re.match(empty, bytes([byte])) is not None for byte in range(256)])
    rest = b""
    for chunk in iter(partial(content.read, _CHUNK), b""):
        text = rest + chunk
        end = max(text.rfind(b"\n"), text.rfind(b"\r"))
        letters = np.frombuffer(text, dtype=np.uint8)
        ends = (letters[:-1] == ord("\n")) | (letters[:-1] == ord("\r"))
        # Whether its last line is empty the next piece tells.
        if end > 0 and begins[letters[1:][ends]].any() and line.search(text[: end + 1]):
            return True
        rest = text[max(end, 0) :][:_LONGEST]
    return line.search(rest) is not None


def empty_rows(session: duckdb.DuckDBPyConnection, path: Path) -> RowNumbers:
    """Numbers of the rows of a CSV file without a value, counted from 0, in order.

    Args:
        session: any; nothing is kept in it.
        path: the file.
    """
    head = csv_head(path)
    with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as content:
        if not may_have_empty_rows(content, head):
            return np.zeros(0, dtype=np.int64)
    rows = f"read_csv({literal(exact(path))}, {head.duckdb()}, all_varchar = true, nullstr = [''])"
    names = [str(row[0]) for row in session.sql(f"DESCRIBE FROM {rows}").fetchall()]
    number = free_name("number", names)
    is_empty = " AND ".join(f"({name} IS NULL OR {is_blank(name)})" for name in map(quoted, names))
    query = f"SELECT row_number() OVER () - 1 AS {number}, {is_empty} FROM {rows}"
    empty = session.sql(f"SELECT {number} FROM ({query}) AS t({number}, is_empty) WHERE is_empty ORDER BY 1")
    # There may be millions of them behind a few rows.
    return np.asarray(empty.fetchnumpy()[number], dtype=np.int64)


def rows_without_values(texts: pd.DataFrame) -> RowNumbers:
    """Numbers of the rows of a frame without a value, from 0: its cells are the texts that stand in the file."""
    is_empty = np.ones(len(texts), dtype=np.bool_)
    for _, cells in texts.items():
        is_empty &= (cells.isna() | cells.str.fullmatch(r"\s*").eq(other=True)).to_numpy(dtype=np.bool_)
    return np.flatnonzero(is_empty)


def noted(empty: Sequence[int] | RowNumbers, where: str = "") -> list[str]:
    """What is said of rows without a value that were left out, if any.

    Args:
        empty: their numbers, from 0.
        where: the file, as ` of t.csv`, where that is not clear.
    """
    if not len(empty):
        return []
    were = "was" if len(empty) == 1 else "were"
    return [
        f"{counted(len(empty), 'row')} without a value ({row_numbers(_first(empty), _SHOWN)}{where}) {were} left out."
    ]


def counted_without(empty: Sequence[int] | RowNumbers, rows: int) -> list[str]:
    """What is said where rows are told by their numbers, and empty ones before them are not counted.

    Args:
        empty: their numbers, from 0.
        rows: how many others there are.
    """
    places = np.asarray(empty, dtype=np.int64)
    between = _first(places[places - np.arange(len(places)) < rows])
    return [f"Rows are counted without those that have no value: {row_numbers(between, _SHOWN)}."] if between else []


def _first(rows: Sequence[int] | RowNumbers) -> list[int]:
    """As many as are shown, and one more, by which more are known."""
    return [int(row) for row in rows[: _SHOWN + 1]]
