"""A candidate's way on real flights, in batches: all the way, stopped in shadow, stopped by a person, frozen.

With the service answering, back from the watch, and killed in between: `test_rollout_online`.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from mlops_assets.assets.monitoring_assets import build_monitoring_assets
from mlops_assets.assets.rollout_assets import build_rollout_assets, build_rollout_job, build_rollout_sensor
from mlops_assets.assets.training_assets import build_training_assets
from mlops_assets.core.record.entries import Freeze, Request, Rollback
from mlops_assets.core.rollout.moves import Rollout
from mlops_assets.core.settings_sections import RolloutSpec
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.steps.predict.predictions import read_scores, score_days
from mlops_assets.steps.predict.scoring_versions import ARM, SHADOW, VERSION
from mlops_assets.steps.rollout.moves import look, move_on, moves, start
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.mlflow.registry import _cache
from mlops_assets.world.mlflow.tracking import Tracking
from tests.real_slice import WEEKS, World

pytestmark = pytest.mark.slow

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
    return [(move.state, move.step) for move in moves(world.platform, world.model)]


def arms(world: World, day: date) -> dict[tuple[str, int], int]:
    rows = read_scores(world.platform, world.model, day, day + DAY)
    return rows.groupby([ARM, VERSION]).size().to_dict()


def candidate(world: World) -> Rollout:
    """A candidate without a training: the champion's own model, registered once more."""
    registry, name = world.platform.registry, world.model.name
    champion = registry.version(name, 1)
    run = registry.client.create_run(registry.client.get_run(champion.run_id).info.experiment_id)
    tags = {**champion.tags, "challenged_by": "d2"}
    made = registry.register(name, registry.load(name, 1), run_id=run.info.run_id, tags=tags)
    assert made.version == 2
    told = {"promised": None, "fitted_until": champion.tags["fitted_until"]}
    now = world.platform.now(world.model)
    return start(world.platform, world.model, 2, decision="d2", reason="better", at=now, promise=told)


