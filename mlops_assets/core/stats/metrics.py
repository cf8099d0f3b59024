"""The metrics a model is judged by: value and per-row influence from one formula, by name.

Here: what each metric is, for which task, which way is better, the checks of its rows, and profit by a cost
table. Not here: the arithmetic (`metric_formulas`), the table (`cost_table`), intervals (`intervals`), windows and
slices (`performance.window_metrics`), the comparison of two models (`gate`), chances in place of labels (`estimation`).

An influence value is n times the derivative of the metric with respect to a row's weight. For a mean it is
the row's own loss less the mean; for ROC AUC it is the placement value of DeLong, DeLong and Clarke-Pearson
(1988); for a ratio it is the delta method. The values of a sample sum to zero, and metric - truth is about
their mean, so the difference of two models on the same rows has the difference of their influence values,
which can be summed by day.

Labels `y` have shape (n,): 0 or 1 (binary), numbers (regression), class codes 0, 1, 2, ... (multiclass). Scores
`s` have shape (n,): the probability of class 1 (binary) or the prediction (regression); or (n, k): class
probabilities, where a code from k on is a class that the model cannot say: it gave it no chance. Interval coverage
takes (n, 2): the lower and the upper bound of each prediction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from mlops_assets.core.stats import metric_formulas
from mlops_assets.core.stats.classes import alike, codes_of, widened
from mlops_assets.core.stats.cost_table import cost_table
from mlops_assets.core.stats.intervals import Array, CannotJudge
from mlops_assets.core.stats.metric_formulas import (
    CALIBRATION_BINS,
    THRESHOLD,
    BinaryFormula,
    MulticlassFormula,
    RegressionFormula,
    one_vs_rest,
)

__all__ = [
    "CALIBRATION_BINS",
    "METRICS",
    "PROFIT",
    "THRESHOLD",
    "CannotJudge",
    "Metric",
    "ProfitName",
    "Task",
    "metric",
    "metrics_for",
    "profit",
]

Task = Literal["binary", "regression", "multiclass"]

PROFIT = "profit"


@dataclass(frozen=True)
class Metric:
    """One metric: its name, direction, and a formula per task.

    `perfect` is the value of a faultless model: 1 where greater is better, else 0; that of profit depends on the
    labels (`faultless`), and its bounds on its table (`extent`). `of_bounds`: the scores are a lower and an upper
    bound per row, shape (n, 2). `worst` is the worst value that there is, by default 0 where greater is better,
    else 1; `usual` is one that people set as a limit.
    """

    name: str
    meaning: str
    greater_is_better: bool
    binary: BinaryFormula | None = None
    regression: RegressionFormula | None = None
    multiclass: MulticlassFormula | None = None
    of_bounds: bool = False
    faultless: Callable[[Array], float] | None = None
    extent: tuple[float, float] = (-math.inf, math.inf)
    worst: float | None = None
    worst_of_classes: float | None = None
    usual: float = 0.8

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks the metric is defined for."""
        return tuple(task for task in get_args(Task) if getattr(self, task) is not None)

    def bounds(self, task: Task) -> tuple[float, float]:
        """The least and the largest value that there is, infinite where nothing bounds it."""
        if self.faultless is not None:
            return self.extent
        worst = self.worst_of_classes if task == "multiclass" else self.worst
        usual = 0.0 if self.greater_is_better else 1.0
        least, most = sorted((self.perfect, usual if worst is None else worst))
        return least, most

    @property
    def perfect(self) -> float:
        """The value of a faultless model; 0 where it depends on the labels and nobody gives any."""
        return 1.0 if self.greater_is_better and self.faultless is None else 0.0

    def evaluate(self, y: Any, s: Any) -> tuple[float, Array]:
        """The value and the influence values (shape (n,), mean zero) on labels `y` and scores `s`.

        Raises:
            CannotJudge: the metric is undefined on these rows (none, one class only, unknown labels, …).
        """
        labels, scores = _clean(self.name, y, s)
        if self.regression is not None:
            if (scores.ndim == 2) is not self.of_bounds or (self.of_bounds and scores.shape[1] != 2):
                raise self._undefined(scores)
            return self.regression(labels, scores)
        if scores.ndim == 2:
            codes = codes_of(labels, scores.shape[1])
            # Whoever does not know a class gave it no chance: models of other numbers of classes share their rows.
            scores = widened(scores, int(codes.max()) + 1)
            value, branches = self._of_classes((codes[:, None] == np.arange(scores.shape[1])).astype(float), scores)
            return value, branches[np.arange(labels.size), codes]
        if not np.all((labels == 0.0) | (labels == 1.0)):
            raise CannotJudge("some labels are neither 0 nor 1", "Map the label to 0 and 1 in the label model")
        value, if_0, if_1 = self._of_two(labels, scores)
        return value, np.where(labels == 1.0, if_1, if_0)

    def expected(self, chances: Any, s: Any) -> tuple[float, Array]:
        """The value that labels with these chances give on average, and each row's influence by its label.

        Args:
            chances: shape (n, k), the chance of each label; k is 2 for binary scores of shape (n,).
            s: scores of the model, shape (n,) or (n, k).

        Returns:
            The value, and the influence (n, k), k of the wider one, a row has if its label is c; weighted by the
            chances it sums to zero.

        Raises:
            CannotJudge: as `evaluate`; also a metric of a regression.
        """
        weights = np.asarray(chances, dtype=np.float64)
        _, scores = _clean(self.name, weights[:, 0], s)
        if scores.ndim == 2:
            return self._of_classes(*alike(weights, scores))
        value, if_0, if_1 = self._of_two(weights[:, 1], scores)
        return value, np.column_stack([if_0, if_1])

    def score(self, y: Any, s: Any) -> float:
        """The value alone; see `evaluate`."""
        return self.evaluate(y, s)[0]

    def influence(self, y: Any, s: Any) -> Array:
        """The influence values alone, shape (n,), mean zero; see `evaluate`."""
        return self.evaluate(y, s)[1]

    def gain(self, before: float, after: float) -> float:
        """How much better `after` is than `before`; positive is better whatever the metric."""
        return after - before if self.greater_is_better else before - after

    def loss(self, value: float, y: Any = None) -> float:
        """The distance from a faultless model, so that smaller is better: 1 - AUC, RMSE, 1 - R2.

        Args:
            value: of the model.
            y: labels that it was measured on, shape (n,): what profit is lost depends on them.
        """
        if self.faultless is not None and y is not None:
            return self.faultless(np.asarray(y, dtype=np.float64)) - value
        return self.perfect - value if self.greater_is_better else value

    def _of_two(self, p: Array, s: Array) -> tuple[float, Array, Array]:
        if self.binary is None:
            raise self._undefined(s)
        return self.binary(p, s)

    def _of_classes(self, chances: Array, s: Array) -> tuple[float, Array]:
        if self.multiclass is None:
            raise self._undefined(s)
        return self.multiclass(chances, s)

    def _undefined(self, scores: Array) -> CannotJudge:
        shape = "class probabilities of shape (n, k)" if scores.ndim == 2 else "one score per row"
        if self.of_bounds:
            return CannotJudge(
                f"{self.name} needs a lower and an upper bound per row and was given {shape}",
                "Set monitoring.interval, or judge by mae",
            )
        return CannotJudge(
            f"{self.name} is not defined for {shape}", f"Choose a metric for the task; it has {self.tasks}"
        )


