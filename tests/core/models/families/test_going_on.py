"""Linear models that go on from a champion: as if learning had never stopped, the base inside, nothing learnt twice."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.models.families.linear import one_thread
from mlops_assets.core.models.families.river import BATCH, names_of, river_model
from mlops_assets.core.models.families.skops_file import dumps, loads
from mlops_assets.core.models.family_choice import continuation
from mlops_assets.core.models.matrix import CannotTrain, FeatureColumn, encode
from mlops_assets.core.models.model import Model, Recipe, fit
from mlops_assets.core.stats.metrics import Task

COLUMNS = (FeatureColumn("x"), FeatureColumn("z"), FeatureColumn("c", "categorical"))
CUT, SECOND = datetime(2013, 2, 1, tzinfo=UTC), datetime(2013, 2, 5, tzinfo=UTC)
PARAMS = {
    ("sgd", "binary"): {"loss": "log_loss", "eta0": 0.01, "alpha": 1e-5},
    ("sgd", "regression"): {"loss": "squared_error", "eta0": 0.01, "alpha": 1e-5},
    ("sgd", "multiclass"): {"loss": "log_loss", "eta0": 0.01, "alpha": 1e-5, "num_class": 3},
    ("river", "binary"): {"optimizer": "adam", "rate": 0.01, "l2": 1e-5, "loss": "log_loss"},
    ("river", "regression"): {"optimizer": "adam", "rate": 0.05, "l2": 1e-5, "loss": "squared"},
    ("river", "multiclass"): {"optimizer": "sgd", "rate": 0.1, "l2": 1e-5, "loss": "log_loss", "num_class": 3},
}
ALL = list(PARAMS)


def rows(task: Task, n: int = 1600) -> tuple[pd.DataFrame, np.ndarray]:
    """Seed 2: forty days from January 1; in February the sign of x turns round. A gap and a category in some rows."""
    rng = np.random.default_rng(2)
    known = pd.date_range("2013-01-01", periods=n, freq=pd.Timedelta(days=40) / n, tz="UTC")
    frame = pd.DataFrame({"x": rng.normal(size=n), "z": rng.normal(size=n), "c": rng.choice(["a", "b"], n)})
    value = np.where(known < CUT, 1.0, -1.0) * frame.x + 0.3 * rng.normal(size=n)
    frame.loc[rng.random(n) < 0.05, "z"] = np.nan
    frame["label_available_at"] = known
    made = {"regression": value, "binary": value > 0, "multiclass": np.digitize(value, [-0.5, 0.5])}
    return frame, np.asarray(made[task], dtype=float)


def champion(family: str, task: Task) -> Model:
    frame, y = rows(task)
    old = (frame.label_available_at < CUT).to_numpy()
    return fit(Recipe(family, task, PARAMS[family, task], 2, COLUMNS, seed=4), frame[old], y[old])


def new_to(frame: pd.DataFrame, since: datetime = CUT) -> np.ndarray:
    return (frame.label_available_at >= since).to_numpy()


@pytest.mark.parametrize("task", ["binary", "regression", "multiclass"])
def test_sgd_is_scikit_learns_own_partial_fit(task: Task) -> None:
    base, (frame, y) = champion("sgd", task), rows(task)
    made = fit(continuation(base, CUT), frame, y, base=base)
    columns, estimator = loads(base.content)[0]
    matrix = encode(frame[new_to(frame)], COLUMNS, made.recipe.categories)
    with one_thread():
        estimator.partial_fit(columns.transform(matrix).astype(np.float32), y[new_to(frame)].astype(np.float32))
    assert np.array_equal(made.fitted.native[-1].coef_, estimator.coef_)
    assert np.array_equal(made.fitted.native[-1].intercept_, estimator.intercept_)


@pytest.mark.parametrize(("task", "optimizer"), [("binary", "adam"), ("regression", "adam"), ("binary", "sgd")])
def test_river_goes_on_as_if_it_had_never_stopped(task: Task, optimizer: str) -> None:
    """River's own model over the old rows twice and the new ones once, in one go: weights and moments bit by bit."""
    frame, y = rows(task)
    recipe = Recipe("river", task, {**PARAMS["river", task], "optimizer": optimizer}, 2, COLUMNS, seed=4)
    old = ~new_to(frame)
    base = fit(recipe, frame[old], y[old])
    made = fit(continuation(base, CUT), frame, y, base=base)
    columns, _ = loads(base.content)[0]
    labels = y.astype(np.float32).astype(np.float64)
    centre, scale = (labels[old].mean(), labels[old].std()) if task == "regression" else (0.0, 1.0)
    learnt = (labels - centre) / scale if task == "regression" else labels == 1.0
    numbers = pd.DataFrame(columns.transform(encode(frame, COLUMNS, made.recipe.categories)).astype(np.float32))
    numbers.columns = pd.Index(names_of(numbers.shape[1]))
    theirs = river_model(recipe, several=False)
    for part in (old, old, ~old):
        places = np.flatnonzero(part)
        for start in range(0, len(places), BATCH):
            some = places[start : start + BATCH]
            theirs.learn_many(
                numbers.iloc[some].reset_index(drop=True), pd.Series(learnt[some]), w=pd.Series(np.ones(len(some)))
            )
    weights = [theirs.weights[name] for name in names_of(numbers.shape[1])]
    coefficients = made.fitted.native[-1].coef_.reshape(-1)
    assert coefficients == pytest.approx(np.array(weights) * scale, rel=1e-9)


