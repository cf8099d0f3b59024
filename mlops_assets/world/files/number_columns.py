"""Columns of CSV files that DuckDB takes for another type than people and landing do.

Here: plain numbers with their sign (+1.3 beside -2.4), texts to it; texts such as 0x1f3, integers to it. Not here:
numbers that need a statement (`core.values.text_numbers`), telephone numbers with something between their digits
(`core.values.text_codes`).
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from mlops_assets.core.values.sql import literal, quoted
from mlops_assets.core.values.text_numbers import LEADING_ZERO, PLAIN

_FIRST = 1_000
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
    cells = f"select trim({name}) as cell from {{}} where {name} is not null"
    is_plain = f"bool_and(regexp_full_match(cell, {literal(PLAIN)}))"
    first = f"select {is_plain} from ({cells.format(beginning or relation)} limit {_FIRST})"
    if not connection.execute(first).fetchall()[0][0]:
        return None
    has_plus = "starts_with(cell, '+')"
    known = f"""
        select {is_plain} and bool_or({has_plus}) and not bool_or(regexp_matches(cell, {literal(LEADING_ZERO)})),
            bool_and(regexp_full_match(cell, '[+-]?[0-9]{{1,18}}')),
            bool_or(regexp_full_match(cell, '[+-]?[0-9]{{16,}}')),
            min(length(cell)) filter ({has_plus}) > {_CALLED} and bool_and(regexp_full_match(cell, '[+]?[0-9]+'))
        from ({cells.format(relation)})"""
    is_signed, is_whole, is_long, is_called = connection.execute(known).fetchall()[0]
    if not is_signed or is_called or (is_long and not is_whole):
        return None
    return "BIGINT" if is_whole else "DOUBLE"


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
