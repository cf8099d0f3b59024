"""Scoring rows that come as mappings, one or a few at a time, without a frame.

Here: `RowScorer`, what a value sent by a caller must be, and the same codes and numbers as `matrix.encode` makes of
a frame. Not here: the model (`model`), where rows come from.

A frame of one row and 50 columns costs 10 ms to make and encode; this takes some hundredths of that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mlops_assets.core.models.matrix import FeatureColumn, FloatMatrix, category
from mlops_assets.core.models.model import Model

FLOAT32_MAX = float(np.finfo(np.float32).max)
"""Numbers beyond it would be infinite to the model."""
LONGEST_TEXT = 1_000
"""Characters of a category or a key; a longer text is a mistake."""


def why_not(column: FeatureColumn, value: Any) -> str | None:
    """What is wrong with a value that a caller sent for a column; None if nothing is.

    None is a missing value, for every kind. NaN and the infinities are no values.
    """
    if value is None:
        return None
    kind = type(value)
    if column.kind == "numeric":
        if kind not in (int, float):
            return f"must be a number or null, not {_kind_in_words(value)}"
        # An integer can be too large even for a double, and compares all the same.
        if not -FLOAT32_MAX <= value <= FLOAT32_MAX:
            return "must be a finite number that fits into 32 bits, or null for missing"
        return None
    if column.kind == "boolean":
        why = f"must be true, false or null (in JSON without quotes; as a tensor BOOL), not {_kind_in_words(value)}"
        return None if kind is bool else why
    if kind is str:
        return None if len(value) <= LONGEST_TEXT else f"must have at most {LONGEST_TEXT:,} characters"
    return None if kind is int else f"must be a text, a whole number or null, not {_kind_in_words(value)}"


def _kind_in_words(value: Any) -> str:
    names = {
        bool: "true or false",
        str: "a text",
        list: "a list",
        dict: "an object",
        float: "a fraction",
        int: "a number",
    }
    return names.get(type(value), "this")


@dataclass(frozen=True)
class RowScorer:
    """A model that scores mappings. Safe from several threads at once.

    Attributes:
        model: whose scores these are, equal to `model.predict`'s.
        quick: by what the family has for a few rows; else by what scores frames.
    """

    model: Model
    quick: bool = True

    @cached_property
    def columns(self) -> dict[str, FeatureColumn]:
        """The model's features by name, in order."""
        return {column.name: column for column in self.model.recipe.columns}

    @cached_property
    def _codes(self) -> list[tuple[int, dict[str, float]]]:
        """Position of each categorical column, and the code of each of its values."""
        known = self.model.recipe.categories
        return [
            (position, {value: float(code) for code, value in enumerate(known.get(column.name, ()))})
            for position, column in enumerate(self.model.recipe.columns)
            if column.kind == "categorical"
        ]

    @cached_property
    def _scores(self) -> Callable[[FloatMatrix], np.ndarray]:
        return self.model.fitted.for_few_rows() if self.quick else self.model.fitted.predict

    def encode(self, rows: Sequence[Mapping[str, Any]]) -> FloatMatrix:
        """The matrix that `core.models.matrix.encode` makes of a frame with these rows; a name left out is missing.

        Infinite values are read as missing, as `Model.predict` does.
        """
        with np.errstate(over="ignore"):
            matrix = self.encode_values([[row.get(name) for name in self.columns] for row in rows])
        matrix[np.isinf(matrix)] = np.nan
        return matrix

    def encode_values(self, rows: Sequence[Sequence[Any]]) -> FloatMatrix:
        """The matrix of values that come in the order of `columns` and are none beyond float32's (`why_not`)."""
        numbers = [self._numbers(list(values)) for values in rows]
        return np.array(numbers, dtype=np.float32).reshape(len(rows), len(self.columns))

    def _numbers(self, values: list[Any]) -> list[Any]:
        """Codes in place of categories; numpy reads None as NaN."""
        for position, codes in self._codes:
            value = values[position]
            if value is not None:
                values[position] = codes.get(value if type(value) is str else category(value))
        return values

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Scores of the rows, of the shape and type that `Model.predict` gives."""
        return self.score(self.encode(rows))

    def score(self, matrix: FloatMatrix) -> np.ndarray:
        """Scores of encoded rows, n > 0."""
        scores = self._scores(matrix)
        calibration = self.model.recipe.calibration
        return calibration.apply(scores) if calibration else scores
