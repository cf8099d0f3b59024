"""Linear models against scikit-learn used directly, and their file as skops reads it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.models.families import skops_file
from mlops_assets.core.models.matrix import FeatureColumn
from mlops_assets.core.models.model import Recipe, fit

NUMBERS = tuple(FeatureColumn(f"x{k}") for k in range(3))


def rows(n: int = 800) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(rng.normal(size=(n, 3)) * [1, 10, 100] + [0, 5, -7], columns=["x0", "x1", "x2"])
    y = (frame.x0 + 0.05 * frame.x1 + rng.logistic(size=n) > 0.3).astype(float)
    return frame, y.to_numpy()


def test_logistic_regression_on_scaled_numbers() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    frame, y = rows()
    ours = fit(Recipe("linear", "binary", {"C": 0.7}, 1, NUMBERS), frame, y)
    theirs = make_pipeline(StandardScaler(), LogisticRegression(C=0.7, max_iter=300)).fit(frame.to_numpy(), y)
    assert np.allclose(ours.predict(frame), theirs.predict_proba(frame.to_numpy())[:, 1], atol=1e-4)
    coefficients = np.abs(theirs[-1].coef_[0])
    shares = dict(zip(frame.columns, coefficients / coefficients.sum(), strict=True))
    assert ours.importance() == pytest.approx(shares, abs=1e-3)
    # Coefficient x (x - mean).
    centred = (frame.to_numpy() - frame.to_numpy().mean(axis=0)) / theirs[0].scale_ * theirs[-1].coef_[0]
    assert np.allclose(ours.contributions(frame)[["x0", "x1", "x2"]], centred, atol=1e-3)


def test_ridge_regression() -> None:
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    frame, _ = rows()
    y = frame.to_numpy() @ [1.0, 0.2, 0.01] + np.random.default_rng(1).normal(size=len(frame))
    ours = fit(Recipe("linear", "regression", {"C": 0.1}, 1, NUMBERS), frame, y)
    scaled = StandardScaler().fit_transform(frame.to_numpy())
    assert np.allclose(ours.predict(frame), Ridge(alpha=10.0).fit(scaled, y).predict(scaled), atol=1e-3)


def test_what_is_missing_or_rare_has_a_coefficient_of_its_own() -> None:
    rng = np.random.default_rng(6)
    n = 3000
    frame = pd.DataFrame({"x": rng.normal(size=n), "c": rng.choice([f"v{k}" for k in range(100)], n)})
    y = ((frame.c == "v7") | (rng.random(n) < 0.3)).astype(float).to_numpy()
    gap = rng.random(n) < 0.2
    y[gap] = (rng.random(gap.sum()) < 0.9).astype(float)
    frame.loc[gap, "x"] = np.nan
    columns = (FeatureColumn("x"), FeatureColumn("c", "categorical"))
    model = fit(Recipe("linear", "binary", {"C": 1.0}, 1, columns), frame, y)
    few = pd.DataFrame({"x": [np.nan, 0.0], "c": ["v1", "v1"]})
    missing, known = model.predict(few)
    assert missing > known + 0.3
    assert model.fitted.native[:-1].transform(np.zeros((1, 2), dtype=np.float32)).shape[1] <= 2 + 32


def test_its_file_is_one_that_skops_and_only_skops_needs() -> None:
    import io
    import json
    from zipfile import ZipFile

    import skops.io

    frame, y = rows()
    model = fit(Recipe("linear", "binary", {"C": 1.0}, 1, NUMBERS), frame, y)
    pipeline = skops.io.loads(model.to_bytes(), trusted=list(skops_file.TRUSTED))
    # In double precision, in which a row alone scores as among others.
    numbers = frame.to_numpy(np.float32).astype(np.float64)
    assert np.array_equal(pipeline.predict_proba(numbers)[:, 1].astype(np.float32), model.predict(frame))
    with ZipFile(io.BytesIO(model.to_bytes())) as found:
        names = found.namelist()
        assert {name.rsplit(".", 1)[1] for name in names} == {"npy", "json"}
        assert {entry.date_time for entry in found.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert json.loads(found.read("recipe.json"))["family"] == "linear"


def test_stochastic_gradient_descent_in_the_order_of_the_rows() -> None:
    from sklearn.linear_model import SGDClassifier
    from sklearn.preprocessing import StandardScaler

    frame, y = rows()
    params = {"loss": "log_loss", "eta0": 0.01, "alpha": 1e-4}
    ours = fit(Recipe("sgd", "binary", params, 3, NUMBERS, seed=2), frame, y)
    theirs = SGDClassifier(loss="log_loss", eta0=0.01, alpha=1e-4, learning_rate="constant", shuffle=False)
    scaled = StandardScaler().fit_transform(frame.to_numpy())
    for _ in range(3):
        theirs.partial_fit(scaled, y, classes=[0.0, 1.0])
    assert np.allclose(ours.predict(frame), theirs.predict_proba(scaled)[:, 1], atol=1e-4)
    # What comes last weighs most: the same rows the other way round are another model.
    turned = fit(Recipe("sgd", "binary", params, 3, NUMBERS, seed=2), frame[::-1], y[::-1])
    assert not np.allclose(ours.predict(frame), turned.predict(frame), atol=1e-4)
