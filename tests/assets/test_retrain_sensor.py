"""The retrain sensor: one request a decision, silence while nothing changes, whatever the clock does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import dagster as dg
import pytest

from mlops_assets.assets.retrain_sensor import DECISION_TAG, MODEL_TAG
from mlops_assets.core.record.entries import Approval, Freeze, Refusal, Request, Unfreeze
from mlops_assets.steps.decide.evidence import consider, keep
from tests.real_slice import World

NewWorld = Callable[..., World]


def asked(world: World) -> list[dg.RunRequest]:
    return world.engine.requests(world.sensor)[0]


def test_young_data_wait_for_a_window_and_ring_nobody(new_world: NewWorld) -> None:
    world = new_world()
    world.at(date(2013, 1, 10))
    skipped = world.tick().skipped
    assert "There is no champion yet" in skipped
    assert "labelled rows are known, and a first model needs 500 labelled rows to train on" in skipped
    assert [e["action"] for e in world.ledger()] == ["cannot_judge"]
    assert world.tick().runs == ()
    assert len(world.ledger()) == 1
    world.at(date(2013, 1, 28))
    (request,) = asked(world)
    assert (request.tags["mlops/rule"], request.tags[DECISION_TAG]) == ("first_model", request.run_key)


def test_a_request_is_repeated_under_one_key_until_a_run_answers_it(drifting: World) -> None:
    (first,), (second,) = asked(drifting), asked(drifting)
    assert first.run_key == second.run_key == drifting.ledger("decision")[-1]["id"]
    assert len(drifting.ledger("decision")) == 2
    drifting.instance.add_run(
        dg.DagsterRun(
            job_name="retrain",
            run_id="0" * 32,
            tags={**first.tags, MODEL_TAG: "flight_delay", "dagster/run_key": str(first.run_key)},
            status=dg.DagsterRunStatus.STARTED,
        )
    )
    requests, skipped = drifting.engine.requests(drifting.sensor)
    assert requests == []
    assert skipped == f"A retraining is under way ({'0' * 32}); its outcome comes first."


def test_the_wall_clock_alone_is_no_news(drifting: World, monkeypatch: pytest.MonkeyPatch) -> None:
    drifting.home.configure(replace(drifting.home.settings, clock="wall", until=None))
    drifting.tick()
    told = drifting.ledger()
    for _ in range(3):
        drifting.tick()
    assert drifting.ledger() == told


def test_data_in_quarantine_stop_every_decision(drifting: World) -> None:
    from mlops_assets.world.landed.intake import Taken

    record = drifting.platform.sources.intakes()["flights"].record
    newest = record.entries()["2013-03-03"]
    assert isinstance(newest, Taken)
    # As in a replay, later days have been taken in, and at this moment nobody knows of them.
    assert max(record.entries()) == "2013-03-10"
    record.put("2013-03-03", replace(newest, status="quarantined", reason="dep_delay is text."))
    drifting.platform.ledger.record.note("flight_delay", Request, reason="now", by="ada")
    skipped = drifting.tick().skipped
    assert skipped.startswith("quarantine (data): flights/2013-03-03 is in quarantine: dep_delay is text.")
    assert "quarantine release flights 2013-03-03 --reason" in skipped
    assert drifting.runs() == World.of(drifting.home).runs()


def test_a_retraining_that_broke_holds_nothing_back(drifting: World) -> None:
    """It has answered nothing: no cooldown, and a person's word starts the next one."""
    decision, _, _ = consider(drifting.platform, drifting.model)
    keep(drifting.platform, decision)
    drifting.instance.add_run(
        dg.DagsterRun(
            job_name="retrain",
            run_id="1" * 32,
            tags={DECISION_TAG: decision.id, MODEL_TAG: "flight_delay", "dagster/run_key": decision.id},
            status=dg.DagsterRunStatus.FAILURE,
        )
    )
    # The same evidence is the same decision under the same key: the daemon starts no second run.
    assert {request.run_key for request in asked(drifting)} <= {decision.id}
    drifting.platform.ledger.record.note("flight_delay", Request, reason="the disk has room again", by="ada")
    (request,) = asked(drifting)
    assert request.tags["mlops/rule"] == "request"
    assert request.run_key != decision.id


def test_a_proposal_starts_nothing_before_a_person_agrees_and_one_run_after(drifting: World) -> None:
    world = drifting.with_settings(retrain={"mode": "propose"})
    assert world.tick().skipped.startswith("propose_retrain (drift)")
    assert world.tick().runs == ()
    (proposal,) = [e for e in world.ledger("decision") if e["action"] == "propose_retrain"]
    said = {"decision": proposal["id"], "question": proposal["question"], "by": "ada", "reason": ""}
    world.platform.ledger.record.note("flight_delay", Approval, **said)
    (first,), (second,) = asked(world), asked(world)
    assert first.run_key == second.run_key
    done = world.ledger("decision")[-1]
    assert (done["action"], done["rule"], done["evidence"]["answer"]["by"]) == ("retrain", "drift", "ada")


def test_a_rejected_proposal_starts_nothing(drifting: World) -> None:
    world = drifting.with_settings(retrain={"mode": "propose"})
    world.tick()
    proposal = world.ledger("decision")[-1]
    said = {"decision": proposal["id"], "question": proposal["question"], "by": "ada", "reason": "a storm."}
    world.platform.ledger.record.note("flight_delay", Refusal, **said)
    assert world.tick().skipped.startswith("wait (rejected): ada rejected it")
    told = world.ledger()
    assert world.tick().runs == ()
    assert world.ledger() == told


def test_what_was_decided_before_a_freeze_or_quiet_hours_starts_after_them(drifting: World) -> None:
    """The process died between the decision and its run, and a person froze the model."""
    (first,) = asked(drifting)
    record = drifting.platform.ledger.record
    until = "2013-03-05T05:00:00+00:00"
    record.note("flight_delay", Freeze, reason="year-end.", by="ada", until=until)
    assert "wait (frozen): The model is frozen until 2013-03-05 05:00 UTC by ada" in drifting.tick().skipped
    assert drifting.tick().runs == ()
    record.note("flight_delay", Unfreeze, reason="done", by="ada")
    # The clock stands at midnight in New York.
    quiet = drifting.with_settings(retrain={"quiet_hours": ("22:00-06:00",)})
    assert "it can start at 2013-03-04 11:00 UTC" in quiet.tick().skipped
    assert asked(drifting)[0].run_key == first.run_key


def test_a_champion_stays_where_the_model_was_frozen_while_its_challenger_was_trained(drifting: World) -> None:
    from mlops_assets.steps.promote.conclusion import conclude

    platform, model = drifting.platform, drifting.model
    decision, _, _ = consider(platform, model)
    keep(platform, decision)
    platform.ledger.record.note(model.name, Freeze, reason="year-end.", by="ada", until="2013-03-05T05:00:00+00:00")
    evaluation = {
        "decision": decision.id,
        "as_of": platform.now(model).isoformat(),
        "version": 7,
        "fitted_until": platform.now(model).isoformat(),
        "verdict": {"promote": True, "reason": "It is better."},
    }
    platform.write_record(model.name, "evaluation", evaluation)
    assert conclude(platform, model)["promoted"] is False
    assert drifting.aliases()["champion"] == 1
    (entry,) = drifting.ledger("rejection")[-1:]
    assert entry["reason"].startswith("The model is frozen until 2013-03-05 05:00 UTC by ada: year-end.")
