"""Everything an asset of a monitored model needs, in one resource.

Here: putting lake, clock, features, registry, ledger and sources of one home together, and the small records
by which one asset tells the next what it made. Not here: any of their work.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.core.decide.fleet.trainings_policy import TrainingsPolicy
from mlops_assets.core.features.catalogue import Catalogue
from mlops_assets.core.record.entries import Freeze, Snooze
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_fleet import MemberSettings
from mlops_assets.core.source_groups import Group, landing_job, source_groups
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.time.windows import Window
from mlops_assets.world.atomic import write_text
from mlops_assets.world.catalogue import load_catalogue, manifest_stamp
from mlops_assets.world.clock import Clock, NoDataYet
from mlops_assets.world.declared_files import BrokenFile, BrokenSettings, once, stamp_of
from mlops_assets.world.features import DBT_PROJECT, Features
from mlops_assets.world.home import Home
from mlops_assets.world.lake import Lake
from mlops_assets.world.landed.fleet_values import brought_values
from mlops_assets.world.landed.sources import DEFS, Sources
from mlops_assets.world.mlflow.registry import ModelVersion, Registry
from mlops_assets.world.project import PROJECT
from mlops_assets.world.record.ledger import Ledger
from mlops_assets.world.record.replayed import is_replay
from mlops_assets.world.runs.agreed_trainings import read_trainings_policy
from mlops_assets.world.settings_files import Declared, broken_files, read_settings, settings_file

if TYPE_CHECKING:
    from mlops_assets.world.model_data import ModelData
from mlops_assets.core.decide.requests import Hold
from mlops_assets.world.files.state_files import read_state


def hold(platform: Platform, model: str, kind: type[Freeze] | type[Snooze]) -> Hold | None:
    """The newest freeze or snooze (`kind`) that nobody has lifted."""
    entry: Freeze | Snooze | None = platform.ledger.record.standing(model, kind)
    return Hold(entry.by, entry.reason, entry.until) if entry else None


GATE_VALUE = "gate_value"
"""Tag of a version: its judged twin's metric on the gate window, which later windows are held against."""
GATE_PREVIOUS = "gate_previous"
"""Tag of a version: what the champion before it reached on the same rows."""


POOLED = "pooled"
"""Tag of a version of a member of a fleet that is the pool's: its number there."""


GATE_WINDOW = "gate_window"
"""Tag of a version: beginning and end of the window that its judged twin was judged on."""


FITTED_UNTIL = "fitted_until"
"""Tag of a version: labels known from then on were not seen by it, so it may be judged on them."""


