"""A real MLflow server in place of the embedded store: trained, registered, promoted, loaded, and cleared of leftovers.

The server keeps its files where clients cannot see them and passes them through, as docs/production.md says. It is also
killed: the online service goes on.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.models.training import FeatureColumn, Recipe, fit
from mlops_assets.serving.engine.health import Health
from mlops_assets.serving.models.alias_watch import Watcher
from mlops_assets.serving.models.kept_champions import keep
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.logged_models import log_model
from mlops_assets.world.mlflow.registry import ModelDamaged, Registry
from mlops_assets.world.mlflow.run_status import RUN_TAG, settle
from mlops_assets.world.mlflow.store import MlflowUnavailable
from mlops_assets.world.mlflow.tracking import Tracking
from tests.serving.conftest import MODEL, contract, make_model, promote, register

pytestmark = pytest.mark.slow


@dataclass
class Server:
    """A server that can be killed and started again at the same address."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def files(self) -> Path:
        """Where it keeps artifacts."""
        return self.folder / "files"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}",
             "--artifacts-destination", str(self.files), "--host", "127.0.0.1", "--port", str(self.port),
             "--workers", "1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder, start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + 90
        while True:
            with suppress(OSError), urllib.request.urlopen(f"{self.address}/health", timeout=5):
                return
            assert self.process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)

    def kill(self) -> None:
        """As `kill -9` does, with its worker."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, mlflow_template: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(mlflow_template, folder / "mlflow.db")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = Server(folder, port)
    made.start()
    yield made
    made.kill()


def test_a_model_lives_on_a_server(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address, files = server.address, server.files
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    home = Home(tmp_path / "home").prepare()
    frame = pd.DataFrame({"x": np.arange(600.0)})
    recipe = Recipe("xgboost", "binary", {"max_depth": 2}, 3, (FeatureColumn("x"),))
    model, other = (fit(recipe, frame, frame["x"] > limit) for limit in (300, 200))
    registry = Registry(home=str(home.root))

    @dg.asset
    def trained(tracking: Tracking) -> dg.MaterializeResult:
        tracking.open("flights")
        tracking.log_curve("auc", [0.5, 0.6])
        tracking.log_text("kept", "note.md")
        registry.register("flights", model, run_id=tracking.run_id, signature_frame=frame)
        log_model(tracking.client, "flights", other, run_id=tracking.run_id, signature_frame=None)
        return dg.MaterializeResult(metadata=tracking.metadata)

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([trained], resources={"tracking": Tracking(home=str(home.root))}, instance=instance)
        told = result.asset_materializations_for_node("trained")[0].metadata
        assert f"(<{address}/#/experiments/" in str(told["mlflow_run"].value)
        run = instance.get_run_by_id(result.run_id)
        assert run is not None
        instance.report_run_failed(run)
        assert settle(instance, run, home=home) == "FAILED"
    client, run_id = registry.client, run.tags[RUN_TAG]
    assert [entry.path for entry in client.list_artifacts(run_id)] == ["note.md"]
    version = registry.promote("flights", 1, decision_id="1", reason="better")
    assert (version.aliases, version.run_id) == (("champion",), run_id)
    assert registry.load("flights").sha256 == model.sha256
    import mlflow

    mlflow.set_tracking_uri(address)
    loaded = mlflow.pyfunc.load_model("models:/flights@champion")
    assert np.allclose(loaded.predict(frame[:5]), model.predict(frame[:5]))
    (kept,) = files.rglob("model.ubj")
    assert kept.read_bytes() == model.to_bytes(), "what was logged and never registered is gone from the server"
    assert not list(home.mlflow.rglob("*.ubj")), "nothing lies in the home"
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelDamaged, match="was changed or is damaged"):
        registry.verify("flights", "champion")
    kept.unlink()
    with pytest.raises(ModelDamaged, match="is gone"):
        registry.verify("flights", "champion")


def test_a_server_that_is_killed_stops_neither_answers_nor_what_comes_after(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    home = Home(tmp_path / "home").prepare()
    for seed in (1, 2):
        register(home, make_model(seed))
    promote(home, 1)
    registry = Registry(home=str(home.root))
    health = Health(Alerts(root=str(home.root)))
    watcher = Watcher(home, registry, {MODEL: contract()}, health)
    watcher.look()
    watcher.models.warm(MODEL)
    keep(home, watcher.snapshot[MODEL])
    server.kill()
    with pytest.raises(MlflowUnavailable, match="does not answer"):
        promote(home, 2)
    watcher.look()
    assert not health.parts["registry"].ok
    assert watcher.snapshot[MODEL].champion.version == 1
    # Started while the registry is gone, it takes up what was served last.
    anew = Watcher(home, registry, {MODEL: contract()}, Health(Alerts(root=str(home.root))))
    anew.start()
    try:
        assert anew.models.arms(MODEL).champion.version == 1
        server.start()
        promote(home, 2)
        for each in (watcher, anew):
            each.look()
            assert each.snapshot[MODEL].champion.version == 2
    finally:
        anew.stop()
    assert health.parts["registry"].ok
