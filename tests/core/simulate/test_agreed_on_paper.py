"""Agreed triggers in a life on paper: it trains when production would, by the same triggers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.decide.agreed.reading import PRESETS, read_triggers
from mlops_assets.core.decide.history import History
from mlops_assets.core.decide.policy import RetrainPolicy
from mlops_assets.core.promote.gate_policy import GatePolicy
from mlops_assets.core.simulate.agreed_on_paper import PaperTriggers, is_on_paper
from mlops_assets.core.simulate.known_labels import KnownLabels
from mlops_assets.core.simulate.life import live
from mlops_assets.core.simulate.life_settings import Life, LifePolicy, Version
from mlops_assets.core.simulate.shared_fits import Rows
from mlops_assets.core.time.windows import Window
from tests.scenarios.worlds import DAYS, FIRST, World, scenario

WINDOWS = 16


def world(**changes: Any) -> World:
    return replace(scenario("no drift", labels=400, seed=3), task="binary", **changes)


def lived(here: World, *entries: Any, gate: GatePolicy | None = None, **fields: Any) -> Life:
    free = {"cooldown": "0d", "budget": 100, "min_matured_labels": 0, **fields}
    retrain = RetrainPolicy(window=timedelta(days=DAYS)).changed({"on": list(entries), **free})
    policy = LifePolicy(metric="log_loss", retrain=retrain, gate=gate)
    return live(here.rows, here.windows[:WINDOWS], here.learner, policy, first=FIRST)


def rules(life: Life) -> Counter[str]:
    return Counter(period.decision.rule for period in life.periods if period.decision and period.trained)


def test_a_schedule_trains_each_time_it_is_due() -> None:
    each = lived(world(), {"schedule": {"every": f"{DAYS}d"}})
    second = lived(world(), {"schedule": {"every": f"{2 * DAYS}d"}})
    assert rules(each) == {"schedule": WINDOWS - FIRST}
    assert [period.trained for period in second.periods] == [number % 2 == 1 for number in range(WINDOWS - FIRST)]


def test_what_the_gate_cannot_judge_ships_on_paper_where_that_is_agreed() -> None:
    each, gate = {"schedule": {"every": f"{DAYS}d"}}, GatePolicy(min_rows=10**6)
    kept = lived(world(), each, gate=gate)
    shipped = lived(world(), each, gate=replace(gate, when_unjudgeable="ship"))
    assert (kept.trainings, kept.updates) == (WINDOWS - FIRST, 0)
    assert (shipped.trainings, shipped.updates) == (WINDOWS - FIRST, WINDOWS - FIRST)


def test_few_days_are_judged_by_hours_on_paper_where_triggers_are_agreed() -> None:
    """Windows of five days, trained on after each; without triggers they are too few for the gate."""
    here, length = world(), timedelta(days=5)
    start = here.windows[0].start
    windows = [Window(start + k * length, start + (k + 1) * length) for k in range(40)]
    free = {"cooldown": "0d", "budget": 100, "min_matured_labels": 0}
    for on, by_hours in (({"on": [{"schedule": {"every": "5d"}}]}, True), ({"max_age": "5d"}, False)):
        retrain = RetrainPolicy(window=length).changed({**free, **on})
        policy = LifePolicy(metric="log_loss", retrain=retrain, gate=GatePolicy(min_rows=0), gate_window=length)
        life = live(here.rows, windows, here.learner, policy, first=30)
        assert life.trainings > 3
        # Several windows together have days enough.
        assert ("6 hours" in {period.gain.blocks for period in life.periods if period.gain}) is by_hours


def test_a_shift_asks_once_until_a_model_has_seen_it() -> None:
    drifting = {"drift": {"psi": 0.2}}
    stable, moved = world(), scenario("harmless covariate shift", labels=400, seed=3)
    assert rules(lived(stable, drifting)) == {}
    life = lived(replace(moved, task="binary"), drifting)
    assert rules(life)["drift"] >= 1
    (first, *_) = [period.window.start for period in life.periods if period.trained]
    assert first >= moved.windows[FIRST].start


def test_a_weekday_and_a_season_are_no_news_on_paper_either() -> None:
    """Windows of a day, beside a model of eight weeks: each holds one weekday and one day of the year."""
    times = pd.date_range("2024-03-04", periods=60 * 200, freq=timedelta(days=1) / 200, tz="UTC")
    moved = np.arange(len(times)) % 10 + 5.0 * (times.dayofyear > 120)
    x = pd.DataFrame({"weekday": times.dayofweek, "season": times.dayofyear, "moved": moved})
    rows = Rows(x, np.zeros(len(x)), times, times, np.asarray(times.date), cycles={"season": "year"})
    days = [Window(day, day + timedelta(days=1)) for day in pd.date_range("2024-03-04", periods=60, tz="UTC")]
    (trigger,) = read_triggers(["psi_0_2"])
    labels = KnownLabels(rows, days, LifePolicy("log_loss", RetrainPolicy(on=(trigger,))), [True] * 60)
    version = Version(1, lambda _: np.zeros(1), days[56].start, "expanding", np.arange(56 * 200))
    paper = PaperTriggers(labels, (trigger,))
    before, after = (paper.at(day, version, History(), days[day].end)[-1] for day in (56, 58))
    assert before.passed
    assert (after.passed, "moved PSI" in after.sentence) == (False, True)
    for name, part in (("weekday", "week"), ("season", "year")):
        assert f"{name} cannot be judged: it goes by the calendar, and the window holds only a part of the {part}" in (
            after.sentence
        )


def test_a_week_from_which_a_day_is_missing_does_not_compare_the_weekday() -> None:
    times = pd.date_range("2024-03-04", periods=63 * 200, freq=timedelta(days=1) / 200, tz="UTC")
    times = times[~times.normalize().isin([pd.Timestamp("2024-05-05", tz="UTC")])]
    x = pd.DataFrame({"weekday": times.dayofweek, "steady": np.arange(len(times)) % 10})
    rows = Rows(x, np.zeros(len(x)), times, times, np.asarray(times.date))
    weeks = [
        Window(day, day + timedelta(days=7)) for day in pd.date_range("2024-03-04", periods=9, freq="7D", tz="UTC")
    ]
    (trigger,) = read_triggers(["psi_0_2"])
    labels = KnownLabels(rows, weeks, LifePolicy("log_loss", RetrainPolicy(on=(trigger,))), [True] * 9)
    version = Version(1, lambda _: np.zeros(1), weeks[7].start, "expanding", np.arange(49 * 200))
    paper = PaperTriggers(labels, (trigger,))
    whole, part = (paper.at(week, version, History(), weeks[week].end)[-1] for week in (7, 8))
    assert (whole.passed, "calendar" in whole.sentence) == (True, False)
    assert (part.passed, "weekday cannot be judged: it goes by the calendar" in part.sentence) == (True, True)


def test_a_floor_on_a_metric_asks_on_matured_windows() -> None:
    assert rules(lived(world(), {"performance": {"metric": "accuracy", "floor": 0.99}}))["performance"] > 3
    assert rules(lived(world(), {"performance": {"metric": "accuracy", "floor": 0.2}})) == {}
    late = lived(world(delay=timedelta(days=2 * DAYS)), {"performance": {"metric": "accuracy", "floor": 0.99}})
    assert not any(period.trained for period in late.periods[:2]), "no label of the champion's time is known yet"


def test_rows_and_freshness_count_from_the_last_training() -> None:
    assert rules(lived(world(), {"data": {"rows": 790}})) == {"new_data": (WINDOWS - FIRST) // 2}
    assert rules(lived(world(), {"freshness": {"lag": f"{DAYS - 1}d"}})) == {"freshness": WINDOWS - FIRST}


def test_cooldown_and_budget_hold_on_paper_as_well() -> None:
    wanted = {"performance": {"metric": "accuracy", "floor": 0.99}}
    assert sum(rules(lived(world(), wanted, budget=1, budget_period="3650d")).values()) == 1


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_lived_on_paper(name: str) -> None:
    assert all(map(is_on_paper, PRESETS[name]))
    assert len(lived(world(), name).periods) == WINDOWS - FIRST


def test_what_paper_does_not_have() -> None:
    entries = ["drift", "performance", "importance", {"novelty": {"share": 0.1}}, {"data": {"files": 2}}]
    entries += [{"drift": {"of": "scores", "psi": 0.2}}, {"performance": {"max_drop": 0.05}}]
    assert not any(map(is_on_paper, read_triggers(entries)))
