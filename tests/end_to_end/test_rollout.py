"""A candidate's way on real flights: all the way, stopped in shadow, back from the watch, killed in between."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.settings import RolloutSpec
from mlops_assets.resources.casting import ARM, SHADOW, VERSION
from mlops_assets.resources.prediction_steps import read_scores, score_days
from mlops_assets.resources.rolling_out import look, move_on, moves
from tests.real_slice import WEEKS, World

START = WEEKS[-1]
"""March 4, when the drift of two weeks asks for a training."""
DAY = timedelta(days=1)
BASE = {"max_psi": None, "watch": 72.0}
"""The first champion has one round of boosting: any other model's scores lie far from its own."""


def rolled(world: World, **fields: Any) -> World:
    """The same home with a rollout agreed."""
    return world.with_settings(rollout=RolloutSpec(**{**BASE, **fields}))


def live(world: World, day: date) -> list[str]:
    """A day's data arrive and are scored; the rollout moves."""
    world.at(day + DAY)
    score_days(world.platform, world.model, [day])
    return [f"{found.move.rollout.state} {found.move.rollout.step}" for found in move_on(world.platform, world.model)]


def states(world: World) -> list[tuple[str, int]]:
    return [(entry["state"], entry["step"]) for entry in moves(world.platform, world.model)]


def arms(world: World, day: date) -> dict[tuple[str, int], int]:
    rows = read_scores(world.platform, world.model, day, day + DAY)
    return rows.groupby([ARM, VERSION]).size().to_dict()


def spoil(world: World, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on a version says the opposite of what it knows."""
    from mlops_assets.resources.registry import Registry

    class Contrary:
        def __init__(self, model: Any):
            self.model = model

        def predict(self, rows: pd.DataFrame) -> np.ndarray:
            return 1.0 - self.model.predict(rows)

    usual = Registry.load
    monkeypatch.setattr(
        Registry,
        "load",
        lambda self, name, number="champion": (
            Contrary(usual(self, name, number)) if number == version else usual(self, name, number)
        ),
    )


def test_a_good_candidate_goes_all_the_way(drifting: World) -> None:
    world = rolled(drifting)
    world.tick()
    assert world.aliases() == {"champion": 1, "candidate": 2}
    assert states(world) == [("shadow", 0)]
    assert "Version 2 is in shadow" in world.tick().skipped
    assert world.ledger("decision")[-1]["rule"] in ("rollout_open", "no_window")

    # March 4: in shadow it scores every event and answers none.
    assert live(world, START) == ["canary 0", "canary 0"]
    assert set(arms(world, START)) == {("champion", 1)}
    beside = world.platform.lake.read("predictions", world.model.name, name=SHADOW)
    assert set(beside[VERSION]) == {2}
    assert len(beside) == sum(arms(world, START).values())
    tags = world.platform.registry.version(world.model.name, 2).tags
    assert (tags["rollout_state"], tags["rollout_share"]) == ("canary", "0.05")

    # March 5: it answers five percent of the entities, and each event still has both scores.
    assert live(world, START + DAY) == ["canary 1", "canary 1"]
    found = arms(world, START + DAY)
    assert set(found) == {("champion", 1), ("canary", 2)}
    assert 0.02 < found["canary", 2] / sum(found.values()) < 0.09
    # March 6: the larger share keeps the entities of the smaller one.
    assert live(world, START + 2 * DAY) == ["watch 1", "watch 1"]
    found = arms(world, START + 2 * DAY)
    assert 0.2 < found["canary", 2] / sum(found.values()) < 0.3
    assert world.aliases() == {"champion": 2, "previous": 1}
    promotion = world.ledger("promotion")[-1]
    assert (promotion["version"], promotion["previous"]) == (2, 1)
    assert promotion["promised"]["gain"] > 0

    # March 7 and 8: the version before goes on scoring beside it.
    for past in (3, 4):
        assert live(world, START + past * DAY) == ["watch 1"]
        assert set(arms(world, START + past * DAY)) == {("champion", 2)}
    beside = world.platform.lake.read("predictions", world.model.name, name=SHADOW, start=START + 3 * DAY)
    assert set(beside[VERSION]) == {1}
    assert live(world, START + 5 * DAY) == ["champion 1"]
    assert states(world) == [("shadow", 0), ("canary", 0), ("canary", 1), ("watch", 1), ("champion", 1)]
    assert world.aliases() == {"champion": 2, "previous": 1}
    assert look(world.platform, world.model) is None
    assert live(world, START + 6 * DAY) == []
    assert ARM not in read_scores(world.platform, world.model, START + 6 * DAY, START + 7 * DAY)

    # Scored again, every day keeps its cast, byte for byte.
    files = world.files()
    score_days(world.platform, world.model, [START + n * DAY for n in range(7)])
    assert world.files() == files
