"""Power: at the stated decay the rules fire in 95 % of runs.

What lives here: the formula, against its closed form and against simulation. What doesn't: homes (tests/resources).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.stats import nct, norm

from mlops_assets.core.decide.judged_window import KEEP
from mlops_assets.core.decide.looks.pooled_gains import SPANS
from mlops_assets.core.decide.power import Noise, Part, performance_power, probe_power, sentence, smallest_seen
from mlops_assets.core.decide.probe import SHARES, add_up
from mlops_assets.core.decide.probe_policy import ProbePolicy
from mlops_assets.core.decide.probe_result import Look, Series
from mlops_assets.core.decide.probe_result import Part as Stretch
from mlops_assets.core.decide.promised_gains import leading
from mlops_assets.core.performance.policy import PerformancePolicy, performance_holds
from mlops_assets.core.performance.window_metrics import PerformanceRow, evaluate
from mlops_assets.core.stats.intervals import CannotJudge, block_sums, t_quantile
from mlops_assets.core.stats.metrics import metric
from mlops_assets.core.stats.nested_tests import level_of_each

START = datetime(2024, 1, 1, tzinfo=UTC)
RUNS = 1_500
REFERENCE, DAY_SD, ROW_SD = 10.0, 0.4, 2.0


@pytest.mark.parametrize("df", [7.0, 26.5, 200.0])
def test_without_a_floor_it_is_the_noncentral_t(df: float) -> None:
    # Cohen (1988): the noncentrality at which the test's power is 0.95.
    found = smallest_seen(2.0, df, bar=1.0, level=0.01)
    assert nct.sf(t_quantile(0.99, df), df, (found - 1.0) / 2.0) == pytest.approx(0.95, abs=2e-3)


def test_without_an_interval_it_is_the_normal_quantile() -> None:
    assert smallest_seen(2.0, None, floor=3.0, bar=0.0) == pytest.approx(3.0 + 2.0 * norm.ppf(0.95), rel=1e-6)
    assert smallest_seen(0.0, 20.0, floor=3.0, bar=0.0) == 3.0


def rows_of(rng: np.random.Generator, mae: float, days: int, per_day: int) -> tuple[np.ndarray, ...]:
    """Labels, scores and days, with this mean absolute error: errors of one sign, whose noise does not grow with it."""
    day = np.repeat(np.arange(days), per_day)
    y = mae + DAY_SD * rng.normal(size=days)[day] + ROW_SD * rng.normal(size=len(day)).clip(-3, 3)
    return y, np.zeros(len(day)), day


def noise_of(days: int, per_day: int) -> Noise:
    """From many windows, so that the simulation tests the formula and not the luck of a few days."""
    rng = np.random.default_rng(1)
    parts = []
    for _ in range(60):
        y, s, day = rows_of(rng, REFERENCE, days, per_day)
        value, psi = metric("mae").evaluate(y, s)
        parts.append(Part(value, *block_sums(psi, day)))
    return Noise.of(parts)


def fired(mae: float, days: int, per_day: int, policy: PerformancePolicy) -> float:
    """Share of runs in which the check fails."""
    rng, found = np.random.default_rng(2), 0
    for _ in range(RUNS):
        y, s, day = rows_of(rng, mae, days, per_day)
        row = PerformanceRow("w", START, START, len(y), len(y), 0.0, 0.5, True, "", evaluate(y, s, ["mae"], day))
        found += performance_holds(row, "mae", REFERENCE, policy).passed is False
    return found / RUNS


@pytest.mark.parametrize(
    ("days", "per_day", "max_drop"),
    # The interval decides, the largest drop does, and there are too few days for an interval.
    [(14, 10, 0.01), (28, 20, 0.05), (7, 40, 0.05)],
)
def test_at_the_stated_decay_the_check_fires_in_95_percent(days: int, per_day: int, max_drop: float) -> None:
    policy = PerformancePolicy(max_drop=max_drop, min_rows=50)
    judge = metric("mae")
    noise = noise_of(days, per_day)
    (one,) = performance_power("performance_holds", noise, judge, policy, reference=REFERENCE, spans=[1])
    assert one.drop is not None
    assert (one.labels, one.days) == (days * per_day, days)
    assert fired(REFERENCE + one.drop, days, per_day, policy) == pytest.approx(0.95, abs=0.025)
    assert fired(REFERENCE + one.drop / 2, days, per_day, policy) < 0.75


def test_without_a_limit_of_one_window_nothing_would_be_seen() -> None:
    three = PerformancePolicy(max_drop=None, floor=10.1, floor_windows=3)
    (one,) = performance_power("performance_holds", noise_of(14, 20), metric("mae"), three, reference=10.0, spans=[1])
    assert one.drop is None
    assert "set one under monitoring.performance" in str(one.why)


def test_longer_windows_see_more_and_an_absolute_floor_counts_too() -> None:
    noise, judge = noise_of(14, 20), metric("mae")
    short, middle, long = performance_power("performance_holds", noise, judge, PerformancePolicy(), reference=REFERENCE)
    assert short.drop > middle.drop > long.drop > 0.05 * REFERENCE  # type: ignore[operator]
    near = PerformancePolicy(max_drop=0.5, floor=10.1)
    (one,) = performance_power("performance_holds", noise, judge, near, reference=REFERENCE, spans=[1])
    assert one.drop < 1.0  # type: ignore[operator]


def test_where_nothing_can_be_said_it_says_why() -> None:
    judge = metric("mae")
    (few,) = performance_power(
        "performance_holds", noise_of(14, 10), judge, PerformancePolicy(), reference=REFERENCE, spans=[1]
    )
    assert (few.drop, few.why) == (None, "140 labels, and 200 are needed: use longer windows")
    assert "cannot be said: 140 labels" in sentence([few], "mae")
    with pytest.raises(CannotJudge, match="no window"):
        Noise.of([])
    with pytest.raises(CannotJudge, match="at least 8"):
        Noise.of([Part(0.8, np.zeros(5), np.ones(5))])


def looks_with(gain: float, rng: np.random.Generator, windows: int, *, days: int = 28, per_day: int = 30) -> list[Look]:
    """Looks at one champion, whose refit gains this share of a loss of 1."""
    found = []
    for k in range(windows):
        rows = 0.4 * rng.normal(size=(days, 1)) + rng.normal(size=(days, per_day)) + gain
        sums, end = (rows - rows.mean()).sum(axis=1), START + timedelta(days=days * (k + 1))
        series = Series(float(rows.mean()), tuple(sums), (float(per_day),) * days)
        losses = dict.fromkeys((KEEP, *ProbePolicy().candidates), 1.0)
        whole = Stretch(end - timedelta(days=days), days * per_day, losses, {"refit:expanding": series})
        found.append(Look(str(k), end, end, "1", whole, None))
    return found


@pytest.mark.simulates
@pytest.mark.parametrize("windows", [1, 2, 4])
def test_at_the_stated_gain_the_probe_is_sure_in_95_percent(windows: int) -> None:
    policy, price, rng = ProbePolicy(), 0.01, np.random.default_rng(3)
    known = looks_with(0.0, rng, 60)
    seen = probe_power(known, policy, price=price)
    stated = next(one.share for one in seen if one.windows == windows)
    assert stated is not None
    # The span alone, at its own level: other spans can only add to what is seen.
    share = SHARES["windows"]
    alone = replace(policy, level=level_of_each(share * policy.level, SPANS) / share)
    # How long days remember is known from the same windows, under another champion.
    before = [replace(one, champion="0", end=one.end - timedelta(days=9_999)) for one in known[-12:]]
    sure = 0
    for _ in range(RUNS):
        (look,) = looks_with(stated, rng, 1, days=28 * windows)
        found = add_up([*before, look], alone, champion="1", since=START, length=timedelta(days=28))
        sure += found.refit is not None and found.refit.lower > price
    assert sure / RUNS == pytest.approx(0.95, abs=0.02)


def test_a_calendar_that_begins_with_a_change_says_nothing_of_whole_windows() -> None:
    known = looks_with(0.0, np.random.default_rng(4), 12)
    losses = {KEEP: 1.0, **dict.fromkeys(ProbePolicy().candidates, 1.0), "refit:since:2024-03-01": 0.5}
    fresh = replace(known[-1].whole, loss=losses, series={})
    leads = [*known[:-1], replace(known[-1], newest=fresh)]
    assert leading(leads, ProbePolicy()) == "refit:since:2024-03-01"
    assert probe_power(leads, ProbePolicy(), price=0.01) == probe_power(known, ProbePolicy(), price=0.01)


def test_the_sentence_names_what_silence_hides() -> None:
    seen = performance_power(
        "performance_holds", noise_of(28, 20), metric("mae"), PerformancePolicy(), reference=REFERENCE
    )
    told = sentence(seen, "mae")
    assert "one window would show with 95 % probability: 0." in told
    assert "(560 labels on 28 days)" in told
