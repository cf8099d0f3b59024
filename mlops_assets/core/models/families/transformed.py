"""A family behind a transformer of the user's own: scaling, encoding, components, as scikit-learn has them.

Here: the family fitted behind it on the same rows, both in one file, scores of both. Not here: the transformer itself
(`transformer`), the families, the file format of scikit-learn (`skops_file`).

A recipe holds the transformer as it was written, not fitted. So whatever follows the recipe (a trial's fold, a part of
the gate's window, the probe, the refit that ships) fits it on the rows of that fit alone, and none sees rows that it is
judged on. The file of the model is the family's own; the fitted transformer lies inside it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from mlops_assets.core.models.families import Fitted, Problem, Rows, family_called
from mlops_assets.core.models.families.linear import Linear, one_thread
from mlops_assets.core.models.families.occlusion import occluded
from mlops_assets.core.models.families.skops_file import (
    RECIPE,
    held_entry,
    is_skops,
    load_trusted,
    packed,
    with_entries,
)
from mlops_assets.core.models.families.transformer import fit_transformer, transformed_rows
from mlops_assets.core.models.families.xgboost import ATTRIBUTE
from mlops_assets.core.models.matrix import CannotTransform, FeatureColumn, FloatMatrix, TransformerFault
from mlops_assets.core.models.recipe import Recipe
from mlops_assets.core.stats.metrics import Metric

_FILE = "transformer.skops"
_ATTRIBUTE = "mlops_transformer"
"""Of a booster: the fitted transformer, base64."""
_WEIGHED = 1_000
"""Rows by which the weights of features are told."""


@dataclass(frozen=True)
class Transformed:
    """A family whose rows go through the transformer of a recipe first. What is not here is the family's own."""

    name: str

    @property
    def libraries(self) -> tuple[str, ...]:
        """See `Family`: those of the transformer too."""
        return tuple(dict.fromkeys((*family_called(self.name).libraries, *Linear.libraries)))

    def __getattr__(self, name: str) -> Any:
        """See `Family`."""
        return getattr(family_called(self.name), name)

    def problem(self, template: Recipe, judge: Metric, fit_side: Rows, validation: Rows) -> Problem:
        """See `Family`: the transformer knows the side to fit on alone."""
        held, numbers = fit_transformer(template, fit_side)
        try:
            judged = transformed_rows(template, held, validation.matrix)
        except CannotTransform as error:
            raise TransformerFault(
                f"the transformer of training.pipeline does not take the rows to be validated on ({error.why})",
                "Correct it so that it takes whatever values later rows have.",
            ) from error
        sides = replace(fit_side, matrix=numbers), replace(validation, matrix=judged)
        return family_called(self.name).problem(_inner(template, held), judge, *sides)

    def fit(self, recipe: Recipe, rows: Rows, base: bytes | None) -> bytes:
        """See `Family`."""
        held, numbers = fit_transformer(recipe, rows)
        inner = _inner(recipe, held)
        family = family_called(self.name)
        content = family.fit(inner, replace(rows, matrix=numbers), None)
        some = rows.matrix[:: max(1, len(rows.matrix) // _WEIGHED)]
        model = FittedTransformed(recipe, held, replace(family.read(content), recipe=inner))  # type: ignore[type-var]
        with one_thread():
            sizes = np.abs(model.contributions(some)[..., :-1]).mean(axis=tuple(range(_raw_axes(recipe))))
        return _with_transformer(content, recipe, {**held, "weights": np.round(sizes, 6)})


def opened(inner: Fitted, content: bytes) -> FittedTransformed:
    """The whole model of a file that holds a transformer.

    Args:
        inner: what the family reads of the file; its recipe is the whole model's.
        content: the file.
    """
    packed_text = None if is_skops(content) else inner.native.attr(_ATTRIBUTE)
    blob = held_entry(content, _FILE) if packed_text is None else base64.b64decode(packed_text)
    if blob is None:
        raise ValueError(
            "this model's recipe has a transformer, and its file holds none; the file is damaged. Restore it from a "
            "backup, or promote the previous version."
        )
    held, recipe = load_trusted(blob, "the model's file"), inner.recipe
    return FittedTransformed(recipe, held, replace(inner, recipe=_inner(recipe, held)))  # type: ignore[type-var]


@dataclass(frozen=True, eq=False)
class FittedTransformed:
    """A fitted transformer, and the model that sees what it makes of rows.

    Attributes:
        recipe: of both.
        held: the transformer, the names of what it makes, a usual value of each feature, and how much each counts.
        inner: the family's model.
    """

    recipe: Recipe
    held: Mapping[str, Any]
    inner: Fitted

    @property
    def native(self) -> Any:
        """The family's own object, which takes what the transformer makes."""
        return self.inner.native

    @property
    def rounds(self) -> int:
        """See `Fitted`."""
        return self.inner.rounds

    @property
    def base(self) -> bytes | None:
        """See `Fitted`: it is always made from nothing."""
        return None

    def predict(self, matrix: FloatMatrix) -> np.ndarray:
        """See `Fitted`."""
        return self.inner.predict(transformed_rows(self.recipe, self.held, matrix))

    def for_few_rows(self) -> Callable[[FloatMatrix], np.ndarray]:
        """See `Fitted`."""
        few = self.inner.for_few_rows()
        return lambda matrix: few(transformed_rows(self.recipe, self.held, matrix))

    def importance(self) -> Mapping[str, float]:
        """How far scores move, on average, when a feature is taken to its usual value, on rows of the fit."""
        return dict(zip(self.recipe.names, np.asarray(self.held["weights"]).tolist(), strict=True))

    def contributions(self, matrix: FloatMatrix) -> np.ndarray:
        """How far the raw score falls when a feature is taken to its usual value; the bias is what is left.

        Of what a transformer mixes (components, say) nothing more can be said feature by feature.
        """
        return occluded(self.predict, matrix, self._usual, self.recipe.task)

    @cached_property
    def _usual(self) -> np.ndarray:
        return np.asarray(self.held["usual"], dtype=np.float32)


def _raw_axes(recipe: Recipe) -> int:
    return 2 if recipe.task == "multiclass" else 1


def _inner(recipe: Recipe, held: Mapping[str, Any]) -> Recipe:
    """The family's own recipe: columns of numbers."""
    columns = tuple(FeatureColumn(f"t{place}") for place in range(int(held["columns"])))
    return replace(recipe, columns=columns, categories={}, transformer=None)


def _with_transformer(content: bytes, recipe: Recipe, held: Mapping[str, Any]) -> bytes:
    """The family's file with the transformer and the whole recipe in it."""
    blob = packed(dict(held), {})
    if is_skops(content):
        return with_entries(content, {RECIPE: recipe.to_json(), _FILE: blob})
    native = family_called(recipe.family).read(content).native
    native.set_attr(**{ATTRIBUTE: recipe.to_json(), _ATTRIBUTE: base64.b64encode(blob).decode("ascii")})
    return bytes(native.save_raw("ubj"))
