"""A backtest: what policies cost and are worth on the same past, and what follows.

What lives here: whole backtests of small worlds with a known truth, and the recommendation. What doesn't: homes
(tests/simulate/test_backtest.py).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mlops_assets.core.decide.policy import RetrainPolicy
from mlops_assets.core.simulate.backtest import PRESENT, Against, Backtest, Tried, backtest, recommend, rivals
from mlops_assets.core.simulate.life_settings import LifePolicy
from mlops_assets.core.simulate.shared_fits import Fits
from mlops_assets.core.stats.metrics import metric
from mlops_assets.pages.backtest import backtest_page
from tests.scenarios.worlds import CHANGE, DAYS, FIRST, World, scenario

OWN = LifePolicy(metric="rmse", retrain=RetrainPolicy(window=timedelta(days=DAYS), max_age=None))


def tried_in(world: World, *, windows: int = 26, **others: LifePolicy) -> Backtest:
    fits = Fits(world.rows, world.learner)
    shown = world.windows[:windows]
    policies = {PRESENT: OWN, **others, **rivals(world.rows, shown, OWN, first=FIRST)}
    return backtest(lambda _: fits, shown, policies, first=FIRST, judge=metric("rmse"), money=None)


def test_after_a_change_trainings_pay_and_the_cheapest_good_ones_are_on_the_frontier() -> None:
    found = tried_in(scenario("sudden +50 %", labels=300, seed=2))
    by_name = {one.name: one for one in found.tried}
    assert by_name["never"].trainings == 0
    assert by_name["every window"].trainings == by_name["every window"].updates == 20
    assert by_name["every second window"].trainings == 10
    present = by_name[PRESENT]
    assert present.trainings <= 5
    # The day the relation turned: nobody knew in that window, and the present policy knew soon after.
    assert present.by_window[CHANGE - FIRST] == by_name["never"].by_window[CHANGE - FIRST]
    assert present.metric < 0.85 * by_name["never"].metric
    against = by_name["never"].against
    assert against is not None
    assert against.lower < against.gain == pytest.approx(present.metric - by_name["never"].metric)
    assert present.on_frontier
    assert by_name["never"].on_frontier
    assert found.recommendation.name == PRESENT


def test_without_a_change_never_is_recommended_as_no_worse() -> None:
    eager = replace(OWN, retrain=replace(OWN.retrain, max_age=timedelta(days=28), cooldown=timedelta(0)), gate=None)
    world = scenario("no drift", labels=300, seed=3)
    fits = Fits(world.rows, world.learner)
    policies = {PRESENT: eager, **rivals(world.rows, world.windows, eager, first=FIRST)}
    found = backtest(lambda _: fits, world.windows, policies, first=FIRST, judge=metric("rmse"), money=None)
    assert found.tried[0].trainings > 10
    assert found.recommendation.name == "never"
    assert "surely not worse by more than the price of a training (1.0% of the loss)" in found.recommendation.sentence


def test_money_is_the_mean_per_row_and_a_page_shows_all() -> None:
    world = scenario("sudden +20 %", labels=200, seed=1)
    fits, shown = Fits(world.rows, world.learner), world.windows[:16]
    policies = {PRESENT: OWN, "<bold>": replace(OWN, probe=replace(OWN.probe, folds=2))}
    money = replace(metric("mae"), name="profit")
    found = backtest(lambda _: fits, shown, policies, first=FIRST, judge=metric("rmse"), money=money)
    assert all(one.money is not None and 0.5 < one.money < 2.0 for one in found.tried)
    page = backtest_page(found, model="m", notes=["made from <rows>"])
    assert page.count("<svg") == 5
    assert "&lt;bold&gt;" in page
    assert "<bold>" not in page
    assert "money per row" in page
    assert page == backtest_page(found, model="m", notes=["made from <rows>"])


def test_few_windows_give_no_verdict() -> None:
    found = tried_in(scenario("no drift", labels=200, seed=1), windows=FIRST + 7)
    assert all(one.against is None for one in found.tried)
    assert found.recommendation.name == PRESENT
    assert "Cannot judge: 7 windows were lived through and 8 are needed" in found.recommendation.sentence


def one(name: str, trainings: int, gain: float = 0.0, half: float = 0.0, *, present: bool = False) -> Tried:
    against = None if present else Against(gain, gain - half, gain + half)
    return Tried(name, trainings, trainings, 1.0, 0.7, 0.3, None, (0.7,) * 10, against)


def test_the_recommendation_takes_better_then_cheaper_then_the_present_one() -> None:
    judge, present = metric("roc_auc"), one("present policy", 5, present=True)
    better = recommend([present, one("a", 9, 0.02, 0.01), one("b", 9, 0.03, 0.025)], judge, price=0.01)
    assert better.name == "a"
    assert "+0.0200 (interval +0.0100 to +0.0300) with 9 trainings against 5" in better.sentence
    # The price is 1 % of a loss of 0.3.
    cheaper = recommend([present, one("a", 1, -0.001, 0.001), one("b", 0, -0.002, 0.002)], judge, price=0.01)
    assert cheaper.name == "a"
    keep = recommend([present, one("a", 9, 0.001, 0.002), one("b", 0, -0.02, 0.002)], judge, price=0.01)
    assert keep.name == "present policy"
    assert keep.sentence.startswith("Keep the present policy: no other is surely better. Nearest comes “a”")
