"""The page `first-model.md` as it stands: from a CSV to the report of a replay, in a checkout of its own."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.checkout import CHECKOUT
from tests.onboarding.tables import Project

PAGE = CHECKOUT / "docs" / "first-model.md"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project.at(tmp_path_factory.mktemp("checkout"))
    shutil.copytree(CHECKOUT / "docs" / "examples", project.root / "docs" / "examples")
    return project


@pytest.mark.slow
def test_the_page_runs_as_it_is_written(project: Project) -> None:
    block = re.search(r"(?s)```\n(.*?)```", PAGE.read_text(encoding="utf-8"))
    assert block is not None
    commands = [shlex.split(line)[1:] for line in block[1].splitlines() if line.startswith("mlops ")]
    assert [command[0] for command in commands] == ["new-model", "replay"]
    said = project.mlops(*commands[0]).stdout
    assert "refund looks like leakage" in said
    lines = re.search(r"Written, (\d+) lines", said)
    assert lines is not None
    assert int(lines[1]) <= 60
    project.mlops(*commands[1])
    told = json.loads((project.home / "reports" / "churn" / "replay.json").read_text(encoding="utf-8"))
    assert len(told["periods"]) == 3
    assert told["summary"]["auto"] > 0.7
    assert (project.home / "reports" / "churn" / "replay.html").stat().st_size > 10_000
    named = re.findall(r"`(mlops_assets/defs/\S+|dbt_project/\S+\.sql)`", PAGE.read_text(encoding="utf-8"))
    assert all((project.root / name).exists() for name in named)
    assert len(named) == 4


@pytest.mark.slow
def test_a_second_time_nothing_is_overwritten(project: Project) -> None:
    again = project.mlops("new-model", "churn", "--from", "docs/examples/subscriptions.csv", check=False)
    assert again.returncode == 1
    assert "exist already" in again.stderr
    assert "--force" in again.stderr


@pytest.mark.slow
def test_removing_the_model_leaves_no_trace_and_keeps_its_history(project: Project) -> None:
    assert "What has landed (" in project.mlops("doctor", "churn").stdout
    models = project.root / "dbt_project" / "models"
    for file in [*models.rglob("*_churn.sql"), *models.rglob("*_churn.yml")]:
        file.unlink()
    shutil.rmtree(project.root / "mlops_assets" / "defs" / "churn")
    told = json.loads(project.mlops("doctor", "--json").stdout)
    assert [finding for finding in told if finding["state"] == "broken"] == []
    assert "churn" not in json.dumps(told)
    (replay,) = (project.home / "replays").iterdir()
    assert (replay / "ledger" / "churn.jsonl").stat().st_size > 0
    assert (project.home / "reports" / "churn" / "replay.html").exists()


def test_the_example_is_small() -> None:
    assert sum(path.stat().st_size for path in Path(CHECKOUT / "docs" / "examples").iterdir()) < 2**20
