"""A home may be called anything: quotes, blanks and dollars in its path are text wherever SQL names a file."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from mlops_assets.steps.features.two_builds import _files
from mlops_assets.world.home import Home
from tests.dbt.conftest import PROJECT, Dbt, files
from tests.dbt.test_look_ahead import guarded

NAMES = ("o'brien's home", "it costs $HOME, or $name", 'a "quoted" home', "''", "a[1]* {home}=1")


@pytest.mark.parametrize("name", NAMES)
def test_dbt_builds_the_same_in_a_home_of_any_name(
    name: str, built: tuple[Dbt, dict[str, str]], raw_home: Path, tmp_path: Path
) -> None:
    plain, _ = built
    home = tmp_path / name
    shutil.copytree(raw_home / "lake", home / "lake")
    Dbt(home).ok("run", "--select", "+feat_origin_weather", "+lbl_flight_delay", end="2013-02-06")
    mine = files(home)
    assert {path.split("/")[1] for path in mine} == {"feat_origin_weather", "lbl_flight_delay"}
    wanted = {path: content for path, content in files(plain.home).items() if path in mine}
    assert mine == wanted


def test_looking_ahead_and_the_feature_report_read_a_home_of_any_name(raw_home: Path, tmp_path: Path) -> None:
    home = tmp_path / NAMES[0]
    shutil.copytree(raw_home / "lake", home / "lake")
    project = tmp_path / "o'brien's project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    found = guarded(home, project, "feat_origin_weather")
    assert found["feat_origin_weather"].passed, found["feat_origin_weather"].sentence
    Dbt(home).ok("run", "--select", "+feat_origin_weather", end="2013-02-06")

    class View:
        path_glob = "features/feat_origin_weather/*/data.parquet"

    count = duckdb.sql(f"select count(*) from {_files(Home(home), View)}").fetchall()[0][0]  # type: ignore[arg-type]
    assert count > 1_000
