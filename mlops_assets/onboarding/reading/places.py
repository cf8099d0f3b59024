"""Where a row stands, in the words of a person who looks for it: `row 5 of t.csv (line 6)`.

Here: the place of the first row for which a condition holds. Not here: what is odd about it.

Rows are counted from 1, the header is none of them, in every sentence (`core.values.display.row_numbers`). A line of a
CSV file is what an editor shows: it is told beside the row where each row is one line.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.core.values.display import row_numbers
from mlops_assets.core.values.sql import exact, free_name, quoted
from mlops_assets.world.files.csv_lines import csv_head
from mlops_assets.world.files.empty_rows import RowNumbers
from mlops_assets.world.files.parquet_rows import row_numbers_in
from mlops_assets.world.files.refused_files import is_parquet

_CHUNK = 2**20


@dataclass(frozen=True)
class Cells:
    """The rows of some files as they were read.

    Attributes:
        connection: holds them.
        relation: all rows, one file after the other.
        files: what was read.
        counts: rows of each file that was counted so far.
        gone: numbers of rows that were left out, where a column of the data is called `rowid`.
    """

    connection: duckdb.DuckDBPyConnection
    relation: str
    files: Sequence[Path]
    counts: dict[Path, int] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)

    def place(self, condition: str, given: Mapping[str, object] | None = None) -> str:
        """The place of the first row for which a condition holds.

        Args:
            condition: in SQL.
            given: the values of its parameters.
        """
        query = f"select min({self.row}) from {self.numbered} where {condition}"
        row = int(self.connection.execute(query, dict(given or {})).fetchall()[0][0])
        if self.row != "rowid":
            # Rows are counted as they are now.
            for number in sorted(self.gone):
                row += number <= row
        for file, rows in self._rows_of_each():
            if row < rows:
                return f"{row_numbers([row])} of {file.name}{_line(file, row, rows)}"
            row -= rows
        raise LookupError(f"{condition} holds for no row of {', '.join(str(file) for file in self.files)}")

    @property
    def row(self) -> str:
        """What the number of a row, from 0, is called in SQL: `rowid`, unless a column of the data is."""
        return free_name("rowid", (name for (name,) in self.connection.execute(self._names).fetchall()))

    @property
    def _names(self) -> str:
        return f"select column_name from (describe {self.relation})"

    @property
    def numbered(self) -> str:
        """The rows with these numbers, in SQL."""
        row = self.row
        return (
            self.relation
            if row == "rowid"
            else f"(select row_number() over () - 1 as {row}, * from {self.relation}) as {self.relation}"
        )

    def leave_out(self, rows: Sequence[int] | RowNumbers) -> None:
        """Leave out rows by their numbers, from 0; the others keep theirs."""
        self.connection.register("rows_left_out", pa.table({"number": pa.array(rows, pa.int64())}))
        with self.by_place():
            self.connection.execute(f"delete from {self.relation} where rowid in (select number from rows_left_out)")
        self.connection.unregister("rows_left_out")
        if self.row != "rowid":
            self.gone.update(map(int, rows))

    @contextmanager
    def by_place(self) -> Iterator[None]:
        """While it lasts, `rowid` is the number of a row, also where a column of the data is called so."""
        names = [str(name) for (name,) in self.connection.execute(self._names).fetchall()]
        own = next((name for name in names if name.casefold() == "rowid"), None)
        if own is None:
            yield
            return
        other, rename = free_name("rowid_of_data", names), f"alter table {self.relation} rename column"
        self.connection.execute(f"{rename} {quoted(own)} to {other}")
        try:
            yield
        finally:
            self.connection.execute(f"{rename} {other} to {quoted(own)}")

    @property
    def rows_of_files(self) -> list[int]:
        """How many rows each file has."""
        return [rows for _, rows in self._rows_of_each()]

    def _rows_of_each(self) -> Iterator[tuple[Path, int]]:
        """The files with their rows, each counted when it is first asked for: to count a CSV file is to read it."""
        for file in self.files:
            if file not in self.counts:
                read = "read_parquet($file)" if is_parquet(file) else f"read_csv($file, {csv_head(file).duckdb()})"
                rows = self.connection.execute(f"select count(*) from {read}", {"file": exact(file)}).fetchall()
                self.counts[file] = int(rows[0][0])
            yield file, self.counts[file]

    def place_of(self, name: str, text: str) -> str:
        """The place of the first row in which a text, with blanks around it or not, stands in a column."""
        return self.place(f"trim({quoted(name)}) = $text", {"text": text})


def names_in(file: Path) -> dict[str, str]:
    """The names of a file's columns by what readers join them by."""
    if is_parquet(file):
        schema = pq.read_schema(file)
        return {name.casefold(): name for name in schema.names if name not in row_numbers_in(schema)}
    return {name.strip().casefold(): name for name in csv_head(file).names}


def _line(file: Path, row: int, rows: int) -> str:
    """The line of a row; empty where there are none, or some rows have several."""
    if is_parquet(file):
        return ""
    head = csv_head(file)
    above = head.skipped + 1
    return f" (line {row + 1 + above:,})" if _lines(file, file.stat().st_mtime_ns) == rows + above else ""


@lru_cache(maxsize=64)
def _lines(file: Path, _written: int) -> int:
    """The lines of a text file."""
    count, last = 0, b"\n"
    with gzip.open(file, "rb") if file.suffix.lower() == ".gz" else file.open("rb") as content:
        while chunk := content.read(_CHUNK):
            count, last = count + chunk.count(b"\n"), chunk[-1:]
    return count + (last != b"\n")
