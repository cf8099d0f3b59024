"""Dagster's storage and MLflow's store in a real PostgreSQL, as docs/production.md says.

Without PostgreSQL these tests are skipped, and the reason is in the summary.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from mlops_assets.assets.landing_source import CONTRACT_CHECK
from mlops_assets.core.models.training import FeatureColumn, Recipe, fit
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.registry import Registry
from mlops_assets.world.mlflow.store import MlflowUnavailable, open_client
from mlops_assets.world.mlflow.tracking import Tracking
from tests.checkout import CHECKOUT
from tests.landing_home import DAY, LandingHome, rows, verdict
from tests.postgres import url

NEXT = DAY + timedelta(days=1)


def documented() -> str:
    """The addition to dagster.yaml that the page gives."""
    page = (CHECKOUT / "docs" / "production.md").read_text(encoding="utf-8")
    (block,) = [part.split("```")[0] for part in page.split("```yaml\n")[1:] if part.startswith("storage:")]
    return block


def test_dagsters_storage(postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_PG_URL", url(postgres, "dagster"))
    landing = LandingHome.at(tmp_path / "home")
    file = landing.home.dagster / "dagster.yaml"
    file.write_text(file.read_text() + documented())
    landing.land_days([DAY])
    landing.land(rows(NEXT, n=9), f"orders_{NEXT}.csv")
    with dg.DagsterInstance.from_config(str(landing.home.dagster)) as instance:
        assert verdict(landing.run(DAY, instance=instance))[0]
        assert not verdict(landing.run(NEXT, instance=instance))[0]
    with dg.DagsterInstance.from_config(str(landing.home.dagster)) as instance:
        assert type(instance.event_log_storage).__name__ == "PostgresEventLogStorage"
        assert instance.get_materialized_partitions(dg.AssetKey(["raw", "orders"])) == {str(DAY)}
        assert [run.status.value for run in instance.get_runs()] == ["FAILURE", "SUCCESS"]
        key = dg.AssetCheckKey(dg.AssetKey(["raw", "orders"]), CONTRACT_CHECK)
        history = instance.event_log_storage.get_asset_check_execution_history(key, limit=5)
        assert [record.status.value for record in history] == ["FAILED", "SUCCEEDED"]


def test_mlflows_store(postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url(postgres, "mlflow"))
    home = Home(tmp_path / "home").prepare()
    frame = pd.DataFrame({"x": np.arange(600.0)})
    model = fit(Recipe("xgboost", "binary", {"max_depth": 2}, 3, (FeatureColumn("x"),)), frame, frame["x"] > 300)

    @dg.asset
    def trained(tracking: Tracking) -> dg.MaterializeResult:
        tracking.open("flights")
        tracking.log_curve("auc", [0.5, 0.6])
        tracking.log_text("kept", "note.md")
        return dg.MaterializeResult(metadata=tracking.metadata)

    assert dg.materialize([trained], resources={"tracking": Tracking(home=str(home.root))}).success
    registry = Registry(home=str(home.root))
    (run,) = registry.client.search_runs([registry.client.get_experiment_by_name("flights").experiment_id])
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"auc": 0.6})
    assert run.info.artifact_uri.startswith(home.mlflow.as_uri()), "files stay in the home"
    for k in (1, 2):
        version = registry.register("flights", model, run_id=run.info.run_id, tags={"k": k, "challenged_by": k})
        registry.promote("flights", version.version, decision_id=str(k), reason="better")
    assert registry.load("flights").sha256 == model.sha256
    assert not (home.mlflow / "mlflow.db").exists()


def test_a_database_that_is_gone_is_told_without_its_password(tmp_path: Path) -> None:
    pytest.importorskip("psycopg2")
    with pytest.raises(MlflowUnavailable, match=r"//ada:\*\*\*@.*cannot be reached [\s\S]* Start it") as error:
        open_client(Home(tmp_path), f"postgresql://ada:secret@/mlflow?host={tmp_path}")
    assert "secret" not in str(error.value)
