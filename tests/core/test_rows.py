"""A row and a frame are scored alike, and what is no value is told."""

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.matrix import FeatureColumn, encode
from mlops_assets.core.model import Model, Recipe, fit
from mlops_assets.core.rows import RowScorer, why_not

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
