"""What asks for a change of a model: measured gains, failed checks in a row, a new definition, growth, age, novelty.

Here: the triggers in their order, those that people have agreed on, and why nothing asks. Not here: what holds a change
back, or needs a person's word (`rules`), what people can agree on (`agreed`), the checks (`core.drift`,
`core.performance`), the gain (`probe`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from mlops_assets.core.decide.agreed.triggers import OnGain, Trigger
from mlops_assets.core.decide.evidence import CheckKind, CheckResult, Evidence
from mlops_assets.core.decide.history import History
from mlops_assets.core.decide.price import exceeds_price, worth
from mlops_assets.core.decide.probe_result import Gain, Probed
from mlops_assets.core.decide.retrain_policy import RetrainPolicy
from mlops_assets.core.record.entries import Action
from mlops_assets.core.record.plain_values import days_of
from mlops_assets.core.record.wording import NO_TRIGGER
from mlops_assets.core.stats.intervals import CannotJudge

Conclusion = tuple[Action, str, tuple[str, ...]]
"""Action, rule and reasons."""


class Wanted(NamedTuple):
    """A change that is asked for.

    Attributes:
        action: what.
        rule: what asks for it; of several the first.
        reasons: sentences, of all that ask.
        rules: all that ask.
    """

    action: Action
    rule: str
    reasons: tuple[str, ...]
    rules: frozenset[str]

    @classmethod
    def by(cls, conclusion: Conclusion) -> Wanted:
        """What one thing asks for."""
        return cls(*conclusion, frozenset({conclusion[1]}))


def wanted(evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime) -> Wanted | None:
    """The first thing that asks for a change, with its sentences; see the docstring of `policy`.

    Of agreed triggers all that ask at once: they start one candidate, and each stands in the reasons. A gain whose
    worth in money is not known, or that is not certain enough among many looks, asks for nothing, and keeps nothing
    else from asking; where nothing else does, it is what is said.
    """
    if evidence.fall_back_to is not None:
        reason = f"Version {evidence.fall_back_to} is not worse than guessing on the same rows (on_failing: previous)."
        return Wanted.by(("revert", "failing", (evidence.failing, reason)))
    if policy.on:
        return _agreed(policy.on, evidence, policy, history, now)
    unknown: Conclusion | None = None
    if evidence.probe is not None:
        conclusion = _gain(evidence.probe, policy)
        if conclusion is not None and conclusion[0] == "retrain" and (uncertain := _uncertain(evidence)):
            # It asks for nothing, and keeps nothing else from asking.
            conclusion = "wait", "many_looks", (uncertain, *conclusion[2])
        if conclusion is not None and conclusion[0] not in ("cannot_judge", "wait"):
            return Wanted.by(conclusion)
        unknown = conclusion
    else:
        for kind in ("performance", "drift"):
            if reasons := _failed(kind, evidence, policy, history):
                return Wanted.by(("retrain", kind, reasons))
    first = next(_standing(evidence, policy, history, now), unknown)
    return Wanted.by(first) if first else None


def _agreed(
    triggers: Sequence[Trigger], evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime
) -> Wanted | None:
    """What the agreed triggers ask for; going back, where the probe has measured that, comes before any training."""
    unknown: Conclusion | None = None
    asking: list[Conclusion] = []
    for trigger in triggers:
        if isinstance(trigger, OnGain):
            conclusion = _gain(evidence.probe, policy) if evidence.probe else None
            if conclusion and conclusion[0] == "revert":
                return Wanted.by(conclusion)
            if conclusion and conclusion[0] == "cannot_judge":
                unknown = conclusion
            elif conclusion:
                asking.append(conclusion)
        elif not trigger.is_checked:
            if reasons := _failed(trigger.kind, evidence, policy, history):
                asking.append(("retrain", trigger.kind, reasons))
        elif run := _fired(trigger, evidence, history):
            reason = f"The trigger {trigger.name} asks for a training: {_without_stop(run[-1].sentence)}."
            asking.append(("retrain", trigger.kind, (reason,)))
    asking += _standing(evidence, policy, history, now)
    if not asking:
        return Wanted.by(unknown) if unknown else None
    every_reason = tuple(dict.fromkeys(reason for conclusion in asking for reason in conclusion[2]))
    return Wanted("retrain", asking[0][1], every_reason, frozenset(rule for _, rule, _ in asking))


def _fired(trigger: Trigger, evidence: Evidence, history: History) -> tuple[CheckResult, ...] | None:
    """The newest run of an agreed trigger's windows that asks for a training."""
    results = [result for result in evidence.triggers if result.name == trigger.name]
    answered, seen = history.trigger_answered(trigger.name), history.trigger_judged(trigger.name)
    return current_run([r for r in results if answered is None or r.window_end > answered], trigger.in_a_row, seen)


def _standing(evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime) -> Iterator[Conclusion]:
    """What asks without any check: the definition, growth, age and novelty, as far as the policy has them."""
    if evidence.definition and policy.definition_change:
        yield "retrain", "definition", (evidence.definition, *_failed_too(evidence, history))
    for asked_for in (_grown(evidence, policy, history), _aged(evidence, policy, history, now)):
        if asked_for is not None:
            yield asked_for[0], asked_for[1], (*asked_for[2], *_failed_too(evidence, history))
    if novel := _novel(evidence, policy, history):
        yield novel


def _failed_too(evidence: Evidence, history: History) -> tuple[str, ...]:
    """What has failed where something else asks for the training: a person must not have to look for it."""
    failed = _last_failures(evidence, history)
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


