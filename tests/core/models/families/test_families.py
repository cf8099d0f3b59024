"""What every family keeps to: bytes, order, unseen and missing values, what it says of a row, tasks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.models.families import FAMILIES, GOING_ON, family_called
from mlops_assets.core.models.families.linear import one_thread
from mlops_assets.core.models.matrix import FeatureColumn
from mlops_assets.core.models.model import Model, Recipe, fit
from mlops_assets.core.models.training import Goal, LabelledRows, TrainingSettings, Tuned, tune
from mlops_assets.core.stats.metrics import metric

COLUMNS = (
    *(FeatureColumn(f"x{k}") for k in range(4)),
    FeatureColumn("c", "categorical"),
    FeatureColumn("b", "boolean"),
)
QUICK = TrainingSettings(trials=3, batch=3, max_rounds=30, early_stopping_rounds=5, min_rows=100)
FROM_NOTHING = [name for name in FAMILIES if name not in GOING_ON]
CASES = [
    ("binary", "roc_auc"),
    ("binary", "log_loss"),
    ("regression", "rmse"),
    ("regression", "mae"),
    ("multiclass", "log_loss"),
]


Rows = tuple[pd.DataFrame, np.ndarray, pd.Series]


def rows(task: str, n: int = 1500, seed: int = 0) -> Rows:
    """Features, labels that follow them, times over 30 days."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({f"x{k}": rng.normal(size=n) for k in range(4)})
    frame.loc[rng.random(n) < 0.1, "x3"] = np.nan
    frame["c"] = rng.choice(["AA", "B6", "UA"], n)
    frame["b"] = rng.random(n) < 0.5
    score = 2 * frame.x0 + (frame.c == "B6") - frame.b.astype(float) + rng.logistic(size=n)
    y = {"binary": score > 0, "regression": 10 * score, "multiclass": np.digitize(score, [-1.5, 1.5])}[task]
    times = pd.Series(pd.date_range("2013-01-01", periods=n, freq=pd.Timedelta(days=30) / n, tz="UTC"))
    return frame, np.asarray(y, dtype=float), times


def best_constant(y: np.ndarray, n: int, task: str, name: str) -> np.ndarray:
    """What scores best without any feature."""
    if task == "multiclass":
        return np.tile(np.bincount(y.astype(int)) / len(y), (n, 1))
    return np.full(n, np.median(y) if name == "mae" else y.mean())


def tuned(family: str, task: str, name: str, **settings: Any) -> Tuned:
    frame, y, times = rows(task)
    return tune(LabelledRows(frame, y, times), Goal(COLUMNS, task, name, replace(QUICK, **settings)), family=family)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    """One binary model a family."""
    frame, y, _ = rows("binary")
    return {name: fit(tuned(name, "binary", "roc_auc").recipe, frame, y) for name in FROM_NOTHING}


@pytest.mark.parametrize("family", FROM_NOTHING)
@pytest.mark.parametrize(("task", "name"), CASES)
def test_it_learns_and_its_file_is_the_whole_model(family: str, task: str, name: str) -> None:
    found = tuned(family, task, name)
    frame, y, times = rows(task)
    late = (times >= found.validation_from).to_numpy()
    constant = best_constant(y[~late], late.sum(), task, name)
    judge = metric(name)
    assert judge.loss(found.validation_score) < 0.85 * judge.loss(judge.score(y[late], constant))
    # The score of the search is that of the recipe, fitted on the days before.
    earlier = fit(found.recipe, frame[~late], y[~late])
    assert judge.score(y[late], earlier.predict(frame[late])) == pytest.approx(found.validation_score, rel=1e-4)

    model = fit(found.recipe, frame, y)
    again = Model.from_bytes(model.to_bytes())
    assert again.recipe == model.recipe
    assert again.recipe.family == family
    assert np.array_equal(again.predict(frame), model.predict(frame))
    assert model.predict(frame).dtype == np.float32
    assert model.predict(frame).shape == ((len(frame), 3) if task == "multiclass" else (len(frame),))
    assert fit(found.recipe, frame, y).to_bytes() == model.to_bytes()
    assert sum(model.importance().values()) == pytest.approx(1)
    assert next(iter(model.importance())) == "x0"


@pytest.mark.parametrize("family", FROM_NOTHING)
def test_the_search_is_the_same_on_one_core_and_two(family: str) -> None:
    one, two = (tuned(family, "binary", "roc_auc", threads=threads) for threads in (1, 2))
    assert one.recipe == two.recipe
    pd.testing.assert_frame_equal(one.trials.drop(columns="seconds"), two.trials.drop(columns="seconds"))


