"""Where the numbers of a table usually lie: what a contract can promise of them.

Here: a range for each column that keeps to one. Not here: how it is written down (`values`), how it is checked
(`core.sources.contract_check`).

A range is wide, since what lies outside stops the model until a person looks: the middle 99.9 % of the values with as
much again on either side. A changed unit leaves it all the same, and so does a wrong column. A column that moves (a
counter, a price that grows, a season of which half was seen) gets none: it would leave any range some day.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from mlops_assets.core.values.exact import LARGEST
from mlops_assets.core.values.sql import quoted
from mlops_assets.onboarding.reading.table import Table
from mlops_assets.onboarding.times import TimeColumn

TAIL = 0.0005
"""Share of the values on each side that the middle leaves out."""
SHARE = 0.05
"""Share of a partition's values outside that is no fault; more where history had more, or where rows are few."""
ODD_ROWS = 2
"""So many rows outside are no fault in a partition of the usual size."""
_MOST = 0.5
"""With a larger share outside a range says nothing; a changed unit moves nearly all."""
_MOVED = 0.05
"""A column moves when a larger share of its newer half lies beyond all of its older half."""


@dataclass(frozen=True)
class Usual:
    """Where the numbers of a column lie.

    Attributes:
        low: they lie from here.
        high: to here.
        share: of a partition's rows that may lie outside.
    """

    low: float
    high: float
    share: float = SHARE


def widened(low: float, high: float) -> tuple[float, float]:
    """The range around a middle that reaches from `low` to `high`, rounded outwards to two digits of its length."""
    span = high - low
    step = 10.0 ** (math.floor(math.log10(span)) - 1)
    digits = max(0, 1 - math.floor(math.log10(span)))
    return round(math.floor((low - span) / step) * step, digits), round(math.ceil((high + span) / step) * step, digits)


def usual_ranges(
    whole: Table, time: TimeColumn, columns: Iterable[str], length: str, without: Mapping[str, str]
) -> dict[str, Usual]:
    """A range for each of these numeric columns that keeps to one.

    Args:
        whole: the rows.
        time: their time.
        columns: names of columns of numbers.
        length: of a partition: hour, day, week or month.
        without: column -> a condition for rows that say nothing of where it usually lies.
    """
    ranges = {}
    counts = f"select count(*) as n from {whole.relation} group by date_trunc('{length}', {time.sql})"
    few = min(ODD_ROWS / whole.first(f"select median(n) from ({counts})")[0], _MOST)
    for name in columns:
        table = whole
        if name in without:
            table = replace(whole, relation=f"(select * from {whole.relation} where not ({without[name]}))")
        low, high = _middle(table, name)
        # A flag of 0 and 1 has no unit.
        if table.facts[name].distinct <= 2 or not high > low or _moves(table, time, name):
            continue
        start, end = widened(low, high)
        odd = _oddest(table, time, name, start, end, length)
        seen = 1.5 * odd + 0.02 if odd else 0.0
        share = max(SHARE, math.ceil(max(few, seen) * 100) / 100)
        if share <= _MOST:
            ranges[name] = Usual(start, end, share)
    return ranges


def _held(table: Table, name: str) -> str:
    """The numbers of a column that a model can hold."""
    column = quoted(name)
    return f"case when abs({column}) <= {LARGEST} then {column} end" if table.facts[name].dtype == "DOUBLE" else column


def _middle(table: Table, name: str) -> tuple[float, float]:
    quantiles = table.first(
        f"select quantile_cont(x, [{TAIL}, {1 - TAIL}]) from (select {_held(table, name)}::double as x "
        f"from {table.relation}) where x is not null"
    )[0]
    return (float(quantiles[0]), float(quantiles[1])) if quantiles else (0.0, 0.0)


def _moves(table: Table, time: TimeColumn, name: str) -> bool:
    """Whether many of the newer half of its values lie beyond all of the older half."""
    x = _held(table, name)
    share = table.first(
        f"with rows as (select {x} as x, ntile(2) over (order by {time.sql}) as half from {table.relation} "
        f"where {x} is not null), older as (select min(x) as low, max(x) as high from rows where half = 1) "
        "select avg((x < low or x > high)::int) from rows, older where half = 2"
    )[0]
    return share is None or float(share) > _MOVED


def _oddest(table: Table, time: TimeColumn, name: str, low: float, high: float, length: str) -> float:
    """The largest share outside the range in a partition of the history."""
    x = _held(table, name)
    share = table.first(
        f"select max(odd) from (select avg(({x} not between $low and $high)::int) as odd from {table.relation} "
        f"group by date_trunc('{length}', {time.sql}))",
        {"low": low, "high": high},
    )[0]
    return float(share or 0.0)
