"""Entries of a record: each kind survives its plain form, and what this version does not know is kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from mlops_assets.core.decide.history import History
from mlops_assets.core.record import entries
from mlops_assets.core.record.entries import (
    Counterfactual,
    Decision,
    OutcomeFound,
    Promotion,
    Request,
    RolloutMove,
    Snooze,
    entry_of,
    only,
)
from mlops_assets.core.record.entry import Entry, OtherEntry, kind_of

AT = datetime(2013, 5, 1, 4, tzinfo=UTC)
NEEDED: dict[str, dict[str, Any]] = {
    "decision": {"action": "wait", "rule": "nothing"},
    "freeze": {"until": AT.isoformat()},
    "snooze": {"until": AT.isoformat()},
    "approval": {"decision": "d", "question": "q"},
    "refusal": {"decision": "d", "question": "q"},
    "promotion": {"version": 1},
    "rejection": {"version": 1},
    "rollback": {"version": 1},
    "rollout": {"version": 1, "state": "shadow", "since": AT.isoformat()},
    "queue": {"decision": "d", "move": "left"},
    "outcome": {"version": 1, "promotion": "p", "result": "kept"},
    "failing": {"version": 1, "result": "began"},
    "new_class": {"version": 1, "class": 3},
    "gone_class": {"version": 1, "class": "x"},
}
"""What an entry of a kind cannot do without; the other kinds need nothing."""


@pytest.mark.parametrize("kind", sorted(entries._KINDS))
def test_each_kind_survives_its_plain_form(kind: str) -> None:
    plain = {"kind": kind, "id": "e1", "model": "m", "at": AT.isoformat(), **NEEDED.get(kind, {})}
    found = entry_of(plain)
    assert isinstance(found, Entry)
    assert (found.kind, found.at) == (kind, AT)
    on_record = json.loads(json.dumps(found.to_dict()))
    assert plain.items() <= on_record.items()
    assert entry_of(on_record) == found


def test_what_is_not_said_is_not_written() -> None:
    said = Request(id="r", at=AT, model="m", by="ada", reason="a new feature")
    assert said.to_dict() == {
        "kind": "request", "id": "r", "at": AT.isoformat(), "model": "m", "by": "ada", "reason": "a new feature",
    }  # fmt: skip
    assert "promised" not in Promotion(id="p", at=AT, version=1).to_dict()
    assert Promotion(id="p", at=AT, version=1, promised=None).to_dict()["promised"] is None


def test_moments_are_written_in_utc() -> None:
    there = datetime(2013, 5, 1, tzinfo=timezone(timedelta(hours=-4)))
    assert Snooze(id="s", at=there, until=there).to_dict()["until"] == AT.isoformat()


def test_a_kind_of_a_later_version_is_kept_as_it_is() -> None:
    plain = {"kind": "vote", "id": "v1", "at": AT.isoformat(), "model": "m", "votes": {"yes": 2}}
    found = entry_of(plain)
    assert isinstance(found, OtherEntry)
    assert (found.kind, found.at, found.to_dict()) == ("vote", AT, plain)


def test_a_field_of_a_later_version_is_left_out() -> None:
    plain = {"kind": "promotion", "id": "p", "at": AT.isoformat(), "version": 2, "colour": "red"}
    assert entry_of(plain) == Promotion(id="p", at=AT, version=2)


@pytest.mark.parametrize(
    "values",
    [{"version": "two"}, {"version": None}, {}, {"version": 2, "reason": 3}, {"version": 2, "at": "yesterday"}],
    ids=str,
)
def test_an_entry_that_lacks_what_its_kind_needs_is_none(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"version|str|RFC3339|ISO"):
        entry_of({"kind": "promotion", "id": "p", "at": AT.isoformat(), **values})


CHECK = {"name": "c", "window": "w", "window_end": AT.isoformat(), "passed": None, "sentence": "s", "kind": "drift"}
EVIDENCE = {
    "model": "m", "checks": [CHECK], "matured_labels": 3, "labels_at_fit": 2, "champion_since": AT.isoformat(),
    "probe": {"sentence": "s"}, "frozen": {"until": AT.isoformat(), "by": "ada", "reason": "r"}, "notes": ["n"],
    "novelty": {"share": 0.1, "window": "w"},
}  # fmt: skip


def _with(values: Any, path: tuple[str | int, ...], other: Any) -> Any:
    """A copy of plain values with another one at a place."""
    copy = json.loads(json.dumps(values))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = other
    return copy


@pytest.mark.parametrize("other", [[1], {"a": 1}, 5, -1e308, "\n", True, None], ids=str)
def test_what_is_read_of_the_plain_parts_has_its_type(other: Any) -> None:
    plain = {"kind": "decision", "id": "d", "at": AT.isoformat(), **NEEDED["decision"], "evidence": EVIDENCE}
    entry_of(plain)
    places: list[tuple[str | int, ...]] = [("evidence", name) for name in EVIDENCE]
    places += [("evidence", "checks", 0, name) for name in CHECK] + [("evidence", "frozen", "until")]
    for place in [("evidence",), *places]:
        try:
            known = entry_of(_with(plain, place, other))
        except ValueError as error:
            assert "its evidence: " in str(error) or "`$.evidence`" in str(error), place
        else:
            assert isinstance(known, Decision)
            assert History.of([known]).decisions[0].at == AT


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:00:00-05:00"])
@pytest.mark.parametrize("kind", ["snooze", "vote"])
def test_a_moment_outside_the_calendar_is_none(kind: str, moment: str) -> None:
    with pytest.raises(ValueError, match="outside the calendar"):
        entry_of({"kind": kind, "id": "s", "at": moment, "until": AT.isoformat()})


def test_a_moment_without_its_zone_is_utc() -> None:
    found = entry_of({"kind": "snooze", "id": "s", "at": "2013-05-01T04:00:00", "until": "2013-05-01T04:00:00"})
    assert isinstance(found, Snooze)
    assert (found.at, found.until) == (AT, AT)


def test_a_decision_of_before_the_probe_names_no_candidate() -> None:
    plain = {
        "kind": "decision", "id": "d", "at": AT.isoformat(), "model": "m", "action": "retrain", "rule": "drift",
        "reasons": ["It drifted."], "evidence": {"checks": []}, "policy": {}, "window_end": AT.isoformat(),
        "counterfactuals": [{"sentence": "If not.", "action": "wait", "checks": {"a": True}}],
    }  # fmt: skip
    found = entry_of(plain)
    assert isinstance(found, Decision)
    assert (found.candidate, found.question, found.window_end, found.reason) == (None, None, AT, "It drifted.")
    assert found.counterfactuals == (Counterfactual("If not.", "wait", checks={"a": True}),)


def test_only_one_kind() -> None:
    move = RolloutMove(id="m", at=AT, since=AT, version=2, state="shadow")
    kept = OutcomeFound(id="o", at=AT, version=2, promotion="p", result="kept")
    assert only([move, kept, move], RolloutMove) == [move, move]
    assert [kind_of(kind) for kind in (RolloutMove, OutcomeFound)] == ["rollout", "outcome"]