@pytest.mark.parametrize("family", ["linear", "sgd", "river"])
def test_the_bytes_do_not_depend_on_the_threads_of_linear_algebra(family: str) -> None:
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.normal(size=(20_000, 30)), columns=[f"x{k}" for k in range(30)])
    y = (frame.to_numpy() @ rng.normal(size=30) + rng.normal(size=20_000) > 0).astype(float)
    kind = family_called(family)
    params = {**kind.defaults, **kind.fixed("binary", "roc_auc", y)}
    recipe = Recipe(family, "binary", params, 2, tuple(FeatureColumn(name) for name in frame.columns), seed=1)
    made = set()
    for threads in (1, 2, 4):
        with threadpool_limits(limits=threads):
            made.add(fit(recipe, frame, y).sha256)
    assert len(made) == 1


def test_one_thread_is_put_back_when_the_last_block_ends() -> None:
    from threadpoolctl import threadpool_info, threadpool_limits

    def blas() -> set[int]:
        return {int(pool["num_threads"]) for pool in threadpool_info() if pool["user_api"] == "blas"}

    with threadpool_limits(limits=2, user_api="blas"):
        with one_thread():
            with one_thread():
                assert blas() == {1}
            assert blas() == {1}
        assert blas() == {2}


@pytest.mark.parametrize("family", FROM_NOTHING)
def test_unseen_missing_and_infinite_values_are_read_as_missing(models: dict[str, Model], family: str) -> None:
    frame = rows("binary")[0].head(3).copy()
    frame["x0"] = [np.inf, -np.inf, np.nan]
    frame["c"] = ["ZZ", None, np.nan]
    frame[["x1", "x2", "x3"]] = 0.0
    frame["b"] = pd.array([None, None, None], dtype="boolean")
    scores = models[family].predict(frame)
    assert np.isfinite(scores).all()
    assert len(set(scores.tolist())) == 1


@pytest.mark.parametrize("family", FROM_NOTHING)
def test_contributions_add_up_to_the_log_odds(models: dict[str, Model], family: str) -> None:
    model, frame = models[family], rows("binary")[0].head(50)
    parts, p = model.contributions(frame), model.predict(frame).astype(float)
    assert list(parts.columns) == [*model.recipe.names, "bias"]
    inside = (p > 1e-5) & (p < 1 - 1e-5)
    assert inside.sum() > 40
    assert np.allclose(parts.sum(axis=1)[inside], np.log(p / (1 - p))[inside], atol=2e-3)
    assert parts["bias"].nunique() == 1


@pytest.mark.parametrize("family", ["random_forest", "linear"])
def test_contributions_of_several_classes_add_up_to_what_softmax_takes(family: str) -> None:
    frame, y, _ = rows("multiclass")
    model = fit(tuned(family, "multiclass", "log_loss").recipe, frame, y)
    raw = model.contributions(frame.head(20)).T.groupby(level="class").sum().T.to_numpy()
    odds = np.exp(raw - raw.max(axis=1, keepdims=True))
    assert np.allclose(odds / odds.sum(axis=1, keepdims=True), model.predict(frame.head(20)), atol=1e-4)


@pytest.mark.parametrize("family", ["linear", "sgd", "river"])
def test_a_class_that_the_rows_do_not_have_gets_no_chance(family: str) -> None:
    frame, y, _ = rows("multiclass")
    recipe = tuned(family, "multiclass", "log_loss", trials=1, batch=1).recipe
    two = fit(recipe, frame[y != 1], y[y != 1])
    scores = two.predict(frame)
    assert scores.shape == (len(frame), 3)
    assert (scores[:, 1] == 0).all()
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert two.contributions(frame.head(4)).shape == (4, 3 * 7)


@pytest.mark.parametrize("family", FROM_NOTHING)
def test_weights_of_two_are_rows_twice(family: str) -> None:
    """Balancing classes of a third and two thirds counts the rare one as if it were there twice."""
    frame, y, _ = rows("regression", n=900)
    label = (y > np.quantile(y, 2 / 3)).astype(float)
    kind = family_called(family)
    params = {**kind.defaults, **kind.fixed("binary", "roc_auc", label), "subsample": 1.0}
    recipe = Recipe(family, "binary", params, 3, COLUMNS, balanced=True)
    mean = float(fit(recipe, frame, label).predict(frame).mean())
    plain = float(fit(replace(recipe, balanced=False), frame, label).predict(frame).mean())
    assert mean > plain + 0.005
    if family not in ("sgd", "river"):
        assert plain < 0.45 < mean + 0.05


def test_other_bytes_are_refused() -> None:
    from mlops_assets.core.models.families import skops_file

    for content in (b"not a model", b"PK\x03\x04 not a model"):
        with pytest.raises(ValueError, match="Restore it from a backup"):
            Model.from_bytes(content)
    recipe = Recipe("linear", "binary", {"C": 1.0}, 1, COLUMNS)
    with pytest.raises(ValueError, match=r"Untrusted types.*Restore it from a backup"):
        Model.from_bytes(skops_file.dumps(np.random.default_rng, recipe))
    with pytest.raises(ValueError, match=r"no family 'forest'.*xgboost, random_forest, linear, sgd"):
        fit(replace(recipe, family="forest"), *rows("binary")[:2])
