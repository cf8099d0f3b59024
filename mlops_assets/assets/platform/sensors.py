"""The landing sensor, and what it shares with the other sensors of the platform as a whole.

Here: what it looks at and which runs it asks for; which groups are loaded, and the key of a run. Not here: what is
pending (`world.landed.sources`), what is behind (`freshness`), each model's own retrain sensor
(`assets.retrain_sensor`), runs that failed (`failed_runs`).
"""

from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.assets.jobs import landing_checks, landing_jobs, landing_keys, watching
from mlops_assets.assets.partitions import span_tags
from mlops_assets.core.source_groups import Group, landing_job, source_groups
from mlops_assets.core.sources.settings import partition_end
from mlops_assets.core.time.spans import Span
from mlops_assets.steps.land.source_alarms import misnamed_files
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.declared_files import looked_at_once
from mlops_assets.world.landed.loaded_definitions import note_loaded
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
@looked_at_once()
def landing_sensor(
    context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform], alerts: Alerts
) -> dg.SensorResult | dg.SkipReason:
    """Carries each closed period of new or corrected files from raw to the reports, in one run."""
    alerts.send_all(misnamed_files(platform))
    groups, unloaded = loaded_groups(context, platform)
    sources, models = _loaded_names(context, platform)
    note_loaded(platform.home, sources=sources, models=models)
    outlook = platform.sources.outlook(groups)
    # A view that is loaded may have been made to read a source that is not: its group waits until that is, too.
    raw = graph_of(context).get_all_asset_keys()
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
    keys, sources, models = graph_of(context).get_all_asset_keys(), platform.sources.settings(), platform.models()
    known_sources, known_models = _loaded_names(context, platform)

    def view_is_known(name: str) -> bool:
        return dg.AssetKey(name) in keys

    new = sorted({*sources} - known_sources | {*models} - known_models)
    catalogue = platform.catalogue
    of_dbt = [*(view.name for view in catalogue.views), *(label.name for label in catalogue.labels)]
    read = catalogue.sources_of(list(filter(view_is_known, of_dbt)))
    groups = source_groups(
        catalogue,
        {name: source for name, source in sources.items() if name in known_sources or name in read},
        [model for name, model in models.items() if name in known_models],
        known=view_is_known,
        broken=sources.unread,
    )
    note = f"Declared and not loaded yet, so left alone: {', '.join(new)}. Reload the definitions (Deployment, Reload)."
    return groups, note if new else ""


def _loaded_names(context: dg.SensorEvaluationContext, platform: Platform) -> tuple[set[str], set[str]]:
    """The declared sources and models that are loaded."""
    keys = graph_of(context).get_all_asset_keys()
    return (
        {name for name in platform.sources.settings() if dg.AssetKey(["raw", name]) in keys},
        {name for name, model in platform.models().items() if watching(model)[0] in keys},
    )


def landing_request(context: dg.SensorEvaluationContext, platform: Platform, period: Period) -> dg.RunRequest:
    """The run that carries one period."""
    tags = {}
    if period.first and period.last:
        tags = span_tags(Span(period.first, partition_end(period.last, period.grain)))
    graph = graph_of(context)
    keys = landing_keys(
        graph,
        sources=period.sources,
        take_in=period.take_in,
        watched=[key for m in platform.models().values() if m.grain == period.grain for key in watching(m)],
    )
    return dg.RunRequest(
        run_key=run_key(context.instance, period.key),
        job_name=landing_job(platform.sources.settings(), period.sources, period.grain),
        asset_selection=keys,
        asset_check_keys=landing_checks(graph, keys),
        tags={**tags, "mlops/period": f"{period.first}..{period.last}", CONTENT_TAG: period.key},
    )


def graph_of(context: dg.SensorEvaluationContext) -> "BaseAssetGraph":
    """The assets that are loaded.

    Raises:
        ValueError: there are none.
    """
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
