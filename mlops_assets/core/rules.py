"""The rules by which evidence and policy become one action.

Here: each rule and their order. Not here: what is put on record (`decision`), what would have changed it
(`counterfactuals`).
"""

from __future__ import annotations

from datetime import datetime

from mlops_assets.core.breaches import breaches, tell
from mlops_assets.core.evidence import Evidence
from mlops_assets.core.history import Action, History
from mlops_assets.core.plain import days_of
from mlops_assets.core.probe import Probed
from mlops_assets.core.retrain_policy import RetrainPolicy

RULES = (
    "data",
    "request",
    "paused",
    "no_window",
    "cannot_judge",
    "cooldown",
    "budget",
    "labels",
    "first_model",
    "revert",
    "gain",
    "performance",
    "drift",
    "age",
    "nothing",
)
"""The names a decision's `rule` can have."""

Conclusion = tuple[Action, str, tuple[str, ...]]


def conclude(evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime) -> Conclusion:
    """Action, rule and reasons, in the order of the docstring of `policy`."""
    if not evidence.data_ok:
        told = evidence.data_sentence or "The newest data broke its contract."
        return "quarantine", "data", (told, "Nothing is trained on it and the champion stays.")
    if evidence.request is not None:
        return "retrain", "request", (f"A person asked for it: {evidence.request}",)
    if evidence.paused is not None:
        return "wait", "paused", (f"The model is paused: {evidence.paused}",)
    if evidence.champion_version is not None:
        if stop := _unjudgeable(evidence):
            return stop
        wanted = _wanted(evidence, policy, history, now)
    elif evidence.cannot_judge:
        return "cannot_judge", "cannot_judge", ("There is no champion yet.", *evidence.cannot_judge)
    else:
        wanted = ("first_model", ("There is no champion yet.",))
    if wanted is None:
        return "wait", "nothing", _calm(evidence, policy, now)
    rule, reasons = wanted
    if rule == "revert":
        return "revert", rule, reasons
    held = _held_back(evidence, policy, history, now)
    if held is not None:
        return "wait", held[0], (held[1], *reasons)
    return "retrain", rule, (*reasons, f"{evidence.matured_labels:,} new labels are known.")


def candidate_of(action: Action, evidence: Evidence) -> str | None:
    """What the action acts by."""
    if evidence.probe is None or action not in ("retrain", "revert"):
        return None
    if action == "revert" and evidence.probe.revert is not None:
        return evidence.probe.revert.candidate
    return evidence.probe.leader


def _unjudgeable(evidence: Evidence) -> Conclusion | None:
    if evidence.cannot_judge:
        return "cannot_judge", "cannot_judge", evidence.cannot_judge
    if evidence.window is None:
        return "wait", "no_window", ("No monitoring window has closed yet.",)
    if evidence.probe is None and all(check.passed is None for check in evidence.newest):
        told = tuple(c.sentence for c in evidence.newest if c.sentence)
        why = f"No check could judge window {evidence.window}; look at its reports for the remedy."
        return "cannot_judge", "cannot_judge", (why, *told)
    return None


def _wanted(
    evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime
) -> tuple[str, tuple[str, ...]] | None:
    """The first thing that asks for a change, with its sentences; see the docstring of `policy`."""
    if evidence.probe is not None:
        if found := _gain(evidence.probe, policy):
            return found
    else:
        for kind in ("performance", "drift"):
            reasons = tuple(s for run in breaches(evidence, policy, history, kind) if (s := tell(run, policy)))
            if reasons:
                return kind, reasons
    limit, since = policy.age_limit, evidence.champion_since
    if limit is None or since is None:
        return None
    # A candidate that was rejected has renewed the champion's term: the next one is due after another.
    last = max((past.at for past in history.retrains), default=since)
    if now - max(since, last) < limit:
        return None
    return "age", (f"The champion is {days_of(now - since)} old, and a candidate is due every {days_of(limit)}.",)


def _gain(probe: Probed, policy: RetrainPolicy) -> tuple[str, tuple[str, ...]] | None:
    """Going back or refitting, where the lower bound of its gain exceeds the price; going back wins a tie of means."""
    price = f"more than the price of {policy.min_gain:.1%}"
    back, refit = probe.revert, probe.refit
    if back is not None and back.lower > policy.min_gain and (refit is None or back.mean >= refit.mean):
        return "revert", (f"{_upper(back.told)}, {price}.",)
    if refit is not None and refit.lower > policy.min_gain:
        return "gain", (f"{_upper(refit.told)}, {price}.",)
    return None


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _held_back(evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime) -> tuple[str, str] | None:
    """What holds back a retraining that something asks for: (rule, sentence)."""
    past = [p.at for p in history.retrains]
    if past and now - max(past) < policy.cooldown:
        until = max(past) + policy.cooldown
        told = f"The last retraining was {days_of(now - max(past))} ago; the cooldown of {days_of(policy.cooldown)}"
        return "cooldown", f"{told} ends at {until:%Y-%m-%d %H:%M} UTC."
    spent = sum(now - at < policy.budget_period for at in past)
    if spent >= policy.budget:
        period = days_of(policy.budget_period)
        return "budget", f"{spent} retrainings in the last {period}; the budget is {policy.budget}."
    if evidence.matured_labels < policy.min_matured_labels:
        told = f"{evidence.matured_labels:,} new labels are known and {policy.min_matured_labels:,} are needed."
        return "labels", told
    return None


def _calm(evidence: Evidence, policy: RetrainPolicy, now: datetime) -> tuple[str, ...]:
    """Why nothing is asked for."""
    failed = [c for c in evidence.newest if c.passed is False]
    judged = sum(c.passed is not None for c in evidence.newest)
    if evidence.probe is not None:
        head = evidence.probe.sentence
        if failed:
            names = ", ".join(sorted({c.name for c in failed}))
            head += f" {names} failed in window {evidence.window}; nothing that was tried would have done better."
    elif failed:
        told = "; ".join(
            f"{c.name} failed in window {c.window}, and {policy.breaches_needed(c.kind)} in a row "
            "since the last retraining are needed"
            for c in failed
        )
        head = f"Not enough breaches: {told}."
    else:
        head = f"All {judged} checks that could judge passed, up to window {evidence.window}."
    age, limit = now - (evidence.champion_since or now), policy.age_limit
    tail = f"The champion is {days_of(age)} old" + (f" of {days_of(limit)}." if limit is not None else ".")
    return head, tail
