"""`mlops alerts`: a test that arrives or says what is wrong, the open incidents, the digest."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from typer.testing import Result

from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.home import Home
from tests.receiver import Receiver, receiving

Mlops = Callable[..., Result]


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as found:
        monkeypatch.setenv("MLOPS_ALERT_URLS", found.url())
        yield found


def test_a_test_goes_to_every_channel(mlops: Mlops, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_ALERT_URLS_PAGE", receiver.url("pager"))
    done = mlops("alerts", "test")
    assert done.exit_code == 0, done.output
    assert receiver.titles() == [f"[mlops {severity}] a test" for severity in ("page", "notify", "digest")]
    assert receiver.titles("pager") == ["[mlops page] a test"]
    assert mlops("alerts", "test", "--severity", "notify").exit_code == 0
    assert len(receiver.posts) == 5
    receiver.status = 500
    failed = mlops("alerts", "test", "--severity", "page")
    assert failed.exit_code == 1
    assert "2 of 2 did not arrive" in failed.stderr


def test_without_a_channel_it_says_what_to_set(mlops: Mlops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLOPS_ALERT_URLS", raising=False)
    failed = mlops("alerts", "test")
    assert failed.exit_code == 1
    assert "Set MLOPS_ALERT_URLS" in failed.stderr


def test_open_incidents_and_the_digest(mlops: Mlops, home: Home, receiver: Receiver) -> None:
    assert "No open incident." in mlops("alerts", "list").stdout
    alerts = Alerts(root=str(home.root))
    told = {"happened": "It broke.", "did": "It stopped.", "do": "Look.", "runbook": "failed-run"}
    alerts.send(incident="1", key="failed-run/landing", **told)
    alerts.send(incident="2", key="drift/orders", severity="digest", **told)
    shown = mlops("alerts", "list").stdout
    assert "failed-run/landing" in shown
    assert "1 messages wait to be sent, 1 lines for the digest." in shown
    assert set(json.loads(mlops("alerts", "list", "--json").stdout)["incidents"]) == {
        "failed-run/landing",
        "drift/orders",
    }
    assert "drift/orders: It broke. It stopped." in mlops("alerts", "digest").stdout
    assert "2 messages were sent." in mlops("alerts", "digest", "--send").stdout
    assert receiver.titles() == [
        "[mlops notify] failed-run/landing",
        "[mlops digest] Digest: 1 thing that can wait",
    ]
