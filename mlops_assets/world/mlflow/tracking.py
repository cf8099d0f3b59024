"""One MLflow run for each Dagster run, opened, resumed and ended with the right status.

Here: the resource that assets log through. Not here: model versions and aliases (`registry`), figures
(`pages.figures`), the store itself (`store`).

dagster-mlflow's `MlFlow` does the set-up, but finds its run by a search (rate limited on servers) and leaves
ending it to a hook that ad hoc materializations don't have. So the run's id is kept as a tag on the Dagster
run: every step, in whatever process, resumes that run, and every teardown gives it the status that the
Dagster run has earned so far. The last teardown has the last word; a later step reopens it.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import dagster as dg
from pydantic import Field, PrivateAttr

from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.run_status import RUN_TAG, earned_status
from mlops_assets.world.mlflow.store import artifact_location, locked, open_client

if TYPE_CHECKING:
    from mlflow import MlflowClient


DAGSTER_RUN = "dagster_run_id"
"""Tag on the MLflow run: the Dagster run that it belongs to."""

_NOT_ENTERED = (
    "no MLflow run is open: let the asset require this resource and call `open(experiment)`, or enter it with "
    "`with Tracking(...).yield_for_execution(build_init_resource_context())`."
)
_PARAMS_PER_CALL = 100
_METRICS_PER_CALL = 1000


@dataclass
class _Open:
    """The run at hand."""

    client: MlflowClient
    mlflow: Any
    run_id: str
    experiment: str
    experiment_id: str
    environment: dict[str, str]


class Tracking(dg.ConfigurableResource):
    """The MLflow run of this Dagster run.

    An asset that requires it says with `open` whose run it is, and the teardown ends the run after the last asset. All
    logging names the run explicitly; `mlflow` is dagster-mlflow's object, whose active run is the same.
    """

    mlflow_tracking_uri: str | None = Field(
        default=None, description="MLflow's store; default: $MLFLOW_TRACKING_URI, else SQLite in the home."
    )
    home: str | None = Field(default=None, description="Root of the home; default: $MLOPS_HOME.")
    ui_url: str = Field(
        default="http://127.0.0.1:5000",
        description="Where MLflow's UI is, when the store is no server itself.",
    )
    extra_tags: dict[str, str] = Field(default_factory=dict, description="Further tags on every run.")

    _open: _Open | None = PrivateAttr(default=None)
    _context: dg.InitResourceContext | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Tracking]:
        """Give the resource; end the run that was opened in the meantime."""
        self._context = context
        try:
            yield self
        finally:
            if self._open is not None:
                self._end(context, self._open)
            self._open = self._context = None

    def open(self, experiment: str) -> None:
        """Open the run of this Dagster run, or resume it; a second call changes nothing.

        Args:
            experiment: the MLflow experiment, one a monitored model, so that its runs stand beside each other.

        Raises:
            MlflowUnavailable: the store is gone or silent.
            RuntimeError: the run was opened for another model, or the resource was not entered.
        """
        if self._context is None:
            raise RuntimeError(_NOT_ENTERED)
        if self._open is None:
            self._open = self._start(self._context, experiment)
        elif self._open.experiment != experiment:
            raise RuntimeError(_other_model(experiment, self._open.experiment))

    @property
    def run_id(self) -> str:
        """Id of the MLflow run."""
        return self._now.run_id

    @property
    def client(self) -> MlflowClient:
        """A client of the run's store."""
        return self._now.client

    @property
    def run_url(self) -> str:
        """Address of the run in MLflow's UI."""
        now, uri = self._now, self._uri
        base = uri if uri.startswith("http") else self.ui_url
        return f"{base.rstrip('/')}/#/experiments/{now.experiment_id}/runs/{now.run_id}"

    @property
    def metadata(self) -> dict[str, dg.MetadataValue]:
        """What a materialization shows of the run."""
        return {
            # A bare address does not break, and widens the page.
            "mlflow_run": dg.MetadataValue.md(f"[run {self.run_id[:8]} in MLflow](<{self.run_url}>)"),
            "mlflow_run_id": dg.MetadataValue.text(self.run_id),
        }

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters. A parameter can't change within a run: logging another value raises."""
        from mlflow.entities import Param

        entries = [Param(key, str(value)) for key, value in params.items()]
        for chunk in _chunks(entries, _PARAMS_PER_CALL):
            self.client.log_batch(self.run_id, params=chunk)

    def log_metrics(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        """Log metric values, all at one step."""
        self._log_points([(key, float(value), step) for key, value in metrics.items()])

    def log_curve(self, name: str, values: Sequence[float]) -> None:
        """Log one metric over its rounds (steps 1, 2, ...); MLflow's UI draws it."""
        self._log_points([(name, float(value), step) for step, value in enumerate(values, start=1)])

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags on the run; they can be changed later."""
        from mlflow.entities import RunTag

        self.client.log_batch(self.run_id, tags=[RunTag(key, str(value)) for key, value in tags.items()])

    def log_text(self, text: str, file: str) -> None:
        """Keep a text as an artifact, e.g. `report.md` or an SVG picture."""
        self.client.log_text(self.run_id, text, file)

    def log_dict(self, values: Mapping[str, Any] | Sequence[Any], file: str) -> None:
        """Keep values as a JSON (or YAML) artifact, by the file's ending."""
        self.client.log_dict(self.run_id, cast(dict[str, Any], values), file)

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Keep a copy of a file."""
        self.client.log_artifact(self.run_id, str(path), folder)

    def log_dataset(
        self,
        name: str,
        *,
        digest: str,
        source: str,
        schema: Mapping[str, str] | None = None,
        rows: int | None = None,
        context: str = "training",
    ) -> None:
        """Say which data the run used.

        Args:
            name: e.g. the asset key of the training set.
            digest: the data's own hash; MLflow keeps 36 characters of it, the tag `dataset.<context>` all.
            source: where it is.
            schema: column name to type.
            rows: number of rows.
            context: `training`, `evaluation`, ...
        """
        import json

        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=name,
            digest=digest[:36],
            source_type="local" if "://" not in source or source.startswith("file:") else "uri",
            source=json.dumps({"uri": source}),
            schema=json.dumps({"columns": dict(schema)}) if schema else None,
            profile=json.dumps({"num_rows": rows}) if rows is not None else None,
        )
        self.client.log_inputs(self.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])])
        self.set_tags({f"dataset.{context}": digest})

    @property
    def stock(self) -> Any:
        """dagster-mlflow's object, on the run that is open."""
        return self._now.mlflow

    @property
    def _now(self) -> _Open:
        if self._open is None:
            raise RuntimeError(_NOT_ENTERED)
        return self._open

    @property
    def _home(self) -> Home:
        return Home(Path(self.home)) if self.home else Home.from_environment()

    @property
    def _uri(self) -> str:
        return self.mlflow_tracking_uri or self._home.mlflow_uri

    def _log_points(self, points: Sequence[tuple[str, float, int]]) -> None:
        import time

        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        entries = [Metric(key, value, now, step) for key, value, step in points]
        for chunk in _chunks(entries, _METRICS_PER_CALL):
            self.client.log_batch(self.run_id, metrics=chunk)

    def _start(self, context: dg.InitResourceContext, experiment: str) -> _Open:
        _refuse_foreign_run()
        environment = _mlflow_environment()
        home, uri = self._home, self._uri
        client = open_client(home, uri)
        with locked(home, "tracking"):
            experiment_id = _experiment(client, experiment, artifact_location(home, uri, experiment))
            run_id = self._resume_or_create(context, client, experiment, experiment_id)
        attached = self._attach(context, uri, experiment, run_id)
        return _Open(client, attached, run_id, experiment, experiment_id, environment)

    def _resume_or_create(
        self, context: dg.InitResourceContext, client: MlflowClient, experiment: str, experiment_id: str
    ) -> str:
        run, instance = context.run, context.instance
        record = instance.get_run_by_id(run.run_id) if run and instance else None
        if run and record and RUN_TAG in record.tags:
            known = client.get_run(str(record.tags[RUN_TAG]))
            # A run that is executed again inherits its parent's tags, but logs its own parameters.
            if known.data.tags.get(DAGSTER_RUN) == run.run_id:
                if known.info.experiment_id != experiment_id:
                    other = client.get_experiment(known.info.experiment_id).name
                    raise RuntimeError(_other_model(experiment, other))
                return str(known.info.run_id)
        tags = {DAGSTER_RUN: run.run_id} if run else {}
        created = client.create_run(experiment_id, run_name=_run_name(context, experiment), tags=tags).info.run_id
        if record and instance:
            instance.add_run_tags(record.run_id, {RUN_TAG: created})
        return str(created)

    def _attach(self, context: dg.InitResourceContext, uri: str, experiment: str, run_id: str) -> Any:
        """Let dagster-mlflow make the run this thread's active one."""
        from dagster_mlflow.resources import MlFlow

        run = context.run
        own_tags = {key: value for key, value in (run.tags if run else {}).items() if key.startswith("mlops/")}
        return _quietly(
            MlFlow,
            SimpleNamespace(
                log=context.log or logging.getLogger(__name__),
                dagster_run=SimpleNamespace(job_name=_run_name(context, experiment)),
                run_id=run.run_id if run else "none",
                resource_config={
                    "experiment_name": experiment,
                    "mlflow_tracking_uri": uri,
                    "mlflow_run_id": run_id,
                    "extra_tags": {**own_tags, **self.extra_tags},
                },
            ),
        )

    def _end(self, context: dg.InitResourceContext, opened: _Open) -> None:
        import mlflow

        status = earned_status(context, sys.exc_info()[1])
        active = mlflow.active_run()
        if active is not None and active.info.run_id == opened.run_id:
            mlflow.end_run(status)
        else:
            opened.client.set_terminated(opened.run_id, status)
        _restore(opened.environment)


def _run_name(context: dg.InitResourceContext, experiment: str) -> str:
    return f"{experiment} {context.run.run_id[:8]}" if context.run else experiment


def _other_model(wanted: str, opened: str) -> str:
    return (
        f"this Dagster run has opened an MLflow run of {opened}, and now {wanted} wants one. One run trains one model: "
        f"materialize the assets of {wanted} in a run of their own. Nothing was logged for it."
    )


def _experiment(client: MlflowClient, name: str, location: str | None) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return str(experiment.experiment_id)
    return str(client.create_experiment(name, artifact_location=location))


def _refuse_foreign_run() -> None:
    """With a run active in this thread, dagster-mlflow would log into that one and say nothing."""
    import mlflow

    active = mlflow.active_run()
    if active is not None:
        raise RuntimeError(
            f"this thread already has the active MLflow run {active.info.run_id}, so the run of this "
            "materialization cannot be opened. Call mlflow.end_run() before starting Dagster from such code; "
            "nothing was logged."
        )


def _quietly(make: Any, context: Any) -> Any:
    """Make dagster-mlflow's object without the beta warning it gives each time; the version is pinned."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        return make(context)


def _mlflow_environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key.startswith("MLFLOW_")}


def _restore(environment: Mapping[str, str]) -> None:
    """Undo what MLflow leaves in the environment: another home in this process would take it for its own."""
    import mlflow

    mlflow.set_tracking_uri(cast(str, None))
    for key in _mlflow_environment():
        if key not in environment:
            del os.environ[key]
    os.environ.update(environment)


def _chunks(entries: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(entries), size):
        yield entries[start : start + size]
