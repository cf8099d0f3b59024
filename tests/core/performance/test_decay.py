"""The pooled slope against a regression with a dummy for each version (numpy's least squares)."""

from __future__ import annotations

import numpy as np
import pytest

from mlops_assets.core.performance.decay import Age, decay_per_week
from mlops_assets.core.stats.intervals import CannotJudge


def test_slope_and_error_are_those_of_a_regression_with_dummies() -> None:
    rng = np.random.default_rng(3)
    versions = np.repeat([1, 2, 5], [4, 6, 3])
    weeks = rng.uniform(0, 20, len(versions))
    values = 0.7 + 0.02 * versions - 0.003 * weeks + rng.normal(0, 0.005, len(versions))
    found = decay_per_week(
        [Age(int(v), float(w), float(y)) for v, w, y in zip(versions, weeks, values, strict=True)],
        greater_is_better=True,
    )
    design = np.column_stack([weeks, *(versions == v for v in (1, 2, 5))]).astype(float)
    beta, rss, *_ = np.linalg.lstsq(design, values, rcond=None)
    variance = rss[0] / (len(versions) - 4) * np.linalg.inv(design.T @ design)[0, 0]
    assert found.per_week == pytest.approx(-beta[0])
    assert found.se == pytest.approx(np.sqrt(variance))
    assert (found.points, found.versions) == (13, 3)


def test_a_better_successor_is_no_recovery() -> None:
    ages = [Age(1, 1, 0.80), Age(1, 2, 0.79), Age(2, 1, 0.85), Age(2, 2, 0.84)]
    assert decay_per_week(ages, greater_is_better=True).per_week == pytest.approx(0.01)
    assert decay_per_week(ages, greater_is_better=False).per_week == pytest.approx(-0.01)


def test_two_points_have_no_error_and_one_has_no_slope() -> None:
    assert decay_per_week([Age(1, 1, 0.8), Age(1, 3, 0.7)], greater_is_better=True).se is None
    for ages in ([], [Age(1, 1, 0.8)], [Age(1, 1, 0.8), Age(2, 5, 0.7)]):
        with pytest.raises(CannotJudge, match="no champion has been judged at two ages"):
            decay_per_week(ages, greater_is_better=True)
