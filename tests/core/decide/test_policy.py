from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mlops_assets.core.decide.counterfactuals import replay
from mlops_assets.core.decide.evidence import Novelty
from mlops_assets.core.decide.policy import (
    RULES,
    CheckResult,
    Evidence,
    History,
    Past,
    RetrainPolicy,
    decide,
    is_news,
)
from mlops_assets.core.decide.probe_result import Gain, Probed
from mlops_assets.core.record.entries import entry_of

START = datetime(2013, 4, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
SINCE = START + timedelta(days=5)
NOW = START + 6 * WEEK
NONE = History()
POLICY = RetrainPolicy()


def check(k: int, passed: bool | None, *, kind: str = "drift", name: str | None = None) -> CheckResult:
    label = f"week {k}"
    names = {"drift": "inputs_match_reference", "performance": "performance_holds"}
    told = f"psi 0.31 over 0.2 in {label}"
    return CheckResult(name or names[kind], kind, label, START + k * WEEK, passed, 0.31, 0.2, told)


def evidence(*checks: CheckResult, **changes: object) -> Evidence:
    base = Evidence(
        model="flight_delay",
        window="week 6",
        checks=checks or (check(6, True),),
        matured_labels=20_000,
        champion_version="3",
        champion_since=SINCE,
    )
    return replace(base, **changes)


def act(found: Evidence, policy: RetrainPolicy = POLICY, history: History = NONE, now: datetime = NOW) -> tuple:
    decision = decide(found, policy, history, now)
    assert decision.rule in RULES
    return decision.action, decision.rule


# --- each rule, in its order -------------------------------------------------------------------------------


def test_all_quiet_waits() -> None:
    decision = decide(evidence(), POLICY, NONE, NOW)
    assert (decision.action, decision.rule) == ("wait", "nothing")
    assert decision.reasons[0] == "All 1 checks that could judge passed, up to window week 6."
    assert decision.reasons[1] == "The champion is 37 days old, 42 days at most."


def test_bad_data_ends_the_decision_before_anything_else() -> None:
    found = evidence(
        check(5, False),
        check(6, False),
        data_ok=False,
        data_sentence="12 rows lack a carrier.",
        request="now",
    )
    decision = decide(found, POLICY, NONE, NOW)
    assert (decision.action, decision.rule) == ("quarantine", "data")
    assert decision.reasons[0] == "12 rows lack a carrier."


def test_a_persons_request_comes_before_pause_cooldown_and_budget() -> None:
    busy = History.of([decide(evidence(request="x"), POLICY, NONE, NOW - timedelta(days=1))])
    found = evidence(request="new tariff", paused="on holiday")
    assert act(found, replace(POLICY, budget=0), busy) == ("retrain", "request")


def test_a_persons_request_waits_until_it_can_be_judged() -> None:
    found = decide(evidence(request="new tariff", cannot_judge=("no rows",)), POLICY, NONE, NOW)
    assert (found.action, found.rule) == ("cannot_judge", "cannot_judge")
    assert found.reasons == (
        "A person asked for a training: new tariff. It starts as soon as it can be judged.",
        "no rows",
    )


def test_what_ships_unjudged_by_agreement_says_so_wherever_it_starts() -> None:
    why = "It cannot be judged against the champion, because 3 days are there: it ships by the agreed rule."
    for change in ({"request": "now"}, {"checks": (check(6, False, kind="performance"),)}):
        decision = decide(evidence(unjudged=why, **change), RetrainPolicy(), History(), NOW)
        assert decision.action == "retrain"
        assert decision.reasons[-1] == why
    assert Evidence.from_dict(evidence(unjudged=why).to_dict()) == evidence(unjudged=why)
    assert "unjudged" not in evidence().to_dict(), "decisions from before keep their ids"
    assert why not in decide(evidence(unjudged=why), RetrainPolicy(), History(), NOW).reasons


def test_a_paused_model_waits() -> None:
    assert act(evidence(check(5, False), check(6, False), paused="ana: audit")) == ("wait", "paused")


@pytest.mark.parametrize(
    "found",
    [
        evidence(cannot_judge=("the window has no rows; wait for the landing",)),
        evidence(check(6, None)),
        evidence(check(5, False), check(6, None)),
        replace(evidence(), checks=()),
    ],
)
def test_what_cannot_be_judged_never_retrains(found: Evidence) -> None:
    assert act(found, now=NOW + timedelta(days=900)) == ("cannot_judge", "cannot_judge")


def test_before_the_first_window_closes_it_waits() -> None:
    assert act(replace(evidence(), window=None, checks=())) == ("wait", "no_window")


def test_one_performance_breach_is_enough_and_one_drift_breach_is_not() -> None:
    assert act(evidence(check(6, False, kind="performance"))) == ("retrain", "performance")
    assert act(evidence(check(6, False))) == ("wait", "nothing")


def test_two_drift_breaches_in_a_row_retrain_and_say_so() -> None:
    decision = decide(evidence(check(4, True), check(5, False), check(6, False)), POLICY, NONE, NOW)
    assert (decision.action, decision.rule) == ("retrain", "drift")
    assert "failed in 2 windows up to week 6" in decision.reasons[0]
    assert "psi 0.31 over 0.2" in decision.reasons[0]
    assert decision.reasons[-1] == "20,000 new labels are known."


def test_a_pass_or_an_unjudged_window_between_breaks_the_run() -> None:
    for between in (True, None):
        assert act(evidence(check(4, False), check(5, between), check(6, False))) == ("wait", "nothing")


def test_breaches_of_different_checks_do_not_add_up() -> None:
    found = evidence(check(5, False), check(6, False, name="predictions_match_reference"), check(6, True))
    assert act(found) == ("wait", "nothing")


def test_performance_comes_before_drift() -> None:
    found = evidence(check(5, False), check(6, False), check(6, False, kind="performance"))
    assert act(found) == ("retrain", "performance")


def test_all_windows_since_the_last_tick_are_judged_in_order() -> None:
    """Two breaches, then a pass, all closed since the last tick: a tick per window would have retrained."""
    last = History.of([decide(evidence(check(3, True)), POLICY, NONE, START + 3 * WEEK)])
    found = evidence(check(3, True), check(4, False), check(5, False), check(6, True))
    assert act(found, history=last) == ("retrain", "drift")
    seen = History.of([decide(evidence(check(4, False), check(5, False), paused="x"), POLICY, NONE, NOW - WEEK)])
    assert act(found, history=seen) == ("wait", "nothing")


def test_windows_that_a_retraining_answered_do_not_count_again() -> None:
    first = decide(evidence(check(3, False), check(4, False)), POLICY, NONE, START + 4 * WEEK)
    history = History.of([first])
    assert first.action == "retrain"
    again = evidence(check(3, False), check(4, False), check(5, False))
    assert act(again, history=history) == ("wait", "nothing")
    more = evidence(check(4, False), check(5, False), check(6, False))
    assert act(more, history=history) == ("retrain", "drift")


# --- what holds back ---------------------------------------------------------------------------------------

BREACH = evidence(check(5, False), check(6, False))


def retrained(*days_ago: float) -> History:
    return History.of(decide(evidence(request=f"{d}"), POLICY, NONE, NOW - timedelta(days=d)) for d in days_ago)


def quiet(*days_ago: float) -> History:
    """Retrainings that had looked at no window of this evidence."""
    found = [replace(p, judged={}) for p in retrained(*days_ago).decisions]
    return History(tuple(found))


def test_cooldown_holds_back_and_then_lets_go() -> None:
    assert act(BREACH, history=quiet(6.9)) == ("wait", "cooldown")
    assert act(BREACH, history=quiet(7.0)) == ("retrain", "drift")
    told = decide(BREACH, POLICY, quiet(6.9), NOW).reasons
    assert "the cooldown of 7 days ends at 2013-05-13" in told[0]
    assert "inputs_match_reference failed" in told[1]


def test_the_budget_counts_the_last_30_days() -> None:
    assert act(BREACH, history=quiet(8, 12, 16, 29.9)) == ("wait", "budget")
    assert act(BREACH, history=quiet(8, 12, 16, 30)) == ("retrain", "drift")


def test_too_few_new_labels_wait() -> None:
    assert act(replace(BREACH, matured_labels=199)) == ("wait", "labels")
    assert act(replace(BREACH, matured_labels=200)) == ("retrain", "drift")
    # What the probe has measured, it had the labels for.
    assert act(replace(BREACH, matured_labels=199, probe=probe(0.05))) == ("retrain", "gain")


def probe(lower: float, mean: float | None = None, revert: float | None = None) -> Probed:
    """A finding of the probe: bounds of what a refit, and going back to version 2, would have gained."""
    refit = Gain("refit:4", lower, lower + 0.05 if mean is None else mean, 1, 1000, 28)
    back = None if revert is None else Gain("revert:2", revert, revert + 0.05, 1, 1000, 28)
    return Probed(refit, back, "refit:4", looks=1, alpha_spent=0.01, sentence="The probe has looked.")


def test_a_sure_gain_above_its_price_retrains_and_more_gain_never_turns_back() -> None:
    gains = (-0.1, 0.0, 0.01, 0.0101, 0.5)
    actions = [act(evidence(probe=probe(gain))) for gain in gains]
    assert actions == [("wait", "nothing")] * 3 + [("retrain", "gain")] * 2
    assert act(evidence(probe=probe(0.03)), replace(POLICY, min_gain=0.04)) == ("wait", "nothing")
    assert decide(evidence(probe=probe(0.03)), POLICY, History(), NOW).candidate == "refit:4"


def test_where_the_probe_has_looked_failed_checks_ask_for_nothing() -> None:
    assert act(BREACH) == ("retrain", "drift")
    decision = decide(replace(BREACH, probe=probe(-0.02)), POLICY, History(), NOW)
    assert (decision.action, decision.rule, decision.candidate) == ("wait", "nothing", None)
    assert "failed in window week 6; no other model was surely better by the required 1.0%" in decision.reason


def test_a_failure_that_was_judged_late_is_told_until_its_check_passes_or_a_training_answers_it() -> None:
    late = (check(4, False, kind="performance"), check(5, None, kind="performance"))
    told = decide(evidence(*late, probe=probe(0.005)), POLICY, History(), NOW).reason
    assert f"performance_holds failed in window {late[0].window}; no other model was surely better" in told
    passed = decide(evidence(*late, check(6, True, kind="performance"), probe=probe(0.005)), POLICY, History(), NOW)
    assert "failed" not in passed.reason
    assert "not surely more than the price of a training, 1.0%" in passed.reason
    answered = decide(evidence(*late, probe=probe(-0.005)), POLICY, retrained(0.1), NOW)
    assert "failed" not in answered.reason


def test_going_back_is_not_held_back_and_needs_the_larger_gain() -> None:
    just_before = quiet(0.1)
    assert act(evidence(probe=probe(0.05, revert=0.05)), history=just_before) == ("revert", "revert")
    assert act(evidence(probe=probe(0.05)), history=just_before)[0] == "wait"
    assert act(evidence(probe=probe(0.05, mean=0.3, revert=0.05))) == ("retrain", "gain")
    assert act(evidence(probe=probe(-0.05, revert=0.01))) == ("wait", "nothing")
    decision = decide(evidence(probe=probe(0.0, revert=0.05)), POLICY, History(), NOW)
    assert decision.candidate == "revert:2"
    assert entry_of(decision.to_dict()) == decision


def test_another_finding_of_the_probe_would_have_flipped_the_action() -> None:
    for found in (probe(0.005), probe(0.05), probe(0.0, revert=0.05)):
        given = evidence(probe=found)
        decision = decide(given, POLICY, History(), NOW)
        changes = [c for c in decision.counterfactuals if "probe" in c.evidence]
        assert changes
        assert all(replay(c, given, POLICY, History(), NOW) == c.action != decision.action for c in changes)


def test_a_rejected_candidate_of_age_renews_the_term() -> None:
    old = SINCE + timedelta(days=50)
    earlier = History((Past(SINCE + timedelta(days=42), "retrain", "x", "age"),))
    assert act(evidence(), now=old) == ("retrain", "age")
    assert act(evidence(), now=old, history=earlier) == ("wait", "nothing")
    assert act(evidence(), now=SINCE + timedelta(days=84), history=earlier) == ("retrain", "age")


def test_a_changed_definition_starts_a_candidate_and_is_held_back_like_any_other() -> None:
    told = "The definition has changed since version 3 was trained: 1 new (a)."
    decision = decide(evidence(definition=told), POLICY, NONE, NOW)
    assert (decision.action, decision.rule, decision.reasons[0]) == ("retrain", "definition", told)
    assert any("the definition had not changed" in c.sentence for c in decision.counterfactuals)
    asks_for_nothing = decide(evidence(definition=told), replace(POLICY, definition_change=False), NONE, NOW)
    assert (asks_for_nothing.action, asks_for_nothing.rule) == ("wait", "nothing")
    assert asks_for_nothing.reasons[-1].startswith(f"{told} It starts no training by itself: `mlops retrain ")
    assert act(evidence(definition=told, matured_labels=3)) == ("wait", "labels")
    assert act(evidence(definition=told, paused="ana: audit")) == ("wait", "paused")


def test_rows_of_a_new_kind_start_a_candidate_where_that_is_agreed() -> None:
    wary, new = replace(POLICY, max_novelty=0.1), Novelty(0.12, "week 6", START + 6 * WEEK)
    assert act(evidence(novelty=new)) == ("wait", "nothing")
    assert act(evidence(), wary) == ("wait", "nothing")
    assert act(evidence(novelty=replace(new, share=0.1)), wary) == ("wait", "nothing")
    decision = decide(evidence(novelty=new), wary, NONE, NOW)
    assert (decision.action, decision.rule) == ("retrain", "novelty")
    assert decision.reasons[0] == (
        "12.0% of the rows of window week 6 are unlike those that the champion was trained on "
        "(limit 10.0%, 1.0% is usual)."
    )
    for change in decision.counterfactuals:
        assert replay(change, evidence(novelty=new), wary, NONE, NOW) == change.action != "retrain"
    answered = History((Past(NOW - 2 * WEEK, "retrain", "x", "novelty", {"inputs_match_reference": new.window_end}),))
    assert act(evidence(novelty=new), wary, answered) == ("wait", "nothing")


def test_notes_are_kept_and_change_nothing() -> None:
    found = evidence(notes=("Estimated, not measured: roc_auc 0.7.",), novelty=Novelty(0.02, "week 6", START))
    assert Evidence.from_dict(json.loads(found.to_json())) == found
    assert act(found) == act(evidence())
    assert decide(found, POLICY, NONE, NOW).evidence["notes"] == ["Estimated, not measured: roc_auc 0.7."]


@pytest.mark.parametrize(
    ("field", "value"), [("max_novelty", 1.5), ("max_novelty", "much"), ("definition_change", "maybe")]
)
def test_a_field_that_cannot_be_read_is_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"retrain.{field} is "):
        RetrainPolicy.from_dict({field: value})


