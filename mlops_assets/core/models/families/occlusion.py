"""Contributions of features by occlusion: how far the raw score falls when one is taken to a usual value.

Here: that, for what can be asked for scores alone. Not here: which values are usual (each family's), exact
contributions of trees and weights (theirs).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlops_assets.core.models.matrix import FloatMatrix
from mlops_assets.core.stats.metrics import Task

_LEAST = 1e-6
"""Chances are kept so far from 0 and 1 before their log-odds are taken."""


def occluded(
    predict: Callable[[FloatMatrix], np.ndarray], matrix: FloatMatrix, usual: np.ndarray, task: Task
) -> np.ndarray:
    """One number a feature, and last the bias, which is what is left: shape (n, columns + 1) or (n, k, columns + 1).

    Args:
        predict: scores of rows.
        matrix: shape (n, columns).
        usual: shape (columns,).
        task: a regression's scores are taken as they are, chances by their log-odds (of classes: by their logarithms).
    """

    def raw_of(rows: FloatMatrix) -> np.ndarray:
        scores = predict(rows).astype(np.float64)
        if task == "regression":
            return scores
        kept = np.clip(scores, _LEAST, 1 - _LEAST)
        return np.log(kept) if scores.ndim == 2 else np.log(kept / (1 - kept))

    raw = raw_of(matrix)
    contributions = np.zeros((*raw.shape, matrix.shape[1] + 1))
    for column, value in enumerate(usual):
        other = matrix.copy()
        other[:, column] = value
        contributions[..., column] = raw - raw_of(other)
    contributions[..., -1] = raw - contributions[..., :-1].sum(axis=-1)
    return contributions
