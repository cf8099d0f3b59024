"""Columns of files that are flags in words, and their spellings.

Here: whether a text column holds true and false and nothing else, and categories in one spelling. Not here: the
spellings (`core.values.exact`), reading the files (`table_files`).
"""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.core.values.exact import boolean_of
from mlops_assets.core.values.sql import quoted

WORDS = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"})
"""Pairs of words; a text column of nothing else is a flag, as DuckDB finds in CSV files."""


def is_flag(connection: duckdb.DuckDBPyConnection, relation: str, column: str) -> bool:
    """Whether a text column of a table, or of what stands after FROM, holds one pair of words."""
    name = quoted(column)
    query = f"select distinct lower(trim({name})) from {relation} where {name} is not null limit 3"
    return {text for (text,) in connection.execute(query).fetchall()} in WORDS


def may_be_flag(metadata: pq.FileMetaData, column: str) -> bool:
    """Whether the least and the greatest text of a Parquet column are such words, by the footer alone."""
    groups = (metadata.row_group(i) for i in range(metadata.num_row_groups))
    chunks = (group.column(i) for group in groups for i in range(group.num_columns))
    known = [chunk.statistics for chunk in chunks if chunk.path_in_schema == column]
    ends = {end for told in known if told is not None and told.has_min_max for end in (told.min, told.max)}
    return bool(ends) and all(boolean_of(end) is not None for end in ends)


def in_one_spelling(array: pa.DictionaryArray) -> pa.Array:
    """Categories with `true` and `false` for all their spellings; others as they are."""
    cells = array.dictionary.to_pylist()
    flags = [boolean_of(cell) for cell in cells]
    words = [cell if flag is None else str(flag).lower() for cell, flag in zip(cells, flags, strict=True)]
    return pa.array([word and str(word) for word in words], pa.string()).take(array.indices).dictionary_encode()