def _uncertain(evidence: Evidence) -> str:
    """Why the gain of a refit is not certain enough among the looks of its day; empty where it is."""
    refit = evidence.probe.refit if evidence.probe else None
    if evidence.among is None or refit is None or not isinstance(refit.p, float):
        return ""
    return evidence.among.refusal(refit.p)


def _worth(refit: Gain, policy: RetrainPolicy) -> str:
    """What a gain is worth, and whether that is surely more than its price, in words."""
    more = "more" if exceeds_price(refit, policy) else "not surely more"
    return f"{worth(refit, policy.price_horizon).sentence}, {more} than the price of {policy.price_money:,.2f}."


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def calm(evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime) -> tuple[str, ...]:
    """Why nothing is asked for."""
    failed = [c for c in evidence.newest if c.passed is False]
    judged = sum(c.passed is not None for c in evidence.newest)
    if evidence.probe is not None and (policy.on is None or OnGain() in policy.on):
        head = evidence.probe.sentence
        refit = evidence.probe.refit
        if policy.price_money is not None and refit is not None and refit.lower > policy.min_gain:
            head += f" {_worth(refit, policy)}"
        elif open_failures := _last_failures(evidence, history):
            windows = {c.window: [f.name for f in open_failures if f.window == c.window] for c in open_failures}
            failures = ", ".join(f"{', '.join(names)} failed in window {window}" for window, names in windows.items())
            head += f" {failures}; no other model was surely better by the required {policy.min_gain:.1%}."
        elif refit is not None and refit.lower > 0.0:
            head += f" That is not surely more than the price of a training, {policy.min_gain:.1%}."
    elif policy.on:
        head = _no_trigger(policy.on, evidence)
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


def _no_trigger(triggers: Sequence[Trigger], evidence: Evidence) -> str:
    """What stands with each agreed trigger, by its own limits or by the newest answer of each check of its kind."""
    newest = {result.name: _without_stop(result.sentence) for result in evidence.triggers}
    for trigger in triggers:
        if trigger.name not in newest and not trigger.is_checked:
            checks = {check.name: check for check in evidence.checks if check.kind == trigger.kind}
            if checks:
                newest[trigger.name] = "; ".join(map(_stands, checks.values()))
    states = [f"{trigger.name}: {newest.get(trigger.name, 'nothing to judge yet')}" for trigger in triggers]
    return f"{NO_TRIGGER} {'. '.join(states)}."


def _stands(check: CheckResult) -> str:
    answer = {True: "passed", False: "failed", None: "could not be judged"}[check.passed]
    return f"{check.name} {answer} in window {check.window}"


def _without_stop(sentence: str) -> str:
    return sentence.rstrip(".")


# --- failed checks in a row --------------------------------------------------------------------------------


def _failed(kind: CheckKind, evidence: Evidence, policy: RetrainPolicy, history: History) -> tuple[str, ...]:
    """The checks of a kind that have failed often enough in a row, a sentence each."""
    return tuple(_in_words(run, policy) for run in _breaches(evidence, policy, history, kind))


def _breaches(
    evidence: Evidence, policy: RetrainPolicy, history: History, kind: CheckKind
) -> list[tuple[CheckResult, ...]]:
    """For each check of `kind`, its newest run of failures that is long enough and current (see `policy.decide`)."""
    answered = history.answered_until
    by_name: dict[str, list[CheckResult]] = {}
    for check in evidence.checks:
        if check.kind == kind and (answered is None or check.window_end > answered):
            by_name.setdefault(check.name, []).append(check)
    needed = policy.breaches_needed(kind)
    runs = [current_run(by_name[name], needed, history.judged_until(name)) for name in sorted(by_name)]
    return [run for run in runs if run]


def current_run(results: Sequence[CheckResult], needed: int, seen: datetime | None) -> tuple[CheckResult, ...] | None:
    """The newest run of failures that is long enough, and lasts until the newest answer or ended in an unseen window.

    Args:
        results: answers of one check that no training has answered, oldest first.
        needed: failures in a row.
        seen: the end of the newest window that an earlier decision knew.
    """
    for run in reversed(_failed_runs(results)):
        fresh = seen is None or run[-1].window_end > seen
        if len(run) >= needed and (run[-1] is results[-1] or fresh):
            return run
    return None


def _last_failures(evidence: Evidence, history: History) -> list[CheckResult]:
    """Checks whose newest answer since the last training is a failure, by name.

    Performance is judged windows later than inputs, so the newest answer need not be about the newest window.
    """
    answered = history.answered_until
    judged = {
        c.name: c for c in evidence.checks if c.passed is not None and (answered is None or c.window_end > answered)
    }
    return [judged[name] for name in sorted(judged) if judged[name].passed is False]


def _failed_runs(results: Sequence[CheckResult]) -> list[tuple[CheckResult, ...]]:
    runs: list[list[CheckResult]] = [[]]
    for check in results:
        if check.passed is False:
            runs[-1].append(check)
        elif runs[-1]:
            runs.append([])
    return [tuple(run) for run in runs if run]


def _in_words(run: tuple[CheckResult, ...], policy: RetrainPolicy) -> str:
    """A run of failures in words."""
    last = run[-1]
    where = f"in window {last.window}" if len(run) == 1 else f"in {len(run)} windows up to {last.window}"
    numbers = last.sentence or (
        f"value {last.value:.4g}, limit {last.limit:.4g}" if last.value is not None and last.limit is not None else ""
    )
    needed = f" ({policy.breaches_needed(last.kind)} in a row needed)"
    return f"{last.name} failed {where}{needed}{': ' + _without_stop(numbers) if numbers else ''}."
