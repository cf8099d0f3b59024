"""Parquet and CSV files as one table, read batch by batch.

Here: what the columns of files are, and their rows in frames of a bounded size. Not here: which files are meant
(`matching`), one CSV file (`csv_tables`), what is done with the rows (`drift_files`), the lake's own files (`lake`).

A batch is at most 131,072 rows and about 32 MB. Parquet is read once a pass, by pyarrow; while one batch is
worked on, the next is read. CSV is read twice more before the first pass, so that a column has one type
however late its first text comes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeVar

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.core.drift.grid import Kind
from mlops_assets.core.values.display import shown
from mlops_assets.core.values.exact import boolean_of
from mlops_assets.core.values.sql import quoted
from mlops_assets.core.values.text_formats import NUMBER_FORMATS, Mark
from mlops_assets.world.files.csv_lines import uneven_row
from mlops_assets.world.files.csv_tables import CsvTable, with_numbers
from mlops_assets.world.files.empty_rows import noted
from mlops_assets.world.files.flag_columns import are_flags, in_one_spelling, may_be_flag
from mlops_assets.world.files.matching import matches
from mlops_assets.world.files.number_columns import are_signed, may_be_numbers
from mlops_assets.world.files.parquet_rows import BATCH_BYTES, ParquetRows
from mlops_assets.world.files.refused_files import is_parquet, refuse_file
from mlops_assets.world.files.text_columns import are_times
from mlops_assets.world.files.type_words import TIME, same_type, words_of
from mlops_assets.world.home import Limits
from mlops_assets.world.parquet import connected

BATCH_ROWS, MIN_BATCH_ROWS = 131_072, 4_096

ColumnKind = Kind | Literal["boolean", "empty", "other"]
_WORDS: Mapping[ColumnKind, str] = {"numeric": "a number", "categorical": "text"}
_CSV_KINDS: Mapping[str, ColumnKind] = {
    **dict.fromkeys(("BIGINT", "HUGEINT", "DOUBLE", *NUMBER_FORMATS), "numeric"),
    "VARCHAR": "categorical",
    "BOOLEAN": "boolean",
}
"""Of the types that DuckDB may find in CSV files, and of the formats of numbers that are texts to it."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class TableFiles:
    """Files that are read as one table.

    Attributes:
        name: what was asked for.
        paths: the files, by name; at least one.
        kinds: column -> numeric, categorical, `empty` (no value in any file, of any type) or `other` (times,
            lists and the like), for columns that all files have.
        left_out: column -> why it isn't among them.
        others: column of kind `other` -> what it is, in words.
        flags: columns that hold true and false in some file, as booleans or in words.
        long: columns of Parquet whose type may hold more digits than a float.
        csv: the CSV files among them.
        signed: columns of texts of each Parquet file that hold numbers with their sign.
        limit: bytes that a page, or the texts of a batch, may have.
    """

    name: str
    paths: tuple[Path, ...]
    kinds: Mapping[str, ColumnKind]
    left_out: Mapping[str, str]
    others: Mapping[str, str]
    flags: frozenset[str]
    long: frozenset[str]
    csv: Mapping[Path, CsvTable]
    signed: Mapping[Path, frozenset[str]]
    limit: int

    def batches(self, kinds: Mapping[str, Kind], flags: Collection[str] = ()) -> Iterator[pd.DataFrame]:
        """The rows of these columns: numbers as numbers, the rest as categories.

        Args:
            kinds: of the columns.
            flags: those in which true and false are one category each, however they are spelled.

        Raises:
            ValueError: a file cannot be read to its end.
        """
        rows = max(MIN_BATCH_ROWS, min(BATCH_ROWS, BATCH_BYTES // (8 * max(len(kinds), 1))))
        return _ahead(_frame(batch, kinds, flags) for batch in self._batches(list(kinds), rows))

    @property
    def notes(self) -> list[str]:
        """What is said of rows that are not read."""
        return [note for path, table in self.csv.items() for note in noted(table.empty_rows, f" of {path.name}")]

    def holds_flags(self, column: str) -> bool:
        """Whether a column of numbers holds nothing but 0 and 1, or one of texts some word for true or false."""
        arrays = (batch.column(0) for batch in self._batches([column], BATCH_ROWS))
        values = (value for array in arrays for value in array.drop_null().unique().to_pylist())
        if self.kinds[column] == "numeric":
            return all(value != value or value in (0, 1) for value in values)
        return any(boolean_of(str(value)) is not None for value in values)

    def marks(self, column: str) -> dict[Mark, Path]:
        """The decimal marks of a column's numbers in CSV, each with the first file that has it."""
        marks: dict[Mark, Path] = {}
        for path, table in self.csv.items():
            if (mark := table.mark(column)) is not None:
                marks.setdefault(mark, path)
        return marks

    def first_text(self, column: str) -> str:
        """The first cell of a column in CSV that is no number, and its place, in brackets; else empty."""
        texts = (_first_text(table, column) for table in self.csv.values() if column not in table.empty)
        return next(filter(None, texts), "")

    def holds_times(self, column: str) -> bool:
        """Whether all texts of a column are times; no more are read than it takes to know."""
        return self.kinds[column] == "categorical" and are_times(
            batch.column(0) for batch in self._batches([column], BATCH_ROWS)
        )

    def long_ends(self, column: str, *, is_large: bool) -> list[Decimal]:
        """The smallest and the largest number of a column in each file, where it may have more digits than a float.

        Args:
            column: of numbers.
            is_large: whether some lie beyond 2^53; below it CSV files are not read again.
        """
        ends: list[Any] = []
        with connected() as session:
            for path in self.paths:
                with _with_remedies(path):
                    if is_parquet(path) and column in self.long:
                        for batch in ParquetRows(path, self.limit).batches([column], BATCH_ROWS):
                            dtype = batch.column(0).type
                            if not (pa.types.is_decimal(dtype) or pa.types.is_uint64(dtype)):
                                break
                            ends += pc.min_max(batch.column(0)).as_py().values()
                    elif is_large and path in self.csv and self.csv[path].types[column] in ("DOUBLE", "HUGEINT"):
                        whole = f"try_cast({quoted(column)} as decimal(38, 0))"
                        table = self.csv[path].select([column])
                        ends += session.sql(f"SELECT min({whole}), max({whole}) FROM ({table})").fetchall()[0]
        return [Decimal(end) for end in ends if end is not None]

    def _batches(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        with connected() as session:
            for path in self.paths:
                with _with_remedies(path):
                    if is_parquet(path):
                        written = dict.fromkeys(self.signed[path], "point")
                        for batch in ParquetRows(path, self.limit).batches(columns, rows):
                            yield with_numbers(_without_blanks(batch), written)
                    else:
                        chosen = ", ".join(quoted(column) for column in columns)
                        table = self.csv[path]
                        for batch in session.sql(f"SELECT {chosen} FROM ({table.select()})").to_arrow_reader(rows):
                            yield with_numbers(batch, table.types)


def open_table(name: str) -> TableFiles:
    """The files that a path, a folder or a glob means, and their columns; no row is kept.

    Raises:
        FileNotFoundError: there are none.
        ValueError: one of them is neither Parquet nor CSV, or cannot be read.
    """
    paths = matches(name)
    csv: dict[Path, CsvTable] = {}
    kinds_of: dict[Path, dict[str, ColumnKind]] = {}
    words: dict[Path, dict[str, str]] = {}
    signed: dict[Path, frozenset[str]] = {}
    flags: set[str] = set()
    long: set[str] = set()
    limit = Limits.here().file_bytes
    with connected() as session:
        for path in paths:
            with _with_remedies(path):
                refuse_file(path, limit)
                if is_parquet(path):
                    kinds_of[path], words[path], wide, signed[path] = _parquet_columns(path, limit)
                    long |= wide
                else:
                    csv[path] = CsvTable.of(session, path)
                    kinds_of[path] = _csv_kinds(csv[path])
                    words[path] = {name: TIME for name, kind in kinds_of[path].items() if kind == "other"}
            flags |= {name for name, kind in kinds_of[path].items() if kind == "boolean"}
            # To whoever counts, a flag is a category like others.
            kinds_of[path] = {n: "categorical" if kind == "boolean" else kind for n, kind in kinds_of[path].items()}
    kinds: dict[str, ColumnKind] = {}
    left_out = _unnamed(csv.values())
    others: dict[str, str] = {}
    for column in dict.fromkeys(column for columns in kinds_of.values() for column in columns):
        absent = next((path for path, columns in kinds_of.items() if column not in columns), None)
        known = {columns[column]: path for path, columns in kinds_of.items() if columns.get(column, "empty") != "empty"}
        seen = {words[path].get(column) or _WORDS[kind]: path for kind, path in known.items()}
        seen |= {words[path][column]: path for path in kinds_of if column in words[path]}
        if absent is not None:
            left_out[column] = f"{absent.name} doesn't have it"
        elif not all(same_type(previous, another) for previous, another in pairwise(seen)):
            left_out[column] = ", ".join(f"{word} in {path.name}" for word, path in seen.items())
            if text := csv.get(known["categorical"]) if {"numeric", "categorical"} <= known.keys() else None:
                left_out[column] += _first_text(text, column)
        else:
            kinds[column] = next(iter(known), "empty")
            if kinds[column] == "other":
                others[column] = next(iter(seen))
    return TableFiles(
        name, tuple(paths), kinds, left_out, others, frozenset(flags), frozenset(long), csv, signed, limit
    )


# --- columns -----------------------------------------------------------------------------------------------


def _parquet_columns(path: Path, limit: int) -> tuple[dict[str, ColumnKind], dict[str, str], set[str], frozenset[str]]:
    """The kinds of the columns, of `other` ones what they are, those with many digits, and those of signed texts."""
    rows = ParquetRows(path, limit)
    kinds = {field.name: _kind(field.type) for field in rows.schema}
    words = {field.name: words_of(field.type) for field in rows.schema if kinds[field.name] == "other"}
    for name in [name for name in kinds if kinds[name] == "categorical" and may_be_flag(rows.ends(name))]:
        if are_flags(batch.column(0) for batch in rows.batches([name], BATCH_ROWS)):
            kinds[name] = "boolean"
    texts = [name for name, kind in kinds.items() if kind == "categorical" and may_be_numbers(rows.ends(name))]
    each = {name: (_without_blanks(batch).column(0) for batch in rows.batches([name], BATCH_ROWS)) for name in texts}
    signed = frozenset(name for name, arrays in each.items() if are_signed(arrays))
    kinds |= dict.fromkeys(signed, "numeric")
    long = {field.name for field in rows.schema if pa.types.is_decimal(field.type) or pa.types.is_uint64(field.type)}
    return kinds, words, long, signed


def _unnamed(tables: Iterable[CsvTable]) -> dict[str, str]:
    """Columns with values and no name: readers call them as they like, and two files' need not be the same."""
    return {
        f"column {place}": f"it has no name in {table.path.name}"
        for table in tables
        for name, place in table.unnamed.items()
        if name not in table.empty
    }


def _first_text(table: CsvTable, column: str) -> str:
    """The first cell of a column that is no number, and its row, in brackets."""
    with connected() as session:
        first = session.execute(
            f"SELECT place, cell FROM (SELECT row_number() OVER () AS place, {quoted(column)} AS cell FROM "
            f"({table.select([column], with_empty=True)})) WHERE try_cast(cell AS DOUBLE) IS NULL "
            "AND cell IS NOT NULL LIMIT 1"
        ).fetchone()
    return f" ({shown(str(first[1]))} in row {first[0]:,} of {table.path.name})" if first else ""


def _csv_kinds(table: CsvTable) -> dict[str, ColumnKind]:
    named = {name: dtype for name, dtype in table.types.items() if name not in table.unnamed}
    return {n: "empty" if n in table.empty else _CSV_KINDS.get(dtype, "other") for n, dtype in named.items()}


def _kind(dtype: pa.DataType) -> ColumnKind:
    if pa.types.is_null(dtype):
        return "empty"
    if pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype):
        return "numeric"
    if pa.types.is_boolean(dtype):
        return "boolean"
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return "categorical" if pa.types.is_dictionary(dtype) or any(is_a(dtype) for is_a in texts) else "other"


# --- rows --------------------------------------------------------------------------------------------------


def _ahead(items: Iterator[_T]) -> Iterator[_T]:
    """The same items, each made while the one before is worked on."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        coming = reader.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = reader.submit(next, items, None)
            yield item


def _without_blanks(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same rows; texts of nothing but white space are missing, as they are in CSV files."""
    for place, array in enumerate(batch.columns):
        texts = array.dictionary if pa.types.is_dictionary(array.type) else array
        if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
            continue
        blank = pc.utf8_is_space(texts)
        if not pc.any(blank).as_py():
            continue
        if texts is not array:
            blank = pc.take(blank, array.indices)
        none = pa.nulls(len(array), array.type)
        batch = batch.set_column(place, batch.schema.names[place], pc.if_else(blank, none, array))
    return batch


def _frame(batch: pa.RecordBatch, kinds: Mapping[str, Kind], flags: Collection[str] = ()) -> pd.DataFrame:
    arrays = []
    for name, kind in kinds.items():
        array = batch.column(name)
        plain = pa.types.is_integer(array.type) or pa.types.is_floating(array.type)
        if kind == "numeric" and not plain:
            array = array.cast(pa.float64())
        elif kind == "categorical" and not pa.types.is_dictionary(array.type):
            array = array.cast(pa.string()).dictionary_encode()
        arrays.append(in_one_spelling(array) if name in flags else array)
    return pa.RecordBatch.from_arrays(arrays, names=list(kinds)).to_pandas(split_blocks=True)


@contextmanager
def _with_remedies(path: Path) -> Iterator[None]:
    """Errors of the readers in words that end in the remedy."""
    try:
        yield
    except (pa.ArrowException, OSError, duckdb.Error, UnicodeDecodeError) as error:
        if isinstance(error, UnicodeDecodeError) or "not utf-8 encoded" in str(error):
            msg = f"{path} is not UTF-8. Convert it, for example with `iconv -f latin1 -t utf-8`. Nothing was changed."
            raise ValueError(msg) from error
        if "sniffing file" in str(error) and (uneven := uneven_row(path)):
            msg = f"{path} cannot be read: {uneven}. Put what holds a separator into quotes. Nothing was changed."
            raise ValueError(msg) from error
        first = str(error).strip().partition("\n")[0].rstrip(".")
        raise ValueError(
            f"{path} cannot be read: {first}. It may be cut short or still being written: wait, or write it again. "
            "Nothing was changed."
        ) from error
