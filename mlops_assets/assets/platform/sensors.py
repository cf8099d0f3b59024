"""The sensors of the platform as a whole: landing and freshness.

Here: what they look at and which runs they ask for. Not here: what is pending (`world.landed.sources`), each
model's own retrain sensor (`assets.retrain_sensor`), runs that failed (`failed_runs`).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.assets.jobs import landing_jobs, landing_keys, watching
from mlops_assets.assets.partitions import span_tags
from mlops_assets.core.source_groups import Group, landing_job, source_groups
from mlops_assets.core.sources.settings import partition_end
from mlops_assets.core.time.spans import Span
from mlops_assets.steps.land.source_alarms import STALE_VIEWS, late_streams, misnamed_files, stale_sources, stale_views
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.landed.outlook import Period
from mlops_assets.world.platform import Platform

if TYPE_CHECKING:
    from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

jobs = landing_jobs()
ON = dg.DefaultSensorStatus.RUNNING
CONTENT_TAG = "mlops/content"
"""Tag of a run: what it carries, the same for each attempt at it."""
RUN_KEY = "dagster/run_key"
WILL_RETRY = "dagster/will_retry"
"""Set by Dagster on a crashed run that it runs again by itself."""
TRIES = 3
"""How often the same content is asked for again."""


@dg.sensor(
    jobs=jobs,
    minimum_interval_seconds=30,
    default_status=ON,
    description="Carries each closed period of new or corrected files from raw to the reports, in one run.",
)
def landing_sensor(
    context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform], alerts: Alerts
) -> dg.SensorResult | dg.SkipReason:
    """Carries each closed period of new or corrected files from raw to the reports, in one run."""
    for alert in misnamed_files(platform):
        alerts.send(**alert)
    groups, unloaded = loaded_groups(context, platform)
    outlook = platform.sources.outlook(groups)
    # A view that is loaded may have been made to read a source that is not: its group waits until that is, too.
    raw = _graph(context).get_all_asset_keys()
    periods = [p for p in outlook.periods if all(dg.AssetKey(["raw", name]) in raw for name in p.sources)]
    if periods:
        if unloaded:
            context.log.info(unloaded)
        return dg.SensorResult(run_requests=[landing_request(context, platform, p) for p in periods])
    quiet = "No new file: all that landed is in the lake and in the features, or in quarantine."
    return dg.SkipReason(platform.home.said(" ".join([*(outlook.waiting or [quiet]), unloaded]).strip()))


def loaded_groups(context: dg.SensorEvaluationContext, platform: Platform) -> tuple[list[Group], str]:
    """The groups of what is declared and loaded, and what is declared alone, in a sentence.

    Files are read at each tick, definitions when Dagster loads them: in between somebody may have written a source or a
    model. It is left alone, and joins nothing that is at work, unless a view that is loaded reads it now.
    """
    keys, sources, models = _graph(context).get_all_asset_keys(), platform.sources.settings(), platform.models()
    names = {name: dg.AssetKey(["raw", name]) for name in sources}
    names |= {name: watching(model)[0] for name, model in models.items()}

    def view_is_known(name: str) -> bool:
        return dg.AssetKey(name) in keys

    new = sorted(name for name, key in names.items() if key not in keys)
    catalogue = platform.catalogue
    of_dbt = [*(view.name for view in catalogue.views), *(label.name for label in catalogue.labels)]
    read = catalogue.sources_of(list(filter(view_is_known, of_dbt)))
    groups = source_groups(
        catalogue,
        {name: source for name, source in sources.items() if name not in new or name in read},
        [model for name, model in models.items() if name not in new],
        known=view_is_known,
        broken=sources.unread,
    )
    note = f"Declared and not loaded yet, so left alone: {', '.join(new)}. Reload the definitions (Deployment, Reload)."
    return groups, note if new else ""


def landing_request(context: dg.SensorEvaluationContext, platform: Platform, period: Period) -> dg.RunRequest:
    """The run that carries one period."""
    tags = {}
    if period.first and period.last:
        tags = span_tags(Span(period.first, partition_end(period.last, period.grain)))
    return dg.RunRequest(
        run_key=run_key(context.instance, period.key),
        job_name=landing_job(platform.sources.settings(), period.sources, period.grain),
        asset_selection=landing_keys(
            _graph(context),
            sources=period.sources,
            take_in=period.take_in,
            watched=[key for m in platform.models().values() if m.grain == period.grain for key in watching(m)],
        ),
        tags={**tags, "mlops/period": f"{period.first}..{period.last}", CONTENT_TAG: period.key},
    )


def _graph(context: dg.SensorEvaluationContext) -> "BaseAssetGraph":
    if context.repository_def is None:
        raise ValueError("the sensor was ticked without its definitions: pass repository_def to the context.")
    return context.repository_def.asset_graph


def run_key(instance: dg.DagsterInstance, content: str) -> str:
    """The key of the run for this content: one key, one run, so a second tick asks for nothing new.

    Another try, `TRIES` times, gets what a run has left undone without saying why: it crashed (its process was
    killed, the machine went down), or it succeeded and what it had built was lost since. A run that failed in a
    step has said why: only a person or a new file goes on.
    """
    runs = instance.get_runs(filters=dg.RunsFilter(tags={CONTENT_TAG: content}), limit=TRIES + 1)
    if not runs:
        return content
    if len(runs) <= TRIES and (runs[0].status == dg.DagsterRunStatus.SUCCESS or has_crashed(instance, runs[0])):
        return f"{content}-{len(runs)}"
    return runs[0].tags.get(RUN_KEY, content)


def has_crashed(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run ended without a failed step, and Dagster itself does not run it again."""
    if run.status != dg.DagsterRunStatus.FAILURE or run.tags.get(WILL_RETRY) == "true":
        return False
    return not instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)