class ProfitName(str):
    """The name `profit`, with the cost table of the model whose metric it is: what profit is depends on that.

    Attributes:
        task: of the model.
        costs: its cost table.
    """

    task: Task
    costs: Mapping[str, float]

    def __new__(cls, task: Task, costs: Mapping[str, float]) -> ProfitName:
        """The name."""
        name = super().__new__(cls, PROFIT)
        name.task, name.costs = task, dict(costs)
        return name

    def __reduce__(self) -> tuple[Any, ...]:
        return ProfitName, (self.task, self.costs)


def metric(name: str | Metric) -> Metric:
    """The metric called `name`; a metric itself is handed back.

    `profit` without a table has a direction and no value.

    Raises:
        ValueError: there is none; the message lists all.
    """
    if isinstance(name, Metric):
        return name
    if isinstance(name, ProfitName):
        return profit(name.task, name.costs)
    if name == PROFIT:
        return Metric(PROFIT, "mean profit per row by the cost table", True, faultless=lambda _: 0.0)
    if name not in METRICS:
        msg = f"there is no metric {name!r}: set one of {', '.join(sorted(METRICS))}"
        raise ValueError(msg)
    return METRICS[name]


def metrics_for(task: Task) -> tuple[str, ...]:
    """The names of all metrics defined for `task`, in the order of the registry."""
    if task not in get_args(Task):
        msg = f"there is no task {task!r}: set one of {', '.join(get_args(Task))}"
        raise ValueError(msg)
    return tuple(name for name, m in METRICS.items() if task in m.tasks)


