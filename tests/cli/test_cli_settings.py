"""`mlops settings`: what holds for a model and where it comes from, in the width of a terminal."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import Result

from mlops_assets.commands import console
from mlops_assets.commands import settings as command
from mlops_assets.core.settings import ModelSettings
from mlops_assets.world.settings_files import read_settings
from tests.checkout import CHECKOUT

Mlops = Callable[..., Result]


@pytest.fixture
def defs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "defs"
    shutil.copytree(CHECKOUT / "mlops_assets" / "defs" / "flight_delay", folder / "eu" / "flight_delay")
    (folder / "eu" / "defaults.yaml").write_text("rollout: {preset: quick}\ngate: {min_rows: 60}\n", encoding="utf-8")
    for module in (console, command):
        monkeypatch.setattr(module, "DEFS", folder)
    monkeypatch.setenv("COLUMNS", "80")
    return folder


def test_it_prints_yaml_that_says_the_same_and_fits(mlops: Mlops, defs: Path) -> None:
    printed = mlops("settings", "flight_delay")
    assert printed.exit_code == 0, printed.output
    lines = printed.output.splitlines()
    assert max(map(len, lines)) <= 80
    model = read_settings(defs, ModelSettings)["flight_delay"]
    assert ModelSettings.model_validate(yaml.safe_load(printed.output)) == model
    said = {line.split("#")[0].strip(): line.partition("# ")[2] for line in lines}
    assert said["min_rows: 60"] == "eu/defaults.yaml:2"
    assert said["ship: refit"] == "default"
    assert said["preset: quick"] == "eu/defaults.yaml:1"
    assert said["watch: 24.0"] == "eu/defaults.yaml:1 (preset)"
    assert said["roc_auc" if "roc_auc" in said else "metric: roc_auc"] == "eu/flight_delay/defs.yaml:14"


def test_for_programs(mlops: Mlops, defs: Path) -> None:
    printed = json.loads(mlops("settings", "flight_delay", "--json").output)
    assert (printed["model"], printed["folder"]) == ("flight_delay", str(defs))
    assert printed["settings"]["gate.min_rows"] == {"value": 60, "from": "eu/defaults.yaml:2"}
    assert printed["settings"]["start"] == {"value": "2013-01-01", "from": "eu/flight_delay/defs.yaml:16"}
    assert printed["settings"]["monitoring.slices"]["value"] == ["carrier", "origin"]


def test_a_model_below_broken_defaults_says_where(mlops: Mlops, defs: Path) -> None:
    (defs / "eu" / "defaults.yaml").write_text("gate:\n  min_rows: many\n", encoding="utf-8")
    failed = mlops("settings", "flight_delay")
    assert failed.exit_code == 1
    assert f"{defs}/eu/defaults.yaml:2: gate.min_rows: it is 'many'" in failed.output
    assert "There is no model 'nothing'" in mlops("settings", "nothing").output
