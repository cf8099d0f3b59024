"""Real MLflow stores for the tests: one is migrated a session (3.7 s), the tests get copies of its file."""

import shutil

import pytest

from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.store import open_client


@pytest.fixture(scope="session")
def mlflow_template(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("mlflow_template"))
    open_client(home, f"sqlite:///{home.mlflow / 'mlflow.db'}")
    return home.mlflow / "mlflow.db"


@pytest.fixture
def home(tmp_path, mlflow_template, monkeypatch):
    """A home with a fresh MLflow store; the environment's own store can't be reached."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = Home(tmp_path / "home")
    monkeypatch.setenv("MLOPS_HOME", str(home.root))
    home.mlflow.mkdir(parents=True)
    shutil.copy(mlflow_template, home.mlflow / "mlflow.db")
    return home
