"""Training: the newest days validate, Optuna searches, the recipe comes out.

Here: `tune`, the split by time, and the names of its neighbours that belong to training, so that one import
serves. Not here: the search itself (`tuning`), frame to matrix (`matrix`), recipe to model (`model`), what is
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
from mlops_assets.core.models.tuning import TrainingSettings, Wanted, search
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
        validation_score: the metric of the best trial on the validation days.
        curve: a row per trial and round: `trial`, `round` (from 1), `value` of `curve_metric` on the
            validation days.
        best_trial: number of the best trial.
        curve_metric: what stopped the trials: XGBoost's own metric, or the metric itself.
        dropped: constant columns that were left out.
        validation_from: first validation day (UTC midnight).
        fit_rows: rows the trials were fitted on.
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
    """

    columns: Sequence[FeatureColumn]
    task: Task
    metric: str
    settings: TrainingSettings = field(default_factory=TrainingSettings)
    half_life_days: float | None = None


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
    labels, split = _trainable(rows.y, rows.event_time, len(frame), task, settings)
    categories = categories_of(frame, columns)
    matrix = encode(frame, columns, categories)
    check_finite(matrix, columns)
    dropped = constant_columns(matrix, columns)
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
        device=settings.device if kind.on_gpu else "cpu",
        balanced=settings.imbalance == "weights" or (settings.imbalance == "auto" and is_imbalanced(labels)),
    )
    times = pd.DataFrame({EVENT_TIME: pd.Series(rows.event_time).to_numpy()})
    weights = row_weights(template, times.iloc[split.fit], labels[split.fit])
    fit_side = Rows(matrix[split.fit], labels[split.fit], weights)
    validation = Rows(matrix[split.validation], labels[split.validation])
    first = champion.params if champion is not None and champion.family == template.family else None
    searched = search(Wanted(template, judge, fit_side, validation), settings, first=first)
    # Weighted classes push every score up or down, so that no score is a chance any more.
    method = "platt" if template.balanced and settings.calibration == "none" else settings.calibration
    if champion is not None and first is not None and _is_constant(searched.scores):
        # The newest days contradict those before: whatever was learned did worse on them than saying one thing of all.
        # What ships is fitted on these days too, so it learns as the champion did, and the gate says what it is worth.
        recipe = replace(template, params={**first, **template.params}, rounds=min(champion.rounds, template.rounds))
    else:
        calibration = Calibration.fit(method, searched.scores, validation.y) if method != "none" else None
        recipe = replace(searched.recipe, calibration=calibration)
    return Tuned(
        recipe=recipe,
        trials=searched.trials,
        validation_score=searched.score,
        curve=searched.curve,
        best_trial=searched.best_trial,
        curve_metric=searched.curve_metric,
        dropped=dropped,
        validation_from=split.first_day,
        fit_rows=len(split.fit),
        validation_rows=len(split.validation),
    )


def check_trainable(y: Any, event_time: Any, task: Task, settings: TrainingSettings) -> None:
    """Refuse labels and times that `tune` would refuse, before there are features.

    Errors: as of `tune`.
    """
    _trainable(y, event_time, len(y), task, settings)


def _trainable(y: Any, event_time: Any, rows: int, task: Task, settings: TrainingSettings) -> tuple[np.ndarray, _Split]:
    labels = check_labels(y, task, rows=rows)
    split = _split(event_time, rows, settings)
    _check_classes(split, labels, task)
    return labels, split


def _is_constant(scores: np.ndarray) -> bool:
    """Whether a model says one thing of all rows."""
    return bool(np.all(np.ptp(np.asarray(scores), axis=0) == 0.0))


@dataclass(frozen=True)
class _Split:
    """Row positions of both sides, oldest data first in the caller's order, and the first validation day."""

    fit: np.ndarray
    validation: np.ndarray
    first_day: pd.Timestamp


def days_of(event_time: Any, rows: int) -> np.ndarray:
    """The UTC day of each row, datetime64[D] of shape (n,).

    Raises:
        CannotTrain: a row has no event time.
    """
    times = pd.DatetimeIndex(pd.to_datetime(pd.Series(event_time), utc=True)).tz_localize(None)
    if len(times) != rows:
        raise ValueError(f"{len(times):,} event times for {rows:,} rows: pass one a row")
    if times.hasnans:
        raise CannotTrain(
            f"{int(np.isnat(times.to_numpy()).sum()):,} rows have no event time",
            "Fill event_timestamp in the label model.",
        )
    return times.to_numpy().astype("datetime64[D]")


def newest_days(day: np.ndarray, share: float) -> np.datetime64:
    """The first of the newest whole days that hold at least this share of the rows; never the very first day.

    Raises:
        CannotTrain: all rows are of one day.
    """
    days, counts = np.unique(day, return_counts=True)
    if len(days) < 2:
        raise CannotTrain(
            "all rows are of one day, and validation needs a later day than the fit",
            "Wait for another day of labels, or widen training.window.",
        )
    newest = np.cumsum(counts[::-1])[::-1]
    enough = int(np.flatnonzero(newest >= share * len(day))[-1])
    return np.datetime64(days[max(enough, 1)])


def _split(event_time: Any, rows: int, settings: TrainingSettings) -> _Split:
    """The newest whole UTC days with at least the wanted share of rows; at least one day stays to fit on."""
    day = days_of(event_time, rows)
    first = newest_days(day, settings.validation_share)
    late = day >= first
    fit_rows, validation_rows = np.flatnonzero(~late), np.flatnonzero(late)
    if settings.trial_rows is not None and rows > settings.trial_rows:
        rng = np.random.default_rng(settings.seed)
        share = settings.trial_rows / rows
        fit_rows, validation_rows = (
            np.sort(rng.choice(side, size=max(1, round(len(side) * share)), replace=False))
            for side in (fit_rows, validation_rows)
        )
    return _Split(fit_rows, validation_rows, pd.Timestamp(first, tz="UTC"))


def _check_classes(split: _Split, labels: np.ndarray, task: Task) -> None:
    """Refuse a side with one class only.

    Raises:
        CannotTrain: saying which.
    """
    for name, rows in (("fitted on", split.fit), ("validated on", split.validation)):
        if task != "regression" and len(np.unique(labels[rows])) < 2:
            raise CannotTrain(
                f"the rows to be {name} (split at {split.first_day:%Y-%m-%d}) have one class only",
                "Widen training.window or change training.validation_share until both sides have two.",
            )
