"""What the service tells of its parts: one incident a part, with updates and an all-clear."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.serving.engine.health import Health
from mlops_assets.world.alerts.alerts import Alerts


@pytest.fixture
def alerts(tmp_path: Path) -> Alerts:
    return Alerts(root=str(tmp_path))


def bad(health: Health, why: str, part: str = "registry", *, tell: bool = True) -> None:
    health.bad(part, why, did="It goes on.", do="Restore it.", runbook="serving-degraded", tell=tell)


def open_ones(alerts: Alerts) -> list[str]:
    return [incident.key for incident in alerts.incidents.state().open]


def messages(alerts: Alerts) -> list[str]:
    return [message.title for message in alerts.incidents.state().outbox]


def test_nothing_is_told_of_what_works(alerts: Alerts) -> None:
    health = Health(alerts)
    health.good("registry")
    bad(health, "seen, and no matter", "features", tell=False)
    health.good("features")
    assert (messages(alerts), alerts.file.exists()) == ([], False)


def test_one_alert_an_outage_with_updates_and_an_all_clear(alerts: Alerts) -> None:
    health = Health(alerts)
    bad(health, "it is gone")
    bad(health, "it is gone")
    assert messages(alerts) == ["serving/registry"]
    bad(health, "it is damaged")
    assert open_ones(alerts) == ["serving/registry"]
    health.good("registry")
    health.good("registry")
    assert open_ones(alerts) == []
    assert messages(alerts) == [
        "serving/registry",
        "Update: serving/registry",
        "All clear: serving/registry",
    ]


def test_the_next_process_ends_what_the_one_before_has_told(alerts: Alerts) -> None:
    bad(Health(alerts), "it is gone")
    bad(Health(alerts), "its file is gone", "sales@candidate")
    after = Health(alerts)
    after.good("registry")
    after.gone("sales@candidate")
    assert open_ones(alerts) == []


def test_what_is_no_longer_asked_for_is_no_part(alerts: Alerts) -> None:
    health = Health(alerts)
    for _ in range(2):
        bad(health, "its file is gone", "sales@candidate")
        assert open_ones(alerts) == ["serving/sales@candidate"]
        health.gone("sales@candidate")
        assert (open_ones(alerts), dict(health.parts)) == ([], {})


def test_an_all_clear_that_cannot_be_written_keeps_nobody_from_an_answer(
    alerts: Alerts, caplog: pytest.LogCaptureFixture
) -> None:
    health = Health(alerts)
    bad(health, "it is gone")
    alerts.incidents.file.write_text("{")
    health.good("registry")
    assert health.parts["registry"].ok
    assert "the all-clear of registry could not be written down" in caplog.text
