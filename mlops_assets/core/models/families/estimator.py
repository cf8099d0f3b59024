"""What every scikit-learn model of this platform has in common.

Here: its scores and its recipe.
Not here: fits (`linear`, `incremental`), models that were fitted elsewhere (`foreign`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlops_assets.core.models.matrix import FloatMatrix
from mlops_assets.core.models.recipe import Recipe


@dataclass(frozen=True)
class FittedEstimator:
    """A scikit-learn model, its recipe, and the file of the model that it went on from, if it did."""

    recipe: Recipe
    native: Any
    base: bytes | None = None

    @property
    def rounds(self) -> int:
        """See `Fitted`."""
        return self.recipe.rounds + (self.recipe.base.rounds if self.recipe.base else 0)

    def predict(self, matrix: FloatMatrix) -> np.ndarray:
        """See `Fitted`."""
        return scored(self.native, matrix, self.recipe)

    def for_few_rows(self) -> Callable[[FloatMatrix], np.ndarray]:
        """See `Fitted`."""
        return self.predict


def scored(model: Any, matrix: Any, recipe: Recipe) -> np.ndarray:
    """Scores of a scikit-learn model as the platform has them, float32.

    They are reckoned in double precision: in single precision the sum of a row depends on how many rows are asked for
    at a time, and the online service, which holds both against each other, would refuse the model.
    """
    matrix = matrix.astype(np.float64)
    if recipe.task == "regression":
        return np.asarray(model.predict(matrix), dtype=np.float32)
    chances = model.predict_proba(matrix)
    if recipe.task == "binary":
        return np.asarray(chances[:, 1], dtype=np.float32)
    # A class that the rows of the fit did not have has no column of its own.
    scores = np.zeros((len(chances), int(recipe.params["num_class"])), dtype=np.float32)
    scores[:, np.asarray(model.classes_).astype(np.int64)] = chances
    return scores
