"""The rules by which evidence and policy become one action.

Here: their order, what asks for a change, and what needs a person's word. Not here: what holds a training back
(`holding`), runs of failed checks (`breaches`), what is put on record (`core.record.entries`), what would have
changed it (`counterfactuals`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from mlops_assets.core.decide.breaches import breaches, last_failures, tell
from mlops_assets.core.decide.evidence import Evidence
from mlops_assets.core.decide.history import History
from mlops_assets.core.decide.holding import held_back, quiet
from mlops_assets.core.decide.price import exceeds_price, worth
from mlops_assets.core.decide.probe_result import Gain, Probed
from mlops_assets.core.decide.requests import question
from mlops_assets.core.decide.retrain_policy import RetrainPolicy
from mlops_assets.core.record.entries import Action
from mlops_assets.core.record.plain_values import days_of
from mlops_assets.core.stats.intervals import CannotJudge

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
    "rejected",
    "quiet_hours",
    "first_model",
    "failing",
    "revert",
    "gain",
    "performance",
    "drift",
    "definition",
    "growth",
    "age",
    "novelty",
    "nothing",
)
"""The names a decision's `rule` can have."""

Conclusion = tuple[Action, str, tuple[str, ...]]
"""Action, rule and reasons."""
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
        if stop := _unjudgeable(evidence):
            return stop
        wanted = _wanted(evidence, policy, history, now)
    elif evidence.cannot_judge:
        return "cannot_judge", "cannot_judge", ("There is no champion yet.", *evidence.cannot_judge)
    else:
        wanted = ("retrain", "first_model", ("There is no champion yet.",))
    if wanted is None:
        return "wait", "nothing", _calm(evidence, policy, history, now)
    action, rule, reasons = wanted
    if action == "cannot_judge":
        return wanted
    return _agreed("revert" if action == "revert" else "retrain", rule, reasons, evidence, policy, history, now)


def _requested(evidence: Evidence) -> Conclusion:
    """What a person who asks for a training gets."""
    opening = f"A person asked for a training: {evidence.request}. It starts"
    if evidence.rollout:
        return "wait", "rollout_open", (evidence.rollout, f"{opening} after the rollout.")
    if evidence.cannot_judge:
        return "cannot_judge", "cannot_judge", (f"{opening} as soon as it can be judged.", *evidence.cannot_judge)
    return "retrain", "request", (f"A person asked for it: {evidence.request}",)


def _agreed(
    change: _Change,
    rule: str,
    reasons: tuple[str, ...],
    evidence: Evidence,
    policy: RetrainPolicy,
    history: History,
    now: datetime,
) -> Conclusion:
    """What is asked for, unless it is held back or a person has to agree."""
    if change == "retrain":
        if held := held_back(evidence, policy, history, now, is_measured=rule == "gain"):
            return "wait", held[0], (held[1], *reasons)
        reasons = (*reasons, f"{evidence.matured_labels:,} new labels are known.")
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


def _wanted(evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime) -> Conclusion | None:
    """The first thing that asks for a change, with its sentences; see the docstring of `policy`.

    A gain whose worth in money is not known asks for nothing, and keeps nothing else from asking.
    """
    unknown: Conclusion | None = None
    if evidence.fall_back_to is not None:
        reason = f"Version {evidence.fall_back_to} is not worse than guessing on the same rows (on_failing: previous)."
        return "revert", "failing", (evidence.failing, reason)
    if evidence.probe is not None:
        conclusion = _gain(evidence.probe, policy)
        if conclusion is not None and conclusion[0] != "cannot_judge":
            return conclusion
        unknown = conclusion
    else:
        for kind in ("performance", "drift"):
            reasons = tuple(tell(run, policy) for run in breaches(evidence, policy, history, kind))
            if reasons:
                return "retrain", kind, reasons
    if evidence.definition and policy.definition_change:
        return "retrain", "definition", (evidence.definition, *_failed_too(evidence, history))
    if asked_for := _grown(evidence, policy, history) or _aged(evidence, policy, history, now):
        return asked_for[0], asked_for[1], (*asked_for[2], *_failed_too(evidence, history))
    return _novel(evidence, policy, history) or unknown


def _failed_too(evidence: Evidence, history: History) -> tuple[str, ...]:
    """What has failed where something else asks for the training: a person must not have to look for it."""
    failed = last_failures(evidence, history)
    named = ", ".join(f"{check.name} in window {check.window}" for check in failed)
    return (f"Failed by then: {named}.",) if failed else ()


