"""Runs whose process ended with the `mlops up` that had started it, as after Ctrl-C, a crash or a power cut.

Here: ending them on record. Not here: what follows: Dagster's daemon runs them again, once (`run_retries`).

Dagster notices a run worker that dies under a living code server. When both end at once, nobody is left to notice: such
a run would be `STARTED` for ever, hold its pool, and its model's sensor would wait for its outcome.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

LAUNCHED = ".dagster/grpc_info"
"""Tag of a run that a code server executes; runs in process (`mlops replay`) have none."""
MESSAGE = "The process of this run ended with the mlops up that had started it."


def bury(instance: dg.DagsterInstance) -> list[str]:
    """Report these runs as failed; their ids. No code server may be at work in the home."""
    import dagster as dg

    under_way = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
    left = [run for run in instance.get_runs(filters=dg.RunsFilter(statuses=list(under_way))) if LAUNCHED in run.tags]
    for run in left:
        instance.report_run_failed(run, message=MESSAGE)
    return [run.run_id for run in left]
