"""A person's files as one DuckDB table, and what can be counted in it.

Here: the table, facts about its columns, the places of its rows. Not here: reading the files (`loading`), what their
texts are taken for (`texts`), what follows from the facts (`columns`, `plan`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from mlops_assets.core.values.display import shown
from mlops_assets.core.values.exact import FLOAT_WHOLE
from mlops_assets.core.values.identifiers import NEARLY_ALL
from mlops_assets.core.values.sql import quoted
from mlops_assets.core.values.text_numbers import LEADING_ZERO
from mlops_assets.onboarding.odd.merged_codes import Merged
from mlops_assets.onboarding.odd.repeated_rows import Repeats, count_once
from mlops_assets.onboarding.reading.exact_types import columns_of, digits_of_floats
from mlops_assets.onboarding.reading.instructions import Reading, Undecided
from mlops_assets.onboarding.reading.loading import UnreadableTable, load_csv, load_parquet, refuse_names
from mlops_assets.onboarding.reading.places import Cells
from mlops_assets.onboarding.reading.texts import Texts, settle_texts
from mlops_assets.world.files.empty_rows import empty_rows, noted
from mlops_assets.world.files.matching import matches
from mlops_assets.world.files.refused_files import is_parquet
from mlops_assets.world.parquet import own_database

TABLE = "landed"
MAX_VALUES = 50
"""So many distinct values are listed of a column."""


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
        is_code: whether they are texts of one make, letters and digits such as C-0017, (nearly) all of them different.
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
        codes: columns of numbers whose texts tell more than the numbers.
        repeats: what is said of rows that stand in two files.
        counts: rows of each file that was counted so far.
        left_out: what is said of rows and columns that were left out.
        gone: numbers of rows that were left out.
    """

    connection: duckdb.DuckDBPyConnection
    files: tuple[Path, ...]
    facts: dict[str, Facts]
    relation: str = TABLE
    texts: Texts = field(default_factory=Texts)
    words: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    codes: Mapping[str, Merged] = field(default_factory=dict)
    repeats: Repeats = field(default_factory=Repeats)
    counts: dict[Path, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    gone: set[int] = field(default_factory=set)

    def first(self, query: str, given: Mapping[str, object] | None = None) -> tuple[Any, ...]:
        """The first row of a query over it, with values for its `$name` parameters."""
        return self.connection.execute(query, dict(given or {})).fetchall()[0]

    @property
    def keywords(self) -> frozenset[str]:
        """Words of SQL that no column may be called without quotes."""
        rows = self.connection.execute(
            "select keyword_name from duckdb_keywords() where keyword_category <> 'unreserved'"
        ).fetchall()
        return frozenset(str(word) for (word,) in rows)

    @property
    def rows(self) -> int:
        """Rows in all."""
        return next(iter(self.facts.values())).rows

    def place(self, condition: str, given: Mapping[str, object] | None = None) -> str:
        """Where the first row stands for which a condition holds, see `places`."""
        return self.cells.place(condition, given)

    @property
    def cells(self) -> Cells:
        """Its rows and the files that they stand in."""
        return Cells(self.connection, self.relation, self.files, self.counts, self.gone)

    def repeated(self, name: str) -> str:
        """A value that stands in several rows of a column, and the first two of them; empty where none does."""
        column = quoted(name)
        repeats = self.connection.execute(
            f"select {column}::varchar, list(rowid order by rowid)[1:2] from {self.relation} "
            f"where {column} is not null group by 1 having count(*) > 1 order by min(rowid) limit 1"
        ).fetchall()
        return "".join(
            f"{shown(value)} stands in {' and in '.join(self.place(f'rowid = {row}') for row in rows)}"
            for value, rows in repeats
        )


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
    connection = beside.connection if beside else own_database()
    loaded = (load_parquet if kinds.pop() else load_csv)(connection, relation, files, reading, pattern)
    cells = Cells(connection, relation, files)
    _refuse_zeros(cells, reading)
    settled = settle_texts(cells, loaded.looks, reading, loaded.points)
    left_out = (*loaded.left_out, *_without_empty_rows(cells))
    repeats = count_once(cells)
    settled = replace(
        settled,
        notes=(*left_out, *loaded.notes, *settled.notes, *repeats.notes),
        warnings=(*settled.warnings, *repeats.warnings),
    )
    facts = facts_of(connection, relation)
    table = Table(
        connection,
        files,
        facts,
        relation,
        settled,
        loaded.words,
        loaded.codes,
        repeats,
        cells.counts,
        left_out,
        cells.gone,
    )
    if not table.rows:
        raise UnreadableTable(f"{pattern} has a header and no rows. Give a file with history. Nothing was written.")
    refuse_names(list(table.facts), files[0])
    return table


def _without_empty_rows(cells: Cells) -> list[str]:
    """Leave out rows of CSV files without a value, and say so; the others keep their `rowid`, which is their place."""
    empty = {file: empty_rows(cells.connection, file) for file in cells.files if not is_parquet(file)}
    if not any(map(len, empty.values())):
        return []
    starts = accumulate(cells.rows_of_files if len(cells.files) > 1 else [], initial=0)
    places = np.concatenate([start + empty[file] for start, file in zip(starts, cells.files, strict=False)])
    cells.leave_out(places)
    return [sentence for file, rows in empty.items() for sentence in noted(rows, f" of {shown(file.name)}")]


def _refuse_zeros(table: Cells, reading: Reading) -> None:
    """Refuse a text with a leading zero where the contract says integer.

    Raises:
        Undecided: naming the cell.
    """
    types = dict(columns_of(table.connection, table.relation))
    for name, column in reading.declared.items():
        if column.type != "integer" or types.get(name) != "VARCHAR":
            continue
        led = f"regexp_matches({quoted(name)}, $zero)"
        cells = table.connection.execute(
            f"select trim({quoted(name)}) from {table.relation} where {led} limit 1", {"zero": LEADING_ZERO}
        ).fetchall()
        if cells:
            raise Undecided(
                f"{name} has {shown(cells[0][0])} in {table.place(led, {'zero': LEADING_ZERO})}: as an integer it "
                "would be one with what has no leading zero. Declare `type: string` of it in the contract, or `type: "
                "number` if it is an amount. Nothing was written."
            )


def facts_of(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, Facts]:
    """What is in each column of a table."""
    return {name: _facts(connection, relation, name, dtype) for name, dtype in columns_of(connection, relation)}


def by_digits(table: Table, name: str) -> Table:
    """The same table with a column that names things as digits, where pandas wrote floats: 100.0 is 100.

    Raises:
        UnreadableTable: a float is too large to say which number it was, or texts tell more than the numbers.
    """
    column = quoted(name)
    refuse_codes(table, [name])
    if table.facts[name].dtype != "DOUBLE":
        return table
    (largest,) = table.first(f"select max(abs({column})) from {table.relation} where isfinite({column})")
    if largest is not None and largest > FLOAT_WHOLE:
        raise UnreadableTable(
            f"{name} names things and holds floats such as {largest:.0f}, which have lost digits beyond 2^53. Write "
            "the column as integers, decimals or text. Nothing was written."
        )
    table.connection.execute(f"alter table {table.relation} alter {column} type varchar using {digits_of_floats(name)}")
    return replace(table, facts=facts_of(table.connection, table.relation))


def refuse_codes(table: Table, names: Iterable[str]) -> None:
    """Refuse columns of numbers that name things, and whose texts tell more.

    Raises:
        UnreadableTable: naming the first of them.
    """
    for name in names:
        if name in table.codes and (why := table.codes[name].in_words(name)):
            raise UnreadableTable(f"{name} names things and holds {why}. Nothing was written.")


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
        value_rows = connection.execute(
            f"select {finite}::varchar as value from {relation} where {finite} is not null group by all "
            "order by count(*) desc, value"
        ).fetchall()
        values = tuple(str(value) for (value,) in value_rows)
    is_code = False
    if dtype == "VARCHAR" and 0 < NEARLY_ALL * rows <= distinct:
        make = f"regexp_replace(regexp_replace({column}, '[0-9]+', '9', 'g'), '[A-Za-z]+', 'A', 'g')"
        (makes,) = connection.execute(
            f"select count(distinct {make}), any_value({make}) from {relation} where {column} is not null"
        ).fetchall()
        is_code = makes[0] == 1 and re.fullmatch(r"A[-_/]?9", makes[1]) is not None
    return Facts(name, dtype, rows, rows - known, distinct, low, high, values, odd=present > known, is_code=is_code)
