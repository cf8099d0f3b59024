"""The p-value of a gain: the level of a look at which its lower bound would just touch the price.

Here: turning the probe's tests over, each by itself and all of them together. Not here: the tests (`probe`), the bound
(`stats.intervals`), what the p-values of many models say (`fleet.false_discoveries`).

A test that keeps every level rejects at the level alpha where its bound at alpha lies above the price. The smallest
such alpha is a p-value (Lehmann and Romano 2005, Testing Statistical Hypotheses, 3.3), of the same statistic with the
same widening for the memory of days. Below the smallest level that this is calibrated at (0.0005) its limit stays the
one of that level.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta

from mlops_assets.core.decide.looks.pooled_gains import (
    JoinedSeries,
    champion_loss,
    gains_in_money,
    joined_series,
    tests_of,
)
from mlops_assets.core.decide.probe_result import Look, Series
from mlops_assets.core.decide.retrain_policy import RetrainPolicy
from mlops_assets.core.stats.autocorrelation import LEVELS
from mlops_assets.core.stats.intervals import t_cdf
from mlops_assets.core.stats.nested_tests import level_of_all

SMALLEST_P = 1e-12
"""No p-value is said to be smaller: nobody knows a tail so far out."""
_HALVINGS = 30


def p_value(
    name: str,
    looks: Sequence[Look],
    levels: Mapping[str, float],
    prices: RetrainPolicy,
    *,
    length: timedelta,
    costs: Mapping[str, float],
    lag_one: float | None,
    change_level: float,
) -> float:
    """The smallest level of a look at which the bound of a gain would still exceed its prices; 1 where none does.

    The tests of `probe`, each turned over, and their levels put together as it shares one out.
    What must exceed both prices has the larger of two p-values.

    Args:
        name: the candidate.
        looks: at the champion, oldest first.
        levels: shares of a look's level that are spent on the `newest` days and on all `windows` together.
        prices: what must be exceeded.
        length: of a monitoring window.
        costs: today's cost table.
        lag_one: how alike neighbouring days are.
        change_level: of the test for a day on which the champion's loss fell.
    """
    spans, tests = tests_of(name, looks, change_level)
    shares = [
        (span, [part.series[name] for part in parts], prices.min_gain * loss)
        for span, parts in tests
        if (loss := champion_loss(parts)) > 0.0
    ]
    p = _turned_over(shares, spans, levels, lag_one)
    if prices.price_money is None:
        return p
    days = prices.price_horizon / timedelta(days=1)
    money = [
        (span, series, prices.price_money / (rows * days))
        for span, series, rows in gains_in_money(name, looks, (0, *spans), length=length, costs=costs)
        if rows > 0.0
    ]
    return max(p, _turned_over(money, spans, levels, lag_one))


def _turned_over(
    tests: Sequence[tuple[int, list[Series], float]],
    spans: tuple[int, ...],
    levels: Mapping[str, float],
    lag_one: float | None,
) -> float:
    """The level of a look at which the first of some tests would touch its price."""
    least = {"newest": 1.0, "windows": 1.0}
    for span, series, price in tests:
        if (joined := joined_series(series)) is not None:
            kind = "windows" if span else "newest"
            least[kind] = min(least[kind], touching_level(joined, price, lag_one))
    together = {"newest": least["newest"], "windows": level_of_all(least["windows"], spans)}
    return min(1.0, *(level / levels[kind] for kind, level in together.items()))


def touching_level(series: JoinedSeries, price: float, lag_one: float | None) -> float:
    """The one-sided level at which the lower bound of a gain touches a price; 1 where the gain does not exceed it.

    Args:
        series: the gain.
        price: in the same unit.
        lag_one: how alike neighbouring days are; None where that is to be seen on the judged ones.
    """
    beyond = series.mean - price
    if beyond <= 0.0:
        return 1.0

    def by_error_of(level: float) -> float:
        """The level at which the bound would touch the price by the standard error that it has at another level."""
        interval = series.interval(level, lag_one)
        return t_cdf(-beyond / interval.se, interval.df) if interval.se > 0.0 else 0.0

    # The error grows as the level falls; above the largest calibrated level, and below the smallest, it stays.
    low, high = by_error_of(max(LEVELS)), by_error_of(min(LEVELS))
    if high <= SMALLEST_P:
        return SMALLEST_P
    if high <= min(LEVELS) or math.isclose(low, high, rel_tol=1e-9):
        return high
    low = max(low, SMALLEST_P)
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if by_error_of(middle) > middle else (low, middle)
    return high
