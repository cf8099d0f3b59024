"""A user's own asset with dagster-mlflow's resource, as that library documents it: with its hook, and without."""

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_mlflow import end_mlflow_on_run_finished

from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.own_assets import own_mlflow
from mlops_assets.world.mlflow.run_status import RUN_TAG
from mlops_assets.world.mlflow.store import open_client

ROOT = Path(__file__).parents[3]


@dg.asset(required_resource_keys={"mlflow"})
def churn_rate(context: dg.AssetExecutionContext) -> None:
    context.resources.mlflow.log_metric("rate", 0.25)


@dg.asset(required_resource_keys={"mlflow"})
def broken(context: dg.AssetExecutionContext) -> None:
    context.resources.mlflow.log_param("step", "one")
    raise RuntimeError("no data")


def runs(home: Home, experiment: str = "own_assets") -> list[Any]:
    client = open_client(home)
    ids = [client.get_experiment_by_name(experiment).experiment_id]
    return client.search_runs(ids, order_by=["attributes.start_time ASC", "attributes.run_name ASC"])


@pytest.mark.parametrize("hooks", [{end_mlflow_on_run_finished}, set()])
def test_each_run_is_one_of_its_own_and_ends_with_its_status(home: Home, hooks: set[Any]) -> None:
    jobs = dg.Definitions(
        assets=[churn_rate, broken],
        resources={"mlflow": own_mlflow(home.root, "http://ui")},
        jobs=[dg.define_asset_job(name, [name], hooks=hooks) for name in ("churn_rate", "broken")],
    )
    names = ("churn_rate", "broken", "churn_rate")
    done = [jobs.resolve_job_def(name).execute_in_process(raise_on_error=False) for name in names]
    logged = {run.data.tags["dagster_run_id"]: run for run in runs(home)}
    assert [logged[run.run_id].info.status for run in done] == ["FINISHED", "FAILED", "FINISHED"]
    assert [logged[run.run_id].data.metrics for run in done] == [{"rate": 0.25}, {}, {"rate": 0.25}]
    assert logged[done[1].run_id].data.params == {"step": "one"}


def test_an_ad_hoc_materialization_is_seen_in_both_places(home: Home) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(
            [churn_rate],
            resources={"mlflow": own_mlflow(home.root, "http://ui")},
            run_config={"resources": {"mlflow": {"config": {"experiment": "churn"}}}},
            instance=instance,
        )
        record = instance.get_run_by_id(done.run_id)
    (run,) = runs(home, "churn")
    assert record is not None
    assert (run.info.status, run.data.tags["dagster_run_id"], record.tags[RUN_TAG]) == (
        "FINISHED",
        done.run_id,
        run.info.run_id,
    )


def test_the_example_of_the_docs_runs(home: Home) -> None:
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page.partition("## Your own assets in MLflow")[2], re.DOTALL)
    made: dict[str, Any] = {}
    exec(compile(example, "docs/training.md", "exec", dont_inherit=True), made)
    assert dg.materialize([made["late_share"]], resources={"mlflow": own_mlflow(home.root, "http://ui")}).success
    (run,) = runs(home)
    assert run.data.metrics == {"late_share": 0.21}


def test_a_resource_that_a_project_has_of_its_own_stays(home: Home) -> None:
    from mlops_assets.definitions import over

    theirs = dg.Definitions(resources={"mlflow": "of the project"})
    assert (over(theirs, home).resources or {})["mlflow"] == "of the project"
    assert isinstance((over(dg.Definitions(), home).resources or {})["mlflow"], dg.ResourceDefinition)
