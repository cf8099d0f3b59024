"""Which entities a candidate answers for: a share of them, and always the same ones.

Here: an entity's place. Not here: how large the share is (`moves`), who asks (`steps.predict.predictions` for
batches, the online service for requests).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def place(version: int, entity: Mapping[str, Any]) -> float:
    """Where an entity lies in [0, 1) for the rollout of a version; a candidate answers below its share.

    A larger share keeps the entities of the smaller one. The version goes into the hash (BLAKE2b, RFC 7693), so that
    two rollouts try on others; the order of the keys does not matter. The same on every machine and in every process.

    Args:
        version: the candidate.
        entity: keys and their values, plain: texts, whole numbers, booleans.
    """
    text = json.dumps([version, sorted(entity.items())], separators=(",", ":"))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) / 2**64
