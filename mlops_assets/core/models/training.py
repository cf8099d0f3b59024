"""Training: the newest days validate, Optuna searches, the recipe comes out.

Here: `tune`, and the names of its neighbours that belong to training, so that one import serves. Not here: the split
by time (`time_splits`), the search itself (`tuning`), frame to matrix (`matrix`), recipe to model (`model`), what is
logged and kept (`world.mlflow.tracking`, `world.mlflow.registry`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.models.families import Rows, family_called
from mlops_assets.core.models.matrix import (
    CannotTrain,
    FeatureColumn,
    FloatMatrix,
    WrongColumns,
    all_constant,
    categories_of,
    check_finite,
    check_labels,
    constant_columns,
    encode,
)
from mlops_assets.core.models.model import Model, Recipe, fit
from mlops_assets.core.models.probabilities import Calibration
from mlops_assets.core.models.time_splits import Split, check_classes, time_splits
from mlops_assets.core.models.training_settings import TrainingSettings
from mlops_assets.core.models.tuning import Fold, Wanted, search
from mlops_assets.core.models.weights import EVENT_TIME, is_imbalanced, row_weights
from mlops_assets.core.stats.metrics import Task
from mlops_assets.core.stats.metrics import metric as metric_called

__all__ = [
    "CannotTrain",
    "FeatureColumn",
    "Model",
    "Recipe",
    "TrainingSettings",
    "Tuned",
    "WrongColumns",
    "fit",
    "tune",
]


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes:
        recipe: the best trial's, with the rounds early stopping chose.
        trials: a row a trial: `trial`, `batch`, `state` (complete, pruned), `score` (the metric on the
            validation days; NaN when pruned), `rounds`, `seconds`, and a column per parameter.
        validation_score: the metric of the best trial on the validation days; of several folds the mean.
        curve: a row per trial and round: `trial`, `round` (from 1), `value` of `curve_metric` on the
            validation days.
        best_trial: number of the best trial.
        curve_metric: what stopped the trials: XGBoost's own metric, or the metric itself.
        dropped: constant columns that were left out.
        validation_from: first validation day (UTC midnight).
        fit_rows: rows the trials were fitted on; of several folds those of the first.
        validation_rows: rows they were scored on.
    """

    recipe: Recipe
    trials: pd.DataFrame
    validation_score: float
    curve: pd.DataFrame
    best_trial: int
    curve_metric: str
    dropped: tuple[str, ...]
    validation_from: pd.Timestamp
    fit_rows: int
    validation_rows: int


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """Rows to learn from.

    Attributes:
        frame: features, n rows, at least the columns of the goal.
        y: labels, shape (n,): 0 or 1, finite numbers, or class codes 0..k-1.
        event_time: prediction times, shape (n,), with zone or taken as UTC.
    """

    frame: pd.DataFrame
    y: Any
    event_time: Any


@dataclass(frozen=True, eq=False)
class Goal:
    """What is to be learned, and how.

    Attributes:
        columns: the feature schema.
        task: `binary`, `regression` or `multiclass`.
        metric: name in `core.stats.metrics` that trials are ranked by.
        settings: see `TrainingSettings`.
        half_life_days: rows count half with each so many days of age; None: all the same.
        transformer: what rows go through before any family sees them (`Recipe.transformer`).
    """

    columns: Sequence[FeatureColumn]
    task: Task
    metric: str
    settings: TrainingSettings = field(default_factory=TrainingSettings)
    half_life_days: float | None = None
    transformer: str | None = None


