"""A person's files as a DuckDB relation, cell by cell as they stand.

Here: reading CSV and Parquet, the errors of unreadable files, numbers beside decimal commas. Not here: words that mean
missing (`missing_words`), what the texts are taken for (`texts`), facts about columns (`table`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.values.column_names import fault_of_name
from mlops_assets.core.values.csv_head import CsvHead, NoHead
from mlops_assets.core.values.display import shown
from mlops_assets.core.values.sql import exact, literal, quoted
from mlops_assets.core.values.text_numbers import NumberTexts
from mlops_assets.onboarding.odd.merged_codes import Merged, merged_codes
from mlops_assets.onboarding.reading.exact_types import (
    codes_among_floats,
    columns_of,
    refuse_rounded,
    settle_types,
    too_wide,
    with_texts,
)
from mlops_assets.onboarding.reading.instructions import Reading
from mlops_assets.onboarding.reading.missing_words import MissingWords, empty_words, merged, without_words, words_in
from mlops_assets.onboarding.reading.parquet_parts import union_of
from mlops_assets.onboarding.reading.places import Cells
from mlops_assets.onboarding.reading.texts import Looks, has_commas, looks_of, may_have_commas, points_of
from mlops_assets.world.files.csv_lines import csv_head, uneven_row
from mlops_assets.world.files.matching import matches
from mlops_assets.world.files.number_columns import hex_columns, signed_type
from mlops_assets.world.files.refused_files import is_parquet, refuse_file
from mlops_assets.world.home import Limits

_TYPES = "['BOOLEAN', 'BIGINT', 'DOUBLE', 'VARCHAR']"
"""What DuckDB may take CSV columns for; times are read by `texts`, in which no order of day and month is guessed."""
_LONGEST = 200
"""Characters of a line of DuckDB's."""
MOST_COLUMNS = 2_000
"""Columns of a table: the time that they take grows with their square, and is a minute for so many."""


class UnreadableTable(ValueError):
    """The files are no table that can be landed; the message ends in the remedy."""


@dataclass(frozen=True)
class Loaded:
    """What stands in the columns of a relation.

    Attributes:
        looks: at those of type VARCHAR.
        points: at columns of numbers in a CSV file whose decimal mark is a comma or open. Where it is a comma, those
            that have a point are of type VARCHAR.
        words: texts that were read as missing, beside empty cells, each with the columns and how often.
        codes: columns of numbers in a CSV file whose texts tell more than the numbers.
        notes: what was assumed.
        left_out: what is said of columns that were left out.
    """

    looks: Looks
    points: Mapping[str, NumberTexts] = field(default_factory=dict)
    words: MissingWords = field(default_factory=dict)
    codes: Mapping[str, Merged] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def load_parquet(
    connection: duckdb.DuckDBPyConnection, relation: str, files: Sequence[Path], reading: Reading, pattern: str
) -> Loaded:
    """Load Parquet files; see `load_csv`."""
    _refuse_unreadable(files)
    for file in files:
        _refuse_wide(pq.read_schema(file).names, file, reading)
        if wide := too_wide(file):
            raise UnreadableTable(
                f"{file} has decimals of more than 38 digits in {wide}, which would be rounded. Write the column as "
                "text. Nothing was written."
            )
    with _readable(pattern):
        union, notes = union_of(connection, files, reading)
        connection.execute(f"create or replace table {relation} as {union}")
    words = empty_words(connection, relation, reading)
    refuse_rounded(Cells(connection, relation, files), reading)
    settle_types(connection, relation, reading.texts)
    # NaN is how floats of Parquet files are missing.
    notes += _settle_numbers(connection, relation, [*reading.texts, *reading.written], said="isinf({})")
    looks = looks_of(connection, relation, _of_type(connection, relation, "VARCHAR"), reading)
    return Loaded(looks, words=words, notes=notes)


