"""A job for the multiprocess test: its steps run in processes of their own and import it by this name."""

import dagster as dg

from mlops_assets.world.mlflow.tracking import Tracking


@dg.asset
def first(tracking: Tracking) -> None:
    tracking.open("flights")
    tracking.log_params({"step": "first"})


@dg.asset(deps=[first])
def broken(tracking: Tracking) -> None:
    tracking.open("flights")
    tracking.log_metrics({"steps_seen": float(len(tracking.client.get_run(tracking.run_id).data.params))})
    raise RuntimeError("no data")


FORKS = dg.multiprocess_executor.configured(
    # One import for all steps: each would pay for dagster and mlflow again.
    {"start_method": {"forkserver": {"preload_modules": ["dagster_mlflow", "mlops_assets.world.mlflow.tracking"]}}}
)


def two_processes_job() -> dg.JobDefinition:
    return dg.Definitions(
        assets=[first, broken],
        resources={"tracking": Tracking()},
        jobs=[dg.define_asset_job("train", executor_def=FORKS)],
    ).resolve_job_def("train")
