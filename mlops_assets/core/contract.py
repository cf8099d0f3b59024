"""What a source promises about its rows, and whether a frame keeps the promise.

Here: the contract as a value, the cast of raw columns to declared types, the check of a frame with pandera,
and its failures as sentences with the rows they mean. Not here: reading files, quarantining, writing
partitions (`resources`, `components`).

A frame is judged whole: every rule is tried, all failures are told at once, and each row that broke a
row-level rule is marked, so that a quarantined partition can be mended in one go.

One partition costs 50 to 100 ms of pandera and pandas calls whatever its size, so many are checked together:
`check_frames` casts and checks them as one frame and looks again, one by one, only at those that broke a
rule. That gives the verdicts of one by one because a cast looks at its own cell alone, and because each rule
about a share, a key or a window is counted within its own partition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal, Self, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlops_assets.core.windows import Window

Type = Literal["string", "integer", "number", "boolean", "timestamp", "date"]
Extra = Literal["ignore", "forbid"]

SAMPLE = 5
"""Values shown with a failure: enough to recognise the fault, few enough to read."""

_ARROW: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
}
_TRUE = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "0.0"})


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
        known_at: when a value becomes known (another column, or a word), for readers and for leakage checks.
    """

    type: Type
    required: bool = True
    nullable: bool = True
    max_null_share: float | None = None
    min: Any = None
    max: Any = None
    allowed: tuple[Any, ...] | None = None
    new_category_share: float = 0.0
    known_at: str | None = None

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
        for share in ("max_null_share", "new_category_share"):
            if values.get(share) is not None and not 0.0 <= values[share] <= 1.0:
                msg = f"column {name}: {share} is {values[share]}: set a share between 0 and 1"
                raise ValueError(msg)
        return cls(**values)


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
class Conformed:
    """A frame in the declared types and order; cells whose cast failed are NULL and marked."""

    frame: pd.DataFrame
    failures: tuple[Failure, ...]
    bad_cells: Mapping[str, NDArray[np.bool_]]
    notes: tuple[str, ...] = ()


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


def conform(contract: SourceContract, frame: pd.DataFrame) -> Conformed:
    """Cast the columns of a raw frame (CSV text or Parquet) to the declared types, in the declared order.

    Timestamps become UTC microseconds; those without an offset are read in the contract's time zone (the
    first of two when clocks go back, moved forward where clocks skip). Dates are `datetime.date`. A value
    that can't be cast becomes NULL and is reported, never raised. Empty text is NULL except in string columns
    that arrive as such.

    Args:
        contract: the promise.
        frame: n rows; any index.

    Returns:
        n rows in the same order with a fresh index; absent columns are NULL, undeclared ones are left out and
        noted.

    Raises:
        ValueError: a column name occurs twice.
    """
    n = len(frame)
    twice = sorted({str(c) for c in frame.columns[frame.columns.duplicated()]})
    if twice:
        msg = f"column {twice[0]} occurs twice in the file: rename or drop one; nothing was stored"
        raise ValueError(msg)
    columns: dict[str, Any] = {}
    bad_cells: dict[str, NDArray[np.bool_]] = {}
    failures: list[Failure] = []
    for name, column in contract.columns.items():
        if name not in frame.columns:
            columns[name] = _cast(pd.Series([None] * n, dtype=object), column.type, contract.tz)
            continue
        raw = frame[name].reset_index(drop=True)
        columns[name] = _cast(raw, column.type, contract.tz)
        bad = np.asarray(columns[name].isna() & raw.notna(), dtype=np.bool_)
        if bad.any():
            bad &= ~np.asarray(_blank(raw), dtype=np.bool_)
        if bad.any():
            bad_cells[name] = bad
            failures.append(_wrong_type(name, column, raw, bad))
    extra = [str(c) for c in frame.columns if c not in contract.columns]
    told = f"Columns that the contract does not declare were left out: {', '.join(extra)}."
    notes = (told,) if extra and contract.extra == "ignore" else ()
    out = pd.DataFrame(columns, index=pd.RangeIndex(n))
    return Conformed(out, tuple(failures), bad_cells, notes)


