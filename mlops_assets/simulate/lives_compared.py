"""How the lives of a replay compare beyond their means: how surely one is ahead, and which says one thing of all rows.

Here: what the page and the terminal say beside `replay.json`. Not here: making and scoring the lives (`lives`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_assets.core.stats.comparison import mean_gain
from mlops_assets.core.stats.intervals import CannotJudge


@dataclass(frozen=True)
class ScoredPeriod:
    """What each life said of the labelled rows of a period.

    Attributes:
        label: of the period.
        line: what `replay.json` says of it.
        y: labels, shape (n,).
        days: the local day of each row, shape (n,).
        said: life -> scores, shape (n,) or (n, k).
    """

    label: str
    line: Mapping[str, Any]
    y: NDArray[Any] = field(default_factory=lambda: np.empty(0))
    days: NDArray[Any] = field(default_factory=lambda: np.empty(0, "datetime64[D]"))
    said: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def gains_on_platform(periods: Sequence[ScoredPeriod], metric: str) -> dict[str, tuple[float, float]]:
    """Life -> how much better than the platform's it is on average over the periods: a 95 % interval by days.

    A life is not among them where nobody can say.
    """
    judged = [period for period in periods if period.said and not period.line["not_judged"]]
    gains: dict[str, tuple[float, float]] = {}
    for life in judged[0].said if judged else ():
        if life == "auto":
            continue
        parts = [(period.y, period.said["auto"], period.said[life], period.days) for period in judged]
        try:
            interval = mean_gain(parts, metric)
        except CannotJudge:
            continue  # fewer than eight days, say
        gains[life] = (interval.lower, interval.upper)
    return gains


def constant_lives(periods: Sequence[ScoredPeriod]) -> dict[str, list[str]]:
    """Life -> the periods of which it said the same of all labelled rows, as a model without a split does."""
    constant: dict[str, list[str]] = {}
    for period in periods:
        for life, scores in period.said.items():
            if len(scores) > 1 and not np.ptp(scores, axis=0).any():
                constant.setdefault(life, []).append(period.label)
    return constant
