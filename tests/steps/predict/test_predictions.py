"""Scoring days of real flights: who scores, what is written, and that a correction keeps the author."""

from __future__ import annotations

import json
from datetime import date

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.models.matrix import CannotTransform
from mlops_assets.core.models.model import Model
from mlops_assets.core.time.windows import midnight
from mlops_assets.simulate.engine import RunFailed
from mlops_assets.steps.predict.predictions import SCORE, VERSION, read_scores, score_days
from mlops_assets.steps.watch.performance_report import watch_performance
from mlops_assets.world.home import Home
from tests.real_slice import WEEKS, World, working_in

DAY = date(2013, 2, 20)


@pytest.fixture
def reading(drifting_home: Home):
    with working_in(drifting_home):
        yield World.of(drifting_home)


def test_each_event_of_a_day_has_one_score_with_version_features_and_their_times(reading: World) -> None:
    rows = read_scores(reading.platform, reading.model, DAY, date(2013, 2, 21))
    events = reading.platform.data(reading.model).events(DAY, date(2013, 2, 21), as_of=midnight(WEEKS[-1], "UTC"))
    assert rows["flight_id"].is_unique
    assert set(rows["flight_id"]) == set(events["flight_id"])  # cancelled ones too: nobody knew that before
    assert rows[SCORE].between(0, 1).all()
    assert (rows[VERSION] == 1).all()
    assert "label" not in rows
    assert "label_available_at" not in rows
    for view in reading.model.features:
        times = rows[f"{view}__event_timestamp"]
        assert (times.dropna() <= rows.loc[times.notna(), "event_timestamp"]).all()
    champion = reading.platform.registry.load(reading.model.name, 1)
    assert champion.predict(rows).tolist() == pytest.approx(rows[SCORE].tolist(), abs=1e-7)


def test_bounds_beside_a_prediction_are_those_of_the_gates_errors(drifting: World) -> None:
    """A chance, taken for a prediction of the label itself."""
    monitoring = drifting.model.monitoring.model_copy(update={"interval": 0.8})
    model = drifting.model.model_copy(update={"monitoring": monitoring})
    score_days(drifting.platform, model, [DAY])
    rows = read_scores(drifting.platform, model, DAY, date(2013, 2, 21))
    kept = pd.read_parquet(drifting.home.lake / "references" / "flight_delay" / "version=1" / "outcomes.parquet")
    errors = kept["label"] - kept["score"]
    below, above = np.quantile(errors, [0.1, 0.9])
    assert (rows["score_lower"] - rows[SCORE]).to_numpy() == pytest.approx(below, abs=0.01)
    assert (rows["score_upper"] - rows[SCORE]).to_numpy() == pytest.approx(above, abs=0.01)
    for file in (drifting.home.lake / "references" / "flight_delay" / "version=1").glob("outcomes.*"):
        file.unlink()
    score_days(drifting.platform, model, [DAY])
    rows = read_scores(drifting.platform, model, DAY, date(2013, 2, 21))
    assert rows[["score_lower", "score_upper"]].isna().all(axis=None)
    watch_performance(drifting.platform, model)
    folder = drifting.platform.lake.folder("reports", "flight_delay", "performance", "window=2013-02-18T0500")
    found = json.loads((folder / "summary.json").read_text())["performance"]["metrics"]["interval_coverage"]
    assert found["value"] is None
    assert "there are no rows" in found["why"]


def test_without_a_champion_nothing_is_scored(new_world) -> None:
    world = new_world()
    assert score_days(world.platform, world.model, [DAY]) is None
    assert not (world.home.lake / "predictions").exists()


def test_scoring_again_changes_no_byte(drifting: World) -> None:
    before = drifting.files()
    scored = score_days(drifting.platform, drifting.model, [DAY])
    assert scored is not None
    assert scored.versions == {"1": scored.rows[DAY]}
    assert drifting.files() == before


def test_a_corrected_day_is_scored_by_its_own_version(drifting: World) -> None:
    drifting.tick()
    assert drifting.aliases() == {"champion": 2, "previous": 1}
    lake = drifting.platform.lake
    path = lake.partitions("features", "feat_flight")[DAY]
    lake.write(pd.read_parquet(path).assign(distance_miles=5_000), path)
    new = date(2013, 3, 5)
    scored = score_days(drifting.platform, drifting.model, [DAY, new])
    assert scored is not None
    assert scored.versions == {"1": scored.rows[DAY], "2": scored.rows[new]}
    rows = read_scores(drifting.platform, drifting.model, DAY, date(2013, 2, 21))
    assert (rows["feat_flight__distance_miles"] == 5_000).all()


def test_a_row_that_the_transformer_does_not_take_is_named_with_the_remedy_and_not_tried_again(
    drifting: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a version of before fits were tried on all sizes of numbers: box-cox meets its first zero."""
    tries = list[pd.DataFrame]()

    def refusing(_: Model, rows: pd.DataFrame) -> np.ndarray:
        tries.append(rows)
        raise CannotTransform("can only be applied to strictly positive data", 3)

    world = drifting.with_settings(training={"pipeline": "scaled.skops"})
    file = world.home.root / "pipelines" / "scaled.skops"
    file.parent.mkdir()
    file.touch()
    monkeypatch.setattr(Model, "predict", refusing)
    with pytest.raises(RunFailed, match=r"strictly positive data\)\. No day of them was written\.") as failed:
        world.watch(WEEKS[0], WEEKS[1])
    (rows,) = tries
    row = rows.iloc[3]
    said = str(failed.value)
    assert f"the row of flight_id {row.flight_id}" in said
    assert f"at {row.event_timestamp.isoformat()}, the first" in said
    assert f"Correct {file} so that it takes such values, run `mlops retrain flight_delay --reason '...'`" in said


def test_a_day_without_events_has_no_file(world: World) -> None:
    empty = date(2012, 12, 30)
    scored = score_days(world.platform, world.model, [empty])
    assert scored is not None
    assert scored.rows == {}
    assert list(world.platform.lake.partitions("predictions", world.model.name, name="batch")) == []
