"""A candidate's way on real flights: all the way, stopped in shadow, back from the watch, killed in between."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.judging import CannotJudge
from mlops_assets.core.rollout import Rollout
from mlops_assets.core.settings import RolloutSpec
from mlops_assets.resources.casting import ARM, SHADOW, VERSION
from mlops_assets.resources.prediction_steps import read_scores, score_days
from mlops_assets.resources.rolling_out import look, move_on, moves, start
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


def candidate(world: World) -> Rollout:
    """A candidate without a training: the champion's own model, registered once more."""
    registry, name = world.platform.registry, world.model.name
    champion = registry.version(name, 1)
    made = registry.register(
        name, registry.load(name, 1), run_id=champion.run_id, tags={**champion.tags, "challenged_by": "d2"}
    )
    assert made.version == 2
    told = {"promised": None, "fitted_until": champion.tags["fitted_until"]}
    now = world.platform.now(world.model)
    return start(world.platform, world.model, 2, decision="d2", reason="better", at=now, told=told)


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
    world.platform.ledger.record.note(world.model.name, "request", reason="a new feature", by="ana")
    assert "Version 2 is in shadow since 2013-03-04 05:00 UTC" in world.tick().skipped
    assert world.ledger("decision")[-1]["rule"] == "rollout_open"

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


def test_a_worse_candidate_is_stopped_in_shadow(drifting: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world = rolled(drifting, shadow=24.0 * 30)
    world.at(START - 4 * DAY)
    begun = candidate(world)
    spoil(world, 2, monkeypatch)
    world.at(START + 3 * DAY)
    score_days(world.platform, world.model, [START + n * DAY for n in range(-4, 3)])
    (looked,) = move_on(world.platform, world.model)
    # Six or seven days of matured labels are no ground to judge on.
    assert isinstance(looked.seen.gain, CannotJudge)
    assert not looked.move.moved
    world.at(START + 6 * DAY)
    score_days(world.platform, world.model, [START + n * DAY for n in range(3, 6)])
    (looked,) = move_on(world.platform, world.model)
    assert looked.move.moved
    (broken,) = [rail for rail in looked.move.guardrails if not rail.holds]
    assert broken.name == "metric"
    assert states(world) == [("shadow", 0), ("rejected", 0)]
    assert world.aliases() == {"champion": 1}
    rejection, ended = world.ledger()[-2:]
    assert (rejection["kind"], rejection["version"], rejection["decision"]) == ("rejection", 2, begun.decision)
    assert rejection["reason"].startswith("Stopped in shadow: On matured labels roc_auc is")
    assert ended["seen"]["gain"]["upper"] < 0
    assert move_on(world.platform, world.model) == []


def test_a_champion_that_turns_bad_in_the_watch_goes_back(drifting: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world = rolled(drifting, shadow=0.0, canary=(), watch=24.0 * 30, max_drop=None, max_psi=0.5)
    world.tick()
    assert states(world) == [("watch", 0)]
    assert world.aliases() == {"champion": 2, "previous": 1}
    spoil(world, 2, monkeypatch)
    world.at(START + DAY)
    score_days(world.platform, world.model, [START])
    (looked,) = move_on(world.platform, world.model)
    assert [rail.name for rail in looked.move.guardrails if not rail.holds] == ["scores"]
    assert world.aliases() == {"champion": 1, "previous": 2}
    assert states(world) == [("watch", 0), ("rolled_back", 0)]
    rollback, snooze, ended = world.ledger()[-3:]
    assert (rollback["kind"], rollback["version"], rollback["previous"]) == ("rollback", 1, 2)
    assert "PSI" in rollback["reason"]
    assert (snooze["kind"], snooze["by"]) == ("snooze", "the platform")
    assert (ended["kind"], ended["state"]) == ("rollout", "rolled_back")
    assert move_on(world.platform, world.model) == []
    assert world.platform.registry.rollout(world.model.name) is None


def test_a_person_goes_back_at_once(drifting: World, mlops: Any) -> None:
    import json

    world = drifting
    world.tick()
    assert world.aliases() == {"champion": 2, "previous": 1}
    said = mlops("rollback", world.model.name, "--reason", "complaints", "--by", "ana", "--json")
    assert said.exit_code == 0, said.output
    done = json.loads(said.output)
    assert (done["champion"], done["before"]) == (1, 2)
    assert done["seconds"] < 5.0
    assert world.aliases() == {"champion": 1, "previous": 2}
    rollback, snooze = world.ledger()[-2:]
    assert (rollback["kind"], rollback["version"], rollback["by"]) == ("rollback", 1, "ana")
    assert (snooze["kind"], snooze["by"]) == ("snooze", "ana")
    again = mlops("rollback", world.model.name, "--reason", "and again")
    assert again.exit_code == 1
    assert "no version to go back to that was not left before" in again.output
    assert mlops("rollback", world.model.name, "--to", "2", "--reason", "it was not the model").exit_code == 0
    assert world.aliases() == {"champion": 2, "previous": 1}


@pytest.mark.parametrize("moment", ["registry", "record"])
def test_killed_between_alias_and_record_it_heals(
    drifting: World, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    from mlops_assets.resources.record import Record
    from mlops_assets.resources.registry import Registry

    world = rolled(drifting, shadow=0.0, canary=())
    owner, name = {"registry": (Registry, "tag"), "record": (Record, "append")}[moment]

    class Killed(BaseException):
        """As kill -9: nothing catches it."""

    def dies(*_: Any, **__: Any) -> None:
        raise Killed

    world.tick()
    world.at(START + 4 * DAY)
    score_days(world.platform, world.model, [START])
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, dies)
        with pytest.raises(Killed):
            move_on(world.platform, world.model)
    assert states(world) == [("watch", 0)]
    move_on(world.platform, world.model)
    assert states(world) == [("watch", 0), ("champion", 0)]
    assert len(world.ledger("promotion")) == 2
    assert move_on(world.platform, world.model) == []
