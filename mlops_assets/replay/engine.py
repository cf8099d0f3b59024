"""The daemon's work done in this process: sensors are evaluated and the runs they ask for executed, in order.

Here: one tick of a sensor on a real instance, so that the UI shows everything afterwards. Not here: what is ticked
when (`driver`), what the sensors decide.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import dagster as dg


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

    def tick(self, sensor: str, *, only: Iterable[str] | None = None) -> Tick:
        """Evaluate a sensor once and execute what it asks for; a request whose run key has a run is dropped.

        Args:
            sensor: its name.
            only: assets (as `a/b`) that a run is cut down to, if any of them is in it.

        Raises:
            RunFailed: a run failed; the message has the step and its error.
        """
        definition = self.definitions.get_sensor_def(sensor)
        repository = self.definitions.get_repository_def()
        resources = {key: self.definitions.resources[key] for key in definition.required_resource_keys}
        with dg.build_sensor_context(
            instance=self.instance, repository_def=repository, sensor_name=sensor, resources=resources
        ) as context:
            data = definition.evaluate_tick(context)
        # A sensor of one job need not name it in its requests.
        only_job = definition.targets[0].job_name if len(definition.targets) == 1 else ""
        runs = tuple(
            self._execute(request, default_job=only_job, only=only)
            for request in data.run_requests or ()
            if not self._has_run(request.run_key)
        )
        return Tick(sensor, runs, data.skip_message or "")

    def _has_run(self, run_key: str | None) -> bool:
        tags = {"dagster/run_key": run_key} if run_key else {}
        return bool(run_key) and bool(self.instance.get_runs(filters=dg.RunsFilter(tags=tags), limit=1))

    def _execute(
        self, request: dg.RunRequest, *, default_job: str, only: Iterable[str] | None
    ) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_job_def(request.job_name or default_job)
        selection = list(request.asset_selection) if request.asset_selection else None
        if only is not None and selection is not None:
            wanted = {dg.AssetKey.from_user_string(name) for name in only}
            selection = [key for key in selection if key in wanted] or selection
        tags = {**request.tags, **({"dagster/run_key": request.run_key} if request.run_key else {})}
        result = job.execute_in_process(
            instance=self.instance, asset_selection=selection, tags=tags, raise_on_error=False
        )
        if not result.success:
            raise RunFailed(_told(result))
        return result


def _told(result: dg.ExecuteInProcessResult) -> str:
    failures = [event for event in result.all_events if event.is_step_failure]
    if not failures:
        return f"run {result.run_id} failed before its first step; look at it in the UI"
    error = failures[0].step_failure_data.error
    message = error.cause.message if error and error.cause else error.message if error else ""
    return f"run {result.run_id[:8]} failed in {failures[0].step_key}: {message.strip()}"
