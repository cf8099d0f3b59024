"""Models from elsewhere become first champions, and are then watched like any other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlops_assets.core.models.adoption import CannotAdopt, adopted_booster, adopted_estimator, matched
from mlops_assets.core.models.matrix import FeatureColumn
from mlops_assets.steps.promote.adoption import adopt, fetched
from mlops_assets.world.model_data import LABEL
from mlops_assets.world.platform import fitted_until
from tests.real_slice import COLD_START, WEEKS, World

NUMBERS = ["scheduled_hour", "distance_miles", "origin_flights_1d"]
SAID = {"by": "me", "reason": "it was in production"}


def rows_of(world: World) -> tuple[Any, Any]:
    """Features under their bare names, and labels, known before the gate window."""
    data = world.platform.data(world.model)
    gate = data.gate_window(as_of=world.platform.now(world.model), not_before=None)
    frame = data.training_rows(known_by=gate.start)
    named = {name: next(c.name for c in data.columns if c.name.endswith(f"__{name}")) for name in NUMBERS}
    return frame[list(named.values())].set_axis(NUMBERS, axis=1).astype("float64"), frame[LABEL].to_numpy()


@pytest.mark.parametrize("kind", ["registered", "skops"])
def test_a_model_from_elsewhere_is_champion_and_watched(
    new_world: Callable[..., World], tmp_path: Path, kind: str
) -> None:
    world = new_world()
    world.at(COLD_START)
    features, labels = rows_of(world)
    if kind == "registered":
        import mlflow.xgboost
        import xgboost

        native = xgboost.train(
            {"objective": "binary:logistic", "max_depth": 3}, xgboost.DMatrix(features, labels), num_boost_round=5
        )
        expected = native.predict(xgboost.DMatrix(features.head(50)))
        mlflow.xgboost.save_model(native, tmp_path / "saved", model_format="ubj", pip_requirements=["xgboost"])
        client = world.platform.registry.client
        client.create_registered_model("elsewhere")
        client.create_model_version("elsewhere", source=(tmp_path / "saved").as_uri())
        place = "models:/elsewhere/1"
    else:
        import skops.io
        from sklearn.impute import SimpleImputer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        native = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()).fit(features, labels)
        expected = native.predict_proba(features.head(50))[:, 1]
        place = str(tmp_path / "model.skops")
        skops.io.dump(native, place)
    adopted = adopt(world.platform, world.model, place, **SAID)
    assert world.aliases() == {"champion": 1}
    assert adopted.in_sample, "nobody said until when it has seen labels"
    assert fitted_until(world.platform.registry.champion(world.model.name)) == world.platform.now(world.model)
    columns = world.platform.registry.load(world.model.name).recipe.names
    scores = world.platform.registry.load(world.model.name).predict(features.head(50).set_axis(columns, axis=1))
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    if kind == "registered":
        native.save_model(tmp_path / "model.ubj")
        file = fetched(str(tmp_path / "model.ubj"), world.platform.data(world.model), world.platform)
        np.testing.assert_array_equal(file.predict(features.head(50).set_axis(columns, axis=1)), scores)
    (entry,) = world.ledger("promotion")
    assert entry["by"] == "me"
    assert "adopted from" in entry["reason"]
    world.live(WEEKS[0], WEEKS[1])
    assert (world.home.lake / "reports" / "flight_delay" / "drift").exists()
    with pytest.raises(CannotAdopt, match="has a champion, version 1"):
        adopt(world.platform, world.model, place, **SAID)


def test_what_cannot_be_adopted_is_told_and_changes_nothing(new_world: Callable[..., World], tmp_path: Path) -> None:
    world = new_world()
    world.at(COLD_START + timedelta(days=1))
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(CannotAdopt, match=r"A pickle can run code and is never opened.*skops"):
        adopt(world.platform, world.model, str(tmp_path / "model.pkl"), **SAID)
    (tmp_path / "model.ubj").write_bytes(b"{}")
    with pytest.raises(CannotAdopt, match="no XGBoost model"):
        adopt(world.platform, world.model, str(tmp_path / "model.ubj"), **SAID)
    with pytest.raises(CannotAdopt, match=r"models:/gone/1 cannot be fetched"):
        adopt(world.platform, world.model, "models:/gone/1", **SAID)
    assert world.platform.registry.champion(world.model.name) is None
    assert world.ledger() == []


COLUMNS = [FeatureColumn("a__x"), FeatureColumn("a__y"), FeatureColumn("b__y"), FeatureColumn("a__c", "categorical")]


@pytest.mark.parametrize(
    ("names", "told"),
    [(["z"], "no feature is called so"), (["y"], "there are a__y, b__y"), (["c"], "a category"), ([], "does not say")],
)
def test_columns_that_do_not_fit(names: list[str], told: str) -> None:
    with pytest.raises(CannotAdopt, match=told):
        matched(names, COLUMNS)
    assert matched(["b__y", "x"], COLUMNS) == [COLUMNS[2], COLUMNS[0]]


def test_scores_that_do_not_fit_the_task() -> None:
    import pandas as pd
    import xgboost
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC
    from sklearn.tree import DecisionTreeClassifier

    x, y = pd.DataFrame({"x": np.arange(20.0)}), np.arange(20) % 2
    booster = xgboost.train({"objective": "binary:hinge"}, xgboost.DMatrix(x, y), num_boost_round=1)
    with pytest.raises(CannotAdopt, match=r"binary:hinge.*binary:logistic"):
        adopted_booster(booster, COLUMNS, "binary")
    with pytest.raises(CannotAdopt, match="no predict_proba"):
        adopted_estimator(LinearSVC().fit(x, y), COLUMNS, "binary")
    with pytest.raises(CannotAdopt, match="could run code or read beyond its memory"):
        adopted_estimator(DecisionTreeClassifier().fit(x, y), COLUMNS, "binary")
    with pytest.raises(CannotAdopt, match=r"Its classes are .*no"):
        adopted_estimator(LogisticRegression().fit(x, np.where(y == 1, "yes", "no")), COLUMNS, "binary")


@pytest.mark.parametrize("task", ["binary", "regression", "multiclass"])
def test_what_is_said_of_a_foreign_models_features_adds_up(task: str) -> None:
    import pandas as pd
    from scipy.special import logit
    from sklearn.linear_model import LinearRegression, LogisticRegression

    rng = np.random.default_rng(3)
    x = pd.DataFrame(rng.normal(size=(200, 2)), columns=["x", "a__y"])
    y = {"binary": (x["x"] > 0).astype(int), "regression": 3 * x["x"], "multiclass": np.digitize(x["x"], [-0.5, 0.5])}
    kind = LinearRegression if task == "regression" else LogisticRegression
    model = adopted_estimator(kind().fit(x, y[task]), COLUMNS, task)  # type: ignore[arg-type]
    rows = x.set_axis(["a__x", "a__y"], axis=1)
    scores = model.predict(rows)
    assert scores.shape == ((200, 3) if task == "multiclass" else (200,))
    told = model.contributions(rows)
    raw = told.T.groupby(level=0).sum().T.to_numpy() if task == "multiclass" else told.sum(axis=1).to_numpy()
    # Chances are kept a millionth from 0 and 1.
    known = scores.astype(np.float64) if task == "regression" else np.clip(scores.astype(np.float64), 1e-6, 1 - 1e-6)
    expected = {"binary": logit, "regression": np.asarray, "multiclass": np.log}[task](known)
    np.testing.assert_allclose(raw, expected, rtol=1e-5, atol=1e-5)
    assert next(iter(model.importance())) == "a__x", "only x matters"
