"""A row and a frame are scored alike, and what is no value is told."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.models.families.one_row import FewRows
from mlops_assets.core.models.matrix import FeatureColumn, encode
from mlops_assets.core.models.model import Model, Recipe, fit
from mlops_assets.core.models.probabilities import Calibration, Method
from mlops_assets.core.models.row_scoring import RowScorer, why_not

COLUMNS = (
    FeatureColumn("x"),
    FeatureColumn("n"),
    FeatureColumn("c", "categorical"),
    FeatureColumn("k", "categorical"),
    FeatureColumn("b", "boolean"),
)
TASKS = {
    "binary": {"objective": "binary:logistic", "max_depth": 3},
    "regression": {"objective": "reg:squarederror", "max_depth": 3},
    "multiclass": {"objective": "multi:softprob", "num_class": 3, "max_depth": 3},
}


def frame(count: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "x": rng.normal(size=count),
            "n": rng.integers(0, 50, count).astype("float64"),
            "c": rng.choice(["JFK", "LGA", "EWR", "new"], count),
            "k": rng.integers(0, 5, count),
            "b": rng.random(count) < 0.5,
        }
    ).astype(object)
    return rows.mask(rng.random(rows.shape) < 0.1, None)


def model(task: str) -> Model:
    rows = frame(800, 0)
    y = rows["x"].fillna(0).astype(float) + (rows["c"] == "JFK")
    labels = {"binary": y > 0.3, "regression": y, "multiclass": pd.qcut(y, 3, labels=False)}[task]
    return fit(Recipe("xgboost", task, TASKS[task], 8, COLUMNS), rows[rows["c"] != "new"], labels[rows["c"] != "new"])


@pytest.mark.parametrize("task", TASKS)
def test_rows_are_scored_as_frames_are(task: str) -> None:
    made = model(task)
    rows = frame(300, 1)
    scorer = RowScorer(made)
    plain = rows.to_dict(orient="records")
    encoded = encode(rows, COLUMNS, made.recipe.categories)
    np.testing.assert_array_equal(scorer.encode(plain), encoded)
    scores = scorer.predict(plain)
    np.testing.assert_array_equal(scores, made.predict(rows))
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scorer.predict(plain[:1]), made.predict(rows.head(1)))


@pytest.mark.parametrize(
    ("family", "task", "params"),
    [
        ("random_forest", "binary", {"objective": "binary:logistic", "num_parallel_tree": 5, "max_depth": 3}),
        ("linear", "binary", {"C": 1.0}),
        ("linear", "multiclass", {"C": 1.0, "num_class": 3}),
    ],
)
@pytest.mark.parametrize("calibration", ["none", "platt"])
def test_every_family_scores_rows_as_it_scores_frames(
    family: str, task: str, params: dict[str, Any], calibration: Method
) -> None:
    rows = frame(900, 0)
    y = rows["x"].fillna(0).astype(float) + (rows["c"] == "JFK")
    labels = np.asarray(y > 0.3 if task == "binary" else pd.qcut(y, 3, labels=False)).astype(int)
    made = fit(Recipe(family, task, params, 1, COLUMNS), rows, labels)
    if calibration != "none":
        fitted = Calibration.fit(calibration, made.predict(rows), labels)
        made = fit(replace(made.recipe, calibration=fitted), rows, labels)
    some = rows.head(50)
    for quick in (True, False):
        scores = RowScorer(made, quick).predict(some.to_dict(orient="records"))
        np.testing.assert_array_equal(scores, made.predict(some))


def test_threads_do_not_take_each_others_scores() -> None:
    made = model("multiclass")
    rows = frame(64, 2)
    scorer, expected = RowScorer(made), made.predict(rows)
    plain = rows.to_dict(orient="records")
    # Some alone, some more at once than are scored while other threads wait.
    parts = [[index] for index in range(40)] + [list(range(40, 64))]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            found = pool.map(lambda part: scorer.predict([plain[index] for index in part]), parts)
            np.testing.assert_array_equal(np.concatenate(list(found)), expected)


def test_what_is_no_booster_is_told() -> None:
    with pytest.raises(ValueError, match="XGBoost"):
        FewRows(b"none")


def test_infinite_and_left_out_are_missing() -> None:
    made = model("binary")
    scorer = RowScorer(made)
    rows = [{"x": float("inf")}, {"x": 1e300}, {}, {"c": "never seen"}]
    assert len(set(scorer.predict(rows).tolist())) == 1


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("numeric", [1, -2.5, None, 10**38], ["1", True, float("nan"), float("inf"), 1e39, 10**400, [1], {}]),
        ("boolean", [True, False, None], [0, 1, "true", 1.0]),
        ("categorical", ["UA", "", 7, None], [1.5, True, ["UA"], "x" * 1001]),
    ],
)
def test_what_is_no_value_of_a_kind_is_told(kind: str, good: list, bad: list) -> None:
    column = FeatureColumn("f", kind)
    assert [why_not(column, value) for value in good] == [None] * len(good)
    assert all(why_not(column, value) for value in bad)
