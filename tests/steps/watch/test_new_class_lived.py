"""A class that comes and one that goes, through every step: said on its first day, judged, trained, promoted, served.

Real flights with a made-up label: 0 on time, 1 on time and of a third of the flights, 2 late. From 21 February a third
of JFK's flights are of class 3; from 4 March none is of class 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.settings import ModelSettings
from mlops_assets.steps.decide.evidence import gather
from mlops_assets.steps.decide.probe import probe
from mlops_assets.steps.predict.predictions import BATCH, read_scores
from mlops_assets.steps.predict.references import score_matrix
from mlops_assets.steps.watch.classes import CLASSES_CHECK, watch_classes
from mlops_assets.world.home import Home
from tests.real_slice import COLD_START, LAST_DAY, WEEKS, World, copy_home, working_in

pytestmark = pytest.mark.slow

COMES, GOES, END = date(2013, 2, 21), WEEKS[2], date(2013, 3, 11)
SCORES = [f"score_{code}" for code in range(4)]


def of_classes(model: ModelSettings) -> ModelSettings:
    # In two parts: a gate in one knows of nothing that came inside its window.
    probe = replace(model.probe, folds=2)
    return model.model_copy(update={"task": "multiclass", "metric": "log_loss", "probe": probe})


def coded(rows: pd.DataFrame, day: date) -> pd.DataFrame:
    third = rows.index % 3 == 0
    code = np.where(rows["is_late"] == 1, 2.0, np.where(third & (day < GOES), 1.0, 0.0))
    code = np.where((rows["origin"] == "JFK") & (rows.index % 3 == 1) & (day >= COMES), 3.0, code)
    return rows.assign(is_late=np.where(rows["is_late"].isna(), np.nan, code))


@pytest.fixture(scope="module")
def lived(slice_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, dict]]:
    """A world after three weeks, and what was found on the way."""
    with working_in(Home(tmp_path_factory.mktemp("new_class") / "home")) as home:
        world = World.of(copy_home(slice_home, home.root), training={"max_rounds": 5})
        for day, path in world.platform.lake.partitions("labels", world.model.label.model).items():
            world.platform.lake.write(coded(pd.read_parquet(path), day), path)
        world = World(world.home, of_classes(world.model))
        platform, model, seen = world.platform, world.model, {}
        world.at(COLD_START)
        world.tick()
        for name, day in (("before", COMES), ("first day", date(2013, 2, 22))):
            world.at(day)
            seen[name] = watch_classes(platform, model)
        for first, end in pairwise(WEEKS):
            world.at(end)
            seen[end] = world.watch(first, end)
            seen[f"evidence {end}"] = gather(platform, model, platform.now(model))
        seen["probe"] = probe(platform, model)
        world.tick()
        world.at(END)
        seen[END] = world.watch(WEEKS[2], END)
        yield world, seen


def summaries(world: World, report: str) -> list[dict]:
    paths = world.platform.lake.folder("reports", world.model.name, report).glob("window=*/summary.json")
    return [json.loads(path.read_text()) for path in sorted(paths)]


def test_a_new_class_is_said_on_its_first_day(lived: tuple[World, dict]) -> None:
    world, seen = lived
    assert seen["before"].passed is True
    first = seen["first day"]
    assert (first.name, first.passed) == (CLASSES_CHECK, False)
    assert first.sentence.startswith(f"Class 3 is new: {first.value:,.0f} rows since 2013-02-21")
    (entry,) = world.ledger("new_class")
    assert (entry["class"], entry["version"], entry["reason"]) == (3, 1, first.sentence)
    evaluations = seen[WEEKS[1]].get_asset_check_evaluations()
    (check,) = [one for one in evaluations if one.check_name == CLASSES_CHECK]
    assert not check.passed
    assert "Class 3 is new" in check.description
    assert any("Class 3 is new" in note for note in seen[f"evidence {WEEKS[2]}"].notes)


def test_each_of_its_rows_counts_as_wrong_for_the_champion(lived: tuple[World, dict]) -> None:
    world, _ = lived
    first, second, _ = summaries(world, "performance")
    assert 0 < first["classes"]["3"] < second["classes"]["3"]
    least = first["classes"]["3"] / sum(first["classes"].values()) * -np.log(np.finfo(np.float64).eps)
    assert first["performance"]["metrics"]["log_loss"]["value"] > least
    assert first["checks"][0]["passed"] is False
    assert first["label_drift"]["what"].startswith("share of class ")


def test_a_refit_that_knows_it_is_better_and_is_promoted(lived: tuple[World, dict]) -> None:
    world, seen = lived
    looked = seen["probe"]
    assert looked.looks
    assert not looked.unjudged
    assert looked.probed.refit.lower > 0.3
    assert world.aliases()["champion"] == 2, world.ledger("rejection")
    registry = world.platform.registry
    assert [registry.load(world.model.name, version).recipe.classes for version in (1, 2)] == [3, 4]


def test_predictions_of_both_versions_are_read_together(lived: tuple[World, dict]) -> None:
    world, seen = lived
    lake = world.platform.lake
    files = lake.partitions("predictions", world.model.name, name=BATCH)
    assert "score_3" not in pd.read_parquet(files[WEEKS[1]])
    assert set(SCORES) <= set(pd.read_parquet(files[LAST_DAY]))
    rows = read_scores(world.platform, world.model, COLD_START, END)
    assert [name for name in rows if name in SCORES] == SCORES
    assert rows[SCORES].sum(axis=1).to_numpy() == pytest.approx(1.0, abs=1e-5)
    old = (rows["model_version"] == 1).to_numpy()
    assert (score_matrix(rows)[old, 3] == 0.0).all()
    assert (score_matrix(rows)[~old, 3] > 0.0).all()
    assert seen[END].success


def test_a_class_that_goes_is_said_and_keeps_its_code(lived: tuple[World, dict]) -> None:
    world, seen = lived
    *_, last = summaries(world, "performance")
    assert "1" not in last["classes"]
    assert last["performance"]["metrics"]["log_loss"]["value"] < 2.0
    (check,) = [one for one in seen[END].get_asset_check_evaluations() if one.check_name == CLASSES_CHECK]
    assert "Class 1 is gone: none of " in check.description
    assert "Class 3" not in check.description
    assert "since 2013-03-03" in check.description
    (entry,) = world.ledger("gone_class")
    assert (entry["class"], entry["version"]) == (1, 2)


def test_the_share_of_each_class_is_followed_by_window(lived: tuple[World, dict], tmp_path: Path) -> None:
    _, seen = lived
    (materialization,) = seen[END].asset_materializations_for_node("flight_delay_performance_report")
    table = materialization.metadata["classes"].value
    assert "share of class 3" in table
    assert table.count("2013-0") >= 3
