"""A real MLflow server in place of the embedded store: trained, registered, promoted, loaded, and cleared of leftovers.

The server keeps its files where clients cannot see them and passes them through, as docs/production.md says.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.training import FeatureColumn, Recipe, fit
from mlops_assets.resources.home import Home
from mlops_assets.resources.logged_models import log_model
from mlops_assets.resources.registry import ModelDamaged, Registry
from mlops_assets.resources.tracking import RUN_TAG, Tracking, settle


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, mlflow_template: Path) -> Iterator[tuple[str, Path]]:
    """Its address, and the folder of its files."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(mlflow_template, folder / "mlflow.db")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
         "--artifacts-destination", str(folder / "files"), "--host", "127.0.0.1", "--port", str(port),
         "--workers", "1"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder,
    )  # fmt: skip
    address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 90
    try:
        while True:
            with suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=5):
                break
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)
        yield address, folder / "files"
    finally:
        process.terminate()
        process.wait(30)


def test_a_model_lives_on_a_server(server: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address, files = server
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
        assert str(told["mlflow_run"].value).startswith(f"{address}/#/experiments/")
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
