"""Columns of times of day and of lengths of time, which are words to a model.

Here: finding them, and what is said of each: that it is no number, or that it stands beside a column of days alone. Not
here: moments (`times`), a clock of twelve hours (`twelve_hours`).
"""

from __future__ import annotations

import re

from mlops_assets.core.values.display import some
from mlops_assets.core.values.identifiers import NEARLY_ALL
from mlops_assets.core.values.sql import quoted
from mlops_assets.core.values.text_codes import Clocks, clocks_among
from mlops_assets.onboarding.reading.table import Facts, Table
from mlops_assets.onboarding.times import TimeColumn

_FEWEST = 3
"""Different texts of a column that may be of time."""
_SAMPLE = 1_000
_MANY = 20
"""Different texts of four digits that are all times of day: of codes one in seven is, of twenty codes never all."""
_DENSE = re.compile(r"(?:[01][0-9]|2[0-3])[.h]?[0-5][0-9]")
"""A time of day without a colon, as 0930 or 09.30: by itself it may be a code."""
_NAMED = 3
"""Columns that a sentence names."""


def days_alone(table: Table, time: TimeColumn) -> list[str]:
    """What is assumed where rows are about days, and their times of day stand in columns of their own."""
    names = _beside_days(table, time)
    if not names:
        return []
    column = quoted(names[0])
    first = table.first(
        f"select arg_min({time.sql}::date, rowid), arg_min({column}, rowid) from {table.relation} "
        f"where {column} is not null"
    )
    return [
        f"A row is about the day in {time.name}: the time of day in {some(names, _NAMED)} is no part of it. If it is "
        f"the time of that day, write both in one column of the files, such as {first[0]} {first[1]}, and call "
        "new-model again; then rows of a day have an order, and hours are features."
    ]


def clocks_in(table: Table, facts: Facts, time: TimeColumn) -> str:
    """What is said of a column of times of day or lengths of time; empty for others, and for those of `days_alone`."""
    clocks = _clocks(table, facts)
    if clocks is None or facts.name in _beside_days(table, time):
        return ""
    column = quoted(facts.name)
    first = table.first(f"select arg_min({column}, rowid) from {table.relation} where {column} is not null")[0]
    what = "lengths of time" if clocks.lengths == clocks.most else "times of day, or lengths of time,"
    return (
        f"{facts.name} holds {what} such as {first!r} ({table.place(f'{column} is not null')}), and each is a word of "
        "its own to the model: write them as numbers, in minutes or seconds, and call new-model again."
    )


def holds_clocks(table: Table, facts: Facts) -> bool:
    """Whether a column holds times of day or lengths of time."""
    return _clocks(table, facts) is not None


def _beside_days(table: Table, time: TimeColumn) -> list[str]:
    """Columns of times of day where the rows' own time is a day."""
    if time.has_hours:
        return []
    clocks = {name: _clocks(table, facts) for name, facts in table.facts.items() if name != time.name}
    return [name for name, of in clocks.items() if of is not None and of.clocks > of.lengths]


def _clocks(table: Table, facts: Facts) -> Clocks | None:
    """What a column says about time of day; None where its texts are neither."""
    if facts.dtype != "VARCHAR" or facts.distinct < _FEWEST:
        return None
    column = quoted(facts.name)
    sample = table.connection.execute(
        f"select {column} from {table.relation} where {column} is not null using sample {_SAMPLE} rows (reservoir, 13)"
    ).fetchall()
    texts = [text for (text,) in sample]
    clocks = clocks_among(texts)
    if clocks.most >= NEARLY_ALL * clocks.count:
        return clocks
    is_dense = facts.distinct >= _MANY and all(_DENSE.fullmatch(text) for text in texts)
    return Clocks(len(texts), len(texts), 0) if is_dense else None