def test_age_starts_a_candidate() -> None:
    assert POLICY.age_limit == timedelta(days=42)
    assert replace(POLICY, window=timedelta(days=1)).age_limit == timedelta(days=30)
    assert act(evidence(), now=SINCE + timedelta(days=41.9)) == ("wait", "nothing")
    assert act(evidence(), now=SINCE + timedelta(days=42)) == ("retrain", "age")
    assert act(evidence(), replace(POLICY, max_age=None), now=START + timedelta(days=900))[0] == "wait"
    assert act(evidence(), replace(POLICY, max_age=timedelta(days=5)))[1] == "age"


def test_growth_of_the_labels_starts_a_candidate_once() -> None:
    grown = evidence(labels_at_fit=40_000, matured_labels=20_000)
    decision = decide(grown, POLICY, NONE, NOW)
    assert (decision.action, decision.rule) == ("retrain", "growth")
    assert "60,000 labels are known, 50% more" in decision.reasons[0]
    assert act(evidence(labels_at_fit=40_000, matured_labels=19_999)) == ("wait", "nothing")
    assert act(evidence(matured_labels=19_999_999)) == ("wait", "nothing")  # nobody counted the champion's
    assert act(grown, replace(POLICY, growth=None)) == ("wait", "nothing")
    # Rejected, it is due again at half as many labels as there were then.
    rejected = History.of([decide(grown, POLICY, NONE, NOW - timedelta(days=8))])
    assert act(replace(grown, matured_labels=49_999), history=rejected) == ("wait", "nothing")
    assert act(replace(grown, matured_labels=50_000), history=rejected) == ("retrain", "growth")


