"""What one partition of a source looks like, in a few numbers a column: what later ones are held against.

Here: `shape_of` a frame that keeps its contract, its plain form, which is kept with the rows, and which shapes say what
is usual. Not here: which change of a shape is a fault (`partition_faults`), where shapes are kept
(`steps.land.accepted_days`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlops_assets.core.sources.contract import SourceContract

MIN_PAST = 21
"""With fewer nothing is said."""
RUN = 5
"""Days that follow each other and are looked at together: five say sqrt(5) times as much as one."""
WAIT = 7
"""Days after a refused one in which its unit is still suspected, though those between look right."""

LEVELS = (np.arange(20) + 0.5) / 20
"""Of the quantiles that are kept: their mean is close to that of all values, without the ends of a heavy tail."""
MAX_VALUES = 200
"""Texts with more values are known by their style alone."""
FORM = 2
"""Of what is kept; a shape of another form is made again from its rows."""


@dataclass(frozen=True)
class ColumnShape:
    """One column of one partition; what does not apply is None.

    Attributes:
        n: known values; of numbers, finite ones.
        modal: share of the most frequent value.
        quantiles: shape (20,), of numbers; of other times, their hours after the event.
        is_lag: whether it is such a time.
        nonzero: shape (20,), quantiles of the values other than 0, where there are zeros.
        zeros: share of zeros.
        hours: shape (24,), rows by local hour, of the event time.
        values: rows of each value, of a text with at most `MAX_VALUES`.
        styles: share of texts that are the same in upper case, and in lower case.
        refused: the units that it was taken to be in, of a partition that was refused for that.
        is_let_in: whether a person let the partition in.
    """

    n: int
    modal: float = 0.0
    quantiles: tuple[float, ...] | None = None
    is_lag: bool = False
    nonzero: tuple[float, ...] | None = None
    zeros: float = 0.0
    hours: tuple[int, ...] | None = None
    values: Mapping[str, int] | None = None
    styles: tuple[float, float] | None = None
    refused: tuple[str, ...] = ()
    is_let_in: bool = False


@dataclass(frozen=True)
class Shape:
    """A partition: the shape of each column that is watched."""

    columns: Mapping[str, ColumnShape]

    def let_in(self) -> Self:
        """Of a partition that a person let in."""
        return replace(self, columns={name: replace(column, is_let_in=True) for name, column in self.columns.items()})

    def refused(self, units: Mapping[str, tuple[str, ...]]) -> Self:
        """Of a partition that was refused, of which only the columns in other units are kept, with those units."""
        return replace(self, columns={name: replace(self.columns[name], refused=unit) for name, unit in units.items()})

    def to_json(self) -> str:
        """Text that `from_json` reads."""
        plain = {
            name: {key: value for key, value in asdict(column).items() if value not in (None, 0.0, False, ())}
            for name, column in self.columns.items()
        }
        return json.dumps({"form": FORM, "columns": plain}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self | None:
        """The shape that a text says; None for one of another form."""
        payload = json.loads(text)
        if payload.get("form") != FORM:
            return None
        tuples = ("quantiles", "nonzero", "hours", "styles", "refused")
        columns = {
            name: ColumnShape(**{"n": 0, **column, **{key: tuple(column[key]) for key in tuples if key in column}})
            for name, column in payload["columns"].items()
        }
        return cls(columns)


def shape_of(contract: SourceContract, frame: pd.DataFrame) -> Shape:
    """The shape of a partition.

    Args:
        contract: what its columns are; those with `steady: false`, and keys that are numbers, are left out.
        frame: the conformed rows.
    """
    event = frame[contract.event_time] if contract.event_time else None
    columns = {}
    for name, column in contract.columns.items():
        if not column.steady or name not in frame:
            continue
        values = frame[name].dropna()
        if name == contract.event_time:
            columns[name] = _hours(values, contract.tz)
        elif column.type == "string":
            columns[name] = _text(values.astype(str))
        elif column.type == "timestamp" and event is not None:
            lag = (values - event[values.index]).dt.total_seconds() / 3600
            columns[name] = replace(column_shape(lag.dropna().astype(np.float64).to_numpy()), is_lag=True)
        elif column.type in ("number", "integer", "boolean") and name not in contract.unique:
            columns[name] = column_shape(values.to_numpy(dtype=np.float64))
    return Shape(columns)


def column_shape(values: NDArray[Any]) -> ColumnShape:
    """The shape of numbers; those that are not finite are left out."""
    known = np.sort(values[np.isfinite(values)])
    if not known.size:
        return ColumnShape(0)
    nonzero = known[known != 0.0]
    has_zeros = 0 < nonzero.size < known.size
    return ColumnShape(
        n=int(known.size),
        modal=_longest_run(known) / known.size,
        quantiles=_quantiles(known),
        nonzero=_quantiles(nonzero) if has_zeros else None,
        zeros=1.0 - nonzero.size / known.size,
    )


def _quantiles(ordered: NDArray[np.float64]) -> tuple[float, ...]:
    """Values that stand there, not means of two: these keep their decimals."""
    places = np.rint(LEVELS * (ordered.size - 1)).astype(np.int64)
    return tuple(float(f"{value:.14g}") for value in ordered[places])


def _longest_run(ordered: NDArray[np.float64]) -> int:
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    return int(np.diff(np.append(starts, ordered.size)).max())


def _hours(times: pd.Series, tz: str) -> ColumnShape:
    hours = np.bincount(times.dt.tz_convert(tz).dt.hour.to_numpy(dtype=np.int64), minlength=24)
    return ColumnShape(n=int(hours.sum()), hours=tuple(int(n) for n in hours))


def _text(values: pd.Series) -> ColumnShape:
    counts = values.value_counts()
    n = int(counts.sum())
    if not n:
        return ColumnShape(0)
    texts = counts.index
    upper, lower = texts == texts.str.upper(), texts == texts.str.lower()
    weights = counts.to_numpy()
    # What has no letters is the same in both cases, and says nothing.
    styles = tuple(float(weights[case & ~other].sum() / n) for case, other in ((upper, lower), (lower, upper)))
    few = {str(value): int(count) for value, count in counts.items()} if len(counts) <= MAX_VALUES else None
    return ColumnShape(n=n, modal=float(weights.max() / n), values=few, styles=(styles[0], styles[1]))


def witnesses(past: Sequence[ColumnShape]) -> tuple[list[ColumnShape], list[ColumnShape]]:
    """Accepted days that may say what is usual, and all days since a short while ago one was refused, that one first.

    Days that were accepted after such a refusal may be in that unit too, and say nothing, nor do the last before it: a
    small factor shows after a few days. What a person let in ends the suspicion.
    """
    accepted = [day for day in past if not day.refused]
    begin = max((n + 1 for n, day in enumerate(past) if day.is_let_in), default=0)
    refused = [n for n in range(begin, len(past)) if past[n].refused]
    if not refused or len(past) - refused[-1] > WAIT:
        return accepted, []
    first = refused[-1]
    for n in reversed(refused):
        if first - n > WAIT:
            break
        first = n
    before, sure = ([day for day in past[:end] if not day.refused] for end in (first, max(begin, first - RUN + 1)))
    return sure if len(sure) >= MIN_PAST else before, list(past[first:])
