"""Text columns of a DuckDB relation: what they hold, and the same rows with times and numbers in their place.

Here: looking at every different text of a column, by the readers of `core`, and writing a table anew. Not here: reading
one text (`core.values.text_times`, `core.values.text_numbers`), what is decided about a column (`onboarding.texts`,
`table_files`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import count

import duckdb
import pandas as pd
import pyarrow as pa

from mlops_assets.core.values import text_codes, text_numbers, text_times
from mlops_assets.core.values.sql import quoted
from mlops_assets.core.values.text_numbers import NumberTexts
from mlops_assets.core.values.text_times import TimeTexts
from mlops_assets.world.parquet import beside

_ROWS = 131_072
FIRST = 1_000
"""So many texts, from anywhere, are looked at first: a column of which most are no time is not looked at further."""
_MOST = 0.5
_FEW = 3
"""Different texts of the first rows that say that a column holds words, at least."""
_LOOKS: tuple[Callable[[list[str]], TimeTexts | NumberTexts], ...] = (text_times.look_at, text_numbers.look_at)

_NUMBERS = count()

Reader = Callable[[pd.Series], pa.Array]
"""Texts of a column, missing where there is none, as values."""


def look_at_texts(
    connection: duckdb.DuckDBPyConnection, relation: str, column: str, beginning: str = ""
) -> TimeTexts | NumberTexts | None:
    """How a column's times or numbers are written, by all of its texts; None where most are neither, as codes are.

    Args:
        connection: of the relation.
        relation: a table, or a SELECT in parentheses.
        column: of type VARCHAR.
        beginning: its first rows, where the relation is a file: to read all texts is to read the file once more.
    """
    start = _sampled(beside(connection), _distinct(beginning, column), _ROWS) if beginning else []
    if len(start) >= _FEW and not any(_fits(look, start) for look in _LOOKS):
        return None
    with _kept(beside(connection), _distinct(relation, column)) as (session, texts):
        sample = _sampled(session, f"from {texts}", FIRST)
        look = next((look for look in _LOOKS if _fits(look, sample)), None)
        if look is None:
            return None
        total, every = look([]), []
        for batch in _texts(session, f"select text from {texts} order by place"):
            total = total + look(batch)  # type: ignore[operator]  # both are of the same kind
            every += batch if look is text_numbers.look_at else []
    return _unless_codes(total, every) if isinstance(total, NumberTexts) else total


def _distinct(relation: str, column: str, condition: str = "text is not null") -> str:
    """The different texts of a column, each with the place of the first row that has it: that one is named."""
    rows = f"select {quoted(column)} as text, row_number() over () as place from {relation}"
    return f"select text, min(place) as place from ({rows}) where {condition} group by text"


@contextmanager
def _kept(session: duckdb.DuckDBPyConnection, texts: str) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
    """Different texts as a table of a session's own: they are asked for twice, and to find them is to read the file."""
    name = f"texts_{next(_NUMBERS)}"
    session.execute(f"create temp table {name} as {texts}")
    try:
        yield session, name
    finally:
        session.execute(f"drop table {name}")


def _sampled(session: duckdb.DuckDBPyConnection, texts: str, most: int) -> list[str]:
    """Some of different texts from anywhere in the file, the same ones each time."""
    query = f"select text from ({texts}) order by hash(text), text limit {most}"
    return [text for batch in _texts(session, query) for text in batch]


def _fits(look: Callable[[list[str]], TimeTexts | NumberTexts], texts: list[str]) -> bool:
    """Whether most of the first texts are what this look is at."""
    sample = look(texts[:FIRST])
    return bool(sample.count) and sample.failed <= _MOST * sample.count


def _unless_codes(numbers: NumberTexts, texts: list[str]) -> NumberTexts | None:
    """What texts say as numbers; None where they are codes."""
    kind = text_codes.code_kind(texts) if numbers.special or numbers.failed else None
    return None if kind == "code" else replace(numbers, triples=min(texts)) if kind == "triples" else numbers


def look_at_points(connection: duckdb.DuckDBPyConnection, relation: str, column: str) -> NumberTexts:
    """What the cells with a point in a column of numbers say, by their texts; `count` is 0 where there is none."""
    pointed = _distinct(relation, column, "contains(text, '.')")
    query = f"select text from ({pointed}) order by place"
    return sum((text_numbers.look_at(texts) for texts in _texts(beside(connection), query)), NumberTexts())


def are_times(arrays: Iterable[pa.Array]) -> bool:
    """Whether all texts of these arrays are times; no more are read than it takes to know."""
    batches = ([str(text).strip() for text in array.unique().to_pylist() if text is not None] for array in arrays)
    return not any(text_times.look_at(texts).failed for texts in batches)


def _texts(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[list[str]]:
    for batch in connection.sql(query).to_arrow_reader(_ROWS):
        yield [text.strip() for text in batch.column(0).to_pylist()]


def replace_texts(
    connection: duckdb.DuckDBPyConnection, table: str, readers: Mapping[str, tuple[Reader, pa.DataType]]
) -> None:
    """Write a table anew, with the values of some text columns in the place of the texts; rows keep their order."""
    if not readers:
        return
    rows = beside(connection).sql(f"select * from {table}").to_arrow_reader(_ROWS)
    kinds = {name: kind for name, (_, kind) in readers.items()}
    schema = pa.schema([field.with_type(kinds.get(field.name, field.type)) for field in rows.schema])

    def anew() -> Iterator[pa.RecordBatch]:
        for batch in rows:
            arrays = [
                readers[name][0](batch.column(name).to_pandas()).cast(schema.field(name).type)
                if name in readers
                else batch.column(name)
                for name in schema.names
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    connection.register("texts_read", pa.RecordBatchReader.from_batches(schema, anew()))
    connection.execute(f"create table anew_{table} as select * from texts_read")
    connection.unregister("texts_read")
    connection.execute(f"drop table {table}")
    connection.execute(f"alter table anew_{table} rename to {table}")
