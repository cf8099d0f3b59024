"""Agreed triggers: when one asks, what answers it, what holds it back, and what goes on record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlops_assets.core.decide.agreed.triggers import OnSchedule, Trigger
from mlops_assets.core.decide.counterfactuals import replay
from mlops_assets.core.decide.policy import CheckResult, Decision, Evidence, History, RetrainPolicy, decide
from mlops_assets.core.decide.probe_result import Gain, Probed

START = datetime(2013, 4, 1, tzinfo=UTC)
WEEK, DAY = timedelta(days=7), timedelta(days=1)
NOW = START + 6 * WEEK
PSI = {"drift": {"psi": 0.2}}
TWICE = {"drift": {"psi": 0.2, "windows": 2}}
WEEKLY = {"schedule": {"every": "7d"}}


def agreed(*entries: Any, **fields: Any) -> RetrainPolicy:
    return RetrainPolicy.from_dict({"on": list(entries), **fields})


def result(trigger: Trigger, k: int, passed: bool | None) -> CheckResult:
    return trigger.result(
        f"week {k}", START + k * WEEK, passed=passed, value=0.3, limit=0.2, sentence=f"PSI in week {k}"
    )


def evidence(policy: RetrainPolicy, *answers: bool | None, **changes: Any) -> Evidence:
    """The first trigger's answers in the newest weeks, the last of them week 6."""
    assert policy.on is not None
    first = 7 - len(answers)
    triggers = tuple(result(policy.on[0], first + k, passed) for k, passed in enumerate(answers))
    fields: dict[str, Any] = {
        "model": "m", "window": "week 6", "matured_labels": 9_000, "champion_version": "3",
        "champion_since": START + 2 * DAY, "checks": (CheckResult("holds", "performance", "week 6", NOW, True),),
    }  # fmt: skip
    return Evidence(**{**fields, "triggers": triggers, **changes})


def probed(lower: float) -> Probed:
    return Probed(Gain("refit:4", lower, lower + 0.01, 1, 1000, 28), None, "refit:4", 2, 0.02, "The probe has looked.")


def act(policy: RetrainPolicy, known: Evidence, past: History | None = None, now: datetime = NOW) -> tuple[str, str]:
    decision = decide(known, policy, past or History(), now)
    return decision.action, decision.rule


def trained(policy: RetrainPolicy, known: Evidence, at: datetime) -> Decision:
    decision = decide(known, policy, History(), at)
    assert decision.action == "retrain"
    return decision


def test_a_failed_check_starts_a_training_though_the_probe_found_nothing() -> None:
    policy = agreed(PSI)
    assert act(policy, evidence(policy, False, probe=probed(-0.1))) == ("retrain", "drift")
    assert act(RetrainPolicy(growth=None), evidence(policy, False, probe=probed(-0.1), triggers=())) == (
        "wait",
        "nothing",
    )


@pytest.mark.parametrize(
    ("answers", "asks"),
    [
        ((False, False), True), ((True, False, False), True), ((False, True, False), False), ((False,), False),
        ((False, None, False), False), ((False, False, None), True), ((None,), False), ((), False),
    ],
)  # fmt: skip
def test_so_many_windows_in_a_row(answers: tuple[bool | None, ...], asks: bool) -> None:
    policy = agreed(TWICE)
    assert (act(policy, evidence(policy, *answers))[0] == "retrain") is asks


def test_all_that_ask_at_once_start_one_candidate_and_stand_on_record() -> None:
    policy = agreed("gain", PSI, WEEKLY)
    assert policy.on is not None
    known = evidence(policy, probe=probed(0.05))
    fired = (result(policy.on[1], 6, False), policy.on[2].result("then", NOW, passed=False, sentence="it was due"))
    decision = decide(Evidence(**{**vars(known), "triggers": fired}), policy, History(), NOW)
    assert (decision.action, decision.rule) == ("retrain", "gain")
    assert [reason.split(" asks")[0] for reason in decision.reasons[1:3]] == [
        "The trigger drift (psi 0.2)",
        "The trigger schedule (every 7d)",
    ]


def test_what_a_training_has_answered_asks_no_more_and_the_next_failure_does() -> None:
    policy = agreed(PSI, cooldown="0d")
    past = History.of([trained(policy, evidence(policy, False), NOW)])
    assert act(policy, evidence(policy, False), past, NOW + DAY) == ("wait", "nothing")
    later = evidence(policy, False, triggers=(*evidence(policy, False).triggers, result(policy.on[0], 7, False)))  # type: ignore[index]
    assert act(policy, later, past, NOW + WEEK) == ("retrain", "drift")


def test_a_failure_between_two_ticks_is_not_lost() -> None:
    """All windows that closed since the last tick are judged as if there had been a tick for each."""
    policy = agreed(PSI)
    assert act(policy, evidence(policy, False, True)) == ("retrain", "drift")
    seen = History.of([decide(evidence(policy, False, True, paused="audit"), policy, History(), NOW)])
    assert act(policy, evidence(policy, False, True), seen) == ("wait", "nothing")


def test_cooldown_and_budget_hold_back_a_check_and_not_a_schedule() -> None:
    policy, scheduled = agreed(PSI), agreed(WEEKLY)
    past = History.of([trained(policy, evidence(policy, False), NOW - 3 * DAY)])
    assert act(policy, evidence(policy, False), past)[1] == "nothing"
    other = agreed({"drift": {"psi": 0.1}})
    assert act(other, evidence(other, False), past) == ("wait", "cooldown")
    assert act(scheduled, evidence(scheduled, False), past) == ("retrain", "schedule")
    none_left = agreed(PSI, budget=0), agreed(WEEKLY, budget=0)
    assert act(none_left[0], evidence(none_left[0], False)) == ("wait", "budget")
    assert act(none_left[1], evidence(none_left[1], False)) == ("retrain", "schedule")


