"""`MonitoredModel` and `MonitoredFleet`: one YAML file becomes the assets and checks of models in production.

Here: the components and what belongs to a model as a whole. Not here: the bodies of the assets
(`training_assets`, `monitoring_assets`, `rollout_assets`); the jobs and sensors, which all models share
(`retrain_sensor`, `rollout_assets`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg
from pydantic import BaseModel, ConfigDict

from mlops_assets.assets.jobs import MONITORING_CHAIN
from mlops_assets.assets.monitoring_assets import build_monitoring_assets
from mlops_assets.assets.partitions import declared_calendar
from mlops_assets.assets.rollout_assets import build_rollout_assets
from mlops_assets.assets.scaffolds import FleetYaml, ModelYaml
from mlops_assets.assets.training_assets import build_training_assets
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_defaults import OWN_FIELDS
from mlops_assets.core.settings_fleet import FleetSettings
from mlops_assets.world.files.environment_values import reading_environment
from mlops_assets.world.project import PROJECT
from mlops_assets.world.runs.own_run import executes, own_run
from mlops_assets.world.settings_files import fleet_models, model_settings, models_given


class OwnFields(BaseModel):
    """What stands in a model's own YAML: the fields of `ModelSettings`, some of which may stand in defaults above."""

    model_config = ConfigDict(extra="allow")
    name: str

    @classmethod
    def model_json_schema(cls, *options: Any, **named: Any) -> dict[str, Any]:
        """The schema of a model's settings; a required field is not where the defaults above the model have it."""
        return cls.schema_of(ModelSettings, *options, **named)

    @classmethod
    def schema_of(cls, kind: type[ModelSettings], *options: Any, **named: Any) -> dict[str, Any]:
        """The same of one kind of settings."""
        schema = reading_environment(kind).model_json_schema(*options, **named)
        given = {field: models_given(PROJECT.defs, field) for field in schema["required"] if field not in OWN_FIELDS}
        schema["required"] = [field for field in schema["required"] if not given.get(field)]
        by_defaults = [
            {"if": {"properties": {"name": {"enum": models}}}, "else": {"required": [field]}}
            for field, models in given.items()
            if models
        ]
        return {**schema, "allOf": by_defaults} if by_defaults else schema


@dg.scaffold_with(ModelYaml)
class MonitoredModel(dg.Component):
    """A model that the platform trains, judges, promotes, watches and retrains by itself."""

    def __init__(self, settings: ModelSettings):
        self.settings = settings

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The YAML's fields; what holds is known with the defaults above the file alone."""
        return OwnFields

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> MonitoredModel:
        """What every other reader has of this model: its own YAML over the defaults above it."""
        if not isinstance(attributes, OwnFields):
            raise dg.DagsterInvalidDefinitionError("MonitoredModel needs `attributes:`; see docs/models.md.")
        own = {"name": attributes.name, **(attributes.model_extra or {})}
        return cls(model_settings(own, context.path, context.defs_module_path))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Eight assets; with a rollout one more."""
        assets = [*build_training_assets(self.settings), *build_rollout_assets(self.settings)]
        if executes(self.settings.name, MONITORING_CHAIN):
            # Their partitions are those of all models: a run that only trains need not read them.
            assets += build_monitoring_assets(self.settings, declared_calendar(self.settings.grain))
        return dg.Definitions(assets=assets)


class OwnFleetFields(OwnFields):
    """What stands in a fleet's own YAML."""

    @classmethod
    def model_json_schema(cls, *options: Any, **named: Any) -> dict[str, Any]:
        """The schema of a fleet's settings, as `OwnFields` has it of a model's."""
        return cls.schema_of(FleetSettings, *options, **named)


@dg.scaffold_with(FleetYaml)
class MonitoredFleet(dg.Component):
    """A model per value of a column: each begins as the pooled model of all rows, and leaves it for a better one."""

    def __init__(self, models: Sequence[ModelSettings]):
        self.models = models

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The YAML's fields; what holds is known with the defaults above the file alone."""
        return OwnFleetFields

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> MonitoredFleet:
        """The pooled model and the members that this home's data have brought."""
        if not isinstance(attributes, OwnFields):
            raise dg.DagsterInvalidDefinitionError("MonitoredFleet needs `attributes:`; see docs/fleets.md.")
        return cls(fleet_models(attributes.name, context.defs_module_path))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The assets of each model; in the process of a run, of those that it is about."""
        run = own_run()
        mine = [model for model in self.models if run is None or not run.models or model.name in run.models]
        return dg.Definitions.merge(*(MonitoredModel(model).build_defs(context) for model in mine))
