"""Linear models by scikit-learn: logistic regression, ridge regression.

Here: numbers from the encoded matrix (mean for missing, standard scale, one column a category), the estimator, what
both say of a row. Not here: models that learn row by row (`incremental`), the file (`skops_file`).

Every column of numbers has mean 0 on the rows of the fit, so a feature adds its coefficient times its distance from the
mean, and the intercept is the score of the mean row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.core.limits.ranges import LARGEST, Allowed, Range
from mlops_assets.core.models.families import Attempt, Rows
from mlops_assets.core.models.families.skops_file import base_of, dumps, loads, without_base
from mlops_assets.core.models.matrix import FloatMatrix
from mlops_assets.core.models.recipe import Recipe
from mlops_assets.core.stats.metrics import Metric, Task

if TYPE_CHECKING:
    from mlops_assets.core.models.families.foreign import FittedForeign
from mlops_assets.core.models.families.estimator import FittedEstimator, scored

_MAX_CATEGORIES = 32
"""Columns of one categorical feature: the most frequent values, and the rest as one. A rarer value has too few rows for
a coefficient of its own, and a million rows of a few hundred columns no longer fit into memory."""
_OF_FEATURE = re.compile(r"^\w+?__(?:missingindicator_)?x(\d+)(?:_|$)")


class Linear:
    """Logistic regression, or ridge regression (also where the metric is the mean absolute error)."""

    defaults: Mapping[str, Any] = {"C": 1.0}
    ranges: Mapping[str, Allowed] = {"C": Range(0, LARGEST, 1, above=True)}
    most_trials = 8
    ending = "skops"
    on_gpu = False
    libraries: tuple[str, ...] = ("scikit-learn", "scipy", "skops")

    def suggest(self, trial: Any) -> dict[str, Any]:
        """See `Family`."""
        return {"C": trial.suggest_float("C", 1e-4, 1e2, log=True)}

    def most_rounds(self, settings_rounds: int) -> int:
        """It has no rounds."""
        return 1

    def fixed(self, task: Task, metric: str, labels: np.ndarray) -> dict[str, Any]:
        """See `Family`."""
        return {"num_class": int(labels.max()) + 1} if task == "multiclass" else {}

    def cheaper(self, recipe: Recipe) -> Recipe:
        """See `Family`: as it is."""
        return recipe

    def problem(self, template: Recipe, judge: Metric, fit_side: Rows, validation: Rows) -> _Numbers:
        """Both sides as numbers, once for all trials."""
        return _Numbers(judge, *numbers_of(template, fit_side, validation))

    def fit(self, recipe: Recipe, rows: Rows, base: bytes | None) -> bytes:
        """See `Family`."""
        columns, numbers, _ = numbers_of(recipe, rows, None)
        with one_thread():
            estimator = _estimator(recipe).fit(numbers.matrix, numbers.y, sample_weight=numbers.weights)
        return dumps(piped(columns, estimator), recipe)

    def read(self, content: bytes) -> FittedLinear | FittedForeign:
        """See `Family`."""
        from mlops_assets.core.models.families.foreign import FittedForeign, is_foreign

        native, recipe = loads(content)
        return FittedForeign(recipe, native) if is_foreign(native) else FittedLinear(recipe, native, base_of(content))

    def kept(self, content: bytes) -> bytes:
        """See `Family`."""
        return without_base(content)


def _estimator(recipe: Recipe) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge

    if recipe.task == "regression":
        return Ridge(alpha=1.0 / recipe.params["C"])
    return LogisticRegression(C=recipe.params["C"], max_iter=300)


@dataclass(frozen=True, eq=False)
class _Numbers:
    """Both sides of the split, and the columns that were made of them."""

    judge: Metric
    columns: Any
    fit_side: Rows
    validation: Rows

    @property
    def watched(self) -> str:
        """There are no rounds to watch: the metric itself."""
        return self.judge.name

    @property
    def greater(self) -> bool:
        """See `Problem`."""
        return self.judge.greater_is_better

    def attempt(self, recipe: Recipe, trial: Attempt) -> np.ndarray | None:
        """See `Problem`."""
        side = self.fit_side
        with one_thread():
            estimator = _estimator(recipe).fit(side.matrix, side.y, sample_weight=side.weights)
            scores = scored(estimator, self.validation.matrix, recipe)
        trial.goes_on(self.judge.score(self.validation.y, scores))
        return scores


class FittedLinear(FittedEstimator):
    """A pipeline from the encoded matrix to scores."""

    def importance(self) -> Mapping[str, float]:
        """Coefficients in standard deviations of their columns, added up by feature (classes: their mean)."""
        sizes = (np.abs(self._coefficients) * self._spread).mean(axis=0) @ self._by_feature
        return dict(zip(self.recipe.names, sizes.tolist(), strict=True))

    def contributions(self, matrix: FloatMatrix) -> np.ndarray:
        """Coefficient times distance from the mean."""
        numbers = self.native[0].transform(matrix)
        each = [
            np.column_stack([(numbers * row) @ self._by_feature, np.full(len(matrix), intercept)])
            for row, intercept in zip(self._coefficients, self._intercepts, strict=True)
        ]
        if self.recipe.task != "multiclass":
            return each[0]
        contributions = np.zeros((len(matrix), int(self.recipe.params["num_class"]), each[0].shape[1]))
        for code, values in zip(self._classes, each, strict=True):
            contributions[:, code] = values
        return contributions

    @property
    def _coefficients(self) -> np.ndarray:
        return self._by_class(np.atleast_2d(self.native[-1].coef_))

    @property
    def _intercepts(self) -> np.ndarray:
        return self._by_class(np.atleast_1d(self.native[-1].intercept_))

    def _by_class(self, values: np.ndarray) -> np.ndarray:
        """Where the rows of the fit had two of several classes, scikit-learn has one row for both."""
        if self.recipe.task == "multiclass" and len(values) == 1:
            return np.concatenate([-values / 2, values / 2])
        return values

    @property
    def _classes(self) -> np.ndarray:
        return np.asarray(self.native[-1].classes_).astype(np.int64)

    @cached_property
    def _by_feature(self) -> np.ndarray:
        """Which column of numbers belongs to which feature: shape (columns, k)."""
        matches = [_OF_FEATURE.match(name) for name in self.native[0].get_feature_names_out()]
        places = np.zeros((len(matches), len(self.recipe.columns)))
        for row, match in enumerate(matches):
            if match is None:
                raise ValueError("the columns of this linear model cannot be told apart; train it again")
            places[row, int(match[1])] = 1.0
        return places

    @cached_property
    def _spread(self) -> np.ndarray:
        """Standard deviation of each column of numbers on the rows of the fit."""
        parts = []
        for kind, branch, _ in self.native[0].transformers_:
            last = branch[-1]
            parts.append(
                (last.var_ > 0).astype(np.float64) if kind == "numbers" else np.sqrt(last.mean_ * (1 - last.mean_))
            )
        return np.concatenate(parts)


def numbers_of(recipe: Recipe, rows: Rows, others: Rows | None) -> tuple[Any, Rows, Rows]:
    """The transformer fitted on rows, those rows as float32 numbers, and other rows (the same ones where None)."""
    columns = _columns(recipe, rows.matrix)
    numbers = columns.fit_transform(rows.matrix).astype(np.float32, copy=False)
    made = Rows(numbers, rows.y, rows.weights)
    if others is None:
        return columns, made, made
    other = columns.transform(others.matrix).astype(np.float32, copy=False)
    return columns, made, Rows(other, others.y, others.weights)


def _columns(recipe: Recipe, matrix: FloatMatrix) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import MissingIndicator, SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numeric = [place for place, column in enumerate(recipe.columns) if column.kind != "categorical"]
    categorical = [place for place, column in enumerate(recipe.columns) if column.kind == "categorical"]
    gaps = [place for place in numeric if np.isnan(matrix[:, place]).any()]
    one_hot = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=_MAX_CATEGORIES, sparse_output=False, dtype=np.float32
    )
    # Zeros and ones are centred and not scaled: a rare category would become a huge number.
    branches = {
        "numbers": (numeric, [("fill", SimpleImputer(keep_empty_features=True)), ("scale", StandardScaler())]),
        "gaps": (gaps, [("tell", MissingIndicator(features="all")), ("centre", StandardScaler(with_std=False))]),
        "categories": (categorical, [("expand", one_hot), ("centre", StandardScaler(with_std=False))]),
    }
    return ColumnTransformer([(name, Pipeline(steps), places) for name, (places, steps) in branches.items() if places])


def piped(columns: Any, estimator: Any) -> Any:
    """The two fitted halves as one pipeline."""
    from sklearn.pipeline import Pipeline

    return Pipeline([("columns", columns), ("model", estimator)])


_lock = Lock()
_inside = 0
_limit: Any = None


@contextmanager
def one_thread() -> Iterator[None]:
    """Linear algebra by one thread while any such block runs: a sum must not depend on the number of cores."""
    global _inside, _limit
    from threadpoolctl import threadpool_limits

    with _lock:
        _inside += 1
        if _inside == 1:
            _limit = threadpool_limits(limits=1, user_api="blas")
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limit.restore_original_limits()


FAMILY = {"linear": Linear()}
