"""The sensor of failed runs: one alert each, with the step, the error and what to do.

Here: what is told of a run. Not here: sending it (`world.alerts.alerts`), runs that crashed with the machine, which are
run again (`steps.keep.left_over_runs`).
"""

import dagster as dg

from mlops_assets.assets.landing_source import CONTRACT_CHECK
from mlops_assets.assets.platform.sensors import ON, WILL_RETRY
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.landed.partitions import TakenRecord
from mlops_assets.world.mlflow.run_status import settle
from mlops_assets.world.runs.training_runs import TrainingRun, TrainingRuns

WRAPPINGS = ("Dagster", "RetryRequested")
"""Errors of Dagster's own around the one that a step raised: that it failed, or that its tries are used up."""


@dg.run_failure_sensor(default_status=ON, description="One alert a failed run: the step, the error, what to do.")
def failed_run_sensor(context: dg.RunFailureSensorContext, alerts: Alerts) -> dg.SkipReason | None:
    """One alert a failed run, with the step, the error and what to do."""
    run = context.dagster_run
    if run.tags.get(WILL_RETRY) == "true":
        return dg.SkipReason(f"Run {run.run_id[:8]} crashed and is run again by itself; that run tells.")
    where, message = _failure(context)
    failed = _failed_checks(context)
    is_contract = any(evaluation.check_name == CONTRACT_CHECK for evaluation in failed)
    alerts.send(
        incident=f"run-{run.run_id}",
        happened=f"Run {run.run_id[:8]} of {_named(run)} failed in {where}: {_words(failed, message)}"[:2000],
        did="It stopped there; champion and data are as they were.",
        do=_remedy(bool(failed), is_contract=is_contract),
        runbook="quarantine" if is_contract else "failed-run",
        key=_key(alerts, run, failed),
        run=run.run_id,
    )
    model, decision = run.tags.get("mlops/model", ""), run.tags.get("mlops/decision", "")
    if model and decision:
        TrainingRuns(alerts.home.root).note(
            model, decision, TrainingRun(run.run_id, f"It failed in {where}: {message}")
        )
    # A run that was killed could not end its MLflow run itself.
    settle(context.instance, run)
    return None


def _named(run: dg.DagsterRun) -> str:
    """The job of a run, with the model that it is about."""
    model = run.tags.get("mlops/model")
    return f"{run.job_name} ({model})" if model else run.job_name


def _failure(context: dg.RunFailureSensorContext) -> tuple[str, str]:
    """Where a run failed, and the error that began it."""
    steps = [event for event in context.get_step_failure_events() if event.step_key]
    where = ", ".join(sorted({str(event.step_key) for event in steps})) or "the run itself"
    # Without a failed step (a resource could not be opened) the run's own event has the error.
    data = (steps[0] if steps else context.failure_event).event_specific_data
    error = getattr(data, "error", None)
    while error is not None and error.cause is not None and str(error.cls_name).startswith(WRAPPINGS):
        error = error.cause
    message = (error.message if error is not None else context.failure_event.message) or "no message"
    return where, message.strip()


def _failed_checks(context: dg.RunFailureSensorContext) -> list[dg.AssetCheckEvaluation]:
    """The checks that stopped a run: the step's own error says only that one failed."""
    logs = context.instance.all_logs(context.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    evaluations = [entry.dagster_event.asset_check_evaluation_data for entry in logs if entry.dagster_event]
    return [e for e in evaluations if not e.passed and e.severity == dg.AssetCheckSeverity.ERROR]


def _key(alerts: Alerts, run: dg.DagsterRun, failed: list[dg.AssetCheckEvaluation]) -> str:
    """What the alert is about: a source with partitions in quarantine as long as there are any, else job and model."""
    for evaluation in failed:
        source = evaluation.asset_key.path[-1]
        if evaluation.check_name == CONTRACT_CHECK and TakenRecord(alerts.home, source).quarantined():
            return f"quarantine/{source}"
    return "/".join(["failed-run", run.job_name, *filter(None, [run.tags.get("mlops/model")])])


def _words(failed: list[dg.AssetCheckEvaluation], message: str) -> str:
    """What the checks found, and the step's error where it says more than that a check failed."""
    findings = [_what_check_found(evaluation) for evaluation in failed]
    return " ".join(findings if findings and "AssetCheckFailedError" in message else [*findings, message])


def _what_check_found(evaluation: dg.AssetCheckEvaluation) -> str:
    """What a check found: a contract's own words, else the check's name with its description."""
    asset = evaluation.asset_key.to_user_string()
    if evaluation.check_name == CONTRACT_CHECK:
        return f"{asset}: {evaluation.description}"
    return f"{asset}.{evaluation.check_name} failed. {evaluation.description or ''}".strip()


def _remedy(by_check: bool, *, is_contract: bool) -> str:
    if is_contract:
        return "Do what the check says; the next run starts by itself."
    if by_check:
        return "Fix the model or the data that the check names, then re-execute the run from failure in the Dagster UI."
    return "Read the step's error in the Dagster UI, fix what it names, and re-execute it from failure."