def check_frame(
    contract: SourceContract,
    frame: pd.DataFrame,
    *,
    partition: Window | None = None,
    now: datetime | None = None,
) -> ContractResult:
    """Conform a raw frame and hold it against the contract.

    Args:
        contract: the promise.
        frame: the raw rows of one partition (before `conform`).
        partition: the window its event times must lie in; None to skip.
        now: the clock for `no_future`; None to skip.

    Returns:
        All failures at once; `frame` is what may be stored.
    """
    conformed = conform(contract, frame)
    bad = np.zeros(len(frame), dtype=np.bool_)
    for cells in conformed.bad_cells.values():
        bad |= cells
    failures = [*_shape_failures(contract, frame), *conformed.failures]
    present = _present(contract, frame)
    for rule, column, rows, sample in _pandera_failures(contract, conformed, present, partition, now):
        bad |= rows
        sentence = _sentence(contract, rule, column, rows, sample, partition, now)
        failures.append(Failure(rule, column, int(rows.sum()) or len(frame), sample, sentence))
    return ContractResult(not failures, tuple(failures), bad, conformed.frame, conformed.notes)


def check_frames(
    contract: SourceContract,
    frames: Sequence[pd.DataFrame],
    *,
    partitions: Sequence[Window | None],
    now: datetime | None = None,
) -> list[ContractResult]:
    """Hold many partitions against the contract: what `check_frame` says of each, in a fraction of the time.

    Memory is a few times that of all frames together: the caller decides how many go in at once.

    Args:
        contract: the promise.
        frames: the raw rows of each partition.
        partitions: the window of each, None to skip.
        now: the clock for `no_future`; None to skip.

    Returns:
        One result a frame, in their order.
    """
    good: dict[int, ContractResult] = {}
    for together in _alike(contract, frames, partitions):
        good |= _good_of(contract, frames, together, partitions=partitions, now=now)
    return [
        good[i] if i in good else check_frame(contract, frame, partition=partitions[i], now=now)
        for i, frame in enumerate(frames)
    ]


# --- many partitions at once -------------------------------------------------------------------------------

_PART = "__partition__"
"""Joins the key where several partitions are checked as one frame: it is unique within its partition."""


@dataclass(frozen=True)
class _Parts:
    """Which rows of a frame belong together: one partition, or several one after the other.

    Attributes:
        codes: shape (n,), the number of each row's partition.
        sizes: shape (k,), rows of each partition.
        windows: the window of each partition; all None or none.
    """

    codes: NDArray[np.int64]
    sizes: NDArray[np.int64]
    windows: tuple[Window | None, ...]

    @classmethod
    def of(cls, sizes: Sequence[int], windows: Sequence[Window | None]) -> Self:
        lengths = np.asarray(sizes, dtype=np.int64)
        return cls(np.repeat(np.arange(len(lengths)), lengths), lengths, tuple(windows))

    def excuse(self, good: pd.Series, limit: float) -> pd.Series:
        """`good`, but all True in a partition whose share of bad rows is at most `limit`."""
        bad = ~good.to_numpy(dtype=np.bool_)
        codes = self.codes[good.index.to_numpy()]
        n = np.bincount(codes, minlength=len(self.sizes))
        share = np.bincount(codes[bad], minlength=len(self.sizes)) / np.maximum(n, 1)
        return pd.Series(~bad | (share <= limit)[codes], index=good.index)

    def inside(self, stamps: pd.Series) -> pd.Series:
        """Whether each time (UTC) lies in the window of its row's partition."""
        codes = self.codes[stamps.index.to_numpy()]
        starts = np.array([_instant(w.start) for w in self.windows if w is not None])
        ends = np.array([_instant(w.end) for w in self.windows if w is not None])
        at = stamps.dt.tz_localize(None).to_numpy()
        return pd.Series((at >= starts[codes]) & (at < ends[codes]), index=stamps.index)


