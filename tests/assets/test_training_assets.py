"""What the training assets show: checks, versions, metadata, and failures that leave everything as it was."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.assets.training_assets import GATE_CHECK, UPSTREAM_CHECK
from mlops_assets.core.limits.ranges import WrongSetting
from mlops_assets.core.models.training import CannotTrain
from mlops_assets.core.settings_sections import PerformanceSpec
from mlops_assets.simulate.engine import RunFailed
from mlops_assets.steps.promote import training
from tests.real_slice import World
from tests.support import linked

MODEL = "flight_delay"


def key(step: str) -> dg.AssetKey:
    return dg.AssetKey([MODEL, step])


def test_a_run_shows_what_it_made(drifting: World) -> None:
    (run,) = drifting.tick().runs
    made = {
        event.asset_key.path[-1]: event.step_materialization_data.materialization
        for event in run.get_asset_materialization_events()
        if event.asset_key
    }
    assert set(made) == {"training_set", "challenger", "evaluation", "champion"}
    registry = drifting.platform.registry
    version = registry.version(MODEL, 2)
    data_versions = {
        step: made[step].tags["dagster/data_version"] for step in ("training_set", "challenger", "champion")
    }
    assert data_versions == {
        "training_set": version.tags["training_set"],
        "challenger": version.tags["judged_sha256"],
        "champion": version.sha256,
    }
    assert made["training_set"].metadata["dagster/row_count"].value > 15_000
    assert version.run_id in made["challenger"].metadata["mlflow_run"].value
    for step, told in (("challenger", "importance"), ("evaluation", "slices")):
        assert made[step].metadata[told].value.startswith("|")
    prepared = drifting.platform.record(MODEL, "training_set")
    assert linked(made["training_set"].metadata["path"]) == Path(prepared["path"])
    assert made["training_set"].metadata["gate_window"].value == "2013-02-18 05:00 to 2013-03-04 05:00 UTC"
    assert all(
        len(f"{value}") < 10
        for value in made["challenger"].metadata["params"].data.values()
        if value != "binary:logistic"
    )
    # What a person sees first: the decision's reason, the gate's, and each with its picture.
    decision = drifting.ledger("decision")[-1]["id"]
    assert made["training_set"].metadata["reason"].value.endswith(f"explain {decision}`")
    assert "drifted" in made["training_set"].metadata["reason"].value
    assert made["evaluation"].metadata["reason"].value.startswith("roc_auc")
    for step in ("challenger", "evaluation"):
        assert made[step].metadata["plot"].value.startswith("![")
    # Dagster shows a table as wide as it is beside everything else, and cuts what does not fit.
    head = made["evaluation"].metadata["slices"].value.splitlines()[0]
    assert head.count("|") - 1 <= 7, head
    rules = made["evaluation"].metadata["rules"].value.splitlines()
    verdict = drifting.platform.record(MODEL, "evaluation")["verdict"]
    for line, rule in zip(rules, verdict["rules"], strict=True):
        assert line.startswith(f"- passed *{rule['name']}* (")
        assert max(map(len, line.split())) <= 32, "a list breaks its lines, if its words are short"
    assert re.match(r"- passed \*beats_champion\* \([\d.]+, limit 0\.0000\): roc_auc", rules[0])
    checks = {check.check_name: check for check in run.get_asset_check_evaluations()}
    assert (checks[UPSTREAM_CHECK].passed, checks[UPSTREAM_CHECK].blocking) == (True, True)
    assert (checks[GATE_CHECK].passed, checks[GATE_CHECK].severity) == (True, dg.AssetCheckSeverity.WARN)

    logged = registry.client.get_run(version.run_id)
    assert logged.data.tags["dagster_run_id"] == run.run_id
    assert logged.data.tags["dataset.training"] == version.tags["training_set"]
    assert {"learning_rate", "rounds", "seed", "training_set", "code_version"} <= logged.data.params.keys()
    assert {
        "validation_score",
        "gate_challenger",
        "gate_champion",
        "gate_gain_over_champion",
    } <= logged.data.metrics.keys()
    assert logged.inputs.dataset_inputs[0].dataset.digest == version.tags["training_set"][:36]
    names = {file.path for file in registry.client.list_artifacts(version.run_id)}
    assert {"feature_importance.svg", "validation_curve.svg", "trials.json"} <= names
    curve = registry.client.get_metric_history(version.run_id, "validation_auc")
    assert len(curve) >= int(logged.data.params["rounds"])


def test_a_grid_over_folds_is_tried_and_judged_like_any_training(drifting: World) -> None:
    world = drifting.with_settings(training={"search": "grid", "cv": 2, "params": {"max_depth": [2, 3]}})
    (run,) = world.tick().runs
    assert run.success
    version = world.platform.registry.version(MODEL, 2)
    logged = world.platform.registry.client.get_run(version.run_id)
    assert logged.data.params["max_depth"] in ("2", "3")
    (made,) = [
        event.step_materialization_data.materialization
        for event in run.get_asset_materialization_events()
        if event.asset_key == key("challenger")
    ]
    assert made.metadata["trials"].value == 2


def test_a_fit_that_breaks_is_tried_again_as_often_as_agreed(drifting: World, monkeypatch: pytest.MonkeyPatch) -> None:
    train, tries = training.train, list[int]()

    def breaking(*values: Any, **named: Any) -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("the machine had no memory left")
        return train(*values, **named)

    monkeypatch.setattr(training, "train", breaking)
    world = drifting.with_settings(training={"retries": 1, "retry_delay": "1s"})
    (run,) = world.tick().runs
    assert (run.success, len(tries)) == (True, 2)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (WrongSetting("training.params.subsample is 1.5: write less"), "subsample is 1.5"),
        (CannotTrain("all rows are of one day", "Wait for more days."), "all rows are of one day"),
    ],
)
def test_what_the_settings_or_the_data_are_at_fault_for_is_not_tried_again(
    drifting: World, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    tries = list[int]()

    def refusing(*values: Any, **named: Any) -> Any:
        tries.append(1)
        raise error

    monkeypatch.setattr(training, "train", refusing)
    world = drifting.with_settings(training={"retries": 3, "retry_delay": "1s"})
    with pytest.raises(RunFailed, match=sentence):
        world.tick()
    assert len(tries) == 1
    assert world.aliases() == {"champion": 1}


def test_a_column_that_there_is_not_is_refused_before_anything_is_joined(drifting: World) -> None:
    world = drifting.with_settings(monitoring={"performance": PerformanceSpec(blocks="customer")})
    with pytest.raises(RunFailed, match=r"training_set: .*monitoring.performance.blocks names 'customer'"):
        world.engine.execute(dg.RunRequest(job_name="retrain"), only=[key("training_set")])
    assert world.aliases() == {"champion": 1}


def test_each_step_can_be_materialized_again_by_itself(drifting: World) -> None:
    drifting.tick()
    aliases, told = drifting.aliases(), drifting.ledger()
    again = dg.RunRequest(job_name="retrain")
    run = drifting.engine.execute(again, only=[key("evaluation"), key("champion")])
    # By hand it is another decision: the same model is judged against the champion that it has become.
    assert run.success
    assert drifting.aliases()["champion"] == aliases["champion"]
    assert len(drifting.ledger("rejection", "promotion")) == len([e for e in told if e["kind"] == "promotion"]) + 1
    made = next(e for e in run.get_asset_materialization_events() if e.asset_key == key("evaluation"))
    assert made.step_materialization_data.materialization.metadata["verdict"].value == "reject"


@pytest.mark.parametrize("step", ["challenger", "evaluation"])
def test_a_step_whose_predecessor_never_ran_says_so(new_world, step: str) -> None:
    world = new_world()
    with pytest.raises(RunFailed, match=rf"failed in {MODEL}_{step}: .* has not been materialized in"):
        world.engine.execute(dg.RunRequest(job_name="retrain"), only=[key(step)])
    assert world.aliases() == {}


def test_mlflows_lost_file_stops_the_run_and_tells(drifting: World) -> None:
    (request,), _ = drifting.engine.requests(drifting.sensor)
    before = drifting.files()
    (drifting.home.mlflow / "mlflow.db").rename(drifting.home.mlflow / "away")
    with pytest.raises(RunFailed):
        drifting.engine.execute(request)
    (alert,) = drifting.alerts()
    assert "failed in flight_delay_training_set" in alert.happened
    assert "mlflow.db is gone, but its artifacts" in alert.happened
    assert "Restore the file from a backup" in alert.happened
    assert drifting.files() == before
    (drifting.home.mlflow / "away").rename(drifting.home.mlflow / "mlflow.db")
    assert drifting.aliases() == {"champion": 1}


def test_a_tampered_training_set_is_not_trained_on(drifting: World) -> None:
    import pandas as pd

    job = dg.RunRequest(job_name="retrain")
    drifting.engine.execute(job, only=[key("training_set")])
    path = drifting.platform.record(MODEL, "training_set")["path"]
    frame = pd.read_parquet(path)
    drifting.platform.lake.write(
        frame.assign(label=1 - frame["label"]), drifting.home.lake / "training_sets" / path.rsplit("/", 1)[1]
    )
    with pytest.raises(RunFailed, match="was changed after it was written"):
        drifting.engine.execute(job, only=[key("challenger")])
    assert drifting.aliases() == {"champion": 1}
