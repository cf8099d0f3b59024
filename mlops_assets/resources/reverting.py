"""Going back to a kept version, as decided.

Here: the alias and the record. Not here: deciding (`core.policy`), moving aliases (`registry`).
"""

from __future__ import annotations

from mlops_assets.core.policy import Decision
from mlops_assets.core.probe import Candidate
from mlops_assets.core.settings import ModelSettings
from mlops_assets.resources.platform import FITTED_UNTIL, Platform

ROLLBACK = "rollback"
"""Kind of the entry on record."""


def revert(platform: Platform, model: ModelSettings, decision: Decision) -> None:
    """Make the decision's version champion again and put it on record; a second call changes nothing.

    Raises:
        ValueError: the decision is not one to go back.
    """
    if decision.action != "revert" or decision.candidate is None:
        raise ValueError(f"decision {decision.id} says {decision.action} and names no version to go back to")
    version = int(Candidate.parse(decision.candidate).of)
    before = platform.registry.champion(model.name)
    promoted = platform.registry.promote(
        model.name, version, decision_id=decision.id, reason=decision.reason, at=decision.at
    )
    platform.ledger.record.note(
        model.name,
        ROLLBACK,
        at=decision.at,
        id=f"{ROLLBACK}-{decision.id}-{version}",
        decision=decision.id,
        version=version,
        previous=before.version if before else None,
        reason=decision.reason,
        fitted_until=promoted.tags[FITTED_UNTIL],
    )


def finish_revert(platform: Platform, model: ModelSettings) -> None:
    """Do what the newest decision says if it is to go back and its process died before it had; else nothing."""
    entries = platform.ledger.entries(model.name)
    decisions = [entry for entry in entries if entry["kind"] == "decision"]
    if not decisions or decisions[-1]["action"] != "revert":
        return
    done = {entry["decision"] for entry in entries if entry["kind"] == ROLLBACK}
    if decisions[-1]["id"] not in done:
        revert(platform, model, Decision.from_dict(decisions[-1]))
