"""What holds back a training that something asks for.

Here: an open rollout, a snooze, cooldown, budget, too few labels, quiet hours. Not here: what asks (`rules`), what
stops every change by itself (a freeze, a pause: `rules` too).
"""

from __future__ import annotations

from datetime import datetime

from mlops_assets.core.decide.evidence import Evidence
from mlops_assets.core.decide.history import History
from mlops_assets.core.decide.retrain_policy import RetrainPolicy
from mlops_assets.core.record.plain_values import days_of
from mlops_assets.core.time.quiet_hours import quiet_until


def held_back(
    evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime, *, is_measured: bool = False
) -> tuple[str, str] | None:
    """What holds a training back: (rule, sentence).

    Args:
        evidence: what is known.
        policy: what was agreed.
        history: earlier decisions.
        now: the clock.
        is_measured: whether the probe has measured the gain: then as many labels as that took are enough.
    """
    if evidence.rollout:
        return "rollout_open", f"{evidence.rollout} Its end comes first."
    if evidence.snoozed is not None and evidence.snoozed.holds(now):
        return "snoozed", f"Trainings are snoozed {evidence.snoozed.in_words}"
    past = [p.at for p in history.retrains]
    if past and now - max(past) < policy.cooldown:
        until = max(past) + policy.cooldown
        reason = f"The last retraining was {days_of(now - max(past))} ago; the cooldown of {days_of(policy.cooldown)}"
        return "cooldown", f"{reason} ends at {until:%Y-%m-%d %H:%M} UTC."
    spent = sum(now - at < policy.budget_period for at in past)
    if spent >= policy.budget:
        period = days_of(policy.budget_period)
        return "budget", f"{spent} retrainings in the last {period}; the budget is {policy.budget}."
    if not is_measured and evidence.matured_labels < policy.min_matured_labels:
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
