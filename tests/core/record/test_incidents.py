"""Incidents from report to all-clear, through real channels to a real HTTP receiver."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.core.record.incidents import State, digested
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.alerts.channels import Channels
from mlops_assets.world.alerts.incidents import REPEATED
from tests.checkout import CHECKOUT
from tests.receiver import Receiver, receiving


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as found:
        for name in [name for name in os.environ if name.startswith("MLOPS_ALERT")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("MLOPS_ALERT_URLS", found.url())
        yield found


@pytest.fixture
def alerts(tmp_path: Path) -> Alerts:
    return Alerts(root=str(tmp_path / "home"))


def send(alerts: Alerts, fact: str = "one", *, key: str = "stale-source/orders", severity: str = "notify") -> bool:
    return alerts.send(
        incident=fact,
        happened=f"{fact} happened.",
        did="It waited.",
        do="Look.",
        runbook="stale-source",
        key=key,
        severity=severity,
        run="0123",
    )


def deliver(alerts: Alerts) -> int:
    return alerts.incidents.deliver(Channels.from_environment())


def test_one_alert_an_incident_with_updates_and_an_all_clear(receiver: Receiver, alerts: Alerts) -> None:
    assert send(alerts)
    assert deliver(alerts) == 1
    before = alerts.incidents.file.read_bytes()
    assert not send(alerts)
    assert deliver(alerts) == 0
    assert alerts.incidents.file.read_bytes() == before, "a second tick changes nothing"
    send(alerts, "two")
    alerts.end("stale-source/orders", "a file came.")
    alerts.end("stale-source/orders", "a file came.")
    assert deliver(alerts) == 2
    assert receiver.titles() == [
        "[mlops notify] stale-source/orders",
        "[mlops notify] Update: stale-source/orders",
        "[mlops notify] All clear: stale-source/orders",
    ]
    assert receiver.posts[0]["message"] == (
        "What happened: one happened.\nWhat the platform did: It waited.\nWhat you can do: Look.\n"
        "Run: http://127.0.0.1:3000/runs/0123\nRunbook: docs/runbook.md#stale-source"
    )
    assert [post["type"] for post in receiver.posts] == ["warning", "warning", "success"]
    assert "It is over: a file came." in receiver.posts[2]["message"]
    send(alerts, "two")
    assert deliver(alerts) == 0, "a late report of the same fact opens nothing"
    send(alerts, "three")
    assert deliver(alerts) == 1, "a new one does"


def test_each_severity_has_its_route(receiver: Receiver, alerts: Alerts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_ALERT_URLS_PAGE", f"{receiver.url('pager')}, {receiver.url('phone')}")
    send(alerts, "hot", key="a", severity="page")
    send(alerts, "warm", key="b", severity="notify")
    assert deliver(alerts) == 2
    assert receiver.titles("pager") == receiver.titles("phone") == ["[mlops page] a"]
    assert receiver.titles() == ["[mlops page] a", "[mlops notify] b"]
    assert receiver.posts[0]["type"] == "failure"


def test_what_becomes_worse_escalates_and_its_all_clear_goes_the_same_way(
    receiver: Receiver, alerts: Alerts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_ALERT_URLS_PAGE", receiver.url("pager"))
    send(alerts, "slow", key="a", severity="notify")
    assert deliver(alerts) == 1
    assert receiver.titles("pager") == []
    send(alerts, "stands", key="a", severity="page")
    alerts.end("a", "it runs.")
    assert deliver(alerts) == 2
    assert receiver.titles("pager") == ["[mlops page] Update: a", "[mlops page] All clear: a"]


def test_what_has_no_consequence_is_a_line_in_the_digest(receiver: Receiver, alerts: Alerts) -> None:
    send(alerts, "cold", key="drift/orders", severity="digest")
    send(alerts, "warm")
    assert deliver(alerts) == 1
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    alerts.incidents.change(lambda state: digested(state, datetime.now(UTC), hour=datetime.now(UTC).hour))
    assert deliver(alerts) == 0, "not before it is due"
    for _ in range(2):
        alerts.incidents.change(lambda state: digested(state, tomorrow, hour=7))
    assert deliver(alerts) == 1
    assert receiver.titles()[1:] == ["[mlops digest] Digest: 1 thing that can wait"]
    assert "drift/orders: cold happened. It waited." in receiver.posts[1]["message"]
    assert "stale-source/orders since" in receiver.posts[1]["message"]


def test_the_digest_comes_once_a_day_at_its_hour() -> None:
    line = State(digest=("a line",), digest_at=datetime(2024, 3, 1, 9, tzinfo=UTC))
    assert digested(line, datetime(2024, 3, 2, 6, 59, tzinfo=UTC), hour=7) is line
    assert digested(line, datetime(2024, 3, 2, 7, 0, tzinfo=UTC), hour=7).outbox[0].text == "a line"
    assert digested(State(), datetime(2024, 3, 2, 7, 0, tzinfo=UTC), hour=7) == State()


def test_a_channel_that_fails_is_tried_again_and_no_other(
    receiver: Receiver, alerts: Alerts, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as broken:
        broken.status = 500
        monkeypatch.setenv("MLOPS_ALERT_URLS_NOTIFY", broken.url("flaky"))
        send(alerts)
        assert deliver(alerts) == 0
        assert deliver(alerts) == 0
        assert len(receiver.posts) == 1
        broken.status = 200
        assert deliver(alerts) == 1
        assert (len(receiver.posts), broken.titles("flaky")) == (1, ["[mlops notify] stale-source/orders"])


def test_what_no_channel_takes_is_given_up_after_a_day_and_counted(receiver: Receiver, alerts: Alerts) -> None:
    receiver.status = 500
    send(alerts)
    text = alerts.incidents.file.read_text()
    now = datetime.now(UTC)
    alerts.incidents.file.write_text(text.replace(f"{now:%Y-%m-%d}", f"{now - timedelta(days=2):%Y-%m-%d}"))
    assert deliver(alerts) == 0
    state = alerts.incidents.state()
    assert (state.outbox, state.undelivered, len(state.open)) == ((), 1, 1)


KILLED = """
import os, sys
from mlops_assets.world.alerts import channels, incidents
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.alerts.channels import Channels
alerts = Alerts(root=sys.argv[1])
alerts.send(incident="one", happened="a.", did="b.", do="c.", runbook="failed-run")
send = Channels.send
def and_die(self, message, channel, *, note=""):
    taken = send(self, message, channel, note=note)
    os.kill(os.getpid(), 9)