def test_the_first_model_comes_as_soon_as_there_are_labels() -> None:
    new = Evidence(model="m", window=None, matured_labels=199)
    assert act(new) == ("wait", "labels")
    assert act(replace(new, matured_labels=200)) == ("retrain", "first_model")
    assert act(replace(new, matured_labels=200), history=quiet(1)) == ("wait", "cooldown")
    assert act(replace(new, matured_labels=200, data_ok=False))[0] == "quarantine"


# --- records -----------------------------------------------------------------------------------------------


def test_deciding_is_deterministic_and_order_of_checks_does_not_matter() -> None:
    one = decide(BREACH, POLICY, NONE, NOW)
    two = decide(replace(BREACH, checks=tuple(reversed(BREACH.checks))), POLICY, NONE, NOW)
    assert one == two
    assert json.dumps(one.to_dict()) == json.dumps(two.to_dict())


def test_evidence_and_decision_survive_json() -> None:
    assert Evidence.from_dict(json.loads(BREACH.to_json())) == BREACH
    assert Evidence.from_dict(json.loads(BREACH.to_json())).fingerprint() == BREACH.fingerprint()
    decision = decide(BREACH, POLICY, NONE, NOW)
    assert entry_of(json.loads(json.dumps(decision.to_dict()))) == decision


