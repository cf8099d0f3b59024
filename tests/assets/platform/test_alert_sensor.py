"""The alert sensor: what is wrong is told through a channel, once, with its update and its all-clear."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from mlops_assets.assets.platform import alert_sensor as module
from mlops_assets.assets.platform import freshness, sensors
from mlops_assets.assets.platform.alert_sensor import alert_sensor
from mlops_assets.steps.decide.revisions import Revisions
from mlops_assets.world.home import HomeSettings
from mlops_assets.world.platform import Platform
from tests.assets.platform.test_sensors import DAYS, Floor, carry, failed
from tests.landing_home import rows
from tests.receiver import Receiver, receiving


@pytest.fixture
def floor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Floor]:
    floor = Floor(tmp_path / "home", monkeypatch)
    with floor.instance:
        yield floor


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as found:
        monkeypatch.setenv("MLOPS_ALERT_URLS", found.url())
        yield found


def test_a_stale_source_is_told_and_cleared(floor: Floor, receiver: Receiver) -> None:
    carry(floor, DAYS)
    floor.tick(freshness.freshness_sensor)
    for _ in range(2):
        floor.tick(alert_sensor)
    assert receiver.titles() == ["[mlops notify] stale-source/orders"]
    assert "docs/runbook.md#stale-source" in receiver.posts[0]["message"]
    today = datetime.now(UTC).date()
    carry(floor, [today - timedelta(days=1)])
    for _ in range(2):
        floor.tick(alert_sensor)
    assert receiver.titles()[1:] == ["[mlops notify] All clear: stale-source/orders"]


def test_a_quarantine_is_over_when_it_is_released_and_not_a_run_later(floor: Floor, receiver: Receiver) -> None:
    floor.landing.land(rows(DAYS[0], n=1), f"orders_{DAYS[0]}.csv")
    result = floor.execute(floor.tick(sensors.landing_sensor)[0][0])
    assert result
    failed(floor, result)
    for _ in range(2):
        floor.tick(alert_sensor)
    assert receiver.titles() == ["[mlops notify] quarantine/orders"]
    floor.landing.intake().release(str(DAYS[0]), "one order that day")
    for _ in range(2):
        floor.tick(alert_sensor)
    assert receiver.titles()[1:] == ["[mlops notify] All clear: quarantine/orders"]


def test_failures_of_a_job_are_one_incident_until_it_goes_through(floor: Floor, receiver: Receiver) -> None:
    floor.feature_fails = True
    floor.landing.land_days(DAYS[:1])
    first = floor.execute(floor.tick(sensors.landing_sensor)[0][0])
    floor.landing.land(rows(DAYS[0], n=4), f"orders_{DAYS[0]}_2.csv")
    second = floor.execute(floor.tick(sensors.landing_sensor)[0][0])
    assert first and second
    for result in (first, first, second):
        failed(floor, result)
        floor.tick(alert_sensor)
    assert receiver.titles() == [
        "[mlops notify] failed-run/landing_orders",
        "[mlops notify] Update: failed-run/landing_orders",
    ]
    assert f"/runs/{second.run_id}" in receiver.posts[1]["message"]
    floor.feature_fails = False
    floor.landing.land(rows(DAYS[0], n=5), f"orders_{DAYS[0]}_3.csv")
    done = floor.execute(floor.tick(sensors.landing_sensor)[0][0])
    assert done and done.success
    for _ in range(2):
        floor.tick(alert_sensor)
    assert receiver.titles()[2:] == ["[mlops notify] All clear: failed-run/landing_orders"]
    assert f"run {done.run_id[:8]} of landing_orders went through" in receiver.posts[2]["message"]


def test_misnamed_files_wait_for_the_digest(floor: Floor, receiver: Receiver) -> None:
    file = floor.landing.land(rows(DAYS[0]), "order_2024-03-01.csv")
    os.utime(file, (0, 0))
    floor.tick(sensors.landing_sensor)
    floor.tick(alert_sensor)
    assert receiver.posts == []
    (line,) = floor.alerts.incidents.state().digest
    assert line.startswith("misnamed-file/orders: ")


def test_a_replay_pages_nobody(floor: Floor, receiver: Receiver) -> None:
    floor.alerts.send(incident="1", happened="a.", did="b.", do="c.", runbook="failed-run", severity="page")
    floor.landing.home.configure(HomeSettings(landing=str(floor.landing.home.root / "landing")))
    assert "replay" in floor.tick(alert_sensor)[1]
    assert receiver.posts == []


def test_an_alarm_of_a_model_links_to_the_run_that_saw_it(
    floor: Floor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dg.asset(key=["orders", "rollout"])
    def rollout() -> None:
        """The asset that the alarm is about."""

    told = {"happened": "a.", "did": "b.", "do": "c.", "runbook": "stopped-candidate", "severity": "notify"}
    alarm = {"key": "rollout/orders", "incident": "r1", "asset": ("orders", "rollout"), **told}
    monkeypatch.setattr(Platform, "models", lambda _: {"orders": SimpleNamespace(name="orders")})
    monkeypatch.setattr(Revisions, "of", lambda *_: "")
    monkeypatch.setattr(module, "lasting", lambda _: set())
    monkeypatch.setattr(module, "model_alarms", lambda *_: [dict(alarm)])
    done = dg.materialize([rollout], instance=floor.instance)
    for _ in range(2):
        floor.tick(alert_sensor)
    assert receiver.titles() == ["[mlops notify] rollout/orders"]
    assert f"Run: http://127.0.0.1:3000/runs/{done.run_id}\nRunbook: " in receiver.posts[0]["message"]
