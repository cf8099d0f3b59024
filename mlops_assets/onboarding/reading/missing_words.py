"""Cells that mean missing: words of all columns, words of one, and blanks.

Here: finding, counting and emptying them. Not here: which words are known (`core.values.text_formats.MISSING`), reading
the files (`loading`), rows that land later (`core.sources.contract_cast`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import duckdb

from mlops_assets.core.values.sql import is_blank, is_one_of, quoted, without_blanks
from mlops_assets.onboarding.reading.exact_types import columns_of
from mlops_assets.onboarding.reading.instructions import Reading

MissingWords = dict[str, dict[str, int]]
"""Texts that mean missing, each with the columns in which they stand, and how often."""
_HAS_BLANKS = "(contains(value, ' ') or contains(value, chr(9)) or contains(value, chr(160)))"
"""A look that costs a third of the other."""


def words_in(
    connection: duckdb.DuckDBPyConnection, read: str, given: Mapping[str, object], missing: Sequence[str]
) -> MissingWords:
    """Which of these words, blanks around them or not, and blank cells stand in texts."""
    rows = connection.execute(
        "select value, name, count(*) from (unpivot (select * from " + read + ") on columns(*)) "
        f"where list_contains($missing::varchar[], value) or {is_blank('value')} or ({_HAS_BLANKS} and "
        f"list_contains($missing::varchar[], {without_blanks('value')})) group by all order by all",
        {**given, "missing": list(missing)},
    ).fetchall()
    return merged(*({value: {name: count}} for value, name, count in rows))


def empty_words(connection: duckdb.DuckDBPyConnection, relation: str, reading: Reading) -> MissingWords:
    """Make the cells of a Parquet file that mean missing, and blanks, missing as in CSV files; which there were.

    In place: a table that DuckDB writes anew, cell by cell, may have its rows in another order.
    """
    columns = dict(columns_of(connection, relation))
    texts = ", ".join(quoted(name) for name, dtype in columns.items() if dtype == "VARCHAR")
    missing = list(reading.missing) if reading.in_parquet else []
    words = words_in(connection, f"(select {texts} from {relation})", {}, missing) if texts else {}
    for column in dict.fromkeys(quoted(name) for counts in words.values() for name in counts):
        is_missing = f"list_contains($missing::varchar[], {without_blanks(column)}) or {is_blank(column)}"
        connection.execute(f"update {relation} set {column} = null where {is_missing}", {"missing": missing})
    in_one = _conditions(columns, reading.missing_in)
    counts = _counts(connection, relation, in_one)
    for name, is_missing in in_one.items():
        connection.execute(f"update {relation} set {quoted(name)} = null where {is_missing}")
    return merged(words, counts)


def without_words(
    connection: duckdb.DuckDBPyConnection, read: str, names: Iterable[str], missing_in: Mapping[str, Sequence[str]]
) -> tuple[str, MissingWords]:
    """A query of texts in which cells are empty that mean missing in their column, and which there are.

    Args:
        connection: reads them.
        read: the texts, in SQL.
        names: of their columns.
        missing_in: column -> texts that mean missing in it.
    """
    in_one = _conditions(names, missing_in)
    cells = ", ".join(f"if({missing}, null, {quoted(name)}) as {quoted(name)}" for name, missing in in_one.items())
    return f"select * {f'replace ({cells})' if cells else ''} from {read}", _counts(connection, read, in_one)


def merged(*tables: MissingWords) -> MissingWords:
    """The words of several tables."""
    words: MissingWords = {}
    for word, columns in ((word, columns) for table in tables for word, columns in table.items()):
        counts = words.setdefault(word, {})
        for name, count in columns.items():
            counts[name] = counts.get(name, 0) + count
    return words


def _conditions(names: Iterable[str], missing_in: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Column -> the condition, in SQL, that a cell of it means missing in this column alone."""
    return {name: is_one_of(f"{quoted(name)}::varchar", missing_in[name]) for name in names if name in missing_in}


def _counts(connection: duckdb.DuckDBPyConnection, read: str, conditions: Mapping[str, str]) -> MissingWords:
    """The cells for which these conditions hold."""
    words: MissingWords = {}
    for name, is_missing in conditions.items():
        column = f"{quoted(name)}::varchar"
        rows = connection.execute(
            f"select {column}, count(*) from {read} where {is_missing} group by 1 order by 1"
        ).fetchall()
        words = merged(words, *({value: {name: count}} for value, count in rows))
    return words
