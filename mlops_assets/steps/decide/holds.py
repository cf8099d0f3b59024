"""What a person's freeze or snooze, and quiet hours, stop between a decision and its effect.

Here: looking at the record and the clock once more before a run starts or a champion changes. Not here: deciding
(`core.decide.rules`).
"""

from __future__ import annotations

from mlops_assets.core.decide.rules import quiet
from mlops_assets.core.record.entries import Decision, Freeze, Rollback, Snooze, only
from mlops_assets.core.settings import ModelSettings
from mlops_assets.world.platform import Platform, hold


def frozen_against(platform: Platform, model: ModelSettings, decision: str) -> str | None:
    """Why no other version becomes champion by this decision now; None where nothing is frozen or a person insisted."""
    freeze = hold(platform, model.name, Freeze)
    if freeze is None or not freeze.holds(platform.now(model)):
        return None
    entries = only(platform.ledger.entries(model.name), Decision)
    insisted = any(entry.id == decision and _forced(entry) for entry in entries)
    return None if insisted else f"The model is frozen {freeze.in_words}"


def overtaken(platform: Platform, model: ModelSettings, decision: str) -> str | None:
    """Why a training that this decision started no longer counts: the model went back, or another rollout began."""
    entries = platform.ledger.entries(model.name)
    taken = next((n for n, e in enumerate(entries) if isinstance(e, Decision) and e.id == decision), len(entries))
    if back := only(entries[taken:], Rollback):
        return f"While it was in training the model went back to version {back[-1].version}."
    rollout = platform.registry.rollout(model.name)
    if rollout is not None and rollout.decision != decision:
        return f"A rollout of version {rollout.version} is open ({rollout.state}); its end comes first."
    return None


def start_held(platform: Platform, model: ModelSettings, decision: Decision) -> bool:
    """Whether the run of a decision on record may not start now; a person's request is held by a freeze alone."""
    if frozen_against(platform, model, decision.id) or platform.registry.rollout(model.name):
        return True
    if decision.rule == "request":
        return False
    now, snoozed = platform.now(model), hold(platform, model.name, Snooze)
    return (snoozed is not None and snoozed.holds(now)) or quiet(model.retrain_policy, now) is not None


def _forced(decision: Decision) -> bool:
    return decision.rule == "request" and bool(decision.evidence.get("request_forced"))
