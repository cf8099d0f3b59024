"""What is one observation on few days: when hours take the place of days, and how often luck then promotes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from mlops_assets.core.promote.gate import verdict
from mlops_assets.core.promote.gate_policy import GatePolicy
from mlops_assets.core.stats.comparison import Paired, paired
from mlops_assets.core.stats.intervals import DAY, HOURS, sums_interval
from mlops_assets.core.stats.observations import fewest_days, finer_where_few
from mlops_assets.core.time.windows import local_days, local_stretches
from tests.equal_models import lucky

MIDNIGHT = np.datetime64("2024-03-04T00", "ns")


def observed(times: Any, by: str = DAY) -> tuple[Any, str]:
    return finer_where_few(local_days(times, "UTC"), by, lambda: local_stretches(times, "UTC"))


def hourly(days: int) -> Any:
    return MIDNIGHT + np.arange(24 * days) * np.timedelta64(1, "h")


@pytest.mark.parametrize(("days", "by", "blocks"), [(2, DAY, 2), (3, HOURS, 12), (7, HOURS, 28), (8, DAY, 8)])
def test_stretches_take_the_place_of_three_to_seven_days(days: int, by: str, blocks: int) -> None:
    found, named = observed(hourly(days))
    assert (named, len(np.unique(found))) == (by, blocks)


def test_days_stay_where_hours_say_no_more_and_columns_stay_columns() -> None:
    midnights = MIDNIGHT + np.arange(7) * np.timedelta64(1, "D")
    assert observed(midnights)[1] == DAY
    assert observed(hourly(5), by="customer_id")[1] == "customer_id"


def test_stretches_are_quarters_of_the_local_day() -> None:
    # Five hours behind UTC: six o'clock there is eleven here. On the day that clocks go forward one has five hours.
    times = np.array(["2024-03-04T10:59", "2024-03-04T11:00", "2024-03-10T05:00", "2024-03-10T10:00"], dtype="M8[ns]")
    found = local_stretches(times, "America/New_York")
    wanted = ["2024-03-04T00", "2024-03-04T06", "2024-03-10T00", "2024-03-10T06"]
    assert found.astype("M8[h]").astype(str).tolist() == wanted


def test_nights_between_stretches_part_them() -> None:
    """Neighbours across a night without rows are four stretches apart, not one."""
    x = np.repeat(np.sort(np.random.default_rng(3).standard_normal(14)), 10)
    errors = 1.0 + 0.01 * np.random.default_rng(4).standard_normal(140)
    days, half = np.divmod(np.arange(14), 2)
    labels = MIDNIGHT + (24 * days + 9 + 6 * half) * np.timedelta64(1, "h")
    apart, near = local_stretches(labels, "UTC"), local_stretches(hourly(4)[: 14 * 6 : 6], "UTC")
    widened = [
        paired(np.zeros(140), errors + 0.01 * x, errors, np.repeat(of, 10), "rmse", by=HOURS).widened
        for of in (apart, near)
    ]
    assert 1.0 <= widened[0] < widened[1]


def test_how_many_days_hours_need() -> None:
    assert [fewest_days(1, stretches) for stretches in (4, 3, 2, 1, 0)] == [3, 3, 4, 8, 8]
    assert fewest_days(2, 5) == 4  # 8 / 2.5 is 3.2


def test_the_smallest_gain_that_is_found_is_bloom_s() -> None:
    result = Paired("roc_auc", 0.0, -0.02, 0.02, 0.01, 11.0, 900, 12, 0.70, 0.70, 0.95, blocks=HOURS, largest=0.1)
    least = (stats.t.ppf(0.975, 11) + stats.t.ppf(0.8, 11)) * 0.01
    assert result.smallest_found() == pytest.approx(least)
    told = verdict(GatePolicy(), result).reason
    wanted = (
        f"900 rows on 12 stretches of 6 hours, as there are fewer than 8 days; a gain of {least:.4g} would be found"
    )
    assert f"{wanted} with 80 % power); needed" in told
    # It is what simulated means are found by.
    means, spread = np.random.default_rng(1).normal(least, 0.01, 20_000), stats.chi2(11).rvs(20_000, random_state=2)
    share = np.mean(means - stats.t.ppf(0.975, 11) * 0.01 * np.sqrt(spread / 11) > 0.0)
    assert share == pytest.approx(0.8, abs=0.02)


# --- equal models -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.7])
@pytest.mark.parametrize(("days", "rows"), [(3, 1_000), (5, 3_000), (7, 10_000)])
def test_equal_models_are_promoted_as_rarely_as_agreed(days: int, rows: int, rho: float) -> None:
    """At most 3.5 % of worlds; of 600 that has a standard error of 0.75 %."""
    assert lucky("rmse", rows, 600, rho=rho, days=days, hours=True).by_day <= 0.035


@pytest.mark.parametrize("days", [3, 5, 7])
@pytest.mark.parametrize("share", [0.1, 0.4])
def test_an_effect_of_the_whole_day_promotes_nobody_either(days: int, share: float) -> None:
    """A storm is equal for all stretches of its day: single hours would promote by luck in 8 to 14 %."""
    rng, lucky_ones, worlds, rows = np.random.default_rng([days, 7]), 0, 1_500, np.full(4 * days, 60.0)
    at = np.arange(4.0 * days)
    for _ in range(worlds):
        hours = share**0.5 * rng.standard_normal(days).repeat(24) + (1 - share) ** 0.5 * rng.standard_normal(24 * days)
        stretches = hours.reshape(-1, 6).sum(axis=1)
        gain = stretches.sum() / rows.sum()
        span = sums_interval(gain, stretches - stretches.mean(), rows, at=at, noise=(1 - share) * 24 * days)
        lucky_ones += (span.lower > 0.0) + (span.upper < 0.0)
    assert lucky_ones / (2 * worlds) <= 0.035
