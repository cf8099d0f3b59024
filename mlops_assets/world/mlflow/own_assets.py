"""dagster-mlflow's own resource, for assets that people write beside ours: `required_resource_keys={"mlflow"}`.

Here: the resource under its usual name, made safe. Not here: the run behind it (`tracking`).

What dagster-mlflow documents works as it is written there: `context.resources.mlflow.log_metric(...)`, and its hook
`end_mlflow_on_run_finished` on a job. The stock resource logs three runs of one process into one MLflow run, and leaves
the run of an ad hoc materialization open, which has no hook. Here each Dagster run has a run of its own, which is
ended with the status that was earned, with the hook or without.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from mlops_assets.world.mlflow.tracking import Tracking

_EXPERIMENT = "own_assets"


def own_mlflow(home: Path, ui_url: str) -> dg.ResourceDefinition:
    """The resource `mlflow` of a home.

    Args:
        home: the home's root.
        ui_url: where MLflow's UI is, when the store is no server itself.
    """

    @dg.resource(
        config_schema={"experiment": dg.Field(str, default_value=_EXPERIMENT, description="MLflow's experiment.")},
        description="dagster-mlflow's resource: MLflow's API in the MLflow run of this Dagster run.",
    )
    def mlflow(context: dg.InitResourceContext) -> Iterator[Any]:
        tracking = Tracking(home=str(home), ui_url=ui_url)
        with tracking.yield_for_execution(context):
            tracking.open(context.resource_config["experiment"])
            yield tracking.stock

    return mlflow
