"""A candidate's way with the service answering under steady load: to champion, stopped, back, and killed in between."""

from __future__ import annotations

import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from mlops_assets.assets.platform.alert_sensor import alert_sensor
from mlops_assets.core.models.model import Model
from mlops_assets.core.record.entries import Request
from mlops_assets.core.rollout.moves import rollbacks
from mlops_assets.core.settings_sections import RolloutSpec
from mlops_assets.serving.rehearsal.drill_home import DrillHome, worse
from mlops_assets.serving.rehearsal.traffic import Load, Traffic, newest_events
from mlops_assets.steps.keep.model_alarms import model_alarms
from mlops_assets.steps.predict.answer_counts import answering
from mlops_assets.steps.predict.predictions import score_days
from mlops_assets.steps.rollout.moves import Looked, move_on, moves, start
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.mlflow.store import MlflowUnavailable
from tests import killing
from tests.killing import Online, killed
from tests.moments import Moment
from tests.real_slice import WEEKS, World
from tests.receiver import Receiver, receiving

WHERE = {"Record": "record.record", "Registry": "mlflow.registry"}

pytestmark = pytest.mark.slow
START, DAY = WEEKS[-1], timedelta(days=1)
RATE = 25.0
STEPS = {"max_psi": None, "max_p99_ms": 5_000.0, "watch": 72.0}
"""A busy machine makes every version slow; only the slow one is held to the usual limit."""


@pytest.fixture(scope="module", autouse=True)
def forking() -> Iterator[None]:
    with killing.forking():
        yield


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as found:
        monkeypatch.setenv("MLOPS_ALERT_URLS", found.url())
        yield found


@contextmanager
def online(world: World, slow: tuple[int, float] | None = None) -> Iterator[tuple[Online, Load]]:
    """The service of a world in a process of its own, under load."""
    service = Online(world.home, slow)
    service.start()
    try:
        rows = newest_events(world.platform, world.model)
        with Traffic(service.address, world.model.name, rows, rate=RATE).running() as load:
            yield service, load
    finally:
        service.kill()


def until(condition: Callable[[], Any], seconds: float = 120.0) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it did not come to that"
        time.sleep(0.02)


def rolled(world: World, **fields: Any) -> World:
    return world.with_settings(rollout=RolloutSpec(**{**STEPS, **fields}), label={"max_delay": "1d"})


def bring_in(world: World, make: Callable[[DrillHome], Model], day: date = START) -> None:
    """A version that passed the gate: registered, and its rollout begun; nobody has scored the days from then on."""
    world.at(day)
    for number in range((START - day).days):
        past = day + number * DAY
        world.platform.lake.file("predictions", world.model.name, partition=past, name="batch").unlink()
    champion = world.platform.registry.load(world.model.name, 1)
    shelf = DrillHome(world.platform, world.model, champion, day, day)
    tags = {"fitted_until": world.platform.registry.version(world.model.name, 1).tags["fitted_until"]}
    version = shelf.register(make(shelf), {**tags, "challenged_by": "d2"})
    now = world.platform.now(world.model)
    told = {"promised": None, "fitted_until": tags["fitted_until"]}
    start(world.platform, world.model, version, decision="d2", reason="better", at=now, promise=told)


def twin(shelf: DrillHome) -> Model:
    """As good as the champion: it is the champion."""
    return shelf.champion


def live(world: World, number: int) -> list[Looked]:
    """A day's data arrive and are scored; the rollout moves."""
    day = START + number * DAY
    world.at(day + DAY)
    score_days(world.platform, world.model, [day])
    return move_on(world.platform, world.model)


def states(world: World) -> list[tuple[str, int]]:
    return [(move.state, move.step) for move in moves(world.platform, world.model)]


def broken(world: World) -> list[str]:
    last = moves(world.platform, world.model)[-1]
    return [rail["name"] for rail in last.guardrails if not rail["holds"]]


def alarm(world: World) -> dict[str, Any] | None:
    found = [a for a in model_alarms(world.platform, world.model) if a["key"].startswith("rollout/")]
    return found[0] if found else None


