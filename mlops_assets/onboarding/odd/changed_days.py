"""Days of a table on which a column is in another unit, or has changed in some other way that no world changes.

Here: the shapes of the table's own days, and what is said of those that have changed. Not here: which have
(`core.sources.partition_history`), the range that is drawn without them (`ranges`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

import numpy as np

from mlops_assets.core.sources.contract import Failure
from mlops_assets.core.sources.partition_history import changed_within
from mlops_assets.core.sources.partition_profile import ColumnShape, column_shape
from mlops_assets.core.sources.partition_units import UNKNOWN
from mlops_assets.core.values.display import some
from mlops_assets.core.values.sql import quoted
from mlops_assets.onboarding.calendar import Calendar
from mlops_assets.onboarding.reading.table import Table
from mlops_assets.onboarding.times import TimeColumn

_MOST = 6
"""Stretches of days that a sentence names."""


_CHANGES = {
    "changed_unit": "seems to be in another unit in some of its rows",
    "changed_constant": "has one value alone",
}
"""What a day shows that is in no unit by all of its rows."""


@dataclass(frozen=True)
class Changed:
    """The days on which a column has changed.

    Attributes:
        sentence: what is said of them.
        condition: the rows of these days, in SQL.
    """

    sentence: str
    condition: str


def changed_days(
    table: Table, time: TimeColumn, days: Calendar, zone: str, columns: Sequence[str]
) -> dict[str, Changed]:
    """For each of these columns of numbers the days that have changed, where there are any.

    Args:
        table: the rows.
        time: their time.
        days: the partitions.
        zone: whose days are counted.
        columns: their names.
    """
    part = f"date_trunc('{days.grain}', timezone('{zone}', {time.sql}))::date"
    by_column = {}
    for name in columns:
        shapes = _shapes(table, name, part)
        if changed := changed_within(name, shapes):
            listed = ", ".join(f"date '{day}'" for day in changed)
            by_column[name] = Changed(_warning(name, changed, shapes, days.grain), f"{part} in ({listed})")
    return by_column


def _shapes(table: Table, name: str, part: str) -> dict[date, ColumnShape]:
    """The shape of each partition of a column, in the order of time."""
    x = f"{quoted(name)}::double"
    query = f"select {part}, {x} from {table.relation} where isfinite({x}) order by 1"
    parts, values = table.connection.execute(query).fetchnumpy().values()
    keys, starts = np.unique(np.asarray(parts, dtype="datetime64[D]"), return_index=True)
    pieces = np.split(np.asarray(values, dtype=np.float64), starts[1:])
    return {key: column_shape(piece) for key, piece in zip(keys.tolist(), pieces, strict=True)}


def _warning(name: str, changed: Mapping[date, Failure], shapes: Mapping[date, ColumnShape], grain: str) -> str:
    """The days, what has changed, and what to do."""
    # What one day leaves open, the others of its kind may tell.
    known = Counter(unit for failure in changed.values() for unit in failure.sample if unit != UNKNOWN)
    alike: dict[str, list[date]] = {}
    for day, failure in changed.items():
        unit = max(failure.sample, key=lambda unit: known[unit], default="")
        alike.setdefault(f"seems to be in another unit ({unit})" if unit else _CHANGES[failure.rule], []).append(day)
    kinds = (
        f"{what} on {_stretches(of, list(shapes))} ({len(of)} of {len(shapes)} {grain}s with values; median "
        f"{_median(shapes, of):.6g}, on the others {_median(shapes, shapes.keys() - changed.keys()):.6g})"
        for what, of in sorted(alike.items(), key=lambda kind: -len(kind[1]))
    )
    return (
        f"{name} {', and '.join(kinds)}. Correct these rows and call new-model again. What is `usual` is drawn without "
        f"them; if they are right, widen it in the YAML and set `steady: false` there."
    )


def _stretches(days: Sequence[date], every: Sequence[date]) -> str:
    """Days that follow each other as first and last."""
    places = {day: place for place, day in enumerate(every)}
    groups = groupby(enumerate(days), key=lambda pair: places[pair[1]] - pair[0])
    runs = [[day for _, day in group] for _, group in groups]
    return some([f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs], _MOST)


def _median(shapes: Mapping[date, ColumnShape], days: Sequence[date] | set[date]) -> float:
    return float(np.median([np.median(shapes[day].quantiles or (np.nan,)) for day in days]))
