"""`MonitoredModel`: one YAML file becomes the assets and checks of a model in production.

Here: the component and what belongs to the model as a whole. Not here: the bodies of the assets
(`training_assets`, `monitoring_assets`, `rollout_assets`); the jobs and sensors, which all models share
(`retrain_sensor`, `rollout_assets`).
"""

from __future__ import annotations

import dagster as dg
from pydantic import BaseModel

from mlops_assets.assets.jobs import MONITORING_CHAIN
from mlops_assets.assets.monitoring_assets import build_monitoring_assets
from mlops_assets.assets.partitions import declared_calendar
from mlops_assets.assets.rollout_assets import build_rollout_assets
from mlops_assets.assets.scaffolds import ModelYaml
from mlops_assets.assets.training_assets import build_training_assets
from mlops_assets.core.settings import ModelSettings
from mlops_assets.world.files.environment_values import reading_environment
from mlops_assets.world.runs.own_run import executes


@dg.scaffold_with(ModelYaml)
class MonitoredModel(dg.Component):
    """A model that the platform trains, judges, promotes, watches and retrains by itself."""

    def __init__(self, settings: ModelSettings):
        self.settings = settings

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The YAML's fields."""
        return reading_environment(ModelSettings)

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> MonitoredModel:
        """From validated YAML."""
        if not isinstance(attributes, ModelSettings):
            raise dg.DagsterInvalidDefinitionError("MonitoredModel needs `attributes:`; see docs/models.md.")
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Eight assets; with a rollout one more."""
        assets = [*build_training_assets(self.settings), *build_rollout_assets(self.settings)]
        if executes(self.settings.name, MONITORING_CHAIN):
            # Their partitions are those of all models: a run that only trains need not read them.
            assets += build_monitoring_assets(self.settings, declared_calendar(self.settings.grain))
        return dg.Definitions(assets=assets)
