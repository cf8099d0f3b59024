"""Which arm answers a request: by the entity, and the same entity always by the same arm.

Here: the sticky choice. Not here: how far a rollout has come (tags of the candidate, read in `watch`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from mlops_assets.serving.arms import CANARY, Arm, Arms


def choose(arms: Arms, entities: Mapping[str, Any]) -> Arm:
    """The arm that answers for an entity; without an entity, or without a canary, the champion.

    The entity is hashed to a place in [0, 1), and the candidate answers below its share: a larger share keeps the
    entities of the smaller one. The candidate's version goes into the hash, so that two rollouts try on others.
    """
    candidate = arms.candidate
    if candidate is None or candidate.name != CANARY or not entities:
        return arms.champion
    return candidate if place(candidate.version, entities) < arms.share else arms.champion


def place(version: int, entities: Mapping[str, Any]) -> float:
    """Where an entity lies in [0, 1) for the rollout of a version; the order of its keys doesn't matter."""
    text = json.dumps([version, sorted(entities.items())], separators=(",", ":"))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) / 2**64
