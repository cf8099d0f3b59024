"""What each row counts in a fit: less with age, more where its class is rare.

Here: the weights that a recipe asks for. Not here: which rows there are (`world.model_data`), what a family does
with weights (`families`).

Only ratios of weights matter, so they have mean 1, and then it makes no difference from which moment ages are counted:
weights follow from rows and recipe alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.models.matrix import WrongColumns
from mlops_assets.core.models.recipe import Recipe

EVENT_TIME = "event_timestamp"
"""The column that ages are read from."""
IMBALANCED = 0.05
"""`training.imbalance: auto` weighs rows when the rarest class has less than this share of them."""


def row_weights(recipe: Recipe, frame: pd.DataFrame, labels: np.ndarray) -> np.ndarray | None:
    """The weights of the rows, float32 of shape (n,) with mean 1; None where all count the same.

    Args:
        recipe: says whether rows count less with age (`half_life_days`) and classes the same (`balanced`).
        frame: n rows; with a half-life, `event_timestamp` among its columns.
        labels: shape (n,).

    Raises:
        WrongColumns: the frame has no event times.
    """
    if recipe.half_life_days is None and not recipe.balanced:
        return None
    weights = np.ones(len(labels))
    if recipe.half_life_days is not None:
        if EVENT_TIME not in frame.columns:
            raise WrongColumns(
                f"the frame lacks {EVENT_TIME!r}, by which rows of this recipe count less with age. "
                "Pass the rows as the training set has them."
            )
        weights = decayed(frame[EVENT_TIME], recipe.half_life_days)
    if recipe.balanced:
        weights = weights * balancing(labels, weights)
    return (weights / weights.mean()).astype(np.float32)


def decayed(times: Any, half_life_days: float) -> np.ndarray:
    """A weight a row that halves with each half-life of age: the newest row has 1."""
    moments = pd.DatetimeIndex(pd.to_datetime(pd.Series(times), utc=True)).as_unit("us").asi8
    age = (moments.max() - moments) / 86_400e6
    return np.asarray(0.5 ** (age / half_life_days))


def balancing(labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Factors that give every class the same total weight (scikit-learn's `balanced`)."""
    codes = labels.astype(np.int64)
    totals = np.bincount(codes, weights=weights)
    return np.asarray(weights.sum() / (np.count_nonzero(totals) * totals[codes]))


def is_imbalanced(labels: np.ndarray) -> bool:
    """Whether the rarest class has less than `IMBALANCED` of the rows."""
    counts = np.bincount(labels.astype(np.int64))
    return bool(counts[counts > 0].min() < IMBALANCED * len(labels))