def load_csv(
    connection: duckdb.DuckDBPyConnection, relation: str, files: Sequence[Path], reading: Reading, pattern: str
) -> Loaded:
    """Load CSV files.

    Args:
        connection: where.
        relation: the name of the table.
        files: all of them.
        reading: how their texts are to be read.
        pattern: what was asked for, in errors.

    Raises:
        UnreadableTable: one cannot be read.
    """
    _refuse_unreadable(files)
    head = header(files[0])
    refuse_names([name for name in head.names if name.strip()], files[0])
    _refuse_wide(head.names, files[0], reading)
    heads = dict.fromkeys(header(file) for file in files)
    differ = len({head.names for head in heads}) > 1 and any(head.has_word(reading.missing) for head in heads)
    differ |= len({(head.separator, head.skipped) for head in heads}) > 1
    if not differ and reading.missing_in.keys().isdisjoint(name for head in heads for name in head.names):
        loaded = _load_csv(connection, relation, files, head, reading, pattern)
        return _without_unnamed(Cells(connection, relation, files), heads, loaded)
    with TemporaryDirectory() as folder:
        joined = Path(folder) / "joined.csv"
        with _readable(pattern):
            words = _join(connection, files, joined, head.separator, reading)
        loaded = _load_csv(connection, relation, [joined], header(joined), reading, pattern)
    loaded = replace(loaded, words=merged(loaded.words, words))
    return _without_unnamed(Cells(connection, relation, files), heads, loaded)


def _without_unnamed(cells: Cells, heads: Collection[CsvHead], loaded: Loaded) -> Loaded:
    """Leave out columns without a name and a value, as a spreadsheet writes of cells that it once had.

    Raises:
        UnreadableTable: one has values.
    """
    named = {name.strip().casefold() for head in heads for name in head.names}
    if "" not in named:
        return loaded
    columns = [name for name, _ in columns_of(cells.connection, cells.relation)]
    unnamed = [name for name in columns if name.strip().casefold() not in named]
    for name in unnamed:
        column = quoted(name)
        if cells.connection.execute(f"select count({column}) from {cells.relation}").fetchall()[0][0]:
            raise UnreadableTable(
                f"Column {columns.index(name) + 1} of the table has no name, and a value in "
                f"{cells.place(f'{column} is not null')}: write one into the header, or remove the column. Nothing was "
                "written."
            )
        cells.connection.execute(f"alter table {cells.relation} drop column {column}")
    note = f"{counted(len(unnamed), 'column')} without a name and without a value in any row: left out."
    looks = {name: look for name, look in loaded.looks.items() if name not in unnamed}
    return replace(loaded, looks=looks, left_out=(note,))


def _join(
    connection: duckdb.DuckDBPyConnection, files: Sequence[Path], joined: Path, separator: str, reading: Reading
) -> MissingWords:
    """One CSV file of several, by the names of their columns: DuckDB takes names that it is told by their order.

    Cells that mean missing in one column are empty in it; which there were, as `words_in` has it.
    """
    parts, words = [], MissingWords()
    for file in files:
        head = header(file)
        cells = f"read_csv({literal(exact(file))}, {head.duckdb()}, all_varchar = true, nullstr = [''])"
        emptied, counts = without_words(connection, cells, head.names, reading.missing_in)
        parts.append(emptied)
        words = merged(words, counts)
    rows = " union all by name ".join(parts)
    connection.execute(f"copy ({rows}) to {literal(str(joined))} (format csv, header, delim {literal(separator)})")
    return words


