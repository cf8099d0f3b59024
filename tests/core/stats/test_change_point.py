"""Since when a champion has been worse: the test's level and its power, by simulation, and its statistic by formula.

What lives here: one series of daily means. What doesn't: where the means come from (`test_probe`).
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mlops_assets.core.stats.change_point import MARGIN, MIN_DAYS, rise

RUNS = 600


def days(rng: np.random.Generator, count: int, memory: float) -> np.ndarray:
    """Means of days with variance 1, of which so much is left a day later."""
    values = rng.normal(size=count)
    for day in range(1, count):
        values[day] = memory * values[day - 1] + np.sqrt(1.0 - memory**2) * values[day]
    return values


def found_in_vain(count: int, memory: float, level: float) -> int:
    rng = np.random.default_rng([13, count, int(10 * memory)])
    return sum(rise(days(rng, count, memory), [20.0] * count, level=level) is not None for _ in range(RUNS))


@pytest.mark.parametrize("count", [MIN_DAYS, 28, 56, 112])
@pytest.mark.parametrize("level", [0.01, 0.05])
def test_where_nothing_changes_a_rise_is_found_no_more_often_than_agreed(count: int, level: float) -> None:
    assert found_in_vain(count, 0.0, level) <= stats.binom.ppf(0.999, RUNS, level)


@pytest.mark.parametrize(("count", "times"), [(28, 4.0), (56, 2.0), (112, 1.0)])
def test_of_days_that_remember_the_day_before_it_is_found_more_often_while_they_are_few(
    count: int, times: float
) -> None:
    """What is left after the change seems to remember less than the days do, the more so the fewer they are."""
    assert found_in_vain(count, 0.5, 0.01) <= stats.binom.ppf(0.999, RUNS, 0.01 * times)


def test_unequal_days_keep_the_level() -> None:
    rng, found = np.random.default_rng(14), 0
    for _ in range(RUNS):
        rows = rng.integers(2, 60, 56).astype(float)
        means = rng.normal(size=56) / np.sqrt(rows) + 0.3 * rng.normal(size=56)
        found += rise(means, rows, level=0.05) is not None
    assert found <= stats.binom.ppf(0.999, RUNS, 0.05)


@pytest.mark.parametrize("memory", [0.0, 0.5])
@pytest.mark.parametrize("day", [10, 28, 50])
def test_a_clear_rise_is_found_within_two_days(memory: float, day: int) -> None:
    rng = np.random.default_rng([15, day, int(10 * memory)])
    found = [rise(days(rng, 56, memory) + 5.0 * (np.arange(56) >= day), [20.0] * 56, level=0.01) for _ in range(200)]
    near = [one is not None and abs(one - day) <= 2 for one in found]
    assert np.mean(near) >= 0.95


def test_a_fall_is_no_rise() -> None:
    rng = np.random.default_rng(16)
    falls = [rise(rng.normal(size=56) - 5.0 * (np.arange(56) >= 28), [20.0] * 56, level=0.01) for _ in range(50)]
    assert set(falls) == {None}


def test_a_rise_is_sure_from_students_t_on() -> None:
    """Two levels with days that alternate about them: the two-sample t statistic by hand, with its Bonferroni level."""
    n, half, noise = 24, 12, 0.1
    about = noise * (-1.0) ** np.arange(n)
    # Alternating days have no memory to widen by; the pooled variance has n - 2 degrees of freedom.
    error = noise * np.sqrt(n / (n - 2)) * np.sqrt(2.0 / half)
    cuts = n - 2 * MARGIN + 1
    needed = stats.t.ppf(1.0 - 0.01 / cuts, n - 2) * error
    for factor, day in ((0.99, None), (1.01, half)):
        means = about + factor * needed * (np.arange(n) >= half)
        assert rise(means, [10.0] * n, level=0.01) == day
    # All days weighing the same, it makes no difference how many rows that is.
    assert rise(about + 1.01 * needed * (np.arange(n) >= half), [1e4] * n, level=0.01) == half


def test_a_day_weighs_as_its_rows() -> None:
    means, rows = np.repeat([1.0, 2.0], 14), np.full(28, 20.0)
    assert rise(means, rows, level=0.01) == 14
    # A day of one row says nothing of when it began.
    means[13], rows[13] = 9.0, 0.01
    assert rise(means, rows, level=0.01) in (13, 14)


def test_without_noise_any_rise_is_sure_and_none_is_none() -> None:
    assert rise(np.repeat([1.0, 1.5], 10), [1.0] * 20, level=0.01) == 10
    assert rise([1.0] * 20, [1.0] * 20, level=0.01) is None


def test_the_first_and_the_last_days_are_too_few_to_tell() -> None:
    few = np.repeat([0.0, 5.0], [6, MIN_DAYS - 7])
    assert rise(few, [1.0] * len(few), level=0.01) is None
    late = np.repeat([0.0, 5.0], [26, MARGIN - 1])
    found = rise(late, [1.0] * 28, level=0.01)
    assert found is None or found == 28 - MARGIN
