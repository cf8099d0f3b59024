"""What counts as one observation, followed by what judges away from the gate: rollouts and backtests.

What lives here: both on real flights. What doesn't: the gate (test_gating.py), the probe (test_probing.py), the report
(test_monitoring_steps.py), cards (test_cards.py), lives on paper (tests/core/simulate/test_life.py).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest

from mlops_assets.core.rollout.moves import Guardrail, Rollout, RolloutPolicy, Seen, guardrails
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.comparison import Paired
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.simulate.backtest import past
from mlops_assets.steps.rollout.measurements import Pairs, on_labels
from mlops_assets.world.model_data import EVENT_TIME, LABEL
from tests.real_slice import World

HOLDS, BREAKS = 0.0, 1.0
"""Share of the candidate's scores that are drawn by lot."""


def by(world: World, blocks: str) -> ModelSettings:
    performance = replace(world.model.monitoring.performance, blocks=blocks)
    return world.with_settings(monitoring={"performance": performance}).model


def pairs(world: World, by_lot: float) -> Pairs:
    """Two weeks of events that two versions scored: one half knows the label, the other as much as is not by lot."""
    data, rng = world.platform.data(world.model), np.random.default_rng(1)
    events = data.events(date(2013, 2, 18), date(2013, 3, 4), as_of=world.platform.now(world.model))
    label = events[LABEL].fillna(0.0).to_numpy()
    other, lot = 0.3 * label + 0.7 * rng.random(len(label)), rng.random(len(label))
    return Pairs(events[[*data.keys, EVENT_TIME]], (1.0 - by_lot) * other + by_lot * lot, other)


def judged(world: World, blocks: str, by_lot: float) -> tuple[Any, list[Guardrail]]:
    """The gain in a rollout's shadow by these blocks, and the guardrails that follow from it."""
    now, model = world.platform.now(world.model), by(world, blocks)
    gain, _ = on_labels(world.platform, model, pairs(world, by_lot), now=now)
    rollout = Rollout(version=2, champion=1, state="shadow", step=0, since=now, decision="d")
    rails = guardrails(rollout, Seen(rows=1_000, gain=gain), RolloutPolicy(max_drop=0.05))
    return gain, [rail for rail in rails if rail.name == "metric"]


@pytest.mark.parametrize("blocks", ["carrier", "feat_flight__distance_miles"])
def test_a_rollout_is_judged_by_the_blocks_of_the_yaml(drifting: World, blocks: str) -> None:
    """A column of the label model, and a feature that is joined for it."""
    gain, (rail,) = judged(drifting, blocks, BREAKS)
    assert isinstance(gain, Paired)
    assert (gain.blocks, rail.holds) == (blocks, False)
    assert f"rows on {gain.n_blocks} blocks by {blocks})" in rail.sentence
    days, _ = judged(drifting, "day", BREAKS)
    assert days.gain == gain.gain
    assert days.se != gain.se


def test_a_candidate_that_says_the_same_holds_and_too_few_blocks_say_nothing_yet(drifting: World) -> None:
    gain, (rail,) = judged(drifting, "carrier", HOLDS)
    assert (gain.gain, rail.holds) == (0.0, True)
    few, rails = judged(drifting, "origin", BREAKS)
    assert isinstance(few, CannotJudge)
    assert "3 blocks" in few.why
    assert rails == []


def test_a_backtest_reads_entities_that_are_the_same_in_all_windows(drifting: World) -> None:
    history = past(drifting.platform, by(drifting, "carrier"), rows=2_000)
    assert history.rows.by == "carrier"
    times = history.rows.times
    halves = [set(np.asarray(history.rows.blocks)[part]) for part in (times < times[1_000], times >= times[1_000])]
    assert len(halves[0] & halves[1]) >= 8
    days = past(drifting.platform, drifting.model, rows=2_000)
    assert days.rows.by == "day"
    assert np.issubdtype(np.asarray(days.rows.blocks).dtype, np.datetime64)
