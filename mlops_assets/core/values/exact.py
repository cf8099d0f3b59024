"""Cells that keep every digit on their way from one type to another.

Here: an Arrow table as a frame whose integers stay integers beside missing values, values of any source as an Arrow
column, and the casts of a column to whole numbers, numbers, texts and booleans. Not here: which column should be what
(`contract`), times (`contract_cast`), which rows that concerns and what is said of them (`sources.contract_failures`).

A float of 64 bits holds every whole number up to 2^53 and only some beyond: identifiers of 18 digits merge with their
neighbours in it. So nothing here goes through one; a cast that would lose a digit gives a missing cell, and whoever
asked says which.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

FLOAT_WHOLE = 2**53
"""Up to here a float of 64 bits holds every whole number."""
LARGEST = 3.4028234663852886e38
"""Beyond this is no float of 32 bits, as models have them."""
_WHOLE_UP_TO: Mapping[str, int] = {"float16": 2**11, "float32": 2**24, "float64": FLOAT_WHOLE}
"""The same for floats of fewer bits."""
TRUE = frozenset({"true", "t", "yes", "y", "1", "1.0"})
FALSE = frozenset({"false", "f", "no", "n", "0", "0.0"})
"""The spellings of a boolean, in small letters, for every way in: files, messages, requests."""

_NULLABLE = {
    pa.int8(): pd.Int8Dtype(), pa.int16(): pd.Int16Dtype(), pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(), pa.uint16(): pd.UInt16Dtype(), pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
}  # fmt: skip
_WHOLE = re.compile(r"([+-]?\d{1,40})(\.0*)?", re.ASCII)
_PLACES = 400
"""Behind the point of a number in scientific notation; beyond, it is none that a program wrote."""
_SCIENTIFIC = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+", re.ASCII)


# --- tables ------------------------------------------------------------------------------------------------


def frame_of(table: pa.Table) -> pd.DataFrame:
    """An Arrow table as a frame; integers beside missing values are nullable ones, not floats."""
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            values = table.column(place).cast(field.type.value_type)
            table = table.set_column(place, field.name, values)
    gaps = {column.type for column in table.columns if column.null_count and column.type in _NULLABLE}
    frame: pd.DataFrame = table.to_pandas(types_mapper=lambda kind: _NULLABLE[kind] if kind in gaps else None)
    whole = {
        name: column.type.to_pandas_dtype()
        for name, column in zip(table.column_names, table.columns, strict=True)
        if column.type in gaps and not column.null_count
    }
    return frame.astype(whole) if whole else frame


def array_of(values: Sequence[Any]) -> pa.Array:
    """Values as a database or a decoder gives them, as one Arrow column.

    What has no type in common (a fraction beside whole numbers that it would round, more than 64 bits) becomes text,
    cell by cell, with all its digits.
    """
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return pa.array([None if value is None else _text_of(value, str(value)) for value in values], pa.string())


# --- columns -----------------------------------------------------------------------------------------------


def to_integers(raw: pd.Series) -> pd.Series:
    """Whole numbers of 64 bits with a sign, each cell for itself; missing where a cell is none."""
    most, raw = whole_up_to(raw.dtype), _cells(raw)
    if pd.api.types.is_bool_dtype(raw.dtype) or pd.api.types.is_signed_integer_dtype(raw.dtype):
        return raw.astype("Int64")
    if pd.api.types.is_unsigned_integer_dtype(raw.dtype):
        unsigned = raw.astype("UInt64")  # numpy's would become floats where one is masked
        return unsigned.mask((unsigned >= 2**63).fillna(False)).astype("Int64")
    if pd.api.types.is_float_dtype(raw.dtype):
        values = raw.to_numpy(dtype=np.float64, na_value=np.nan)
        return _integers(values, _is_whole(values, most), raw.index)
    if (whole := _plain_integers(raw)) is not None:
        return whole
    integers = [whole_of(value) for value in raw]
    fits = [value if value is not None and -(2**63) <= value < 2**63 else None for value in integers]
    return pd.Series(pd.array(fits, dtype="Int64"), index=raw.index)


def to_numbers(raw: pd.Series) -> pd.Series:
    """Floats of 64 bits; missing where a cell is no number, is infinite, or a whole one that would lose digits."""
    raw = _cells(raw)
    if pd.api.types.is_datetime64_any_dtype(raw.dtype) or pd.api.types.is_timedelta64_dtype(raw.dtype):
        return pd.Series(np.nan, index=raw.index)  # pandas would give what it counts in some unit, and NaT as -2^63
    filled = raw.mask(raw.eq("").fillna(False).astype(bool)) if raw.dtype == object else raw
    numbers = pd.to_numeric(filled, errors="coerce", dtype_backend="numpy_nullable")
    floats = numbers.astype("Float64").astype("float64")
    if not pd.api.types.is_numeric_dtype(raw.dtype):
        # pandas knows the blanks of ASCII alone, and no no-break space.
        cells = [(place, raw.iloc[place]) for place in np.flatnonzero(floats.isna() & raw.notna())]
        spaced = {place: text for place, cell in cells if isinstance(cell, str) and (text := cell.strip()) != cell}
        if spaced:
            values = floats.to_numpy(copy=True)
            values[list(spaced)] = to_numbers(pd.Series(list(spaced.values()), dtype=object)).to_numpy()
            floats = pd.Series(values, index=raw.index)
    if not pd.api.types.is_float_dtype(raw.dtype):
        with np.errstate(invalid="ignore"):
            large = np.flatnonzero(np.isfinite(floats) & (floats.abs() >= FLOAT_WHOLE))
        # pandas is off by a digit for some texts that a float holds.
        values = floats.to_numpy(copy=True)
        values[large] = [_large(raw.iloc[place], values[place]) for place in large]
        floats = pd.Series(values, index=raw.index)
    return floats.mask(np.isinf(floats))


def to_texts(raw: pd.Series) -> pd.Series:
    """Texts: whole numbers by their digits, 11.0 as 11, booleans as true and false.

    Missing where a float is too large to say which whole number it was.
    """
    most, raw = whole_up_to(raw.dtype), _cells(raw)
    if pd.api.types.is_float_dtype(raw.dtype):
        values = raw.to_numpy(dtype=np.float64, na_value=np.nan)
        whole = _is_whole(values, most)
        text = raw.astype("string").mask(np.abs(values) > most)
        return text.mask(whole, _integers(values, whole, raw.index).astype("string"))
    if pd.api.types.is_bool_dtype(raw.dtype):
        return raw.astype("string").str.lower()
    if raw.dtype == object and pd.api.types.infer_dtype(raw, skipna=True) != "string":
        return pd.Series([_text_of(value, None) for value in raw], index=raw.index, dtype="string")
    return raw.astype("string")


def to_booleans(raw: pd.Series) -> pd.Series:
    """Booleans by the spellings in `TRUE` and `FALSE`, capitals or not; missing where a cell is none of them."""
    raw = _cells(raw)
    if pd.api.types.is_bool_dtype(raw.dtype) or pd.api.types.infer_dtype(raw, skipna=True) == "boolean":
        return raw.astype("boolean")
    try:
        codes, cells = pd.factorize(raw)
    except TypeError:  # lists and the like, which are no flags
        return pd.Series([boolean_of(cell) for cell in raw], index=raw.index, dtype="boolean")
    flags = pd.array([boolean_of(cell) for cell in cells], dtype="boolean")
    return pd.Series(flags.take(codes, allow_fill=True), index=raw.index)


def boolean_of(value: Any) -> bool | None:
    """One value as a boolean, by the same spellings; None for none of them."""
    text = _text_of(value, None) if value is not None else None
    folded = text.strip().lower() if text is not None else ""
    return True if folded in TRUE else False if folded in FALSE else None


# --- cells -------------------------------------------------------------------------------------------------


def _cells(raw: pd.Series) -> pd.Series:
    """A column whose type says what a cell is."""
    if isinstance(raw.dtype, pd.CategoricalDtype | pd.ArrowDtype):
        return raw.astype(object)
    return raw.astype(np.float32) if raw.dtype == np.float16 else raw  # pandas has no nullable halves


def whole_up_to(dtype: object) -> int:
    """Up to where floats of a type, pandas' or numpy's, hold every whole number."""
    return _WHOLE_UP_TO.get(str(dtype).lower(), FLOAT_WHOLE)


def _is_whole(values: np.ndarray, most: int) -> np.ndarray:
    """Which floats are whole numbers, and small enough to say which."""
    with np.errstate(invalid="ignore"):
        return np.asarray((np.floor(values) == values) & (np.abs(values) <= most), dtype=np.bool_)


def _integers(values: np.ndarray, known: np.ndarray, index: pd.Index) -> pd.Series:
    return pd.Series(pd.arrays.IntegerArray(np.where(known, values, 0).astype(np.int64), ~known), index=index)


def _plain_integers(raw: pd.Series) -> pd.Series | None:
    """A column of nothing but integers, or of their digits, and missing cells, by Arrow: a tenth of the time."""
    try:
        if pd.api.types.infer_dtype(raw, skipna=True) == "integer":
            whole = pa.array(raw, type=pa.int64(), from_pandas=True)
        else:
            text = pa.array(raw, type=pa.string(), from_pandas=True)
            if pc.any(pc.match_substring(text, "x", ignore_case=True)).as_py():
                return None  # Arrow reads hexadecimal numbers, pandas and people don't.
            whole = text.cast(pa.int64())
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return None
    missing = whole.is_null().to_numpy(zero_copy_only=False)
    return pd.Series(pd.arrays.IntegerArray(whole.fill_null(0).to_numpy().copy(), missing), index=raw.index)


def whole_of(value: Any) -> int | None:
    """A cell as a whole number of any size; None for what is none, or is a float too large to say which."""
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        number = float(value)
        return int(number) if number.is_integer() and abs(number) <= FLOAT_WHOLE else None
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value == value.to_integral_value() else None
    if not isinstance(value, str):
        return None
    text = value.strip()
    if (plain := _WHOLE.fullmatch(text)) is not None:
        return int(plain[1])
    if not _SCIENTIFIC.fullmatch(text):
        return None
    # With its last digit at the units, or behind them, it is written out; else it is rounded.
    exact = Decimal(text)
    is_written_out = not exact or -_PLACES <= int(exact.as_tuple().exponent) <= 0
    return whole_of(exact if is_written_out else float(text))


def _large(value: Any, number: float) -> float:
    """A large number as a float; NaN for a whole one that no float is."""
    whole = whole_of(value)
    if whole is None:
        return number
    return float(whole) if int(float(whole)) == whole else np.nan


def _text_of(value: Any, lost: str | None) -> str | None:
    """A cell as text; `lost` for a float too large to say which whole number it was."""
    known: tuple[tuple[type | tuple[type, ...], Callable[[Any], str | None]], ...] = (
        (str, str),
        ((bool, np.bool_), lambda cell: str(bool(cell)).lower()),
        ((int, np.integer), lambda cell: str(int(cell))),
        ((float, np.floating), lambda cell: _float_text(float(cell), lost)),
        (Decimal, lambda cell: format(cell, "f")),
        (bytes, text_of_bytes),
    )
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    return next((say(value) for kind, say in known if isinstance(value, kind)), str(value))


def _float_text(value: float, lost: str | None) -> str | None:
    if np.isnan(value):
        return None
    if abs(value) > FLOAT_WHOLE:
        return lost
    return str(int(value)) if value.is_integer() else repr(value)


def holds_nul(value: Any) -> bool:
    """Whether a cell is text, or its bytes, with a NUL, at which many a program ends it."""
    return (isinstance(value, str) and "\0" in value) or (isinstance(value, bytes) and 0 in value)


def text_of_bytes(value: bytes) -> str | None:
    """Bytes as UTF-8; None for what is none."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
