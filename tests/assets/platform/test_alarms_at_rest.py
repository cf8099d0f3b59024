"""Who the alert sensor looks at, and that what it tells is what a look at every model at each tick would tell."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.assets import model_looks
from mlops_assets.assets.platform import alert_sensor as module
from mlops_assets.assets.platform.alert_sensor import alert_sensor
from mlops_assets.core.record.entries import Decision, Refusal
from mlops_assets.core.settings import ModelSettings
from mlops_assets.steps.keep.model_alarms import PREFIXES, model_alarms
from mlops_assets.steps.watch.classes import REPORT as CLASSES
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.atomic import write_text
from mlops_assets.world.home import Home, working_in
from mlops_assets.world.lake import Lake
from mlops_assets.world.platform import Platform
from mlops_assets.world.record.ledger import Ledger
from tests.sent_alerts import sent_alerts

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
FIRST, SECOND = "flight_delay", "card_fraud"


class Killed(BaseException):
    """The end of the process, at the point where it is raised."""


@dataclass
class Fleet:
    """Two models on one home, and a sensor whose cursor is kept as Dagster keeps it: when its tick has ended."""

    home: Home
    platform: Platform
    declared: dict[str, ModelSettings]
    cursor: str | None = None
    looked: list[str] = field(default_factory=list)
    proposals: Counter[str] = field(default_factory=Counter)

    @property
    def alerts(self) -> Alerts:
        return Alerts(root=str(self.home.root))

    def tick(self) -> str:
        """One tick; `looked` has those whose alarms were looked for in it."""
        self.looked.clear()
        resources = {"platform": self.platform, "alerts": self.alerts}
        with (
            dg.DagsterInstance.ephemeral() as instance,
            dg.build_sensor_context(instance, cursor=self.cursor, resources=resources) as context,
        ):
            result = alert_sensor(context)
        assert isinstance(result, dg.SensorResult)
        assert result.skip_reason is not None
        self.cursor = result.cursor
        return str(result.skip_reason.skip_message)

    def open(self) -> set[str]:
        """The incidents of models that last."""
        return {each.key for each in self.alerts.incidents.state().open if each.key.startswith(PREFIXES)}

    def propose(self, model: str) -> None:
        self.proposals[model] += 1
        number = self.proposals[model]
        values: dict[str, Any] = {"action": "propose_retrain", "rule": "gain", "reasons": ["A refit is better."]}
        values |= {"question": f"q{number}", "evidence": {"model": model, "window": f"w{number}"}}
        self.platform.ledger.record.note(model, Decision, at=NOW, id=f"d{number}", **values)

    def refuse(self, model: str) -> None:
        number = self.proposals[model]
        values = {"question": f"q{number}", "decision": f"d{number}", "by": "ada", "reason": "not now"}
        self.platform.ledger.record.note(model, Refusal, at=NOW, id=f"refusal-{number}", **values)

    def cut(self, model: str) -> None:
        """Take the record's last line away."""
        file = self.platform.ledger.file(model)
        file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    with working_in(Home(tmp_path / "home"), own_store=True) as home:
        home.prepare()
        platform = Platform.of(home)
        fleet = Fleet(home, platform, {name: platform.models()[name] for name in (FIRST, SECOND)})
        monkeypatch.setattr(Platform, "models", lambda _: fleet.declared)

        def counting(platform: Platform, model: ModelSettings) -> list[dict[str, Any]]:
            fleet.looked.append(model.name)
            return model_alarms(platform, model)

        monkeypatch.setattr(module, "model_alarms", counting)
        # Of sources, which have tests of their own.
        monkeypatch.setattr(module, "lasting", lambda _: set())
        yield fleet


def test_what_lasts_stays_open_without_a_look_until_something_is_written(fleet: Fleet) -> None:
    fleet.propose(FIRST)
    fleet.tick()
    assert fleet.looked == [FIRST, SECOND]
    for _ in range(2):
        assert fleet.tick().startswith("1 open incident; ")
        assert fleet.looked == []
    assert fleet.open() == {f"approval/{FIRST}"}
    fleet.refuse(FIRST)
    fleet.tick()
    assert (fleet.looked, fleet.open()) == ([FIRST], set())