def _instant(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def _alike(
    contract: SourceContract, frames: Sequence[pd.DataFrame], partitions: Sequence[Window | None]
) -> list[list[int]]:
    """Numbers of the frames that may be cast and checked as one: same columns, same types, nothing odd.

    Left out, to be looked at alone: empty frames, frames whose columns break the contract, and those with
    numbers that become text (a cast that looks at the whole column).
    """
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, frame in enumerate(frames):
        if not len(frame) or frame.columns.has_duplicates or _shape_failures(contract, frame):
            continue
        dtypes = frame.dtypes
        texts = [c for c in _present(contract, frame) if contract.columns[c].type == "string"]
        if not any(dtypes[c].kind == "f" for c in texts):
            groups.setdefault((partitions[i] is None, *frame.columns, *map(str, dtypes)), []).append(i)
    return [numbers for numbers in groups.values() if len(numbers) > 1]


def _present(contract: SourceContract, frame: pd.DataFrame) -> list[str]:
    return [name for name in contract.columns if name in frame.columns]


def _is_text(raw: pd.Series) -> bool:
    """Whether each cell of an object column is text or missing: the cast of such a cell looks at it alone."""
    return raw.dtype != object or pd.api.types.infer_dtype(raw, skipna=True) in ("string", "empty")


def _good_of(
    contract: SourceContract,
    frames: Sequence[pd.DataFrame],
    together: Sequence[int],
    *,
    partitions: Sequence[Window | None],
    now: datetime | None,
) -> dict[int, ContractResult]:
    """The results of those frames that break no rule, checked as one frame."""
    parts = _Parts.of([len(frames[i]) for i in together], [partitions[i] for i in together])
    raw = pd.concat([frames[i] for i in together], ignore_index=True)
    present = _present(contract, raw)
    if not all(_is_text(raw[name]) for name in present):
        return {}
    conformed = conform(contract, raw)
    broken = np.zeros(len(parts.codes), dtype=np.bool_)
    for cells in conformed.bad_cells.values():
        broken |= cells
    for error in _pandera_errors(contract, conformed.frame, present, parts, now):
        broken |= _marked(error, len(broken))
    keeps = np.array([_in_band(contract, n) for n in parts.sizes], dtype=np.bool_)
    keeps[parts.codes[broken]] = False
    ends = np.cumsum(parts.sizes)
    return {
        i: ContractResult(
            True,
            (),
            np.zeros(parts.sizes[k], dtype=np.bool_),
            conformed.frame.iloc[ends[k] - parts.sizes[k] : ends[k]].reset_index(drop=True),
            conformed.notes,
        )
        for k, i in enumerate(together)
        if keeps[k]
    }


# --- casting -----------------------------------------------------------------------------------------------


def _blank(raw: pd.Series) -> pd.Series:
    """Cells of nothing but white space: no value, so no wrong one either."""
    return raw.astype("string").str.strip().eq("").fillna(False)


def _cast(raw: pd.Series, to: Type, tz: str) -> pd.Series:
    if to == "string":
        return _to_string(raw)
    if to == "boolean":
        return _to_boolean(raw)
    if to in ("timestamp", "date"):
        stamps = _to_utc(raw, tz if to == "timestamp" else "UTC")
        return stamps if to == "timestamp" else _to_date(stamps)
    if to == "integer" and raw.dtype == object and (whole := _plain_integers(raw)) is not None:
        return whole
    filled = raw.mask(raw.eq("").fillna(False).astype(bool)) if raw.dtype == object else raw
    # The nullable backend keeps whole numbers beyond 2^53 (identifiers) exact where values are missing.
    numbers = pd.to_numeric(filled, errors="coerce", dtype_backend="numpy_nullable")
    if to == "number":
        return numbers.astype("Float64").astype("float64")
    return _to_integer(filled, numbers)


def _plain_integers(raw: pd.Series) -> pd.Series | None:
    """A column of nothing but decimal digits, signs and missing cells, by Arrow: a tenth of the time."""
    try:
        text = pa.array(raw, type=pa.string(), from_pandas=True)
        if pc.any(pc.match_substring(text, "x", ignore_case=True)).as_py():
            return None  # Arrow reads hexadecimal numbers, pandas and people don't.
        whole = text.cast(pa.int64())
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None
    values = whole.fill_null(0).to_numpy()
    missing = whole.is_null().to_numpy(zero_copy_only=False)
    return pd.Series(pd.arrays.IntegerArray(values.copy(), missing), index=raw.index)


def _to_integer(raw: pd.Series, numbers: pd.Series) -> pd.Series:
    """Whole numbers of 64 bits, each cell for itself: a neighbour with a decimal point costs no digits."""
    if pd.api.types.is_signed_integer_dtype(numbers.dtype):
        return numbers.astype("Int64")
    floats = numbers.astype("Float64")
    fits = (floats % 1 == 0) & (floats.abs() < 2.0**63)
    out = floats.where(np.asarray(fits.fillna(False), dtype=np.bool_)).astype("Int64")
    if raw.dtype == object or pd.api.types.is_unsigned_integer_dtype(numbers.dtype):
        text = raw.astype("string").str.strip()
        digits = np.asarray(text.str.fullmatch(r"[+-]?[0-9]+").fillna(False), dtype=np.bool_)
        exact = [int(t) for t in text[digits]]
        out[digits] = pd.array([v if -(2**63) <= v < 2**63 else None for v in exact], dtype="Int64")
    return out


def _to_string(raw: pd.Series) -> pd.Series:
    if pd.api.types.is_float_dtype(raw.dtype):
        whole = raw.dropna()
        if len(whole) and np.all(np.mod(whole.to_numpy(dtype=np.float64), 1) == 0):
            # A column of codes with gaps arrives as 11.0; the code is 11.
            raw = raw.astype("Float64").astype("Int64")
    return raw.astype("string")


def _to_boolean(raw: pd.Series) -> pd.Series:
    text = raw.astype("string").str.strip().str.lower()
    out = pd.Series(pd.NA, index=raw.index, dtype="boolean")
    out[np.asarray(text.isin(_TRUE), dtype=np.bool_)] = True
    out[np.asarray(text.isin(_FALSE), dtype=np.bool_)] = False
    return out


def _to_utc(raw: pd.Series, tz: str) -> pd.Series:
    """UTC microseconds; numbers are no times, since nobody knows their unit."""
    if isinstance(raw.dtype, pd.DatetimeTZDtype):
        return raw.dt.tz_convert("UTC").dt.as_unit("us")
    if pd.api.types.is_numeric_dtype(raw.dtype) and not raw.isna().all():
        return pd.Series(pd.NaT, index=raw.index).dt.tz_localize("UTC").dt.as_unit("us")
    if pd.api.types.is_datetime64_dtype(raw.dtype):
        return _localize(raw, tz).dt.as_unit("us")
    # The same moment stands in many rows: each text is read once.
    codes, texts = pd.factorize(raw.astype("string"))
    read = _read_times(pd.Series(texts, dtype="string"), tz)
    return pd.Series(read.array.take(codes, allow_fill=True), index=raw.index)


def _read_times(texts: pd.Series, tz: str) -> pd.Series:
    text = texts.str.strip()
    offset = text.str.contains(r"(?:Z|[+-]\d{2}:?\d{2})$", regex=True, case=False).fillna(False).astype(bool)
    aware = pd.to_datetime(text.where(offset), format="ISO8601", errors="coerce", utc=True)
    naive = pd.to_datetime(text.where(~offset), format="ISO8601", errors="coerce")
    return aware.where(offset, _localize(naive, tz)).dt.as_unit("us")


def _localize(naive: pd.Series, tz: str) -> pd.Series:
    first = np.ones(len(naive), dtype=np.bool_)
    local = naive.dt.tz_localize(tz, ambiguous=first, nonexistent="shift_forward")
    return local.dt.tz_convert("UTC")


def _to_date(stamps: pd.Series) -> pd.Series:
    days = stamps.dt.tz_localize(None).dt.date.astype(object)
    return days.where(~stamps.isna(), None)


# --- failures ----------------------------------------------------------------------------------------------


def _wrong_type(name: str, column: Column, raw: pd.Series, bad: NDArray[np.bool_]) -> Failure:
    sample = _sample(raw[bad])
    sentence = (
        f"{_rows(bad)} of {name} can't be read as {column.type} ({_told(sample)}): correct the "
        "values, or declare another type."
    )
    return Failure("type", name, int(bad.sum()), sample, sentence)


def _shape_failures(contract: SourceContract, frame: pd.DataFrame) -> list[Failure]:
    """Columns that are absent, or not expected; one of each is taken for a renaming."""
    n = len(frame)
    missing = [c for c, d in contract.columns.items() if d.required and c not in frame.columns]
    extra = [str(c) for c in frame.columns if c not in contract.columns]
    if len(missing) == 1 and len(extra) == 1:
        sentence = (
            f"Column {missing[0]} is missing and {extra[0]} is not declared; did you rename {missing[0]} to "
            f"{extra[0]}? Rename it back in the file, or change the contract and the dbt staging model."
        )
        return [Failure("missing_column", missing[0], n, (extra[0],), sentence)]
    failures = [
        Failure(
            "missing_column",
            name,
            n,
            (),
            f"Column {name} is missing: add it to the file, or declare it `required: false`.",
        )
        for name in missing
    ]
    if contract.extra == "forbid":
        failures += [
            Failure(
                "extra_column",
                name,
                n,
                (),
                f"Column {name} is not declared: add it to the contract, or set `extra: ignore`.",
            )
            for name in extra
        ]
    return failures


Found = tuple[str, str | None, NDArray[np.bool_], tuple[Any, ...]]


def _pandera_failures(
    contract: SourceContract,
    conformed: Conformed,
    present: Sequence[str],
    partition: Window | None,
    now: datetime | None,
) -> list[Found]:
    """(rule, column, rows, sample) of every rule that pandera found broken, in the order of the columns."""
    n = len(conformed.frame)
    errors = _pandera_errors(contract, conformed.frame, present, _Parts.of([n], [partition]), now)
    found = [_translate(error, conformed, n) for error in errors]
    order = {name: i for i, name in enumerate(contract.columns)}
    kept = [f for f in found if f is not None]
    if not _in_band(contract, n):
        kept.append(("row_count", None, np.zeros(n, dtype=np.bool_), ()))
    return sorted(kept, key=lambda f: (-1 if f[1] is None else order[f[1]], f[0]))


def _in_band(contract: SourceContract, n: int) -> bool:
    return contract.min_rows <= n and (contract.max_rows is None or n <= contract.max_rows)


def _pandera_errors(
    contract: SourceContract, frame: pd.DataFrame, present: Sequence[str], parts: _Parts, now: datetime | None
) -> list[Any]:
    """What pandera finds broken in a conformed frame of one or several partitions."""
    import pandera.pandas as pandera

    checked = frame[list(present)]
    if len(parts.sizes) > 1:
        checked = checked.assign(**{_PART: parts.codes})
    try:
        _schema(contract, present, parts, now).validate(checked, lazy=True)
    except pandera.errors.SchemaErrors as caught:
        return list(caught.schema_errors)
    return []


def _schema(contract: SourceContract, present: Sequence[str], parts: _Parts, now: datetime | None) -> Any:
    """The contract as a pandera schema over the columns that the file has."""
    import pandera.pandas as pandera

    dtypes = {
        "string": "string",
        "integer": "Int64",
        "number": "float64",
        "boolean": "boolean",
        "timestamp": pd.DatetimeTZDtype("us", "UTC"),
        "date": object,
    }
    columns = {
        name: pandera.Column(
            dtypes[contract.columns[name].type],
            checks=_column_checks(contract, name, parts, now),
            nullable=name not in contract.never_null,
        )
        for name in present
    }
    unique = [c for c in contract.unique if c in present]
    if len(unique) < len(contract.unique):
        unique = []
    elif unique and len(parts.sizes) > 1:
        unique.append(_PART)
    return pandera.DataFrameSchema(columns, unique=unique or None, report_duplicates="all")


def _column_checks(contract: SourceContract, name: str, parts: _Parts, now: datetime | None) -> list[Any]:
    import pandera.pandas as pandera

    column = contract.columns[name]
    checks: list[Any] = []
    if column.min is not None:
        low = _bound(column, column.min, contract.tz)
        checks.append(pandera.Check(lambda s: s >= low, name="min"))
    if column.max is not None:
        high = _bound(column, column.max, contract.tz)
        checks.append(pandera.Check(lambda s: s <= high, name="max"))
    if column.allowed is not None:
        allowed, limit = set(column.allowed), column.new_category_share
        checks.append(pandera.Check(lambda s: parts.excuse(s.isin(allowed), limit), name="allowed"))
    if column.max_null_share is not None:
        share = column.max_null_share
        checks.append(pandera.Check(lambda s: parts.excuse(s.notna(), share), name="null_share", ignore_na=False))
    if name == contract.event_time and parts.windows[0] is not None:
        checks.append(pandera.Check(parts.inside, name="partition"))
    if name == contract.event_time and contract.no_future and now is not None:
        moment = pd.Timestamp(now)
        checks.append(pandera.Check(lambda s: s <= moment, name="future"))
    return checks


def _bound(column: Column, value: Any, tz: str) -> Any:
    if column.type == "timestamp":
        return _to_utc(pd.Series([value], dtype=object), tz).iloc[0]
    if column.type == "date":
        return _to_date(_to_utc(pd.Series([value], dtype=object), "UTC")).iloc[0]
    return value


def _translate(error: Any, conformed: Conformed, n: int) -> Found | None:
    """One pandera error as (rule, column, rows, sample); None if a failed cast has already told it."""
    rows = _marked(error, n)
    named = str(getattr(error.check, "name", None) or error.check)
    rule = {"multiple_fields_uniqueness": "unique", "not_nullable": "null"}.get(named, named)
    column = None if error.column_name is None else str(error.column_name)
    if rule.startswith("dtype"):
        rule = "type"
    if rule in ("null", "null_share") and column is not None and column in conformed.bad_cells:
        rows &= ~conformed.bad_cells[column]
        if not rows.any():
            return None
    shown = conformed.frame[column] if column is not None else None
    sample = () if shown is None or rule.startswith("null") else _sample(shown[rows])
    return rule, column, rows, sample


def _marked(error: Any, n: int) -> NDArray[np.bool_]:
    """The rows that a pandera error is about; all of them where it is about the column or names none."""
    cases = error.failure_cases
    if not isinstance(cases, pd.DataFrame) or "index" not in cases or cases["index"].isna().all():
        return np.ones(n, dtype=np.bool_)
    rows = np.zeros(n, dtype=np.bool_)
    rows[cases["index"].dropna().astype(np.int64).to_numpy()] = True
    return rows


def _sentence(
    contract: SourceContract,
    rule: str,
    column: str | None,
    rows: NDArray[np.bool_],
    sample: tuple[Any, ...],
    partition: Window | None,
    now: datetime | None,
) -> str:
    """What is wrong and what to do, for a person."""
    many, n = _rows(rows), len(rows)
    share = f"{rows.mean():.1%}" if n else "0 %"
    promise = contract.columns[column] if column is not None else None
    if rule == "row_count":
        top = "any number" if contract.max_rows is None else f"{contract.max_rows:,}"
        what = "The file is empty" if n == 0 else f"The file has {n:,} rows"
        return f"{what} and {contract.min_rows:,} to {top} are expected: deliver it again, or change `rows`."
    if rule == "unique":
        keys = ", ".join(contract.unique)
        return f"{many} share their key ({keys}) with another row: remove the duplicates, or widen `unique`."
    if promise is None or rule not in _SENTENCES:
        return f"{many} break the rule {rule} of {column or 'the file'}: correct the file."
    window = f"{partition.label(contract.tz)} ({contract.tz})" if partition is not None else ""
    facts = {
        "min": promise.min,
        "max": promise.max,
        "limit": f"{promise.new_category_share:.1%}",
        "nulls": f"{promise.max_null_share or 0.0:.1%}",
        "window": window,
        "now": f"{now:%Y-%m-%d %H:%M} UTC" if now is not None else "",
        "type": promise.type,
    }
    return _SENTENCES[rule].format(many=many, column=column, share=share, sample=_told(sample), **facts)


_SENTENCES: Mapping[str, str] = {
    "null": "{many} of {column} are missing and none may be: deliver the values, or set `nullable: true`.",
    "null_share": "{many} of {column} are missing ({share}, at most {nulls}): deliver the values, or raise "
    "`max_null_share`.",
    "min": "{many} of {column} are below {min} ({sample}): correct the values, or lower `min`.",
    "max": "{many} of {column} are above {max} ({sample}): correct the values, or raise `max`.",
    "allowed": "{many} of {column} are unknown ({sample}; {share} of all, at most {limit}): correct the "
    "values, or add them to `allowed`.",
    "partition": "{many} of {column} lie outside {window} ({sample}): move the rows to the file of their own period.",
    "future": "{many} of {column} are later than {now} ({sample}): correct the clock or the time zone of the source.",
    "type": "{column} is not of type {type}: declare another type, or correct the file.",
}


def _sample(values: pd.Series) -> tuple[Any, ...]:
    return tuple(values.dropna().drop_duplicates().head(SAMPLE).tolist())


def _told(sample: tuple[Any, ...]) -> str:
    return ", ".join(str(v) for v in sample)


def _rows(rows: NDArray[np.bool_]) -> str:
    n = int(rows.sum())
    return f"{n:,} row{'' if n == 1 else 's'}"
