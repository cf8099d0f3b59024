"""The rules by which evidence and policy become one action.

Here: their order, what holds a change back (a freeze, a pause, an open rollout, a snooze, cooldown, budget, too few
labels, quiet hours), and what needs a person's word. Not here: what asks for a change (`triggers`), what is put on
record (`core.record.entries`), what would have changed it (`counterfactuals`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from mlops_assets.core.decide.evidence import Evidence
from mlops_assets.core.decide.history import History
from mlops_assets.core.decide.requests import question
from mlops_assets.core.decide.retrain_policy import RetrainPolicy
from mlops_assets.core.decide.triggers import Conclusion, Wanted, calm, wanted
from mlops_assets.core.record.entries import Action
from mlops_assets.core.record.plain_values import days_of
from mlops_assets.core.time.quiet_hours import quiet_until

RULES = (
    "data",
    "frozen",
    "rollout_open",
    "request",
    "paused",
    "no_window",
    "cannot_judge",
    "price",
    "snoozed",
    "cooldown",
    "budget",
    "labels",
    "many_looks",
    "rejected",
    "quiet_hours",
    "first_model",
    "failing",
    "revert",
    "gain",
    "performance",
    "drift",
    "importance",
    "new_data",
    "freshness",
    "schedule",
    "definition",
    "growth",
    "age",
    "novelty",
    "nothing",
)
"""The names a decision's `rule` can have."""

_Change = Literal["retrain", "revert"]


def conclude(evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime) -> Conclusion:
    """Action, rule and reasons, in the order of the docstring of `policy`."""
    if not evidence.data_ok:
        reason = evidence.data_sentence or "The newest data broke its contract."
        return "quarantine", "data", (reason, "Nothing is trained on it and the champion stays.")
    insisted = evidence.request is not None and evidence.request_forced
    if evidence.frozen is not None and evidence.frozen.holds(now) and not insisted:
        return "wait", "frozen", _frozen(evidence)
    if evidence.request is not None:
        return _requested(evidence)
    if evidence.paused is not None:
        ends = f"mlops resume {evidence.model} --reason '...' ends that."
        return "wait", "paused", (f"The model is paused: {evidence.paused}. {ends}",)
    if evidence.champion_version is not None:
        stop = _unjudgeable(evidence)
        # What people have agreed on asks whether a window has closed or not.
        change = wanted(evidence, policy, history, now) if policy.on or not stop else None
        if stop and (change is None or evidence.cannot_judge):
            return stop if change is None else (*stop[:2], (*stop[2], *change.reasons))
    elif evidence.cannot_judge:
        return "cannot_judge", "cannot_judge", ("There is no champion yet.", *evidence.cannot_judge)
    else:
        change = Wanted.by(("retrain", "first_model", ("There is no champion yet.",)))
    if change is None:
        return "wait", "nothing", calm(evidence, policy, history, now)
    if change.action in ("cannot_judge", "wait"):
        return change.action, change.rule, change.reasons
    return _agreed(change, evidence, policy, history, now)


def _requested(evidence: Evidence) -> Conclusion:
    """What a person who asks for a training gets."""
    opening = f"A person asked for a training: {evidence.request}. It starts"
    if evidence.rollout:
        return "wait", "rollout_open", (evidence.rollout, f"{opening} after the rollout.")
    if evidence.cannot_judge:
        return "cannot_judge", "cannot_judge", (f"{opening} as soon as it can be judged.", *evidence.cannot_judge)
    return "retrain", "request", (f"A person asked for it: {evidence.request}", *_unjudged(evidence))


def _agreed(wants: Wanted, evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime) -> Conclusion:
    """What is asked for, unless it is held back or a person has to agree."""
    change: _Change = "revert" if wants.action == "revert" else "retrain"
    rule, reasons = wants.rule, wants.reasons
    if change == "retrain":
        if held := _held_back(evidence, policy, history, now, rules=wants.rules):
            return "wait", held[0], (held[1], *reasons)
        reasons = (*reasons, f"{evidence.matured_labels:,} new labels are known.", *_unjudged(evidence))
    if policy.mode == "propose":
        answer = evidence.answer
        if answer is None or answer.question != asked(evidence, change, rule):
            how = f"It is done once a person agrees: mlops approve {evidence.model}"
            return "propose_revert" if change == "revert" else "propose_retrain", rule, (*reasons, f"{how}.")
        if not answer.approved:
            return "wait", "rejected", (f"{answer.in_words} It is proposed again when a window has closed.", *reasons)
        reasons = (*reasons, answer.in_words)
    if change == "retrain" and (quiet_reason := quiet(policy, now)):
        return "wait", "quiet_hours", (quiet_reason, *reasons)
    return change, rule, reasons


