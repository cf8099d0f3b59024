"""What every project has, whatever it declares: dbt models and the online store as assets, sensors, alarms."""

import dagster as dg

from mlops_assets.world.runs.own_run import OwnRun


def definitions() -> dg.Definitions:
    """All of it; the modules are read when it is asked for, since dbt's manifest must be there."""
    from mlops_assets.assets.platform.alert_sensor import alert_sensor
    from mlops_assets.assets.platform.dbt_models import dbt_models
    from mlops_assets.assets.platform.failed_runs import failed_run_sensor
    from mlops_assets.assets.platform.feast_assets import online_store
    from mlops_assets.assets.platform.freshness import freshness_checks, freshness_sensor
    from mlops_assets.assets.platform.look_ahead import look_ahead_guard, look_ahead_job, look_ahead_sensor
    from mlops_assets.assets.platform.sensors import jobs, landing_sensor
    from mlops_assets.assets.platform.webhook_sensor import webhook_sensor
    from mlops_assets.assets.retrain_sensor import build_retrain_job, build_retrain_sensor
    from mlops_assets.assets.rollout_assets import build_rollout_job, build_rollout_sensor
    from mlops_assets.core.settings import ModelSettings
    from mlops_assets.world.landed.sources import DEFS
    from mlops_assets.world.settings_files import read_settings

    models = read_settings(DEFS, ModelSettings).values()
    # A job must have assets: a project without models, or without rollouts, has none.
    deciding = [(build_retrain_job(models), build_retrain_sensor())] if models else []
    if any(model.rollout is not None for model in models):
        deciding.append((build_rollout_job(models), build_rollout_sensor()))
    return dg.Definitions(
        assets=[dbt_models, online_store],
        asset_checks=[look_ahead_guard, freshness_checks],
        jobs=[*jobs, look_ahead_job, *(job for job, _ in deciding)],
        sensors=[
            landing_sensor,
            *(sensor for _, sensor in deciding),
            freshness_sensor,
            look_ahead_sensor,
            failed_run_sensor,
            alert_sensor,
            webhook_sensor,
        ],
    )


def of_one_run(run: OwnRun) -> dg.Definitions:
    """The job of a run that executes assets of models alone; no sensor ticks in its process."""
    if run.job.startswith("__"):
        # Of assets that a person has chosen Dagster makes the job by itself.
        return dg.Definitions()
    selection = dg.AssetSelection.assets(*(dg.AssetKey(path) for path in sorted(run.assets)))
    return dg.Definitions(jobs=[dg.define_asset_job(run.job, selection=selection, executor_def=dg.in_process_executor)])