def test_the_cursor_stays_small_however_many_models_there_are(fleet: Fleet) -> None:
    fleet.tick()
    first = fleet.cursor
    fleet.declared = {
        f"m{number}": fleet.declared[FIRST].model_copy(update={"name": f"m{number}"}) for number in range(9)
    }
    fleet.tick()
    assert first and fleet.cursor
    assert len(first) == len(fleet.cursor) == 32
    assert first != fleet.cursor


@pytest.mark.parametrize("lost", ["incidents.json", f"looks/{module.ALARMS}.json"])
def test_what_lasts_is_told_again_where_a_file_is_lost(fleet: Fleet, lost: str) -> None:
    fleet.propose(FIRST)
    for _ in range(3):
        fleet.tick()
    (fleet.home.root / lost).unlink()
    fleet.tick()
    assert fleet.open() == {f"approval/{FIRST}"}


def test_a_cursor_that_a_person_sets_back_has_all_looked_at(fleet: Fleet) -> None:
    fleet.tick()
    for cursor in (None, '{"flight_delay": ["a stamp of an earlier release", null]}'):
        fleet.cursor = cursor
        fleet.tick()
        assert fleet.looked == [FIRST, SECOND]


def test_the_alarm_of_a_model_that_is_no_longer_declared_is_over(fleet: Fleet) -> None:
    fleet.propose(FIRST)
    fleet.propose(SECOND)
    for _ in range(3):
        fleet.tick()
    gone = fleet.declared.pop(FIRST)
    fleet.tick()
    assert (fleet.looked, fleet.open()) == ([], {f"approval/{SECOND}"})
    fleet.declared[FIRST] = gone
    fleet.tick()
    assert fleet.looked == [FIRST]


def test_what_could_not_be_decided_on_a_model_ends_with_it(fleet: Fleet) -> None:
    for name in (FIRST, SECOND):
        key = f"undecided/{name}/training_set"
        fleet.alerts.send(
            incident=key, happened="KeyError", did="Nothing.", do="Look.", runbook="nothing-decided", key=key
        )
    fleet.tick()
    fleet.declared.pop(FIRST)
    fleet.tick()
    assert [each.key for each in fleet.alerts.incidents.state().open] == [f"undecided/{SECOND}/training_set"]


def test_a_broken_record_is_an_alarm_of_that_model_until_it_is_restored(fleet: Fleet) -> None:
    fleet.propose(FIRST)
    fleet.propose(SECOND)
    for _ in range(3):
        fleet.tick()
    file = fleet.platform.ledger.file(FIRST)
    whole = file.read_bytes()
    fleet.cut(FIRST)
    fleet.tick()
    assert fleet.open() == {f"broken-record/{FIRST}", f"approval/{SECOND}"}
    for _ in range(2):
        fleet.tick()
        assert fleet.looked == [FIRST], "what cannot be read is tried at each tick"
    file.write_bytes(whole)
    fleet.tick()
    assert f"broken-record/{FIRST}" not in fleet.open()
    head = fleet.platform.ledger.record.head_file(SECOND)
    fleet.cut(SECOND)
    fleet.tick()
    head.unlink()
    fleet.tick()
    assert not any(key.startswith("broken-record/") for key in fleet.open())


def test_a_head_that_is_put_back_is_news(fleet: Fleet) -> None:
    """The record itself is as it was, and does not fit the head any more."""
    fleet.propose(FIRST)
    head = fleet.platform.ledger.record.head_file(FIRST)
    fleet.propose(FIRST)
    newest = head.read_bytes()
    head.unlink()
    fleet.cut(FIRST)
    for _ in range(3):
        fleet.tick()
    assert fleet.looked == []
    head.write_bytes(newest)
    fleet.tick()
    assert fleet.open() == {f"broken-record/{FIRST}"}


