"""`training.device: cuda`: refused where there is no GPU, never passed over; what was fitted scores anywhere."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import xgboost

from mlops_assets.core.models.families import FAMILIES, family_called
from mlops_assets.core.models.families import xgboost as module
from mlops_assets.core.models.families.xgboost import NoGpu, booster_params, require_device
from mlops_assets.core.models.family_choice import find
from mlops_assets.core.models.model import Model, fit
from mlops_assets.core.models.recipe import Recipe
from mlops_assets.core.models.training import Goal, LabelledRows, TrainingSettings, tune
from tests.core.models.test_training import COLUMNS, PARAMS, QUICK, data

ON_GPU = replace(QUICK, device="cuda")
RECIPE = Recipe("xgboost", "binary", PARAMS, 5, COLUMNS, seed=3, device="cuda")


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_lacks_gpu", lambda: "XGBoost finds no GPU on this machine")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """XGBoost is asked for a GPU; where there is none it warns, and fits on the CPU."""
    monkeypatch.setattr(module, "_lacks_gpu", lambda: "")


def goal(settings: TrainingSettings) -> Goal:
    return Goal(COLUMNS, "binary", "roc_auc", settings)


def rows() -> LabelledRows:
    frame, y, _, times = data(n=600)
    return LabelledRows(frame, y, times)


def test_without_code_for_gpus_or_a_gpu_it_is_refused() -> None:
    if xgboost.build_info().get("USE_CUDA"):
        pytest.skip("this XGBoost has code for GPUs: test_what_xgboost_says_of_its_device asks the machine")
    with pytest.raises(NoGpu, match=r"training.device is cuda, and this XGBoost .* has no code for GPUs\. Set .*: cpu"):
        require_device("cuda")
    require_device("cpu")


def test_what_xgboost_says_of_its_device() -> None:
    """What the check stands on: XGBoost names the device that it has used."""
    made = xgboost.train({"device": "cpu"}, xgboost.DMatrix(np.zeros((2, 1)), np.array([0.0, 1.0])), num_boost_round=1)
    assert json.loads(made.save_config())["learner"]["generic_param"]["device"] == "cpu"


@pytest.mark.parametrize("families", [("xgboost",), ("random_forest",), ("xgboost", "linear")])
def test_no_other_device_and_no_other_family_is_taken_in_its_place(no_gpu: None, families: tuple[str, ...]) -> None:
    with pytest.raises(NoGpu, match="Nothing was trained; the champion is as it was"):
        find(rows(), goal(replace(ON_GPU, families=families)))
    frame, y, _, _ = data(n=600)
    with pytest.raises(NoGpu):
        fit(RECIPE, frame, y)


@pytest.mark.filterwarnings("ignore:.*Device is changed from GPU to CPU")
def test_what_was_fitted_on_a_gpu_says_so_and_scores_without(gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned = tune(rows(), goal(ON_GPU))
    assert tuned.recipe.device == "cuda"
    frame, y, _, _ = data(n=600)
    content = fit(tuned.recipe, frame, y).to_bytes()
    monkeypatch.setattr(module, "_lacks_gpu", lambda: "there is none")
    kept = Model.from_bytes(content)
    assert kept.recipe.device == "cuda"
    assert np.isfinite(kept.predict(frame)).all()


def test_a_recipe_on_the_cpu_reads_as_it_always_did() -> None:
    assert "device" not in json.loads(RECIPE.on_cpu.to_json())
    assert Recipe.from_json(RECIPE.to_json()) == RECIPE
    assert booster_params(RECIPE, threads=1)["device"] == "cuda"
    assert "device" not in booster_params(RECIPE.on_cpu, threads=1)


def test_the_probe_stays_on_the_cpu() -> None:
    assert family_called("xgboost").cheaper(RECIPE).device == "cpu"


def test_a_device_that_no_family_has_is_refused() -> None:
    on_cpu = [name for name in FAMILIES if not family_called(name).on_gpu]
    assert on_cpu == ["linear", "sgd", "river", "sgd_continued", "river_continued"]
    with pytest.raises(ValueError, match=r"training.device: cuda is for XGBoost, .* has linear"):
        replace(ON_GPU, families=("linear",)).check_task("binary", "roc_auc")
