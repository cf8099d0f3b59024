"""A small slice of real flights, landed and built once a session, and worlds to live in it.

What lives here: building the slice through the real sensors, copying a home, and `World`: one monitored model
on one home, ticked in process. What does not: fixtures (conftest.py) and assertions.

Parquet and landed files of a copy are hard links: everything in the lake is replaced, never written in place.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg

from mlops_assets.assets.monitoring_assets import build_monitoring_assets
from mlops_assets.assets.partitions import span_tags
from mlops_assets.assets.retrain_sensor import SENSOR, build_retrain_job, build_retrain_sensor
from mlops_assets.assets.training_assets import build_training_assets
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.time.spans import Span
from mlops_assets.core.time.windows import midnight
from mlops_assets.landing.nycflights13 import land
from mlops_assets.simulate.engine import Engine, Tick
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.home import Home, HomeSettings
from mlops_assets.world.home import working_in as home_alone
from mlops_assets.world.mlflow.store import embedded_store
from mlops_assets.world.mlflow.tracking import Tracking
from mlops_assets.world.platform import Platform
from tests.sent_alerts import SentAlert, sent_alerts
from tests.support import keep_dagster_engines

keep_dagster_engines()

LAST_DAY = date(2013, 3, 10)
"""Last day of the slice: 69 days."""
EVERY = 2
"""Each second row of a day's file of flights is kept: 31 of 62 thousand, on the same days.

What lives on the slice takes a quarter less. With each third row a quiet day has fewer than the contract asks for.
"""
COLD_START = date(2013, 2, 18)
"""When worlds train their first champion: enough days for a gate, enough weeks left to live through."""
WEEKS = (COLD_START, date(2013, 2, 25), date(2013, 3, 4))
"""The first weeks in production; both of them drift: it is winter, and spring comes."""
WATCHING = ("predictions", "drift_report", "performance_report")
NOT_COPIED = ("online.db*", "warehouse.duckdb*", "dbt", "logs")
"""Large and rebuilt at need."""


def build_once(folder: Path, build: Any) -> Home:
    """The home in `folder`, built by whichever process of the test session comes first."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    done = folder.with_suffix(".done")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            build(Home(folder))
            done.touch()
    return Home(folder)


@contextmanager
def working_in(home: Home) -> Iterator[Home]:
    """The environment that a home's processes have; MLflow is its own."""
    with home_alone(home, own_store=True):
        yield home


def build_slice(home: Home) -> None:
    """Land the slice and carry it into lake and features, as the landing sensor asks for it.

    The online store and the models' assets are left out: there is no champion, and few tests serve features.
    """
    from mlops_assets.definitions import build_definitions

    home.configure(HomeSettings(clock="data", trials=1))
    home.prepare()
    land(home.landing, LAST_DAY)
    thin(home.landing / "flights")
    with working_in(home), dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        engine = Engine(build_definitions(home), instance)
        for request in engine.requests("landing_sensor")[0]:
            wanted = [
                key for key in request.asset_selection or () if key.path[-1] not in WATCHING and key.path[0] != "feast"
            ]
            engine.execute(request, only=wanted)


def thin(folder: Path) -> None:
    """Keep each `EVERY`th row of the landed files, by its place in the file."""
    for path in folder.glob("*.csv"):
        header, *lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text(header + "".join(lines[1::EVERY]), encoding="utf-8")


