"""The metrics a model is judged by: value and per-row influence from one formula, by name.

Here: what each metric is, for which task, which way is better, and how much each row pulls it. Not here:
intervals (`judging`), windows and slices (`performance`), the comparison of two models (`gate`).

An influence value is n times the derivative of the metric with respect to a row's weight. For a mean it is
the row's own loss less the mean; for ROC AUC it is the placement value of DeLong, DeLong and Clarke-Pearson
(1988); for a ratio it is the delta method. The values of a sample sum to zero, and metric - truth is about
their mean, so the difference of two models on the same rows has the difference of their influence values,
which can be summed by day.

Labels `y` have shape (n,): 0 or 1 (binary), numbers (regression), class codes 0..k-1 (multiclass). Scores `s`
have shape (n,): the probability of class 1 (binary) or the prediction (regression); or (n, k): class
probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from mlops_assets.core.judging import Array, CannotJudge

__all__ = ["METRICS", "CannotJudge", "Metric", "Task", "metric", "metrics_for"]

Task = Literal["binary", "regression", "multiclass"]
Estimator = Callable[[Array, Array], tuple[float, Array]]

THRESHOLD = 0.5
"""A score at or above it counts as class 1 in accuracy, precision, recall and F1."""
CALIBRATION_BINS = 10
"""Equal-width bins of the calibration error, as in Guo et al. (2017)."""


@dataclass(frozen=True)
class Metric:
    """One metric: its name, direction, and an estimator (value, influence) per task.

    `perfect` is the value of a faultless model: 1 where greater is better, else 0.
    """

    name: str
    meaning: str
    greater_is_better: bool
    estimators: Mapping[Task, Estimator]

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks the metric is defined for."""
        return tuple(self.estimators)

    @property
    def perfect(self) -> float:
        """The value of a faultless model."""
        return 1.0 if self.greater_is_better else 0.0

    def evaluate(self, y: Any, s: Any) -> tuple[float, Array]:
        """The value and the influence values (shape (n,), mean zero) on labels `y` and scores `s`.

        Raises:
            CannotJudge: the metric is undefined on these rows (none, one class only, unknown labels, …).
        """
        labels, scores = _clean(self.name, y, s)
        task = self._task(scores)
        value, influence = self.estimators[task](labels, scores)
        return float(value), influence

    def score(self, y: Any, s: Any) -> float:
        """The value alone; see `evaluate`."""
        return self.evaluate(y, s)[0]

    def influence(self, y: Any, s: Any) -> Array:
        """The influence values alone, shape (n,), mean zero; see `evaluate`."""
        return self.evaluate(y, s)[1]

    def gain(self, before: float, after: float) -> float:
        """How much better `after` is than `before`; positive is better whatever the metric."""
        return after - before if self.greater_is_better else before - after

    def loss(self, value: float) -> float:
        """The distance from a faultless model, so that smaller is better: 1 - AUC, RMSE, 1 - R2."""
        return self.perfect - value if self.greater_is_better else value

    def _task(self, scores: Array) -> Task:
        wanted = ("multiclass",) if scores.ndim == 2 else ("binary", "regression")
        for task in self.estimators:
            if task in wanted:
                return task
        shape = "class probabilities of shape (n, k)" if scores.ndim == 2 else "one score per row"
        raise CannotJudge(
            f"{self.name} is not defined for {shape}", f"Choose a metric for the task; it has {self.tasks}"
        )


def metric(name: str) -> Metric:
    """The metric called `name`.

    Raises:
        ValueError: there is none; the message lists all.
    """
    if name not in METRICS:
        msg = f"there is no metric {name!r}: set one of {', '.join(sorted(METRICS))}"
        raise ValueError(msg)
    return METRICS[name]


def metrics_for(task: Task) -> tuple[str, ...]:
    """The names of all metrics defined for `task`, in the order of the registry."""
    if task not in get_args(Task):
        msg = f"there is no task {task!r}: set one of {', '.join(get_args(Task))}"
        raise ValueError(msg)
    return tuple(name for name, m in METRICS.items() if task in m.estimators)


def _clean(name: str, y: Any, s: Any) -> tuple[Array, Array]:
    labels = np.asarray(y, dtype=np.float64)
    scores = np.asarray(s, dtype=np.float64)
    if labels.ndim != 1 or scores.ndim not in (1, 2) or labels.shape[0] != scores.shape[0]:
        msg = f"{name}: labels {labels.shape} and scores {scores.shape} do not match row by row: pass both"
        raise ValueError(msg)
    if labels.size == 0:
        raise CannotJudge(f"there are no rows to compute {name} on", "Wait for labelled rows, or widen the window")
    unknown = int(np.sum(~np.isfinite(labels)))
    if unknown:
        raise CannotJudge(
            f"{unknown:,} of {labels.size:,} labels are unknown", "Judge only rows whose label has arrived"
        )
    odd = int(np.sum(~np.isfinite(scores)))
    if odd:
        raise CannotJudge(
            f"{odd:,} of {scores.size:,} scores are missing or infinite",
            "Repair the predictions of the window",
        )
    return labels, scores


