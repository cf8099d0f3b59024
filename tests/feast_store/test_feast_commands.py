"""Feast's own commands in feature_repo/, as they stand in Feast's manual: apply, and a list of the views."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from mlops_assets.world.catalogue import ensure_manifest, load_catalogue
from mlops_assets.world.home import Home
from tests.checkout import CHECKOUT


def test_apply_and_list_work_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from feast.cli.cli import cli

    ensure_manifest(CHECKOUT / "dbt_project")
    home = Home(tmp_path / "home").prepare()
    monkeypatch.setenv("MLOPS_HOME", str(home.root))
    monkeypatch.chdir(CHECKOUT / "feature_repo")
    applied = CliRunner().invoke(cli, ["apply"])
    assert applied.exit_code == 0, applied.output
    assert (home.feast / "registry.db").exists()
    listed = CliRunner().invoke(cli, ["feature-views", "list"])
    assert listed.exit_code == 0, listed.output
    views = load_catalogue(CHECKOUT / "dbt_project").views
    assert {line.split()[0] for line in listed.output.splitlines()[1:]} >= {view.name for view in views}
    assert len(views) >= 5
