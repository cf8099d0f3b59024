"""What calls bring in money: the cost table of a model, read for its task.

Here: which entries a table has, their checks, profit per row, what a faultless model would bring. Not here: profit as a
metric (`metrics`), what a training must bring (`price`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mlops_assets.core.stats import metric_formulas
from mlops_assets.core.stats.intervals import Array
from mlops_assets.core.stats.metric_formulas import THRESHOLD, BinaryFormula, MulticlassFormula, RegressionFormula

COSTS: Mapping[str, tuple[str, ...]] = {
    "binary": ("true_positive", "false_positive", "false_negative", "true_negative"),
    "regression": ("under_prediction", "over_prediction"),
    "multiclass": ("right", "wrong"),
}
"""The entries that a table must have, by task."""
CALL_FROM = "threshold"
"""The entry of a binary table that says from which score on a row is called."""
_CALLED_AS = re.compile(r"(\d+) as (\d+)")
"""An entry of a table of several classes: a row of the first class that is called as the second."""


@dataclass(frozen=True)
class CostTable:
    """Profit per row by a cost table: the formula of its task, and what a faultless model would bring on labels.

    `bounds`: the least and the most that a row can bring, and so their mean.
    """

    faultless: Callable[[Array], float]
    bounds: tuple[float, float]
    binary: BinaryFormula | None = None
    regression: RegressionFormula | None = None
    multiclass: MulticlassFormula | None = None


def cost_table(task: str, costs: Mapping[str, float]) -> CostTable:
    """Read a table.

    Args:
        task: binary, regression or multiclass.
        costs: see `metrics.profit`.

    Raises:
        ValueError: an entry is missing, unknown, not finite, or a regression's is negative.
    """
    wanted = COSTS[task]
    further = {name for name in costs if name not in wanted}
    if task == "multiclass":
        further = {name for name in further if not _CALLED_AS.fullmatch(name)}
    elif task == "binary":
        further -= {CALL_FROM}
    if further or not set(wanted) <= set(costs) or not np.all(np.isfinite(list(costs.values()))):
        msg = f"monitoring.costs of a {task} model needs a finite number for each of {', '.join(wanted)}: set all"
        if task == "multiclass":
            msg += ", and besides only calls such as `0 as 2` (a row of class 0 that is called as 2)"
        raise ValueError(msg)
    return {"binary": _binary, "regression": _regression, "multiclass": _multiclass}[task](costs)


def _binary(costs: Mapping[str, float]) -> CostTable:
    if not 0.0 < (threshold := costs.get(CALL_FROM, THRESHOLD)) < 1.0:
        msg = f"monitoring.costs has the threshold {threshold}: set a score between 0 and 1"
        raise ValueError(msg)
    best_of_1 = max(costs["true_positive"], costs["false_negative"])
    best_of_0 = max(costs["true_negative"], costs["false_positive"])
    entries = [costs[name] for name in COSTS["binary"]]
    return CostTable(
        lambda y: float(best_of_0 + (best_of_1 - best_of_0) * y.mean()),
        (min(entries), max(entries)),
        binary=metric_formulas.profit(**costs),
    )


def _regression(costs: Mapping[str, float]) -> CostTable:
    if min(costs.values()) < 0.0:
        msg = "a cost per unit of under_prediction or over_prediction is negative: set it to zero or more"
        raise ValueError(msg)
    return CostTable(lambda _: 0.0, (-math.inf, 0.0), regression=metric_formulas.regression_profit(**costs))


def _multiclass(costs: Mapping[str, float]) -> CostTable:
    calls = {
        (int(match[1]), int(match[2])): value for name, value in costs.items() if (match := _CALLED_AS.fullmatch(name))
    }
    named = 1 + max((max(pair) for pair in calls), default=0)

    def brings(classes: int) -> Array:
        """What a row of a class (down) brings that is called as another (across)."""
        table = np.full((classes, classes), float(costs["wrong"]))
        np.fill_diagonal(table, costs["right"])
        for (label, call), value in calls.items():
            table[label, call] = value
        return table

    def faultless(y: Array) -> float:
        return float(brings(max(named, int(y.max()) + 1, 2)).max(axis=1)[y.astype(np.int64)].mean())

    bounds = (float(min(costs.values())), float(max(costs.values())))
    return CostTable(faultless, bounds, multiclass=metric_formulas.multi_profit(brings, named))
