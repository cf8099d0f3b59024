"""A person's word on record: freeze, snooze, and answers to proposals."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import Result

from mlops_assets.core.decide.policy import Decision, Evidence, History, RetrainPolicy, decide
from mlops_assets.core.record.entries import Freeze, Snooze
from mlops_assets.world.home import Home, HomeSettings
from mlops_assets.world.record.record import Record

Mlops = Callable[..., Result]
MODEL = "flight_delay"
FAR = "2999-12-31"
WHY = ("--reason", "year-end")


def proposed(window: str | None = None, **changes: object) -> Decision:
    """A first model, as the policy proposes it."""
    evidence = replace(Evidence(model=MODEL, window=window, matured_labels=1000), **changes)  # type: ignore[arg-type]
    return decide(evidence, RetrainPolicy(mode="propose"), History(), datetime(2013, 4, 1, tzinfo=UTC))


def put(home: Home, *decisions: Decision) -> Record:
    record = Record(home.ledger)
    for decision in decisions:
        record.append(MODEL, decision)
    return record


def kinds(home: Home) -> list[str]:
    return [entry.kind for entry in Record(home.ledger).entries(MODEL)]


# --- freeze and snooze -------------------------------------------------------------------------------------


def test_a_freeze_has_an_owner_a_reason_and_an_end(mlops: Mlops, home: Home) -> None:
    done = mlops("freeze", MODEL, "--until", FAR, "--by", "bo", *WHY)
    assert (done.exit_code, done.stdout.split(",")[0]) == (0, "flight_delay is frozen until 2999-12-31 00:00 UTC")
    entry = Record(home.ledger).standing(MODEL, Freeze)
    assert entry is not None
    assert (entry.by, entry.reason, entry.until) == ("bo", "year-end", datetime(2999, 12, 31, tzinfo=UTC))
    assert "freeze until 2999-12-31 00:00" in mlops("record", "show", MODEL).stdout
    assert mlops("unfreeze", MODEL, "--reason", "done").exit_code == 0
    assert Record(home.ledger).standing(MODEL, Freeze) is None
    assert kinds(home) == ["freeze", "unfreeze"]


def test_a_frozen_model_refuses_a_request_that_does_not_insist(mlops: Mlops, home: Home) -> None:
    mlops("freeze", MODEL, "--until", FAR, *WHY)
    refused = mlops("retrain", MODEL, "--reason", "a new feature")
    assert refused.exit_code == 1
    assert "is frozen until 2999-12-31 00:00 UTC by ada: year-end" in refused.stderr
    assert "mlops retrain flight_delay --reason '...' --force" in refused.stderr
    assert kinds(home) == ["freeze"]
    assert mlops("retrain", MODEL, "--reason", "a new feature", "--force").exit_code == 0
    assert Record(home.ledger).request_is_forced(MODEL)


def test_a_freeze_that_is_over_refuses_nothing(mlops: Mlops, home: Home) -> None:
    Record(home.ledger).note(MODEL, Freeze, reason="x", by="bo", until="2013-01-01T00:00:00+00:00")
    assert mlops("retrain", MODEL, "--reason", "a new feature").exit_code == 0
    assert not Record(home.ledger).request_is_forced(MODEL)


def test_a_snooze_ends_by_the_clock_of_the_model(mlops: Mlops, home: Home) -> None:
    before = datetime.now(UTC)
    assert mlops("snooze", MODEL, "--for", "7d", *WHY).exit_code == 0
    entry = Record(home.ledger).standing(MODEL, Snooze)
    assert entry is not None
    end = entry.until
    assert timedelta(0) <= end - before - timedelta(days=7) < timedelta(minutes=1)
    assert mlops("wake", MODEL, "--reason", "it passed").exit_code == 0
    assert Record(home.ledger).standing(MODEL, Snooze) is None


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (("freeze", MODEL, "--until", "2013-01-01", *WHY), "Give a later end"),
        (("freeze", MODEL, "--until", "soon", *WHY), "Write an ISO date"),
        (("freeze", MODEL, "--until", FAR, "--reason", " "), "The reason is empty"),
        (("freeze", "flights", "--until", FAR, *WHY), "There is no model 'flights'"),
        (("snooze", MODEL, "--for", "long", *WHY), "for example 7d"),
        (("snooze", MODEL, "--for", "0d", *WHY), "above zero"),
        (("unfreeze", MODEL, *WHY), "is not frozen"),
        (("wake", MODEL, *WHY), "is not snoozed"),
        (("approve", MODEL), "nothing proposed for flight_delay"),
        (("reject", MODEL, "b49d", *WHY), "no proposal 'b49d' for flight_delay"),
    ],
)
def test_what_cannot_be_written_down_is_told_and_writes_nothing(
    mlops: Mlops, home: Home, line: tuple[str, ...], told: str
) -> None:
    failed = mlops(*line)
    assert failed.exit_code == 1
    assert told in failed.stderr
    assert Record(home.ledger).entries(MODEL) == []


def test_status_shows_what_holds_a_model_and_what_waits_for_a_person(mlops: Mlops, home: Home) -> None:
    home.configure(HomeSettings(clock="wall"))
    mlops("freeze", MODEL, "--until", FAR, *WHY)
    put(home, proposed())
    found = json.loads(mlops("status", "--json").stdout)["models"][MODEL]
    assert found["frozen"] == {"until": "2999-12-31T00:00:00+00:00", "by": "ada", "reason": "year-end"}
    assert found["snoozed"] is None
    assert found["proposed"]["id"] == proposed().id
    mlops("approve", MODEL)
    assert json.loads(mlops("status", "--json").stdout)["models"][MODEL]["proposed"] is None


# --- proposals ---------------------------------------------------------------------------------------------


def test_an_approval_stands_on_record_once(mlops: Mlops, home: Home) -> None:
    record = put(home, proposed())
    done = mlops("approve", MODEL, "--by", "bo", "--reason", "fine")
    assert done.exit_code == 0
    assert f"Approved: retrain of flight_delay (decision {proposed().id})" in done.stdout
    entry = record.answer(MODEL)
    assert entry is not None
    assert (entry.kind, entry.decision, entry.by, entry.reason) == ("approval", proposed().id, "bo", "fine")
    assert "is approved already; nothing was written" in mlops("approve", MODEL, proposed().id[:6]).stdout
    assert kinds(home) == ["decision", "approval"]
    # A mind may be changed until it is done.
    assert mlops("reject", MODEL, "--reason", "wait for the new feed").exit_code == 0
    assert "is rejected already" in mlops("reject", MODEL, "--reason", "again").stdout
    assert kinds(home) == ["decision", "approval", "refusal"]
    shown = mlops("explain", proposed().id).stdout
    assert f"approval of decision {proposed().id}" in shown
    assert "wait for the new feed" in shown


def test_a_superseded_proposal_cannot_be_approved(mlops: Mlops, home: Home) -> None:
    changed = proposed("2013-04-01..2013-04-07", cannot_judge=("there are no rows",))
    put(home, proposed(), changed)
    failed = mlops("approve", MODEL)
    assert failed.exit_code == 1
    assert f"cannot judge (decision {changed.id}) came after it" in failed.stderr
    assert kinds(home) == ["decision", "decision"]


def test_a_wait_on_the_same_evidence_supersedes_nothing(mlops: Mlops, home: Home) -> None:
    paused = proposed(paused="audit (ada)")
    put(home, proposed(), paused)
    assert paused.action == "wait"
    assert mlops("approve", MODEL).exit_code == 0


def test_more_labels_make_it_no_other_proposal(mlops: Mlops, home: Home) -> None:
    later = proposed(matured_labels=1001)
    record = put(home, proposed(), later)
    assert mlops("approve", MODEL, proposed().id).exit_code == 0
    assert record.answer(MODEL).question == later.question


def test_what_was_done_cannot_be_approved_again(mlops: Mlops, home: Home) -> None:
    record = put(home, proposed())
    mlops("approve", MODEL)
    acted = decide(
        Evidence(model=MODEL, window=None, matured_labels=1000),
        RetrainPolicy(),
        History(),
        datetime(2013, 4, 2, tzinfo=UTC),
    )
    put(home, acted)
    assert record.answer(MODEL) is None
    failed = mlops("approve", MODEL)
    assert f"retrain (decision {acted.id}) came after it" in failed.stderr
