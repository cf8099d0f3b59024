"""The sensors of the platform as a whole: landing, freshness, and failed runs.

Here: what they look at and which runs they ask for. Not here: what is pending (`resources.sources`), each model's
own retrain sensor (`components.retrain_sensor`).
"""

from datetime import UTC, date, datetime, timedelta

import dagster as dg

from mlops_assets.components.jobs import LANDING_JOB, landing_jobs, landing_keys
from mlops_assets.components.partitions import span_tags
from mlops_assets.core.spans import Span
from mlops_assets.core.windows import parse_duration
from mlops_assets.resources.alerts import Alerts
from mlops_assets.resources.platform import Platform
from mlops_assets.resources.sources import Period

jobs = landing_jobs()
ON = dg.DefaultSensorStatus.RUNNING


@dg.sensor(jobs=jobs, minimum_interval_seconds=30, default_status=ON)
def landing_sensor(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult | dg.SkipReason:
    """Carries each closed period of new or corrected files from raw to the reports, in one run."""
    periods = platform.sources.pending()
    if not periods:
        return dg.SkipReason("No new file: all that landed is in the lake and in the features, or in quarantine.")
    return dg.SensorResult(run_requests=[landing_request(context, platform, period) for period in periods])


def landing_request(context: dg.SensorEvaluationContext, platform: Platform, period: Period) -> dg.RunRequest:
    """The run that carries one period."""
    tags = {}
    if period.first and period.last:
        source = next(s for s in platform.sources.settings().values() if s.grain == period.grain)
        tags = span_tags(Span(period.first, source.end_of(period.last)))
    return dg.RunRequest(
        run_key=period.key,
        job_name=LANDING_JOB.format(grain=period.grain),
        asset_selection=landing_keys(context.repository_def.asset_graph, period.grain, take_in=period.take_in),
        tags={**tags, "mlops/period": f"{period.first}..{period.last}"},
    )


@dg.sensor(jobs=jobs, minimum_interval_seconds=300, default_status=ON)
def freshness_sensor(
    context: dg.SensorEvaluationContext, platform: Platform, alerts: Alerts
) -> dg.SensorResult | dg.SkipReason:
    """Builds stale feature views again, and says so when a source is stale and nothing can be built."""
    if platform.sources.pending():
        return dg.SkipReason("Files are pending: the landing sensor carries them first.")
    requests = [
        dg.RunRequest(
            run_key=f"freshness-{view}-{behind.start}-{behind.end}",
            job_name=LANDING_JOB.format(grain="day"),
            asset_selection=landing_keys(context.repository_def.asset_graph, "day", take_in=()),
            tags=span_tags(behind),
        )
        for view, behind in stale_views(platform).items()
    ]
    stale = stale_sources(platform)
    for name, (newest, sentence) in stale.items():
        alerts.send(
            incident=f"stale-{name}-{newest}",
            happened=sentence,
            did="It goes on with the data it has; models that need this source wait.",
            do=f"Find out why no file of {name} arrives, or land it: {platform.home.landing / name}.",
            runbook="stale-source",
        )
    if requests:
        return dg.SensorResult(run_requests=requests)
    return dg.SkipReason(" ".join(sentence for _, sentence in stale.values()) or "Every source and feature view is fresh.")


def stale_sources(platform: Platform) -> dict[str, tuple[date | None, str]]:
    """Sources whose newest good partition ended too long ago, by this home's clock.

    With the data clock a source is stale against the others: a year that is over is not stale.
    """
    intakes = {n: i for n, i in platform.sources.intakes().items() if i.source.grain != "none"}
    ends = {name: intake.newest_end() for name, intake in intakes.items()}
    known = [end for end in ends.values() if end]
    if not known:
        return {}
    now = datetime.now(UTC) if platform.home.settings.clock == "wall" else max(known)
    found: dict[str, tuple[date | None, str]] = {}
    for name, end in ends.items():
        allowed = parse_duration(intakes[name].source.freshness)
        if end is None or now - end > allowed:
            since = f"ended {end:%Y-%m-%d %H:%M} UTC" if end else "has never come"
            newest = end.date() if end else None
            found[name] = (newest, f"Source {name} is stale: its newest good partition {since}, allowed are {intakes[name].source.freshness}.")
    return found


def stale_views(platform: Platform) -> dict[str, Span]:
    """Feature views that lack days which their required sources have."""
    settings = platform.sources.settings()
    good = platform.sources.good()
    found = {}
    for view in platform.catalogue.views:
        sources = [settings[s] for s in platform.catalogue.sources_of([view.name]) if s in settings]
        required = [s for s in sources if s.grain == "day" and s.required and good.get(s.name)]
        if not required:
            continue
        newest = min(date.fromisoformat(max(good[source.name])) for source in required)
        built = max(platform.lake.partitions("features", view.name), default=None)
        if built is None or built < newest:
            found[view.name] = Span(built + timedelta(days=1) if built else required[0].start_date, newest + timedelta(days=1))
    return found


@dg.run_failure_sensor(default_status=ON)
def failed_run_sensor(context: dg.RunFailureSensorContext, alerts: Alerts) -> None:
    """One alert a failed run, with the step, the error and what to do."""
    run = context.dagster_run
    steps = [event for event in context.get_step_failure_events() if event.step_key]
    where = ", ".join(sorted({str(event.step_key) for event in steps})) or "the run itself"
    error = steps[0].event_specific_data.error if steps else None  # type: ignore[union-attr]
    message = (error.cause.message if error and error.cause else error.message if error else context.failure_event.message) or ""
    alerts.send(
        incident=f"run-{run.run_id}",
        happened=f"Run {run.run_id[:8]} of {run.job_name} failed in {where}: {message.strip()[:1500]}",
        did="It stopped there; champion and data are as they were.",
        do="Read the step's error in the Dagster UI, mend what it names, and re-execute the run from failure.",
        runbook="failed-run",
    )
