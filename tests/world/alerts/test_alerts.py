"""Many alerts at once: each incident is told once, in one reading and one writing; what a kill leaves is taken off."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.core.record.incidents import Alert
from mlops_assets.world.alerts import incidents as module
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.alerts.channels import Channels
from mlops_assets.world.alerts.incidents import Incidents
from tests.receiver import receiving
from tests.sent_alerts import sent_alerts


def alert(number: int, key: str = "", happened: str = "Inputs drifted.") -> Alert:
    return {
        "incident": f"drift-{number}",
        "key": key or f"drift/m{number}",
        "happened": happened,
        "did": "It retrains.",
        "do": "Read.",
        "runbook": "drift",
    }


@pytest.fixture
def alerts(tmp_path: Path) -> Alerts:
    return Alerts(root=str(tmp_path))


def test_many_at_once_are_what_they_are_one_after_the_other(alerts: Alerts, tmp_path: Path) -> None:
    many = [alert(1), alert(2), alert(1, happened="Inputs drifted again."), alert(3, key="drift/m2")]
    assert alerts.send_all(many) == ["drift-1", "drift-2", "drift-3"]
    singly = Alerts(root=str(tmp_path / "singly"))
    assert [singly.send(**each) for each in many] == [True, True, False, True]
    for home in (alerts, singly):
        assert [(each.incident, each.happened) for each in sent_alerts(home.file)] == [
            ("drift-1", "Inputs drifted."),
            ("drift-2", "Inputs drifted."),
            ("drift-3", "Inputs drifted."),
        ]
    known = [
        {key: incident.facts for key, incident in each.incidents.state().incidents.items()} for each in (alerts, singly)
    ]
    assert known[0] == known[1] == {"drift/m1": ("drift-1",), "drift/m2": ("drift-2", "drift-3")}
    assert alerts.send_all(many) == []
    assert alerts.send_all([]) == []


def test_a_thousand_are_read_and_written_once(alerts: Alerts, monkeypatch: pytest.MonkeyPatch) -> None:
    read, written = [], []
    state, write = Incidents.state, module.write_text
    monkeypatch.setattr(Incidents, "state", lambda self: read.append(1) or state(self))
    monkeypatch.setattr(module, "write_text", lambda *given: written.append(1) or write(*given))
    assert len(alerts.send_all([alert(number) for number in range(1_000)])) == 1_000
    alerts.end_all({f"drift/m{number}": "it holds again." for number in range(1_000)})
    assert (len(read), len(written)) == (2, 2)
    assert not alerts.incidents.state().open


def test_what_a_kill_left_of_a_line_is_taken_off(alerts: Alerts) -> None:
    alerts.send_all([alert(1), alert(2, happened="Größe — 3 °C")])
    whole = alerts.file.read_bytes()
    alerts.file.write_bytes(whole[:-20])
    assert alerts.send_all([alert(2, happened="Größe — 3 °C")]) == ["drift-2"]
    assert [each.incident for each in sent_alerts(alerts.file)] == ["drift-1", "drift-2"]
    assert alerts.send(**alert(3))
    assert alerts.file.read_bytes().count(b"\n") == 3


def test_sending_that_lasts_too_long_goes_on_with_the_next_call(
    alerts: Alerts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_SECONDS", -1.0)
    alerts.send_all([alert(1), alert(2)])
    with receiving() as receiver:
        monkeypatch.setenv("MLOPS_ALERT_URLS", receiver.url())
        sent = [alerts.incidents.deliver(Channels.from_environment()) for _ in range(3)]
        assert sent == [1, 1, 0]
        assert receiver.titles() == ["[mlops notify] drift/m1", "[mlops notify] drift/m2"]
