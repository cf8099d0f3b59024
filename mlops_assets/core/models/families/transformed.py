"""A family behind a transformer of the user's own: scaling, encoding, components, as scikit-learn has them.

Here: reading such a transformer, fitting it before the family on the same rows, both in one file, scores of both. Not
here: the families, the file format of scikit-learn (`skops_file`), where the user's file lies (`steps.promote`).

A recipe holds the transformer as it was written, not fitted. So whatever follows the recipe (a trial's fold, a part of
the gate's window, the probe, the refit that ships) fits it on the rows of that fit alone, and none sees rows that it is
judged on. The file of the model is the family's own; the fitted transformer lies inside it.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.models.families import Fitted, Problem, Rows, family_called
from mlops_assets.core.models.families.linear import Linear, one_thread
from mlops_assets.core.models.families.skops_file import (
    RECIPE,
    held_entry,
    is_skops,
    load_trusted,
    packed,
    with_entries,
)
from mlops_assets.core.models.families.xgboost import ATTRIBUTE
from mlops_assets.core.models.matrix import CannotTrain, FeatureColumn, FloatMatrix
from mlops_assets.core.models.recipe import Recipe
from mlops_assets.core.stats.metrics import Metric

_FILE = "transformer.skops"
_ATTRIBUTE = "mlops_transformer"
"""Of a booster: the fitted transformer, base64."""
_RANDOM = "random_state"
_LEAST = 1e-6
"""Chances are kept so far from 0 and 1 before their log-odds are taken."""
_WEIGHED = 1_000
"""Rows by which the weights of features are told."""
_FAULTS = (ValueError, TypeError, KeyError, AttributeError, IndexError)
"""What scikit-learn raises of data that a transformer cannot take."""


def unfitted(content: bytes, place: str) -> str:
    """The text of a transformer for a recipe, from its file.

    Args:
        content: of a file that `skops.io.dump` has written.
        place: of the file, for messages.

    Raises:
        ValueError: it is no such file, holds types that are not scikit-learn's or numpy's, or no transformer.
    """
    transformer = load_trusted(content, place)
    last = transformer.steps[-1][1] if hasattr(transformer, "steps") else transformer
    if hasattr(last, "predict") or not hasattr(transformer, "fit_transform"):
        raise ValueError(
            f"{place} holds {type(last).__name__}, which is not a transformer: leave the model out of the pipeline, "
            "and name its kind under training.families"
        )
    # Written anew, since skops names parts by their addresses: equal transformers are equal texts.
    return base64.b64encode(zlib.compress(packed(transformer, {}), 9)).decode("ascii")


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
        held = _fitted(template, fit_side)
        inner = _inner(template, held)
        sides = (replace(rows, matrix=_numbers(template, held, rows.matrix)) for rows in (fit_side, validation))
        return family_called(self.name).problem(inner, judge, *sides)

    def fit(self, recipe: Recipe, rows: Rows, base: bytes | None) -> bytes:
        """See `Family`."""
        held = _fitted(recipe, rows)
        inner = _inner(recipe, held)
        family = family_called(self.name)
        content = family.fit(inner, replace(rows, matrix=_numbers(recipe, held, rows.matrix)), None)
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
        return self.inner.predict(_numbers(self.recipe, self.held, matrix))

    def for_few_rows(self) -> Callable[[FloatMatrix], np.ndarray]:
        """See `Fitted`."""
        few = self.inner.for_few_rows()
        return lambda matrix: few(_numbers(self.recipe, self.held, matrix))

    def importance(self) -> Mapping[str, float]:
        """How far scores move, on average, when a feature is taken to its usual value, on rows of the fit."""
        return dict(zip(self.recipe.names, np.asarray(self.held["weights"]).tolist(), strict=True))

    def contributions(self, matrix: FloatMatrix) -> np.ndarray:
        """How far the raw score falls when a feature is taken to its usual value; the bias is what is left.

        Of what a transformer mixes (components, say) nothing more can be said feature by feature.
        """
        raw = self._raw(matrix)
        contributions = np.zeros((*raw.shape, matrix.shape[1] + 1))
        for column, usual in enumerate(self._usual):
            other = matrix.copy()
            other[:, column] = usual
            contributions[..., column] = raw - self._raw(other)
        contributions[..., -1] = raw - contributions[..., :-1].sum(axis=-1)
        return contributions

    @cached_property
    def _usual(self) -> np.ndarray:
        return np.asarray(self.held["usual"], dtype=np.float32)

    def _raw(self, matrix: FloatMatrix) -> np.ndarray:
        """Log-odds (of classes: log chances), or the value of a regression."""
        scores = self.predict(matrix).astype(np.float64)
        if self.recipe.task == "regression":
            return scores
        kept = np.clip(scores, _LEAST, 1 - _LEAST)
        return np.log(kept) if scores.ndim == 2 else np.log(kept / (1 - kept))


def _raw_axes(recipe: Recipe) -> int:
    return 2 if recipe.task == "multiclass" else 1


def _fitted(recipe: Recipe, rows: Rows) -> dict[str, Any]:
    """The recipe's transformer, fitted on rows; the names of its columns; a usual value of each feature.

    Raises:
        CannotTrain: it does not take these rows, or none in which everything is missing.
    """
    transformer = load_trusted(zlib.decompress(base64.b64decode(recipe.transformer or "")), "the recipe")
    open_seeds = [name for name, value in transformer.get_params().items() if name.endswith(_RANDOM) and value is None]
    transformer.set_params(**dict.fromkeys(open_seeds, recipe.seed))
    try:
        with one_thread():
            width = np.shape(transformer.fit_transform(frame_of(recipe, rows.matrix), rows.y))[1]
    except _FAULTS as error:
        raise CannotTrain(
            f"the transformer of training.pipeline cannot be fitted ({error})",
            f"Correct it, or the features that it names; there are {', '.join(recipe.names)}.",
        ) from error
    held = {"transformer": transformer, "columns": width, "usual": _usual_values(recipe, rows.matrix)}
    try:
        _numbers(recipe, held, np.full((1, len(recipe.columns)), np.nan, dtype=np.float32))
    except _FAULTS as error:
        raise CannotTrain(
            f"the transformer of training.pipeline takes no row in which everything is missing ({error})",
            "Any feature may be missing, or have a new category, when it is asked for: fill gaps with SimpleImputer, "
            "and set handle_unknown='ignore' where it encodes.",
        ) from error
    return held


def _usual_values(recipe: Recipe, matrix: FloatMatrix) -> np.ndarray:
    """The mean of each number, the most frequent category; missing where there is nothing else."""
    values = np.full(len(recipe.columns), np.nan, dtype=np.float32)
    for place, column in enumerate(recipe.columns):
        known = matrix[:, place][~np.isnan(matrix[:, place])]
        if len(known):
            is_code = column.kind == "categorical"
            values[place] = np.bincount(known.astype(np.int64)).argmax() if is_code else known.mean(dtype=np.float64)
    return values


def frame_of(recipe: Recipe, matrix: FloatMatrix) -> pd.DataFrame:
    """Encoded rows as a transformer sees them: features by name, categories as texts, None where one is missing."""
    values: dict[str, Any] = {}
    for place, column in enumerate(recipe.columns):
        numbers = matrix[:, place]
        if column.kind == "categorical":
            known = np.array([*recipe.categories.get(column.name, ()), None], dtype=object)
            values[column.name] = known[np.where(np.isnan(numbers), len(known) - 1, numbers).astype(np.int64)]
        else:
            values[column.name] = numbers.astype(np.float64)
    return pd.DataFrame(values)


def _numbers(recipe: Recipe, held: Mapping[str, Any], matrix: FloatMatrix) -> FloatMatrix:
    """What the fitted transformer makes of encoded rows, infinite values as missing."""
    with one_thread():
        made = held["transformer"].transform(frame_of(recipe, matrix))
    dense = made.toarray() if hasattr(made, "toarray") else np.asarray(made)
    with np.errstate(over="ignore"):
        numbers: FloatMatrix = np.ascontiguousarray(dense, dtype=np.float32)
    numbers[np.isinf(numbers)] = np.nan
    return numbers


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
