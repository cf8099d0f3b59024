"""Who trains first and within what budget: a total order, a budget that holds, nobody who waits for ever."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.core.decide.fleet.training_queue import Spent, Waiting, ordered, start_days, startable
from mlops_assets.core.decide.fleet.trainings_policy import TrainingsPolicy
from mlops_assets.core.limits.ranges import WrongSetting

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)
RUNS = TrainingsPolicy(runs_a_day=2)


def waiting(model: str, gain: float | None = 0.1, *, days: float = 1.0, hours: float = 1.0, **more: Any) -> Waiting:
    values = {"price": 0.01, "rows_per_day": 100.0, **more}
    return Waiting(model, f"of {model}", "gain", NOW - days * DAY, hours, gain, **values)


def names(queue: list[Waiting]) -> list[str]:
    return [each.model for each in queue]


SOME_WAITING = st.lists(
    st.builds(
        waiting,
        st.uuids().map(str),
        st.sampled_from([None, 0.0, 0.02, 0.1]),
        days=st.floats(0.0, 30.0),
        hours=st.floats(0.01, 12.0),
        rows_per_day=st.sampled_from([1.0, 1_000.0]),
        money_per_day=st.sampled_from([None, -1.0, 5.0]),
        asked=st.booleans(),
        insisted=st.just(False),
        failing=st.booleans(),
        first=st.booleans(),
        held=st.sampled_from(["", "", "It is frozen."]),
    ),
    max_size=25,
    unique_by=lambda each: each.model,
)
POLICIES = st.builds(
    TrainingsPolicy,
    runs_a_day=st.none() | st.integers(1, 8),
    cpu_hours_a_day=st.none() | st.floats(0.5, 20.0),
)
SPENT = st.builds(Spent, st.integers(0, 9), st.floats(0.0, 20.0))


@given(SOME_WAITING, POLICIES, st.randoms(use_true_random=False))
def test_the_order_is_total(queue: list[Waiting], policy: TrainingsPolicy, rng: random.Random) -> None:
    shuffled = list(queue)
    rng.shuffle(shuffled)
    assert ordered(shuffled, NOW, policy) == ordered(queue, NOW, policy)
    assert sorted(names(ordered(queue, NOW, policy))) == sorted(names(queue))


@given(SOME_WAITING, POLICIES, SPENT)
def test_the_budget_is_never_exceeded(queue: list[Waiting], policy: TrainingsPolicy, spent: Spent) -> None:
    starting = startable(ordered(queue, NOW, policy), spent, policy)
    assert not any(each.held for each in starting)
    if policy.runs_a_day is not None:
        assert len(starting) <= max(0, policy.runs_a_day - spent.runs)
    if policy.cpu_hours_a_day is not None and starting:
        # One that is larger than a day's budget counts as all of it, and so starts alone.
        charges = [min(each.cpu_hours, policy.cpu_hours_a_day) for each in starting]
        assert spent.cpu_hours + sum(charges) <= policy.cpu_hours_a_day * (1 + 1e-12)


@given(SOME_WAITING, POLICIES)
def test_everybody_who_is_not_held_starts_some_day(queue: list[Waiting], policy: TrainingsPolicy) -> None:
    days = start_days(ordered(queue, NOW, policy), Spent(), policy, NOW.date())
    assert days.keys() == {each.model for each in queue if not each.held}


@given(SOME_WAITING, POLICIES, SPENT)
def test_without_a_limit_all_start_at_once(queue: list[Waiting], policy: TrainingsPolicy, spent: Spent) -> None:
    free = replace(policy, runs_a_day=None, cpu_hours_a_day=None)
    assert names(startable(queue, spent, free)) == [each.model for each in queue if not each.held]


def test_the_order_of_kinds() -> None:
    queue = [
        waiting("large gain", 0.5),
        waiting("overdue", 0.0, days=8),
        waiting("no champion", None, first=True),
        waiting("worse than guessing", 0.0, failing=True),
        waiting("asked today", 0.0, days=0, asked=True),
        waiting("asked yesterday", 0.0, asked=True),
    ]
    assert names(ordered(queue, NOW, RUNS)) == [
        "asked yesterday", "asked today", "worse than guessing", "no champion", "overdue", "large gain",
    ]  # fmt: skip


def test_by_gain_for_each_unit_of_cost() -> None:
    """Gain times rows a day: 0.1 x 100, 0.02 x 1,000 and the price, 0.01, of 100 rows where nothing was measured."""
    queue = [
        waiting("few rows", 0.1),
        waiting("many rows", 0.02, rows_per_day=1_000.0, hours=4.0),
        waiting("new", None),
    ]
    assert names(ordered(queue, NOW, RUNS)) == ["many rows", "few rows", "new"]
    # 10 a CPU hour, 5, 1.
    assert names(ordered(queue, NOW, TrainingsPolicy(cpu_hours_a_day=8))) == ["few rows", "many rows", "new"]


def test_in_money_where_all_have_it() -> None:
    queue = [waiting("a", 0.1, money_per_day=1.0), waiting("b", 0.02, money_per_day=5.0)]
    assert names(ordered(queue, NOW, RUNS)) == ["b", "a"]
    assert names(ordered([*queue, waiting("c", 0.05)], NOW, RUNS)) == ["a", "c", "b"]
    # What goes first for another reason need not have it.
    assert names(ordered([*queue, waiting("c", None, asked=True)], NOW, RUNS)) == ["c", "b", "a"]


def test_what_no_longer_fits_leaves_its_room_to_smaller_ones() -> None:
    policy = TrainingsPolicy(cpu_hours_a_day=4)
    queue = [waiting("a", hours=3.0), waiting("b", hours=2.0), waiting("c", hours=1.0)]
    assert names(startable(queue, Spent(), policy)) == ["a", "c"]
    assert names(startable(queue, Spent(1, 3.5), policy)) == []


def test_one_larger_than_a_days_budget_takes_a_day_of_its_own() -> None:
    policy = TrainingsPolicy(cpu_hours_a_day=4)
    queue = [waiting("huge", hours=9.0), waiting("small", hours=1.0)]
    assert names(startable(queue, Spent(), policy)) == ["huge"]
    assert names(startable(queue, Spent(1, 0.5), policy)) == ["small"]
    assert start_days(queue, Spent(1, 0.5), policy, NOW.date()) == {
        "small": date(2026, 3, 4),
        "huge": date(2026, 3, 5),
    }


def test_who_insists_is_started_and_counted() -> None:
    queue = [waiting("insists", asked=True, insisted=True), waiting("a"), waiting("b")]
    assert names(startable(queue, Spent(runs=2), RUNS)) == ["insists"]
    assert names(startable(queue, Spent(runs=0), RUNS)) == ["insists", "a"]


def test_what_is_held_takes_no_room() -> None:
    queue = [waiting("frozen", held="It is frozen."), waiting("a"), waiting("b")]
    assert names(startable(queue, Spent(), RUNS)) == ["a", "b"]


def test_on_which_day_each_starts() -> None:
    queue = [waiting(name) for name in "abcde"]
    days = start_days(queue, Spent(runs=1), RUNS, NOW.date())
    assert [(day - NOW.date()).days for day in days.values()] == [0, 1, 1, 2, 2]


def test_a_small_gain_starts_although_larger_ones_keep_coming() -> None:
    """Three large gains come each day and two trainings start; after seven days nothing by gain goes before it."""
    queue, today, started = [waiting("small", 0.001, days=0)], 0, list[str]()
    while "small" not in started:
        queue += [waiting(f"large {today} {number}", 0.5, days=-today) for number in range(3)]
        starting = names(startable(ordered(queue, NOW + today * DAY, RUNS), Spent(), RUNS))
        started += starting
        queue = [each for each in queue if each.model not in starting]
        today += 1
    assert today == 9  # counted from 0: on the eighth day after the first it has waited for more than seven


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"runs": 3},
            r"tool\.mlops\.trainings has no field 'runs': use one of runs_a_day, cpu_hours_a_day, fdr, max_wait",
        ),
        ({"runs_a_day": 0}, r"tool\.mlops\.trainings\.runs_a_day is 0: write a whole number"),
        ({"runs_a_day": "20"}, r"runs_a_day is '20', which is no number: write a whole number"),
        ({"cpu_hours_a_day": -1}, r"cpu_hours_a_day is -1: write a number above 0, for example 8"),
        ({"fdr": 0}, r"fdr is 0: write a number between 0 and 0.5, for example 0.05, or auto, or never"),
        ({"fdr": "off"}, r"fdr is 'off', which is no number: .* or auto, or never"),
        ({"max_wait": "soon"}, r"max_wait is 'soon', which is not a duration: "),
        ({"max_wait": "0d"}, r"max_wait is 0d: write a length of time above 0d"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_setting_is_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(WrongSetting, match=message):
        TrainingsPolicy.from_table(values)


def test_settings_are_read_back_and_told() -> None:
    policy = TrainingsPolicy.from_table({"runs_a_day": 20, "cpu_hours_a_day": 7.5, "fdr": 0.1, "max_wait": "36h"})
    assert TrainingsPolicy.from_table(policy.to_dict()) == policy
    assert policy.max_wait == timedelta(hours=36)
    assert policy.budget_in_words == "20 trainings and 7.5 CPU hours a day"
    assert TrainingsPolicy(runs_a_day=1).budget_in_words == "1 training a day"
    assert (TrainingsPolicy().budget_in_words, TrainingsPolicy().is_limited) == ("", False)


@pytest.mark.parametrize(
    ("fdr", "models", "rate"),
    [("auto", 0, None), ("auto", 1, None), ("auto", 2, 0.05), ("never", 1_000, None), (0.1, 1, 0.1), (0.1, 1_000, 0.1)],
)
def test_one_model_is_judged_as_it_always_was(fdr: Any, models: int, rate: float | None) -> None:
    assert TrainingsPolicy(fdr=fdr).rate_among(models) == rate
