"""The kinds of models: each is one module that follows recipes of its name.

Here: what a family must be able to do, and which there are. Not here: their arithmetic (one module each), the value
that the rest of the platform holds (`model`), frame to matrix (`matrix`), the loop over trials (`tuning`).

A family sees the encoded matrix (float32, categories as codes, NaN for missing) and never a frame; it is given weights
and never asks why. Its file is its library's own format with the recipe inside, and nothing in it can run code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from mlops_assets.core.limits.ranges import Allowed
from mlops_assets.core.models.families.skops_file import is_skops
from mlops_assets.core.models.matrix import FloatMatrix
from mlops_assets.core.models.recipe import CONTINUED, Recipe
from mlops_assets.core.stats.metrics import Metric, Task

_MODULES = {
    "xgboost": "xgboost",
    "random_forest": "xgboost",
    "linear": "linear",
    "sgd": "incremental",
    "river": "river",
    "xgboost_continued": "incremental",
    "sgd_continued": "incremental",
    "river_continued": "river",
}
"""Name of a family -> module in this package."""
FAMILIES: tuple[str, ...] = tuple(_MODULES)
_TRANSFORMED = "transformed"
GOING_ON: tuple[str, ...] = tuple(name for name in FAMILIES if name.endswith(CONTINUED))
"""Those that go on from a champion."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Encoded rows that a family fits on or is scored on.

    Attributes:
        matrix: shape (n, k).
        y: labels, float32, shape (n,).
        weights: what each row counts, float32, shape (n,), mean 1; None: all the same.
    """

    matrix: FloatMatrix
    y: np.ndarray
    weights: np.ndarray | None = None

    def take(self, where: np.ndarray) -> Rows:
        """Some of the rows, by position."""
        return Rows(self.matrix[where], self.y[where], None if self.weights is None else self.weights[where])


class Fitted(Protocol):
    """A model read from its file. Predicting is safe from several threads at once."""

    recipe: Recipe

    @property
    def native(self) -> Any:
        """The library's own object."""

    @property
    def rounds(self) -> int:
        """Boosting rounds, or passes over rows, of this model and of those that it went on from."""

    @property
    def base(self) -> bytes | None:
        """The file of the model that this one went on from; None where it was made from nothing."""

    def predict(self, matrix: FloatMatrix) -> np.ndarray:
        """Scores, float32, shape (n,) or (n, classes), n > 0."""

    def for_few_rows(self) -> Callable[[FloatMatrix], np.ndarray]:
        """What gives the scores of `predict`, bit by bit, and soonest for a few rows at a time."""

    def importance(self) -> Mapping[str, float]:
        """How much each feature counts in the fit, in no particular unit; features may be absent."""

    def contributions(self, matrix: FloatMatrix) -> np.ndarray:
        """What each feature, and last the bias, adds to the raw score: shape (n, k + 1), or (n, classes, k + 1)."""


class Attempt(Protocol):
    """A trial on its way: told a value after each round, it says when to stop."""

    best: int
    state: str

    def goes_on(self, value: float) -> bool:
        """Record the value of the round that has just ended on the validation rows."""


class Problem(Protocol):
    """What the trials of one search share, made once and only read."""

    watched: str
    greater: bool

    def attempt(self, recipe: Recipe, trial: Attempt) -> np.ndarray | None:
        """Fit with one thread; the validation rows' scores by the best round, None where it was pruned."""


class Family(Protocol):
    """A kind of model."""

    defaults: Mapping[str, Any]
    """Parameters of the first trial, so that a short search is never worse than none."""
    ranges: Mapping[str, Allowed]
    """What each of them may be: with all else its library refuses to fit, or fits nothing."""
    ending: str
    """Of its file's name."""
    most_trials: int
    """More of them find nothing better: it has few parameters."""
    on_gpu: bool
    """Whether it can be fitted on a GPU (`Recipe.device`)."""
    libraries: tuple[str, ...]
    """Packages that the bytes of a model depend on, besides numpy and pandas."""

    def suggest(self, trial: Any) -> dict[str, Any]:
        """Parameters that an `optuna.Trial` is asked for."""

    def most_rounds(self, settings_rounds: int) -> int:
        """Most rounds of a trial, of those that the settings allow."""

    def fixed(self, task: Task, metric: str, labels: np.ndarray) -> dict[str, Any]:
        """Parameters that are not searched for; multiclass: `num_class` among them."""

    def cheaper(self, recipe: Recipe) -> Recipe:
        """The recipe as the probe follows it: about as good, and fitted sooner."""

    def problem(self, template: Recipe, judge: Metric, fit_side: Rows, validation: Rows) -> Problem:
        """Get both sides ready for trials of the template with other parameters."""

    def fit(self, recipe: Recipe, rows: Rows, base: bytes | None) -> bytes:
        """The model's file; the same rows, recipe and base give the same bytes on any number of cores.

        `base` is the file that the recipe goes on from, `rows` then only what is new to it.
        """

    def kept(self, content: bytes) -> bytes:
        """What a model that goes on from the one of this file holds of it, and needs to be made again."""

    def read(self, content: bytes) -> Fitted:
        """A model from its file.

        Raises:
            ValueError: the bytes are no such file.
        """


def family_called(name: str) -> Family:
    """A family by its name.

    Raises:
        ValueError: there is none.
    """
    if name not in _MODULES:
        raise ValueError(f"there is no family {name!r}: set training.families to some of {', '.join(FAMILIES)}")
    return import_module(f"{__name__}.{_MODULES[name]}").FAMILY[name]


def family_of(recipe: Recipe) -> Family:
    """What follows a recipe: its family, behind its transformer where it has one."""
    family = family_called(recipe.family)
    if recipe.transformer is None:
        return family
    behind: Family = import_module(f"{__name__}.{_TRANSFORMED}").Transformed(recipe.family)
    return behind


def read(content: bytes) -> Fitted:
    """A model of any family from its file.

    Raises:
        ValueError: the bytes are no model of this platform.
    """
    fitted = family_called("linear" if is_skops(content) else "xgboost").read(content)
    if fitted.recipe.transformer is None:
        return fitted
    whole: Fitted = import_module(f"{__name__}.{_TRANSFORMED}").opened(fitted, content)
    return whole
