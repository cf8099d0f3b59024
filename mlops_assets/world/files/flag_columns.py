"""Columns of files that are flags in words, and their spellings.

Here: whether a text column holds true and false and nothing else, and categories in one spelling. Not here: the
spellings (`core.values.exact`), reading the files (`table_files`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import duckdb
import pyarrow as pa

from mlops_assets.core.values.exact import FALSE, TRUE, boolean_of
from mlops_assets.core.values.sql import literal, quoted

LETTERS = ({"t", "f"}, {"y", "n"})
"""Pairs of letters that are a flag without a word beside them: Y and F alone may be sizes."""


def is_flag(connection: duckdb.DuckDBPyConnection, relation: str, column: str) -> bool:
    """Whether a text column of a table, or of what stands after FROM, holds a flag in words."""
    name = quoted(column)
    query = (
        f"select distinct lower(trim({name})) from {relation} where {name} is not null limit {len(TRUE | FALSE) + 1}"
    )
    return _say_flag({text for (text,) in connection.execute(query).fetchall()})


def are_flags(arrays: Iterable[pa.Array]) -> bool:
    """Whether the texts of these arrays are a flag in words; no more are read than it takes to know."""
    words: set[str] = set()
    for array in arrays:
        words |= {str(text).strip().lower() for text in array.unique().to_pylist() if text is not None}
        if not words <= TRUE | FALSE:
            return False
    return _say_flag(words)


def _say_flag(texts: set[str]) -> bool:
    """Whether texts in small letters are spellings of both true and false, in words: `0` and `1` alone are codes.

    Several spellings of one of them are one value, as DuckDB has it for `yes`, `YES` and `true` in a CSV file.
    """
    if not texts <= TRUE | FALSE or not texts & TRUE or not texts & FALSE:
        return False
    words = {text for text in texts if text.isalpha()}
    if not words:
        return len(texts) > 2
    return words in LETTERS or any(len(word) > 1 for word in words)


def as_flag(column: str) -> str:
    """An SQL expression: a text column of such spellings as booleans."""
    return f"lower(trim({quoted(column)})) in ({', '.join(map(literal, sorted(TRUE)))})"


def may_be_flag(ends: Collection[str]) -> bool:
    """Whether a text column may hold such words, by its least and its greatest text."""
    return bool(ends) and all(boolean_of(end) is not None for end in ends)


def in_one_spelling(array: pa.DictionaryArray) -> pa.Array:
    """Categories with `true` and `false` for all their spellings; others as they are."""
    cells = array.dictionary.to_pylist()
    flags = [boolean_of(cell) for cell in cells]
    words = [cell if flag is None else str(flag).lower() for cell, flag in zip(cells, flags, strict=True)]
    return pa.array([word and str(word) for word in words], pa.string()).take(array.indices).dictionary_encode()
