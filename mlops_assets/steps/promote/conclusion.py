"""What follows from a verdict: a promotion, the beginning of a rollout, or a rejection on record.

Here: doing it once, whoever comes second, and finishing what a killed run began. Not here: the verdict (`judging`), the
moves of a rollout (`rollout.moves`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mlops_assets.core.record.entries import CONCLUDED, Promotion, Rejection
from mlops_assets.core.settings import ModelSettings
from mlops_assets.steps.decide.holds import frozen_against, overtaken
from mlops_assets.steps.rollout.moves import finish, start, starts
from mlops_assets.world.platform import Platform


def conclude(platform: Platform, model: ModelSettings) -> dict[str, Any]:
    """Promote what the gate let through, begin its rollout, or record the rejection; twice changes nothing."""
    finish(platform, model)
    record = platform.record(model.name, "evaluation")
    verdict_ = record["verdict"]
    decision, version = record["decision"], record["version"]
    at = datetime.fromisoformat(record["as_of"])
    outcome = {"version": version, "reason": verdict_["reason"], "fitted_until": record["fitted_until"]}
    before = platform.registry.champion(model.name)
    is_champion = before is not None and before.version == version
    is_new = verdict_["promote"] and not is_champion and not is_answered(platform, model, decision)
    held = (frozen_against(platform, model, decision) or overtaken(platform, model, decision)) if is_new else None
    if held:
        outcome["reason"] = f"{held} The gate had let it through: {outcome['reason']}"
    if held or not verdict_["promote"]:
        platform.ledger.record.note(
            model.name, Rejection, at=at, id=f"rejection-{decision}-{version}", decision=decision, **outcome
        )
        return {**outcome, "promoted": False}
    if starts(platform, model) and not is_champion:
        promise = {"promised": record.get("promised"), "fitted_until": record["fitted_until"]}
        begun = start(platform, model, version, decision=decision, reason=verdict_["reason"], at=at, promise=promise)
        outcome["reason"] = f"It is in {begun.state} now. {outcome['reason']}"
        if not begun.answers:
            return {**outcome, "promoted": False}
        return {**outcome, "promoted": True, "sha256": record["shipped_sha256"], "previous": begun.champion}
    platform.registry.promote(model.name, version, decision_id=decision, reason=verdict_["reason"], at=at)
    previous = platform.registry.previous(model.name)
    platform.ledger.record.note(
        model.name,
        Promotion,
        at=at,
        id=f"promotion-{decision}-{version}",
        decision=decision,
        previous=before.version if before and before.version != version else previous.version if previous else None,
        promised=record.get("promised"),
        **outcome,
    )
    return {
        **outcome,
        "promoted": True,
        "sha256": record["shipped_sha256"],
        "previous": previous.version if previous else None,
    }


def finish_promotion(platform: Platform, model: ModelSettings) -> None:
    """Put a promotion, or a move of a rollout, on record whose run was killed half-way; nothing to do otherwise.

    Only while no run of the model is at work.
    """
    finish(platform, model)
    if not platform.record_file(model.name, "evaluation").exists():
        return
    evaluation = platform.record(model.name, "evaluation")
    if not evaluation["verdict"]["promote"] or is_answered(platform, model, evaluation["decision"]):
        return
    champion = platform.registry.champion(model.name)
    if champion is not None and champion.version == evaluation["version"]:
        conclude(platform, model)


def is_answered(platform: Platform, model: ModelSettings, decision: str) -> bool:
    """Whether a decision to retrain has ended in a promotion, a rollout or a rejection."""
    entries = platform.ledger.entries(model.name)
    return any(isinstance(entry, CONCLUDED) and entry.decision == decision for entry in entries)
