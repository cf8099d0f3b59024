"""The daemon's work done in this process: sensors are evaluated and the runs they ask for executed, in order.

Here: one tick of a sensor on a real instance, so that the UI shows everything afterwards. Not here: what is ticked
when (`replay`), what the sensors decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import dagster as dg

from mlops_assets.assets.model_looks import Tick as Looks
from mlops_assets.assets.retrain_sensor import SENSOR as RETRAIN_SENSOR
from mlops_assets.assets.retrain_sensor import TRAINING_CHAIN, Deciding
from mlops_assets.core.settings import ModelSettings
from mlops_assets.steps.decide.fleet.turns import count_start
from mlops_assets.world.mlflow.run_status import settle

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Run configuration: events go to the instance, not to the terminal, where a progress bar stands."""

SENSOR_NAME, USER = "dagster/sensor_name", "user"
"""Tags by which Dagster's pages say who launched a run."""
BY = "mlops replay"

UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
FAILED = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


class RunFailed(RuntimeError):
    """A run of the replay failed; everything before it is kept, and the replay can be resumed."""


@dataclass(frozen=True)
class Tick:
    """What a sensor said, and the runs it led to."""

    sensor: str
    runs: tuple[dg.ExecuteInProcessResult, ...]
    skipped: str


@dataclass(frozen=True)
class Engine:
    """Sensors and jobs of some definitions on one instance."""

    definitions: dg.Definitions
    instance: dg.DagsterInstance

    def bury(self) -> list[str]:
        """Report runs that a killed process left unfinished as failed; their ids. Nothing else may run here."""
        left = self.instance.get_runs(filters=dg.RunsFilter(statuses=list(UNFINISHED)))
        for run in left:
            self.instance.report_run_failed(run, message="The process of this run was stopped.")
            settle(self.instance, run)
        return [run.run_id for run in left]

    @property
    def _resources(self) -> Mapping[str, Any]:
        return self.definitions.resources or {}

    def requests(self, sensor: str) -> tuple[list[dg.RunRequest], str]:
        """Evaluate a sensor once: the runs it asks for that no run answers yet, and why it asks for none."""
        definition = self.definitions.get_sensor_def(sensor)
        resources = {key: self._resources[key] for key in definition.required_resource_keys}
        repository = self.definitions.get_repository_def()
        with dg.build_sensor_context(
            instance=self.instance, repository_def=repository, sensor_name=sensor, resources=resources
        ) as context:
            data = definition.evaluate_tick(context)
        only_job = definition.targets[0].job_name if len(definition.targets) == 1 else None
        asked = [
            request.with_replaced_attrs(job_name=request.job_name or only_job) for request in data.run_requests or ()
        ]
        return self._unanswered(sensor, asked), data.skip_message or ""

    def _unanswered(self, sensor: str, asked: Sequence[dg.RunRequest]) -> list[dg.RunRequest]:
        """The requests of a sensor that no run answers yet."""
        return [
            request.with_replaced_attrs(tags={**request.tags, SENSOR_NAME: sensor})
            for request in asked
            if not self._has_run(request.run_key)
        ]

    def tick(self, sensor: str) -> Tick:
        """Evaluate a sensor once and execute what it asks for.

        Raises:
            RunFailed: a run failed; the message has the step and its error.
        """
        asked, skipped = self.requests(sensor)
        return Tick(sensor, tuple(self.execute(request) for request in asked), skipped)

    def decide(self, model: ModelSettings) -> Tick:
        """One look of the retrain sensor at one model, whoever else is declared, and the run that it asks for.

        Raises:
            RunFailed: the run failed.
        """
        look = Deciding(self._resources["platform"], self.instance).look(model)
        asked = self._unanswered(RETRAIN_SENSOR, [look.request] if look.request else [])
        for request in asked:
            count_start(self._resources["platform"], model.name, str(request.run_key))
        return Tick(RETRAIN_SENSOR, tuple(self.execute(request) for request in asked), look.sentence)

    def decide_all(self, models: Sequence[ModelSettings]) -> Tick:
        """One tick of the retrain sensor over these models, whoever else is declared, and the runs that it asks for.

        Raises:
            RunFailed: a run failed.
        """
        platform = self._resources["platform"]
        deciding = Deciding(platform, self.instance, platform.trainings_policy())
        looks = Looks(
            platform, self._resources["alerts"], deciding.look, TRAINING_CHAIN[0], deciding.together, most_seconds=inf
        )
        done = looks.round({model.name: model for model in models}, {}, lambda model: "").looks
        asked = self._unanswered(RETRAIN_SENSOR, [look.request for look in done.values() if look.request])
        sentences = "\n".join(f"{name}: {look.sentence}" for name, look in done.items())
        return Tick(RETRAIN_SENSOR, tuple(self.execute(request) for request in asked), sentences)

    def execute(
        self, request: dg.RunRequest, *, only: Sequence[dg.AssetKey] | None = None
    ) -> dg.ExecuteInProcessResult:
        """Execute one request in this process.

        Args:
            request: with a job's name.
            only: assets that the run is cut down to.

        Raises:
            RunFailed: the run failed.
            KeyboardInterrupt: it was told to stop, which Dagster notes as a failure of the step and does not pass on.
        """
        job = self.definitions.resolve_job_def(str(request.job_name))
        selection = only if only is not None else request.asset_selection
        checks = request.asset_check_keys
        if only is not None and checks is not None:
            checks = [check for check in checks if check.asset_key in only]
        if selection or checks:
            job = job.get_subset(
                asset_selection=frozenset(selection) if selection else None,
                asset_check_selection=None if checks is None else frozenset(checks),
            )
        result = job.execute_in_process(
            instance=self.instance,
            # Dagster's pages call a run without either "Manually launched".
            tags={
                **({} if SENSOR_NAME in request.tags else {USER: BY}),
                **request.tags,
                **({"dagster/run_key": request.run_key} if request.run_key else {}),
            },
            run_config=QUIET,
            raise_on_error=False,
        )
        if not result.success:
            run = self.instance.get_run_by_id(result.run_id)
            if _is_interrupted(result) or (run and run.status == dg.DagsterRunStatus.CANCELED):
                raise KeyboardInterrupt
            raise RunFailed(_failure_of(result))
        return result

    def _has_run(self, run_key: str | None) -> bool:
        if not run_key:
            return False
        runs = self.instance.get_runs(filters=dg.RunsFilter(tags={"dagster/run_key": run_key}))
        # A run that failed answers nothing: after a correction, or a kill, the same content asks again.
        return any(run.status not in FAILED for run in runs)


def _is_interrupted(result: dg.ExecuteInProcessResult) -> bool:
    """Whether a step ended because the process was told to stop."""
    errors = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    names = [raised.cls_name for error in errors if error for raised in (error, error.cause) if raised]
    return dg.DagsterExecutionInterruptedError.__name__ in names


def _failure_of(result: dg.ExecuteInProcessResult) -> str:
    failures = [event for event in result.all_events if event.is_step_failure]
    if not failures:
        return f"run {result.run_id[:8]} failed: a blocking check did not pass; look at it in the UI (mlops up)"
    error = failures[0].step_failure_data.error
    message = error.cause.message if error and error.cause else error.message if error else ""
    return f"run {result.run_id[:8]} failed in {failures[0].step_key}: {message.strip()}"
