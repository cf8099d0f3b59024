"""Other families than boosting through the real chain: trained, logged to MLflow, promoted, loaded, made again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from mlops_assets.core.decide.policy import RetrainPolicy
from mlops_assets.core.models.model import Model
from mlops_assets.steps.decide.probe import probe
from mlops_assets.steps.promote.reproduction import LIBRARIES, reproduce
from mlops_assets.world.model_data import EVENT_TIME
from tests.real_slice import COLD_START, World

pytestmark = pytest.mark.slow

NewWorld = Callable[..., World]

_POLICY = RetrainPolicy.from_dict({"on": [{"data": {"rows": 500}}], "cooldown": "1d"})
ON_NEW_LABELS = {name: getattr(_POLICY, name) for name in ("on", "cooldown", "growth", "max_age", "definition_change")}


def newest(world: World) -> tuple[int, Model]:
    version = world.platform.registry.versions(world.model.name)[0].version
    return version, world.platform.registry.load(world.model.name, version)


def test_a_linear_champion_on_decaying_rows(new_world: NewWorld) -> None:
    world = new_world(training={"families": ("linear",), "window": "decay: 20d", "calibration": "isotonic"})
    world.at(COLD_START)
    world.tick()
    assert world.aliases() == {"champion": 1}
    platform, name = world.platform, world.model.name
    _, model = newest(world)
    assert (model.recipe.family, model.recipe.half_life_days) == ("linear", 20.0)
    assert model.recipe.calibration is not None
    kept = platform.registry.version(name, 1)
    assert kept.tags["training_window"] == "decay: 20d"
    assert {"scikit-learn", "skops"} <= set(json.loads(kept.tags[LIBRARIES]))
    # All history is read, and a version is made again from its rows and recipe alone.
    rows = platform.data(world.model).training_rows(known_by=platform.now(world.model))
    assert rows[EVENT_TIME].min().month == 1
    assert reproduce(platform, world.model, 1).agrees is True

    folder = Path(kept.source.removeprefix("file://"))
    assert {path.name for path in folder.iterdir()} >= {"MLmodel", "model.skops"}
    assert not list(folder.rglob("*.pkl"))
    logged = platform.registry.client.get_run(kept.run_id)
    assert logged.data.params["family"] == "linear"
    assert logged.data.params["window"] == "decay: 20d"
    assert "validation_roc_auc" in logged.data.metrics


def test_the_probe_refits_whatever_the_champion_is(new_world: NewWorld) -> None:
    world = new_world(training={"families": ("sgd",), "window": "decay: 20d"})
    world.at(COLD_START)
    world.tick()
    world.at(COLD_START.replace(day=25))
    model = world.model.model_copy(update={"probe": replace(world.model.probe, rows=2_000, folds=2)})
    looked = probe(world.platform, model)
    assert looked is not None
    assert looked.unjudged == ()
    found = looked.looks[-1]
    assert found.champion == "1"
    assert set(found.whole.loss) >= {"keep", "refit:expanding"}


def test_of_several_families_the_best_is_trained_and_the_table_is_kept(drifting: World) -> None:
    world = drifting.with_settings(training={"families": ("xgboost", "linear"), "trials": 1, "max_rounds": 15})
    (run,) = world.tick().runs
    record = world.platform.record(world.model.name, "challenger")
    scores = {one["family"]: one["score"] for one in record["families"]}
    assert record["family"] == max(scores, key=lambda name: scores[name])
    version = world.platform.registry.version(world.model.name, 2)
    names = {file.path for file in world.platform.registry.client.list_artifacts(version.run_id)}
    assert "families.json" in names
    made = {
        event.asset_key.path[-1]: event.step_materialization_data.materialization
        for event in run.get_asset_materialization_events()
        if event.asset_key
    }
    assert "linear" in made["challenger"].metadata["families"].value


def test_a_champion_is_gone_on_from(drifting: World) -> None:
    world = drifting.with_settings(training={"families": ("xgboost_continued",), "trials": 1, "max_rounds": 15})
    before = world.platform.registry.load(world.model.name, "champion")
    world.tick()
    version, model = newest(world)
    assert version == 2
    assert model.recipe.base is not None
    assert model.fitted.base == before.to_bytes()
    assert reproduce(world.platform, world.model, 2).agrees is True


def test_learning_goes_on_with_each_batch_of_labels(new_world: NewWorld) -> None:
    """A few days of labels ask for an update, the gate holds it out first, and it ships where it is no worse."""
    world = new_world(
        training={"families": ("river_continued",), "trials": 1, "max_rounds": 2},
        gate={"rule": "non_inferior", "margin": 0.15},
        retrain=ON_NEW_LABELS,
    )
    world.at(COLD_START)
    world.tick()
    _, first = newest(world)
    assert first.recipe.family == "river"
    world.at(COLD_START + timedelta(days=14))
    world.tick()
    version, second = newest(world)
    assert version == 2
    assert second.recipe.family == "river_continued"
    assert second.fitted.base == first.to_bytes()
    assert world.platform.registry.version(world.model.name, 2).tags["parent"] == "1"
    tags = world.platform.registry.version(world.model.name, 2).tags
    assert tags["verdict"] == "promote", tags["reason"]
    assert reproduce(world.platform, world.model, 2).agrees is True


@pytest.mark.parametrize(
    ("training", "told"),
    [
        ({"families": ("forest",)}, r"training\.families has \['forest'\]: name some of xgboost, random_forest"),
        ({"families": ()}, r"training\.families has \[\]"),
        ({"window": "sliding"}, r"training\.window is 'sliding'"),
    ],
)
def test_mistakes_are_named_when_the_yaml_is_read(training: dict[str, object], told: str) -> None:
    from mlops_assets.core.settings_sections import TrainingSpec

    with pytest.raises(ValueError, match=told):
        TrainingSpec(**training)  # type: ignore[arg-type]
