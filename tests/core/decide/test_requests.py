"""What a person's word holds back, and what an answer is an answer to: freeze, snooze, quiet hours, proposals."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mlops_assets.core.decide.counterfactuals import replay
from mlops_assets.core.decide.policy import Decision, Evidence, History, RetrainPolicy, decide, is_news
from mlops_assets.core.decide.probe_result import Gain, Probed
from mlops_assets.core.decide.requests import Answer, Hold
from mlops_assets.core.record.entries import entry_of

NOW = datetime(2013, 5, 6, 14, tzinfo=UTC)  # Monday, ten in the morning in New York
NONE = History()
POLICY = RetrainPolicy(timezone="America/New_York")
PROPOSE = replace(POLICY, mode="propose")
QUIET = replace(POLICY, quiet_hours=("mon-fri 08:00-18:00",))
HOUR = timedelta(hours=1)


def found(refit: float = 0.05, revert: float | None = None, looks: int = 1) -> Probed:
    back = None if revert is None else Gain("revert:2", revert, revert + 0.2, 1, 1000, 28)
    gain = Gain("refit:4", refit, refit + 0.05, 1, 1000, 28)
    return Probed(gain, back, "refit:4", looks=looks, alpha_spent=0.01, sentence="The probe has looked.")


def evidence(**changes: object) -> Evidence:
    base = Evidence(
        model="flight_delay",
        window="week 6",
        matured_labels=20_000,
        champion_version="3",
        champion_since=NOW - timedelta(days=20),
        probe=found(),
    )
    return replace(base, **changes)


def act(given: Evidence, policy: RetrainPolicy = POLICY, history: History = NONE, now: datetime = NOW) -> tuple:
    decision = decide(given, policy, history, now)
    for other in decision.counterfactuals:
        assert replay(other, given, policy, history, now) == other.action != decision.action
    assert entry_of(json.loads(json.dumps(decision.to_dict()))) == decision
    assert Evidence.from_dict(decision.evidence) == given
    return decision.action, decision.rule


def held(until: datetime) -> Hold:
    return Hold("ana", "year-end", until)


def sentences(given: Evidence, policy: RetrainPolicy = POLICY, now: datetime = NOW) -> list[str]:
    return [c.sentence for c in decide(given, policy, NONE, now).counterfactuals]


# --- freeze and snooze -------------------------------------------------------------------------------------


def test_a_freeze_stops_training_going_back_and_requests_until_its_time() -> None:
    frozen = held(NOW + HOUR)
    assert act(evidence(frozen=frozen)) == ("wait", "frozen")
    assert act(evidence(frozen=frozen, probe=found(0.0, revert=0.1))) == ("wait", "frozen")
    assert act(evidence(frozen=frozen, request="now")) == ("wait", "frozen")
    assert act(evidence(frozen=frozen, request="now", request_forced=True)) == ("retrain", "request")
    assert act(evidence(frozen=frozen), now=NOW + HOUR) == ("retrain", "gain")
    assert act(evidence(frozen=frozen, data_ok=False)) == ("quarantine", "data")
    told = decide(evidence(frozen=frozen, request="now"), POLICY, NONE, NOW).reason
    assert "until 2013-05-06 15:00 UTC by ana: year-end" in told
    assert "mlops unfreeze flight_delay" in told
    assert "If the model had not been frozen, the answer would have been retrain." in sentences(evidence(frozen=frozen))


def test_a_snooze_lets_trainings_wait_and_nothing_else() -> None:
    snoozed = held(NOW + HOUR)
    assert act(evidence(snoozed=snoozed)) == ("wait", "snoozed")
    assert act(evidence(snoozed=snoozed, probe=found(0.0))) == ("wait", "nothing")
    assert act(evidence(snoozed=snoozed, probe=found(0.0, revert=0.1))) == ("revert", "revert")
    assert act(evidence(snoozed=snoozed, request="now")) == ("retrain", "request")
    assert act(evidence(snoozed=snoozed), now=NOW + HOUR) == ("retrain", "gain")
    flips = sentences(evidence(snoozed=snoozed))
    assert "If trainings had not been snoozed, the answer would have been retrain." in flips


def test_the_end_of_a_hold_alone_is_news() -> None:
    given = evidence(frozen=held(NOW + HOUR))
    first = decide(given, POLICY, NONE, NOW)
    assert not is_news(decide(given, POLICY, NONE, NOW + HOUR / 2), History.of([first]))
    later = decide(given, POLICY, History.of([first]), NOW + HOUR)
    assert later.action == "retrain"
    assert is_news(later, History.of([first]))


def test_evidence_without_a_word_is_as_it_was() -> None:
    assert set(evidence().to_dict()).isdisjoint({"frozen", "snoozed", "answer", "events", "request_forced"})


# --- quiet hours -------------------------------------------------------------------------------------------


def test_no_training_starts_by_itself_in_quiet_hours() -> None:
    assert act(evidence(), QUIET) == ("wait", "quiet_hours")
    told = decide(evidence(), QUIET, NONE, NOW).reasons[0]
    assert told.endswith("it can start at 2013-05-06 22:00 UTC.")
    assert act(evidence(), QUIET, now=NOW + 8 * HOUR) == ("retrain", "gain")
    assert act(evidence(request="now"), QUIET) == ("retrain", "request")
    assert act(evidence(probe=found(0.0, revert=0.1)), QUIET) == ("revert", "revert")
    assert act(evidence(probe=found(0.0)), QUIET) == ("wait", "nothing")
    assert "If it had not been quiet hours, the answer would have been retrain." in sentences(evidence(), QUIET)


def test_what_quiet_hours_put_off_starts_when_they_are_over() -> None:
    first = decide(evidence(), QUIET, NONE, NOW)
    history = History.of([first])
    assert not is_news(decide(evidence(), QUIET, history, NOW + HOUR), history)
    later = decide(evidence(), QUIET, history, NOW + 8 * HOUR)
    assert (later.action, is_news(later, history)) == ("retrain", True)


# --- proposals ---------------------------------------------------------------------------------------------


def answered(proposal: Decision, *, approved: bool = True) -> Answer:
    assert proposal.question is not None
    return Answer(proposal.id, proposal.question, approved, "ana", NOW, "looked at it")


def test_a_change_is_proposed_and_done_once_a_person_agrees() -> None:
    for probe, change in ((found(), "retrain"), (found(0.0, revert=0.1), "revert")):
        given = evidence(probe=probe)
        proposal = decide(given, PROPOSE, NONE, NOW)
        assert proposal.action == f"propose_{change}"
        assert proposal.reasons[-1] == "It is done once a person agrees: mlops approve flight_delay."
        approved = decide(replace(given, answer=answered(proposal)), PROPOSE, History.of([proposal]), NOW + HOUR)
        assert (approved.action, approved.rule, approved.candidate) == (change, proposal.rule, proposal.candidate)
        assert f"ana approved it (decision {proposal.id}): looked at it." in approved.reasons
        act(replace(given, answer=answered(proposal)), PROPOSE, History.of([proposal]))


def test_a_rejected_proposal_waits() -> None:
    proposal = decide(evidence(), PROPOSE, NONE, NOW)
    given = evidence(answer=answered(proposal, approved=False))
    assert act(given, PROPOSE) == ("wait", "rejected")
    assert "If ana had approved it, the answer would have been retrain." in sentences(given, PROPOSE)
    assert "If no approval had been needed, the answer would have been retrain." in sentences(evidence(), PROPOSE)


def test_an_answer_holds_while_what_was_asked_does() -> None:
    said = answered(decide(evidence(), PROPOSE, NONE, NOW))
    assert act(evidence(answer=said, matured_labels=30_000), PROPOSE)[0] == "retrain"
    for other in (
        {"window": "week 7"},
        {"champion_version": "4"},
        {"probe": found(looks=2)},
        {"probe": replace(found(), leader="refit:1")},
        {"probe": found(0.0, revert=0.1)},
    ):
        assert act(evidence(answer=said, **other), PROPOSE)[0].startswith("propose_")


def test_proposals_obey_what_holds_back_and_requests_need_no_approval() -> None:
    both = replace(PROPOSE, quiet_hours=QUIET.quiet_hours)
    assert act(evidence(snoozed=held(NOW + HOUR)), PROPOSE) == ("wait", "snoozed")
    assert act(Evidence("m", None, matured_labels=3), PROPOSE) == ("wait", "labels")
    assert act(evidence(request="now"), PROPOSE) == ("retrain", "request")
    assert act(evidence(probe=found(0.0)), PROPOSE) == ("wait", "nothing")
    assert act(Evidence("m", None, matured_labels=900), PROPOSE) == ("propose_retrain", "first_model")
    # People read proposals in the hours in which nothing starts.
    proposal = decide(evidence(), both, NONE, NOW)
    assert proposal.action == "propose_retrain"
    assert act(evidence(answer=answered(proposal)), both) == ("wait", "quiet_hours")
    assert act(evidence(answer=answered(proposal)), both, now=NOW + 8 * HOUR) == ("retrain", "gain")


def test_a_breach_that_was_proposed_stays_proposed() -> None:
    """It ended before the newest window: a decision that had answered it would not see it again."""
    from mlops_assets.core.decide.policy import CheckResult

    week = timedelta(days=7)
    checks = tuple(
        CheckResult("inputs", "drift", f"w{k}", NOW - k * week, passed=k == 0, sentence="moved") for k in (2, 1, 0)
    )
    given = evidence(probe=None, checks=checks)
    first = decide(given, PROPOSE, NONE, NOW)
    assert (first.action, first.rule) == ("propose_retrain", "drift")
    again = decide(given, PROPOSE, History.of([first]), NOW + HOUR)
    assert again.id == first.id
    assert not is_news(again, History.of([first]))


# --- the fields --------------------------------------------------------------------------------------------


def test_the_fields_survive_yaml_and_json() -> None:
    policy = RetrainPolicy.from_dict(
        {"mode": "propose", "quiet_hours": ["sat,sun 00:00-24:00"], "price_money": 40, "price_horizon": "90d"}
    )
    assert (policy.price_horizon, policy.quiet_hours) == (timedelta(days=90), ("sat,sun 00:00-24:00",))
    assert RetrainPolicy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy


@pytest.mark.parametrize(
    ("fields", "remedy"),
    [
        ({"mode": "ask"}, "set act, or propose"),
        ({"quiet_hours": "08:00-18:00"}, "write a list"),
        ({"quiet_hours": ["noon"]}, "for example 08:00-18:00"),
        ({"price_money": -1}, "0 or more"),
        ({"price_money": "40 EUR"}, "write a number"),
        ({"price_horizon": "0d"}, "above 0d"),
    ],
)
def test_a_wrong_field_names_the_remedy(fields: dict, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        RetrainPolicy.from_dict(fields)
