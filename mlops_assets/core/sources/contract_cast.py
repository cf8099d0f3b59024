"""Casting raw columns, CSV text or Parquet, to the types that a contract declares.

A cast looks at its own cell alone, so many partitions can be cast as one. Not here: what is checked afterwards
(`contract_check`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlops_assets.core.sources.contract import Column, Failure, SourceContract, Type
from mlops_assets.core.sources.contract_failures import wrong_type
from mlops_assets.core.time.local_times import local_times
from mlops_assets.core.values.exact import holds_nul, text_of_bytes, to_booleans, to_integers, to_numbers, to_texts
from mlops_assets.core.values.text_formats import TimeFormat
from mlops_assets.core.values.text_numbers import LEADING_ZERO, plain_numbers
from mlops_assets.core.values.text_times import read_times

_EXACT: Mapping[Type, Callable[[pd.Series], pd.Series]] = {
    "integer": to_integers,
    "number": to_numbers,
    "boolean": to_booleans,
}


@dataclass(frozen=True)
class Conformed:
    """A frame in the declared types and order; cells whose cast failed are NULL and marked.

    Attributes:
        frame: the rows.
        failures: of columns some of whose cells cannot be cast.
        bad_cells: which, by column.
        endless: cells that are infinite or no number, and so missing, by column.
        notes: what was left out.
    """

    frame: pd.DataFrame
    failures: tuple[Failure, ...]
    bad_cells: Mapping[str, NDArray[np.bool_]]
    endless: Mapping[str, NDArray[np.bool_]]
    notes: tuple[str, ...] = ()


def conform(contract: SourceContract, frame: pd.DataFrame) -> Conformed:
    """Cast the columns of a raw frame (CSV text or Parquet) to the declared types, in the declared order.

    Timestamps become UTC microseconds; those without an offset are read in the contract's time zone, by
    `text_times`. Dates are `datetime.date`. A value that can't be cast becomes NULL and is reported, never raised.
    Cells of nothing but blanks are NULL; empty text is, too, except in string columns that arrive as such. So are
    infinities and what is no number (NaN).

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
    endless: dict[str, NDArray[np.bool_]] = {}
    for name, column in contract.columns.items():
        if name not in frame.columns:
            columns[name] = _cast(pd.Series([None] * n, dtype=object), column, contract.tz)
            continue
        raw = frame[name].reset_index(drop=True)
        if column.null_values:
            raw = _without(raw, column, contract.tz)
        nul = _has_nul(raw)
        columns[name] = _cast_each(raw.mask(nul) if nul.any() else raw, column, contract.tz)
        bad = np.asarray(columns[name].isna() & raw.notna(), dtype=np.bool_)
        bad[bad] = [not _is_blank(cell) for cell in raw[bad]]
        if bad.any():
            endless[name] = bad.copy()
            endless[name][bad] = [_is_endless(cell, column) for cell in raw[bad]]
            bad &= ~endless[name]
        if bad.any():
            bad_cells[name] = bad
            failures.append(wrong_type(name, column, raw, bad))
    extra = [str(c) for c in frame.columns if c not in contract.columns]
    note = f"Columns that the contract does not declare were left out: {', '.join(extra)}."
    notes = (note,) if extra and contract.extra == "ignore" else ()
    out = pd.DataFrame(columns, index=pd.RangeIndex(n))
    return Conformed(out, tuple(failures), bad_cells, endless, notes)


def _without(raw: pd.Series, column: Column, tz: str) -> pd.Series:
    """The cells of a column but those that mean missing in it, as they are written, or as values: -1.0 is -1."""
    words = set(map(str, column.null_values))
    cells = raw.mask(raw.map(lambda cell: isinstance(cell, str) and cell.strip() in words).astype(bool))
    values = _cast_each(pd.Series(column.null_values, dtype=object), column, tz).dropna()
    if raw.dtype == np.float32:  # in which 99.9 is another number
        values = values.astype(np.float32).astype(np.float64)
    return cells.mask(_cast_each(cells, column, tz).isin(values))


def _is_blank(cell: Any) -> bool:
    """Whether a cell is nothing but white space: no value, so no wrong one either."""
    return isinstance(cell, str | bytes) and not cell.strip()


