"""dbt in this process: the project is parsed once, whatever days are built; what dbt says is heard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from dagster import DagsterExecutionInterruptedError

from mlops_assets.world.dbt_runs import Dbt
from mlops_assets.world.home import Home
from tests.dbt.conftest import PROJECT, files


def test_other_days_are_built_without_parsing_all_files_again(new_home: Callable[[], Path]) -> None:
    dbt = Dbt(PROJECT, Home(new_home()))
    heard: list[str] = []
    for day in (1, 2):
        results = dbt.run(
            *("build", "--select", "feat_flight", "stg_flights", "stg_planes", "--exclude", "resource_type:unit_test"),
            variables={"start": f"2013-01-0{day}", "end": f"2013-01-0{day + 1}"},
            hear=lambda event: heard.append(event["info"]["name"]),
        )
        assert {str(result.status) for result in results} == {"success", "pass"}
    assert sorted(path.split("/")[2] for path in files(dbt.home.root, "feat_flight")) == [
        "partition=2013-01-01",
        "partition=2013-01-02",
    ]
    assert (dbt.folder / "dbt.log").read_text().count("Unable to do partial parsing") == 1
    # Dagster's materializations and check results are made from these.
    assert {"LogModelResult", "LogTestResult"} <= set(heard)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, DagsterExecutionInterruptedError])
def test_a_stop_is_no_failure_of_dbt(
    stop: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dbt.cli.main import dbtRunner, dbtRunnerResult

    monkeypatch.setattr(dbtRunner, "invoke", lambda *_: dbtRunnerResult(success=False, exception=stop()))
    with pytest.raises(stop):
        Dbt(PROJECT, Home(tmp_path)).run("build")
