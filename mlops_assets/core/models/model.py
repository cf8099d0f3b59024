"""A model as a value: the fit, predictions and its one file, whatever its family.

Here: `fit`, `Model` and its bytes. Not here: the arithmetic of each kind of model (`families`), frame to matrix
(`matrix`), the search for a recipe (`training`), where models are kept (`world.mlflow.registry`), metrics.

The file is the family's library's own format with the recipe inside: one file is the whole model, and nothing in it
can run code.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.models import families
from mlops_assets.core.models.families import Fitted, Rows, family_called, family_of
from mlops_assets.core.models.matrix import (
    FloatMatrix,
    WrongColumns,
    all_constant,
    categories_of,
    check_finite,
    check_labels,
    constant_columns,
    encode,
)
from mlops_assets.core.models.recipe import Base, Recipe, of_classes
from mlops_assets.core.models.weights import row_weights

AVAILABLE_AT = "label_available_at"
"""The column that says when a label became known."""

__all__ = ["Model", "Recipe", "fit"]


@dataclass(frozen=True)
class Model:
    """A fitted model. Predicting is safe from several threads at once.

    Attributes:
        recipe: what it was made by, with the categories its rows had.
        content: the model's one file, in its library's own format.
    """

    recipe: Recipe
    content: bytes = field(repr=False)

    @classmethod
    def from_bytes(cls, content: bytes) -> Model:
        """Read a model from the bytes of its file.

        Raises:
            ValueError: the bytes are no model of this platform.
        """
        fitted = families.read(content)
        model = cls(recipe=fitted.recipe, content=bytes(content))
        model.__dict__["fitted"] = fitted
        return model

    def to_bytes(self) -> bytes:
        """The model's file. Equal rows, recipe and seed give equal bytes."""
        return self.content

    @cached_property
    def sha256(self) -> str:
        """Hex digest of the file: the identity of the model."""
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def kept(self) -> bytes:
        """What a model that goes on from this one holds of it."""
        return family_called(self.recipe.family).kept(self.content)

    @cached_property
    def fitted(self) -> Fitted:
        """What the file holds; `fitted.native` is the library's own object."""
        return families.read(self.content)

    def let_go(self) -> None:
        """Forget what the file was read into; it is read again when it is asked for next."""
        self.__dict__.pop("fitted", None)

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Score rows; the frame may have more columns, in any order.

        Unseen categories, missing and infinite values are read as missing.

        Returns:
            float32; binary: probability of class 1, shape (n,); regression: value, (n,); multiclass:
            probabilities, (n, k).

        Raises:
            WrongColumns: a column is missing or not of its kind.
        """
        matrix = self._matrix(frame)
        if not len(matrix):
            shape = (0, self.recipe.classes) if self.recipe.task == "multiclass" else (0,)
            return np.empty(shape, dtype=np.float32)
        scores = self.fitted.predict(matrix)
        return self.recipe.calibration.apply(scores) if self.recipe.calibration else scores

    def importance(self) -> dict[str, float]:
        """Share of each feature in the fit, the largest first; they sum to 1.

        Trees: of the total gain of all splits. Linear: of the coefficients in standard deviations of the features.
        """
        weights = self.fitted.importance()
        total = sum(weights.values()) or 1.0
        shares = {name: float(weights.get(name, 0.0)) / total for name in self.recipe.names}
        return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))

    def contributions(self, frame: pd.DataFrame) -> pd.DataFrame:
        """What each feature adds to a row's raw score (log-odds before calibration; in a regression the label's unit).

        Trees: TreeSHAP. Linear: the coefficient times the distance from the mean.

        Returns:
            The frame's index, a column per feature and `bias`; they add up to the raw score. Multiclass: the
            columns are (class, feature) pairs.
        """
        values = self.fitted.contributions(self._matrix(frame))
        names: list[str] = [*self.recipe.names, "bias"]
        if self.recipe.task != "multiclass":
            return pd.DataFrame(values, index=frame.index, columns=pd.Index(names))
        pairs = pd.MultiIndex.from_product([range(values.shape[1]), names], names=["class", "feature"])
        return pd.DataFrame(values.reshape(len(frame), -1), index=frame.index, columns=pairs)

    def _matrix(self, frame: pd.DataFrame) -> FloatMatrix:
        matrix = encode(frame, self.recipe.columns, self.recipe.categories)
        matrix[np.isinf(matrix)] = np.nan
        return matrix


def fit(recipe: Recipe, frame: pd.DataFrame, y: Any, *, base: Model | None = None) -> Model:
    """Fit the recipe on rows, in their order.

    Args:
        recipe: what to make.
        frame: the features, at least the recipe's columns, and `event_timestamp` where rows count less with age; n
            rows.
        y: labels, shape (n,): 0 or 1, finite numbers, or class codes, which may have gaps. The model has as many
            classes as the highest of them says, whatever the recipe was found on.
        base: the model that the recipe goes on from, or one that went on from it; where the recipe says so. One that
            does not know a class of these rows is not gone on from: as large a model is made from nothing.

    Raises:
        CannotTrain: no rows, one class only, constant features, labels or features that are not finite.
        WrongColumns: a column is missing or not of its kind.
        ValueError: the recipe's family is unknown.
    """
    labels = check_labels(y, recipe.task, rows=len(frame))
    complete = replace(
        of_classes(recipe, labels), categories=categories_of(frame, recipe.columns, known=recipe.categories)
    )
    matrix = encode(frame, complete.columns, complete.categories)
    check_finite(matrix, complete.columns)
    if constant_columns(matrix, complete.columns) == complete.names:
        raise all_constant(complete.names)
    rows, start = Rows(matrix, labels, row_weights(complete, frame, labels)), None
    if complete.base is not None:
        rows, start = rows.take(_new_to(complete.base, frame)), _content_of(complete.base, base)
    content = family_of(complete).fit(complete, rows, start)
    return Model(recipe=complete, content=content)


def _new_to(base: Base, frame: pd.DataFrame) -> np.ndarray:
    """Positions of the rows whose label was not known when the base was fitted."""
    if AVAILABLE_AT not in frame.columns:
        raise WrongColumns(
            f"the frame lacks {AVAILABLE_AT!r}, which says what is new to the model that this recipe goes on from. "
            "Pass the rows as the training set has them."
        )
    known = pd.DatetimeIndex(pd.to_datetime(frame[AVAILABLE_AT], utc=True))
    return np.flatnonzero(known >= pd.Timestamp(base.until))


def _content_of(base: Base, given: Model | None) -> bytes | None:
    """The base's file: the given model's, or the one inside it."""
    held = (given.kept, given.fitted.base) if given else ()
    return next((file for file in held if file and hashlib.sha256(file).hexdigest() == base.sha256), None)
