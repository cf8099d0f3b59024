"""A throw-away home to rehearse in: the production's data and champion, nothing else of it.

Here: making it, and the candidates that are tried on in it. Not here: the rehearsal (`drill`).

Production is only read: data are linked file by file (everything in a lake is replaced, never written in place), the
champion is registered anew in a registry of the home's own, with a record of its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from mlops_assets.core.models.model import Model, fit
from mlops_assets.core.record.entries import Promotion
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import MIN_BLOCKS
from mlops_assets.core.time.windows import midnight, parse_duration
from mlops_assets.world.home import Home, HomeSettings
from mlops_assets.world.mlflow.store import artifact_location
from mlops_assets.world.model_data import EVENT_TIME, LABEL
from mlops_assets.world.platform import FITTED_UNTIL, Platform

_ROWS = 5_000
"""Labelled events that a candidate is fitted on; it is there to be found out, not to be good."""
_ROUNDS = 20
EXPERIMENT = "drill"
CHAMPION_VERSION, CANDIDATE_VERSION = 1, 2


class CannotRehearse(RuntimeError):
    """The home has nothing to rehearse with."""


@dataclass(frozen=True)
class DrillHome:
    """The home, and the days of data that the rehearsal lives through.

    Attributes:
        platform: of the throw-away home.
        model: the monitored model.
        champion: the production's, version 1 here.
        first: the first day that is lived through.
        end: the day after the last one.
    """

    platform: Platform
    model: ModelSettings
    champion: Model
    first: date
    end: date

    @property
    def days(self) -> list[date]:
        """The days, oldest first."""
        return [self.first + timedelta(days=n) for n in range((self.end - self.first).days)]

    def at(self, day: date) -> datetime:
        """Set the clock to the beginning of a local day."""
        moment = midnight(day, self.model.timezone)
        self.platform.home.configure(HomeSettings(clock="data", until=moment))
        return moment

    def register(self, model: Model, tags: Mapping[str, str]) -> int:
        """Keep a model as the next version."""
        registry, home = self.platform.registry, self.platform.home
        client = registry.client
        known = client.get_experiment_by_name(EXPERIMENT)
        place = artifact_location(home, home.mlflow_uri, EXPERIMENT)
        key = known.experiment_id if known else client.create_experiment(EXPERIMENT, artifact_location=place)
        return registry.register(self.model.name, model, run_id=client.create_run(key).info.run_id, tags=tags).version

    def labelled(self) -> pd.DataFrame:
        """The newest labelled events before the first day, with features."""
        data = self.platform.data(self.model)
        moment = midnight(self.first, self.model.timezone)
        rows = data.events(None, self.first, as_of=moment)
        return data.with_features(rows[rows[LABEL].notna()].tail(_ROWS).reset_index(drop=True))


@dataclass(frozen=True)
class Production:
    """What a rehearsal takes from production.

    Attributes:
        platform: of the home in production.
        model: the monitored model.
        version: the champion's number.
        champion: the champion.
        fitted_until: labels known before were known to it, ISO 8601; None where it does not say.
        first: the first day of data to live through.
        end: the day after the last one.
    """

    platform: Platform
    model: ModelSettings
    version: int
    champion: Model
    fitted_until: str | None
    first: date
    end: date

    @classmethod
    def of(cls, platform: Platform, model: ModelSettings) -> Production:
        """Read it, in production's own environment.

        Raises:
            CannotRehearse: there is no champion, or labels of too few days.
        """
        model_version = platform.registry.champion(model.name)
        if model_version is None:
            raise CannotRehearse(f"{model.name} has no champion to go back to. Rehearse once it has one.")
        first, end = _days(platform, model)
        champion = platform.registry.load(model.name, model_version.version)
        return cls(platform, model, model_version.version, champion, model_version.tags.get(FITTED_UNTIL), first, end)


def make_drill_home(production: Production, root: Path) -> DrillHome:
    """Make a home in an empty folder. The environment must lead there already (`home.working_in`, own store)."""
    source, model, home = production.platform, production.model, Home(root)
    home.configure(HomeSettings(clock="data"))
    home.prepare()
    names = [("labels", model.label.model), *(("features", view) for view in model.features)]
    names += [("raw", each.name) for each in source.sources_of(model)]
    for layer, name in names:
        _link(source.home.lake / layer / name, home.lake / layer / name)
    drill = DrillHome(Platform.of(home), model, production.champion, production.first, production.end)
    moment = drill.at(drill.first)
    until = production.fitted_until or moment.isoformat()
    version = drill.register(production.champion, {FITTED_UNTIL: until})
    reason = f"version {production.version} in production"
    drill.platform.registry.promote(model.name, version, decision_id="drill", reason=reason, at=moment)
    details = {"decision": "drill", "version": version, "previous": None, "reason": reason, "fitted_until": until}
    drill.platform.ledger.record.note(model.name, Promotion, at=moment, id="promotion-drill", **details)
    return drill


def worse(drill: DrillHome) -> Model:
    """A candidate that says the opposite of what the labels say."""
    opposite: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "binary": lambda y: 1.0 - y,
        "regression": lambda y: y.max() + y.min() - y,
        "multiclass": lambda y: (y + 1) % (int(y.max()) + 1),
    }
    rows = drill.labelled()
    return _fitted(drill.champion, rows, opposite[drill.model.task](rows[LABEL].to_numpy()))


def of_bad_data(drill: DrillHome) -> Model:
    """A candidate of a broken feed: every event has got the features of another one."""
    rows = drill.labelled()
    order = np.random.default_rng(0).permutation(len(rows))
    names = list(drill.champion.recipe.names)
    mixed = rows[[EVENT_TIME, LABEL]].join(rows[names].iloc[order].reset_index(drop=True))
    return _fitted(drill.champion, mixed, mixed[LABEL].to_numpy())


def _fitted(champion: Model, rows: pd.DataFrame, y: np.ndarray) -> Model:
    recipe = champion.recipe.from_nothing
    return fit(replace(recipe, rounds=min(recipe.rounds, _ROUNDS), calibration=None), rows, y)


def _days(production: Platform, model: ModelSettings) -> tuple[date, date]:
    """Days enough for labels to mature on and to judge by, up to the model's clock."""
    data = production.data(model)
    end = data.day(production.now(model))
    first = end - timedelta(days=MIN_BLOCKS + 2) - timedelta(days=parse_duration(model.label.max_delay).days)
    known = [day for day in production.lake.partitions("labels", model.label.model) if day < first]
    if not known:
        raise CannotRehearse(
            f"{model.name} has labels of too few days: some are wanted from before {first}. Land more history."
        )
    return first, end


def _link(source: Path, target: Path) -> None:
    """A folder of the lake as hard links (copies where that cannot be); what is no Parquet is copied."""

    def take(old: str, new: str) -> None:
        if old.endswith(".parquet"):
            try:
                os.link(old, new)
                return
            except OSError:  # another file system
                pass
        shutil.copy2(old, new)

    if source.exists():
        # Hidden files are on their way to their names.
        shutil.copytree(source, target, copy_function=take, ignore=shutil.ignore_patterns(".*"))
