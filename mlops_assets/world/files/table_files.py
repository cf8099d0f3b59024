"""Parquet and CSV files as one table, read batch by batch.

Here: which files a path, a folder or a glob means, what their columns are, and their rows in frames of a
bounded size. Not here: what is done with them (`drift_files`), the lake's own files (`lake`).

A batch is at most 131,072 rows and about 32 MB. Parquet is read once a pass, by pyarrow; while one batch is
worked on, the next is read. CSV is read twice more before the first pass, so that a column has one type
however late its first text comes.
"""

from __future__ import annotations

import codecs
import gzip
from collections.abc import Collection, Iterator, Mapping, Sequence
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
from mlops_assets.core.values.csv_head import LONGEST, CsvHead, NoHead, head_of
from mlops_assets.core.values.exact import boolean_of
from mlops_assets.core.values.sql import exact, literal, quoted
from mlops_assets.core.values.text_formats import MISSING, NUMBER_FORMATS
from mlops_assets.core.values.text_numbers import NumberTexts, plain_numbers
from mlops_assets.core.values.text_times import TimeTexts
from mlops_assets.world.files.flag_columns import are_flags, in_one_spelling, may_be_flag
from mlops_assets.world.files.parquet_rows import BATCH_BYTES, ParquetRows
from mlops_assets.world.files.text_columns import are_times, look_at_points, look_at_texts
from mlops_assets.world.files.type_words import TIME, same_type, words_of
from mlops_assets.world.files.unpacked_size import HoldsNul, TooLarge, refuse_nul, unpacks_to_more
from mlops_assets.world.home import Limits

PARQUET = (".parquet", ".pq")
CSV = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
BATCH_ROWS, MIN_BATCH_ROWS = 131_072, 4_096
DENSE = 100
"""So many times its size on disk no table of data unpacks to; CSV in gzip is 3 to 20 times as large."""

