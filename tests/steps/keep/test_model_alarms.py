"""Alarms of a model: told with their consequence, a page only where a person holds the key."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlops_assets.core.decide.policy import CheckResult
from mlops_assets.core.record.entries import (
    Decision,
    OutcomeFound,
    Promotion,
    Refusal,
    Rejection,
    Rollback,
    RolloutMove,
    Wake,
)
from mlops_assets.core.record.plain_values import as_plain
from mlops_assets.core.time.windows import parse_every
from mlops_assets.steps.keep import model_alarms as module
from mlops_assets.steps.keep.model_alarms import model_alarms
from mlops_assets.steps.watch.sliding_performance import NAME as OVER_24H
from mlops_assets.steps.watch.windows.summaries import SLIDING, WindowSummary, write_summary
from mlops_assets.world.lake import Lake
from mlops_assets.world.record.ledger import Ledger
from tests.checkout import CHECKOUT

FITTED = datetime(2024, 3, 1, tzinfo=UTC)
END = datetime(2024, 3, 8, tzinfo=UTC)
RHYTHM = SimpleNamespace(length=parse_every("week"))
MODEL: Any = SimpleNamespace(name="orders", monitoring=SimpleNamespace(rhythm=RHYTHM))
NEW = {"code": 3, "since": "2024-03-01", "rows": 2, "share": 0.5}
GONE = {"code": 1, "last": None, "share": 0.5, "missed": 9}


class Floor:
    """The report and the record of one model, with champion 2."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lake, self.ledger = Lake(root=str(root)), Ledger(root=str(root))
        self.champion: Any = object()
        self.registry = SimpleNamespace(champion=lambda name: self.champion)
        monkeypatch.setattr(module, "fitted_until", lambda version: FITTED if version else None)

    def judged(self, report: str, name: str, *, passed: bool | None, kind: str = "", end: datetime = END) -> None:
        check = CheckResult(name, kind or report, "2024-03-01..2024-03-07", end, passed, 0.5, 0.6, f"{name} sentence.")  # type: ignore[arg-type]
        parts = {"window": "2024-03-01..2024-03-07", "start": FITTED, "end": end, "state": "", "version": 1, "rows": 9}
        folder = self.lake.folder("reports", MODEL.name, report, "window=2024-03-01T0000")
        write_summary(folder, WindowSummary(**parts, checks=(check,)))

    def decided(self, action: str, rule: str, identity: str = "d1") -> None:
        values = {"action": action, "rule": rule, "reasons": ["Because."], "window_end": END.isoformat()}
        self.ledger.record.note(MODEL.name, Decision, at=END, id=identity, **values)

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


def test_of_a_day_that_slides_and_the_whole_day_the_newer_is_told(floor: Floor) -> None:
    """Both are one incident: told by turns it would be updated at each round."""
    floor.judged("performance", "performance_holds", passed=False)
    floor.judged(SLIDING, OVER_24H, passed=False, kind="performance", end=END - timedelta(hours=6))
    floor.decided("wait", "paused")
    (alarm,) = floor.alarms()
    assert alarm["happened"] == "orders: performance_holds sentence."
    floor.judged("performance", "performance_holds", passed=True)
    (alarm,) = floor.alarms()
    assert (alarm["key"], alarm["happened"]) == ("performance/orders", f"orders: {OVER_24H} sentence.")


