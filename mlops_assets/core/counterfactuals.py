"""What would have changed a decision, where no small single change would have.

Here: larger changes, each replayed through the policy. Not here: the small ones, which stand with every decision
(`policy`), finding a decision on record (`resources.explanation`).

A decision by several checks at once is not changed by one of them; but by all of them, by other terms, or by a
person's word. Each change here is a `Counterfactual` like the policy's own, so `replay` proves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from mlops_assets.core.policy import Counterfactual, Evidence, History, RetrainPolicy


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
    found = []
    for change in _candidates(evidence, policy):
        answer = change.replay(evidence, policy, history, now)
        if answer != action:
            told = f"If {change.sentence}, the answer would have been {answer.replace('_', ' ')}."
            found.append(replace(change, action=answer, sentence=told))
    return found


def _candidates(evidence: Evidence, policy: RetrainPolicy) -> list[Counterfactual]:
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
        told = f"{windows + 1} failed windows in a row had been needed"
        more = {"drift_breaches": windows + 1, "performance_breaches": windows + 1}
        out.append(said(told, policy=more))
    if policy.min_matured_labels > 0:
        few = policy.min_matured_labels - 1
        out.append(said(f"only {few:,} new labels had been known", evidence={"matured_labels": few}))
    out += [
        said(
            "neither cooldown nor budget had been agreed, and one failed window had been enough",
            policy={"cooldown": "0d", "budget": 10**6, "drift_breaches": 1, "performance_breaches": 1},
        ),
        said("the model had been paused", evidence={"paused": "a person's word"}),
        said("the newest data had broken its contract", evidence={"data_ok": False}),
    ]
    return out


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
