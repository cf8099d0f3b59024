"""Bounds beside a prediction that hold a stated share of the labels, from what it was off by before.

Here: split conformal prediction (Lei, G'Sell, Rinaldo, Tibshirani and Wasserman 2018), each tail by itself. Not here:
whose errors (`steps.predict.references`), how many labels the bounds then held
(`stats.metric_formulas.interval_coverage`).
"""

from __future__ import annotations

import math

import numpy as np

from mlops_assets.core.stats.intervals import Array, CannotJudge


def residual_bounds(labels: Array, scores: Array, share: float) -> tuple[float, float]:
    """What to add to a prediction for its lower and its upper bound.

    Of rows that are like these, at least `share` lie inside, ends included, whatever the model and the distribution.

    Args:
        labels: shape (n,), finite.
        scores: of a model that was not fitted on these rows, shape (n,).
        share: of the labels that the bounds are to hold.

    Raises:
        CannotJudge: fewer rows than such bounds need: 2 / (1 - share) - 1.
    """
    errors, tail = np.sort(labels - scores), (1.0 - share) / 2.0
    # Rounded, since 20 * 0.05 is a hair over 1 in floating point.
    below, above = (round((errors.size + 1) * part, 9) for part in (tail, 1.0 - tail))
    low, high = math.floor(below), math.ceil(above)
    if low < 1 or high > errors.size:
        raise CannotJudge(
            f"{errors.size:,} labelled rows are too few for bounds that hold {share:.0%} of the labels",
            "Use a longer gate.window, or a smaller monitoring.interval",
        )
    return float(errors[low - 1]), float(errors[high - 1])
