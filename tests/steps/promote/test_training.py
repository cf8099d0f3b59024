"""From rows to a champion on real flights: the same bytes each time, and clear words where it can't be done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.models.model import Model, fit
from mlops_assets.core.models.training import CannotTrain
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.steps.promote.judging import judge
from mlops_assets.steps.promote.training import prepare, train
from mlops_assets.world.columns import slice_columns
from mlops_assets.world.model_data import AVAILABLE_AT
from tests.real_slice import World

NewWorld = Callable[..., World]
EARLY = date(2013, 1, 28)


@pytest.fixture
def early(new_world: NewWorld) -> World:
    """A world in January: twelve thousand rows, quick to train on."""
    return at(new_world(), EARLY)


def at(world: World, day: date) -> World:
    world.at(day)
    return world


def trained(world: World) -> tuple[dict[str, Any], bytes]:
    prepare(world.platform, world.model)
    record, _, model = train(world.platform, world.model, run_id="none")
    return record, model.to_bytes()


def change_labels(world: World, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    lake = world.platform.lake
    for path in lake.partitions("labels", world.model.label.model).values():
        lake.write(change(pd.read_parquet(path)), path)


def change_features(world: World, view: str, **values: Any) -> None:
    lake = world.platform.lake
    for path in lake.partitions("features", view).values():
        lake.write(pd.read_parquet(path).assign(**values), path)


def test_the_same_rows_and_settings_give_the_same_bytes(early: World) -> None:
    record, content = trained(early)
    again, same = trained(early)
    assert same == content
    assert (again["training_set"], again["judged_sha256"]) == (record["training_set"], record["judged_sha256"])
    assert record["model_file"].read_bytes() == content
    other, different = trained(early.with_settings(training={"seed": 14}))
    assert other["training_set"] == record["training_set"]
    assert different != content


def test_the_set_of_a_record_stands_before_its_gate(early: World) -> None:
    record = prepare(early.platform, early.model)
    assert record["known_by"] == record["gate_start"]
    assert record["last_event"] < record["gate_start"] < record["gate_end"] <= record["as_of"]
    assert early.platform.record(early.model.name, "training_set") == record


def test_a_challenger_of_another_set_is_not_judged(early: World) -> None:
    trained(early)
    early.at(date(2013, 1, 30))
    prepare(early.platform, early.model)
    with pytest.raises(CannotJudge, match="was trained on another training set than the newest"):
        judge(early.platform, early.model, decision_id="none")
    assert early.platform.registry.versions(early.model.name) == []


def test_a_step_without_the_one_before_says_which(early: World) -> None:
    with pytest.raises(FileNotFoundError, match="flight_delay/training_set has not been materialized"):
        train(early.platform, early.model, run_id="none")


def test_one_class_only_cannot_be_trained_on(early: World) -> None:
    change_labels(early, lambda frame: frame.assign(is_late=frame["is_late"].where(frame["is_late"].isna(), 0)))
    prepare(early.platform, early.model)
    with pytest.raises(CannotTrain, match=r"all .* labels are 0, one class only. .* Champion and data are as they"):
        train(early.platform, early.model, run_id="none")
    assert not (early.home.lake / "models" / early.model.name / "challenger.json").exists()


def test_one_class_only_in_the_gate_window_is_no_promotion(early: World) -> None:
    _, content = trained(early)
    gate_start = pd.Timestamp(early.platform.record(early.model.name, "training_set")["gate_start"])

    def calm(frame: pd.DataFrame) -> pd.DataFrame:
        judged = (frame["event_timestamp"] >= gate_start) & frame["is_late"].notna()
        return frame.assign(is_late=frame["is_late"].mask(judged, 0))

    change_labels(early, calm)
    with early_run(early) as run_id:
        rewrite_run(early, run_id)
        verdict = judge(early.platform, early.model, decision_id="d1").verdict
    assert (verdict.promote, verdict.judged) == (False, False)
    assert "one class" in verdict.reason or "both classes" in verdict.reason
    assert early.aliases() == {}
    assert Model.from_bytes(content).sha256 == early.platform.registry.version(early.model.name, 1).sha256


def early_run(world: World) -> Any:
    """An MLflow run to register under."""
    from contextlib import contextmanager

    @contextmanager
    def opened() -> Any:
        client = world.platform.registry.client
        experiment = client.create_experiment("tests", (world.home.mlflow / "artifacts" / "tests").as_uri())
        yield client.create_run(experiment).info.run_id

    return opened()


def rewrite_run(world: World, run_id: str) -> None:
    record = world.platform.record(world.model.name, "challenger")
    world.platform.write_record(world.model.name, "challenger", {**record, "mlflow_run": run_id})


def test_a_constant_feature_is_left_out(early: World) -> None:
    change_features(early, "feat_flight", distance_miles=1.0)
    prepare(early.platform, early.model)
    _, tuned, model = train(early.platform, early.model, run_id="none")
    assert "feat_flight__distance_miles" in tuned.dropped
    assert "feat_flight__distance_miles" not in model.recipe.names


def test_too_few_rows_leave_everything_as_it_was(new_world: NewWorld) -> None:
    world = at(new_world(training={"min_rows": 50_000}), EARLY)
    before = world.files()
    with pytest.raises(CannotJudge, match=r"50,000 are needed to train. Land more history"):
        prepare(world.platform, world.model)
    assert world.files() == before


def test_no_row_before_the_gate_window_leaves_everything_as_it_was(new_world: NewWorld) -> None:
    world = at(new_world(), date(2013, 1, 10))
    before = world.files()
    with pytest.raises(
        CannotJudge,
        match=r"0 labelled rows of the training window \(expanding\) are known before 2012-12-27 .* Land more history",
    ):
        prepare(world.platform, world.model)
    assert world.files() == before


def test_a_slice_that_is_no_column_is_named(early: World) -> None:
    crooked = early.with_settings(monitoring={"slices": ["origin", "airport"]})
    rows = pd.DataFrame({"origin": ["EWR"], "feat_flight__month_of_year": [1]})
    with pytest.raises(ValueError, match=r"monitoring.slices names 'airport', .* Correct the name"):
        slice_columns(crooked.model, rows)
    named = early.with_settings(monitoring={"slices": ["month_of_year"]})
    assert slice_columns(named.model, rows) == ["feat_flight__month_of_year"]


def test_cancelled_flights_count_and_are_not_trained_on(early: World) -> None:
    data = early.platform.data(early.model)
    as_of = early.platform.now(early.model)
    rows = data.events(as_of=as_of)
    assert (rows["outcome"] == "cancelled").sum() > 100
    stored = data.training_set(known_by=as_of).frame
    assert len(stored) == int((rows[AVAILABLE_AT] < pd.Timestamp(as_of)).sum())
    assert np.isfinite(stored["label"]).all()


def test_a_refit_unlike_its_judged_twin_gives_way_to_the_judged_model(early: World) -> None:
    """A sudden change just before the gate: the refit knows more of it than what was judged better."""
    changed = pd.Timestamp("2013-01-07", tz="UTC")

    def turned(frame: pd.DataFrame) -> pd.DataFrame:
        late = frame["event_timestamp"].dt.hour >= 18
        label = np.where(frame["event_timestamp"] < changed, ~late, late).astype(float)
        return frame.assign(is_late=frame["is_late"].mask(frame["is_late"].notna(), label))

    change_labels(early, turned)
    world = early.with_settings(gate={"twin_correlation": 0.99}, probe=replace(early.model.probe, folds=2))
    trained(world)
    with early_run(world) as run_id:
        rewrite_run(world, run_id)
        judged = judge(world.platform, world.model, decision_id="d1")
    assert judged.verdict.promote
    (rule,) = (rule for rule in judged.verdict.rules if rule.name == "twin_agrees")
    assert rule.passed
    assert rule.value < 0.99
    assert rule.sentence.endswith("the judged model itself ships in its place")
    record = world.platform.record(world.model.name, "evaluation")
    assert judged.shipped_sha256 == record["judged_parts"][-1]
    version = world.platform.registry.version(world.model.name, judged.version)
    assert version.sha256 == judged.shipped_sha256
    # What it was fitted on is stored, so that it can be made again; it ends where the newest part begins.
    data = world.platform.data(world.model)
    rows = data.load(version.tags["refit_set"], world.platform.now(world.model)).frame
    half = pd.Timestamp(world.platform.record(world.model.name, "training_set")["gate_end"]) - pd.Timedelta(days=7)
    assert half - pd.Timedelta(days=1) < rows["event_timestamp"].max() < half
    assert pd.Timestamp(version.tags["last_event"]) == rows["event_timestamp"].max()
    again = fit(Model.from_bytes(challenger_file(world)).recipe, rows, rows["label"].to_numpy())
    assert again.sha256 == judged.shipped_sha256


def challenger_file(world: World) -> bytes:
    sha256 = world.platform.record(world.model.name, "challenger")["judged_sha256"]
    return (world.home.lake / "models" / world.model.name / "candidates" / f"{sha256}.ubj").read_bytes()
