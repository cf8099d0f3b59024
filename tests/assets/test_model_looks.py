"""Who is looked at in a tick: a model of which something was written, whose time has come, or that broke."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from mlops_assets.assets import model_looks as module
from mlops_assets.assets.model_looks import Look, Tick
from mlops_assets.core.record.entries import Request
from mlops_assets.core.settings import ModelSettings
from mlops_assets.steps.decide import revisions
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.atomic import write_text
from mlops_assets.world.home import Home, HomeSettings, working_in
from mlops_assets.world.landed.partitions import TakenRecord
from mlops_assets.world.platform import Platform
from mlops_assets.world.runs.training_runs import TrainingRun, TrainingRuns
from tests.sent_alerts import sent_alerts

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


@dataclass
class Fleet:
    """Two models on one home; the second has another label and other sources."""

    home: Home
    platform: Platform
    models: dict[str, ModelSettings]
    cursor: str | None = None
    looked: list[str] = field(default_factory=list)
    answer: Callable[[ModelSettings], Look] = field(default=lambda _: Look("It waits.", rests=True))

    def look(self, model: ModelSettings) -> Look:
        self.looked.append(model.name)
        return self.answer(model)

    def tick(self) -> dg.SensorResult:
        """One tick; `looked` has those that were looked at in it."""
        self.looked.clear()
        with dg.build_sensor_context(cursor=self.cursor) as context:
            alerts = Alerts(root=str(self.home.root))
            result = Tick(self.platform, alerts, self.look, "training_set").over(context, lambda _: self.models)
        self.cursor = result.cursor
        return result


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with working_in(Home(tmp_path / "home"), own_store=True) as home:
        home.prepare()
        platform = Platform.of(home)
        delay, fraud = platform.models()["flight_delay"], platform.models()["card_fraud"]
        yield Fleet(home, platform, {"flight_delay": delay, "card_fraud": fraud})


def days(fleet: Fleet, *table: str) -> None:
    frame = pd.DataFrame({"x": [1]})
    fleet.platform.lake.write(frame, fleet.platform.lake.file(*table, partition=date(2026, 3, 3)))


def report(fleet: Fleet) -> None:
    folder = fleet.platform.lake.folder("reports", "flight_delay", "drift", "window=2026-03-02T0000")
    write_text(folder / "summary.json", "{}")


def aliased(fleet: Fleet) -> None:
    """As somebody does by hand in MLflow."""
    client, name = fleet.platform.registry.client, "flight_delay"
    if not fleet.platform.registry.versions(name):
        client.create_registered_model(name)
        client.create_model_version(name, source="somewhere", run_id=None)
        client.create_model_version(name, source="elsewhere", run_id=None)
    before = fleet.platform.registry.aliases().get(name, {}).get("champion", 1)
    client.set_registered_model_alias(name, "champion", str(3 - before))


WRITES: dict[str, Callable[[Fleet], Any]] = {
    "a person's request": lambda f: f.platform.ledger.record.note("flight_delay", Request, reason="now", by="ada"),
    "a day of labels": lambda f: days(f, "labels", "lbl_flight_delay"),
    "a day of a source": lambda f: days(f, "raw", "weather"),
    "what was taken in": lambda f: write_text(TakenRecord(f.home, "weather").file, "{}"),
    "a window's report": report,
    "what an asset has made": lambda f: f.platform.write_record("flight_delay", "evaluation", {}),
    "the end of a run": lambda f: TrainingRuns(f.home.root).note("flight_delay", "d1", TrainingRun("r1", "It broke.")),
    "an alias": aliased,
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_model_rests_until_something_of_it_is_written(fleet: Fleet, write: Callable[[Fleet], Any]) -> None:
    fleet.tick()
    assert fleet.looked == ["flight_delay", "card_fraud"]
    for _ in range(2):
        told = fleet.tick().skip_reason
        assert told is not None
        assert told.skip_message is not None
        assert told.skip_message.startswith("Nothing new for 2 models; ")
        assert fleet.looked == []
    # The second time it is a change of what stands there.
    for _ in range(2):
        write(fleet)
        fleet.tick()
        assert fleet.looked == ["flight_delay"]
        fleet.tick()
        assert fleet.looked == []


def test_what_all_models_share_is_news_for_all(fleet: Fleet) -> None:
    fleet.tick()
    fleet.home.configure(HomeSettings(clock="data"))
    fleet.tick()
    assert fleet.looked == ["flight_delay", "card_fraud"]


def test_time_alone_brings_a_model_back(fleet: Fleet) -> None:
    at = {"flight_delay": datetime.now(UTC) - timedelta(seconds=1), "card_fraud": datetime.now(UTC) + timedelta(days=1)}
    fleet.answer = lambda model: Look("It waits.", rests=True, again_at=at[model.name])
    fleet.tick()
    fleet.tick()
    assert fleet.looked == ["flight_delay"]


def test_a_tick_that_lasts_too_long_goes_on_in_the_next(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster gives up a long one with all that it has found, and a thousand models may have news at midnight."""
    monkeypatch.setattr(module, "MOST_SECONDS", -1.0)
    request = dg.RunRequest(run_key="d1")
    asks = {"flight_delay"}
    fleet.answer = lambda m: Look("retrain (gain).", request) if m.name in asks else Look("It waits.", rests=True)
    assert fleet.tick().run_requests == [request]
    asks.clear()
    for looked in (["flight_delay"], ["card_fraud"], []):
        told = fleet.tick().skip_reason
        assert fleet.looked == looked
        assert told is not None
        assert ("The next tick goes on with 1 model." in str(told.skip_message)) is (looked == ["flight_delay"])