@dataclass(frozen=True, kw_only=True)
class Platform:
    """One home and all that works in it.

    Attributes:
        lake: its Parquet.
        sources: its landing folders.
        features: its feature store.
        registry: its models.
        ledger: its decisions.
    """

    lake: Lake
    sources: Sources
    features: Features
    registry: Registry
    ledger: Ledger

    @classmethod
    def of(cls, home: Home | None = None) -> Platform:
        """The platform of a home (by default `$MLOPS_HOME`), for code that runs outside Dagster."""
        root = str((home or Home.from_environment()).root)
        lake = Lake(root=root)
        return cls(
            lake=lake,
            sources=Sources(lake=lake),
            features=Features(lake=lake),
            registry=Registry(home=root),
            ledger=Ledger(root=root),
        )

    @property
    def home(self) -> Home:
        """The home everything lives in."""
        return self.lake.home

    @property
    def catalogue(self) -> Catalogue:
        """Feature views and label models, from dbt's manifest."""
        return load_catalogue(DBT_PROJECT)

    def models(self) -> Declared[ModelSettings]:
        """The monitored models declared in YAML, by name."""
        return read_settings(self._declarations, ModelSettings, self.home)

    def trainings_policy(self) -> TrainingsPolicy | None:
        """What is agreed on for the trainings of all models together; None where nothing is.

        A replay lives through one model, or the members of one fleet: nobody knows what others would have asked for.

        Raises:
            ValueError: the project's file, or what the home has in its place, cannot be read.
        """
        if (own := self.home.settings.trainings) is not None:
            return TrainingsPolicy.from_table(own)
        return None if is_replay(self.home) else read_trainings_policy(PROJECT.root)

    def declared_stamp(self) -> object:
        """Changes when a file does that declares sources or models, or dbt's project."""
        return stamp_of(self._declarations), brought_values(self.home), manifest_stamp(DBT_PROJECT)

    def broken_files(self) -> list[BrokenFile]:
        """The YAML files that declare nothing until they are corrected."""
        return broken_files(self._declarations)

    def settings_file(self, model: ModelSettings) -> Path:
        """The YAML file that declares a model."""
        return settings_file(self._declarations, model.pool if isinstance(model, MemberSettings) else model.name)

    def pipeline_places(self, model: ModelSettings) -> list[Path]:
        """Where the file of `training.pipeline` may lie: beside the YAML, or in the home; nowhere without the field."""
        named = model.training.pipeline
        return [] if named is None else [self.settings_file(model).parent / named, self.home.root / "pipelines" / named]

    def pipeline_name(self, model: ModelSettings) -> str:
        """The file of `training.pipeline` for a message: its path, or the field where the file is gone."""
        file = next((place for place in self.pipeline_places(model) if place.is_file()), None)
        return "training.pipeline" if file is None else str(file)

    @property
    def _declarations(self) -> Path:
        return Path(self.sources.folder) if self.sources.folder else DEFS

    def groups(self) -> list[Group]:
        """The sources that belong together: each group is carried, waits and fails by itself."""
        return once(("groups", self.sources), self._groups)

    def _groups(self) -> list[Group]:
        sources = self.sources.settings()
        return source_groups(self.catalogue, sources, self.models().values(), broken=sources.unread)

    def group_of(self, model: ModelSettings) -> Group:
        """The group of a model's sources."""
        read = self.catalogue.sources_of([*model.features, model.label.model])
        return next(group for group in self.groups() if group & read)

    def landing_jobs(self, model: ModelSettings | None = None) -> list[str]:
        """The jobs that carry a model's data from files to reports; without a model, those of all sources."""
        sources = self.sources.settings()
        groups = self.groups() if model is None else [self.group_of(model)]
        return sorted(
            {landing_job(sources, group, sources[name].grain) for group in groups for name in group if name in sources}
        )

    def watching_job(self, model: ModelSettings) -> str:
        """The job in which a model predicts."""
        return landing_job(self.sources.settings(), self.group_of(model), model.grain)

    def data(self, model: ModelSettings) -> ModelData:
        """The rows of a model."""
        from mlops_assets.world.model_data import ModelData

        return ModelData(model=model, lake=self.lake, features=self.features, catalogue=self.catalogue)

    def sources_of(self, model: ModelSettings) -> list[SourceSettings]:
        """The declared sources that a model's features and labels are built from.

        Raises:
            BrokenSettings: the declaration of one of them cannot be read.
        """
        names = self.catalogue.sources_of([*model.features, model.label.model])
        settings = self.sources.settings()
        return [settings[name] for name in [*settings, *settings.unread] if name in names]

    def now(self, model: ModelSettings) -> datetime:
        """The present moment for a model, by this home's clock.

        Raises:
            NoDataYet: with the data clock, where a source of the model has nothing, or what declares it is broken.
        """
        clock = Clock(lake=self.lake)
        if self.home.settings.clock == "wall":
            return clock.now(())
        try:
            return clock.now(self.sources_of(model))
        except BrokenSettings as error:
            raise NoDataYet(str(error)) from error

    def record_file(self, model: str, asset: str) -> Path:
        """Where an asset says what it made."""
        return self.lake.folder("models", model, f"{asset}.json")

    def write_record(self, model: str, asset: str, values: dict[str, Any]) -> None:
        """Tell the next asset what was made."""
        write_text(self.record_file(model, asset), json.dumps(values, indent=1, sort_keys=True, default=str))

    def record(self, model: str, asset: str) -> dict[str, Any]:
        """What an asset last made.

        Raises:
            FileNotFoundError: it was never materialized in this home.
            DamagedFile: what it wrote cannot be read.
        """
        again = f"mlops retrain {model} --reason '...' runs the whole chain"
        values = read_state(self.record_file(model, asset), dict[str, Any], lost=f"{again} and writes it")
        if values is None:
            raise FileNotFoundError(
                f"{model}/{asset} has not been materialized in {self.home.root}. Materialize it first ({again})."
            )
        return values


def fitted_until(version: ModelVersion | None) -> datetime | None:
    """The moment before which a version has seen the labels; None without a version.

    Raises:
        ValueError: the version was registered by something else and doesn't say.
    """
    if version is None:
        return None
    if FITTED_UNTIL not in version.tags:
        raise ValueError(
            f"{version.uri} has no tag {FITTED_UNTIL!r}, so nothing says on which rows to judge it. Set the tag to "
            "the moment (UTC, ISO 8601) before which its training labels were known."
        )
    return datetime.fromisoformat(version.tags[FITTED_UNTIL])


def gate_window_of(version: ModelVersion) -> Window:
    """The window that the judged twin of a version was judged on."""
    start, _, end = version.tags[GATE_WINDOW].partition("/")
    return Window(datetime.fromisoformat(start), datetime.fromisoformat(end))
