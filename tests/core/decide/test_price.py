"""A price in money: the bound that the probe gives by the cost table, carried over a horizon."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy import stats

from mlops_assets.core.decide.counterfactuals import replay
from mlops_assets.core.decide.folds import newest_days
from mlops_assets.core.decide.judged_window import JudgedRows, Money, Scores, Stretch, look
from mlops_assets.core.decide.policy import Evidence, History, RetrainPolicy, decide
from mlops_assets.core.decide.price import exceeds_price, worth
from mlops_assets.core.decide.probe import SHARES, add_up
from mlops_assets.core.decide.probe_policy import ProbePolicy
from mlops_assets.core.decide.probe_result import Gain, Look, Probed, ProfitGain
from mlops_assets.core.record.plain_values import as_plain, from_plain
from mlops_assets.core.stats.autocorrelation import remembered
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.stats.metrics import profit
from mlops_assets.core.time.windows import Window, local_days

COSTS = {"true_positive": 3.0, "false_positive": -1.0, "false_negative": -2.0, "true_negative": 0.0}
START = datetime(2013, 5, 6, tzinfo=UTC)
WEEKS = timedelta(days=14)
WINDOW = Window(START, START + WEEKS)
POLICY = ProbePolicy(refits=("expanding",))


def looked(*, costs: dict | None = COSTS, number: int = 0, labelled: int = 2_800, fresh: bool = True) -> Look:
    """A look at 1,400 rows on 14 days: the champion is right on half of them, the refit on three in four."""
    rng = np.random.default_rng(number)
    window = Window(START + number * WEEKS, START + (number + 1) * WEEKS)
    times = np.datetime64(window.start.replace(tzinfo=None)) + np.arange(1400) * np.timedelta64(864, "s")
    y = rng.integers(0, 2, 1400).astype(float)
    kept = np.where(rng.random(1400) < 0.5, y, 1 - y) * 0.8 + 0.1
    refit = np.where(rng.random(1400) < 0.75, y, 1 - y) * 0.8 + 0.1
    return look(
        Stretch(window, newest_days(window, "UTC"), f"w{number}"),
        JudgedRows(y, times, local_days(times, "UTC")),
        Scores(kept, {"refit:expanding": refit}, {"refit:expanding": refit} if fresh else {}),
        at=window.end,
        champion="1",
        metric_name="log_loss",
        money=Money(profit("binary", costs) if costs else None, costs or {}, labelled),
    )


def added(looks: list[Look], costs: dict | None = COSTS) -> Probed:
    return add_up(looks, POLICY, champion="1", since=START, length=WEEKS, costs=costs)


def test_the_gain_in_money_is_the_block_t_bound_of_the_profit() -> None:
    bounds = {}
    for name, fresh in (("windows", False), ("newest", True)):
        one = looked(fresh=fresh)
        found_all = added([one])
        found = found_all.refit
        assert found is not None
        assert found.profit is not None
        assert found_all.lag_one is not None
        part = one.newest if fresh else one.whole
        assert part is not None
        series = part.profit["refit:expanding"]
        # Equal days: the textbook t interval of their means, at the stretch's one-sided share of the probe's level, as
        # much wider as they resemble each other.
        daily = np.asarray(series.sums) / 100 + series.gain
        days, level = len(daily), POLICY.level * SHARES[name]
        assert days == (8 if fresh else 14)
        low = stats.t.interval(1 - 2 * level, days - 1, daily.mean(), stats.sem(daily))[0]
        factor = remembered(days, found_all.lag_one)
        bounds[name] = pytest.approx(daily.mean() - factor * (daily.mean() - low)), pytest.approx(daily.mean())
        # 2,800 labelled rows in fourteen days, of which half were judged.
        assert found.profit.rows_per_day == pytest.approx(200.0)
        assert from_plain(Look, as_plain(one)) == one
        assert from_plain(Probed, as_plain(added([one]))) == added([one])
        # The surest stretch counts.
        best = max(bounds.values(), key=lambda bound: bound[0].expected)
        assert (found.profit.lower, found.profit.mean) == best


def test_only_looks_by_todays_table_count() -> None:
    assert added([looked()], None).refit.profit is None
    assert added([looked(costs=None)]).refit.profit is None
    assert added([looked(costs={**COSTS, "true_positive": 9.0})]).refit.profit is None
    both = added([looked(costs=None), looked(number=1)]).refit
    assert both.profit is not None
    assert both.profit.rows_per_day == pytest.approx(200.0)
    assert added([replace(looked(), labelled=None)]).refit.profit is None


def gain(lower: float = 0.05, money: float | None = 0.01, candidate: str = "refit:4") -> Gain:
    per_row = None if money is None else ProfitGain(money, money + 0.01, 1_000.0)
    return Gain(candidate, lower, lower + 0.05, 1, 1000, 28, per_row)


def test_worth_is_per_row_times_rows_times_days() -> None:
    found = worth(gain(), timedelta(days=30))
    assert (found.lower, found.mean) == (pytest.approx(0.01 * 1000 * 30), pytest.approx(0.02 * 1000 * 30))
    assert found.sentence == ("It is worth 600.00 in 30 days (surely at least 300.00; 1,000 labelled rows a day)")
    with pytest.raises(CannotJudge, match=r"Set monitoring\.costs"):
        worth(gain(money=None), timedelta(days=30))


def test_both_prices_must_be_exceeded_and_going_back_has_none_in_money() -> None:
    policy = RetrainPolicy(price_money=299.0)
    assert exceeds_price(gain(), policy)
    assert not exceeds_price(gain(), replace(policy, price_money=300.1))
    assert not exceeds_price(gain(lower=0.01), policy)
    assert exceeds_price(gain(candidate="revert:2", money=None), policy)


def decided(refit: Gain, policy: RetrainPolicy, back: Gain | None = None) -> tuple[str, str, str]:
    found = Probed(refit, back, "refit:4", 1, 0.01, "The probe has looked.")
    evidence = Evidence(
        model="m",
        window="w",
        matured_labels=9_000,
        champion_version="1",
        champion_since=START - timedelta(days=9),
        probe=found,
    )
    decision = decide(evidence, policy, History(), START)
    assert all(replay(c, evidence, policy, History(), START) == c.action for c in decision.counterfactuals)
    return decision.action, decision.rule, decision.reason


def test_a_price_in_money_decides_or_says_that_it_cannot() -> None:
    policy = RetrainPolicy(price_money=40.0)
    action, rule, reason = decided(gain(), policy)
    assert (action, rule) == ("retrain", "gain")
    assert "surely at least 300.00; 1,000 labelled rows a day), more than the price of 40.00." in reason
    action, rule, reason = decided(gain(), replace(policy, price_money=400.0))
    assert (action, rule) == ("wait", "nothing")
    assert "not surely more than the price of 400.00." in reason
    action, rule, reason = decided(gain(money=None), policy)
    assert (action, rule) == ("cannot_judge", "price")
    assert "cannot judge, because no look at this champion" in reason
    assert decided(gain(lower=0.0, money=None), policy)[:2] == ("wait", "nothing")


def test_going_back_is_free_where_a_refit_is_not_worth_its_price() -> None:
    back = gain(lower=0.02, candidate="revert:2", money=None)
    for refit in (gain(lower=0.3), gain(lower=0.3, money=None)):
        assert decided(refit, RetrainPolicy(price_money=10**6), back)[:2] == ("revert", "revert")
    assert decided(gain(lower=0.3), RetrainPolicy(price_money=10.0), back)[:2] == ("retrain", "gain")