def test_a_model_that_breaks_keeps_its_incidents_and_stops_no_other(fleet: Fleet) -> None:
    fleet.propose(FIRST)
    for _ in range(3):
        fleet.tick()
    summary = fleet.platform.lake.folder("reports", FIRST, CLASSES) / "summary.json"
    write_text(summary, "{}")
    fleet.propose(SECOND)
    for _ in range(2):
        fleet.tick()
        assert fleet.open() == {f"approval/{FIRST}", f"approval/{SECOND}"}
    undecided = {each.key for each in fleet.alerts.incidents.state().open} - fleet.open()
    assert undecided == {f"undecided/{FIRST}/{module.ALARMS}"}
    summary.unlink()
    fleet.refuse(FIRST)
    fleet.tick()
    assert {each.key for each in fleet.alerts.incidents.state().open} == {f"approval/{SECOND}"}


def test_a_model_that_a_tick_has_no_time_for_keeps_its_incidents(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (FIRST, SECOND):
        fleet.propose(name)
    for _ in range(3):
        fleet.tick()
    monkeypatch.setattr(model_looks, "MOST_SECONDS", -1.0)
    fleet.cursor = None
    assert fleet.tick().endswith("The next tick goes on with 1 model.")
    assert (fleet.looked, fleet.open()) == ([FIRST], {f"approval/{FIRST}", f"approval/{SECOND}"})
    fleet.tick()
    assert fleet.looked == [SECOND]


OPERATIONS = ("propose", "refuse", "cut", "lose", "declare")


def at_random(fleet: Fleet, chance: random.Random, known: dict[str, ModelSettings]) -> None:
    """Something that a platform or a person does between two ticks."""
    name, operation = chance.choice([FIRST, SECOND]), chance.choice(OPERATIONS)
    if operation == "declare":
        fleet.declared = {each: known[each] for each in known if chance.random() < 0.7}
    elif operation == "lose":
        (fleet.home.root / "incidents.json").unlink(missing_ok=True)
    elif fleet.platform.ledger.file(name).exists():
        getattr(fleet, operation)(name)
    else:
        fleet.propose(name)


@pytest.mark.parametrize("seed", range(6))
def test_with_kills_at_any_point_it_tells_what_looking_at_all_at_each_tick_would(
    fleet: Fleet, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, calls_left = dict(fleet.declared), [0]

    def counted_down(call: Callable[..., Any]) -> Callable[..., Any]:
        def calling(*args: Any, **kwargs: Any) -> Any:
            calls_left[0] -= 1
            if calls_left[0] == 0:
                raise Killed
            return call(*args, **kwargs)

        return calling

    for call in ("send", "end"):
        monkeypatch.setattr(Alerts, call, counted_down(getattr(Alerts, call)))
    monkeypatch.setattr(module.KeptLooks, "write", counted_down(module.KeptLooks.write))
    other = Home(tmp_path / "else")
    other.prepare()
    root = str(other.root)
    platform = replace(fleet.platform, lake=Lake(root=root), ledger=Ledger(root=root))
    whole = Fleet(other, platform, dict(known))
    chances = [random.Random(seed), random.Random(seed)]
    for number in range(30):
        for each, chance in zip((fleet, whole), chances, strict=True):
            for _ in range(1 + number % 3):
                at_random(each, chance, known)
        whole.cursor, calls_left[0] = None, 0
        fleet_declared, fleet.declared = fleet.declared, whole.declared
        whole.tick()
        fleet.declared = fleet_declared
        calls_left[0] = 1 + number % 4
        try:
            fleet.tick()
        except Killed:
            fleet.tick()
        assert facts(fleet) == facts(whole)
    logs = [{alert.incident for alert in sent_alerts(each.alerts.file)} for each in (fleet, whole)]
    assert {incident.replace("/home/", "/else/") for incident in logs[0]} == logs[1]


def facts(fleet: Fleet) -> dict[str, tuple[str, ...]]:
    """What was told of each incident of a model that lasts."""
    state = fleet.alerts.incidents.state()
    lasting = [each for each in state.open if each.key.startswith(PREFIXES)]
    return {each.key: tuple(fact.replace("/home/", "/else/") for fact in each.facts) for each in lasting}
