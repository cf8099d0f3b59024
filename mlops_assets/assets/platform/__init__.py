"""What every project has, whatever it declares: dbt models and the online store as assets, sensors, alarms."""

import dagster as dg


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

    return dg.Definitions(
        assets=[dbt_models, online_store],
        asset_checks=[look_ahead_guard, freshness_checks],
        jobs=[*jobs, look_ahead_job],
        sensors=[
            landing_sensor,
            freshness_sensor,
            look_ahead_sensor,
            failed_run_sensor,
            alert_sensor,
            webhook_sensor,
        ],
    )