def asked(evidence: Evidence, action: Action, rule: str) -> str:
    """What is asked of a person when this action, or this change, is proposed (`requests.question`)."""
    return question(evidence.to_dict(), action.removeprefix("propose_"), rule, candidate_of(action, evidence))


def candidate_of(action: Action, evidence: Evidence) -> str | None:
    """What the action acts by."""
    change = action.removeprefix("propose_")
    if change == "revert" and evidence.fall_back_to is not None:
        return f"revert:{evidence.fall_back_to}"
    if evidence.probe is None or change not in ("retrain", "revert"):
        return None
    if change == "revert" and evidence.probe.revert is not None:
        return evidence.probe.revert.candidate
    return evidence.probe.leader


def _frozen(evidence: Evidence) -> tuple[str, ...]:
    reason = f"The model is frozen {evidence.frozen.in_words if evidence.frozen else ''}"
    if evidence.request is None:
        return (reason,)
    lift = f"lift it (mlops unfreeze {evidence.model}), or insist (mlops retrain {evidence.model} --force)"
    return reason, f"A person asked for a training: {evidence.request}. It waits until then; to have it now, {lift}."


def _unjudged(evidence: Evidence) -> tuple[str, ...]:
    return (evidence.unjudged,) if evidence.unjudged else ()


def _unjudgeable(evidence: Evidence) -> Conclusion | None:
    if evidence.cannot_judge:
        return "cannot_judge", "cannot_judge", evidence.cannot_judge
    if evidence.window is None:
        return "wait", "no_window", ("No monitoring window has closed since the champion was trained.",)
    if evidence.probe is None and all(check.passed is None for check in evidence.newest):
        sentences = tuple(c.sentence for c in evidence.newest if c.sentence)
        why = f"No check could judge window {evidence.window}; look at its reports for the remedy."
        return "cannot_judge", "cannot_judge", (why, *sentences)
    return None


def _held_back(
    evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime, *, rules: frozenset[str]
) -> tuple[str, str] | None:
    """What holds a training back: (rule, sentence).

    Args:
        evidence: what is known.
        policy: what was agreed.
        history: earlier decisions.
        now: the clock.
        rules: what asks for it. Of a gain that the probe has measured, as many labels as that took are enough; a
            schedule is its own cooldown and budget.
    """
    if evidence.rollout:
        return "rollout_open", f"{evidence.rollout} Its end comes first."
    if evidence.snoozed is not None and evidence.snoozed.holds(now):
        return "snoozed", f"Trainings are snoozed {evidence.snoozed.in_words}"
    past = [] if "schedule" in rules else [p.at for p in history.retrains]
    if past and now - max(past) < policy.cooldown:
        until = max(past) + policy.cooldown
        reason = f"The last retraining was {days_of(now - max(past))} ago; the cooldown of {days_of(policy.cooldown)}"
        return "cooldown", f"{reason} ends at {until:%Y-%m-%d %H:%M} UTC."
    spent = sum(now - at < policy.budget_period for at in past)
    if spent >= policy.budget and "schedule" not in rules:
        period = days_of(policy.budget_period)
        return "budget", f"{spent} retrainings in the last {period}; the budget is {policy.budget}."
    if "gain" not in rules and evidence.matured_labels < policy.min_matured_labels:
        reason = f"{evidence.matured_labels:,} new labels are known and {policy.min_matured_labels:,} are needed."
        return "labels", reason
    return None


def quiet(policy: RetrainPolicy, now: datetime) -> str | None:
    """Why no training starts at this hour, and when one can; None where it can now."""
    until = quiet_until(policy.quiet_hours, now, policy.timezone) if policy.quiet_hours else None
    if until is None:
        return None
    return (
        f"Quiet hours ({', '.join(policy.quiet_hours)}; {policy.timezone}): it can start at {until:%Y-%m-%d %H:%M} UTC."
    )
