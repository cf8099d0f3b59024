"""Bounds from earlier errors: ranks by hand, the share that is promised, and too few rows."""

from __future__ import annotations

import numpy as np
import pytest

from mlops_assets.core.performance.conformal import residual_bounds
from mlops_assets.core.stats.intervals import CannotJudge


def test_of_nineteen_errors_the_smallest_and_the_largest_hold_nine_in_ten() -> None:
    errors = np.arange(19.0) ** 2
    assert residual_bounds(errors + 5.0, np.full(19, 5.0), 0.9) == (0.0, 18.0**2)
    with pytest.raises(CannotJudge, match="18 labelled rows are too few for bounds that hold 90% of the labels"):
        residual_bounds(errors[:18], np.zeros(18), 0.9)


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
def test_the_promised_share_is_held_whatever_the_distribution(share: float) -> None:
    """On average over calibration sets of n rows it lies between the share and 2 / (n + 1) above."""
    rng, inside = np.random.default_rng(4), []
    for _ in range(400):
        errors = rng.lognormal(size=100) - 1.0
        lower, upper = residual_bounds(errors, np.zeros(100), share)
        new = rng.lognormal(size=500) - 1.0
        inside.append(np.mean((lower <= new) & (new <= upper)))
    error = 3 * np.std(inside) / np.sqrt(len(inside))
    assert share - error <= np.mean(inside) <= share + 2 / 101 + error