def test_an_unchanged_tick_has_the_same_id_and_is_no_news() -> None:
    first = decide(evidence(), POLICY, NONE, NOW - timedelta(hours=2))
    second = decide(evidence(), POLICY, History.of([first]), NOW - timedelta(hours=1))
    assert first.id == second.id
    assert not is_news(second, History.of([first]))
    assert is_news(first, NONE)
    changed = decide(evidence(matured_labels=20_001), POLICY, History.of([first]), NOW)
    assert is_news(changed, History.of([first]))


def test_waiting_out_the_cooldown_of_ones_own_retraining_is_no_news() -> None:
    first = decide(BREACH, POLICY, NONE, NOW)
    after = decide(BREACH, POLICY, History.of([first]), NOW + timedelta(minutes=1))
    assert (first.action, after.action) == ("retrain", "wait")
    assert not is_news(after, History.of([first]))


def test_the_clock_alone_can_change_the_conclusion_and_that_is_news() -> None:
    young = decide(evidence(), POLICY, NONE, SINCE + timedelta(days=41))
    old = decide(evidence(), POLICY, History.of([young]), SINCE + timedelta(days=43))
    assert old.action == "retrain"
    assert old.id != young.id
    assert is_news(old, History.of([young]))


@pytest.mark.parametrize(
    ("found", "history"),
    [
        (BREACH, NONE),
        (BREACH, quiet(1)),
        (evidence(), NONE),
        (replace(BREACH, matured_labels=3), NONE),
        (evidence(check(6, False)), NONE),
        (replace(BREACH, paused="x"), NONE),
        (replace(BREACH, data_ok=False), NONE),
        (evidence(request="x"), NONE),
    ],
)
def test_every_decision_names_changes_that_when_replayed_flip_it(found: Evidence, history: History) -> None:
    now = START + timedelta(days=40)
    decision = decide(found, POLICY, history, now)
    assert decision.counterfactuals
    for other in decision.counterfactuals:
        assert replay(other, found, POLICY, history, now) == other.action != decision.action
        assert other.sentence.startswith("If ")


