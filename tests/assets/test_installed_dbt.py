"""The version of dbt is known without starting it: `dbt --version` asks PyPI over the network, too."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mlops_assets.assets.installed_dbt import InstalledDbt
from mlops_assets.world.platform import DBT_PROJECT


def test_the_version_is_the_packages_and_no_process_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    from dbt.version import get_installed_version

    def started(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    dbt = InstalledDbt.of(DBT_PROJECT)
    assert Path(dbt.dbt_executable).exists()
    monkeypatch.setattr(subprocess, "Popen", started)
    assert str(dbt._cli_version) == get_installed_version().to_version_string(skip_matcher=True)