@pytest.mark.parametrize(("family", "task"), ALL)
def test_it_learns_what_is_new_and_holds_its_base_byte_for_byte(family: str, task: Task) -> None:
    base, (frame, y) = champion(family, task), rows(task)
    first = fit(continuation(base, CUT), frame[:1400], y[:1400], base=base)
    assert first.recipe.family == f"{family}_continued"
    assert Model.from_bytes(first.to_bytes()).recipe == first.recipe
    assert first.fitted.base == base.to_bytes()
    assert fit(first.recipe, frame[:1400], y[:1400], base=first).to_bytes() == first.to_bytes()
    late = new_to(frame, SECOND)
    errors = [_error(model, frame[late], y[late], task) for model in (base, first)]
    assert errors[1] < errors[0]


@pytest.mark.parametrize("family", ["sgd", "river"])
def test_it_stays_as_large_as_two_however_often_it_goes_on(family: str) -> None:
    base, (frame, y) = champion(family, "binary"), rows("binary")
    sizes, model = [], base
    for day in range(1, 9):
        model = fit(continuation(model, datetime(2013, 2, day, tzinfo=UTC)), frame, y, base=model)
        sizes.append(len(model.content))
        assert model.recipe.base is not None
        assert model.recipe.base.rounds == 1 + day
    assert max(sizes) < 1.02 * sizes[0] < 3 * len(base.content)
    assert fit(model.recipe, frame, y, base=model).to_bytes() == model.to_bytes()


@pytest.mark.parametrize("family", ["sgd", "river"])
def test_without_new_rows_it_says_what_its_base_says(family: str) -> None:
    base, (frame, y) = champion(family, "regression"), rows("regression")
    old = ~new_to(frame)
    same = fit(continuation(base, CUT), frame[old], y[old], base=base)
    assert np.allclose(same.predict(frame), base.predict(frame), atol=1e-6)


@pytest.mark.parametrize("family", ["sgd", "river"])
def test_a_class_that_the_base_does_not_know(family: str) -> None:
    """Of three classes the base's rows had two: as many columns, and no model of the third."""
    frame, y = rows("multiclass")
    old = ~new_to(frame) & (y != 1.0)
    base = fit(Recipe(family, "multiclass", PARAMS[family, "multiclass"], 1, COLUMNS), frame[old], y[old])
    with pytest.raises(CannotTrain, match=rf"without class 1, and cannot be given it\. Name {family} beside"):
        fit(continuation(base, CUT), frame, y, base=base)


def test_without_its_base_or_its_state_it_is_not_made() -> None:
    base, (frame, y) = champion("river", "binary"), rows("binary")
    recipe = continuation(base, CUT)
    with pytest.raises(CannotTrain, match=r"not at hand\. Leave river_continued out"):
        fit(recipe, frame, y)
    before = Model(base.recipe, dumps(*loads(base.content)))
    with pytest.raises(CannotTrain, match=r"before what river needs to go on was kept\. Name river beside"):
        fit(continuation(before, CUT), frame, y, base=before)
    assert (recipe.from_nothing.family, recipe.from_nothing.rounds) == ("river", 3)


def _error(model: Model, frame: pd.DataFrame, y: np.ndarray, task: Task) -> float:
    scores = model.predict(frame)
    if task == "regression":
        return float(np.mean((scores - y) ** 2))
    return float(np.mean((scores.argmax(axis=1) if task == "multiclass" else scores > 0.5) != y))