def _is_endless(cell: Any, column: Column) -> bool:
    """Whether a cell is an infinite number, or the word for one or for none (NaN) where numbers are expected."""
    if not isinstance(cell, float | np.floating | Decimal | str):
        return False
    if isinstance(cell, str) and column.type not in ("number", "integer"):
        return False
    try:
        return not np.isfinite(float(cell))
    except ValueError:
        return False


def _has_nul(raw: pd.Series) -> NDArray[np.bool_]:
    """Which texts hold a NUL: pandas counts and groups by what is before it, so two keys would be one."""
    none = np.zeros(len(raw), dtype=np.bool_)
    if raw.dtype != object and not isinstance(raw.dtype, pd.StringDtype):
        return none
    cells = raw.tolist()
    try:
        if "\0" not in "".join(cells):  # a fifth of the time of looking at each
            return none
    except TypeError:  # not all are text
        pass
    return np.fromiter((holds_nul(cell) for cell in cells), np.bool_, len(raw))


def _cast_each(raw: pd.Series, column: Column, tz: str) -> pd.Series:
    """A cast column, missing where a cell is what no cast takes: bytes that are no text, lists, times beyond all years.

    Pandas refuses the column for such a cell. A cast looks at its own cell alone, so the halves are cast apart until
    the cell is found.
    """
    try:
        return _cast(raw, column, tz)
    except (ValueError, TypeError, ArithmeticError, NotImplementedError):
        kept = raw.where(_castable(raw))
        if kept.isna().sum() > raw.isna().sum():
            return _cast_each(kept, column, tz)
        if len(raw) <= 1:
            return _cast(pd.Series(None, index=raw.index, dtype=object), column, tz)
        middle = len(raw) // 2
        return pd.concat([_cast_each(part, column, tz) for part in (raw.iloc[:middle], raw.iloc[middle:])])


def _castable(raw: pd.Series) -> pd.Series:
    """Which cells are one value, are not bytes of no text, and no time beyond the years that a calendar has."""
    if pd.api.types.is_datetime64_any_dtype(raw.dtype):
        return raw.dt.year.between(MINYEAR, MAXYEAR)
    return raw.map(
        lambda cell: pd.api.types.is_scalar(cell) and not (isinstance(cell, bytes) and text_of_bytes(cell) is None)
    ).astype(bool)


def _cast(raw: pd.Series, column: Column, tz: str) -> pd.Series:
    written: Any = column.format
    if column.type in ("timestamp", "date"):
        stamps = to_utc(raw, tz, written)
        return stamps if column.type == "timestamp" else to_date(stamps, tz)
    if column.type == "string":
        texts = to_texts(raw)
        return texts.mask(texts.str.isspace().fillna(False).astype(bool))
    cells = raw if written is None else plain_numbers(raw, written)
    if column.type == "integer" and (led := _led_by_zero(cells)).any():
        cells = cells.mask(led)
    return _EXACT[column.type](cells)


def _led_by_zero(raw: pd.Series) -> NDArray[np.bool_]:
    """Which texts are digits after a zero: as integers, 0105 and 105 would be one."""
    if pd.api.types.is_numeric_dtype(raw.dtype) or pd.api.types.is_datetime64_any_dtype(raw.dtype):
        return np.zeros(len(raw), dtype=np.bool_)
    try:
        texts = pa.array(raw, pa.string(), from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # not all are text
        texts = pa.array([cell if isinstance(cell, str) else None for cell in raw], pa.string())
    led = pc.match_substring_regex(texts, LEADING_ZERO)
    return np.asarray(led.fill_null(False).to_numpy(zero_copy_only=False), dtype=np.bool_)


def to_utc(raw: pd.Series, tz: str, written: TimeFormat | None = None) -> pd.Series:
    """UTC microseconds, as `read_times` reads them."""
    return read_times(raw, tz, written)


def to_date(stamps: pd.Series, tz: str = "UTC") -> pd.Series:
    """The calendar day of each time in a zone, as `datetime.date`; None where there is none."""
    days = local_times(stamps, tz).dt.date.astype(object)
    return days.where(~stamps.isna(), None)
