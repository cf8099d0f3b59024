"""What a source promises about its rows, as values: the contract, its columns, and the verdict on a frame.

Not here: casting raw columns (`contract_cast`), checking (`contract_check`), failures in words (`contract_failures`),
reading files, quarantining and writing partitions (`world`, `assets`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlops_assets.core.limits.ranges import ANY_SHARE, Range, read_numbers, refuse_outside
from mlops_assets.core.limits.scientific_notation import as_number
from mlops_assets.core.values.text_formats import NUMBER_FORMATS, TIME_FORMATS, NumberFormat, TimeFormat

if TYPE_CHECKING:
    import pandas as pd

Type = Literal["string", "integer", "number", "boolean", "timestamp", "date"]
Extra = Literal["ignore", "forbid"]

_ARROW: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
}
_NUMBER = Range(-1e300, 1e300, 100)
_FORMATS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("timestamp", "date"), TIME_FORMATS),
    **dict.fromkeys(("number", "integer"), NUMBER_FORMATS),
}


@dataclass(frozen=True)
class Column:
    """The promise about one column.

    Attributes:
        type: string, integer, number, boolean, timestamp or date.
        required: the column must be in the file, True by default. An absent optional column is added as NULL,
            so columns can be added over time.
        nullable: whether values may be missing, True by default.
        max_null_share: largest share of missing values, None (default) for no limit.
        min: smallest value, inclusive; dates and timestamps as ISO text.
        max: largest value, inclusive.
        allowed: the known values; None (default) for any.
        new_category_share: share of rows (with a value) that may lie outside `allowed`, 0 by default.
        usual: where numbers mostly lie, from and to, inclusive; None (default) for anywhere.
        unusual_share: share of rows (with a value) that may lie outside `usual`, 0.05 by default: an odd row is no
            fault, a partition in another unit is.
        known_at: when a value becomes known; None (default): with its row (`SourceSettings.moment_sql`).
        format: how texts are written (`text_formats`), such as dmy or comma;
            None (default): ISO 8601, and plain numbers.
        null_values: cells that mean missing in this column, beside those of the source: -1, -999, unknown.
        steady: whether a partition is held against those accepted before it, True by default: another unit, one
            value throughout, another spelling, a clock that is off (`partition_faults`).
    """

    type: Type
    required: bool = True
    nullable: bool = True
    max_null_share: Annotated[float | None, ANY_SHARE] = None
    min: Any = None
    max: Any = None
    allowed: tuple[Any, ...] | None = None
    new_category_share: Annotated[float, ANY_SHARE] = 0.0
    usual: tuple[Annotated[float, _NUMBER], Annotated[float, _NUMBER]] | None = None
    unusual_share: Annotated[float, ANY_SHARE] = 0.05
    known_at: str | None = None
    format: TimeFormat | NumberFormat | None = None
    null_values: tuple[str | int | float, ...] = ()
    steady: bool = True

    def __post_init__(self) -> None:
        """Hold the format against the type; what means missing is kept as text.

        Raises:
            ValueError: it is one of another type, a limit is no number, or `null_values` is no list.
        """
        refuse_outside(Column, vars(self), "column")
        self._read_numbers()
        self._check_limits()
        if isinstance(self.null_values, str):
            msg = f"null_values is {self.null_values!r}: write a list, such as [-1, unknown]"
            raise ValueError(msg)
        object.__setattr__(self, "null_values", tuple(map(str, self.null_values)))
        known = _FORMATS.get(self.type, ())
        if self.format is not None and self.format not in known:
            msg = f"format is {self.format!r}, of a column of type {self.type}: set one of {', '.join(known) or 'none'}"
            raise ValueError(msg)

    def _read_numbers(self) -> None:
        """Limits and values of a column of numbers that YAML has read as texts (`limits.scientific_notation`)."""
        if self.type not in ("number", "integer"):
            return
        for name in ("min", "max"):
            object.__setattr__(self, name, as_number(getattr(self, name), whole=self.type == "integer"))
        if self.allowed is not None:
            allowed = tuple(as_number(value, whole=self.type == "integer") for value in self.allowed)
            object.__setattr__(self, "allowed", allowed)

    def _check_limits(self) -> None:
        for name, limit in (("min", self.min), ("max", self.max)):
            if isinstance(limit, float):
                _NUMBER.refuse(name, limit)
        for name, limits in (("min and max", (self.min, self.max)), ("usual", self.usual or (None, None))):
            low, high = limits
            if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
                raise ValueError(f"{name}: {low:g} is above {high:g}, so that no number fits: write the smaller first")

    @classmethod
    def from_dict(cls, name: str, data: Mapping[str, Any] | str) -> Self:
        """A column from its plain form; a bare string is the type.

        Raises:
            ValueError: an unknown field or type.
        """
        values: dict[str, Any] = {"type": data} if isinstance(data, str) else dict(data)
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(values) - known):
            msg = f"column {name} has no field {unknown[0]!r}: use one of {', '.join(sorted(known))}"
            raise ValueError(msg)
        if values.get("type") not in get_args(Type):
            msg = f"column {name} has type {values.get('type')!r}: set one of {', '.join(get_args(Type))}"
            raise ValueError(msg)
        if values.get("allowed") is not None:
            values["allowed"] = tuple(values["allowed"])
        if values.get("usual") is not None:
            values["usual"] = _usual(name, values["type"], values["usual"])
        values = read_numbers(cls, values)
        refuse_outside(cls, values, f"column {name}")
        return cls(**values)


def _usual(name: str, kind: str, given: Any) -> tuple[float, float]:
    """Where numbers mostly lie, from its plain form."""
    numbers = list(map(as_number, given)) if isinstance(given, list | tuple) else []
    fits = len(numbers) == 2 and all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers)
    if kind not in ("number", "integer") or not fits or not numbers[0] <= numbers[1]:
        msg = f"column {name}: usual is {given!r}: write two numbers, the smaller first, for a number or an integer"
        raise ValueError(msg)
    return numbers[0], numbers[1]


@dataclass(frozen=True)
class SourceContract:
    """The promise of a source.

    Attributes:
        columns: column name -> promise, in the order in which they are stored.
        unique: the key columns; no two rows may share a key, and none of them may be missing.
        min_rows: fewest rows of a partition, 1 by default: an empty file is a fault.
        max_rows: most rows, None for no limit.
        event_time: the timestamp column that places a row in its partition; None for a source without
            partitions.
        tz: time zone in which timestamps without an offset are read, UTC by default.
        no_future: refuse rows whose event time is later than now, True by default.
        extra: `ignore` (default) columns that are not declared, with a note and not storing them; or
            `forbid`.
    """

    columns: Mapping[str, Column]
    unique: tuple[str, ...] = ()
    min_rows: int = 1
    max_rows: int | None = None
    event_time: str | None = None
    tz: str = "UTC"
    no_future: bool = True
    extra: Extra = "ignore"

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, event_time: str | None = None, tz: str | None = None) -> Self:
        """A contract from plain values as in YAML.

        Args:
            data: `columns`, and optionally `unique`, `rows: {min, max}`, `no_future`, `extra`, `event_time`,
                `tz`.
            event_time: the source's event-time column, if not in `data`.
            tz: the source's time zone, if not in `data`.

        Raises:
            ValueError: an unknown field, or a key or event time that is not a column; ends in the remedy.
        """
        values = dict(data)
        rows = dict(values.pop("rows", None) or {})
        names = {"columns", "unique", "no_future", "extra", "event_time", "tz"}
        if unknown := sorted(set(values) - names) + sorted(set(rows) - {"min", "max"}):
            msg = f"the contract has no field {unknown[0]!r}: use {', '.join(sorted(names))} or rows"
            raise ValueError(msg)
        columns = {n: Column.from_dict(n, c) for n, c in (values.pop("columns", None) or {}).items()}
        values["unique"] = tuple(values.get("unique") or ())
        values["event_time"] = values.get("event_time") or event_time
        values["tz"] = values.get("tz") or tz or "UTC"
        contract = cls(columns, min_rows=rows.get("min", 1), max_rows=rows.get("max"), **values)
        contract._check()
        return contract

    def _check(self) -> None:
        if not self.columns:
            msg = "the contract declares no columns: list them under `columns:`"
            raise ValueError(msg)
        if self.extra not in get_args(Extra):
            msg = f"extra is {self.extra!r}: set ignore or forbid"
            raise ValueError(msg)
        named = [*self.unique, *([self.event_time] if self.event_time else [])]
        if absent := [n for n in named if n not in self.columns]:
            msg = f"{absent[0]!r} is used as key or event time but is not declared: add it under `columns:`"
            raise ValueError(msg)
        if self.event_time and self.columns[self.event_time].type != "timestamp":
            msg = f"the event time {self.event_time} is not of type timestamp: declare it as one"
            raise ValueError(msg)

    def has_open_mark(self, name: str) -> bool:
        """Whether nothing says how a column writes its numbers, in a source that has decimal commas in others."""
        column, others = self.columns[name], (c.format for c in self.columns.values())
        return (
            column.format is None
            and column.type in ("number", "integer")
            and any(written is not None and written.startswith("comma") for written in others)
        )

    @property
    def never_null(self) -> frozenset[str]:
        """Columns that may not be missing in any row: the key, the event time, and those not nullable."""
        declared = {n for n, c in self.columns.items() if not c.nullable}
        return frozenset(declared | set(self.unique) | ({self.event_time} if self.event_time else set()))


@dataclass(frozen=True)
class Failure:
    """A broken promise: which, where, how many rows, a few values, and a sentence that ends in the remedy."""

    rule: str
    column: str | None
    n_rows: int
    sample: tuple[Any, ...]
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values; the sample as text."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**plain, "sample": [str(v) for v in self.sample]}


@dataclass(frozen=True)
class ContractResult:
    """Whether the frame keeps the contract.

    Attributes:
        ok: no failure.
        failures: all of them, in a fixed order.
        bad_rows: shape (n,), True for rows that broke a row-level rule, aligned to the frame that was
            checked.
        frame: the conformed frame: what may be stored if `ok`.
        notes: what is worth knowing but breaks nothing.
    """

    ok: bool
    failures: tuple[Failure, ...]
    bad_rows: NDArray[np.bool_]
    frame: pd.DataFrame = field(compare=False)
    notes: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """All failures as one text; empty if ok."""
        return " ".join(f.sentence for f in self.failures)


def arrow_schema(contract: SourceContract) -> pa.Schema:
    """The Parquet schema of the source: the same for every partition, also where a column is all NULL."""
    return pa.schema([pa.field(name, _ARROW[column.type]) for name, column in contract.columns.items()])
