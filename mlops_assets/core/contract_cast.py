"""Casting raw columns, CSV text or Parquet, to the types that a contract declares.

A cast looks at its own cell alone, so many partitions can be cast as one. Not here: what is checked afterwards
(`contract_check`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlops_assets.core.contract import Failure, SourceContract, Type
from mlops_assets.core.contract_told import wrong_type
from mlops_assets.core.exact import to_booleans, to_integers, to_numbers, to_texts

_EXACT: Mapping[Type, Callable[[pd.Series], pd.Series]] = {
    "string": to_texts,
    "integer": to_integers,
    "number": to_numbers,
    "boolean": to_booleans,
}


@dataclass(frozen=True)
class Conformed:
    """A frame in the declared types and order; cells whose cast failed are NULL and marked."""

    frame: pd.DataFrame
    failures: tuple[Failure, ...]
    bad_cells: Mapping[str, NDArray[np.bool_]]
    notes: tuple[str, ...] = ()


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
            failures.append(wrong_type(name, column, raw, bad))
    extra = [str(c) for c in frame.columns if c not in contract.columns]
    told = f"Columns that the contract does not declare were left out: {', '.join(extra)}."
    notes = (told,) if extra and contract.extra == "ignore" else ()
    out = pd.DataFrame(columns, index=pd.RangeIndex(n))
    return Conformed(out, tuple(failures), bad_cells, notes)


def _blank(raw: pd.Series) -> pd.Series:
    """Cells of nothing but white space: no value, so no wrong one either."""
    return raw.astype("string").str.strip().eq("").fillna(False)


def _cast(raw: pd.Series, to: Type, tz: str) -> pd.Series:
    if to in ("timestamp", "date"):
        stamps = to_utc(raw, tz if to == "timestamp" else "UTC")
        return stamps if to == "timestamp" else to_date(stamps)
    return _EXACT[to](raw)


def to_utc(raw: pd.Series, tz: str) -> pd.Series:
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


def to_date(stamps: pd.Series) -> pd.Series:
    """The calendar day of each time, as `datetime.date`; None where there is none."""
    days = stamps.dt.tz_localize(None).dt.date.astype(object)
    return days.where(~stamps.isna(), None)
