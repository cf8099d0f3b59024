"""A person's files as one DuckDB table, and what can be counted in it.

Here: reading CSV and Parquet, the errors of unreadable files, facts about columns. Not here: what follows from them
(`columns`, `plan`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from mlops_assets.core.values.column_names import fault_of_name
from mlops_assets.core.values.csv_head import CsvHead, NoHead
from mlops_assets.core.values.display import shown
from mlops_assets.core.values.exact import FLOAT_WHOLE
from mlops_assets.core.values.sql import exact, quoted
from mlops_assets.onboarding.exact_types import columns_of, settle_types, too_wide, with_all_digits, with_texts
from mlops_assets.onboarding.texts import Reading, Texts, settle_texts
from mlops_assets.world.files.table_files import csv_head, is_parquet, matches, refuse_dense
from mlops_assets.world.home import Limits

TABLE = "landed"
_TYPES = "['BOOLEAN', 'BIGINT', 'DOUBLE', 'VARCHAR']"
"""What DuckDB may take CSV columns for; times are read by `texts`, in which no order of day and month is guessed."""
MAX_VALUES = 50
"""So many distinct values are listed of a column."""


class UnreadableTable(ValueError):
    """The files are no table that can be landed; the message ends in the remedy."""


@dataclass(frozen=True)
class Facts:
    """What is in one column.

    Attributes:
        name: as in the file.
        dtype: DuckDB's type, such as BIGINT, DOUBLE, VARCHAR, BOOLEAN, DATE, TIMESTAMP.
        rows: of the table.
        missing: rows without a value; infinities and NaN count as missing.
        distinct: different values (counted exactly).
        low: smallest value as text; None without any.
        high: largest.
        values: all values as text, the most frequent first, if there are at most `MAX_VALUES`.
        odd: whether some numbers are infinite or NaN.
        is_code: whether they are different texts of one make, letters and digits such as C-0017.
    """

    name: str
    dtype: str
    rows: int
    missing: int
    distinct: int
    low: str | None
    high: str | None
    values: tuple[str, ...]
    odd: bool = False
    is_code: bool = False

    @property
    def is_number(self) -> bool:
        """Whether it holds numbers."""
        return self.dtype in ("BIGINT", "DOUBLE")

    @property
    def is_time(self) -> bool:
        """Whether it holds days or moments."""
        return self.dtype in ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE")

    @property
    def missing_share(self) -> float:
        """Share of rows without a value."""
        return self.missing / self.rows


@dataclass(frozen=True)
class Table:
    """The rows of some files, read once.

    Attributes:
        connection: holds them as a table.
        files: what was read.
        facts: of each column, in the file's order.
        relation: the table's name.
        texts: what was decided about columns of text.
        words: texts that were read as missing, beside empty cells, each with the columns and how often.
    """

    connection: duckdb.DuckDBPyConnection
    files: tuple[Path, ...]
    facts: dict[str, Facts]
    relation: str = TABLE
    texts: Texts = field(default_factory=Texts)
    words: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def first(self, query: str, given: Mapping[str, object] | None = None) -> tuple[Any, ...]:
        """The first row of a query over it, with values for its `$name` parameters."""
        return self.connection.execute(query, dict(given or {})).fetchall()[0]

    @property
    def keywords(self) -> frozenset[str]:
        """Words of SQL that no column may be called without quotes."""
        found = self.connection.execute(
            "select keyword_name from duckdb_keywords() where keyword_category <> 'unreserved'"
        ).fetchall()
        return frozenset(str(word) for (word,) in found)

    @property
    def rows(self) -> int:
        """Rows in all."""
        return next(iter(self.facts.values())).rows

    def place(self, condition: str, given: Mapping[str, object] | None = None) -> str:
        """Where the first row stands for which a condition holds: its number, without a header, and its file."""
        row = self.first(f"select min(rowid) from {self.relation} where {condition}", given)[0]
        for file in self.files:
            read = "read_parquet($file)" if is_parquet(file) else f"read_csv($file, {csv_head(file).duckdb})"
            rows = self.first(f"select count(*) from {read}", {"file": exact(file)})[0]
            if row < rows:
                break
            row -= rows
        return f"row {row + 1:,} of {file.name}"


def read_table(
    pattern: str, *, reading: Reading | None = None, beside: Table | None = None, relation: str = TABLE
) -> Table:
    """Read the files that a path, a folder or a glob names.

    Args:
        pattern: the files.
        reading: how their texts are to be read, as far as that is known.
        beside: a table in whose connection they are read, so that both can be joined.
        relation: the table's name in it.

    Raises:
        FileNotFoundError: there is none.
        UnreadableTable: one cannot be read, or its columns have no names of their own.
        Undecided: it stays open how its times or numbers are written.
    """
    files, reading = tuple(matches(pattern)), reading or Reading()
    kinds = {is_parquet(file) for file in files}
    if len(kinds) > 1:
        raise UnreadableTable(f"{pattern} names Parquet and CSV files: give one kind at a time. Nothing was written.")
    limit = Limits.here().file_bytes
    for file in files:
        _refuse_dense(file, limit)
    connection = beside.connection if beside else _connected()
    words: dict[str, dict[str, int]] = {}
    if kinds.pop():
        for file in files:
            if wide := too_wide(file):
                raise UnreadableTable(
                    f"{file} has decimals of more than 38 digits in {wide}, which would be rounded. Write the column "
                    "as text. Nothing was written."
                )
        read = "read_parquet($files, union_by_name = true, hive_partitioning = false)"
        _load(connection, relation, read, {"files": [exact(file) for file in files]}, pattern)
    else:
        head = header(files[0])
        refuse_names(head.names, files[0])
        common = f"read_csv($files, {head.duckdb}, union_by_name = true, hive_partitioning = false"
        given = {"files": [exact(file) for file in files]}
        read = f"{common}, sample_size = -1, auto_type_candidates = {_TYPES}, nullstr = $nulls)"
        texts = [name for name in reading.texts if name in head.names]
        nulls = {**given, "nulls": list(reading.missing)}
        _load(connection, relation, with_texts(read, texts), nulls, pattern)
        if (anew := with_all_digits(connection, relation, read, nulls, texts)) is not None:
            _load(connection, relation, anew, nulls, pattern)
        words = _words(connection, f"{common}, all_varchar = true, nullstr = [''])", given, reading.missing)
    texts_of = [name for name, dtype in columns_of(connection, relation) if dtype == "VARCHAR"]
    settled = settle_texts(connection, relation, texts_of, reading)
    table = Table(connection, files, facts_of(connection, relation), relation, settled, words)
    if not table.rows:
        raise UnreadableTable(f"{pattern} has a header and no rows. Give a file with history. Nothing was written.")
    refuse_names(list(table.facts), files[0])
    return table


def _refuse_dense(file: Path, limit: int) -> None:
    """Refuse a file of few bytes that would fill the memory.

    Raises:
        UnreadableTable: naming it and the limit.
    """
    try:
        refuse_dense(file, limit, with_texts=True)
    except (pa.ArrowException, OSError, EOFError) as error:
        raise UnreadableTable(
            f"{file} cannot be read as a table: {str(error).rstrip('.')}. It may be cut short: write it again. Nothing "
            "was written."
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


def facts_of(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, Facts]:
    """What is in each column of a table."""
    return {name: _facts(connection, relation, name, dtype) for name, dtype in columns_of(connection, relation)}


def by_digits(table: Table, name: str) -> Table:
    """The same table with a column that names things as digits, where pandas wrote floats: 100.0 is 100.

    Raises:
        UnreadableTable: a float is too large to say which number it was.
    """
    column = quoted(name)
    if table.facts[name].dtype != "DOUBLE":
        return table
    (largest,) = table.first(f"select max(abs({column})) from {table.relation} where isfinite({column})")
    if largest is not None and largest > FLOAT_WHOLE:
        raise UnreadableTable(
            f"{name} names things and holds floats such as {largest:.0f}, which have lost digits beyond 2^53. Write "
            "the column as integers, decimals or text. Nothing was written."
        )
    digits = f"case when {column} = trunc({column}) then {column}::bigint::varchar else {column}::varchar end"
    table.connection.execute(f"alter table {table.relation} alter {column} type varchar using {digits}")
    return replace(table, facts=facts_of(table.connection, table.relation))


def _connected() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    connection.execute("set enable_progress_bar = false")
    return connection


def _load(
    connection: duckdb.DuckDBPyConnection, relation: str, read: str, given: Mapping[str, object], pattern: str
) -> None:
    try:
        connection.execute(f"create or replace table {relation} as select * from {read}", dict(given))
    except duckdb.Error as error:
        said = [line for line in str(error).strip().splitlines() if line.strip()]
        if any("unicode" in line.lower() for line in said):
            raise _not_utf8(pattern, said[0]) from error
        raise UnreadableTable(
            f"{pattern} cannot be read as a table: {' '.join(said[:3])} Correct the line that it names, or write the "
            "file anew with a header and one row a line. Nothing was written."
        ) from error
    settle_types(connection, relation)


def _words(
    connection: duckdb.DuckDBPyConnection, read: str, given: Mapping[str, object], missing: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Which of these words stand in which columns, and how often."""
    found: dict[str, dict[str, int]] = {}
    rows = connection.execute(
        "select value, name, count(*) from (unpivot (select * from " + read + ") on columns(*)) "
        "where list_contains($missing, value) group by all order by all",
        {**given, "missing": list(missing)},
    ).fetchall()
    for value, name, count in rows:
        found.setdefault(value, {})[name] = count
    return found


