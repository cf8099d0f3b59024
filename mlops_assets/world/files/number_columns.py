"""Columns of CSV files that DuckDB takes for another type than people and landing do.

Here: plain numbers with their sign (+1.3 beside -2.4), texts to it; texts such as 0x1f3, integers to it. Not here:
numbers that need a statement (`core.values.text_numbers`), telephone numbers with something between their digits
(`core.values.text_codes`).
"""

from __future__ import annotations

import mmap
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import duckdb
import pyarrow as pa

from mlops_assets.core.values.sql import literal, quoted
from mlops_assets.core.values.text_formats import PLAIN
from mlops_assets.core.values.text_numbers import LEADING_ZERO, is_plain

_FIRST = 1_000
_LONGEST = 2**31
_CALLED = 10
"""Digits behind each plus from which on whole numbers, none of them below zero, are telephone numbers."""


def signed_type(connection: duckdb.DuckDBPyConnection, relation: str, column: str, beginning: str = "") -> str | None:
    """DuckDB's type for the numbers of a text column, some of which have a plus; None where it is none.

    Args:
        connection: of the relation.
        relation: a table, or a SELECT in parentheses.
        column: of type VARCHAR.
        beginning: its first rows, where the relation is a file.
    """
    name = quoted(column)
    is_plain = f"bool_and(regexp_full_match(cell, {literal(PLAIN)}))"

    def cells(rows: str) -> str:
        # No template: braces of a name are no field of one.
        return f"select trim({name}) as cell from {rows} where {name} is not null"

    first = f"select {is_plain} from ({cells(beginning or relation)} limit {_FIRST})"
    if not connection.execute(first).fetchall()[0][0]:
        return None
    return _Signs.of(connection, cells(relation)).dtype


def may_be_numbers(ends: Collection[str]) -> bool:
    """Whether a text column may hold plain numbers, by its least and its greatest text; blanks are none."""
    return bool(ends) and all(not end.strip() or is_plain(end) for end in ends)


def are_signed(batches: Iterable[pa.Array]) -> bool:
    """The same of texts in batches: whether they are such numbers; no more are read than it takes to know."""
    signs: _Signs | None = None
    with duckdb.connect() as connection:
        for array in batches:
            texts = pa.table({"text": array.cast(pa.string()).unique().drop_null()})
            if not texts.num_rows:
                continue
            connection.register("texts", texts)
            of = _Signs.of(connection, "select trim(text) as cell from texts")
            signs = of if signs is None else signs + of
            if not signs.is_plain:
                return False
    return signs is not None and signs.dtype is not None


@dataclass(frozen=True)
class _Signs:
    """What texts say about their signs.

    Attributes:
        is_plain: whether all are plain numbers.
        has_plus: whether some have a plus.
        has_zero: whether some have a leading zero, as codes do.
        is_whole: whether all are integers of 64 bits.
        is_long: whether some have more digits than a float.
        is_counted: whether all are digits, with a plus or not.
        shortest: characters of the shortest one with a plus.
    """

    is_plain: bool
    has_plus: bool
    has_zero: bool
    is_whole: bool
    is_long: bool
    is_counted: bool
    shortest: int

    @classmethod
    def of(cls, connection: duckdb.DuckDBPyConnection, cells: str) -> Self:
        """By a SELECT of `cell`, of which there is one at least."""
        has_plus = "starts_with(cell, '+')"
        known = f"""
            select bool_and(regexp_full_match(cell, {literal(PLAIN)})), bool_or({has_plus}),
                bool_or(regexp_matches(cell, {literal(LEADING_ZERO)})),
                bool_and(regexp_full_match(cell, '[+-]?[0-9]{{1,18}}')),
                bool_or(regexp_full_match(cell, '[+-]?[0-9]{{16,}}')),
                bool_and(regexp_full_match(cell, '[+]?[0-9]+')),
                coalesce(min(length(cell)) filter ({has_plus}), {_LONGEST})
            from ({cells})"""
        return cls(*connection.execute(known).fetchall()[0])

    def __add__(self, other: Self) -> Self:
        """Both together."""
        return replace(
            self,
            is_plain=self.is_plain and other.is_plain,
            has_plus=self.has_plus or other.has_plus,
            has_zero=self.has_zero or other.has_zero,
            is_whole=self.is_whole and other.is_whole,
            is_long=self.is_long or other.is_long,
            is_counted=self.is_counted and other.is_counted,
            shortest=min(self.shortest, other.shortest),
        )

    @property
    def dtype(self) -> str | None:
        """DuckDB's type of such numbers; None where they are none, telephone numbers or plain digits."""
        is_called = self.is_counted and self.shortest > _CALLED
        if not self.is_plain or not self.has_plus or self.has_zero or is_called or (self.is_long and not self.is_whole):
            return None
        return "BIGINT" if self.is_whole else "DOUBLE"


def hex_columns(
    connection: duckdb.DuckDBPyConnection,
    texts: str,
    integers: Sequence[str],
    files: Sequence[Path],
    given: Mapping[str, object] | None = None,
) -> dict[str, str]:
    """Columns of integers with a text such as 0x1f3 or 0b101, which names something, and the first of them.

    Args:
        connection: reads them.
        texts: the rows as texts, in SQL.
        integers: columns that are integers to DuckDB.
        files: where they stand; those without such letters are not read again.
        given: parameters of `texts`.
    """
    if not integers or not any(_may_have_hex(file) for file in files):
        return {}
    cells = [f"any_value({column}) filter ({_is_hex(column)})" for column in map(quoted, integers)]
    (first,) = connection.execute(f"select {', '.join(cells)} from {texts}", dict(given or {})).fetchall()
    return {name: text.strip() for name, text in zip(integers, first, strict=True) if text is not None}


def _is_hex(column: str) -> str:
    return f"regexp_matches({column}, '^\\s*[+-]?0[xXbB]')"


def _may_have_hex(file: Path) -> bool:
    """Whether the letters stand in a file; in a packed one they may."""
    if file.suffix == ".gz" or not file.stat().st_size:
        return True
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return any(content.find(letters) >= 0 for letters in (b"0x", b"0X", b"0b", b"0B"))