@pytest.mark.parametrize(
    ("action", "rule", "severity", "runbook"),
    [
        ("quarantine", "data", "page", "not-retrained"),
        ("cannot_judge", "cannot_judge", "page", "not-retrained"),
        ("wait", "budget", "page", "not-retrained"),
        ("wait", "frozen", "page", "not-retrained"),
        ("wait", "snoozed", "notify", "not-retrained"),
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
    assert f"\n## {runbook}\n" in (CHECKOUT / "docs" / "runbook.md").read_text(encoding="utf-8")


def test_a_proposal_is_told_until_it_is_answered(floor: Floor) -> None:
    evidence = {"model": "orders", "window": "w", "champion_version": "2"}
    values = {"action": "propose_retrain", "rule": "gain", "reasons": ["A refit is better."], "question": "q1"}
    for number in (1, 2):
        floor.ledger.record.note(MODEL.name, Decision, at=END, id=f"d{number}", evidence=evidence, **values)
        (alarm,) = floor.alarms()
        assert (alarm["key"], alarm["incident"], alarm["severity"]) == (
            "approval/orders",
            "approval-orders-q1",
            "notify",
        )
    assert "mlops approve orders" in alarm["do"]
    floor.ledger.record.note(MODEL.name, Refusal, question="q1", decision="d2", by="ada", reason="not now")
    assert floor.alarms() == []


def test_performance_that_waits_for_an_approval_is_a_page(floor: Floor) -> None:
    floor.judged("performance", "performance_holds", passed=False)
    values = {
        "reasons": ["A refit is better."],
        "question": "q1",
        "window_end": END.isoformat(),
        "evidence": {"model": "orders"},
    }
    floor.ledger.record.note(MODEL.name, Decision, at=END, id="d1", action="propose_retrain", rule="gain", **values)
    assert {alarm["key"]: alarm["severity"] for alarm in floor.alarms()} == {
        "performance/orders": "page",
        "approval/orders": "notify",
    }


def test_a_rejection_is_an_update_of_the_same_incident(floor: Floor) -> None:
    floor.judged("performance", "performance_holds", passed=False)
    floor.decided("retrain", "gain")
    (before,) = floor.alarms()
    floor.ledger.record.note(MODEL.name, Rejection, at=END, decision="d1", version=3, reason="no gain")
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
    note(MODEL.name, Promotion, at=FITTED, id="p2", version=2, decision="d0", previous=1, reason="better")
    note(MODEL.name, OutcomeFound, at=END, id="o2", version=2, promotion="p2", result="worse", reason="Gain -0.02.")
    (alarm,) = floor.alarms()
    assert (alarm["key"], alarm["severity"], alarm["incident"]) == ("worse-champion/orders", "notify", "o2")
    note(MODEL.name, Rollback, at=END, id="r1", version=1, decision="d2", previous=2, reason="it was better")
    assert floor.alarms() == []


def test_a_record_that_cannot_be_read_is_a_page(floor: Floor) -> None:
    floor.decided("wait", "nothing")
    floor.ledger.file(MODEL.name).write_text('{"kind": "deci\n{}\n')
    (alarm,) = floor.alarms()
    assert (alarm["severity"], alarm["runbook"]) == ("page", "broken-record")
    assert "Restore the file" in alarm["do"]


def rolled(floor: Floor, state: str, before: str, *, holds: bool, number: int = 1) -> None:
    rail = {"name": "p99", "holds": holds, "value": 300.0, "limit": 200.0, "sentence": "99 % took 300 ms."}
    values = {"version": 3, "champion": 2, "state": state, "before": before, "guardrails": [rail], "since": END}
    floor.ledger.record.note(MODEL.name, RolloutMove, at=END, id=f"rollout-{number}", **values)


@pytest.mark.parametrize(
    ("before", "state", "severity", "runbook", "did"),
    [
        ("shadow", "rejected", "digest", "stopped-candidate", "version 2 answers everything, as before"),
        ("canary", "rolled_back", "notify", "stopped-candidate", "took it out of service"),
        ("watch", "rolled_back", "notify", "rollback", "made version 2 champion again"),
    ],
)
def test_a_candidate_that_a_guardrail_stopped_is_told_until_somebody_goes_on(
    floor: Floor, before: str, state: str, severity: str, runbook: str, did: str
) -> None:
    rolled(floor, before, "shadow", holds=True)
    assert floor.alarms() == [], "what goes on is no alarm"
    rolled(floor, state, before, holds=False, number=2)
    (alarm,) = floor.alarms()
    assert (alarm["key"], alarm["severity"], alarm["runbook"]) == ("rollout/orders", severity, runbook)
    assert alarm["happened"] == f"orders: version 3 was stopped in {before}. 99 % took 300 ms."
    assert did in alarm["did"]
    assert alarm["asset"] == ("orders", "rollout")
    floor.decided("wait", "snoozed")
    assert floor.alarms() == [alarm]
    floor.ledger.record.note(MODEL.name, Wake, by="ada", reason="mended")
    assert floor.alarms() == []


def test_what_a_person_stopped_is_no_alarm(floor: Floor) -> None:
    rolled(floor, "rolled_back", "canary", holds=True)
    assert floor.alarms() == []


@pytest.mark.parametrize(
    ("new", "gone", "uncoded", "severity"),
    [([NEW], [], None, "notify"), ([], [GONE], None, "digest"), ([], [], {"since": "2024-03-01", "rows": 2}, "notify")],
)
def test_classes_that_come_and_go_are_told_while_the_champion_lacks_them(
    floor: Floor, new: list, gone: list, uncoded: dict | None, severity: str
) -> None:
    check = CheckResult("classes_are_known", "performance", "2024-03-08", END, False, 2.0, 0.0, "Class sentence.")
    folder = floor.lake.folder("reports", MODEL.name, "classes")
    folder.mkdir(parents=True)
    told = {"version": 2, "check": as_plain(check), "new": new, "gone": gone, "uncoded": uncoded}
    (folder / "summary.json").write_text(json.dumps(told))
    floor.champion = SimpleNamespace(version=2)
    (alarm,) = floor.alarms()
    assert (alarm["key"], alarm["severity"], alarm["runbook"]) == ("classes/orders", severity, "classes")
    assert alarm["happened"] == "orders: Class sentence."
    floor.champion = SimpleNamespace(version=3)
    assert floor.alarms() == []