def test_too_few_labels_hold_back_a_schedule_too_and_say_what_asks() -> None:
    policy = agreed(WEEKLY)
    decision = decide(evidence(policy, False, matured_labels=10), policy, History(), NOW)
    assert (decision.action, decision.rule) == ("wait", "labels")
    assert decision.reasons[1].startswith("The trigger schedule (every 7d) asks for a training")


def test_what_cannot_be_judged_starts_nothing_and_says_what_asked() -> None:
    policy = agreed(WEEKLY)
    decision = decide(evidence(policy, False, cannot_judge=("Eight days are needed.",)), policy, History(), NOW)
    assert (decision.action, decision.rule) == ("cannot_judge", "cannot_judge")
    assert decision.reasons[0] == "Eight days are needed."
    assert decision.reasons[1].startswith("The trigger schedule (every 7d) asks")


def test_a_schedule_waits_for_no_window() -> None:
    policy = agreed(WEEKLY)
    assert act(policy, evidence(policy, False, window=None, checks=())) == ("retrain", "schedule")
    assert act(policy, evidence(policy, True, window=None, checks=())) == ("wait", "no_window")


def test_a_trigger_on_a_check_that_never_ran_says_so() -> None:
    policy = agreed(PSI)
    decision = decide(evidence(policy), policy, History(), NOW)
    assert (decision.action, decision.rule) == ("wait", "nothing")
    assert decision.reasons[0] == "No agreed trigger asks for a training. drift (psi 0.2): nothing to judge yet."


def test_a_trigger_that_goes_by_the_monitors_says_what_they_answered() -> None:
    policy = agreed("performance", "drift")
    (reason, *_) = decide(evidence(policy), policy, History(), NOW).reasons
    assert "performance: holds passed in window week 6. drift: nothing to judge yet." in reason


def test_the_monitors_own_checks_ask_by_their_own_limits() -> None:
    failed = tuple(CheckResult("inputs", "drift", f"week {k}", START + k * WEEK, False) for k in (5, 6))
    policy = agreed("drift")
    assert act(policy, evidence(policy, checks=failed, probe=probed(-0.1))) == ("retrain", "drift")
    assert act(policy, evidence(policy, checks=failed[:1], probe=probed(-0.1))) == ("wait", "nothing")


def test_each_trigger_that_asked_has_its_counterfactual() -> None:
    policy = agreed(PSI)
    known = evidence(policy, False, probe=probed(-0.1))
    decision = decide(known, policy, History(), NOW)
    (change,) = (c for c in decision.counterfactuals if "the trigger drift (psi 0.2) had not been agreed" in c.sentence)
    assert (change.action, replay(change, known, policy, History(), NOW)) == ("wait", "wait")


# --- schedules -------------------------------------------------------------------------------------------------


def due(cron: str, since: str, now: str, zone: str = "UTC", **fields: Any) -> tuple[str, bool]:
    moments = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (since, now)]
    at, has_come = OnSchedule(cron=cron, **fields).due(*moments, zone)
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}", has_come


CRONS = {
    "before": (("0 2 * * sun", "2013-04-01", "2013-04-06"), ("2013-04-07 02:00", False)),
    "at it": (("0 2 * * sun", "2013-04-01", "2013-04-07T02:00"), ("2013-04-07 02:00", True)),
    "just before": (("0 2 * * sun", "2013-04-01", "2013-04-07T01:59:59"), ("2013-04-07 02:00", False)),
    "long after": (("0 2 * * sun", "2013-04-01", "2013-05-01"), ("2013-04-28 02:00", True)),
    "trained since": (("0 2 * * sun", "2013-04-07T03:00", "2013-04-08"), ("2013-04-14 02:00", False)),
    "trained then": (("0 2 * * sun", "2013-04-07T02:00", "2013-04-08"), ("2013-04-14 02:00", False)),
    "hourly": (("0 * * * *", "2013-04-01", "2013-04-01T05:30"), ("2013-04-01 05:00", True)),
    "the model's zone": (
        ("0 2 * * *", "2013-01-01", "2013-01-02T08:00", "America/New_York"),
        ("2013-01-02 07:00", True),
    ),
    # A clock that was set back: what was trained in its future has answered until then.
    "set back": (("0 2 * * sun", "2013-06-03", "2013-04-08"), ("2013-06-09 02:00", False)),
    # 02:30 is skipped on March 10 in New York, and comes twice on November 3; it fires once.
    "skipped hour": (
        ("30 2 * * *", "2013-03-09T12:00", "2013-03-10T12:00", "America/New_York"),
        ("2013-03-10 07:00", True),
    ),
    "twice": (("30 1 * * *", "2013-11-03T05:31", "2013-11-03T12:00", "America/New_York"), ("2013-11-04 06:30", False)),
}


@pytest.mark.parametrize("name", CRONS)
def test_when_a_cron_is_due(name: str) -> None:
    given, then = CRONS[name]
    assert due(*given) == then


def test_a_cron_may_have_a_zone_of_its_own() -> None:
    asked = due("0 2 * * *", "2013-07-01", "2013-07-02", "America/New_York", timezone="Europe/Berlin")
    assert asked == ("2013-07-02 00:00", True)


@pytest.mark.parametrize(("every", "hours", "has_come"), [("7d", 168, True), ("7d", 167, False), ("6h", 6, True)])
def test_every_so_long_after_the_last_training(every: str, hours: int, has_come: bool) -> None:
    at, come = OnSchedule(every=every).due(START, START + timedelta(hours=hours), "UTC")
    assert (at - START, come) == (timedelta(days=7) if every == "7d" else timedelta(hours=6), has_come)
