"""A home of its own for each command, and a way to call `mlops` in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mlops_assets.world.home import Home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The home of `$MLOPS_HOME`; what a command sets in the environment is undone."""
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    monkeypatch.setenv("MLFLOW_LOGGING_LEVEL", "WARNING")
    monkeypatch.setenv("USER", "ada")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Home(tmp_path / "home")


@pytest.fixture
def mlops(home: Home) -> Callable[..., Result]:
    """Call `mlops` with these arguments in the test's home."""
    from mlops_assets.cli import app

    return lambda *arguments: CliRunner().invoke(app, list(arguments))
