"""One MLflow run a Dagster run, with its status, under each executor; on real SQLite stores."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.run_status import RUN_TAG, settle
from mlops_assets.world.mlflow.store import MlflowUnavailable, open_client
from mlops_assets.world.mlflow.tracking import Tracking


@dg.asset
def good(tracking: Tracking) -> dg.MaterializeResult:
    tracking.open("flights")
    tracking.log_metrics({"auc": 0.7})
    return dg.MaterializeResult(metadata=tracking.metadata)


@dg.asset
def bad(tracking: Tracking) -> None:
    tracking.open("flights")
    raise RuntimeError("no data")


def run(assets, *, instance=None, **fields):
    return dg.materialize(
        assets,
        resources={"tracking": Tracking(**fields)},
        instance=instance,
        raise_on_error=False,
    )


def runs(home, experiment="flights"):
    """All runs of the experiment, the oldest first."""
    client = open_client(home)
    ids = [client.get_experiment_by_name(experiment).experiment_id]
    return client.search_runs(ids, order_by=["attributes.start_time ASC", "attributes.run_name ASC"])


def test_three_runs_in_one_process_are_three_mlflow_runs_with_their_statuses(home):
    jobs = dg.Definitions(
        assets=[good, bad],
        resources={"tracking": Tracking()},
        jobs=[dg.define_asset_job("fine", ["good"]), dg.define_asset_job("fails", ["bad"])],
    )
    results = [
        jobs.resolve_job_def(name).execute_in_process(raise_on_error=False) for name in ("fine", "fails", "fine")
    ]
    found = {entry.data.tags["dagster_run_id"]: entry.info.status for entry in runs(home)}
    assert found == {
        result.run_id: status for result, status in zip(results, ("FINISHED", "FAILED", "FINISHED"), strict=True)
    }


def test_the_run_stays_open_until_the_last_step_in_process(home):
    seen = {}

    @dg.asset
    def one(tracking: Tracking):
        tracking.open("flights")
        seen["one"] = tracking.run_id

    @dg.asset(deps=[one])
    def two(tracking: Tracking):
        tracking.open("flights")
        seen["two"] = tracking.run_id
        seen["status"] = tracking.client.get_run(tracking.run_id).info.status

    assert run([one, two]).success
    assert seen["one"] == seen["two"]
    assert seen["status"] == "RUNNING"
    assert [entry.info.status for entry in runs(home)] == ["FINISHED"]


def test_each_model_has_an_experiment_of_its_own_and_a_run_trains_one(home):
    @dg.asset
    def weather(tracking: Tracking):
        tracking.open("weather")

    assert run([good]).success
    assert run([weather]).success
    assert [len(runs(home, name)) for name in ("flights", "weather")] == [1, 1]
    with pytest.raises(RuntimeError, match="One run trains one model: materialize the assets of"):
        dg.materialize([good, weather], resources={"tracking": Tracking()})


def test_a_step_that_logs_nothing_leaves_no_run(home):
    @dg.asset
    def quiet(tracking: Tracking):
        return None

    assert run([quiet]).success
    assert open_client(home).get_experiment_by_name("flights") is None


def test_a_failure_of_an_untracked_step_in_process_counts(home):
    @dg.asset(deps=[good])
    def later():
        raise RuntimeError("elsewhere")

    assert not run([good, later]).success
    assert [entry.info.status for entry in runs(home)] == ["FAILED"]


def test_a_step_that_succeeds_at_the_second_try_is_no_failure(home):
    tries = []

    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
    def flaky(tracking: Tracking):
        tracking.open("flights")
        tries.append(tracking.run_id)
        if len(tries) == 1:
            raise RuntimeError("once")

    assert run([flaky]).success
    assert tries[0] == tries[1]
    assert [entry.info.status for entry in runs(home)] == ["FINISHED"]


def test_an_interrupted_run_is_killed(home):
    @dg.asset
    def stopped(tracking: Tracking):
        tracking.open("flights")
        raise KeyboardInterrupt

    assert not run([stopped]).success
    assert [entry.info.status for entry in runs(home)] == ["KILLED"]


EXECUTE = """
import sys
import dagster as dg
import tracking_job
with dg.DagsterInstance.local_temp(sys.argv[1]) as instance:
    with dg.execute_job(dg.reconstructable(tracking_job.two_processes_job), instance=instance) as result:
        print(result.success, instance.get_run_by_id(result.run_id).tags[sys.argv[2]])
