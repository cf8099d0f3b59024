"""The sensor that tells people: alarms of the models, the all-clear, the digest, and sending.

Here: one tick. Not here: what is wrong with a model (`steps.keep.model_alarms`), the other alarms (`sensors`),
the state of incidents (`world.alerts.incidents`).
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from mlops_assets.assets.platform.sensors import ON
from mlops_assets.assets.retrain_sensor import MODEL_TAG
from mlops_assets.core.record.incidents import Incident, digested
from mlops_assets.core.record.plain_values import counted
from mlops_assets.steps.keep.model_alarms import PREFIXES, Alarm, model_alarms, why_over
from mlops_assets.steps.keep.waiting_for_data import by_source
from mlops_assets.steps.land.source_alarms import STATES, lasting
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.alerts.channels import Channels
from mlops_assets.world.declared_files import looked_at_once
from mlops_assets.world.platform import Platform

DIGEST_HOUR = "MLOPS_ALERT_DIGEST_HOUR"
LASTING = (*STATES, *PREFIXES)
"""How the keys of incidents begin that last as long as something can be seen."""


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=ON,
    description="Tells people: alarms of the models, updates and the all-clear of incidents, the daily digest.",
)
@looked_at_once()
def alert_sensor(
    context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform], alerts: Alerts
) -> dg.SkipReason:
    """Tells people: alarms of the models, updates and the all-clear of incidents, the daily digest."""
    if platform.home.settings.landing:
        return dg.SkipReason("A replay pages nobody: its alerts stand in its own log.")
    alarms = _of_models(platform)
    seen = {alarm["key"] for alarm in alarms} | lasting(platform)
    for alarm in by_source(platform, alarms, platform.models()):
        asset = alarm.pop("asset", None)
        alerts.send(**alarm, run=_run_of(context.instance, asset) if asset else None)
    for incident in alerts.incidents.state().open:
        if why := _over(incident, seen, context.instance):
            alerts.end(incident.key, why_over(platform, incident.key) or why)
    hour = int(os.environ.get(DIGEST_HOUR) or 7)
    state = alerts.incidents.change(lambda known: digested(known, datetime.now(UTC), hour=hour))
    sent = alerts.incidents.deliver(Channels.from_environment())
    return dg.SkipReason(
        f"{counted(len(state.open), 'open incident')}; {sent} of {counted(len(state.outbox), 'message')} sent."
    )


def _of_models(platform: Platform) -> list[Alarm]:
    return [alarm for model in platform.models().values() for alarm in model_alarms(platform, model)]


def _run_of(instance: dg.DagsterInstance, asset: Sequence[str]) -> str | None:
    """The run that made an asset last; None where it was made outside of Dagster."""
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    return event.run_id if event else None


def _over(incident: Incident, seen: set[str], instance: dg.DagsterInstance) -> str:
    """Why an incident is over; empty while it lasts. What nothing shows the end of stays until a person looks."""
    if incident.key.startswith(LASTING):
        return "" if incident.key in seen else "it cannot be seen any more."
    run = instance.get_run_by_id(incident.report.run) if incident.report.run else None
    if run is None:
        return ""
    # The job of trainings is that of all models.
    about = {MODEL_TAG: run.tags[MODEL_TAG]} if MODEL_TAG in run.tags else {}
    later = dg.RunsFilter(
        job_name=run.job_name, tags=about, statuses=[dg.DagsterRunStatus.SUCCESS], created_after=incident.updated_at
    )
    done = instance.get_runs(filters=later, limit=1)
    return f"run {done[0].run_id[:8]} of {run.job_name} went through." if done else ""