def _grown(evidence: Evidence, policy: RetrainPolicy, history: History) -> Conclusion | None:
    """A candidate, where there are so many more labels than when the last one was trained, rejected or not."""
    before = max((past.labels for past in history.retrains), default=0)
    before = max(before, evidence.labels_at_fit)
    if policy.growth is None or not before or evidence.labels < (1.0 + policy.growth) * before:
        return None
    more = evidence.labels / before - 1.0
    reason = f"{evidence.labels:,} labels are known, {more:.0%} more than when a model was last trained"
    return "retrain", "growth", (f"{reason}; a candidate is due at {policy.growth:.0%}.",)


def _aged(evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime) -> Conclusion | None:
    """A candidate, where the champion is old."""
    since = evidence.champion_since
    due = age_due(since, policy, [past.at for past in history.retrains]) if since is not None else None
    if since is None or due is None or policy.age_limit is None or now < due:
        return None
    reason = f"The champion is {days_of(now - since)} old, and a candidate is due every {days_of(policy.age_limit)}."
    return "retrain", "age", (reason,)


def age_due(since: datetime, policy: RetrainPolicy, retrained: Iterable[datetime]) -> datetime | None:
    """When a champion's age asks for a candidate; None if it never does.

    A candidate that was rejected has renewed the champion's term: the next one is due after another.

    Args:
        since: when the champion was trained.
        policy: the limit.
        retrained: when a retraining was decided on and came to an end.
    """
    return max([since, *retrained]) + policy.age_limit if policy.age_limit is not None else None


def _novel(evidence: Evidence, policy: RetrainPolicy, history: History) -> Conclusion | None:
    """Rows unlike any the champion has seen, in a window that the last training has not answered."""
    novel, limit, answered = evidence.novelty, policy.max_novelty, history.answered_until
    if novel is None or limit is None or novel.share <= limit:
        return None
    if answered is not None and novel.window_end <= answered:
        return None
    head = f"{novel.share:.1%} of the rows of window {novel.window} are unlike those that the champion was trained on"
    return "retrain", "novelty", (f"{head} (limit {limit:.1%}, 1.0% is usual).",)


def _gain(probe: Probed, policy: RetrainPolicy) -> Conclusion | None:
    """Going back or refitting, where the lower bound of its gain exceeds the price; going back wins a tie of means.

    It wins, too, over a refit that is not surely worth its price in money: going back has none.
    """
    price = f"more than the price of {policy.min_gain:.1%}"
    back, refit = probe.revert, probe.refit
    if back is not None and not exceeds_price(back, policy):
        back = None
    to_go_back: Conclusion | None = ("revert", "revert", (f"{_upper(back.in_words)}, {price}.",)) if back else None
    if back is not None and (refit is None or back.mean >= refit.mean):
        return to_go_back
    if refit is None or refit.lower <= policy.min_gain:
        return None
    reason = f"{_upper(refit.in_words)}, {price}."
    try:
        pays = exceeds_price(refit, policy)
    except CannotJudge as why:
        unknown = f"Whether a training is worth its price of {policy.price_money:,.2f}: {why}"
        return to_go_back or ("cannot_judge", "price", (unknown, reason))
    if not pays:
        return to_go_back
    return "retrain", "gain", (reason,) if policy.price_money is None else (reason, _worth(refit, policy))


def _worth(refit: Gain, policy: RetrainPolicy) -> str:
    """What a gain is worth, and whether that is surely more than its price, in words."""
    more = "more" if exceeds_price(refit, policy) else "not surely more"
    return f"{worth(refit, policy.price_horizon).sentence}, {more} than the price of {policy.price_money:,.2f}."


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _calm(evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime) -> tuple[str, ...]:
    """Why nothing is asked for."""
    failed = [c for c in evidence.newest if c.passed is False]
    judged = sum(c.passed is not None for c in evidence.newest)
    if evidence.probe is not None:
        head = evidence.probe.sentence
        refit = evidence.probe.refit
        if policy.price_money is not None and refit is not None and refit.lower > policy.min_gain:
            head += f" {_worth(refit, policy)}"
        elif open_failures := last_failures(evidence, history):
            windows = {c.window: [f.name for f in open_failures if f.window == c.window] for c in open_failures}
            failures = ", ".join(f"{', '.join(names)} failed in window {window}" for window, names in windows.items())
            head += f" {failures}; no other model was surely better by the required {policy.min_gain:.1%}."
        elif refit is not None and refit.lower > 0.0:
            head += f" That is not surely more than the price of a training, {policy.min_gain:.1%}."
    elif failed:
        failures = "; ".join(
            f"{c.name} failed in window {c.window}, and {policy.breaches_needed(c.kind)} in a row "
            "since the last retraining are needed"
            for c in failed
        )
        head = f"Not enough breaches: {failures}."
    else:
        head = f"All {judged} checks that could judge passed, up to window {evidence.window}."
    age, limit = now - (evidence.champion_since or now), policy.age_limit
    tail = f"The champion is {days_of(age)} old" + (f", {days_of(limit)} at most." if limit is not None else ".")
    return head, tail
