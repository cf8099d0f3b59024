"""One CSV file as a relation of DuckDB's: types and kinds of its columns by all of its rows, and the rows.

Here: the words and blanks that mean missing, numbers and times that are texts to DuckDB, rows without a value. Not
here: its head and lines (`csv_lines`), which files are read, and Parquet (`table_files`), what is refused unread
(`refused_files`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Self

import duckdb
import pandas as pd
import pyarrow as pa

from mlops_assets.core.values.csv_head import CsvHead
from mlops_assets.core.values.sql import exact, free_name, is_blank, literal, quoted, without_blanks
from mlops_assets.core.values.text_formats import MISSING, NUMBER_FORMATS, Mark
from mlops_assets.core.values.text_numbers import NumberTexts, plain_numbers
from mlops_assets.core.values.text_times import TimeTexts
from mlops_assets.world.files.csv_lines import csv_head
from mlops_assets.world.files.empty_rows import RowNumbers, empty_rows
from mlops_assets.world.files.number_columns import hex_columns, signed_type
from mlops_assets.world.files.text_columns import look_at_points, look_at_texts
from mlops_assets.world.files.type_words import TIME

_BEGINNING = 2_048
"""Rows that tell a column of words from one of times or numbers."""
_NUMBERS = count()


def with_numbers(batch: pa.RecordBatch, written: Mapping[str, str]) -> pa.RecordBatch:
    """Some rows with the numbers of columns that hold them as texts.

    Args:
        batch: the rows.
        written: column -> the format of its numbers; what is no format is of another type.
    """
    for place, name in enumerate(batch.schema.names):
        if (form := next((form for form in NUMBER_FORMATS if form == written.get(name)), None)) is not None:
            texts = batch.column(place).cast(pa.string()).to_pandas()
            numbers = pd.to_numeric(plain_numbers(texts, form))
            batch = batch.set_column(place, name, pa.array(numbers, pa.float64(), from_pandas=True))
    return batch


@dataclass(frozen=True, eq=False)
class CsvTable:
    """A CSV file whose columns have been looked at; finding that again would be reading the file again.

    Attributes:
        path: the file.
        head: how it begins.
        types: DuckDB's type of each column, or the format of numbers that are texts to it.
        blanks: its cells of nothing but white space, and words that mean missing with some around them.
        empty: columns without a value.
        whole: columns of numbers that are texts to it, and have no decimal mark.
        unnamed: columns without a name, which readers name as they like, each with its number, from 1.
        empty_rows: numbers of the rows without a value, which are not read.
        rows: a condition for the others, in SQL.
    """

    path: Path
    head: CsvHead
    types: Mapping[str, str]
    blanks: tuple[str, ...] = ()
    empty: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()
    unnamed: Mapping[str, int] = field(default_factory=dict)
    empty_rows: RowNumbers | tuple[()] = ()
    rows: str = ""

    @classmethod
    def of(cls, session: duckdb.DuckDBPyConnection, path: Path) -> Self:
        """Types by all rows of the file, not by its first ones.

        Where every comma has three digits behind it, 1,234 may be a thousand and more: such a column stays a text.
        """
        table = cls(path, csv_head(path), {})._typed(session)
        texts, blanks = table._texts(session)
        if blanks:
            # Beside them a column of numbers is a text to DuckDB.
            table = replace(table, types={}, blanks=blanks)._typed(session)
            texts, _ = table._texts(session)
        relation = f"({table.select()})"
        empty = frozenset(name for name, count in texts.items() if not count)
        with _beginning_of(session, relation) as start:
            looks = {name: look_at_texts(session, relation, name, start) for name in texts if name not in empty}
            types = {name: _type_of(look) for name, look in looks.items()}
            plain = [name for name, look in looks.items() if isinstance(look, NumberTexts) and types[name] == "VARCHAR"]
            types |= {name: signed_type(session, relation, name, start) or "VARCHAR" for name in plain}
        whole = frozenset(name for name, look in looks.items() if _is_whole(look))
        table = replace(table, types={**table.types, **types}, empty=empty, whole=whole)
        if any(dtype.startswith("comma") for dtype in table.types.values()):
            table = replace(table, types={**table.types, **table._beside_commas(session)})
        names = zip(table.types, table.head.names, strict=False)
        unnamed = {column: place for place, (column, name) in enumerate(names, start=1) if not name.strip()}
        return replace(table, unnamed=unnamed)._without_empty_rows(session)

    def mark(self, column: str) -> Mark | None:
        """The decimal mark of a column's numbers; None where it has no decimals, or no numbers."""
        dtype = "" if column in self.whole else self.types.get(column, "")
        return "comma" if dtype.startswith("comma") else "point" if dtype.startswith(("DOUBLE", "point")) else None

    def select(self, texts: Collection[str] = (), *, with_empty: bool = False) -> str:
        """A SELECT of its rows, some columns as the texts that stand in the file; with those without a value or not."""
        missing = (*MISSING, *self.blanks)
        nulls = ", ".join(map(literal, missing))
        # No dates: they are looked for by the one reader of times, in which no order of day and month is guessed.
        known = "sample_size=-1, auto_type_candidates=['BOOLEAN', 'BIGINT', 'DOUBLE', 'VARCHAR']"
        if self.types:
            types = {**self.types, **dict.fromkeys(texts, "VARCHAR")}
            read_as = {name: "VARCHAR" if dtype in (TIME, *NUMBER_FORMATS) else dtype for name, dtype in types.items()}
            known = f"types={{{', '.join(f'{literal(name)}: {literal(dtype)}' for name, dtype in read_as.items())}}}"
        head = self.head.duckdb(missing)
        read = f"read_csv({literal(exact(self.path))}, {head}, nullstr=[{nulls}], {known})"
        if with_empty or not self.rows:
            return f"SELECT * FROM {read}"
        number = self._number
        return (
            f"SELECT * EXCLUDE ({number}) FROM (SELECT *, row_number() OVER () - 1 AS {number} FROM {read}) "
            f"WHERE {self.rows}"
        )

    @property
    def _number(self) -> str:
        return free_name("number", self.types)

    def _without_empty_rows(self, session: duckdb.DuckDBPyConnection) -> Self:
        """Beside rows of words that mean missing, their numbers are asked for; that there is no value, else."""
        empty = empty_rows(session, self.path)
        if not len(empty):
            return self
        has_value = " OR ".join(f"{quoted(name)} IS NOT NULL" for name in self.types)
        ((without,),) = session.sql(f"SELECT count(*) FROM ({self.select()}) WHERE NOT ({has_value})").fetchall()
        rows = has_value if without == len(empty) else f"{self._number} NOT IN ({', '.join(map(str, empty))})"
        return replace(self, empty_rows=empty, rows=rows)

    def _typed(self, session: duckdb.DuckDBPyConnection) -> Self:
        described = session.sql(f"DESCRIBE {self.select()}").fetchall()
        typed = replace(self, types={str(row[0]): str(row[1]) for row in described})
        integers = [name for name, dtype in typed.types.items() if dtype == "BIGINT"]
        in_hex = hex_columns(session, f"({typed.select(integers)})", integers, [self.path])
        return replace(typed, types={**typed.types, **dict.fromkeys(in_hex, "VARCHAR")})

    def _texts(self, session: duckdb.DuckDBPyConnection) -> tuple[dict[str, int], tuple[str, ...]]:
        """The columns of text, each with the number of its values, and their different cells for `blanks`."""
        names = [name for name, dtype in self.types.items() if dtype == "VARCHAR"]
        if not names:
            return {}, ()
        selected = ", ".join(
            f"count({column}), list(DISTINCT {column}) FILTER (WHERE {is_blank(column)} "
            f"OR {without_blanks(column)} IN ({', '.join(map(literal, MISSING))}))"
            for column in map(quoted, names)
        )
        (row,) = session.sql(f"SELECT {selected} FROM ({self.select()})").fetchall()
        blanks = {cell for cells in row[1::2] for cell in cells or ()}
        return dict(zip(names, row[::2], strict=True)), tuple(sorted(blanks))

    def _beside_commas(self, session: duckdb.DuckDBPyConnection) -> dict[str, str]:
        """Columns such as 2.989 in a file with decimal commas: thousands, and texts if it has decimal points too."""
        floats = [name for name, dtype in self.types.items() if dtype == "DOUBLE"]
        relation = f"({self.select(floats)})"
        looks = {name: look_at_points(session, relation, name) for name in floats}
        has_points = any(look.point for look in looks.values()) or any(
            dtype.startswith("point") for name, dtype in self.types.items() if name not in self.whole
        )
        return {n: "VARCHAR" if has_points else "comma" for n, look in looks.items() if look.either and not look.point}


@contextmanager
def _beginning_of(session: duckdb.DuckDBPyConnection, relation: str) -> Iterator[str]:
    """The first rows of a file as a table that other cursors see, under a name that nobody else has."""
    name = f"beginning_{next(_NUMBERS)}"
    session.execute(f"CREATE TABLE {name} AS SELECT * FROM {relation} LIMIT {_BEGINNING}")
    try:
        yield name
    finally:
        session.execute(f"DROP TABLE {name}")


def _type_of(look: TimeTexts | NumberTexts | None) -> str:
    """What a text column holds: times, numbers in one format, or texts."""
    if look is None or look.failed:
        return "VARCHAR"
    if isinstance(look, TimeTexts):
        return TIME
    mark: Mark | None = "point" if _is_whole(look) else look.mark
    return "VARCHAR" if mark is None or look.special is None or look.why_not else look.format(mark)


def _is_whole(look: TimeTexts | NumberTexts | None) -> bool:
    """Whether texts of numbers have neither mark, as 5 €: they need no proof of one, and give none."""
    return isinstance(look, NumberTexts) and not (look.failed or look.point or look.comma or look.either)
