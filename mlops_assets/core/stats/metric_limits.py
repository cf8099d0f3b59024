"""Which limits a metric can have: values that it can lie on either side of, drops that it can suffer.

Here: the ranges by metric. Not here: the metrics (`metrics`), the fields that hold limits (policies), the range of any
other number (`limits.ranges`).
"""

from __future__ import annotations

import math

from mlops_assets.core.limits.ranges import LARGEST, Range
from mlops_assets.core.stats.metrics import PROFIT, Metric, Task

LIMIT = Range(-LARGEST, LARGEST, 0.8, note=" of roc_auc, or 20 of rmse")
"""Of any metric; as soon as it is known which, the limit is held against `limits_of` it."""
DROP = Range(0, 100, 0.05)
"""Of any metric, as a share of its value; likewise against `drops_of`. An error may grow many times over."""


def limits_of(metric: Metric, task: Task) -> Range:
    """Limits that a model can be better than, and another one worse.

    The ends are no limits: nothing is better than a faultless model, nor worse than the worst value.
    """
    least, most = metric.bounds(task)
    name = f"{metric.name} by monitoring.costs" if metric.name == PROFIT else metric.name
    note = f", as {name} lies between {least:g} and {most:g}" if math.isfinite(most - least) else ""
    if metric.name == PROFIT and not note and most < math.inf:
        note = f", as {name} is never above {most:g}"
    return Range(max(least, -LARGEST), min(most, LARGEST), metric.usual, above=True, below=True, note=note)


def drops_of(metric: Metric, task: Task) -> Range:
    """Relative worsenings that a metric can suffer: what is best high and never below zero keeps some of it."""
    if metric.greater_is_better and metric.bounds(task)[0] == 0.0:
        return Range(0, 1, 0.05, below=True, note=f": the share of {metric.name} that may be lost")
    return DROP


def differences_of(metric: Metric, task: Task) -> Range:
    """Differences that there can be between two values of a metric."""
    least, most = metric.bounds(task)
    largest = min(most - least, LARGEST)
    return Range(0, largest, min(0.1, largest / 2), below=True)