def _load_csv(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    files: Sequence[Path],
    head: CsvHead,
    reading: Reading,
    pattern: str,
) -> Loaded:
    common = f"read_csv($files, {head.duckdb(reading.missing)}, union_by_name = true, hive_partitioning = false"
    given = {"files": [exact(file) for file in files]}
    read = f"{common}, sample_size = -1, auto_type_candidates = {_TYPES}, nullstr = $nulls)"
    texts = [name for name in (*reading.texts, *reading.written) if name in head.names]
    with _readable(pattern):
        words = words_in(connection, f"{common}, all_varchar = true, nullstr = [''])", given, reading.missing)
    nulls = {**given, "nulls": [*reading.missing, *(word for word in words if word not in reading.missing)]}
    _load(connection, relation, with_texts(read, texts), nulls, pattern, reading.texts)
    plain = f"{read[:-1]}, all_varchar = true)"
    in_hex = hex_columns(connection, plain, _of_type(connection, relation, "BIGINT"), files, nulls)
    if codes := [*codes_among_floats(connection, relation, read, nulls), *in_hex]:
        texts += codes
        _load(connection, relation, with_texts(read, texts), nulls, pattern, reading.texts)
    notes = [f"{name} has texts such as {text}, which name something: it is text." for name, text in in_hex.items()]
    notes += _settle_numbers(connection, relation, texts)
    # A contract says what a column is.
    merged = {} if reading.declared else merged_codes(connection, relation, read, nulls, reading.naming)
    looks = looks_of(connection, relation, _of_type(connection, relation, "VARCHAR"), reading)
    has_comma = has_commas(looks, reading)
    # Where commas are decimals, cells are set apart by semicolons: 1.234 may be a thousand there, if nothing says else.
    if not has_comma and not may_have_commas(looks) and (head.separator != ";" or reading.decimal or reading.declared):
        return Loaded(looks, words=words, codes=merged, notes=tuple(notes))
    numbers = _of_type(connection, relation, "BIGINT", "DOUBLE")
    _load(connection, f"{relation}_cells", with_texts(read, numbers), nulls, pattern, reading.texts)
    points = points_of(connection, f"{relation}_cells", numbers)
    connection.execute(f"drop table {relation}_cells")
    if has_comma and (pointed := [name for name, look in points.items() if look.count]):
        _load(connection, relation, with_texts(read, [*texts, *pointed]), nulls, pattern, reading.texts)
        _settle_numbers(connection, relation, [*texts, *pointed])
    return Loaded(looks, points, words, merged, tuple(notes))


def _refuse_unreadable(files: Sequence[Path]) -> None:
    """Refuse a file that holds no table, or would fill the memory.

    Raises:
        UnreadableTable: naming it, and what to do.
    """
    for file in files:
        try:
            refuse_file(file, Limits.here().file_bytes, with_texts=True)
        except (pa.ArrowException, OSError, EOFError) as error:
            raise UnreadableTable(
                f"{file} cannot be read as a table: {str(error).rstrip('.')}. It may be cut short: write it again. "
                "Nothing was written."
            ) from error
        except ValueError as error:
            raise UnreadableTable(str(error)) from error


def header(file: Path) -> CsvHead:
    """The head of a CSV file: names as they stand in it (readers rename the second of two equal ones), separators.

    Raises:
        UnreadableTable: the file is empty, or its beginning is not UTF-8 or no list of names.
    """
    try:
        return csv_head(file)
    except UnicodeDecodeError as error:
        raise _not_utf8(str(file), f"{error.reason} at byte {error.start:,}") from error
    except NoHead as error:
        raise UnreadableTable(f"{file} {error}. Nothing was written.") from error


def refuse_names(names: Sequence[str], file: Path) -> None:
    """Refuse names that a table cannot have.

    Raises:
        UnreadableTable: naming them.
    """
    twice = sorted(name for name, count in Counter(name.casefold() for name in names).items() if count > 1)
    if twice:
        raise UnreadableTable(
            f"{file} has the column {', '.join(twice)} twice (names that differ in capitals are the same in SQL). "
            "Rename or remove one. Nothing was written."
        )
    for place, name in enumerate(names, start=1):
        if fault := fault_of_name(name):
            raise UnreadableTable(f"Column {place} of {file} ({shown(name)}) {fault}. Nothing was written.")


