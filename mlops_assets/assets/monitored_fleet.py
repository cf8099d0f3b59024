"""`MonitoredFleet`: one YAML file becomes a pooled model and a model per value of a column.

Here: the component. Not here: the assets of each model (`monitored_model`), which members there are
(`world.landed.declared_models`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg
from pydantic import BaseModel

from mlops_assets.assets.monitored_model import MonitoredModel, OwnFields
from mlops_assets.assets.scaffolds import FleetYaml
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_fleet import FleetSettings
from mlops_assets.world.runs.own_run import own_run
from mlops_assets.world.settings_files import fleet_models


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
