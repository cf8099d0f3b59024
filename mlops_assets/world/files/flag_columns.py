"""Columns of files that are flags in words, and their spellings.

Here: whether a text column holds true and false and nothing else, and categories in one spelling. Not here: the
spellings (`core.values.exact`), reading the files (`table_files`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import duckdb
import pyarrow as pa

from mlops_assets.core.values.exact import boolean_of
from mlops_assets.core.values.sql import quoted

WORDS = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"})
"""Pairs of words; a text column of nothing else is a flag, as DuckDB finds in CSV files."""


def is_flag(connection: duckdb.DuckDBPyConnection, relation: str, column: str) -> bool:
    """Whether a text column of a table, or of what stands after FROM, holds one pair of words."""
    name = quoted(column)
    query = f"select distinct lower(trim({name})) from {relation} where {name} is not null limit 3"
    return {text for (text,) in connection.execute(query).fetchall()} in WORDS


def are_flags(arrays: Iterable[pa.Array]) -> bool:
    """Whether the texts of these arrays are one pair of words; no more are read than it takes to know."""
    found: set[str] = set()
    for array in arrays:
        found |= {str(text).strip().lower() for text in array.unique().to_pylist() if text is not None}
        if len(found) > len(WORDS[0]):
            return False
    return found in WORDS


def may_be_flag(ends: Collection[str]) -> bool:
    """Whether a text column may hold such words, by its least and its greatest text."""
    return bool(ends) and all(boolean_of(end) is not None for end in ends)


def in_one_spelling(array: pa.DictionaryArray) -> pa.Array:
    """Categories with `true` and `false` for all their spellings; others as they are."""
    cells = array.dictionary.to_pylist()
    flags = [boolean_of(cell) for cell in cells]
    words = [cell if flag is None else str(flag).lower() for cell, flag in zip(cells, flags, strict=True)]
    return pa.array([word and str(word) for word in words], pa.string()).take(array.indices).dictionary_encode()