def _mean(rows: Array) -> tuple[float, Array]:
    value = float(rows.mean())
    return value, rows - value


def _binary(y: Array) -> Array:
    if not np.all((y == 0.0) | (y == 1.0)):
        raise CannotJudge("some labels are neither 0 nor 1", "Map the label to 0 and 1 in the label model")
    return y


def _probabilities(s: Array) -> Array:
    if s.min() < 0.0 or s.max() > 1.0:
        raise CannotJudge(
            f"scores run from {s.min():.4g} to {s.max():.4g} and are no probabilities",
            "Let the model return probabilities, or judge by roc_auc, which needs only an order",
        )
    return s


def _one_class(name: str, y: Array) -> CannotJudge:
    return CannotJudge(
        f"all {y.size:,} labels are {y[0]:g}, and {name} needs both classes",
        "Widen the window until both classes occur",
    )


def _roc_auc(y: Array, s: Array) -> tuple[float, Array]:
    positive = _binary(y) == 1.0
    n, n1 = y.size, int(positive.sum())
    n0 = n - n1
    if n1 == 0 or n0 == 0:
        raise _one_class("roc_auc", y)
    _, codes = np.unique(s, return_inverse=True)
    ones = np.bincount(codes, weights=positive)
    zeros = np.bincount(codes) - ones
    below = (np.cumsum(zeros) - 0.5 * zeros) / n0
    above = (n1 - np.cumsum(ones) + 0.5 * ones) / n1
    placement = np.where(positive, below[codes], above[codes])
    value = float(placement[positive].mean())
    return value, (placement - value) * np.where(positive, n / n1, n / n0)


def _pr_auc(y: Array, s: Array) -> tuple[float, Array]:
    """Average precision: the mean over positives of the precision at their score, and its delta method."""
    positive = _binary(y) == 1.0
    n, n1 = y.size, int(positive.sum())
    if n1 in (0, n):
        raise _one_class("pr_auc", y)
    _, codes = np.unique(-s, return_inverse=True)
    ones = np.bincount(codes, weights=positive)
    called = np.cumsum(np.bincount(codes)).astype(np.float64)
    precision = np.cumsum(ones) / called
    value = float(ones @ precision) / n1
    # A row moves the precision at every positive that scores no higher than itself.
    reach = np.cumsum((ones / called)[::-1])[::-1]
    paid = np.cumsum((ones * precision / called)[::-1])[::-1]
    own = np.where(positive, precision[codes] - value, 0.0)
    return value, (own + y * reach[codes] - paid[codes]) * (n / n1)


def _log_loss(y: Array, s: Array) -> tuple[float, Array]:
    tiny = np.finfo(np.float64).eps
    p = np.clip(_probabilities(s), tiny, 1.0 - tiny)
    return _mean(-np.where(_binary(y) == 1.0, np.log(p), np.log1p(-p)))


def _brier(y: Array, s: Array) -> tuple[float, Array]:
    return _mean((_binary(y) - _probabilities(s)) ** 2)


def _accuracy(y: Array, s: Array) -> tuple[float, Array]:
    return _mean(((s >= THRESHOLD) == (_binary(y) == 1.0)).astype(np.float64))


def _precision(y: Array, s: Array) -> tuple[float, Array]:
    called = (s >= THRESHOLD).astype(np.float64)
    if not called.any():
        raise CannotJudge(f"no score of {y.size:,} reaches {THRESHOLD}, so precision is 0/0", "Judge by roc_auc or f1")
    value = float((called * _binary(y)).sum() / called.sum())
    return value, called * (y - value) * (y.size / called.sum())


def _recall(y: Array, s: Array) -> tuple[float, Array]:
    called = (s >= THRESHOLD).astype(np.float64)
    if not _binary(y).any():
        raise _one_class("recall", y)
    value = float((called * y).sum() / y.sum())
    return value, y * (called - value) * (y.size / y.sum())


def _f1(y: Array, s: Array) -> tuple[float, Array]:
    called = (s >= THRESHOLD).astype(np.float64)
    if not _binary(y).any():
        raise _one_class("f1", y)
    total = called.sum() + y.sum()
    value = float(2.0 * (called * y).sum() / total)
    return value, (2.0 * called * y - value * (called + y)) * (y.size / total)


