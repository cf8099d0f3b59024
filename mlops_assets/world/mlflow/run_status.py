"""The status that the MLflow run of a Dagster run has earned.

Here: what its events say, and ending a run that could not do so itself. Not here: opening and resuming (`tracking`).
"""

from __future__ import annotations

import dagster as dg

from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.logged_models import discard_unregistered
from mlops_assets.world.mlflow.store import locked, open_client

RUN_TAG = "mlops/mlflow_run_id"
"""Tag on the Dagster run: the id of its MLflow run."""

_INTERRUPTED = {"DagsterExecutionInterruptedError", "KeyboardInterrupt"}


def settle(
    instance: dg.DagsterInstance, run: dg.DagsterRun, *, home: Home | None = None, uri: str | None = None
) -> str | None:
    """End the MLflow run of a Dagster run that could not do so itself (kill -9, failure of a later step).

    What a failed run logged as a model and did not register is removed: nothing refers to it. For run-status sensors;
    a second call changes nothing.

    Returns:
        The status it was given, or None when there was nothing to do.
    """
    record = instance.get_run_by_id(run.run_id) or run
    wanted = {
        dg.DagsterRunStatus.SUCCESS: "FINISHED",
        dg.DagsterRunStatus.FAILURE: "FAILED",
        dg.DagsterRunStatus.CANCELED: "KILLED",
    }.get(record.status)
    run_id = record.tags.get(RUN_TAG)
    if run_id is None or wanted is None:
        return None
    home = home or Home.from_environment()
    client = open_client(home, uri)
    if wanted != "FINISHED":
        with locked(home, "registry"):
            discard_unregistered(client, run_id)
    if client.get_run(run_id).info.status == wanted:
        return None
    client.set_terminated(run_id, wanted)
    return wanted


def earned_status(context: dg.InitResourceContext, raised: BaseException | None) -> str:
    """The status that the Dagster run has earned so far, from its events."""
    if isinstance(raised, KeyboardInterrupt | dg.DagsterExecutionInterruptedError):
        return "KILLED"
    run, instance = context.run, context.instance
    if run and instance:
        record = instance.get_run_by_id(run.run_id)
        if record and record.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED):
            return "KILLED"
        failures = [
            entry.get_dagster_event().step_failure_data.error
            for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        ]
        if any(error is not None and error.cls_name in _INTERRUPTED for error in failures):
            return "KILLED"
        if failures:
            return "FAILED"
    return "FAILED" if raised is not None and not isinstance(raised, GeneratorExit) else "FINISHED"
