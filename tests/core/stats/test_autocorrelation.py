"""How long days remember: the memory of ordered sums, the factor that follows, and the levels that it keeps.

What lives here: the formula beside statsmodels, the table's use, and A/A runs of the interval on series with memory.
What doesn't: the gate on whole worlds (`test_gate`), the probe's windows (`test_probe`).
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.sandwich_covariance import S_hac_simple

from mlops_assets.core.promote.gate import verdict
from mlops_assets.core.promote.gate_policy import GatePolicy
from mlops_assets.core.stats.autocorrelation import (
    DECAY,
    LAGS,
    LEVELS,
    LIMITS,
    MOST,
    MOST_OF_FEW,
    limit,
    measured,
    memory,
    remembered,
    widening,
)
from mlops_assets.core.stats.comparison import Paired, paired
from mlops_assets.core.stats.intervals import block_interval, row_noise, sums_interval

RNG = np.random.default_rng(5)


def series(rho: float, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """AR(1) series with a variance of 1, one a row."""
    x = rng.standard_normal(shape)
    for day in range(1, shape[1]):
        x[:, day] = rho * x[:, day - 1] + (1.0 - rho**2) ** 0.5 * x[:, day]
    return x


# --- the memory --------------------------------------------------------------------------------------------


def test_the_memory_worked_by_hand() -> None:
    # Lag 1: 1 - 1 + 1 = 1, lag 2: -1 - 1 = -2, lag 3: -1; 1 + 2 (1/2 - 2/4 - 1/8) / 4.
    assert memory(np.array([1.0, 1.0, -1.0, -1.0]), np.arange(4.0)) == pytest.approx(0.9375)
    # With a day missing in the middle, pairs across it weigh half: 1 + 2 ((1/2 - 1/4 + 1/2) - 2/8 - 1/16) / 4.
    assert memory(np.array([1.0, 1.0, -1.0, -1.0]), np.array([0.0, 1.0, 3.0, 4.0])) == pytest.approx(1.21875)
    assert memory(np.zeros(9), np.arange(9.0)) == 1.0


def test_the_memory_is_the_long_run_variance_of_statsmodels_over_the_variance() -> None:
    sums = RNG.standard_normal(40)
    sums -= sums.mean()
    long_run = S_hac_simple(sums[:, None], nlags=LAGS, weights_func=lambda lags: DECAY ** np.arange(lags + 1)).item()
    assert memory(sums, np.arange(40.0)) == pytest.approx(long_run / float(sums @ sums))


def test_limits_are_those_of_the_table_and_between_its_rows_on_a_line() -> None:
    for days, (low, high) in LIMITS.items():
        for level, a, b in zip(LEVELS, low, high, strict=True):
            assert limit(days, level, None) == pytest.approx(a)
            assert limit(days, level, 0.1) == pytest.approx(a)
            assert limit(days, level, 0.9) == pytest.approx(b)
    assert limit(28, 0.025, None) < limit(30, 0.025, None) < limit(35, 0.025, None)
    assert limit(28, 0.005, None) < limit(28, 0.01, None) < limit(28, 0.025, None)
    # What lies beyond the table has its ends.
    assert limit(8, 0.3, None) == limit(7, 0.1, None)
    assert limit(900, 0.025, None) == limit(150, 0.025, None)


def test_what_alternates_widens_nothing_and_a_trend_as_much_as_may_be() -> None:
    at = np.arange(28.0)
    assert widening((-1.0) ** at, at, days=28, level=0.025) == 1.0
    assert widening(at - at.mean(), at, days=28, level=0.025) == pytest.approx(MOST + MOST_OF_FEW / 28)


# --- the interval ------------------------------------------------------------------------------------------


def test_only_days_in_order_are_widened() -> None:
    x = np.sort(RNG.standard_normal(28)).repeat(10) + RNG.standard_normal(280)
    days = np.repeat(np.arange(np.datetime64("2024-03-01"), np.datetime64("2024-03-29")), 10)
    plain, wide = (block_interval(x.mean(), x - x.mean(), days, ordered=ordered) for ordered in (False, True))
    assert plain.widened == 1.0
    assert wide.widened > 1.5
    assert wide.upper - wide.lower == pytest.approx(wide.widened * (plain.upper - plain.lower))
    assert (wide.df, wide.largest) == (plain.df, pytest.approx(1 / 28))
    # The same rows in any order, and customers, who have none.
    mixed = RNG.permutation(280)
    again = block_interval(x.mean(), (x - x.mean())[mixed], days[mixed], ordered=True)
    assert again.widened == pytest.approx(wide.widened)
    zero = np.zeros(280)
    assert paired(zero, zero + 1.0, zero + 1.0 - 0.1 * x, days, "rmse").widened > 1.0
    assert paired(zero, zero + 1.0, zero + 1.0 - 0.1 * x, days, "rmse", by="customer_id").widened == 1.0


def test_days_that_are_missing_bring_their_neighbours_no_nearer() -> None:
    x = np.sort(RNG.standard_normal(12)).repeat(10)
    days = np.repeat(np.datetime64("2024-03-01") + 7 * np.arange(12), 10)
    noise = 0.01 * RNG.standard_normal(120)
    assert block_interval(0.0, x - x.mean() + noise, days, ordered=True).widened < 1.2
    assert block_interval(0.0, x - x.mean() + noise, days.astype("int64"), ordered=True).widened > 2.0


def test_the_noise_of_rows_is_what_rows_of_one_day_differ_by() -> None:
    days = np.repeat(np.arange(400), 25)
    x = 5.0 * RNG.standard_normal(400)[days] + 2.0 * RNG.standard_normal(10_000)
    assert row_noise(x - x.mean(), days) == pytest.approx(4.0 * 10_000, rel=0.05)
    assert row_noise([1.0, -1.0], [0, 1]) is None


@pytest.mark.parametrize("days", [8, 14, 28, 60])
@pytest.mark.parametrize(("rho", "share"), [(0.3, 1.0), (0.7, 1.0), (0.7, 0.4)])
def test_an_interval_of_days_with_memory_misses_as_rarely_as_agreed(days: int, rho: float, share: float) -> None:
    """3.2 % on one side at the worst; the mean of two sides of 1,500 series has a standard error of 0.33 %."""
    rng, missed, narrow = np.random.default_rng(days), 0, 0
    x = share**0.5 * series(rho, (1_500, days), rng) + (1.0 - share) ** 0.5 * rng.standard_normal((1_500, days))
    at, sizes = np.arange(float(days)), np.full(days, 10.0)
    for one in x:
        sums = one - one.mean()
        found = sums_interval(one.mean() / 10, sums, sizes, at=at, noise=(1.0 - share) * days)
        missed += not found.lower <= 0.0 <= found.upper
        narrow += abs(found.upper + found.lower) > (found.upper - found.lower) / found.widened
    assert missed / 3_000 <= 0.032 + 3 * 0.0033
    assert narrow / 3_000 > 0.032


@pytest.mark.parametrize("level", [0.1, 0.01, 0.002])
def test_other_confidences_keep_their_levels_too(level: float) -> None:
    x = series(0.7, (2_000, 21), np.random.default_rng(8))
    at, sizes = np.arange(21.0), np.ones(21)
    spans = [sums_interval(one.mean(), one - one.mean(), sizes, confidence=1.0 - 2.0 * level, at=at) for one in x]
    missed = np.mean([not one.lower <= 0.0 <= one.upper for one in spans]) / 2.0
    assert missed <= 1.28 * level + 3.0 * (1.28 * level / 4_000) ** 0.5


def test_days_without_memory_are_hardly_widened_where_they_are_many() -> None:
    for days, most in ((28, 1.5), (60, 1.25), (150, 1.1)):
        sums = np.random.default_rng(days).standard_normal((500, days))
        sums -= sums.mean(axis=1, keepdims=True)
        at = np.arange(days, dtype=np.float64)
        factors = np.array([widening(one, at, days=days, level=0.025) for one in sums])
        assert 1.0 < factors.mean() < most
        assert np.mean(factors == 1.0) > 0.2


# --- a day that holds half of the rows ---------------------------------------------------------------------


def test_a_day_with_half_of_the_rows_is_named_where_it_makes_a_promotion_impossible() -> None:
    days = np.r_[np.zeros(1_000), np.repeat(np.arange(1, 21), 50)]
    errors = 1.0 + 0.01 * RNG.standard_normal((2, 2_000))
    result = paired(np.zeros(2_000), errors[0] + 0.001, errors[1], days, "rmse")
    assert (result.df, result.largest) == (1.0, 0.5)
    told = verdict(GatePolicy(), result).reason
    assert "one day holds 50% of the rows, which leaves 1.0 degrees of freedom: set a longer gate.window" in told


def test_the_gate_says_that_memory_widens_the_interval() -> None:
    result = Paired("roc_auc", 0.02, 0.01, 0.03, 0.005, 29.0, 3_000, 30, 0.70, 0.72, 0.95, widened=1.42, largest=0.03)
    told = verdict(GatePolicy(), result).reason
    assert "3,000 rows on 30 days, 1.4 times as wide because days resemble the day before); needed" in told


# ---------------------------------------- measured on more days than are judged


def _remembering(rng: np.random.Generator, days: int, rho: float) -> np.ndarray:
    values = rng.normal(size=days)
    for day in range(1, days):
        values[day] = rho * values[day - 1] + np.sqrt(1 - rho**2) * values[day]
    return values


@pytest.mark.parametrize(("rho", "most"), [(0.0, 0.035), (0.5, 0.035), (0.7, 0.045)])
def test_ten_days_hold_their_level_by_the_memory_of_two_windows(rho: float, most: float) -> None:
    rng, lucky, lives = np.random.default_rng(11), 0, 2_000
    for _ in range(lives):
        values = _remembering(rng, 56, rho)
        lag_one = measured([values[:28], values[28:]])
        assert lag_one is not None
        newest = values[-10:]
        error = remembered(10, lag_one) * newest.std(ddof=1) / np.sqrt(10)
        lucky += newest.mean() > stats.t.ppf(0.975, 9) * error
    assert lucky / lives <= most


def test_a_gain_that_grows_is_no_memory_and_few_days_say_nothing() -> None:
    rng = np.random.default_rng(12)
    noise = rng.normal(size=56)
    grown = noise + np.arange(56.0)
    assert measured([grown[:28], grown[28:]]) == pytest.approx(measured([noise[:28], noise[28:]]))
    assert measured([noise[:13]]) is None
    assert remembered(10, -0.5) == 1.0
    # By hand, for two days' correlation r: the mean's variance is (1 + r) / 2 of one day's, the spread's (1 - r).
    assert remembered(2, 0.5) == pytest.approx(np.sqrt(1.5 / ((1 - 1.5 / 2) / 0.5)))