def logged(world: World, service: Online) -> set[tuple[str, int]]:
    """Who is in the service's log, what it has not written yet included."""
    request = urllib.request.Request(f"{service.address}/admin/flush", method="POST")
    with urllib.request.urlopen(request, timeout=60):
        pass
    rows = world.platform.lake.read("predictions", world.model.name, name="online", columns=["arm", "model_version"])
    return set(rows.itertuples(index=False, name=None)) if len(rows) else set()


WHOLE_WAY = [("shadow", 0), ("canary", 0), ("canary", 1), ("watch", 1), ("champion", 1)]


def counted(world: World, version: int, arm: str) -> bool:
    """Whether the platform knows of an answer."""
    ago = datetime(2000, 1, 1, tzinfo=UTC)
    return bool(answering(world.platform.lake, world.model.name, version, [arm], since=ago, day=ago.date()).times)


def test_a_good_one_becomes_champion_without_a_failed_request(drifting: World) -> None:
    world = rolled(drifting)
    bring_in(world, twin)
    with online(world) as (service, load):
        until(lambda: ("shadow", 2) in logged(world, service))
        assert set(load.arms) == {("champion", 1)}
        live(world, 0)
        # The service writes its counts twice a second: an answer may come before it is counted.
        until(lambda: ("canary", 2) in load.arms and counted(world, 2, "canary"))
        logged(world, service)
        live(world, 1)
        # Beside what one of the two answers, the other one says what it would have.
        until(lambda: {("canary", 2), ("shadow", 1), ("shadow", 2)} <= logged(world, service))
        live(world, 2)
        until(lambda: ("champion", 2) in load.arms)
        # In the watch the one before scores beside it.
        before = load.sent
        for number in (3, 4, 5):
            live(world, number)
        until(lambda: load.sent > before + 10)
    assert load.failed == 0, load.failures
    assert states(world) == WHOLE_WAY
    assert world.aliases() == {"champion": 2, "previous": 1}
    canary = next(m for m in moves(world.platform, world.model) if (m.state, m.step) == ("canary", 1))
    assert canary.seen["answers"] > 0
    assert {rail["name"]: rail["holds"] for rail in canary.guardrails} == {"errors": True, "p99": True}
    assert world.ledger("promotion")[-1]["decision"] == "d2"
    assert alarm(world) is None


def test_a_worse_one_is_stopped_in_shadow(drifting: World) -> None:
    world = rolled(drifting, shadow=24.0 * 30)
    bring_in(world, worse, START - 4 * DAY)
    with online(world) as (service, load):
        until(lambda: ("shadow", 2) in logged(world, service))
        world.at(START + 6 * DAY)
        score_days(world.platform, world.model, [START + number * DAY for number in range(-4, 6)])
        move_on(world.platform, world.model)
    assert load.failed == 0, load.failures
    assert set(load.arms) == {("champion", 1)}
    assert states(world) == [("shadow", 0), ("rejected", 0)]
    assert rollbacks(world.platform.ledger.entries(world.model.name)) == 0
    assert broken(world) == ["metric", "calibration"]
    assert world.ledger("rejection")[-1]["reason"].startswith("Stopped in shadow: On matured labels")
    told = alarm(world)
    assert told is not None
    assert (told["severity"], told["runbook"]) == ("digest", "stopped-candidate")


def test_a_slow_one_is_stopped_in_canary_and_told(drifting: World, receiver: Receiver) -> None:
    world = rolled(drifting, shadow=0.0, canary=(25.0,), max_p99_ms=200.0)
    bring_in(world, twin)
    with online(world, slow=(2, 0.25)) as (service, load):
        until(lambda: load.arms["canary", 2] >= 3)
        logged(world, service)
        until(lambda: [look for look in move_on(world.platform, world.model) if look.move.moved])
        until(lambda: time.perf_counter() - load.last_by_version[2] > 1.0)
    assert load.failed == 0, load.failures
    assert states(world) == [("canary", 0), ("rolled_back", 0)]
    assert rollbacks(world.platform.ledger.entries(world.model.name)) == 1
    assert broken(world) == ["p99"]
    assert world.aliases() == {"champion": 1}
    assert "Stopped in canary: " in world.ledger("rejection")[-1]["reason"]
    told(world)
    assert receiver.titles() == ["[mlops notify] rollout/flight_delay"]
    lines = receiver.posts[0]["message"].splitlines()
    told_of = "What happened: flight_delay: version 2 was stopped in canary. "
    assert lines[0].startswith((f"{told_of}99 % of its ", f"{told_of}Its "))
    assert lines[1] == "What the platform did: It took it out of service; version 1 answers everything."
    assert lines[2].startswith("What you can do: See what was measured: `mlops --home ")
    assert lines[-1] == "Runbook: docs/runbook.md#stopped-candidate"
    world.platform.ledger.record.note(world.model.name, Request, reason="mended", by="ana")
    told(world)
    assert receiver.titles()[1:] == ["[mlops notify] All clear: rollout/flight_delay"]


