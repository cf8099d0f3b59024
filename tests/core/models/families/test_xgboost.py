"""The file of a boosted model is what XGBoost itself writes, with the recipe in it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.models.matrix import FeatureColumn, encode, types_of
from mlops_assets.core.models.model import Model, Recipe, fit

COLUMNS = (FeatureColumn("x"), FeatureColumn("z"), FeatureColumn("c", "categorical"))


@pytest.mark.parametrize(
    ("task", "objective"),
    [("binary", "binary:logistic"), ("regression", "reg:squarederror"), ("multiclass", "multi:softprob")],
)
def test_the_bytes_are_those_of_xgboost_used_directly(task: str, objective: str) -> None:
    import xgboost

    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"x": rng.normal(size=700), "z": rng.normal(size=700), "c": rng.choice(["a", "b"], 700)})
    score = frame.x + (frame.c == "a") + 0.3 * rng.normal(size=700)
    y = {"binary": (score > 0).astype(int), "regression": score, "multiclass": np.digitize(score, [-0.5, 1.0])}[task]
    params = {"objective": objective, "max_depth": 3, "subsample": 0.7}
    if task == "multiclass":
        params["num_class"] = 3
    made = fit(Recipe("xgboost", task, params, 7, COLUMNS, seed=5), frame, y)  # type: ignore[arg-type]

    data = xgboost.QuantileDMatrix(
        encode(frame, COLUMNS, made.recipe.categories),
        np.asarray(y, dtype=np.float32),
        feature_names=["x", "z", "c"],
        feature_types=types_of(COLUMNS),
        enable_categorical=True,
        max_bin=256,
        nthread=1,
    )
    fixed = {"tree_method": "hist", "max_bin": 256, "seed": 5, "nthread": 1, "verbosity": 1}
    booster = xgboost.train({**params, **fixed}, data, num_boost_round=7)
    booster.set_attr(mlops_recipe=made.recipe.to_json())
    assert made.to_bytes() == bytes(booster.save_raw("ubj"))
    assert set(made.recipe.to_json().replace('"', " ").split()) >= {"family", "task", "params", "rounds", "seed"}
    assert np.array_equal(Model.from_bytes(made.to_bytes()).predict(frame), booster.inplace_predict(
        encode(frame, COLUMNS, made.recipe.categories), validate_features=False
    ))  # fmt: skip
