"""Columns of plain numbers with their sign, +1.3 beside -2.4, which DuckDB takes for texts in CSV files.

Here: whether a text column is one, and the type of its numbers. Not here: numbers that need a statement
(`core.values.text_numbers`), telephone numbers with something between their digits (`core.values.text_codes`).
"""

from __future__ import annotations

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
