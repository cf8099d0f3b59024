"""Levels of nested tests: against Pocock's table, and a second library's multivariate normal."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from mlops_assets.core.stats.nested_tests import level_of_all, level_of_each


@pytest.mark.parametrize(("sizes", "constant"), [((1, 2), 2.178), ((1, 2, 3), 2.289), ((1, 2, 3, 4, 5), 2.413)])
def test_equal_steps_have_pococks_constants(sizes: tuple[int, ...], constant: float) -> None:
    """Pocock (1977), one-sided 2.5 %; as in Jennison and Turnbull (1999), table 2.1."""
    assert NormalDist().inv_cdf(1.0 - level_of_each(0.025, sizes)) == pytest.approx(constant, abs=2e-3)


@pytest.mark.parametrize("level", [0.01, 0.05])
def test_all_together_keep_the_level(level: float) -> None:
    sizes = (1, 2, 4)
    one = level_of_each(level, sizes)
    correlation = [[np.sqrt(min(a, b) / max(a, b)) for a in sizes] for b in sizes]
    none_rings = multivariate_normal(np.zeros(3), correlation).cdf(np.full(3, NormalDist().inv_cdf(1.0 - one)))
    assert 1.0 - none_rings == pytest.approx(level, rel=5e-3)
    assert level / 3 < one < level


def test_one_test_has_the_level_itself() -> None:
    assert level_of_each(0.05, (1,)) == pytest.approx(0.05)


@pytest.mark.parametrize("level", [0.2, 0.04, 0.001])
@pytest.mark.parametrize("sizes", [(1,), (1, 2), (1, 2, 4)])
def test_the_level_of_all_leads_back_from_the_level_of_each(level: float, sizes: tuple[int, ...]) -> None:
    assert level_of_all(level_of_each(level, sizes), sizes) == pytest.approx(level, rel=5e-3)


def test_a_small_level_of_all_lies_just_below_the_sum() -> None:
    """Far out hardly any two ring together (Bonferroni's inequality); by a multivariate normal where it has digits."""
    assert 2.5e-9 < level_of_all(1e-9, (1, 2, 4)) < 3e-9
    correlation = [[1.0, np.sqrt(0.5)], [np.sqrt(0.5), 1.0]]
    bound = NormalDist().inv_cdf(1.0 - 1e-4)
    both = multivariate_normal(np.zeros(2), correlation).cdf(np.full(2, -bound))
    assert level_of_all(1e-4, (1, 2)) == pytest.approx(2e-4 - both, rel=1e-4)


def test_what_no_test_finds_has_the_level_one() -> None:
    assert level_of_all(0.5, (1, 2, 4)) == level_of_all(1.0, (1,)) == 1.0