def told(world: World) -> None:
    """A tick of the alert sensor."""
    resources = {"platform": world.platform, "alerts": Alerts(root=str(world.home.root))}
    with dg.build_sensor_context(instance=world.instance, resources=resources) as context:
        alert_sensor(context)


def test_one_that_turns_bad_after_its_promotion_is_rolled_back(drifting: World) -> None:
    world = rolled(drifting, shadow=0.0, canary=(), watch=24.0 * 30)
    bring_in(world, worse, START - 4 * DAY)
    with online(world) as (service, load):
        until(lambda: ("champion", 2) in load.arms)
        until(lambda: ("shadow", 1) in logged(world, service))
        world.at(START + 6 * DAY)
        score_days(world.platform, world.model, [START + number * DAY for number in range(-4, 6)])
        move_on(world.platform, world.model)
        until(lambda: time.perf_counter() - load.last_by_version[2] > 0.5)
    assert load.failed == 0, load.failures
    assert states(world) == [("watch", 0), ("rolled_back", 0)]
    assert rollbacks(world.platform.ledger.entries(world.model.name)) == 1
    assert broken(world) == ["metric", "calibration"]
    assert world.aliases() == {"champion": 1, "previous": 2}
    rollback, snooze = world.ledger("rollback", "snooze")
    assert (rollback["version"], rollback["previous"], snooze["by"]) == (1, 2, "the platform")
    found = alarm(world)
    assert found is not None
    assert (found["severity"], found["runbook"]) == ("notify", "rollback")
    assert move_on(world.platform, world.model) == []
    assert world.platform.registry.rollout(world.model.name) is None


def test_killed_at_each_stage_the_outcome_is_the_same(drifting: World) -> None:
    """Service, mover and registry: each is gone once on each step of the way."""
    fields = {"rollout": RolloutSpec(**STEPS), "label": {"max_delay": "1d"}}
    world = drifting.with_settings(**fields)
    bring_in(world, twin)
    store = world.home.mlflow / "mlflow.db"
    moments = ("Registry.tag", "Registry.tag", "Registry.promote", "Record.append")
    with online(world) as (service, load):
        for number, moment in enumerate(moments):
            service.kill()
            service.start()
            shutil.move(store, store.with_suffix(".away"))
            with pytest.raises(MlflowUnavailable):
                move_on(world.platform, world.model)
            before = load.sent - load.failed
            until(lambda before=before: load.sent - load.failed > before)
            shutil.move(store.with_suffix(".away"), store)
            if number == 3:
                world.at(START + 5 * DAY)
                score_days(world.platform, world.model, [START + past * DAY for past in (3, 4)])
                world.at(START + 6 * DAY)
            day = START + (number if number < 3 else 5) * DAY
            world.at(day + DAY)
            score_days(world.platform, world.model, [day])
            owner, name = moment.split(".")
            module = f"mlops_assets.world.{WHERE[owner]}"
            killed(world.home, Moment(f"{module}:{owner}.{name}"), killing.move_on, fields)
            move_on(world.platform, world.model)
        until(lambda: load.arms["champion", 2] > 0)
    assert states(world) == WHOLE_WAY
    assert world.aliases() == {"champion": 2, "previous": 1}
    assert len(world.ledger("promotion")) == 2
    # While it was dead nobody answered; whoever was answered was answered right.
    assert all(why.startswith("nobody answered") for why in load.failures), load.failures
