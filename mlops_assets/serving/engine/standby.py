"""The versions that could be gone back to, loaded, verified and warm before anybody asks for it.

Here: which ones, and keeping them. Not here: putting one in service (`alias_watch`), going back
(`steps.rollout.reverting`).

With them in memory, going back waits for no file and no artifact store, only for the alias.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime

from mlops_assets.serving.engine.arms import Arm, Arms, Load, load_arm
from mlops_assets.world.mlflow.registry import PROMOTED_AT, ModelVersion, Registry

logger = logging.getLogger("mlops.serving")

VERSIONS = 3
"""Of each model: the last ones that were champion."""


class Standby:
    """Loaded versions by model. Used by the thread that watches; reading `versions` is safe from others."""

    def __init__(self, load: Load = load_arm) -> None:
        self._load = load
        self._arms: dict[str, dict[tuple[int, str], Arm]] = defaultdict(dict)

    def take(self, named: ModelVersion, arm: str) -> Arm | None:
        """A version as an arm; None where it is not loaded, or its file was registered anew."""
        loaded = self._arms[named.name].get((named.version, named.sha256))
        return replace(loaded, name=arm, since=datetime.now(UTC)) if loaded else None

    def versions(self, model: str) -> list[int]:
        """Those that are loaded, newest first."""
        return sorted((version for version, _ in self._arms[model]), reverse=True)

    def prepare(self, registry: Registry, arms: Arms) -> None:
        """Load the last champions of a model and let go of older ones; one that cannot be loaded is left out."""
        name = arms.contract.settings.name
        before, loaded = self._arms[name], {(arm.version, arm.sha256): arm for arm in arms.loaded.values()}
        kept: dict[tuple[int, str], Arm] = {}
        for last in last_champions(registry.versions(name)):
            key = (last.version, last.sha256)
            try:
                kept[key] = (
                    before.get(key) or loaded.get(key) or self._load(registry, last, arms.champion.name, arms.contract)
                )
            except (RuntimeError, ValueError, LookupError):
                # Whoever wants to go back to it is refused with the reason by `Registry.verify`.
                logger.warning("version %s of %s cannot be kept ready", last.version, name, exc_info=True)
        self._arms[name] = kept


def last_champions(versions: list[ModelVersion]) -> list[ModelVersion]:
    """The last versions that were promoted, newest promotion first."""
    promoted = [version for version in versions if PROMOTED_AT in version.tags]
    return sorted(promoted, key=lambda version: version.tags[PROMOTED_AT], reverse=True)[:VERSIONS]