@dg.sensor(
    jobs=jobs,
    minimum_interval_seconds=300,
    default_status=ON,
    description="Builds stale feature views again, and says so when that cannot help or a source is stale.",
)
def freshness_sensor(
    context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform], alerts: Alerts
) -> dg.SensorResult | dg.SkipReason:
    """Builds stale feature views again, and says so when that cannot help or a source is stale."""
    groups, unloaded = loaded_groups(context, platform)
    if platform.sources.pending(groups):
        return dg.SkipReason("Files are pending: the landing sensor carries them first.")
    stale = stale_sources(platform)
    for name, (newest, sentence) in stale.items():
        alerts.send(
            incident=f"stale-{name}-{newest}",
            happened=sentence,
            did="It goes on with the data it has; models that need this source wait.",
            do=f"Find out why no file of {name} arrives, or land it: {platform.home.landing / name}.",
            runbook="stale-source",
            key=f"stale-source/{name}",
        )
    reasons = [sentence for _, sentence in stale.values()] + ([unloaded] if unloaded else [])
    for alert in late_streams(platform):
        alerts.send(**alert)
        reasons.append(alert["happened"])
    requests = []
    for group, views in _by_group(platform, groups, _loaded(context, stale_views(platform))):
        request = freshness_request(context, platform, group, views)
        if not context.instance.get_runs(filters=dg.RunsFilter(tags={CONTENT_TAG: str(request.run_key)}), limit=1):
            requests.append(request)
        else:
            reasons.append(tell_stale_views(context.instance, alerts, views, key=str(request.run_key)))
    if requests:
        return dg.SensorResult(run_requests=requests)
    return dg.SkipReason(platform.home.said(" ".join(reasons)) or "Every source and feature view is fresh.")


def _loaded(context: dg.SensorEvaluationContext, views: Mapping[str, Span]) -> dict[str, Span]:
    """The views that the loaded definitions know."""
    keys = _graph(context).get_all_asset_keys()
    return {view: span for view, span in views.items() if dg.AssetKey(view) in keys}


def _by_group(
    platform: Platform, groups: Sequence[Group], views: Mapping[str, Span]
) -> list[tuple[Group, dict[str, Span]]]:
    """The views of each group of sources that has any."""
    read = platform.catalogue.sources_of
    parts = [(group, {view: span for view, span in views.items() if group & read([view])}) for group in groups]
    return [(group, mine) for group, mine in parts if mine]


def freshness_request(
    context: dg.SensorEvaluationContext, platform: Platform, group: Group, views: Mapping[str, Span]
) -> dg.RunRequest:
    """One run over the days that any view of a group lacks; its key is the state that it is to end."""
    state = json.dumps({view: [str(day) for day in span] for view, span in sorted(views.items())})
    key = f"freshness-{hashlib.sha256(state.encode()).hexdigest()[:16]}"
    behind = Span(min(span.start for span in views.values()), max(span.end for span in views.values()))
    return dg.RunRequest(
        run_key=key,
        job_name=landing_job(platform.sources.settings(), group, "day"),
        asset_selection=landing_keys(
            _graph(context),
            sources=group,
            take_in=(),
            watched=[key for m in platform.models().values() if m.grain == "day" for key in watching(m)],
        ),
        tags={**span_tags(behind), CONTENT_TAG: key},
    )


def tell_stale_views(instance: dg.DagsterInstance, alerts: Alerts, views: Mapping[str, Span], *, key: str) -> str:
    """One alert once the run that was to help has ended and has not."""
    names = ", ".join(sorted(views))
    run = instance.get_runs(filters=dg.RunsFilter(tags={CONTENT_TAG: key}), limit=1)[0]
    if not run.is_finished:
        return f"A run builds {names} again."
    first = min(span.start for span in views.values())
    sentence = f"Still behind their sources, from {first} on, after run {run.run_id[:8]} built them again: {names}."
    alerts.send(
        incident=f"stale-views-{key}",
        happened=sentence,
        did="It built them again once; predictions use the features that there are.",
        do=f"Look at run {run.run_id[:8]} and at what these dbt models select for {first}; an upstream model "
        "that drops the day's rows is the usual cause. After the correction materialize them.",
        runbook="stale-feature-view",
        key=STALE_VIEWS,
        run=run.run_id,
    )
    return sentence
