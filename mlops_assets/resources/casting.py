"""Which versions score a day, and which of them answers which entity.

Here: the cast of today, from the registry; the cast of a day that was scored before, from its own files. Not here:
scoring (`prediction_steps`), how far a rollout has come (`core.rollout`), an entity's place (`core.sticky`).
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.rollout import RolloutPolicy
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.sticky import place
from mlops_assets.resources.platform import Platform
from mlops_assets.resources.references import score_matrix

SCORE = "score"
VERSION = "model_version"
ARM = "arm"
"""Column: `champion` or `canary` in what was answered, `shadow` in what was not; only where a rollout was open."""
BATCH = "batch"
"""The writer of answers in a partition; another writer of the same partition has a file of its own."""
SHADOW = "shadow"
"""The writer of scores that nobody was answered with."""
ONLINE = "online"
"""The online service's files of the same partitions: what was answered, one row per prediction."""
CHAMPION_ARM, CANARY_ARM, SHADOW_ARM = "champion", "canary", "shadow"


@dataclass(frozen=True)
class Cast:
    """Who scores a day.

    Attributes:
        champion: the version that answers, but for the canary.
        other: the version that scores the same rows; None for none.
        share: of the entities that the other one answers, 0 to 1.
        answered: keys of the entities that the other one answered when the day was scored before; None the first time.
    """

    champion: int
    other: int | None = None
    share: float = 0.0
    answered: frozenset[tuple[Hashable, ...]] | None = None

    def answered_by_other(self, entities: pd.DataFrame) -> np.ndarray:
        """Which rows the other version answers, shape (n,); an entity has the same answer each time."""
        if self.other is None or (self.answered is None and self.share == 0.0):
            return np.zeros(len(entities), dtype=bool)
        keys = [tuple(row) for row in _plain(entities)]
        if self.answered is not None:
            return np.array([key in self.answered for key in keys])
        names, version = list(entities.columns), self.other
        places = {key: place(version, dict(zip(names, key, strict=True))) for key in set(keys)}
        return np.array([places[key] < self.share for key in keys])


def score_names(rows: pd.DataFrame) -> list[str]:
    """The columns of scores: one, or also one per class."""
    return [str(name) for name in rows if str(name).removeprefix(f"{SCORE}_").isdigit() or name == SCORE]


def same_classes(*frames: pd.DataFrame) -> list[pd.DataFrame]:
    """Scored rows with a score of each class that any of their versions knows, in the order of the codes.

    A version gave a class that it does not know no chance. Frames without scores of classes come back as they are.
    """
    found = {name for frame in frames for name in score_names(frame)} - {SCORE}
    if not found:
        return list(frames)
    names = sorted(found, key=lambda name: int(name.removeprefix(f"{SCORE}_")))
    scores = [pd.DataFrame(score_matrix(one.reindex(columns=names)), one.index, names) for one in frames]
    others = [one[[name for name in one if name not in found]] for one in frames]
    return [pd.concat(both, axis=1) for both in zip(others, scores, strict=True)]


def cast_today(platform: Platform, model: ModelSettings) -> Cast | None:
    """Who scores what was not scored before; None while there is no champion."""
    champion = platform.registry.champion(model.name)
    if champion is None:
        return None
    rollout = platform.registry.rollout(model.name)
    if rollout is None or rollout.champion is None:
        return Cast(champion.version)
    other = rollout.champion if rollout.answers else rollout.version
    if other == champion.version:
        # Somebody moved the alias by hand; the next look at the rollout ends it.
        return Cast(champion.version)
    share = rollout.share(model.rollout or RolloutPolicy()) if rollout.state == "canary" else 0.0
    return Cast(champion.version, other, share)


def cast_of(platform: Platform, model: ModelSettings, day: date) -> Cast | None:
    """Who scored a day before; None where one of them is no longer kept."""
    lake = platform.lake
    batch = pd.read_parquet(lake.file("predictions", model.name, partition=day, name=BATCH))
    beside = lake.file("predictions", model.name, partition=day, name=SHADOW)
    if ARM in batch and not beside.exists():
        return None  # The file of the shadow is lost: the day is scored anew.
    cast = _from_files(batch, pd.read_parquet(beside, columns=[VERSION]) if ARM in batch else None, platform, model)
    kept = {version.version for version in platform.registry.versions(model.name)}
    return cast if {cast.champion, cast.other or cast.champion} <= kept else None


def _from_files(batch: pd.DataFrame, beside: pd.DataFrame | None, platform: Platform, model: ModelSettings) -> Cast:
    if beside is None:
        return Cast(int(batch[VERSION].iloc[0]))
    by_other = batch[ARM] == CANARY_ARM
    versions = {int(v) for frame in (batch, beside) for v in frame[VERSION].unique()}
    if by_other.all():
        (other,) = batch[VERSION].unique()
        champion = (versions - {int(other)}).pop()
    else:
        champion = int(batch.loc[~by_other, VERSION].iloc[0])
        (other,) = versions - {champion}
    keys = platform.data(model).keys
    answered = frozenset(tuple(row) for row in _plain(batch.loc[by_other, keys]))
    return Cast(champion, int(other), 0.0, answered)


def _plain(entities: pd.DataFrame) -> list[list[Any]]:
    """Rows of plain values: texts, numbers; what JSON has no type for, as text."""
    return json.loads(entities.to_json(orient="values", date_format="iso"))