Channels.send = and_die
alerts.incidents.deliver(Channels.from_environment())
"""


@pytest.mark.process
def test_a_kill_between_sending_and_writing_costs_one_duplicate_that_says_so(
    receiver: Receiver, alerts: Alerts, tmp_path: Path
) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "home")], cwd=CHECKOUT, check=False)
    assert done.returncode == -9
    assert deliver(alerts) == 1
    assert deliver(alerts) == 0
    first, second = (post["message"] for post in receiver.posts)
    assert second == REPEATED + first


def test_without_urls_the_log_is_all_there_is(alerts: Alerts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLOPS_ALERT_URLS", raising=False)
    send(alerts)
    assert deliver(alerts) == 0
    assert alerts.incidents.state().outbox == ()
    assert len(alerts.file.read_text().splitlines()) == 1


def test_a_url_that_is_none_keeps_no_message_from_the_others(
    receiver: Receiver, alerts: Alerts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLOPS_ALERT_URLS_PAGE", "slakc://secret/token")
    send(alerts, severity="page")
    for _ in range(2):
        assert deliver(alerts) == 0
    assert receiver.titles() == ["[mlops page] stale-source/orders"]
    assert len(alerts.incidents.state().outbox) == 1, "it waits for the correction"
    assert "MLOPS_ALERT_URLS_PAGE is none that Apprise knows" in caplog.text
    assert "secret" not in caplog.text + alerts.incidents.file.read_text()


def test_a_damaged_state_is_told_with_the_remedy(alerts: Alerts) -> None:
    send(alerts)
    alerts.incidents.file.write_text('{"incidents": 3}')
    with pytest.raises(ValueError, match="from a backup, or delete it"):
        alerts.incidents.state()