def test_numpy_answers_are_taken_as_plain_ones() -> None:
    result = CheckResult("c", "drift", "w", NOW, np.bool_(False), np.float32(0.5))  # type: ignore[arg-type]
    assert result.passed is False
    assert evidence(result).fingerprint()
    with pytest.raises(ValueError, match="pass None"):
        CheckResult("c", "drift", "w", NOW, True, float("nan"))


# --- the policy --------------------------------------------------------------------------------------------


def test_the_policy_reads_yaml_and_survives_the_round_trip() -> None:
    policy = RetrainPolicy.from_dict(
        {"min_gain": 0.01, "cooldown": "36h", "budget": "2 per 14d", "max_age": "auto", "window": "28d", "growth": 0.3}
    )
    assert policy.cooldown == timedelta(hours=36)
    assert (policy.budget, policy.budget_period) == (2, timedelta(days=14))
    assert policy.age_limit == timedelta(days=168)
    for one in (policy, POLICY, replace(POLICY, max_age=None, growth=None), replace(POLICY, max_age=timedelta(days=9))):
        assert RetrainPolicy.from_dict(json.loads(json.dumps(one.to_dict()))) == one


@pytest.mark.parametrize(
    ("fields", "remedy"),
    [
        ({"coldown": "7d"}, "use one of window, cooldown"),
        ({"budget": "many"}, "4 per 30d"),
        ({"cooldown": "soon"}, "for example 7d"),
        ({"drift_breaches": 0}, "from 1 to"),
        ({"min_gain": -1}, "from 0 to below 1, for example 0.01"),
        ({"growth": 0}, "above 0"),
        ({"growth": "often"}, "or never"),
    ],
)
def test_a_wrong_policy_names_the_remedy(fields: dict, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        RetrainPolicy.from_dict(fields)


def test_naive_clocks_and_half_a_champion_are_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        decide(evidence(), POLICY, NONE, datetime(2013, 5, 1))
    with pytest.raises(ValueError, match="set both or neither"):
        Evidence(model="m", window=None, champion_version="1")
