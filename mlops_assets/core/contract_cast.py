"""Casting raw columns, CSV text or Parquet, to the types that a contract declares.

A cast looks at its own cell alone, so many partitions can be cast as one. Not here: what is checked afterwards
(`contract_check`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlops_assets.core.contract import Column, Failure, SourceContract, Type
from mlops_assets.core.contract_told import wrong_type
from mlops_assets.core.text_numbers import plain_numbers
from mlops_assets.core.text_times import TimeFormat, read_times

_TRUE = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "0.0"})


@dataclass(frozen=True)
class Conformed:
    """A frame in the declared types and order; cells whose cast failed are NULL and marked."""

    frame: pd.DataFrame
    failures: tuple[Failure, ...]
    bad_cells: Mapping[str, NDArray[np.bool_]]
    notes: tuple[str, ...] = ()


def conform(contract: SourceContract, frame: pd.DataFrame) -> Conformed:
    """Cast the columns of a raw frame (CSV text or Parquet) to the declared types, in the declared order.

    Timestamps become UTC microseconds; those without an offset are read in the contract's time zone, by
    `text_times`. Dates are `datetime.date`. A value that can't be cast becomes NULL and is reported, never raised.
    Empty text is NULL except in string columns that arrive as such.

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
            columns[name] = _cast(pd.Series([None] * n, dtype=object), column, contract.tz)
            continue
        raw = frame[name].reset_index(drop=True)
        columns[name] = _cast(raw, column, contract.tz)
        bad = np.asarray(columns[name].isna() & raw.notna(), dtype=np.bool_)
        if bad.any():
            bad &= ~np.asarray(_blank(raw), dtype=np.bool_)
        if bad.any():
            bad_cells[name] = bad
            failures.append(wrong_type(name, column, raw, bad))
    extra = [str(c) for c in frame.columns if c not in contract.columns]
    told = f"Columns that the contract does not declare were left out: {', '.join(extra)}."
    notes = (told,) if extra and contract.extra == "ignore" else ()
    out = pd.DataFrame(columns, index=pd.RangeIndex(n))
    return Conformed(out, tuple(failures), bad_cells, notes)


def _blank(raw: pd.Series) -> pd.Series:
    """Cells of nothing but white space: no value, so no wrong one either."""
    return raw.astype("string").str.strip().eq("").fillna(False)


def _cast(raw: pd.Series, column: Column, tz: str) -> pd.Series:
    to: Type = column.type
    written: Any = column.format
    if to == "string":
        return _to_string(raw)
    if to == "boolean":
        return _to_boolean(raw)
    if to in ("timestamp", "date"):
        stamps = to_utc(raw, tz, written)
        return stamps if to == "timestamp" else to_date(stamps, tz)
    if written is not None and raw.dtype == object:
        raw = plain_numbers(raw, written)
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


def to_utc(raw: pd.Series, tz: str, written: TimeFormat | None = None) -> pd.Series:
    """UTC microseconds, as `read_times` reads them."""
    return read_times(raw, tz, written)


def to_date(stamps: pd.Series, tz: str = "UTC") -> pd.Series:
    """The calendar day of each time in a zone, as `datetime.date`; None where there is none."""
    days = stamps.dt.tz_convert(tz).dt.tz_localize(None).clip(upper=pd.Timestamp(datetime.max)).dt.date.astype(object)
    return days.where(~stamps.isna(), None)
