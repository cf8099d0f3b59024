"""Columns as arrays, and arrays as text.

Here: a column's numbers, its labels as codes and counts, an array packed into JSON. Not here: texts that hold numbers
(`text_numbers`).
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def numbers(series: pd.Series) -> NDArray[np.float64]:
    """A column as floats, what is missing as NaN."""
    return series.to_numpy(dtype=np.float64, na_value=np.nan)


def text_codes(series: pd.Series) -> tuple[NDArray[Any], list[str]]:
    """The code of each row, -1 where it is missing, and the labels as text (1 and 1.0 are the same)."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        codes, uniques = series.cat.codes.to_numpy(), series.cat.categories
    else:
        codes, uniques = pd.factorize(series, use_na_sentinel=True)
    labels = [str(int(u)) if isinstance(u, float | np.floating) and float(u).is_integer() else str(u) for u in uniques]
    return codes, labels


def label_counts(series: pd.Series) -> tuple[NDArray[np.int64], list[str], int]:
    """Counts by label, the labels as text, and the number of rows with a value; what no row has is left out."""
    codes, labels = text_codes(series)
    # One more, so that the missing (-1) are counted too and no copy without them is made.
    counts = np.bincount(codes + np.int64(1), minlength=len(labels) + 1)[1:].astype(np.int64)
    used = np.flatnonzero(counts)
    return counts[used], [labels[place] for place in used], int(counts.sum())


def packed(values: np.ndarray) -> dict[str, str]:
    """An array as text that is read ten times as fast as a list of numbers: its type, and base64 of its bytes."""
    return {values.dtype.str: base64.b64encode(values.tobytes()).decode()}


def unpacked(kept: Any) -> np.ndarray:
    """The inverse of `packed`; takes lists of numbers too, as which grids and profiles were kept at first."""
    if isinstance(kept, list):
        return np.asarray(kept)
    ((dtype, text),) = kept.items()
    return np.frombuffer(base64.b64decode(text), dtype=dtype)
