"""dbt in this process: the project is parsed once for all days and homes; what dbt says is heard."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from dagster import DagsterExecutionInterruptedError
from dbt.cli.main import dbtRunner, dbtRunnerResult

from mlops_assets.world.dbt_runs import Dbt
from mlops_assets.world.home import Home, working_in
from tests.dbt.conftest import PROJECT, files


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with what a feature view of flights needs, which nobody has parsed yet."""
    folder = tmp_path_factory.mktemp("checkout") / "dbt_project"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("target", "logs", "lbl_*", "*_card_*", "*payment*"))
    (folder / "models" / "exposures.yml").unlink()
    return folder


def test_neither_other_days_nor_another_home_parse_all_files_again(project: Path, new_home: Callable[[], Path]) -> None:
    homes = [Home(new_home()), Home(new_home())]
    heard: list[str] = []
    for home, day in ((homes[0], 1), (homes[0], 2), (homes[1], 3)):
        results = Dbt(project, home).run(
            *("build", "--select", "feat_flight", "stg_flights", "stg_planes", "--exclude", "resource_type:unit_test"),
            variables={"start": f"2013-01-0{day}", "end": f"2013-01-0{day + 1}"},
            hear=lambda event: heard.append(event["info"]["name"]),
        )
        assert {str(result.status) for result in results} == {"success", "pass"}
    built = [sorted(path.split("/")[2] for path in files(home.root, "feat_flight")) for home in homes]
    assert built == [["partition=2013-01-01", "partition=2013-01-02"], ["partition=2013-01-03"]]
    logs = "".join((Dbt(project, home).folder / "dbt.log").read_text() for home in homes)
    assert logs.count("Unable to do partial parsing") == 1
    # Dagster's materializations and check results are made from these.
    assert {"LogModelResult", "LogTestResult"} <= set(heard)


def test_who_parses_with_another_profile_leaves_what_is_known_of_the_files(project: Path, tmp_path: Path) -> None:
    """As a change is built aside: the project's next parse read every file anew after it."""
    Dbt(project, Home(tmp_path / "first")).parsed()
    profile = (project / "profiles.yml").read_text()
    (tmp_path / "aside").mkdir()
    (tmp_path / "aside" / "profiles.yml").write_text(
        profile.replace("type: duckdb", "type: duckdb\n      schema: aside")
    )
    homes = [Home(tmp_path / "second"), Home(tmp_path / "third")]
    for home, profiles in zip(homes, (tmp_path / "aside", None), strict=True):
        Dbt(project, home, profiles=profiles).parsed()
    anew = ["Unable to do partial parsing" in (Dbt(project, home).folder / "dbt.log").read_text() for home in homes]
    assert anew == [True, False]


@pytest.mark.parametrize("name", ["home", "jürgen's [old] $HOME?"])
def test_what_is_parsed_for_a_home_is_what_dbt_parses_in_it(project: Path, tmp_path: Path, name: str) -> None:
    home = Home(tmp_path / name)
    location = project / "models" / "features" / "feat_flight.sql"
    if "any-home" not in location.read_text():
        # A model may say where it is by the home, too.
        location.write_text("{{ config(meta={'beside': env_var('MLOPS_HOME') ~ '/any-home'}) }}" + location.read_text())
    ours = Dbt(project, home).parsed_to_manifest()
    with working_in(home):
        arguments = (
            "--project-dir",
            str(project),
            "--profiles-dir",
            str(project),
            "--target-path",
            str(tmp_path / "dbt"),
        )
        assert dbtRunner().invoke(["--quiet", "parse", *arguments, "--log-path", str(tmp_path)]).success
    plain = json.loads((tmp_path / "dbt" / "manifest.json").read_text())
    assert ours["nodes"]["model.mlops.feat_flight"]["meta"]["beside"] == f"{home.root}/any-home"
    for manifest in (ours, plain):
        for entry in (*manifest["nodes"].values(), *manifest["sources"].values()):
            entry.pop("created_at", None)
    assert ours["sources"] == plain["sources"]
    assert ours["nodes"] == plain["nodes"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, DagsterExecutionInterruptedError])
def test_a_stop_is_no_failure_of_dbt(
    stop: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dbtRunner, "invoke", lambda *_: dbtRunnerResult(success=False, exception=stop()))
    with pytest.raises(stop):
        Dbt(PROJECT, Home(tmp_path)).run("build")