def _facts(connection: duckdb.DuckDBPyConnection, relation: str, name: str, dtype: str) -> Facts:
    """Count one column."""
    column = quoted(name)
    finite = f"case when isfinite({column}) then {column} end" if dtype == "DOUBLE" else column
    row = connection.execute(
        f"select count(*), count({finite}), count(distinct {finite}), min({finite})::varchar, max({finite})::varchar, "
        f"count({column}) from {relation}"
    ).fetchall()[0]
    rows, known, distinct, low, high, present = row
    values: tuple[str, ...] = ()
    if 0 < distinct <= MAX_VALUES:
        found = connection.execute(
            f"select {finite}::varchar as value from {relation} where {finite} is not null group by all "
            "order by count(*) desc, value"
        ).fetchall()
        values = tuple(str(value) for (value,) in found)
    is_code = False
    if dtype == "VARCHAR" and 0 < distinct == rows:
        make = f"regexp_replace(regexp_replace({column}, '[0-9]+', '9', 'g'), '[A-Za-z]+', 'A', 'g')"
        (makes,) = connection.execute(f"select count(distinct {make}), any_value({make}) from {relation}").fetchall()
        is_code = makes[0] == 1 and re.fullmatch(r"A[-_/]?9", makes[1]) is not None
    return Facts(name, dtype, rows, rows - known, distinct, low, high, values, odd=present > known, is_code=is_code)


def _not_utf8(where: str, why: str) -> UnreadableTable:
    return UnreadableTable(
        f"{where} is not UTF-8 throughout ({why}). Find out how it was written and convert it, such as "
        "iconv -f windows-1252 -t utf-8 OLD > NEW. Nothing was written."
    )
