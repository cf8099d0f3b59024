"""The sensor that turns evidence into a decision and a decision into a run.

Here: one tick. Not here: gathering evidence (`steps.decide.evidence`), the policy (`core.decide.policy`).
"""

import json
from collections.abc import Sequence

import dagster as dg

from mlops_assets.assets.jobs import AssetJob
from mlops_assets.core.record.entries import Decision, only
from mlops_assets.core.record.wording import reasons_told
from mlops_assets.core.settings import ModelSettings
from mlops_assets.steps.decide.asked_parameters import PARAMETERS_TAG
from mlops_assets.steps.decide.evidence import consider, keep
from mlops_assets.steps.decide.retrain_events import parameters_of
from mlops_assets.world.clock import NoDataYet
from mlops_assets.world.declared_files import BrokenSettings
from mlops_assets.world.platform import Platform
from mlops_assets.world.record.training_runs import TrainingRun, TrainingRuns

DECISION_TAG = "mlops/decision"
MODEL_TAG = "mlops/model"
UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
TRAINING_CHAIN = ("training_set", "challenger", "evaluation", "champion")


def build_retrain_job(model: ModelSettings) -> AssetJob:
    """The chain from training set to champion as one job; one run of it trains one model."""
    return dg.define_asset_job(
        f"{model.name}_retrain",
        selection=dg.AssetSelection.assets(*(dg.AssetKey([model.name, step]) for step in TRAINING_CHAIN)),
        description=f"Train a challenger of {model.name}, judge it, and promote it if it is better.",
        executor_def=dg.in_process_executor,
        tags={MODEL_TAG: model.name},
    )


def build_retrain_sensor(model: ModelSettings) -> dg.SensorDefinition:
    """Evidence, policy, decision: on record once, and a run for each retraining."""

    @dg.sensor(
        name=f"{model.name}_retrain_sensor",
        job_name=f"{model.name}_retrain",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Retrains {model.name} when the evidence says so; keeps every decision with its reason.",
    )
    def retrain_sensor(
        context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]
    ) -> dg.SensorResult | dg.SkipReason:
        from mlops_assets.steps.decide.holds import start_held
        from mlops_assets.steps.promote.conclusion import finish_promotion
        from mlops_assets.steps.rollout.fallback import settle
        from mlops_assets.steps.rollout.reverting import finish_revert, revert

        if running := _in_progress(context.instance, model.name):
            return dg.SkipReason(f"A retraining is under way ({running}); its outcome comes first.")
        if landing := _landing(context.instance, platform.landing_jobs(model)):
            return dg.SkipReason(f"New data is on its way to the features (run {landing}); it is part of the evidence.")
        finish_promotion(platform, model)
        finish_revert(platform, model)
        settle(platform, model)
        unanswered = _without_run(context.instance, platform, model.name)
        if unanswered and not start_held(platform, model, unanswered):
            return dg.SensorResult(run_requests=[_request(platform, unanswered)])
        try:
            decision, _, news = consider(platform, model)
        except (NoDataYet, BrokenSettings) as why:
            return dg.SkipReason(platform.home.said(str(why)))
        if news:
            keep(platform, decision)
        if decision.action == "revert" and news:
            revert(platform, model, decision)
            settle(platform, model)
        if decision.action != "retrain":
            return dg.SkipReason(platform.home.said(_in_words(decision)))
        return dg.SensorResult(run_requests=[_request(platform, decision)])

    return retrain_sensor


def _in_words(decision: Decision) -> str:
    return f"{decision.action} ({decision.rule}): {' '.join(reasons_told(decision.action, decision.reasons))}"


def _request(platform: Platform, decision: Decision) -> dg.RunRequest:
    """The run of a decision; its key makes a second request for the same decision a no-op."""
    tags = {DECISION_TAG: decision.id, "mlops/rule": decision.rule, "mlops/as_of": decision.at.isoformat()}
    if parameters := parameters_of(platform.ledger.entries(decision.model), decision.id):
        tags[PARAMETERS_TAG] = json.dumps(parameters)
    return dg.RunRequest(run_key=decision.id, tags=tags)


def _without_run(instance: dg.DagsterInstance, platform: Platform, model: str) -> Decision | None:
    """The newest decision to retrain, if it never became a run: the process died between the two."""
    retrains = [entry for entry in only(platform.ledger.entries(model), Decision) if entry.action == "retrain"]
    if not retrains:
        return None
    tags = {DECISION_TAG: retrains[-1].id}
    runs = instance.get_runs(filters=dg.RunsFilter(tags=tags), limit=1)
    if not runs:
        return retrains[-1]
    # One that a person has canceled tells no failure sensor, and whoever asked for it waits for its end.
    if runs[0].status in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED):
        known, noted = (
            TrainingRuns(platform.home.root),
            TrainingRun(runs[0].run_id, f"It ended as {runs[0].status.value}."),
        )
        last = known.of(model).get(retrains[-1].id)
        if last is None or not last.broke:
            known.note(model, retrains[-1].id, noted)
    return None


def _in_progress(instance: dg.DagsterInstance, model: str) -> str | None:
    """The run that trains this model right now, if there is one."""
    runs = instance.get_runs(filters=dg.RunsFilter(tags={MODEL_TAG: model}, statuses=UNDER_WAY), limit=1)
    return runs[0].run_id if runs else None


def _landing(instance: dg.DagsterInstance, jobs: Sequence[str]) -> str | None:
    """The run that carries landed files to this model's features right now, if there is one."""
    for job in jobs:
        runs = instance.get_runs(filters=dg.RunsFilter(job_name=job, statuses=UNDER_WAY), limit=1)
        if runs:
            return runs[0].run_id
    return None
