"""The sensor that turns evidence into decisions and decisions into runs, for all models of a location.

Here: one look at one model. Not here: who has news (`model_looks`), gathering evidence (`steps.decide.evidence`), the
policy (`core.decide.policy`).

One sensor and one job, however many models there are: a run's tag says whose it is, its assets are that model's.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import dagster as dg

from mlops_assets.assets.jobs import AssetJob
from mlops_assets.assets.model_looks import DeclaredModels, Look, Tick
from mlops_assets.core.record.entries import Decision, only
from mlops_assets.core.record.wording import reasons_told
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_fleet import MemberSettings
from mlops_assets.steps.decide.asked_parameters import PARAMETERS_TAG
from mlops_assets.steps.decide.evidence import consider, keep
from mlops_assets.steps.decide.retrain_events import parameters_of
from mlops_assets.steps.decide.revisions import changes_at
from mlops_assets.steps.keep.run_metrics import RETRAIN
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.clock import NoDataYet
from mlops_assets.world.declared_files import BrokenSettings
from mlops_assets.world.platform import Platform
from mlops_assets.world.runs.training_runs import TrainingRun, TrainingRuns

JOB, SENSOR = RETRAIN, "retrain_sensor"
DECISION_TAG = "mlops/decision"
MODEL_TAG = "mlops/model"
UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
TRAINING_CHAIN = ("training_set", "challenger", "evaluation", "champion")


def build_retrain_job(models: Iterable[ModelSettings]) -> AssetJob:
    """The chain from training set to champion as one job; a run of it trains the model that its tag names."""
    return dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.assets(*(key for model in models for key in _chain(model.name))),
        description="Train a challenger of the model that the tag mlops/model names, judge it, and promote it if it is "
        "better. Launched without choosing assets, it trains every model.",
        executor_def=dg.in_process_executor,
    )


def _chain(model: str) -> list[dg.AssetKey]:
    return [dg.AssetKey([model, step]) for step in TRAINING_CHAIN]


def build_retrain_sensor(declared: DeclaredModels = Platform.models) -> dg.SensorDefinition:
    """Evidence, policy, decision: on record once, and a run for each retraining."""

    @dg.sensor(
        name=SENSOR,
        job_name=JOB,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Retrains a model when the evidence says so; keeps every decision with its reason.",
    )
    def retrain_sensor(
        context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform], alerts: Alerts
    ) -> dg.SensorResult:
        deciding = Deciding(platform, context.instance)
        return Tick(platform, alerts, deciding.look, TRAINING_CHAIN[0]).over(context, declared)

    return retrain_sensor


@dataclass(frozen=True)
class Deciding:
    """Looks at models at one moment, for what is to be decided.

    Attributes:
        platform: the home.
        instance: Dagster's, whose runs are asked for once.
    """

    platform: Platform
    instance: dg.DagsterInstance

    def look(self, model: ModelSettings) -> Look:
        """Finish what a killed process began, then decide; with what follows from it."""
        from mlops_assets.steps.decide.holds import start_held
        from mlops_assets.steps.promote.conclusion import finish_promotion
        from mlops_assets.steps.promote.pool import follow
        from mlops_assets.steps.rollout.fallback import settle
        from mlops_assets.steps.rollout.reverting import finish_revert, revert

        platform = self.platform
        if running := self._training.get(model.name):
            return Look(f"A retraining is under way ({running}); its outcome comes first.")
        if landing := self._landing(model):
            return Look(f"New data is on its way to the features (run {landing}); it is part of the evidence.")
        finish_promotion(platform, model)
        finish_revert(platform, model)
        settle(platform, model)
        if isinstance(model, MemberSettings) and (why := follow(platform, model)):
            return self._resting(model, why)
        unanswered = _without_run(self.instance, platform, model.name)
        if unanswered and not start_held(platform, model, unanswered):
            return Look(_in_words(unanswered), _request(platform, unanswered))
        try:
            decision, _, news = consider(platform, model)
        except (NoDataYet, BrokenSettings) as why:
            return self._resting(model, str(why))
        if news:
            keep(platform, decision)
        if decision.action == "revert" and news:
            revert(platform, model, decision)
            settle(platform, model)
        if decision.action == "retrain":
            return Look(_in_words(decision), _request(platform, decision))
        return self._resting(model, _in_words(decision))

    def _resting(self, model: ModelSettings, sentence: str) -> Look:
        return Look(sentence, rests=True, again_at=changes_at(self.platform, model, datetime.now(UTC)))

    @cached_property
    def _runs(self) -> Sequence[dg.DagsterRun]:
        """Every run that is under way: one question for all models."""
        return self.instance.get_runs(filters=dg.RunsFilter(statuses=UNDER_WAY))

    @cached_property
    def _training(self) -> dict[str, str]:
        """The run that trains a model right now, by model."""
        return {run.tags[MODEL_TAG]: run.run_id for run in self._runs if MODEL_TAG in run.tags}

    def _landing(self, model: ModelSettings) -> str | None:
        """The run that carries landed files to this model's features right now, if there is one."""
        jobs = {run.job_name: run.run_id for run in self._runs if MODEL_TAG not in run.tags}
        return next((jobs[job] for job in self.platform.landing_jobs(model) if job in jobs), None) if jobs else None


def _in_words(decision: Decision) -> str:
    return f"{decision.action} ({decision.rule}): {' '.join(reasons_told(decision.action, decision.reasons))}"


def _request(platform: Platform, decision: Decision) -> dg.RunRequest:
    """The run of a decision; its key makes a second request for the same decision a no-op."""
    tags = {
        MODEL_TAG: decision.model,
        DECISION_TAG: decision.id,
        "mlops/rule": decision.rule,
        "mlops/as_of": decision.at.isoformat(),
    }
    if parameters := parameters_of(platform.ledger.entries(decision.model), decision.id):
        tags[PARAMETERS_TAG] = json.dumps(parameters)
    return dg.RunRequest(run_key=decision.id, job_name=JOB, asset_selection=_chain(decision.model), tags=tags)


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
