"""A person's files as one DuckDB table, and what can be counted in it.

Here: reading CSV and Parquet, the errors of unreadable files, facts about columns. Not here: what follows from them
(`columns`, `plan`).
"""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from mlops_assets.core.exact import FLOAT_WHOLE
from mlops_assets.core.sql import quoted
from mlops_assets.onboarding.exact_types import columns_of, settle_types, too_wide, with_all_digits
from mlops_assets.resources.table_files import is_parquet, matches

TABLE = "landed"
NULLS = ("", "NA")
"""Texts that mean missing; the default of `LandingSource.null_values`."""
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
    """

    connection: duckdb.DuckDBPyConnection
    files: tuple[Path, ...]
    facts: dict[str, Facts]
    relation: str = TABLE

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


def read_table(pattern: str, *, beside: Table | None = None, relation: str = TABLE) -> Table:
    """Read the files that a path, a folder or a glob names.

    Args:
        pattern: the files.
        beside: a table in whose connection they are read, so that both can be joined.
        relation: the table's name in it.

    Raises:
        FileNotFoundError: there is none.
        UnreadableTable: one cannot be read, or its columns have no names of their own.
    """
    files = tuple(matches(pattern))
    kinds = {is_parquet(file) for file in files}
    if len(kinds) > 1:
        raise UnreadableTable(f"{pattern} names Parquet and CSV files: give one kind at a time. Nothing was written.")
    connection = beside.connection if beside else _connected()
    if kinds.pop():
        for file in files:
            if wide := too_wide(file):
                raise UnreadableTable(
                    f"{file} has decimals of more than 38 digits in {wide}, which would be rounded. Write the column "
                    "as text. Nothing was written."
                )
        read = "read_parquet($files, union_by_name = true, hive_partitioning = false)"
        _load(connection, relation, read, {"files": [str(file) for file in files]}, pattern)
    else:
        names, delimiter = header(files[0])
        refuse_names(names, files[0])
        read = (
            "read_csv($files, header = true, delim = $delimiter, sample_size = -1, nullstr = $nulls, "
            "union_by_name = true, hive_partitioning = false)"
        )
        given = {"files": [str(file) for file in files], "delimiter": delimiter, "nulls": list(NULLS)}
        _load(connection, relation, read, given, pattern)
        if (anew := with_all_digits(connection, relation, read, given)) is not None:
            _load(connection, relation, anew, given, pattern)
    table = Table(connection, files, facts_of(connection, relation), relation)
    if not table.rows:
        raise UnreadableTable(f"{pattern} has a header and no rows. Give a file with history. Nothing was written.")
    refuse_names(list(table.facts), files[0])
    return table


def header(file: Path) -> tuple[list[str], str]:
    """The column names of a CSV file as they stand in it (readers rename the second of two equal ones), and its comma.

    Raises:
        UnreadableTable: the file is empty or its first line is not UTF-8.
    """
    is_packed = file.suffix == ".gz"
    try:
        with gzip.open(file, "rt", encoding="utf-8-sig") if is_packed else file.open(encoding="utf-8-sig") as lines:
            first = lines.readline()
    except UnicodeDecodeError as error:
        raise _not_utf8(str(file), f"{error.reason} at byte {error.start:,}") from error
    if not first.strip():
        raise UnreadableTable(f"{file} begins with an empty line: the first line must hold the names of the columns.")
    # What stands between most names; a file of one column has none.
    delimiter = max(",;\t|", key=first.count)
    return next(csv.reader([first], delimiter=delimiter)), delimiter


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
    if "partition" in {name.casefold() for name in names}:
        raise UnreadableTable(f"{file} has a column `partition`, which the lake needs for itself. Rename it.")


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
    return Facts(name, dtype, rows, rows - known, distinct, low, high, values, odd=present > known)


def _not_utf8(where: str, why: str) -> UnreadableTable:
    return UnreadableTable(
        f"{where} is not UTF-8 throughout ({why}). Find out how it was written and convert it, such as "
        "iconv -f windows-1252 -t utf-8 OLD > NEW. Nothing was written."
    )
