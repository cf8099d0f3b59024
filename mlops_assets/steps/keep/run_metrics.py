"""The values of the metrics about runs: from Dagster's instance.

Here: counts, the queue, the last run of each job, the daemons' signs of life. Not here: the other metrics
(`metric_values`), exposing (`metrics`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import dagster as dg

from mlops_assets.steps.keep.metric_values import Sample
from mlops_assets.world.platform import Platform
from mlops_assets.world.runs.training_runs import TrainingRuns

RETRAIN = "retrain"
"""The job of all trainings (`assets.retrain_sensor`)."""
FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
WAITING = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED]


def jobs_of(platform: Platform) -> list[str]:
    """The jobs that the platform runs by itself."""
    return [*platform.landing_jobs(), *([RETRAIN] if platform.models() else [])]


def runs(platform: Platform) -> Iterator[Sample]:
    """Runs, the queue and the daemons."""
    with dg.DagsterInstance.from_config(str(platform.home.dagster)) as instance:
        yield Sample("run_queue", (), instance.get_runs_count(dg.RunsFilter(statuses=WAITING)))
        for job in jobs_of(platform):
            yield from _job(instance, job, is_failed=partial(_trainings_broke, platform) if job == RETRAIN else None)
        for name, beat in instance.get_daemon_heartbeats().items():
            yield Sample("daemon_heartbeat_timestamp_seconds", (name,), beat.timestamp)


def _trainings_broke(platform: Platform) -> bool:
    """Whether the newest training of a model broke: the last run of the job may be that of another."""
    known = TrainingRuns(platform.home.root)
    newest = (list(known.of(model).values())[-1:] for model in platform.models())
    return any(run.broke for runs in newest for run in runs)


def _job(instance: dg.DagsterInstance, job: str, *, is_failed: Callable[[], bool] | None) -> Iterator[Sample]:
    for status in dg.DagsterRunStatus:
        count = instance.get_runs_count(dg.RunsFilter(job_name=job, statuses=[status]))
        if count:
            yield Sample("runs", (job, status.value.lower()), count)
    last = instance.get_run_records(dg.RunsFilter(job_name=job, statuses=FINISHED), limit=1)
    if not last:
        return
    record = last[0]
    failed = is_failed() if is_failed else record.dagster_run.status == dg.DagsterRunStatus.FAILURE
    yield Sample("run_failed", (job,), failed)
    if record.end_time is not None:
        yield Sample("run_end_timestamp_seconds", (job,), record.end_time)
        if record.start_time is not None:
            yield Sample("run_seconds", (job,), record.end_time - record.start_time)
