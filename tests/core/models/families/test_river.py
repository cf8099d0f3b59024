"""Models that river learns: equal to river used directly, in the order of time, and read without it."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from river import linear_model, multiclass, optim

from mlops_assets.core.models.families.river import BATCH
from mlops_assets.core.models.matrix import FeatureColumn
from mlops_assets.core.models.model import Model, Recipe, fit

COLUMNS = (FeatureColumn("x"), FeatureColumn("z"), FeatureColumn("c", "categorical"))
PARAMS = {"optimizer": "adam", "rate": 0.02, "l2": 1e-4}


def rows(n: int = 1200) -> tuple[pd.DataFrame, np.ndarray]:
    """Features and a score that follows them until the middle; from there on x counts the other way round."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"x": rng.normal(3, 2, n), "z": rng.normal(size=n), "c": rng.choice(["a", "b", "rare"], n)})
    sign = np.where(np.arange(n) < n // 2, 1.0, -1.0)
    return frame, sign * (frame.x.to_numpy() - 3) + frame.z.to_numpy() + 0.3 * rng.normal(size=n)


def by_river(model: Any, numbers: pd.DataFrame, y: pd.Series, passes: int) -> Any:
    for _ in range(passes):
        for start in range(0, len(y), BATCH):
            model.learn_many(numbers.iloc[start : start + BATCH], y.iloc[start : start + BATCH])
    return model


def numbers_of(ours: Any, frame: pd.DataFrame) -> pd.DataFrame:
    """What our model makes of the features, before it weighs them."""
    from mlops_assets.core.models.matrix import encode

    found = ours.fitted.native[0].transform(encode(frame, COLUMNS, ours.recipe.categories)).astype(np.float32)
    return pd.DataFrame(found).rename(columns=str)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_two_classes_are_rivers_logistic_regression(optimizer: str) -> None:
    frame, score = rows()
    ours = fit(Recipe("river", "binary", {**PARAMS, "optimizer": optimizer}, 3, COLUMNS), frame, (score > 0) * 1.0)
    steps = (optim.Adam if optimizer == "adam" else optim.SGD)(0.02)
    numbers = numbers_of(ours, frame)
    start = linear_model.LogisticRegression(steps, l2=1e-4, intercept_lr=0.02)
    theirs = by_river(start, numbers, pd.Series(score > 0), 3)
    assert np.allclose(ours.predict(frame), theirs.predict_proba_many(numbers)[True], atol=1e-6)
    last = ours.fitted.native[-1]
    assert dict(zip(numbers.columns, last.coef_[0], strict=True)) == pytest.approx(theirs.weights, rel=1e-12)
    assert last.intercept_[0] == pytest.approx(theirs.intercept, rel=1e-12)


def test_several_classes_are_one_against_the_rest() -> None:
    frame, score = rows()
    y = np.digitize(score, [-1.5, 1.5])
    ours = fit(Recipe("river", "multiclass", {**PARAMS, "num_class": 3}, 2, COLUMNS), frame, y)
    numbers = numbers_of(ours, frame)
    one = linear_model.LogisticRegression(optim.Adam(0.02), l2=1e-4, intercept_lr=0.02)
    theirs = by_river(multiclass.OneVsRestClassifier(one), numbers, pd.Series(y), 2)
    assert np.allclose(ours.predict(frame), theirs.predict_proba_many(numbers)[[0, 1, 2]], atol=1e-6)


def test_a_number_is_learnt_in_standard_deviations_from_its_mean() -> None:
    frame, score = rows()
    y = 1000 + 50 * score
    ours = fit(Recipe("river", "regression", {**PARAMS, "loss": "squared"}, 2, COLUMNS), frame, y)
    numbers = numbers_of(ours, frame)
    start = linear_model.LinearRegression(optim.Adam(0.02), l2=1e-4, intercept_lr=0.02)
    theirs = by_river(start, numbers, pd.Series((y - y.mean()) / y.std()), 2)
    assert np.allclose(ours.predict(frame), theirs.predict_many(numbers) * y.std() + y.mean(), rtol=1e-5)


def test_it_follows_a_change_that_all_rows_at_once_average_away() -> None:
    frame, score = rows(8000)
    y, late = (score > 0) * 1.0, slice(7500, None)

    def hits(family: str, params: dict[str, Any], until: int) -> float:
        model = fit(Recipe(family, "binary", params, 1, COLUMNS), frame[:until], y[:until])
        return float(np.mean((model.predict(frame[late]) > 0.5) == y[late]))

    quick = {**PARAMS, "rate": 0.1}
    assert hits("river", quick, 4000) < 0.4
    assert hits("linear", {"C": 1.0}, 7500) < 0.65
    assert hits("river", quick, 7500) > 0.9


def test_reading_and_scoring_need_no_river(monkeypatch: pytest.MonkeyPatch) -> None:
    frame, score = rows(600)
    recipe = Recipe("river", "binary", PARAMS, 1, COLUMNS)
    model = fit(recipe, frame, (score > 0) * 1.0)
    monkeypatch.setitem(sys.modules, "river", None)
    again = Model.from_bytes(model.to_bytes())
    assert np.array_equal(again.predict(frame), model.predict(frame))
    with pytest.raises(ImportError):
        fit(recipe, frame, (score > 0) * 1.0)