ColumnKind = Kind | Literal["boolean", "empty", "other"]
_WORDS: Mapping[ColumnKind, str] = {"numeric": "a number", "categorical": "text"}
_CSV_KINDS: Mapping[str, ColumnKind] = {
    **dict.fromkeys(("BIGINT", "HUGEINT", "DOUBLE", *NUMBER_FORMATS), "numeric"),
    "VARCHAR": "categorical",
    "BOOLEAN": "boolean",
}
"""Of the types that DuckDB may find in CSV files, and of the formats of numbers that are texts to it."""
T = TypeVar("T")


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
        csv_types: DuckDB's types of each CSV file's columns, or the format of numbers that are texts to it; finding
            them again would be reading the file again.
        limit: bytes that a page, or the texts of a batch, may have.
    """

    name: str
    paths: tuple[Path, ...]
    kinds: Mapping[str, ColumnKind]
    left_out: Mapping[str, str]
    others: Mapping[str, str]
    flags: frozenset[str]
    long: frozenset[str]
    csv_types: Mapping[Path, Mapping[str, str]]
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

    def holds_flags(self, column: str) -> bool:
        """Whether a column of numbers holds nothing but 0 and 1, or one of texts some word for true or false."""
        arrays = (batch.column(0) for batch in self._batches([column], BATCH_ROWS))
        values = (value for array in arrays for value in array.drop_null().unique().to_pylist())
        if self.kinds[column] == "numeric":
            return all(value != value or value in (0, 1) for value in values)
        return any(boolean_of(str(value)) is not None for value in values)

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
        found: list[Any] = []
        with duckdb.connect() as session:
            for path in self.paths:
                with _told(path):
                    if is_parquet(path) and column in self.long:
                        for batch in ParquetRows(path, self.limit).batches([column], BATCH_ROWS):
                            dtype = batch.column(0).type
                            if not (pa.types.is_decimal(dtype) or pa.types.is_uint64(dtype)):
                                break
                            found += pc.min_max(batch.column(0)).as_py().values()
                    elif is_large and self.csv_types.get(path, {}).get(column) in ("DOUBLE", "HUGEINT"):
                        table = _read_csv(path, {**self.csv_types[path], column: "VARCHAR"})
                        whole = f"try_cast({quoted(column)} as decimal(38, 0))"
                        found += session.sql(f"SELECT min({whole}), max({whole}) FROM ({table})").fetchall()[0]
        return [Decimal(end) for end in found if end is not None]

    def _batches(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        # One session for all files: opening one costs more than reading a small file.
        with duckdb.connect() as session:
            for path in self.paths:
                with _told(path):
                    if is_parquet(path):
                        yield from ParquetRows(path, self.limit).batches(columns, rows)
                    else:
                        chosen = ", ".join(quoted(column) for column in columns)
                        table = _read_csv(path, self.csv_types[path])
                        for batch in session.sql(f"SELECT {chosen} FROM ({table})").to_arrow_reader(rows):
                            yield _with_numbers(batch, self.csv_types[path])


def open_table(name: str) -> TableFiles:
    """The files that a path, a folder or a glob means, and their columns; no row is kept.

    Raises:
        FileNotFoundError: there are none.
        ValueError: one of them is neither Parquet nor CSV, or cannot be read.
    """
    paths = matches(name)
    csv_types: dict[Path, Mapping[str, str]] = {}
    found: dict[Path, dict[str, ColumnKind]] = {}
    words: dict[Path, dict[str, str]] = {}
    flags: set[str] = set()
    long: set[str] = set()
    limit = Limits.here().file_bytes
    with duckdb.connect() as session:
        for path in paths:
            with _told(path):
                refuse_dense(path, limit)
                if is_parquet(path):
                    found[path], words[path], wide = _parquet_columns(path, limit)
                    long |= wide
                else:
                    csv_types[path], found[path] = _csv_columns(session, path)
                    words[path] = {name: TIME for name, kind in found[path].items() if kind == "other"}
            flags |= {name for name, kind in found[path].items() if kind == "boolean"}
            # To whoever counts, a flag is a category like others.
            found[path] = {n: "categorical" if kind == "boolean" else kind for n, kind in found[path].items()}
    kinds: dict[str, ColumnKind] = {}
    left_out: dict[str, str] = {}
    others: dict[str, str] = {}
    for column in dict.fromkeys(column for columns in found.values() for column in columns):
        absent = next((path for path, columns in found.items() if column not in columns), None)
        known = {columns[column]: path for path, columns in found.items() if columns.get(column, "empty") != "empty"}
        seen = {words[path].get(column) or _WORDS[kind]: path for kind, path in known.items()}
        seen |= {words[path][column]: path for path in found if column in words[path]}
        if absent is not None:
            left_out[column] = f"{absent.name} doesn't have it"
        elif not all(same_type(one, another) for one, another in pairwise(seen)):
            left_out[column] = ", ".join(f"{word} in {path.name}" for word, path in seen.items())
        else:
            kinds[column] = next(iter(known), "empty")
            if kinds[column] == "other":
                others[column] = next(iter(seen))
    return TableFiles(name, tuple(paths), kinds, left_out, others, frozenset(flags), frozenset(long), csv_types, limit)


def matches(name: str) -> list[Path]:
    """The files that a path, a folder or a glob means.

    Raises:
        FileNotFoundError: there are none.
        ValueError: one of them is neither Parquet nor CSV by its name.
    """
    asked = Path(name).expanduser()
    if asked.is_file():
        paths = [asked]
    elif asked.is_dir():
        paths = [path for path in sorted(asked.rglob("*")) if _is_table(path)]
    else:
        root = Path(asked.anchor)
        paths = [path for path in sorted(root.glob(str(asked.relative_to(root)))) if path.is_file()]
    if not paths:
        raise FileNotFoundError(
            f"No file matches {name!r}. Give a Parquet or CSV file, a folder of them, or a glob in quotes such as "
            "'days/*.parquet'."
        )
    wrong = [path for path in paths if not _is_table(path)]
    if wrong:
        raise ValueError(
            f"{wrong[0]} is neither Parquet nor CSV by its name. Give files that end in "
            f"{', '.join((*PARQUET, *CSV))}, or narrow the glob."
        )
    return paths


def refuse_dense(path: Path, limit: int, *, with_texts: bool = False) -> None:
    """Refuse a file that unpacks to more than the limit, and to more than data do, and a CSV with a NUL in it.

    Args:
        path: CSV or Parquet.
        limit: bytes.
        with_texts: whether texts of Parquet are counted as often as they stand in rows, as they are in memory.

    Raises:
        ValueError: naming the file.
    """
    most = max(limit, DENSE * path.stat().st_size)
    try:
        if is_parquet(path):
            ParquetRows(path, limit).refuse_more_than(most, with_texts=with_texts)
        elif unpacks_to_more(path, most):
            raise TooLarge(limit)
        else:
            with path.open("rb") as content:
                refuse_nul(path.name, content)
    except (TooLarge, HoldsNul) as error:
        raise ValueError(f"{path} cannot be read: {error}. Nothing was changed.") from error


def csv_head(path: Path) -> CsvHead:
    """The names of a CSV file's columns and how it is written.

    Raises:
        NoHead: it begins with an empty line.
        UnicodeDecodeError: its beginning is not UTF-8.
    """
    with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
        start = file.read(LONGEST)
    # What is cut off in the middle of a letter is no fault.
    return head_of(codecs.getincrementaldecoder("utf-8")().decode(start))


def _is_table(path: Path) -> bool:
    return path.name.lower().endswith((*PARQUET, *CSV)) and not path.name.startswith(".")


def is_parquet(path: Path) -> bool:
    """Whether a file is Parquet by its name."""
    return path.name.lower().endswith(PARQUET)


# --- columns -----------------------------------------------------------------------------------------------


def _parquet_columns(path: Path, limit: int) -> tuple[dict[str, ColumnKind], dict[str, str], set[str]]:
    """The kinds of the columns, of `other` ones what they are, and which may have more digits than a float."""
    rows = ParquetRows(path, limit)
    schema = rows.metadata.schema.to_arrow_schema()
    kinds = {field.name: _kind(field.type) for field in schema}
    words = {field.name: words_of(field.type) for field in schema if kinds[field.name] == "other"}
    for name in [name for name in kinds if kinds[name] == "categorical" and may_be_flag(rows.ends(name))]:
        if are_flags(batch.column(0) for batch in rows.batches([name], BATCH_ROWS)):
            kinds[name] = "boolean"
    long = {field.name for field in schema if pa.types.is_decimal(field.type) or pa.types.is_uint64(field.type)}
    return kinds, words, long


def _csv_columns(session: duckdb.DuckDBPyConnection, path: Path) -> tuple[dict[str, str], dict[str, ColumnKind]]:
    """Types and kinds by all rows of the file, not by its first ones.

    Where every comma has three digits behind it, 1,234 may be a thousand and more: such a column stays a text.
    """
    told = session.sql(f"DESCRIBE {_read_csv(path, None)}").fetchall()
    types = {str(row[0]): str(row[1]) for row in told}
    texts = [name for name, dtype in types.items() if dtype == "VARCHAR"]
    empty: set[str] = set()
    if texts:
        relation = f"({_read_csv(path, types)})"
        counted = ", ".join(f"count({column})" for column in map(quoted, texts))
        (counts,) = session.sql(f"SELECT {counted} FROM {relation}").fetchall()
        empty = {name for name, count in zip(texts, counts, strict=True) if not count}
        types |= {name: _type_of(look_at_texts(session, relation, name)) for name in texts if name not in empty}
    if any(dtype.startswith("comma") for dtype in types.values()):
        types |= _beside_commas(session, path, types)
    kinds: dict[str, ColumnKind] = {
        name: "empty" if name in empty else _CSV_KINDS.get(dtype, "other") for name, dtype in types.items()
    }
    return types, kinds


def _beside_commas(session: duckdb.DuckDBPyConnection, path: Path, types: Mapping[str, str]) -> dict[str, str]:
    """Columns such as 2.989 in a file with decimal commas: thousands, and texts if it has decimal points as well."""
    floats = [name for name, dtype in types.items() if dtype == "DOUBLE"]
    relation = f"({_read_csv(path, {**types, **dict.fromkeys(floats, 'VARCHAR')})})"
    looks = {name: look_at_points(session, relation, name) for name in floats}
    has_points = any(look.point for look in looks.values()) or any(
        dtype.startswith("point") for dtype in types.values()
    )
    return {n: "VARCHAR" if has_points else "comma" for n, look in looks.items() if look.either and not look.point}


def _type_of(look: TimeTexts | NumberTexts | None) -> str:
    """What a text column holds: times, numbers in one format, or texts."""
    if look is None or look.failed:
        return "VARCHAR"
    if isinstance(look, TimeTexts):
        return TIME
    mark = look.mark
    return "VARCHAR" if mark is None or look.special is None or look.why_not else look.format(mark)


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


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, each made while the one before is worked on."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        coming = reader.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = reader.submit(next, items, None)
            yield item


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


def _read_csv(path: Path, types: Mapping[str, str] | None) -> str:
    missing = ", ".join(literal(value) for value in MISSING)
    # No dates: they are looked for by the one reader of times, in which no order of day and month is guessed.
    known = "sample_size=-1, auto_type_candidates=['BOOLEAN', 'BIGINT', 'DOUBLE', 'VARCHAR']"
    if types is not None:
        read_as = {name: "VARCHAR" if dtype in (TIME, *NUMBER_FORMATS) else dtype for name, dtype in types.items()}
        known = f"types={{{', '.join(f'{literal(name)}: {literal(dtype)}' for name, dtype in read_as.items())}}}"
    return f"SELECT * FROM read_csv({literal(exact(path))}, {csv_head(path).duckdb}, nullstr=[{missing}], {known})"


def _with_numbers(batch: pa.RecordBatch, types: Mapping[str, str]) -> pa.RecordBatch:
    """Rows of a CSV file with the numbers that are texts to DuckDB."""
    for place, name in enumerate(batch.schema.names):
        if (written := next((form for form in NUMBER_FORMATS if form == types[name]), None)) is not None:
            numbers = pd.to_numeric(plain_numbers(batch.column(place).to_pandas(), written))
            batch = batch.set_column(place, name, pa.array(numbers, pa.float64(), from_pandas=True))
    return batch


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Errors of the readers in words that end in the remedy."""
    try:
        yield
    except NoHead as error:
        raise ValueError(f"{path} {error}. Nothing was changed.") from error
    except (pa.ArrowException, OSError, duckdb.Error, UnicodeDecodeError) as error:
        if isinstance(error, UnicodeDecodeError) or "not utf-8 encoded" in str(error):
            told = f"{path} is not UTF-8. Convert it, for example with `iconv -f latin1 -t utf-8`. Nothing was changed."
            raise ValueError(told) from error
        first = str(error).strip().partition("\n")[0].rstrip(".")
        raise ValueError(
            f"{path} cannot be read: {first}. It may be cut short or still being written: wait, or write it again. "
            "Nothing was changed."
        ) from error
