"""Calibration: against scikit-learn's own, on chances known by construction, and through a whole training."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.models.matrix import FeatureColumn
from mlops_assets.core.models.model import Model, Recipe, fit
from mlops_assets.core.models.probabilities import Calibration
from mlops_assets.core.models.training import Goal, LabelledRows, TrainingSettings, tune
from mlops_assets.core.stats.metrics import metric


def logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def drawn(n: int = 50_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores that are too sure by a factor of two and too low by one, labels, and their chances."""
    rng = np.random.default_rng(1)
    odds = rng.normal(size=n)
    chances = logistic(odds)
    return logistic(2 * (odds - 0.5)).astype(np.float32), (rng.random(n) < chances).astype(float), chances


def test_platt_finds_the_two_numbers() -> None:
    scores, y, chances = drawn()
    found = Calibration.fit("platt", scores, y)
    ((slope,), (intercept,)) = found.maps[0]
    # odds = 0.5 x log-odds(score) + 0.5 by construction.
    assert (slope, intercept) == pytest.approx((0.5, 0.5), abs=0.03)
    assert np.abs(found.apply(scores) - chances).max() < 0.02


def test_isotonic_is_scikit_learns() -> None:
    from sklearn.isotonic import IsotonicRegression

    scores, y, chances = drawn()
    found = Calibration.fit("isotonic", scores, y)
    theirs = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores.astype(float), y)
    new = np.linspace(0, 1, 1001).astype(np.float32)
    assert np.allclose(found.apply(new), theirs.predict(new.astype(float)), atol=1e-6)
    assert np.abs(found.apply(scores) - chances).mean() < 0.02


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_classes_are_calibrated_each_and_sum_to_one(method: str) -> None:
    rng = np.random.default_rng(2)
    raw = rng.normal(size=(30_000, 3))
    chances = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    y = (chances.cumsum(axis=1) < rng.random((len(raw), 1))).sum(axis=1).astype(float)
    sure = chances**3 / (chances**3).sum(axis=1, keepdims=True)
    found = Calibration.fit(method, sure.astype(np.float32), y)  # type: ignore[arg-type]
    after = found.apply(sure.astype(np.float32))
    assert np.allclose(after.sum(axis=1), 1, atol=1e-5)
    assert metric("log_loss").score(y, after) < metric("log_loss").score(y, sure) - 0.05
    nothing = Calibration("isotonic", tuple(((0.0, 1.0), (0.0, 0.0)) for _ in range(3)))
    assert np.allclose(nothing.apply(sure), 1 / 3)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_it_is_part_of_the_models_file(method: str) -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": rng.normal(size=800)})
    y = (frame.x + rng.normal(size=800) > 0).astype(float)
    recipe = Recipe("xgboost", "binary", {"objective": "binary:logistic"}, 5, (FeatureColumn("x"),))
    plain = fit(recipe, frame, y)
    calibration = Calibration.fit(method, plain.predict(frame), y)  # type: ignore[arg-type]
    model = fit(Recipe(**{**vars(recipe), "calibration": calibration}), frame, y)
    assert np.array_equal(model.predict(frame), calibration.apply(plain.predict(frame)))
    assert np.array_equal(Model.from_bytes(model.to_bytes()).predict(frame), model.predict(frame))
    assert model.predict(frame.head(0)).shape == (0,)


@pytest.mark.parametrize("family", ["xgboost", "linear"])
def test_weighted_classes_are_calibrated_in_any_case(family: str) -> None:
    rng = np.random.default_rng(4)
    n = 6000
    frame = pd.DataFrame({"x": rng.normal(size=n), "z": rng.normal(size=n)})
    y = (rng.random(n) < logistic(1.5 * frame.x - 4.5)).astype(float).to_numpy()
    assert y.mean() < 0.05
    times = pd.date_range("2013-01-01", periods=n, freq=pd.Timedelta(days=30) / n, tz="UTC")
    columns = (FeatureColumn("x"), FeatureColumn("z"))
    settings = TrainingSettings(trials=2, max_rounds=30, imbalance="auto")
    recipe = tune(LabelledRows(frame, y, times), Goal(columns, "binary", "roc_auc", settings), family=family).recipe
    assert recipe.balanced
    assert recipe.calibration is not None
    assert recipe.calibration.method == "platt"
    scores = fit(recipe, frame, y).predict(frame)
    raw = fit(Recipe(**{**vars(recipe), "calibration": None}), frame, y).predict(frame)
    assert raw.mean() > 4 * y.mean()
    assert scores.mean() == pytest.approx(y.mean(), rel=0.4)
    plain = tune(
        LabelledRows(frame, y, times), Goal(columns, "binary", "roc_auc", TrainingSettings(trials=1, max_rounds=5))
    ).recipe
    assert (plain.balanced, plain.calibration) == (False, None)


def test_a_regression_has_no_classes() -> None:
    for bad in ({"imbalance": "weights"}, {"calibration": "platt"}):
        with pytest.raises(ValueError, match="leave them out of a regression"):
            TrainingSettings(**bad).check_task("regression", "rmse")
