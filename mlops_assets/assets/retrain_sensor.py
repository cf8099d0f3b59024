"""The sensor that turns evidence into decisions and decisions into runs, for all models of a location.

Here: one look at one model. Not here: who has news (`model_looks`), gathering evidence (`steps.decide.evidence`), the
policy (`core.decide.policy`).

One sensor and one job, however many models there are: a run's tag says whose it is, its assets are that model's.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial

import dagster as dg

from mlops_assets.assets.jobs import AssetJob
from mlops_assets.assets.model_looks import DeclaredModels, Look, Safely, Tick
from mlops_assets.core.decide.fleet.training_queue import Waiting
from mlops_assets.core.decide.fleet.trainings_policy import TrainingsPolicy
from mlops_assets.core.record.entries import PROPOSALS, Decision, only
from mlops_assets.core.record.wording import reasons_told
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_fleet import MemberSettings
from mlops_assets.steps.decide.asked_parameters import PARAMETERS_TAG
from mlops_assets.steps.decide.evidence import consider, keep
from mlops_assets.steps.decide.fleet.discoveries import GainsOfTheDay, now_found
from mlops_assets.steps.decide.fleet.on_record import HELD, is_asked, on_file
from mlops_assets.steps.decide.fleet.turns import leave_queue, next_to_start, return_to_queue
from mlops_assets.steps.decide.fleet.waiting import TrainingQueue
from mlops_assets.steps.decide.retrain_events import parameters_of
from mlops_assets.steps.decide.revisions import changes_at
from mlops_assets.steps.keep.run_metrics import RETRAIN
from mlops_assets.steps.land.source_alarms import newest_bad
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
_AGREED = "undecided/trainings"
"""The incident of what all models have agreed on, and nobody can read."""
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
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            policy = platform.trainings_policy()
        except ValueError as error:
            alerts.send(
                incident=f"{_AGREED}/{error}"[:200],
                happened=f"What is agreed on for all trainings cannot be read. {error}",
                did="It decides on no training until then; all champions stay and predict.",
                do="Correct what is named; the next tick goes on.",
                runbook="nothing-decided",
                key=_AGREED,
            )
            return dg.SkipReason(str(error))
        if policy is not None and any(incident.key == _AGREED for incident in alerts.incidents.state().open):
            alerts.end(_AGREED, "it can be read again.")
        deciding = Deciding(platform, context.instance, policy)
        return Tick(platform, alerts, deciding.look, TRAINING_CHAIN[0], deciding.together).over(context, declared)

    return retrain_sensor


@dataclass(frozen=True)
class Deciding:
    """Looks at models at one moment, for what is to be decided.

    Attributes:
        platform: the home.
        instance: Dagster's, whose runs are asked for once.
        policy: what is agreed on for the trainings of all models; None: what is decided starts at once.
        gains: that ask for a training and are not on record yet, since others of the same tick may speak for them.
    """

    platform: Platform
    instance: dg.DagsterInstance
    policy: TrainingsPolicy | None = None
    gains: GainsOfTheDay = field(default_factory=GainsOfTheDay)

    def look(self, model: ModelSettings, *, is_last: bool = False) -> Look:
        """Finish what a killed process began, then decide; with what follows from it.

        Args:
            model: which.
            is_last: whether all others have been looked at, so that their gains are known.
        """
        from mlops_assets.steps.decide.holds import start_held
        from mlops_assets.steps.promote.conclusion import finish_promotion
        from mlops_assets.steps.promote.pool import begin, follow, is_pooled
        from mlops_assets.steps.rollout.fallback import settle
        from mlops_assets.steps.rollout.reverting import finish_revert, revert

        platform = self.platform
        if under_way := self._under_way(model):
            return Look(under_way)
        finish_promotion(platform, model)
        finish_revert(platform, model)
        settle(platform, model)
        if isinstance(model, MemberSettings) and (why := begin(platform, model)):
            return self._resting(model, why)
        unanswered = _without_run(self.instance, platform, model.name)
        if self.policy is None and unanswered and not start_held(platform, model, unanswered):
            return Look(_in_words(unanswered), _request(platform, unanswered))
        if self.policy is not None and unanswered and isinstance(model, MemberSettings) and is_pooled(platform, model):
            # Waiting for its turn is no reason to answer by an old version; the gate asks anew what it would gain.
            follow(platform, model)
            return self._in_queue(model, unanswered)
        try:
            decision, evidence, news = consider(platform, model, gains=self.gains)
        except (NoDataYet, BrokenSettings) as why:
            return self._resting(model, str(why))
        if self.policy is not None and news and decision.rule == HELD and not is_last:
            self.gains.add(evidence)
            return Look(_in_words(decision))
        if self.policy is not None and unanswered and _stands(unanswered, decision):
            return self._in_queue(model, unanswered)
        if news:
            keep(platform, decision)
        if decision.action == "revert" and news:
            revert(platform, model, decision)
            settle(platform, model)
        return self._follow(model, decision, unanswered, news=news)

    def _follow(self, model: ModelSettings, decision: Decision, unanswered: Decision | None, *, news: bool) -> Look:
        """The run that a decision asks for, or its place in the queue of all."""
        if decision.action == "retrain":
            has_no_run = news or (unanswered is not None and unanswered.id == decision.id)
            if self.policy is not None and has_no_run:
                return self._in_queue(model, decision)
            return Look(_in_words(decision), _request(self.platform, decision))
        if self.policy is not None and unanswered:
            leave_queue(self.platform, model.name, _in_words(decision))
        if isinstance(model, MemberSettings) and decision.action == "wait":
            from mlops_assets.steps.promote.pool import follow

            # Last: what its windows said of the pool's champion of before is answered.
            follow(self.platform, model)
        return self._resting(model, _in_words(decision))

    def together(self, models: Mapping[str, ModelSettings], safely: Safely) -> Mapping[str, Look]:
        """What follows from all looks together: whose gain is sure enough among others, and whose turn has come."""
        if self.policy is None:
            return {}
        looks = {}
        for name in [*self.gains.known, *now_found(self.platform)]:
            if model := models.get(name):
                looks[name] = safely(model, partial(self.look, model, is_last=True))
        queue = TrainingQueue(self.platform, models, self.policy, self._training)
        for waiting in next_to_start(queue, lambda each: self._kept_from(models[each.model])):
            looks[waiting.model] = safely(models[waiting.model], partial(self._start, waiting))
        return looks

    def _start(self, waiting: Waiting) -> Look:
        decision = on_file(self.platform.ledger.record, waiting.model).waiting
        if decision is None or decision.id != waiting.decision:
            return Look("Another decision was made since.")
        return Look(_in_words(decision), _request(self.platform, decision))

    def _kept_from(self, model: ModelSettings) -> str:
        """Why a training whose turn has come cannot start now; empty where it can."""
        from mlops_assets.steps.decide.holds import start_held

        decision = on_file(self.platform.ledger.record, model.name).waiting
        if decision is None:
            return "Another decision was made since."
        if under_way := self._under_way(model):
            return under_way
        try:
            if newest_bad(self.platform, model):
                return "The newest data is in quarantine."
            if not is_asked(decision) and self.platform.ledger.record.paused(model.name):
                return "The model is paused."
            return "It is held back." if start_held(self.platform, model, decision) else ""
        except (NoDataYet, BrokenSettings) as why:
            return str(why)

    def _in_queue(self, model: ModelSettings, decision: Decision) -> Look:
        return_to_queue(self.platform, decision)
        return self._resting(model, f"{_in_words(decision)} It starts in its turn: mlops queue.")

    def _under_way(self, model: ModelSettings) -> str:
        """What runs for a model right now, and comes first; empty where nothing does."""
        if running := self._training.get(model.name):
            return f"A retraining is under way ({running}); its outcome comes first."
        if landing := self._landing(model):
            return f"New data is on its way to the features (run {landing}); it is part of the evidence."
        return ""

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


def _stands(unanswered: Decision, decision: Decision) -> bool:
    """Whether a person's word that waits for its run needs no other decision: to train again, or to be asked again."""
    return is_asked(unanswered) and decision.action in (*PROPOSALS, "retrain")


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