def _refuse_wide(names: Sequence[str], file: Path, reading: Reading) -> None:
    """Refuse a table of so many columns that nobody would wait for; what a contract declares is landed as it is.

    Raises:
        UnreadableTable: naming the limit.
    """
    if len(names) > MOST_COLUMNS and not reading.declared:
        raise UnreadableTable(
            f"{file} has {len(names):,} columns, and a new model is made of {MOST_COLUMNS:,} at most: each is looked "
            "at by itself, and becomes a feature with a line of YAML. Leave out what cannot matter, or join several "
            "into one. Nothing was written."
        )


def _of_type(connection: duckdb.DuckDBPyConnection, relation: str, *types: str) -> list[str]:
    return [name for name, dtype in columns_of(connection, relation) if dtype in types]


@contextmanager
def _readable(pattern: str) -> Iterator[None]:
    """Errors of DuckDB's readers in words that end in the remedy.

    Raises:
        UnreadableTable: in place of them.
    """
    try:
        yield
    except duckdb.Error as error:
        # It quotes the line, up to ten thousand characters of it.
        lines = [line for line in str(error).strip().splitlines() if line.strip()]
        said = [f"{line[:_LONGEST]}{' ...' if len(line) > _LONGEST else ''}" for line in lines]
        if any("unicode" in line.lower() for line in said):
            raise _not_utf8(pattern, said[0]) from error
        # DuckDB names neither line nor cell where it finds no way to read a file.
        tables = matches(pattern) if "sniffing file" in str(error) else []
        for file in (file for file in tables if not is_parquet(file)):
            if uneven := uneven_row(file):
                remedy = "Give each row as many cells as the header has names; put what holds a separator into quotes"
                raise UnreadableTable(
                    f"{file} cannot be read as a table: {uneven}. {remedy}. Nothing was written."
                ) from error
        raise UnreadableTable(
            f"{pattern} cannot be read as a table: {' '.join(said[:3])} Correct the line that it names, or write the "
            "file anew with a header and one row a line. Nothing was written."
        ) from error


def _load(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    read: str,
    given: Mapping[str, object],
    pattern: str,
    texts: Collection[str],
) -> None:
    with _readable(pattern):
        connection.execute(f"create or replace table {relation} as select * from {read}", dict(given))
    settle_types(connection, relation, texts)


def _settle_numbers(
    connection: duckdb.DuckDBPyConnection, relation: str, texts: Collection[str], said: str = "not isfinite({})"
) -> tuple[str, ...]:
    """Make texts of plain numbers with their sign numbers, and infinities and NaN missing; which of these there were.

    Args:
        connection: of the relation.
        relation: a table.
        texts: columns that are texts to whoever reads it.
        said: a condition for numbers of which it is said.
    """
    for name in _of_type(connection, relation, "VARCHAR"):
        if name not in texts and (dtype := signed_type(connection, relation, name)) is not None:
            column = quoted(name)
            connection.execute(f"alter table {relation} alter {column} type {dtype} using trim({column})::{dtype}")
    floats = _of_type(connection, relation, "DOUBLE")
    if not floats:
        return ()
    each = ", ".join(
        f"count_if(not isfinite({column})), count_if({said.format(column)})" for column in map(quoted, floats)
    )
    (counts,) = connection.execute(f"select {each} from {relation}").fetchall()
    for column in (quoted(name) for name, count in zip(floats, counts[::2], strict=True) if count):
        connection.execute(f"update {relation} set {column} = null where not isfinite({column})")
    odd = {name: count for name, count in zip(floats, counts[1::2], strict=True) if count}
    return tuple(f"{name} is infinite or NaN in {counted(count, 'row')}: missing there." for name, count in odd.items())


def _not_utf8(where: str, why: str) -> UnreadableTable:
    return UnreadableTable(
        f"{where} is not UTF-8 throughout ({why}). Find out how it was written and convert it, such as "
        "iconv -f windows-1252 -t utf-8 OLD > NEW. Nothing was written."
    )