def spoil(world: World, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on a version says the opposite of what it knows."""
    from mlops_assets.world.mlflow.registry import Registry

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
    world.platform.ledger.record.note(world.model.name, Request, reason="a new feature", by="ana")
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
    # Cancelled flights never get a label: with a longer delay the stormy days would mature a week later.
    spec = RolloutSpec(**{**BASE, "shadow": 24.0 * 30})
    world = drifting.with_settings(rollout=spec, label={"max_delay": "1d"})
    world.at(START - 4 * DAY)
    for n in range(-4, 0):
        # They were scored by the champion alone, and would stay so.
        world.platform.lake.file("predictions", world.model.name, partition=START + n * DAY, name="batch").unlink()
    begun = candidate(world)
    spoil(world, 2, monkeypatch)
    world.at(START + 3 * DAY)
    score_days(world.platform, world.model, [START + n * DAY for n in range(-4, 3)])
    (looked,) = move_on(world.platform, world.model)
    # Six or seven days of matured labels are no ground to judge on.
    assert isinstance(looked.seen.gain, CannotJudge)
    told = str(looked.seen.gain)
    assert re.search(r"because (6|7) days of matured labels, and 8 are needed: (2|1) more, by 2013-[\d-]+ at the", told)
    assert not looked.move.moved
    world.at(START + 6 * DAY)
    score_days(world.platform, world.model, [START + n * DAY for n in range(3, 6)])
    (looked,) = move_on(world.platform, world.model)
    assert looked.move.moved
    assert [rail.name for rail in looked.move.guardrails if not rail.holds] == ["metric", "calibration"]
    assert states(world) == [("shadow", 0), ("rejected", 0)]
    assert world.aliases() == {"champion": 1}
    rejection, ended = world.ledger()[-2:]
    assert (rejection["kind"], rejection["version"], rejection["decision"]) == ("rejection", 2, begun.decision)
    assert rejection["reason"].startswith("Stopped in shadow: On matured labels roc_auc is")
    assert ended["seen"]["gain"]["upper"] < 0
    assert move_on(world.platform, world.model) == []


def test_a_person_goes_back_at_once(drifting: World, mlops: Any) -> None:
    import json

    world = drifting
    world.tick()
    assert world.aliases() == {"champion": 2, "previous": 1}
    said = mlops("rollback", "--all", "--reason", "complaints", "--by", "ana", "--yes", "--json")
    # The others have nothing to go back to, and keep nobody from going back.
    assert said.exit_code == 1
    answers = json.loads(said.stdout)
    assert answers["refused"].keys() == {"arrival_delay", "card_fraud", "carrier_delay"}
    done = answers["done"][world.model.name]
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


def test_a_week_at_once_passes_shadow_and_canaries_in_one_look(drifting: World) -> None:
    """As in a replay: the clock leaps, and every row of the week was scored by both."""
    world = rolled(drifting)
    world.at(START)
    candidate(world)
    world.at(START + 7 * DAY)
    score_days(world.platform, world.model, [START + n * DAY for n in range(7)])
    found = move_on(world.platform, world.model)
    assert [look.move.moved for look in found] == [True, True, True, False]
    assert states(world) == [("shadow", 0), ("canary", 0), ("canary", 1), ("watch", 1)]
    first, second = (m.since.date() for m in moves(world.platform, world.model)[1:3])
    assert (first, second) == (START + DAY, START + 2 * DAY)
    # On record they all happened now, and the watch begins now.
    assert {m.at for m in moves(world.platform, world.model)[1:]} == {world.platform.now(world.model)}
    assert moves(world.platform, world.model)[-1].since == world.platform.now(world.model)


def test_frozen_nothing_goes_forward_and_guardrails_stop_all_the_same(
    drifting: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = rolled(drifting, max_psi=0.5)
    world.at(START)
    candidate(world)
    record = world.platform.ledger.record
    record.note(world.model.name, Freeze, until="2014-01-01T00:00:00+00:00", by="ana", reason="the fair")
    world.at(START + 2 * DAY)
    score_days(world.platform, world.model, [START])
    (looked,) = move_on(world.platform, world.model)
    assert "frozen until 2014-01-01" in looked.move.reason
    assert states(world) == [("shadow", 0)]
    spoil(world, 2, monkeypatch)
    score_days(world.platform, world.model, [START])
    move_on(world.platform, world.model)
    assert states(world) == [("shadow", 0), ("rejected", 0)]


def test_a_candidate_that_cannot_be_loaded_keeps_nobody_from_answering(drifting: World) -> None:
    from urllib.parse import urlsplit

    world = rolled(drifting)
    world.at(START)
    candidate(world)
    file = Path(urlsplit(world.platform.registry.version(world.model.name, 2).source).path) / "model.ubj"
    file.unlink()
    _cache.clear()
    world.at(START + DAY)
    scored = score_days(world.platform, world.model, [START])
    assert scored is not None
    assert "is gone" in scored.unscored or scored.shadows  # the champion's own bytes may still be in memory
    assert set(scored.versions) == {"1"}
    move_on(world.platform, world.model)
    assert states(world) == [("shadow", 0), ("rejected", 0)]
    assert "It cannot be loaded" in moves(world.platform, world.model)[-1].reason


def test_the_sensor_asks_for_one_look_and_the_asset_shows_the_moves(drifting: World, mlops: Any) -> None:
    world = rolled(drifting, max_psi=0.5)  # the candidate is the champion's twin, so that its scores can be held to it
    world.at(START)
    candidate(world)
    vars(world)["definitions"] = dg.Definitions(
        assets=[
            *build_training_assets(world.model),
            *build_monitoring_assets(world.model),
            *build_rollout_assets(world.model),
        ],
        jobs=[build_rollout_job([world.model])],
        sensors=[build_rollout_sensor(lambda _: {world.model.name: world.model})],
        resources={
            "platform": world.platform,
            "tracking": Tracking(home=str(world.home.root)),
            "alerts": Alerts(root=str(world.home.root)),
        },
    )
    sensor = "rollout_sensor"
    world.at(START + DAY)
    score_days(world.platform, world.model, [START])
    (run,) = world.engine.tick(sensor).runs
    assert states(world) == [("shadow", 0), ("canary", 0)]
    (shown,) = run.asset_materializations_for_node(f"{world.model.name}_rollout")
    assert shown.metadata["state"].value == "canary 5 %"
    assert "| version 2" in shown.metadata["moves"].value
    assert shown.metadata["plot"].value.startswith(
        "![flight_delay: share of the entities that each candidate answers](data:image/svg+xml;base64,"
    )
    (check,) = run.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("guardrails_hold", True)
    # What the look has moved is looked at once more, and then there is nothing new.
    world.engine.tick(sensor)
    before, told = world.runs(), world.ledger()
    assert "Nothing new was scored" in world.engine.tick(sensor).skipped
    assert (world.runs(), world.ledger()) == (before, told)
    said = mlops("rollout", world.model.name)
    assert said.exit_code == 0, said.output
    assert "Version 2 is in canary with 5 % of the entities" in " ".join(said.output.split())
    assert "rollout of version 2: canary 5 %" in mlops("record", "show", world.model.name).output


def test_a_person_stops_a_canary_and_the_champion_stays(drifting: World, mlops: Any) -> None:
    world = rolled(drifting, shadow=0.0)
    world.at(START)
    candidate(world)
    assert states(world) == [("canary", 0)]
    said = mlops("rollback", world.model.name, "--reason", "complaints")
    assert said.exit_code == 0, said.output
    assert "Version 2 answers nothing more" in said.output
    assert world.aliases() == {"champion": 1}
    assert states(world) == [("canary", 0), ("rolled_back", 0)]
    assert world.ledger("rejection")[-1]["reason"] == "Stopped in canary: complaints"
    assert world.ledger("rollback", "snooze") == []


def test_a_training_under_way_when_it_goes_back_is_not_promoted(drifting: World) -> None:
    world = drifting
    (request,), _ = world.engine.requests(world.sensor)
    record = world.platform.ledger.record
    record.note(world.model.name, Rollback, version=1, decision=None, reason="complaints", id="r")
    world.engine.execute(request)
    assert world.aliases() == {"champion": 1}
    rejection = world.ledger("rejection")[-1]
    assert rejection["reason"].startswith("While it was in training the model went back to version 1. The gate had let")
