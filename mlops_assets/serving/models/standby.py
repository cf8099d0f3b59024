"""The versions that could be gone back to, loaded, verified and warm before anybody asks for it.

Here: which ones, and loading them. Not here: where they are kept (`served_models`), going back
(`steps.rollout.reverting`).

With them in memory, going back waits for no file and no artifact store, only for the alias.
"""

from __future__ import annotations

import logging

from mlops_assets.serving.engine.arms import Arm, Load
from mlops_assets.serving.models.served_models import InMemory, Ready
from mlops_assets.world.mlflow.registry import PROMOTED_AT, ModelVersion, Registry

logger = logging.getLogger("mlops.serving")

VERSIONS = 3
"""Of each model: the last ones that were champion."""


def standby_of(registry: Registry, loaded: InMemory, load: Load | None) -> Ready:
    """The last champions of a model, those in memory as they are; one that cannot be loaded is left out.

    Args:
        registry: of the versions.
        loaded: the model.
        load: makes an arm of a version; None leaves out what is not in memory.
    """
    arms, before = loaded.arms, loaded.ready
    name, kept = arms.contract.settings.name, dict[tuple[int, str], Arm]()
    for last in last_champions(registry.versions(name)):
        key = (last.version, last.sha256)
        try:
            ready = before.get(key) or (load and load(registry, last, arms.champion.name, arms.contract))
        except (RuntimeError, ValueError, LookupError, OSError):
            # Whoever wants to go back to it is refused with the reason by `Registry.verify`.
            logger.warning("version %s of %s cannot be kept ready", last.version, name, exc_info=True)
            continue
        if ready is not None:
            kept[key] = ready
    return kept


def last_champions(versions: list[ModelVersion]) -> list[ModelVersion]:
    """The last versions that were promoted, newest promotion first."""
    promoted = [version for version in versions if PROMOTED_AT in version.tags]
    return sorted(promoted, key=lambda version: version.tags[PROMOTED_AT], reverse=True)[:VERSIONS]
