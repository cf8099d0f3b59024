"""Which arm answers a request: by the entity, and the same entity always by the same arm.

Here: the sticky choice. Not here: how far a rollout has come (tags of the candidate, read by `models.appointed`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlops_assets.core.rollout.sticky_shares import place
from mlops_assets.serving.engine.arms import CANARY, Arm, Arms


def choose(arms: Arms, entities: Mapping[str, Any]) -> Arm:
    """The arm that answers for an entity; without an entity, or without a canary, the champion.

    Batches choose by the same place (`core.rollout.sticky_shares`), so an entity has one arm whoever asks.
    """
    candidate = arms.candidate
    if candidate is None or candidate.name != CANARY or not entities:
        return arms.champion
    return candidate if place(candidate.version, entities) < arms.share else arms.champion
