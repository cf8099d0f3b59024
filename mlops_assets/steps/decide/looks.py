"""Looks on file, and what those at the champion add up to.

Here: writing and reading looks, and which of them count. Not here: making one (`probe`), what a look is and what looks
add up to (`core.decide.probe`), what is decided on them (`core.decide.policy`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from mlops_assets.core.decide.probe import add_up
from mlops_assets.core.decide.probe_result import Look, Probed
from mlops_assets.core.decide.retrain_policy import RetrainPolicy
from mlops_assets.core.record.entries import REIGN_BEGINS
from mlops_assets.core.record.plain_values import as_plain, from_plain
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.time.events import is_evidence
from mlops_assets.core.time.windows import Window
from mlops_assets.world.atomic import write_text
from mlops_assets.world.files.state_files import read_state_by
from mlops_assets.world.mlflow.registry import ModelVersion
from mlops_assets.world.platform import Platform, fitted_until


def write_look(platform: Platform, model: str, look: Look) -> None:
    """Put a look on file, in place of one at the same window and champion."""
    write_text(_file(platform, model, look), json.dumps(as_plain(look), indent=1))


def read_looks(platform: Platform, model: str) -> list[Look]:
    """All looks on file, oldest first."""
    paths = platform.lake.folder("reports", model, "probe").glob("window=*/champion-*.json")
    looks = (read_state_by(path, _look, lost="its window is looked at anew") for path in paths)
    return sorted((look for look in looks if look), key=lambda look: (look.end, int(look.champion or 0)))


def _look(plain: dict[str, Any]) -> Look | None:
    """One look; those of before windows were judged twice are of another kind, their windows are looked at anew."""
    return from_plain(Look, plain) if "whole" in plain else None


def counting(platform: Platform, model: ModelSettings) -> list[Look]:
    """The looks on file that are evidence, oldest first: an event may have been declared after one."""
    return [
        look
        for look in read_looks(platform, model.name)
        if is_evidence(model.events, ending_at(model, look.end), model.timezone)
    ]


def probed(
    platform: Platform,
    model: ModelSettings,
    champion: ModelVersion | None,
    looks: Sequence[Look] | None = None,
    *,
    prices: RetrainPolicy | None = None,
) -> Probed | None:
    """What the looks at the champion add up to; None where it has not been looked at.

    Args:
        platform: of the home.
        model: its settings.
        champion: the version that was looked at.
        looks: those that count, where they have been read; else they are.
        prices: what a training must be worth, where the p-value of its gain is asked for.
    """
    if champion is None:
        return None
    try:
        return add_up(
            counting(platform, model) if looks is None else looks,
            model.probe,
            champion=str(champion.version),
            since=in_production_since(platform, model, champion),
            length=window_length(model),
            costs=model.monitoring.costs,
            prices=prices,
        )
    except CannotJudge:
        return None


def looks_at(platform: Platform, model: ModelSettings, champion: ModelVersion, looks: Sequence[Look]) -> list[Look]:
    """Those of the looks that are added up at a champion; that of before it came into production was answered."""
    since, version = in_production_since(platform, model, champion), str(champion.version)
    return [look for look in looks if look.champion == version and look.at > since]


def in_production_since(platform: Platform, model: ModelSettings, champion: ModelVersion) -> datetime:
    """When the champion last became champion; where that is not on record, when it was fitted."""
    changes = [
        entry.at
        for entry in platform.ledger.entries(model.name)
        if isinstance(entry, REIGN_BEGINS) and entry.version == champion.version
    ]
    return max(changes, default=fitted_at(champion))


def ending_at(model: ModelSettings, end: datetime) -> Window:
    """The monitoring window that ends then."""
    return model.monitoring.rhythm.ending(end, model.timezone)


def counts_since(model: ModelSettings, window: Window, *, fitted: datetime | None, trained: datetime | None) -> bool:
    """Whether a window of inputs speaks of the champion, and of what no training has answered.

    One that follows the last does where it ended after the champion was fitted, and the policy knows which of them were
    answered. One that slides shares most of its rows with the one before: it counts where all of them came after the
    last training, promoted or not, or one failure would ask for a training at every step.

    Args:
        model: the monitored model.
        window: of a drift report.
        fitted: when the champion was; None without one.
        trained: when a model was last trained.
    """
    if fitted is None:
        return True
    return window.start >= (trained or fitted) if model.monitoring.rhythm.slides else window.end > fitted


def window_length(model: ModelSettings) -> timedelta:
    """Of a monitoring window, as calendars count it."""
    return model.retrain_policy.window


def fitted_at(version: ModelVersion) -> datetime:
    """By when the labels were known that a version was fitted on."""
    since = fitted_until(version)
    if since is None:
        raise ValueError(f"{version.uri} is no version")
    return since


def _file(platform: Platform, model: str, look: Look) -> Path:
    window = f"window={look.end:%Y-%m-%dT%H%M}"
    return platform.lake.folder("reports", model, "probe", window) / f"champion-{look.champion or 0}.json"