def profit(task: Task, costs: Mapping[str, float]) -> Metric:
    """Profit per row by a cost table, as a metric.

    Args:
        task: of the model.
        costs: binary: what a row brings when its call at the threshold is a true_positive, false_positive,
            false_negative or true_negative (a cost is negative), and optionally the `threshold` of a call, 0.5
            if not given. Multiclass: what a row brings when its most likely class is right or wrong, and optionally
            single calls: `0 as 2` is a row of class 0 that is called as 2. Regression: what one unit of
            under_prediction and of over_prediction costs (both zero or more).

    Raises:
        ValueError: an entry is missing, unknown, not finite, or a regression's is negative.
    """
    table = cost_table(task, costs)
    return Metric(
        PROFIT,
        "mean profit per row by the cost table",
        True,
        binary=table.binary,
        regression=table.regression,
        multiclass=table.multiclass,
        faultless=table.faultless,
        extent=table.bounds,
        # Some value between them, where both are known: what is usual depends on the table.
        usual=sum(table.bounds) / 2 if math.isfinite(sum(table.bounds)) else -1.0,
    )


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


def _of_classes(
    name: str,
    meaning: str,
    formula: BinaryFormula,
    *,
    better: bool = True,
    calls: bool | MulticlassFormula,
    worst: tuple[float | None, float | None] = (None, None),
) -> Metric:
    """A metric of binary scores and of several classes: by its own formula, or one against the rest."""
    multiclass = one_vs_rest(formula, of_calls=calls) if isinstance(calls, bool) else calls
    usual = 0.8 if better else 0.1
    of_two, of_classes = worst
    return Metric(
        name, meaning, better, formula, multiclass=multiclass, worst=of_two, worst_of_classes=of_classes, usual=usual
    )


def _registry() -> dict[str, Metric]:
    f = metric_formulas
    metrics = [
        _of_classes("roc_auc", "chance that a positive scores above a negative", f.roc_auc, calls=False),
        _of_classes("pr_auc", "average precision", f.pr_auc, calls=False),
        _of_classes(
            "log_loss",
            "mean negative log likelihood",
            f.log_loss,
            better=False,
            calls=f.multi_log_loss,
            worst=(math.inf, math.inf),
        ),
        _of_classes(
            "brier",
            "mean squared error of the probability",
            f.brier,
            better=False,
            calls=f.multi_brier,
            worst=(1.0, 2.0),
        ),
        _of_classes("accuracy", "share of right calls", f.accuracy, calls=f.multi_accuracy),
        _of_classes(
            "precision",
            "share of calls that are right",
            f.precision,
            calls=one_vs_rest(f.precision_of_class, of_calls=True),
        ),
        _of_classes("recall", "share of positives that are called", f.recall, calls=True),
        _of_classes("f1", "harmonic mean of precision and recall", f.f1, calls=True),
        _of_classes(
            "false_positive_rate", "share of negatives that are called", f.false_positive_rate, better=False, calls=True
        ),
        _of_classes(
            "calibration_error",
            "mean gap between probability and outcome",
            f.calibration_error,
            better=False,
            calls=f.multi_calibration_error,
        ),
        Metric("rmse", "root mean squared error, in the label's unit", False, None, f.rmse, worst=math.inf, usual=20.0),
        Metric("mae", "mean absolute error, in the label's unit", False, None, f.mae, worst=math.inf, usual=20.0),
        Metric("r2", "share of the label's variance explained", True, None, f.r2, worst=-math.inf, usual=0.5),
        Metric(
            "interval_coverage",
            "share of labels inside the predicted bounds",
            True,
            regression=f.interval_coverage,
            of_bounds=True,
        ),
    ]
    return {m.name: m for m in metrics}


METRICS: Mapping[str, Metric] = _registry()
"""All metrics by name."""
