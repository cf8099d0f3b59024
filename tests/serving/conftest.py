"""Homes with two champions that take a moment to make, and the service as a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.models.model import Model, Recipe, fit
from mlops_assets.core.models.training import FeatureColumn
from mlops_assets.serving.engine import arms
from mlops_assets.serving.engine.arms import Contract
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow import registry as registry_module
from mlops_assets.world.mlflow.registry import Registry
from mlops_assets.world.mlflow.store import artifact_location, open_client
from mlops_assets.world.platform import Platform
from tests import forked
from tests.real_slice import copy_home, working_in

ROOT = Path(__file__).parents[2]
MODEL = "flight_delay"
VIEWS = ("feat_flight", "feat_carrier_history")
EVENT = datetime(2013, 1, 5, 17, 0, tzinfo=UTC)


def contract() -> Contract:
    platform = Platform.of(Home(Path("/nowhere")))
    return Contract.of(platform.models()[MODEL], platform.catalogue)


def columns(views: Sequence[str] = VIEWS) -> tuple[FeatureColumn, ...]:
    """Features of some of the views, by default of two."""
    return tuple(FeatureColumn(n, k) for n, k in contract().kinds.items() if n.partition("__")[0] in views)


def frame(count: int = 600, seed: int = 0, views: Sequence[str] = VIEWS) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    kinds = {column.name: column.kind for column in columns(views)}
    return pd.DataFrame(
        {
            name: rng.choice(["UA", "DL", "AA"], count) if kind == "categorical" else rng.normal(size=count).round(3)
            for name, kind in kinds.items()
        }
    )


def make_model(seed: int, views: Sequence[str] = VIEWS) -> Model:
    rows = frame(views=views)
    y = (rows["feat_flight__distance_miles"] + (rows["feat_flight__flight_carrier"] == "UA") > 0.3).astype(int)
    params = {"objective": "binary:logistic", "max_depth": 3}
    return fit(Recipe("xgboost", "binary", params, 5 + seed, columns(views), seed=seed), rows, y)


def features(seed: int = 1) -> dict[str, Any]:
    """One row's features, as JSON has them."""
    return json.loads(frame(1, seed).to_json(orient="records"))[0]


def register(home: Home, model: Model, tags: Mapping[str, str] | None = None, *, name: str = MODEL) -> int:
    registry = Registry(home=str(home.root))
    client = registry.client
    experiment = client.get_experiment_by_name("serving")
    key = (
        experiment.experiment_id
        if experiment
        else client.create_experiment("serving", artifact_location=artifact_location(home, home.mlflow_uri, "serving"))
    )
    return registry.register(name, model, run_id=client.create_run(key).info.run_id, tags=tags).version


def promote(home: Home, version: int) -> None:
    Registry(home=str(home.root)).promote(MODEL, version, decision_id=f"d{version}", reason="a test")


def bring_online(home: Home, flight: str = "f0", carrier: str = "UA") -> None:
    """Features of one flight and one carrier, as of now."""
    store = Platform.of(home).features.store()
    now = pd.Timestamp.now(tz="UTC").floor("s")
    for view, key, value in ((VIEWS[0], "flight_id", flight), (VIEWS[1], "carrier", carrier)):
        names = [name for name in features() if name.startswith(view)]
        types = {field.name: str(field.dtype) for field in store.get_feature_view(view).features}
        values = {name.partition("__")[2]: features()[name] for name in names}
        cast = {name: int(v) if types[name].startswith("Int") else v for name, v in values.items()}
        row = {key: value, "event_timestamp": now, "created_timestamp": now, **cast}
        store.write_to_online_store(view, pd.DataFrame([row]))


@pytest.fixture(scope="session", autouse=True)
def _no_tuning(app_in_this_process: None) -> None:
    """Of all tests here."""


@pytest.fixture(scope="session")
def served_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two versions of one model, the first is champion; not to be changed."""
    home = Home(tmp_path_factory.mktemp("served"))
    with working_in(home):
        home.prepare()
        open_client(home)
        for seed in (1, 2):
            register(home, make_model(seed))
        promote(home, 1)
        bring_online(home)
    return home


@pytest.fixture
def home(served_home: Home, tmp_path: Path) -> Iterator[Home]:
    """A copy, free to be changed."""
    registry_module._cache.clear()
    arms._scorers.clear()
    with working_in(Home(tmp_path / "home")) as home:
        copy_home(served_home, home.root)
        for file in served_home.feast.glob("online.db*"):
            shutil.copy(file, home.feast / file.name)
        yield home


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Running:
    """The service as a process."""

    home: Home
    environment: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    process: forked.Forked | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.home.root / "serve.log"

    def start(self) -> None:
        words = ["--home", str(self.home.root), "serve", "--port", str(self.port), "--flush", "0.5", *self.options]
        with self.log.open("ab") as log:
            self.process = forked.start(
                "from mlops_assets.cli import app; app()",
                *words,
                place=ROOT,
                environment={**os.environ, **self.environment},
                out=log,
                error=log,
            )
        deadline = time.monotonic() + 120
        while True:
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(OSError):
                if self.call("/livez")[0] == 200:
                    return
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def call(
        self, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, raw: bytes | None = None
    ) -> tuple[int, Any]:
        """GET without a body, POST with one; status and JSON."""
        content = raw if raw is not None else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.address + path, data=content, headers={"Content-Type": "application/json", **(headers or {})}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def predict(self, *rows: Mapping[str, Any], query: str = "") -> tuple[int, Any]:
        return self.call(f"/predict/{MODEL}{query}", {"rows": list(rows)})

    def kill(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.kill()


@pytest.fixture
def serve(home: Home) -> Iterator[Callable[..., Running]]:
    """A maker of running services on the home of the test; stopped at its end."""
    made: list[Running] = []

    def start(environment: Mapping[str, str] | None = None, *options: str) -> Running:
        made.append(Running(home, environment or {}, options))
        made[-1].start()
        return made[-1]

    yield start
    for running in made:
        running.stop()


def move_store_away(home: Home) -> Path:
    """MLflow's database, as if its disk were gone."""
    away = home.root / "away.db"
    shutil.move(home.mlflow / "mlflow.db", away)
    return away
