"""A few seeds of each scenario: the platform does what it is for, with the defaults of a fresh YAML.

What lives here: the bars of a few seeds. What doesn't: 100 seeds (benchmarks/decisions.py), the worlds (`worlds`).
"""

from __future__ import annotations

import pytest

from tests.scenarios.figures import false_retrainings, in_how_many_windows, regret
from tests.scenarios.lives import Outcome, lived
from tests.scenarios.worlds import CHANGE, FIRST, World, scenario

pytestmark = pytest.mark.slow

ORACLE_ROWS = 4_000


def live_through(name: str, task: str, seed: int = 0, labels: int = 1_000) -> tuple[World, Outcome]:
    world = scenario(name, task=task, labels=labels, seed=seed)
    return world, lived(world, oracle_rows=ORACLE_ROWS, all_peers=False)


TASKS = pytest.mark.parametrize("task", ["regression", "binary"])
ALL_TASKS = pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])


@TASKS
@pytest.mark.parametrize("name", ["no drift", "harmless covariate shift", "loud drift, unimportant feature"])
def test_where_nothing_is_gained_nothing_is_retrained_for_a_gain(name: str, task: str) -> None:
    _, outcome = live_through(name, task)
    assert false_retrainings(outcome) == 0
    assert outcome.life.updates <= 2
    assert regret(outcome.losses) <= 0.02


@TASKS
@pytest.mark.parametrize("name", ["sudden +20 %", "sudden +50 %", "price step"])
def test_a_changed_relation_is_answered_by_the_second_matured_window(name: str, task: str) -> None:
    world, outcome = live_through(name, task)
    assert in_how_many_windows(outcome.life, world) <= 2
    assert regret(outcome.losses) <= 0.02
    assert outcome.life.updates <= 9


@TASKS
@pytest.mark.parametrize("name", ["gradual over 6 windows", "steady growth"])
def test_a_relation_that_keeps_moving_is_followed_with_few_updates(name: str, task: str) -> None:
    _, outcome = live_through(name, task)
    assert regret(outcome.losses) <= 0.03
    assert outcome.life.updates <= 12
    followed = [p.decision.candidate for p in outcome.life.periods if p.trained and p.decision.rule == "gain"]
    assert followed
    # Of a growth, only the recent past tells what is true now.
    assert name != "steady growth" or set(followed) <= {"refit:1", "refit:2", "refit:4", "refit:decay:2"}


@ALL_TASKS
def test_recurring_seasons_are_learnt_from_all_history(task: str) -> None:
    _, outcome = live_through("recurring seasons", task)
    promoted = {period.decision.candidate for period in outcome.life.periods if period.promoted}
    assert promoted <= {"refit:expanding"}
    assert regret(outcome.losses) <= 0.02


@TASKS
def test_after_a_shock_of_one_window_the_old_model_is_back(task: str) -> None:
    world, outcome = live_through("one-window shock", task)
    after = [period for period in outcome.life.periods if period.window.start >= world.windows[CHANGE + 2].end]
    first = outcome.life.versions[1].number
    equal = outcome.losses["platform"][CHANGE + 3 - FIRST] <= 1.03 * outcome.losses["never"][CHANGE + 3 - FIRST]
    assert after[0].served_by == first or equal
    assert outcome.life.updates <= 3


@pytest.mark.parametrize("name", ["sudden +50 %", "no drift", "one-window shock"])
def test_classes_are_lived_with_as_two_are(name: str) -> None:
    world, outcome = live_through(name, "multiclass")
    assert set(world.rows.y) == {0.0, 1.0, 2.0}
    assert false_retrainings(outcome) == 0
    # A shock that passes costs a window at its size, 2 % of 24, and what the fit of a window is worse by.
    assert regret(outcome.losses) <= (0.03 if "shock" in name else 0.02)
    if name.startswith("sudden"):
        assert in_how_many_windows(outcome.life, world) <= 2


@ALL_TASKS
@pytest.mark.parametrize("name", ["fault: a tenth missing", "fault: unit changed"])
def test_a_fault_in_the_data_is_never_answered_by_a_retraining(name: str, task: str) -> None:
    _, outcome = live_through(name, task)
    bad = outcome.life.periods[CHANGE - FIRST]
    assert (bad.decision.action, bad.promoted) == ("quarantine", None)
    assert all(p.decision.rule in ("nothing", "growth", "age", "data") for p in outcome.life.periods)


@TASKS
def test_labels_that_come_two_windows_late_delay_and_do_not_prevent(task: str) -> None:
    world, outcome = live_through("labels two windows late, +20 %", task)
    assert in_how_many_windows(outcome.life, world) <= 2
    assert regret(outcome.losses) <= 0.02