def copy_home(source: Home, target: Path) -> Home:
    """A home with the same content, free to be changed; its store points to its own files, as on first use."""

    def copy(old: str, new: str) -> None:
        if old.endswith((".parquet", ".csv", ".ubj")):
            os.link(old, new)
        else:
            shutil.copy2(old, new)

    shutil.copytree(source.root, target, copy_function=copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
    home = Home(target)
    embedded_store(home)
    return home


def small(model: ModelSettings, **changes: Any) -> ModelSettings:
    """A model's settings cut down for tests: two feature views, one short trial, weekly windows.

    Args:
        model: as in its YAML.
        changes: fields of `training`, `gate`, `retrain` and `monitoring` as mappings, others as they are.
    """
    base: dict[str, Any] = {
        "features": ["feat_flight", "feat_origin_history"],
        "training": {"trials": 1, "max_rounds": 15},
        "monitoring": {"window": "week", "slices": ["origin"]},
        "gate": {"window": "14d"},
    }
    for name, value in changes.items():
        base[name] = {**base[name], **value} if isinstance(base.get(name), dict) else value
    nested: Mapping[str, Any] = {
        "training": lambda values: replace(model.training, **values),
        "gate": lambda values: replace(model.gate, **values),
        "retrain": lambda values: replace(model.retrain, **values),
        "label": lambda values: model.label.model_copy(update=values),
        "monitoring": lambda values: model.monitoring.model_copy(update=values),
    }
    return model.model_copy(
        update={name: nested[name](value) if name in nested else value for name, value in base.items()}
    )


@dataclass
class World:
    """One monitored model on one home, without dbt: its features are in the lake already.

    Attributes:
        home: a copy of the slice.
        model: its settings; another world on the same home may have others.
        extra: further assets.
    """

    home: Home
    model: ModelSettings
    extra: Sequence[dg.AssetsDefinition] = field(default_factory=list)

    @classmethod
    def of(cls, home: Home, name: str = "flight_delay", **changes: Any) -> World:
        return cls(home, small(Platform.of(home).models()[name], **changes))

    def with_settings(self, **changes: Any) -> World:
        """The same home with a model of other settings."""
        return World.of(self.home, self.model.name, **changes)

    @cached_property
    def platform(self) -> Platform:
        return Platform.of(self.home)

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.from_config(str(self.home.dagster))

    @cached_property
    def definitions(self) -> dg.Definitions:
        keys = (dg.AssetKey([self.model.name, step]) for step in WATCHING)
        watch = dg.define_asset_job(
            "watch", selection=dg.AssetSelection.assets(*keys), executor_def=dg.in_process_executor
        )
        return dg.Definitions(
            assets=[*build_training_assets(self.model), *build_monitoring_assets(self.model), *self.extra],
            jobs=[build_retrain_job([self.model]), watch],
            sensors=[build_retrain_sensor(lambda _: {self.model.name: self.model})],
            resources={
                "platform": self.platform,
                "tracking": Tracking(home=str(self.home.root)),
                "alerts": Alerts(root=str(self.home.root)),
            },
        )

    @property
    def engine(self) -> Engine:
        return Engine(self.definitions, self.instance)

    @property
    def sensor(self) -> str:
        return SENSOR

    def at(self, day: date) -> None:
        """Move the clock to the beginning of a local day."""
        self.home.configure(replace(self.home.settings, until=midnight(day, self.model.timezone)))

    def tick(self) -> Tick:
        """One tick of the retrain sensor and the runs it asks for."""
        return self.engine.tick(SENSOR)

    def watch(self, first: date, end: date) -> dg.ExecuteInProcessResult:
        """What a landing run does for the model: predict the days [first, end), report."""
        return self.engine.execute(self.watch_request(first, end))

    def watch_request(self, first: date, end: date) -> dg.RunRequest:
        return dg.RunRequest(run_key=f"watch-{first}", job_name="watch", tags=span_tags(Span(first, end)))

    def live(self, first: date, end: date) -> Tick:
        """A period: its data arrive, the champion predicts, monitors watch, the sensor decides."""
        self.at(end)
        self.watch(first, end)
        return self.tick()

    def ledger(self, *kinds: str) -> list[dict[str, Any]]:
        """What is on record, of these kinds."""
        entries = [entry.to_dict() for entry in self.platform.ledger.entries(self.model.name)]
        return [entry for entry in entries if not kinds or entry["kind"] in kinds]

    def aliases(self) -> dict[str, int]:
        """Which version each alias points to."""
        versions = self.platform.registry.versions(self.model.name)
        return {alias: version.version for version in versions for alias in version.aliases}

    def files(self) -> dict[str, bytes]:
        """Every file of the lake that the model's assets write, temporary ones included."""
        lake = self.home.lake
        layers = ("training_sets", "models", "predictions", "reports", "references")
        found = [path for layer in layers for path in (lake / layer).rglob("*") if path.is_file()]
        return {str(path.relative_to(lake)): path.read_bytes() for path in sorted(found)}

    def runs(self) -> int:
        return self.instance.get_runs_count()

    def alerts(self) -> list[SentAlert]:
        """What the failure sensor tells of the failed runs."""
        return ring(self.home, self.instance)


def ring(home: Home, instance: dg.DagsterInstance) -> list[SentAlert]:
    """Show every failed run to the failure sensor, as the daemon does; the alerts of the home."""
    from mlops_assets.assets.platform.failed_runs import failed_run_sensor

    alerts = Alerts(root=str(home.root))
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])):
        (failure,) = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
        context = dg.build_run_status_sensor_context(
            sensor_name="failed_run_sensor",
            dagster_event=failure.get_dagster_event(),
            dagster_instance=instance,
            dagster_run=run,
            resources={"alerts": alerts},
        )
        failed_run_sensor(context.for_run_failure())
    return sent_alerts(alerts.file)


def train_champion(home: Home) -> None:
    """The first champion of a world at the cold start: one round of boosting, easy to beat."""
    with working_in(home):
        world = World.of(home, training={"max_rounds": 1})
        world.at(COLD_START)
        world.tick()


def watch_until_drift(home: Home) -> None:
    """Two weeks in production: predictions and reports are there, and no decision has been taken on them."""
    with working_in(home):
        world = World.of(home)
        for first, end in pairwise(WEEKS):
            world.at(end)
            world.watch(first, end)


def copy_tree(source: Path, target: Path) -> None:
    """A folder (or one file) of a lake, as hard links."""
    if source.is_file():
        shutil.copy2(source, target)
    else:
        shutil.copytree(source, target, copy_function=os.link, dirs_exist_ok=True)