"""


def test_steps_in_processes_of_their_own_share_one_run(home, tmp_path):
    # In a fresh interpreter, as the daemon starts it: a fork server that another test started has that test's home.
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, str(tmp_path), RUN_TAG],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    success, tagged = done.stdout.split()[-2:]
    assert success == "False"
    (only,) = runs(home)
    assert only.info.run_id == tagged
    assert only.info.status == "FAILED"
    assert only.data.params == {"step": "first"}
    assert only.data.metrics == {"steps_seen": 1.0}


def test_a_step_that_resumes_reopens_and_ends_the_run_again(home):
    with dg.DagsterInstance.ephemeral() as instance:
        first = run([good], instance=instance)
        dagster_run = instance.get_run_by_id(first.run_id)
        context = dg.InitResourceContext(
            resource_config={}, resources=None, resource_def=None, all_resource_defs={}, instance=instance,
            dagster_run=dagster_run,
        )  # fmt: skip
        with Tracking().yield_for_execution(context) as tracking:
            tracking.open("flights")
            assert tracking.run_id == dagster_run.tags[RUN_TAG]
            assert tracking.client.get_run(tracking.run_id).info.status == "RUNNING"
    assert [entry.info.status for entry in runs(home)] == ["FINISHED"]


def test_the_run_of_a_killed_dagster_run_is_settled_once(home):
    with dg.DagsterInstance.ephemeral() as instance:
        result = run([good], instance=instance)
        dagster_run = instance.get_run_by_id(result.run_id)
        client, run_id = open_client(home), dagster_run.tags[RUN_TAG]
        client.update_run(run_id, status="RUNNING")
        experiment = client.get_run(run_id).info.experiment_id
        client.create_logged_model(experiment, name="flights", source_run_id=run_id)
        instance.report_run_failed(dagster_run)
        assert settle(instance, dagster_run, home=home) == "FAILED"
        assert settle(instance, dagster_run, home=home) is None
        assert client.get_run(run_id).info.status == "FAILED"
        assert list(client.search_logged_models([experiment])) == [], "what was logged and not registered is gone"


def test_a_dagster_run_without_tracking_has_nothing_to_settle(home):
    @dg.asset
    def plain():
        return None

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([plain], instance=instance)
        assert settle(instance, instance.get_run_by_id(result.run_id), home=home) is None


def test_two_homes_in_one_process_keep_to_themselves(home, tmp_path, monkeypatch):
    other = Home(tmp_path / "other")
    other.mlflow.mkdir(parents=True)
    shutil.copy(home.mlflow / "mlflow.db", other.mlflow / "mlflow.db")
    before = {key: value for key, value in os.environ.items() if key.startswith("MLFLOW_")}
    run([good])
    monkeypatch.setenv("MLOPS_HOME", str(other.root))
    run([good])
    after = {key: value for key, value in os.environ.items() if key.startswith("MLFLOW_")}
    assert {key: after.get(key) for key in before} == before
    assert "MLFLOW_TRACKING_URI" not in after
    assert len(runs(home)) == len(runs(other)) == 1
    assert runs(other)[0].info.artifact_uri.startswith(other.mlflow.as_uri())


def test_an_open_run_of_someone_else_is_left_alone(home):
    import mlflow

    mlflow.set_tracking_uri(home.mlflow_uri)
    mlflow.set_experiment("notebook")
    foreign = mlflow.start_run()
    try:
        with pytest.raises(RuntimeError, match=r"mlflow\.end_run\(\)"):
            dg.materialize([good], resources={"tracking": Tracking()})
        assert mlflow.active_run().info.run_id == foreign.info.run_id
    finally:
        mlflow.end_run()
        mlflow.set_tracking_uri(None)


def test_everything_logged_is_found_again(home, tmp_path):
    note = tmp_path / "note.txt"
    note.write_text("kept")

    @dg.asset
    def logs(tracking: Tracking):
        tracking.open("flights")
        tracking.log_params({f"p{k}": k for k in range(150)})
        tracking.log_metrics({"auc": 0.71, "rows": 1000})
        tracking.log_curve("valid_auc", [0.5, 0.6, 0.65])
        tracking.log_text("# hello", "report.md")
        tracking.log_dict({"a": [1, 2]}, "table.json")
        tracking.log_artifact(note, "notes")
        tracking.log_dataset(
            "flights/training_set", digest="f" * 64, source="lake/x.parquet", schema={"x": "double"}, rows=10
        )

    assert run([logs], extra_tags={"team": "data"}).success
    (only,) = runs(home)
    client = open_client(home)
    assert only.data.params["p149"] == "149"
    assert len(only.data.params) == 150
    assert only.data.metrics == {"auc": 0.71, "rows": 1000.0, "valid_auc": 0.65}
    assert [point.step for point in client.get_metric_history(only.info.run_id, "valid_auc")] == [1, 2, 3]
    assert {entry.path for entry in client.list_artifacts(only.info.run_id)} == {
        "report.md",
        "table.json",
        "notes",
    }
    (used,) = only.inputs.dataset_inputs
    assert used.dataset.digest == "f" * 36
    assert json.loads(used.dataset.profile) == {"num_rows": 10}
    assert only.data.tags["dataset.training"] == "f" * 64
    assert only.data.tags["team"] == "data"


def test_the_materialization_links_to_the_run_and_the_run_to_dagster(home):
    result = run([good], ui_url="http://mlflow.test:5000/")
    (only,) = runs(home)
    metadata = result.asset_materializations_for_node("good")[0].metadata
    address = f"http://mlflow.test:5000/#/experiments/{only.info.experiment_id}/runs/{only.info.run_id}"
    assert metadata["mlflow_run"].value == f"[run {only.info.run_id[:8]} in MLflow](<{address}>)"
    assert only.data.tags["dagster_run_id"] == result.run_id


def test_a_lost_store_fails_the_run_with_the_remedy(home):
    run([good])
    with_artifacts = home.mlflow / "artifacts" / "flights"
    with_artifacts.mkdir(parents=True, exist_ok=True)
    (home.mlflow / "mlflow.db").unlink()
    with pytest.raises(MlflowUnavailable, match="Restore the file from a backup"):
        dg.materialize([good], resources={"tracking": Tracking()})


def test_outside_a_run_the_error_says_how_to_open_one(home):
    with pytest.raises(RuntimeError, match="yield_for_execution"):
        Tracking().run_id  # noqa: B018
