"""How fast a model gets worse with age: the slope of its metric over the weeks since it was fitted.

Here: one pooled slope from the windows of all champions. Not here: reading the reports (`steps.keep.metric_values`),
whether a single window is bad (`window_metrics`).

Champions are compared with themselves only (each has its own level, as in a regression with fixed effects; Wooldridge
2010, Econometric Analysis of Cross Section and Panel Data, ch. 10.5), so a better successor is no recovery of the one
before it. The seasons of the data are in the slope: it says what happened, not why.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlops_assets.core.stats.intervals import CannotJudge


@dataclass(frozen=True)
class Age:
    """A champion's metric at an age.

    Attributes:
        version: which.
        weeks: since it was fitted.
        value: of the metric.
    """

    version: int
    weeks: float
    value: float


@dataclass(frozen=True)
class Decay:
    """What a champion loses a week.

    Attributes:
        per_week: in units of the metric; positive is worse.
        se: its standard error; None with as many points as unknowns.
        points: how many it rests on.
        versions: of how many champions.
    """

    per_week: float
    se: float | None
    points: int
    versions: int


def decay_per_week(ages: Sequence[Age], *, greater_is_better: bool) -> Decay:
    """The pooled slope within versions.

    Args:
        ages: of all versions, in any order.
        greater_is_better: of the metric.

    Raises:
        CannotJudge: no version has been seen at two ages.
    """
    versions = np.array([age.version for age in ages])
    x, y = (np.array(column, dtype=np.float64) for column in ([a.weeks for a in ages], [a.value for a in ages]))
    known = np.unique(versions)
    for version in known:
        own = versions == version
        x[own] -= x[own].mean()
        y[own] -= y[own].mean()
    spread = float(np.sum(x**2))
    if spread == 0.0:
        raise CannotJudge("no champion has been judged at two ages", "Wait for the next window with labels")
    slope = float(np.sum(x * y)) / spread
    free = len(ages) - len(known) - 1
    se = math.sqrt(float(np.sum((y - slope * x) ** 2)) / free / spread) if free > 0 else None
    return Decay(-slope if greater_is_better else slope, se, len(ages), len(known))
