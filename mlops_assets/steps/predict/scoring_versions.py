"""Which versions score a day, and which of them answers which entity.

Here: the cast of today, from the registry; the cast of a day that was scored before, from its own files. Not here:
scoring (`predictions`), how far a rollout has come (`core.rollout.moves`), an entity's place
(`core.rollout.sticky_shares`).
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.performance.against_baseline import Fallback
from mlops_assets.core.rollout.moves import RolloutPolicy
from mlops_assets.core.rollout.sticky_shares import place
from mlops_assets.core.settings import ModelSettings
from mlops_assets.steps.predict.references import score_matrix
from mlops_assets.world.mlflow.registry import FALLBACK, ModelVersion
from mlops_assets.world.parquet import read_exact
from mlops_assets.world.platform import Platform

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
WITHHELD = "withheld"
"""The writer of what a champion said that may not answer (`on_failing: refuse`): for monitors, nobody acts on it."""
SERVED_BY = "served_by"
"""Column: `baseline` where guessing answered in the champion's place; only on days on which it did."""
BASELINE = "baseline"
OWN = "champion_"
"""What the names of a score's columns begin with that hold what the champion itself said where guessing answered."""
CHAMPION_ARM, CANARY_ARM, SHADOW_ARM = "champion", "canary", "shadow"


@dataclass(frozen=True)
class Cast:
    """Who scores a day.

    Attributes:
        champion: the version that answers, but for the canary.
        other: the version that scores the same rows; None for none.
        share: of the entities that the other one answers, 0 to 1.
        answered: keys of the entities that the other one answered when the day was scored before; None the first time.
        fallback: `baseline` or `refuse` where the champion was worse than guessing and may not answer; else empty.
        guess: what guessing says, for `baseline`: a score, or one for each class.
    """

    champion: int
    other: int | None = None
    share: float = 0.0
    answered: frozenset[tuple[Hashable, ...]] | None = None
    fallback: str = ""
    guess: tuple[float, ...] = ()

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


def own_scores(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with what the champion itself said, also where guessing answered in its place."""
    own = [str(name) for name in rows if str(name).startswith(f"{OWN}{SCORE}")]
    restored = {
        name.removeprefix(OWN): rows[name].where(rows[SERVED_BY].notna(), rows[name.removeprefix(OWN)]) for name in own
    }
    return answered_scores(rows).assign(**restored)


def answered_scores(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with what was answered, whoever did."""
    return rows.drop(columns=[name for name in rows if name == SERVED_BY or str(name).startswith(f"{OWN}{SCORE}")])


def guessed(rows: pd.DataFrame, mine: np.ndarray, guess: tuple[float, ...]) -> pd.DataFrame:
    """The rows with guessing's scores in place of the champion's, which are kept beside them.

    Args:
        rows: scored.
        mine: shape (n,), which of them the champion would have answered.
        guess: a score, or one for each class.
    """
    out, names = rows.copy(), [str(name) for name in rows if str(name) == SCORE or str(name).startswith(f"{SCORE}_")]
    for name in names:
        out[f"{OWN}{name}"] = rows[name].where(mine)
        place = name.removeprefix(f"{SCORE}_")
        # What is no score, such as bounds, guessing does not have.
        value = max(guess) if name == SCORE else guess[int(place)] if place.isdigit() else np.nan
        out.loc[mine, name] = value
    out[SERVED_BY] = pd.Series(BASELINE, index=out.index).where(mine)
    return out


def fallback_of(version: ModelVersion | None) -> Fallback | None:
    """What answers in a version's place; None where it answers itself."""
    text = version.tags.get(FALLBACK) if version else None
    return Fallback.from_json(text) if text else None


def fallback_today(platform: Platform, model: ModelSettings) -> Fallback | None:
    """What answers in the champion's place; None where it answers itself, or there is none."""
    return fallback_of(platform.registry.champion(model.name))


def same_classes(*frames: pd.DataFrame) -> list[pd.DataFrame]:
    """Scored rows with a score of each class that any of their versions knows, in the order of the codes.

    A version gave a class that it does not know no chance. Frames without scores of classes come back as they are.
    """
    class_scores = {name for frame in frames for name in score_names(frame)} - {SCORE}
    if not class_scores:
        return list(frames)
    names = sorted(class_scores, key=lambda name: int(name.removeprefix(f"{SCORE}_")))
    scores = [pd.DataFrame(score_matrix(scored.reindex(columns=names)), scored.index, names) for scored in frames]
    others = [scored[[name for name in scored if name not in class_scores]] for scored in frames]
    return [pd.concat(both, axis=1) for both in zip(others, scores, strict=True)]


def cast_today(platform: Platform, model: ModelSettings) -> Cast | None:
    """Who scores what was not scored before; None while there is no champion."""
    cast, fallback = _cast_today(platform, model), fallback_today(platform, model)
    if cast is None or fallback is None:
        return cast
    return replace(cast, fallback=fallback.mode, guess=fallback.guess)


def _cast_today(platform: Platform, model: ModelSettings) -> Cast | None:
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
    files = [lake.file("predictions", model.name, partition=day, name=name) for name in (BATCH, WITHHELD)]
    parts = [read_exact(file) for file in files if file.exists()]
    batch = pd.concat(parts, ignore_index=True)
    beside = lake.file("predictions", model.name, partition=day, name=SHADOW)
    if ARM in batch and not beside.exists():
        return None  # The file of the shadow is lost: the day is scored anew.
    cast = _from_files(batch, pd.read_parquet(beside, columns=[VERSION]) if ARM in batch else None, platform, model)
    if files[1].exists():
        cast = replace(cast, fallback="refuse")
    elif SERVED_BY in batch and (by := batch[batch[SERVED_BY] == BASELINE]).size:
        classes = sorted((n for n in score_names(batch) if n != SCORE), key=lambda n: int(n.removeprefix(f"{SCORE}_")))
        guess = tuple(float(by[name].iloc[0]) for name in classes or [SCORE])
        cast = replace(cast, fallback=BASELINE, guess=guess)
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
