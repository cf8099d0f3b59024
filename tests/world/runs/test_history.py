"""Dagster's history by connections that stay open: the same files, read by Dagster's own storage and the other way."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.world.home import Home
from mlops_assets.world.runs import history as run_history
from mlops_assets.world.runs.history import open_instance


@dg.asset
def squares(context: dg.AssetExecutionContext) -> None:
    for number in range(5):
        context.log_event(dg.AssetMaterialization("squares", metadata={"square": number * number}))


JOB = dg.Definitions(
    assets=[squares], jobs=[dg.define_asset_job("measure", selection="squares", executor_def=dg.in_process_executor)]
).resolve_job_def("measure")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").prepare()


def told(instance: dg.DagsterInstance) -> dict[str, list[str]]:
    """The events of each run, and what the index knows of the asset."""
    events = {run.run_id: [e.message for e in instance.all_logs(run.run_id)] for run in instance.get_runs()}
    made = instance.fetch_materializations(dg.AssetKey("squares"), limit=100).records
    return {**events, "made": [str(record.asset_materialization) for record in made]}


def test_each_reads_what_the_other_has_written(home: Home) -> None:
    with open_instance(home) as ours:
        assert isinstance(ours.event_log_storage, run_history._Events)
        JOB.execute_in_process(instance=ours, run_config=QUIET)
    with dg.DagsterInstance.from_config(str(home.dagster)) as theirs:
        assert not isinstance(theirs.event_log_storage, run_history._Events)
        JOB.execute_in_process(instance=theirs, run_config=QUIET)
        known = told(theirs)
    with open_instance(home) as ours:
        assert told(ours) == known
    assert len(known) == 3
    assert len(known["made"]) == 2 * 6


def test_more_runs_than_connections_are_kept(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_history, "_KEPT", 2)
    with open_instance(home) as instance:
        runs = [JOB.execute_in_process(instance=instance, run_config=QUIET).run_id for _ in range(4)]
        assert all(instance.all_logs(run) for run in runs)
        events = instance.event_log_storage
        assert isinstance(events, run_history._Events)
        assert len(events._connections._engines) == 2


def test_another_process_writes_meanwhile_and_is_seen(home: Home) -> None:
    code = (
        "import sys, dagster as dg\n"
        "from tests.world.runs.test_history import JOB, QUIET\n"
        "with dg.DagsterInstance.from_config(sys.argv[1]) as instance:\n"
        "    JOB.execute_in_process(instance=instance, run_config=QUIET)\n"
    )
    with open_instance(home) as instance:
        JOB.execute_in_process(instance=instance, run_config=QUIET)
        subprocess.run([sys.executable, "-c", code, str(home.dagster)], check=True)
        assert instance.get_runs_count() == 2
        assert len(told(instance)["made"]) == 2 * 6


def test_a_storage_that_was_agreed_on_stays(home: Home, tmp_path: Path) -> None:
    file = home.dagster / "dagster.yaml"
    file.write_text(file.read_text() + f"storage:\n  sqlite:\n    base_dir: {tmp_path / 'elsewhere'}\n")
    with open_instance(home) as instance:
        assert not isinstance(instance.event_log_storage, run_history._Events)
        JOB.execute_in_process(instance=instance, run_config=QUIET)
    assert (tmp_path / "elsewhere" / "history" / "runs.db").exists()


def test_it_goes_on_after_it_was_wiped(home: Home) -> None:
    with open_instance(home) as instance:
        JOB.execute_in_process(instance=instance, run_config=QUIET)
        instance.wipe()
        assert told(instance) == {"made": []}
        run = JOB.execute_in_process(instance=instance, run_config=QUIET).run_id
        assert list(told(instance)) == [run, "made"]
