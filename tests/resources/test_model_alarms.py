"""Alarms of a model: told with their consequence, a page only where a person holds the key."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlops_assets.core.policy import CheckResult
from mlops_assets.resources import model_alarms as module
from mlops_assets.resources.lake import Lake
from mlops_assets.resources.ledger import Ledger
from mlops_assets.resources.model_alarms import model_alarms

FITTED = datetime(2024, 3, 1, tzinfo=UTC)
END = datetime(2024, 3, 8, tzinfo=UTC)
MODEL: Any = SimpleNamespace(name="orders")


class Floor:
    """The report and the record of one model, with champion 2."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lake, self.ledger = Lake(root=str(root)), Ledger(root=str(root))
        self.champion: Any = object()
        self.registry = SimpleNamespace(champion=lambda name: self.champion)
        monkeypatch.setattr(module, "fitted_until", lambda version: FITTED if version else None)

    def judged(self, report: str, name: str, *, passed: bool | None) -> None:
        check = CheckResult(name, report, "2024-03-01..2024-03-07", END, passed, 0.5, 0.6, f"{name} sentence.")  # type: ignore[arg-type]
        folder = self.lake.folder("reports", MODEL.name, report, "window=2024-03-01T0000")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "summary.json").write_text(json.dumps({"checks": [check.to_dict()]}))

    def decided(self, action: str, rule: str, identity: str = "d1") -> None:
        values = {"action": action, "rule": rule, "reasons": ["Because."], "window_end": END.isoformat()}
        self.ledger.record.note(MODEL.name, "decision", at=END, id=identity, **values)

    def alarms(self) -> list[dict[str, Any]]:
        return model_alarms(self, MODEL)  # type: ignore[arg-type]


@pytest.fixture
def floor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Floor:
    return Floor(tmp_path, monkeypatch)


def test_nothing_yet(floor: Floor) -> None:
    assert floor.alarms() == []
    floor.judged("performance", "performance_holds", passed=None)
    floor.decided("cannot_judge", "cannot_judge")
    assert floor.alarms() == [], "what cannot be judged is no alarm"
    floor.judged("performance", "performance_holds", passed=True)
    assert floor.alarms() == []


def test_an_alarm_waits_for_the_decision_on_it(floor: Floor) -> None:
    floor.judged("performance", "performance_holds", passed=False)
    assert floor.alarms() == []
    floor.decided("wait", "paused")
    (alarm,) = floor.alarms()
    assert (alarm["key"], alarm["severity"], alarm["runbook"]) == ("performance/orders", "page", "not-retrained")
    assert alarm["happened"] == "orders: performance_holds sentence."
    assert alarm["did"] == "It is held back (paused): Because."
    assert floor.alarms() == [alarm], "the same state gives the same alarm"


@pytest.mark.parametrize(
    ("action", "rule", "severity", "runbook"),
    [
        ("quarantine", "data", "page", "not-retrained"),
        ("cannot_judge", "cannot_judge", "page", "not-retrained"),
        ("wait", "budget", "page", "not-retrained"),
        ("wait", "cooldown", "notify", "not-retrained"),
        ("wait", "nothing", "notify", "not-retrained"),
        ("retrain", "gain", "notify", "performance"),
        ("revert", "revert", "notify", "worse-champion"),
    ],
)
def test_only_what_a_person_can_take_away_is_a_page(
    floor: Floor, action: str, rule: str, severity: str, runbook: str
) -> None:
    floor.judged("performance", "performance_holds", passed=False)
    floor.decided(action, rule)
    (alarm,) = floor.alarms()
    assert (alarm["severity"], alarm["runbook"]) == (severity, runbook)


def test_a_rejection_is_an_update_of_the_same_incident(floor: Floor) -> None:
    floor.judged("performance", "performance_holds", passed=False)
    floor.decided("retrain", "gain")
    (before,) = floor.alarms()
    floor.ledger.record.note(MODEL.name, "rejection", at=END, decision="d1", version=3, reason="no gain")
    (after,) = floor.alarms()
    assert before["key"] == after["key"]
    assert before["incident"] != after["incident"]
    assert after["runbook"] == "rejected-challenger"


def test_drift_is_never_a_page(floor: Floor) -> None:
    floor.judged("drift", "inputs_match_reference", passed=False)
    floor.decided("wait", "paused")
    (alarm,) = floor.alarms()
    assert (alarm["severity"], alarm["key"]) == ("digest", "drift/orders.inputs_match_reference")


def test_a_new_champion_ends_what_was_said_of_the_old_one(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    floor.judged("performance", "performance_holds", passed=False)
    floor.decided("wait", "paused")
    monkeypatch.setattr(module, "fitted_until", lambda version: END)
    assert floor.alarms() == []


def test_a_promotion_that_came_out_worse(floor: Floor) -> None:
    note = floor.ledger.record.note
    note(MODEL.name, "promotion", at=FITTED, id="p2", version=2, decision="d0", previous=1, reason="better")
    note(MODEL.name, "outcome", at=END, id="o2", version=2, promotion="p2", result="worse", reason="Gain -0.02.")
    (alarm,) = floor.alarms()
    assert (alarm["key"], alarm["severity"], alarm["incident"]) == ("worse-champion/orders", "notify", "o2")
    note(MODEL.name, "rollback", at=END, id="r1", version=1, decision="d2", previous=2, reason="it was better")
    assert floor.alarms() == []


def test_a_record_that_cannot_be_read_is_a_page(floor: Floor) -> None:
    floor.decided("wait", "nothing")
    floor.ledger.file(MODEL.name).write_text('{"kind": "deci\n{}\n')
    (alarm,) = floor.alarms()
    assert (alarm["severity"], alarm["runbook"]) == ("page", "broken-record")
    assert "Restore the file" in alarm["do"]
