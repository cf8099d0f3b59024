"""DLE: what the error of a regression probably is, from a model of the error.

Here: the models of the absolute and the squared error, and the estimator made from one reference. Not here: the
interval, the checks and the caveats (`estimation`), boosting itself (`model`).

A small model, fitted on rows whose error is known, predicts the error of new rows; the mean of its predictions is
the estimate (NannyML's "Direct Loss Estimation").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.models.matrix import CannotTrain, FeatureColumn
from mlops_assets.core.models.model import Model, Recipe, fit
from mlops_assets.core.performance.estimation import (
    Estimated,
    Gap,
    Noise,
    Outcomes,
    check_scores,
    checked,
    held_out,
    noise_of,
)
from mlops_assets.core.performance.window_metrics import as_metrics
from mlops_assets.core.stats.intervals import Array, CannotJudge
from mlops_assets.core.stats.metrics import Metric, metric

LOSSES: Mapping[str, Callable[[Array], Array]] = {"mae": np.abs, "rmse": np.square}
"""What is modelled for each metric: the absolute and the squared error."""
PREDICTION = "prediction"
"""The model's own output, a feature of the error models."""
_ROUNDS = 60
PARAMETERS = {"objective": "reg:squarederror", "max_depth": 4, "eta": 0.1, "min_child_weight": 50}
"""A small model: ten of them are fitted at a promotion."""
_MIN_ROWS = 500
"""Fewer rows say too little of how large errors are where."""
FIT_ROWS = 10_000
"""Rows an error model is fitted on, a seeded sample of the reference."""
_SEED = 13


def fit_losses(
    features: pd.DataFrame, columns: Sequence[FeatureColumn], outcomes: Outcomes
) -> tuple[dict[str, Model], dict[str, Array]]:
    """The models of the error, and what models of the other parts say of each row of the reference.

    Args:
        features: n rows, at least `columns`.
        columns: what the error is explained by, besides the prediction.
        outcomes: the same n rows.

    Returns:
        metric -> model fitted on all rows; metric -> held-out predictions, shape (n,), to go into `Outcomes.losses`.

    Raises:
        CannotJudge: see `checked`; or no model can be fitted on these rows.
    """
    known = checked(outcomes, classes=False)
    frame = features[[column.name for column in columns]].assign(**{PREDICTION: known.scores})
    recipe = Recipe("xgboost", "regression", PARAMETERS, _ROUNDS, (*columns, FeatureColumn(PREDICTION)), seed=_SEED)
    models, fresh = {}, {}
    for name, loss in LOSSES.items():
        rows = loss(known.labels - known.scores)
        models[name] = _fit(recipe, frame, rows, np.arange(len(rows)))
        fresh[name] = held_out(partial(_predicted_elsewhere, recipe, frame, rows), known.days)
    return models, fresh


def _fit(recipe: Recipe, frame: pd.DataFrame, losses: Array, rows: Any) -> Model:
    if len(rows) < _MIN_ROWS:
        why = f"the model of the error cannot be fitted: {len(rows):,} rows are fewer than {_MIN_ROWS}"
        raise CannotJudge(why, "Promote a version that was judged on more.")
    if len(rows) > FIT_ROWS:
        rows = np.sort(np.random.default_rng(_SEED).choice(rows, FIT_ROWS, replace=False))
    try:
        return fit(recipe, frame.iloc[rows], losses[rows])
    except CannotTrain as why:
        raise CannotJudge(f"the model of the error cannot be fitted: {why.why}", why.remedy) from why


def _predicted_elsewhere(recipe: Recipe, frame: pd.DataFrame, losses: Array, rows: Any, others: Any) -> Array:
    return _predicted(_fit(recipe, frame, losses, others), frame.iloc[rows])


class LossEstimator:
    """DLE of one reference, for regressions: the mean of the predicted errors.

    Args:
        outcomes: the reference with `losses`.
        models: see `fit_losses`.

    Raises:
        CannotJudge: see `checked`.
    """

    def __init__(self, outcomes: Outcomes, models: Mapping[str, Model], *, confidence: float = 0.95) -> None:
        self._outcomes = checked(outcomes, classes=False)
        self._models, self._confidence = models, confidence
        self._held_out = dict(outcomes.losses or {})
        self._spread: dict[str, float] = {}
        self._noise: dict[str, Noise] = {}
        for name, loss in LOSSES.items():
            rows, expected = loss(self._outcomes.labels - self._outcomes.scores), self._held_out[name]
            scale = float(np.sum(expected**2))
            self._spread[name] = float(np.sum((rows - expected) ** 2)) / scale if scale else 0.0
            self._noise[name] = noise_of(partial(self._gap, name), self._outcomes.days)

    def estimate(
        self, scores: Any, days: Any, metrics: Sequence[str | Metric], *, features: pd.DataFrame | None = None
    ) -> dict[str, Estimated]:
        """See `Estimator`; `features`: at least the columns that the error models were fitted on."""
        s = np.asarray(scores, dtype=np.float64)
        return {m.name: self._estimate(m.name, s, days, features) for m in as_metrics(metrics)}

    def _estimate(self, name: str, s: Array, days: Any, features: pd.DataFrame | None) -> Estimated:
        try:
            if name not in self._models or features is None:
                raise CannotJudge(
                    f"only {' and '.join(LOSSES)} of a regression are estimated before labels", "Wait for the labels"
                )
            check_scores(s, like=self._outcomes.scores)
            rows = features.assign(**{PREDICTION: s})
            value, variance, _ = self._expected(name, _predicted(self._models[name], rows))
        except CannotJudge as why:
            return Estimated.none(name, len(s), why)
        se, half = self._noise[name].half_width(variance, days, self._confidence)
        return Estimated(name, value, max(0.0, value - half), value + half, se, len(s))

    def _gap(self, name: str, rows: Any) -> Gap:
        y, s = self._outcomes.labels[rows], self._outcomes.scores[rows]
        expected = self._held_out[name][rows]
        value, variance, slope = self._expected(name, expected)
        return Gap(metric(name).score(y, s) - value, (LOSSES[name](y - s) - expected) * slope, variance)

    def _expected(self, name: str, expected: Array) -> tuple[float, float, float]:
        """Value, its variance from independent labels, and the derivative of the metric by the mean loss."""
        mean = float(expected.mean())
        value = math.sqrt(mean) if name == "rmse" else mean
        slope = (0.5 / value if value else 0.0) if name == "rmse" else 1.0
        # A row's loss spreads in proportion to what is expected of it.
        variance = self._spread[name] * float(np.sum(expected**2)) / len(expected) ** 2
        return value, variance * slope**2, slope


def _predicted(model: Model, features: pd.DataFrame) -> Array:
    """Expected losses; an error below zero does not exist."""
    return np.maximum(np.asarray(model.predict(features), dtype=np.float64), 0.0)
