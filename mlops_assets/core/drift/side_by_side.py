"""The rows of two windows, ready to be compared: sampled, checked, and as numbers.

Here: a seeded sample of both sides, the matrix that the model reads, standardised numbers without gaps. Not here:
what is made of them (`multivariate`, `attribution`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlops_assets.core.models.matrix import FeatureColumn, FloatMatrix, categories_of, encode
from mlops_assets.core.stats.intervals import Array, CannotJudge

MIN_REFERENCE_ROWS = 100
_MIN_ROWS = 30
"""Fewer rows of a window are not judged."""


def sampled(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    columns: Sequence[FeatureColumn],
    days: tuple[Any, Any] | None = None,
    *,
    sample: int,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame, NDArray[Any]]:
    """The features of at most `sample` rows, half of them from each side where both have as many, and their days.

    Args:
        reference: n rows.
        current: m rows.
        columns: the features.
        days: of both sides, shapes (n,) and (m,); None where nobody asks for them.
        sample: rows of both together.
        seed: of the sample.

    Returns:
        Both samples in the order of their rows, and their days, the reference's first.

    Raises:
        CannotJudge: fewer than 100 rows of the reference, or 30 of the window.
        WrongColumns: a column is missing.
    """
    if len(reference) < MIN_REFERENCE_ROWS or len(current) < _MIN_ROWS:
        raise CannotJudge(
            f"the reference has {len(reference):,} rows and the window {len(current):,}; at least "
            f"{MIN_REFERENCE_ROWS} and {_MIN_ROWS} are needed",
            "Use a longer reference or monitoring.window, or wait until the window's data has landed",
        )
    for frame in (reference, current):
        encode(frame.head(0), columns, {})
    names = [column.name for column in columns]
    both_days = days or (np.zeros(len(reference)), np.zeros(len(current)))
    n_current = min(len(current), max(sample // 2, sample - len(reference)))
    rng = np.random.default_rng(seed)
    sides, labels = [], []
    for frame, its_days, n in zip(
        (reference, current), both_days, (min(len(reference), sample - n_current), n_current), strict=True
    ):
        rows = np.sort(rng.choice(len(frame), size=n, replace=False))
        sides.append(frame[names].iloc[rows].reset_index(drop=True))
        labels.append(np.asarray(its_days)[rows])
    return sides[0], sides[1], np.concatenate(labels)


def matrix_of(
    rows: pd.DataFrame, columns: Sequence[FeatureColumn], categories: Mapping[str, Sequence[str]]
) -> FloatMatrix:
    """Rows as the model reads them.

    Raises:
        CannotJudge: infinite values, or no feature that varies.
    """
    matrix = encode(rows, columns, categories)
    odd = [column.name for place, column in enumerate(columns) if np.isinf(matrix[:, place]).any()]
    if odd:
        raise CannotJudge(
            f"{', '.join(odd)} have infinite values",
            "Guard the division in their dbt model with nullif(..., 0), or exclude them",
        )
    low, high = np.fmin.reduce(matrix, axis=0), np.fmax.reduce(matrix, axis=0)
    varies = (low < high) | (np.isnan(matrix).any(axis=0) & ~np.isnan(low))
    if not varies.any():
        raise CannotJudge(
            f"all {len(columns)} features are constant or missing in both windows",
            "Check the feature views' joins and ttl: such features usually found no rows",
        )
    return matrix


def numbers_of(left: pd.DataFrame, right: pd.DataFrame, columns: Sequence[FeatureColumn]) -> tuple[Array, Array]:
    """Both sides as standardised numbers without gaps; features constant in the reference are left out.

    A missing value is the reference's mean, a category its share in the reference, a new category zero.

    Raises:
        CannotJudge: infinite values, or no feature that varies in the reference.
    """
    categories = categories_of(left, columns)
    matrices = [matrix_of(side, columns, categories).astype(np.float64) for side in (left, right)]
    kept: tuple[list[Array], list[Array]] = ([], [])
    for place, column in enumerate(columns):
        pair: list[Array] = [matrix[:, place] for matrix in matrices]
        if column.kind == "categorical":
            shares = left[column.name].value_counts(normalize=True)
            pair = [_mapped(side[column.name], shares) for side in (left, right)]
            # A category that the reference lacks has a share of zero; a missing value stays missing.
            pair[1] = np.where(right[column.name].notna() & np.isnan(pair[1]), 0.0, pair[1])
        known = pair[0][~np.isnan(pair[0])]
        if known.size == 0 or known.min() == known.max():
            continue
        mean, sd = known.mean(), known.std()
        for side, values in zip(kept, pair, strict=True):
            side.append(np.where(np.isnan(values), 0.0, (values - mean) / sd))
    if not kept[0]:
        raise CannotJudge(
            f"all {len(columns)} features are constant or missing in the reference",
            "Check the feature views' joins and ttl: such features usually found no rows",
        )
    return np.column_stack(kept[0]), np.column_stack(kept[1])


def _mapped(series: pd.Series, shares: pd.Series) -> Array:
    return np.asarray(series.map(shares), dtype=np.float64)
