"""A scikit-learn model that was fitted elsewhere, on a frame whose columns have names.

Here: its scores, and what can be said of its features without knowing what it is. Not here: refits, which are the
`linear` family's; checking that it fits (`core.models.adoption`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.models.families.estimator import FittedEstimator, scored
from mlops_assets.core.models.families.occlusion import occluded
from mlops_assets.core.models.matrix import FloatMatrix


def is_foreign(native: Any) -> bool:
    """Whether a model was fitted elsewhere: ours see a matrix, and their columns have no names."""
    return hasattr(native, "feature_names_in_")


class FittedForeign(FittedEstimator):
    """An estimator or pipeline; its recipe is what a refit starts from."""

    def predict(self, matrix: FloatMatrix) -> np.ndarray:
        """See `Fitted`."""
        frame = pd.DataFrame(matrix, columns=list(self.native.feature_names_in_))
        return scored(self.native, frame, self.recipe)

    def importance(self) -> Mapping[str, float]:
        """What its last step says of each column, if there is one value a column; else all count the same."""
        last = self.native[-1] if hasattr(self.native, "steps") else self.native
        weights = getattr(last, "feature_importances_", getattr(last, "coef_", None))
        sizes = np.abs(np.atleast_2d(weights)).mean(axis=0) if weights is not None else np.empty(0)
        if sizes.size != len(self.recipe.names):
            sizes = np.ones(len(self.recipe.names))
        return dict(zip(self.recipe.names, sizes.astype(float).tolist(), strict=True))

    def contributions(self, matrix: FloatMatrix) -> np.ndarray:
        """How far the raw score falls when a feature is taken to its mean on these rows; the bias is what is left."""
        with np.errstate(invalid="ignore"):
            means = np.nan_to_num(np.nanmean(matrix, axis=0)) if len(matrix) else np.zeros(matrix.shape[1])
        return occluded(self.predict, matrix, means, self.recipe.task)
