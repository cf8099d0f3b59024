"""A model of three classes lives a week: scores and labels that moved, every metric, money and groups, by its YAML.

Real flights with a made-up label: 0 on time, 1 on time and of a third of the flights, 2 late.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_sections import FairnessSpec
from mlops_assets.core.stats.metrics import metrics_for
from mlops_assets.steps.predict.predictions import BATCH, read_scores, score_days
from mlops_assets.steps.predict.references import read_reference, score_matrix, write_reference
from mlops_assets.steps.watch.against_baseline import guesses
from mlops_assets.steps.watch.drift_report import watch_drift
from mlops_assets.steps.watch.performance_report import watch_performance
from mlops_assets.world.home import Home
from tests.real_slice import COLD_START, WEEKS, World, copy_home, working_in

pytestmark = pytest.mark.slow

COSTS = {"right": 2.0, "wrong": -1.0, "2 as 0": -5.0}
PER_CLASS = ["score_0", "score_1", "score_2"]


def of_classes(model: ModelSettings) -> ModelSettings:
    monitoring = model.monitoring.model_copy(
        update={
            "costs": COSTS,
            "metrics": [name for name in metrics_for("multiclass") if name != "log_loss"],
            "fairness": FairnessSpec(by=("origin",), window="49d"),
        }
    )
    return model.model_copy(update={"task": "multiclass", "metric": "log_loss", "monitoring": monitoring})


def in_three(rows: pd.DataFrame) -> pd.DataFrame:
    code = np.where(rows["is_late"] == 1, 2.0, np.where(rows.index % 3 == 1, 1.0, 0.0))
    return rows.assign(is_late=np.where(rows["is_late"].isna(), np.nan, code))


@pytest.fixture(scope="module")
def lived(slice_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with working_in(Home(tmp_path_factory.mktemp("classes") / "home")) as home:
        world = World.of(copy_home(slice_home, home.root), training={"max_rounds": 1})
        for path in world.platform.lake.partitions("labels", world.model.label.model).values():
            world.platform.lake.write(in_three(pd.read_parquet(path)), path)
        world = World(world.home, of_classes(world.model))
        world.at(COLD_START)
        world.tick()
        world.at(WEEKS[1])
        score_days(world.platform, world.model, [day.date() for day in pd.date_range(WEEKS[0], periods=7)])
        watch_performance(world.platform, world.model)
        yield world


def summary(world: World, report: str) -> dict:
    (path,) = world.platform.lake.folder("reports", world.model.name, report).glob("window=*/summary.json")
    return json.loads(path.read_text())


def scores_check(world: World) -> dict:
    return next(c for c in summary(world, "drift")["checks"] if c["name"] == "predictions_match_reference")


def known_rows(world: World) -> tuple[np.ndarray, np.ndarray]:
    rows = read_scores(world.platform, world.model, *WEEKS[:2])
    events = world.platform.data(world.model).events(*WEEKS[:2], as_of=world.platform.now(world.model))
    both = rows.merge(events[["flight_id", "label"]], on="flight_id").dropna(subset="label")
    return both["label"].to_numpy(), score_matrix(both)


def test_every_metric_and_the_profit_are_scikit_learns(lived: World) -> None:
    assert lived.aliases() == {"champion": 1}
    y, s = known_rows(lived)
    calls = s.argmax(axis=1)
    found = {name: one["value"] for name, one in summary(lived, "performance")["performance"]["metrics"].items()}
    assert found.keys() == {*metrics_for("multiclass"), "profit"}
    assert found["log_loss"] == pytest.approx(sk.log_loss(y, s))
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(y, s, multi_class="ovr"))
    assert found["recall"] == pytest.approx(sk.recall_score(y, calls, average="macro"))
    table = np.array([[2, -1, -1], [-1, 2, -1], [-5, -1, 2]])
    assert found["profit"] == pytest.approx((sk.confusion_matrix(y, calls) * table).sum() / len(y))


def test_labels_estimates_and_groups_are_told_of_classes_too(lived: World) -> None:
    told = summary(lived, "performance")
    estimated = told["estimated"]
    assert estimated["log_loss"]["lower"] < told["performance"]["metrics"]["log_loss"]["value"]
    assert estimated["profit"]["lower"] < estimated["profit"]["value"] < estimated["profit"]["upper"]
    assert told["label_drift"]["what"].startswith("share of class ")
    assert told["label_maturity"]["early_of"] == "share of class 2"  # late flights land late
    assert told["label_maturity"]["early"][0]["difference"] < 0
    assert {one["measure"] for one in told["fairness"]} >= {"accuracy"}
    assert [check["name"] for check in told["checks"]] == [
        "performance_holds",
        "fairness_holds",
        "not_worse_than_guessing",
    ]


def test_of_classes_guessing_says_their_shares_in_training(lived: World) -> None:
    platform, model = lived.platform, lived.model
    told = summary(lived, "performance")
    version = told["version"]
    (shares,) = guesses(platform, model, version, 1)
    assert shares.sum() == pytest.approx(1.0)
    assert len(shares) == int(platform.registry.load(model.name, version).recipe.params["num_class"])
    rows = read_scores(platform, model, *WEEKS[:2])
    labels = platform.data(model).events(*WEEKS[:2], as_of=platform.now(model))
    known = rows.merge(labels[["flight_id", "label"]], on="flight_id")["label"].dropna().astype(int)
    compared = told["guessing"]["compared"]
    assert compared["n"] == len(known)
    assert compared["baseline"] == pytest.approx(-np.log(shares[known]).mean())


def test_a_class_that_is_foreseen_less_is_drift_of_the_scores(lived: World, tmp_path: Path) -> None:
    """Two classes trade their scores: the score of the likeliest, which stands for all of them, is what it was."""
    watch_drift(lived.platform, lived.model)
    before = scores_check(lived)
    assert list(read_reference(lived.platform.lake, "flight_delay", 1).scores.grid.features) == ["score", *PER_CLASS]
    with working_in(Home(tmp_path / "home")) as home:
        world = World(copy_home(lived.home, home.root), lived.model)
        for path in world.platform.lake.partitions("predictions", "flight_delay", name=BATCH).values():
            rows = pd.read_parquet(path)
            world.platform.lake.write(rows.assign(score_0=rows["score_1"], score_1=rows["score_0"]), path)
        watch_drift(world.platform, world.model)
        after = scores_check(world)
        folder = world.platform.lake.folder("reports", "flight_delay", "drift", "window=2013-02-18T0500")
        table = pd.read_parquet(folder / "features.parquet").set_index("feature")["psi"]
    assert before["passed"] is True
    assert after["passed"] is False
    assert after["sentence"].startswith("The scores' PSI of class ")
    assert table["score"] < 0.2 < table[["score_0", "score_1"]].min()


def test_a_reference_of_before_classes_were_watched_is_still_read(lived: World, tmp_path: Path) -> None:
    with working_in(Home(tmp_path / "home")) as home:
        world = World(copy_home(lived.home, home.root), lived.model)
        kept, columns = read_reference(world.platform.lake, "flight_delay", 1), world.platform.data(world.model).columns
        scores = read_scores(world.platform, world.model, *WEEKS[:2])["score"].to_numpy()
        write_reference(world.platform.lake, "flight_delay", 1, kept.sample, columns=columns, scores=scores)
        shutil.rmtree(world.platform.lake.folder("reports", "flight_delay", "drift"))
        watch_drift(world.platform, world.model)
        found = scores_check(world)
    assert found["sentence"] == "The scores' PSI is 0 (limit 0.2)."
