"""Whole numbers that name rows by what they hold, whatever their column is called.

Here: which columns of a table they are, and what is said of them. Not here: the rules on values
(`core.values.identifiers`), columns that are called like ids or have no gaps (`columns.is_identifier`).

A column is asked about where (nearly) every row has a value of its own. It names rows if its values go with time, or
if they lie so close together that measurements would repeat. Values far apart tell less: spread evenly, they are as
likely names as measurements, stay features, and are named.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_assets.core.values.display import some
from mlops_assets.core.values.exact import FLOAT_WHOLE
from mlops_assets.core.values.identifiers import (
    FEWEST,
    NEARLY_ALL,
    is_clock,
    is_spread_evenly,
    never_repeats,
)
from mlops_assets.core.values.quoted_commands import typed
from mlops_assets.core.values.sql import quoted
from mlops_assets.onboarding.columns import is_code, is_identifier, is_key
from mlops_assets.onboarding.reading.table import Facts, Table
from mlops_assets.onboarding.times import TimeColumn, seeming_unit

_NAMED = 6
"""Columns that a sentence names."""


@dataclass(frozen=True)
class RowNames:
    """Columns of whole numbers that name rows.

    Attributes:
        certain: column -> why it is no feature.
        possible: columns that may be names or measurements.
    """

    certain: Mapping[str, str]
    possible: tuple[str, ...]

    def notes(self, table: Table, key: str | None, model: str) -> list[str]:
        """What was assumed of them, with the option that changes it."""
        differing = [name for name in self.possible if table.facts[name].distinct == table.rows]
        which = (
            f" ({some(differing, _NAMED)}: different in all rows; call one {differing[0]}_id, and it does)"
            if differing
            else ""
        )
        notes = [
            f"Each row is identified by {key}."
            if key
            else f"No column is known to identify a row{which}: rows of a file are numbered."
        ]
        if self.certain:
            notes.append(
                f"{_listed(list(self.certain))} left out: what names rows, or goes with time alone, tells a model "
                f"nothing of new ones. If it measures something, add it to feat_{model}."
            )
        if self.possible:
            options = ", ".join(typed("--text", name) for name in self.possible[:_NAMED])
            notes.append(
                f"{_listed(self.possible)} taken for numbers, though hardly a value is there twice, and they lie as "
                f"evenly as identifiers do. What names something is left out by {options}."
            )
        return notes


def row_names(table: Table, time: TimeColumn, but: Collection[str]) -> RowNames:
    """The columns, but for some, that name rows by their values; times that stand as numbers are none.

    Args:
        table: the rows.
        time: their time.
        but: names of columns that are not asked about.
    """
    certain, possible = {}, []
    for name, facts in table.facts.items():
        # Whole numbers that were written with marks for thousands, or as money, are amounts.
        is_amount = facts.dtype == "DOUBLE" and name in table.texts.formats
        if name in but or not _may_name(facts) or is_amount or seeming_unit(table, facts, time):
            continue
        values, times = _whole_numbers(table, facts, time)
        if not values.size:
            continue
        known = facts.rows - facts.missing
        differ = f"{facts.distinct:,} different values in {known:,} rows"
        if is_clock(values, times):
            certain[name] = f"an identifier or a counter: {differ}, in the order of {time.name}"
        elif never_repeats(np.sort(values)):
            certain[name] = f"an identifier: {differ}, so close together that measurements would repeat"
        elif not is_code(facts) and is_spread_evenly(np.sort(values)):
            possible.append(name)
    return RowNames(certain, tuple(possible))


def clocks(table: Table, time: TimeColumn, names: Collection[str]) -> set[str]:
    """Those of these columns whose whole numbers go with time: what moves on by itself is in no other unit."""
    return {
        name
        for name in names
        if table.facts[name].distinct >= FEWEST and is_clock(*_whole_numbers(table, table.facts[name], time))
    }


def key_of(table: Table, names: RowNames, but: Collection[str]) -> str | None:
    """The first column, but for some, that identifies each row: by its name, else by its values."""
    called = (name for name, facts in table.facts.items() if is_key(facts) and name not in but)
    valued = (name for name in names.certain if table.facts[name].distinct == table.rows)
    return next(called, None) or next(valued, None)


def _listed(names: Sequence[str]) -> str:
    return f"{some(list(names), _NAMED)} {'is' if len(names) == 1 else 'are'}"


def _may_name(facts: Facts) -> bool:
    known = facts.rows - facts.missing
    return facts.is_number and facts.distinct >= max(FEWEST, NEARLY_ALL * known) and not is_identifier(facts)


def _whole_numbers(table: Table, facts: Facts, time: TimeColumn) -> tuple[NDArray[Any], NDArray[Any]]:
    """The values of a column and the times of their rows; none where some are not whole, or may be rounded floats."""
    x = quoted(facts.name)
    if facts.dtype == "DOUBLE":
        whole = f"bool_and({x} = floor({x}) and abs({x}) <= {FLOAT_WHOLE})"
        if not table.first(f"select {whole} from {table.relation} where {x} is not null")[0]:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    rows = table.connection.execute(
        f"select {x}::bigint as x, epoch_us({time.sql}) as t from {table.relation} where {x} is not null"
    ).fetchnumpy()
    return np.asarray(rows["x"], dtype=np.int64), np.asarray(rows["t"], dtype=np.int64)