def tune(rows: LabelledRows, goal: Goal, *, family: str | None = None, champion: Recipe | None = None) -> Tuned:
    """Search for the recipe that scores best on the newest days.

    Args:
        rows: to learn from.
        goal: what is to be learned.
        family: kind of model; the first of the settings' by default.
        champion: its parameters are tried first, where it is of this family.

    Raises:
        CannotTrain: too few rows or days, one class only, nothing but constant features, infinities.
        WrongColumns: a column is missing or not of its kind.
        ValueError: unknown metric, or not for this task.
    """
    frame, columns, task, metric, settings = rows.frame, goal.columns, goal.task, goal.metric, goal.settings
    settings.check_task(task, metric)
    judge = metric_called(metric)
    if task not in judge.tasks:
        raise ValueError(f"metric {metric!r} is not for task {task!r} but for {judge.tasks}: change `metric`")
    if not columns:
        raise CannotTrain("there are no features", "Name feature views under `features`.")
    labels, splits = _trainable(rows.y, rows.event_time, len(frame), task, settings)
    categories = categories_of(frame, columns)
    matrix = encode(frame, columns, categories)
    check_finite(matrix, columns)
    # A transformer names the columns that it takes.
    dropped = constant_columns(matrix, columns) if goal.transformer is None else ()
    kept = tuple(column for column in columns if column.name not in dropped)
    if not kept:
        raise all_constant(dropped)
    if dropped:
        matrix = matrix[:, [column.name not in dropped for column in columns]]
    kind = family_called(family or settings.families[0])
    template = Recipe(
        family=family or settings.families[0],
        task=task,
        params=kind.fixed(task, metric, labels),
        rounds=kind.most_rounds(settings.max_rounds),
        columns=kept,
        categories={column.name: categories[column.name] for column in kept if column.kind == "categorical"},
        seed=settings.seed,
        half_life_days=goal.half_life_days,
        transformer=goal.transformer,
        device=settings.device if kind.on_gpu else "cpu",
        balanced=settings.imbalance == "weights" or (settings.imbalance == "auto" and is_imbalanced(labels)),
    )
    folds = _folds(template, splits, matrix, labels, rows.event_time)
    first = champion.params if champion is not None and champion.family == template.family else None
    searched = search(Wanted(template, judge, folds), settings, first=first)
    # Weighted classes push every score up or down, so that no score is a chance any more.
    method = "platt" if template.balanced and settings.calibration == "none" else settings.calibration
    if champion is not None and first is not None and _is_constant(searched.scores):
        # The newest days contradict those before: whatever was learned did worse on them than saying one thing of all.
        # What ships is fitted on these days too, so it learns as the champion did, and the gate says what it is worth.
        recipe = replace(template, params={**first, **template.params}, rounds=min(champion.rounds, template.rounds))
    else:
        calibration = Calibration.fit(method, searched.scores, searched.labels) if method != "none" else None
        recipe = replace(searched.recipe, calibration=calibration)
    return Tuned(
        recipe=recipe,
        trials=searched.trials,
        validation_score=searched.score,
        curve=searched.curve,
        best_trial=searched.best_trial,
        curve_metric=searched.curve_metric,
        dropped=dropped,
        validation_from=splits[0].first_day,
        fit_rows=len(splits[0].fit),
        validation_rows=sum(len(of.validation) for of in splits),
    )


def _folds(
    template: Recipe, splits: Sequence[Split], matrix: FloatMatrix, labels: np.ndarray, event_time: Any
) -> tuple[Fold, ...]:
    """The rows of each split, those to fit on with their weights."""
    times = pd.DataFrame({EVENT_TIME: pd.Series(event_time).to_numpy()})
    return tuple(
        Fold(
            Rows(matrix[of.fit], labels[of.fit], row_weights(template, times.iloc[of.fit], labels[of.fit])),
            Rows(matrix[of.validation], labels[of.validation]),
        )
        for of in splits
    )


def check_trainable(y: Any, event_time: Any, task: Task, settings: TrainingSettings) -> None:
    """Refuse labels and times that `tune` would refuse, before there are features.

    Errors: as of `tune`.
    """
    _trainable(y, event_time, len(y), task, settings)


def _trainable(
    y: Any, event_time: Any, rows: int, task: Task, settings: TrainingSettings
) -> tuple[np.ndarray, list[Split]]:
    labels = check_labels(y, task, rows=rows)
    splits = time_splits(event_time, rows, settings)
    check_classes(splits, labels, task)
    return labels, splits


def _is_constant(scores: np.ndarray) -> bool:
    """Whether a model says one thing of all rows."""
    return bool(np.all(np.ptp(np.asarray(scores), axis=0) == 0.0))