def test_what_is_written_during_a_look_is_news_at_the_next_tick(fleet: Fleet) -> None:
    def deciding(model: ModelSettings) -> Look:
        if len(fleet.platform.ledger.entries(model.name)) == 0:
            fleet.platform.ledger.record.note(model.name, Request, reason="now", by="ada")
        return Look("It waits.", rests=True)

    fleet.answer = deciding
    for looked in (["flight_delay", "card_fraud"], ["flight_delay", "card_fraud"], []):
        fleet.tick()
        assert fleet.looked == looked


def test_one_that_breaks_stops_no_other_and_is_told_until_it_is_mended(fleet: Fleet) -> None:
    request = dg.RunRequest(run_key="d1")

    def broken(model: ModelSettings) -> Look:
        if model.name == "flight_delay":
            raise KeyError("summary.json has no end")
        return Look("retrain (gain).", request)

    fleet.answer = broken
    assert fleet.tick().run_requests == [request]
    assert fleet.tick().run_requests == [request]
    alerts = Alerts(root=str(fleet.home.root))
    (alert,) = sent_alerts(alerts.file)
    assert (
        "Nothing could be decided on flight_delay (training_set): KeyError: 'summary.json has no end'" in alert.happened
    )
    assert [incident.key for incident in alerts.incidents.state().open] == ["undecided/flight_delay/training_set"]
    fleet.answer = lambda _: Look("It waits.", rests=True)
    fleet.tick()
    assert fleet.looked == ["flight_delay", "card_fraud"]
    assert alerts.incidents.state().open == ()


def test_a_tick_opens_nothing_and_looks_at_as_many_files_however_long_the_history(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[str] = []
    stamp = revisions._stamp
    monkeypatch.setattr(revisions, "_stamp", lambda path: (looked_at.append(path), stamp(path))[1])
    counts = []
    for day in range(1, 29):
        fleet.platform.lake.write(
            pd.DataFrame({"x": [1]}),
            fleet.platform.lake.file("labels", "lbl_flight_delay", partition=date(2026, 2, day)),
        )
        fleet.tick()
        counts.append(len(looked_at))
        looked_at.clear()
    assert len(set(counts)) == 1


# --- when time alone changes a decision: by hand on a calendar -------------------------------------------------


def changed(fleet: Fleet, **changes: Any) -> ModelSettings:
    from tests.real_slice import small

    return small(fleet.models["flight_delay"], **changes)


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({}, datetime(2026, 3, 5, 5, tzinfo=UTC)),  # midnight in New York
        ({"label": {"max_delay": "36h"}}, datetime(2026, 3, 4, 17, tzinfo=UTC)),  # half a day after midnight
        ({"retrain": {"quiet_hours": ("06:00-09:30",)}}, datetime(2026, 3, 4, 14, 30, tzinfo=UTC)),
    ],
    ids=["midnight", "labels half a day late", "quiet hours"],
)
def test_when_time_alone_changes_a_decision(fleet: Fleet, changes: dict[str, Any], at: datetime) -> None:
    assert revisions.changes_at(fleet.platform, changed(fleet, **changes), NOON) == at


def test_a_freeze_and_a_snooze_end_within_the_day(fleet: Fleet) -> None:
    from mlops_assets.core.record.entries import Freeze

    until = NOON + timedelta(hours=1)
    fleet.platform.ledger.record.note("flight_delay", Freeze, reason="x", by="ada", until=until.isoformat())
    assert revisions.changes_at(fleet.platform, fleet.models["flight_delay"], NOON) == until


def test_by_the_clock_of_the_data_time_goes_by_with_them(fleet: Fleet) -> None:
    fleet.home.configure(HomeSettings(clock="data"))
    assert revisions.changes_at(fleet.platform, fleet.models["flight_delay"], NOON) is None
