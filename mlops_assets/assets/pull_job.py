"""The job and the schedule of a source that is fetched (`pull` in its YAML).

Here: when it is fetched, in a run of its own, so that a failure is told like any other. Not here: fetching
(`steps.land.pull`), taking in what was fetched (`landing_source`, by the landing sensor).
"""

import dagster as dg

from mlops_assets.assets.retries import OUTSIDE_RETRY
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.world.lake import Lake


def build_pull(source: SourceSettings) -> dg.Definitions:
    """Job and schedule; nothing for a source whose files are sent.

    The schedule skips while the environment does not say where the source is, so a declared one is quiet until then.
    """
    if source.pull is None:
        return dg.Definitions()
    name = f"pull_{source.name}"

    @dg.op(name=f"{name}_files", retry_policy=OUTSIDE_RETRY, out=dg.Out(dg.Nothing))
    def fetch(context: dg.OpExecutionContext, lake: dg.ResourceParam[Lake]) -> None:
        from mlops_assets.steps.land.pull import pull

        pulled = pull(lake.home, source)
        context.log.info(pulled.sentence)

    @dg.job(
        name=name,
        description=f"Fetches what is new of {source.name} into the landing folder, where the landing sensor finds it.",
        executor_def=dg.in_process_executor,
    )
    def job() -> None:
        fetch()

    @dg.schedule(
        name=f"{name}_schedule",
        job=job,
        cron_schedule=source.pull.schedule,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Fetches {source.name} at {source.pull.schedule} (UTC).",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        from mlops_assets.steps.land.pull import is_configured

        if not is_configured(source):
            return dg.SkipReason(f"{source.pull.url_env if source.pull else 'pull'} is not set.")
        return dg.RunRequest()

    return dg.Definitions(jobs=[job], schedules=[schedule])
