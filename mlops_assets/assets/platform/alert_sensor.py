"""The sensor that tells people: alarms of the models, the all-clear, the digest, and sending.

Here: one tick. Not here: what is wrong with a model (`steps.keep.model_alarms`), who has news (`assets.model_looks`),
the other alarms (`sensors`), the state of incidents (`world.alerts.incidents`).

The alarms of a model are looked for when something was written that they stand on, or when what is known of its
incidents is not what it was; in between those that are open last.
"""

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import chain
from typing import cast

import dagster as dg

from mlops_assets.assets.model_looks import Look, Tick, undecided_model
from mlops_assets.assets.platform.sensors import ON
from mlops_assets.assets.retrain_sensor import MODEL_TAG
from mlops_assets.core.record.incidents import Alert, Incident, State, digested
from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.settings import ModelSettings
from mlops_assets.steps.decide.revisions import Rested, Revisions
from mlops_assets.steps.keep.model_alarms import BROKEN_RECORD, Alarm, model_alarms, model_of, why_over
from mlops_assets.steps.keep.waiting_for_data import by_source
from mlops_assets.steps.land.source_alarms import STATES, lasting
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.alerts.channels import Channels
from mlops_assets.world.declared_files import looked_at_once
from mlops_assets.world.platform import Platform
from mlops_assets.world.record.kept_looks import KeptLooks

DIGEST_HOUR = "MLOPS_ALERT_DIGEST_HOUR"
ALARMS = "alarms"
_AT_LEAST_EVERY = timedelta(days=1)
"""A model is looked at: a file that somebody changed by hand may have kept the time of its folder."""


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=ON,
    description="Tells people: alarms of the models, updates and the all-clear of incidents, the daily digest.",
)
@looked_at_once()
def alert_sensor(
    context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform], alerts: Alerts
) -> dg.SensorResult | dg.SkipReason:
    """Tells people: alarms of the models, updates and the all-clear of incidents, the daily digest."""
    if platform.home.settings.landing:
        return dg.SkipReason("A replay pages nobody: its alerts stand in its own log.")
    kept, watched = KeptLooks(platform.home, ALARMS), _Watched(platform, alerts)
    models = platform.models()
    done = Tick(platform, alerts, watched.look, ALARMS).round(models, kept.read(context.cursor), watched.stamp)
    alarms = by_source(platform, chain.from_iterable(watched.alarms.values()), models)
    alerts.send_all(_with_run(alarm, context.instance) for alarm in alarms)
    states, over = lasting(platform), dict[str, str]()
    for incident in alerts.incidents.state().open:
        if model := model_of(incident.key):
            why = "" if watched.lasts(incident.key, model, models) else _UNSEEN
        elif model := undecided_model(incident.key):
            why = "" if model in models else f"{model} is not declared any more."
        elif incident.key.startswith(STATES):
            why = "" if incident.key in states else _UNSEEN
        else:
            why = _went_through(incident, context.instance)
        if why:
            over[incident.key] = why_over(platform, incident.key) or why
    alerts.end_all(over)
    hour = int(os.environ.get(DIGEST_HOUR) or 7)
    state = alerts.incidents.change(lambda known: digested(known, datetime.now(UTC), hour=hour))
    sent = alerts.incidents.deliver(Channels.from_environment())
    said = f"{counted(len(state.open), 'open incident')}; {sent} of {counted(len(state.outbox), 'message')} sent."
    if done.left:
        said += f" The next tick goes on with {counted(len(done.left), 'model')}."
    return dg.SensorResult(skip_reason=said, cursor=kept.write(watched.seen(done.seen), context.cursor))


_UNSEEN = "it cannot be seen any more."


@dataclass(frozen=True)
class _Watched:
    """The models whose alarms were looked for in this tick.

    Attributes:
        platform: their home.
        alerts: its alerts.
        alarms: what lasts, by model.
    """

    platform: Platform
    alerts: Alerts
    alarms: dict[str, list[Alarm]] = field(default_factory=dict)

    def stamp(self, model: ModelSettings) -> str:
        """Changes with what the alarms of a model stand on, and with what is known of its incidents."""
        return " ".join([self._revisions.of(model), *self._known.get(model.name, ())])

    @cached_property
    def _revisions(self) -> Revisions:
        return Revisions(self.platform)

    @cached_property
    def _known(self) -> dict[str, list[str]]:
        return _known_of(self.alerts.incidents.state())

    def seen(self, rested: Mapping[str, Rested]) -> dict[str, Rested]:
        """What was seen of the models that rest, with their incidents as this tick leaves them."""
        known = _known_of(self.alerts.incidents.state()) if self.alarms else {}
        return {
            name: (" ".join([stamp.split(" ")[0], *known.get(name, ())]), again_at)
            if name in self.alarms
            else (stamp, again_at)
            for name, (stamp, again_at) in rested.items()
        }

    def look(self, model: ModelSettings) -> Look:
        """Look for the alarms of a model."""
        alarms = self.alarms[model.name] = model_alarms(self.platform, model)
        # Rights to read a record come back without a trace in its times.
        rests = all(alarm["runbook"] != BROKEN_RECORD for alarm in alarms)
        return Look(counted(len(alarms), "alarm"), rests=rests, again_at=datetime.now(UTC) + _AT_LEAST_EVERY)

    def lasts(self, key: str, model: str, declared: Mapping[str, ModelSettings]) -> bool:
        """Whether an incident of a model lasts: as at the last look, where there was none in this tick."""
        if model in self.alarms:
            return any(alarm["key"] == key for alarm in self.alarms[model])
        return model in declared


def _known_of(state: State) -> dict[str, list[str]]:
    """The incidents by model: those that last, and those that are over, whose facts are not told again."""
    known = defaultdict[str, list[str]](list)
    for key, incident in sorted(state.incidents.items()):
        known[model_of(key)].append(key if incident.is_open else f"-{key}")
    return known


def _with_run(alarm: Alarm, instance: dg.DagsterInstance) -> Alert:
    """The alert of an alarm, with the run that made its asset last; none where it was made outside of Dagster."""
    fields = {**alarm}
    asset = fields.pop("asset", None)
    event = instance.get_latest_materialization_event(dg.AssetKey(asset)) if asset else None
    return cast(Alert, {**fields, "run": event.run_id if event else None})


def _went_through(incident: Incident, instance: dg.DagsterInstance) -> str:
    """Why the incident of a run is over; empty while it lasts. What nothing shows the end of stays."""
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