def _calibration_error(y: Array, s: Array) -> tuple[float, Array]:
    """Expected calibration error; biased upwards by about sqrt(bins / n): compare on the same rows."""
    bins = np.minimum((_probabilities(s) * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    gap = _binary(y) - s
    sign = np.sign(np.bincount(bins, weights=gap, minlength=CALIBRATION_BINS))
    return _mean(sign[bins] * gap)


def _rmse(y: Array, s: Array) -> tuple[float, Array]:
    squared = (y - s) ** 2
    value = float(np.sqrt(squared.mean()))
    return value, np.zeros_like(y) if value == 0.0 else (squared - value**2) / (2.0 * value)


def _mae(y: Array, s: Array) -> tuple[float, Array]:
    return _mean(np.abs(y - s))


def _r2(y: Array, s: Array) -> tuple[float, Array]:
    spread = (y - y.mean()) ** 2
    variance = float(spread.mean())
    if variance == 0.0:
        raise CannotJudge(
            f"all {y.size:,} labels are {y[0]:g}, and r2 is undefined on a constant", "Judge by rmse or mae"
        )
    squared = (y - s) ** 2
    ratio = float(squared.mean()) / variance
    return 1.0 - ratio, (ratio * spread - squared) / variance


def _classes(y: Array, s: Array) -> Array:
    codes = y.astype(np.int64)
    if np.any(codes != y) or codes.min() < 0 or codes.max() >= s.shape[1]:
        raise CannotJudge(
            f"labels are not class codes from 0 to {s.shape[1] - 1}",
            "Encode the label as the model's classes",
        )
    return np.unique(y)


def _one_vs_rest(binary: Estimator, *, of_calls: bool) -> Estimator:
    """Mean of a binary metric over the classes that have rows (`of_calls`: of the most likely class)."""

    def estimate(y: Array, s: Array) -> tuple[float, Array]:
        present = _classes(y, s)
        best = s.argmax(axis=1)
        parts = [
            binary((y == c).astype(np.float64), (best == c).astype(np.float64) if of_calls else s[:, int(c)])
            for c in present
        ]
        return float(np.mean([value for value, _ in parts])), np.mean([psi for _, psi in parts], axis=0)

    return estimate


def _multi_accuracy(y: Array, s: Array) -> tuple[float, Array]:
    _classes(y, s)
    return _mean((s.argmax(axis=1) == y).astype(np.float64))


def _multi_log_loss(y: Array, s: Array) -> tuple[float, Array]:
    _classes(y, s)
    chosen = _probabilities(s)[np.arange(y.size), y.astype(np.int64)]
    return _mean(-np.log(np.clip(chosen, np.finfo(np.float64).eps, 1.0)))


def _multi_brier(y: Array, s: Array) -> tuple[float, Array]:
    """Brier's own form, summed over the classes: 0 to 2."""
    _classes(y, s)
    hit = np.zeros_like(s)
    hit[np.arange(y.size), y.astype(np.int64)] = 1.0
    return _mean(((hit - _probabilities(s)) ** 2).sum(axis=1))


def _multi_calibration_error(y: Array, s: Array) -> tuple[float, Array]:
    """Top-label calibration: the highest probability against whether it was right."""
    _classes(y, s)
    return _calibration_error((s.argmax(axis=1) == y).astype(np.float64), s.max(axis=1))


def _registry() -> dict[str, Metric]:
    rows: list[tuple[str, str, bool, Mapping[Task, Estimator]]] = [
        (
            "roc_auc",
            "chance that a positive scores above a negative",
            True,
            {"binary": _roc_auc, "multiclass": _one_vs_rest(_roc_auc, of_calls=False)},
        ),
        (
            "pr_auc",
            "average precision",
            True,
            {"binary": _pr_auc, "multiclass": _one_vs_rest(_pr_auc, of_calls=False)},
        ),
        (
            "log_loss",
            "mean negative log likelihood",
            False,
            {"binary": _log_loss, "multiclass": _multi_log_loss},
        ),
        (
            "brier",
            "mean squared error of the probability",
            False,
            {"binary": _brier, "multiclass": _multi_brier},
        ),
        (
            "accuracy",
            "share of right calls",
            True,
            {"binary": _accuracy, "multiclass": _multi_accuracy},
        ),
        (
            "precision",
            "share of calls that are right",
            True,
            {"binary": _precision, "multiclass": _one_vs_rest(_precision, of_calls=True)},
        ),
        (
            "recall",
            "share of positives that are called",
            True,
            {"binary": _recall, "multiclass": _one_vs_rest(_recall, of_calls=True)},
        ),
        (
            "f1",
            "harmonic mean of precision and recall",
            True,
            {"binary": _f1, "multiclass": _one_vs_rest(_f1, of_calls=True)},
        ),
        (
            "calibration_error",
            "mean gap between probability and outcome",
            False,
            {"binary": _calibration_error, "multiclass": _multi_calibration_error},
        ),
        ("rmse", "root mean squared error, in the label's unit", False, {"regression": _rmse}),
        ("mae", "mean absolute error, in the label's unit", False, {"regression": _mae}),
        ("r2", "share of the label's variance explained", True, {"regression": _r2}),
    ]
    return {name: Metric(name, meaning, greater, by_task) for name, meaning, greater, by_task in rows}


METRICS: Mapping[str, Metric] = _registry()
"""All metrics by name."""
