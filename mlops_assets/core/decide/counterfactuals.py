"""What would have changed a decision: other evidence or another policy, each replayed through the rules.

Here: the small changes, one at a time, which stand with every decision, and larger ones for where no small one would
have led to another action. Not here: the rules (`rules`), finding a decision on record (`steps.decide.explanation`).

A decision by several checks at once is not changed by one of them; but by all of them, by other terms, or by a
person's word. Each change here is a `Counterfactual`, so `replay` proves it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from msgspec import structs

from mlops_assets.core.decide.evidence import Evidence
from mlops_assets.core.decide.history import History
from mlops_assets.core.decide.price import worth
from mlops_assets.core.decide.probe_result import Candidate
from mlops_assets.core.decide.retrain_policy import RetrainPolicy
from mlops_assets.core.decide.rules import conclude
from mlops_assets.core.record.entries import Action, Counterfactual
from mlops_assets.core.record.plain_values import as_plain

SHARE_STEPS = 10_000
"""Steps of a limit that is a share: it is told, and so replayed, in hundredths of a percent."""
MONEY_STEPS = 100
"""Steps of a price in money."""
_FOR_EVER = {"by": "a person", "reason": "a person's word", "until": "9999-01-01T00:00:00+00:00"}


def replay(
    change: Counterfactual, evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime
) -> Action:
    """The action that `decide` takes with this change made to what it was given."""
    checks = [{**as_plain(c), "passed": change.checks.get(c.name, c.passed)} for c in evidence.checks]
    changed = Evidence.from_dict({**evidence.to_dict(), "checks": checks, **change.evidence})
    agreed = RetrainPolicy.from_dict({**policy.to_dict(), **change.policy})
    return conclude(changed, agreed, history, now)[0]


def small_changes(
    action: Action, evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime
) -> tuple[Counterfactual, ...]:
    """The small changes, one at a time, that lead to another action; each was replayed."""
    out: list[Counterfactual] = []
    for candidate in _small(evidence, policy):
        other = replay(candidate, evidence, policy, history, now)
        if other != action:
            sentence = f"If {candidate.sentence}, the answer would have been {other.replace('_', ' ')}."
            out.append(structs.replace(candidate, action=other, sentence=sentence))
    return tuple(out)


def _small(evidence: Evidence, policy: RetrainPolicy) -> list[Counterfactual]:
    """Changes worth trying, the likeliest first; `action` is filled in by the replay."""

    def said(sentence: str, **changes: Mapping[str, Any]) -> Counterfactual:
        return Counterfactual(sentence, "wait", **changes)

    out = [
        said("the data had kept its contract", evidence={"data_ok": True}),
        said("nobody had asked for it", evidence={"request": None}),
        said("the model had not been frozen", evidence={"frozen": None}),
        said("the model had not been paused", evidence={"paused": None}),
        said("no rollout had been open", evidence={"rollout": ""}),
        said("trainings had not been snoozed", evidence={"snoozed": None}),
        said("no cooldown had been agreed", policy={"cooldown": "0d"}),
        said("no budget had been agreed", policy={"budget": 10**6}),
        said(
            f"{policy.min_matured_labels:,} new labels had been known",
            evidence={"matured_labels": policy.min_matured_labels},
        ),
        said("no other model had been looked at", evidence={"among": None}),
        said("it had not been quiet hours", policy={"quiet_hours": []}),
        said("no approval had been needed", policy={"mode": "act"}),
        *_other_answers(evidence),
        *_other_gains(evidence, policy),
        *_other_prices(evidence, policy),
        said("one failed window had been enough for drift", policy={"drift_breaches": 1}),
        said("no growth had been agreed", policy={"growth": "never"}),
        said("no age limit had been agreed", policy={"max_age": "never"}),
        said("the definition had not changed", evidence={"definition": ""}),
        said("the champion had not been worse than guessing", evidence={"failing": "", "fall_back_to": None}),
        *_other_novelty(evidence, policy),
        *_other_triggers(policy),
    ]
    for name in sorted({c.name for c in evidence.checks}):
        out.append(said(f"{name} had passed in every window", checks={name: True}))
        out.append(said(f"{name} had failed in every window", checks={name: False}))
    out.append(said("a person had asked for it", evidence={"request": "asked for"}))
    return out


def _other_gains(evidence: Evidence, policy: RetrainPolicy) -> list[Counterfactual]:
    """What another finding of the probe, or another price, would have led to."""
    if evidence.probe is None:
        return []
    changes = []
    gains = {"refit": evidence.probe.refit, "revert": evidence.probe.revert}
    for name, gain in gains.items():
        if gain is None:
            continue
        enough = gain.lower > policy.min_gain
        # At the price itself nothing is done; above it something is.
        wanted = policy.min_gain if enough else policy.min_gain + 0.0001
        changed = replace(gain, lower=wanted, mean=max(gain.mean, wanted))
        condition = f"the gain of {Candidate.parse(gain.candidate).in_words} had been sure to be "
        condition += f"{'no more than' if enough else 'above'} {policy.min_gain:.1%}"
        probe = {**as_plain(evidence.probe), name: as_plain(changed)}
        changes.append(Counterfactual(condition, "wait", evidence={"probe": probe}))
        if gain.lower > 0.0:
            price = _at_least(gain.lower, SHARE_STEPS) if enough else _below(gain.lower, SHARE_STEPS)
            condition = f"a retraining had been priced at {price:.2%} of the loss"
            changes.append(Counterfactual(condition, "wait", policy={"min_gain": price}))
    return changes


def _below(value: float, steps: int) -> float:
    """The largest number of whole steps that lies below a value: the limit nearest to it that the value exceeds."""
    number = math.ceil(value * steps)
    return (number if number / steps < value else number - 1) / steps


def _at_least(value: float, steps: int) -> float:
    """The smallest number of whole steps that a value does not exceed."""
    number = math.floor(value * steps)
    return (number if number / steps >= value else number + 1) / steps


def _other_novelty(evidence: Evidence, policy: RetrainPolicy) -> list[Counterfactual]:
    """What another limit of new kinds of rows would have led to."""
    if evidence.novelty is None:
        return []
    share = evidence.novelty.share
    if policy.max_novelty is not None and share > policy.max_novelty:
        return [Counterfactual("no limit of novelty had been agreed", "wait", policy={"max_novelty": None})]
    limit = _below(share, SHARE_STEPS)
    # The limit goes by hundredths of a percent; what was measured has as many digits as it takes to tell them apart.
    digits = next((n for n in range(2, 13) if f"{limit:.{n}%}" != f"{share:.{n}%}"), None)
    measured = f"just below the {share:.2%}" if digits is None else f"below the {share:.{digits}%}"
    condition = f"the limit of novelty had been {limit:.2%}, {measured} that was measured"
    return [Counterfactual(condition, "wait", policy={"max_novelty": limit})] if limit >= 0.0 else []


def _other_triggers(policy: RetrainPolicy) -> list[Counterfactual]:
    """What would have been done without each of the triggers that people have agreed on."""
    agreed = policy.on or ()
    lists = {trigger.name: [other.to_plain() for other in agreed if other != trigger] for trigger in agreed}
    # Without the only one, the probe alone asks.
    return [
        Counterfactual(f"the trigger {name} had not been agreed", "wait", policy={"on": others or ["gain"]})
        for name, others in lists.items()
    ]


def _other_answers(evidence: Evidence) -> list[Counterfactual]:
    """What another word of a person would have led to."""
    changes = []
    if (answer := evidence.answer) is not None:
        other = {**as_plain(answer), "approved": not answer.approved}
        condition = f"{answer.by} had {'rejected' if answer.approved else 'approved'} it"
        changes.append(Counterfactual(condition, "wait", evidence={"answer": other}))
    if evidence.request is not None and evidence.frozen is not None:
        condition = "whoever asked for it had insisted" if not evidence.request_forced else "nobody had insisted on it"
        changes.append(Counterfactual(condition, "wait", evidence={"request_forced": not evidence.request_forced}))
    return changes


def _other_prices(evidence: Evidence, policy: RetrainPolicy) -> list[Counterfactual]:
    """What no price in money, or another one, would have led to."""
    refit = evidence.probe.refit if evidence.probe else None
    if policy.price_money is None or refit is None:
        return []
    changes = [Counterfactual("no price in money had been agreed", "wait", policy={"price_money": None})]
    if refit.profit is not None and (lower := worth(refit, policy.price_horizon).lower) > 0.0:
        price = _at_least(lower, MONEY_STEPS) if lower > policy.price_money else _below(lower, MONEY_STEPS)
        condition = f"a training had been priced at {price:,.2f}"
        changes.append(Counterfactual(condition, "wait", policy={"price_money": price}))
    return changes


def larger_changes(
    evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime, action: str
) -> list[Counterfactual]:
    """Changes that lead to another action than this one, what was measured first, a person's word last.

    Args:
        evidence: what was known.
        policy: what was agreed.
        history: the decisions before it.
        now: the clock at the decision.
        action: what was decided.
    """
    changes = []
    for change in _large(evidence, policy):
        answer = replay(change, evidence, policy, history, now)
        if answer != action:
            sentence = f"If {change.sentence}, the answer would have been {answer.replace('_', ' ')}."
            changes.append(structs.replace(change, action=answer, sentence=sentence))
    return changes


def _large(evidence: Evidence, policy: RetrainPolicy) -> list[Counterfactual]:
    def said(sentence: str, **changes: Mapping[str, Any]) -> Counterfactual:
        return Counterfactual(sentence, "wait", **changes)

    names = sorted({check.name for check in evidence.checks})
    failed = sorted({check.name for check in evidence.checks if check.passed is False})
    windows = len({check.window for check in evidence.checks})
    out = []
    if failed:
        out.append(said(f"{_listed(failed)} had passed in every window", checks=dict.fromkeys(failed, True)))
    if names:
        out.append(said("all checks had failed in every window", checks=dict.fromkeys(names, False)))
    if policy.drift_breaches <= windows:
        condition = f"{windows + 1} failed windows in a row had been needed"
        more = {"drift_breaches": windows + 1, "performance_breaches": windows + 1}
        out.append(said(condition, policy=more))
    if policy.min_matured_labels > 0:
        few = policy.min_matured_labels - 1
        out.append(said(f"only {few:,} new labels had been known", evidence={"matured_labels": few}))
    out += [
        said(
            "neither cooldown nor budget had been agreed, and one failed window had been enough",
            policy={"cooldown": "0d", "budget": 10**6, "drift_breaches": 1, "performance_breaches": 1},
        ),
        said("the model had been paused", evidence={"paused": "a person's word"}),
        said("the model had been frozen", evidence={"frozen": _FOR_EVER}),
        said("the newest data had broken its contract", evidence={"data_ok": False}),
    ]
    return out


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
