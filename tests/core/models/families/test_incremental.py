"""Boosting that goes on from a model: XGBoost's own continuation, the base inside, nothing learnt twice."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.models.family_choice import continuation
from mlops_assets.core.models.matrix import CannotTrain, FeatureColumn, WrongColumns, encode
from mlops_assets.core.models.model import Model, Recipe, fit
from mlops_assets.core.stats.metrics import metric

COLUMNS = (FeatureColumn("x"), FeatureColumn("z"), FeatureColumn("c", "categorical"))
PARAMS = {"objective": "binary:logistic", "max_depth": 3, "subsample": 0.8}
CUT, SECOND = datetime(2013, 2, 1, tzinfo=UTC), datetime(2013, 2, 5, tzinfo=UTC)


def rows(n: int = 1600) -> tuple[pd.DataFrame, np.ndarray]:
    """Forty days from January 1; in February the sign of x turns round."""
    rng = np.random.default_rng(2)
    known = pd.date_range("2013-01-01", periods=n, freq=pd.Timedelta(days=40) / n, tz="UTC")
    frame = pd.DataFrame({"x": rng.normal(size=n), "z": rng.normal(size=n), "c": rng.choice(["a", "b"], n)})
    frame["label_available_at"] = known
    sign = np.where(known < CUT, 1.0, -1.0)
    return frame, (sign * frame.x + 0.3 * rng.normal(size=n) > 0).astype(float).to_numpy()


@pytest.fixture(scope="module")
def champion() -> Model:
    frame, y = rows()
    old = (frame.label_available_at < CUT).to_numpy()
    return fit(Recipe("xgboost", "binary", PARAMS, 12, COLUMNS, seed=4), frame[old], y[old])


def test_it_is_xgboosts_own_continuation(champion: Model) -> None:
    import xgboost

    frame, y = rows()
    new = (frame.label_available_at >= CUT).to_numpy()
    made = fit(continuation(champion, CUT), frame, y, base=champion)
    data = xgboost.QuantileDMatrix(
        encode(frame[new], COLUMNS, made.recipe.categories),
        y[new],
        feature_names=["x", "z", "c"],
        feature_types=["q", "q", "c"],
        enable_categorical=True,
        nthread=1,
    )
    params = {**PARAMS, "tree_method": "hist", "seed": 4, "nthread": 1}
    theirs = xgboost.train(params, data, 10, xgb_model=xgboost.Booster(model_file=bytearray(champion.content)))
    matrix = encode(frame, COLUMNS, made.recipe.categories)
    assert np.array_equal(made.predict(frame), theirs.inplace_predict(matrix, validate_features=False))
    assert made.fitted.native.num_boosted_rounds() == 22
    better = [np.mean((one.predict(frame[new]) > 0.5) == y[new]) for one in (champion, made)]
    assert better[1] > better[0] + 0.3


def test_it_holds_its_base_byte_for_byte_and_is_made_again_from_itself(champion: Model) -> None:
    frame, y = rows()
    first = fit(continuation(champion, CUT), frame[:1400], y[:1400], base=champion)
    assert first.fitted.base == champion.to_bytes()
    assert fit(first.recipe, frame[:1400], y[:1400], base=first).to_bytes() == first.to_bytes()
    second = fit(continuation(first, SECOND), frame, y, base=first)
    assert second.fitted.base == first.to_bytes()
    inner = Model.from_bytes(second.fitted.base or b"")
    assert inner.fitted.base == champion.to_bytes()
    assert second.fitted.native.num_boosted_rounds() == 32
    assert champion.fitted.base is None
    # The records before grow by one recipe a time.
    assert len(second.to_bytes()) < len(champion.to_bytes()) * 3


def test_without_new_rows_it_is_the_base_under_another_recipe(champion: Model) -> None:
    frame, y = rows()
    old = (frame.label_available_at < CUT).to_numpy()
    same = fit(continuation(champion, CUT), frame[old], y[old], base=champion)
    assert np.array_equal(same.predict(frame), champion.predict(frame))
    assert same.recipe.family == "xgboost_continued"


def test_where_no_base_is_at_hand_a_model_as_large_can_be_made(champion: Model) -> None:
    frame, y = rows()
    recipe = continuation(champion, CUT).from_nothing
    assert (recipe.family, recipe.rounds) == ("xgboost", 22)
    assert fit(recipe, frame, y).fitted.native.num_boosted_rounds() == 22
    assert champion.recipe.from_nothing == champion.recipe


def test_without_its_base_or_times_it_is_not_made(champion: Model) -> None:
    frame, y = rows()
    recipe = continuation(champion, CUT)
    other = fit(Recipe("xgboost", "binary", PARAMS, 3, COLUMNS), frame, y)
    for base in (None, other):
        with pytest.raises(CannotTrain, match="not at hand"):
            fit(recipe, frame, y, base=base)
    with pytest.raises(WrongColumns, match="lacks 'label_available_at'"):
        fit(recipe, frame.drop(columns="label_available_at"), y, base=champion)


@pytest.mark.parametrize(
    ("task", "params"),
    [
        ("regression", {"objective": "reg:squarederror"}),
        ("multiclass", {"objective": "multi:softprob", "num_class": 3}),
    ],
)
def test_a_regression_and_several_classes_go_on_too(task: Any, params: dict[str, Any]) -> None:
    """The new rows lack a class; what was learnt of it stays."""
    frame, _ = rows()
    new = (frame.label_available_at >= CUT).to_numpy()
    sign = np.where(new, -1.0, 1.0)
    y = (sign * frame.x + 0.1 * frame.z).to_numpy()
    if task == "multiclass":
        y = np.where(new, np.digitize(y, [0.0]), np.digitize(y, [-0.5, 0.5])).astype(float)
    base = fit(Recipe("xgboost", task, {**PARAMS, **params}, 12, COLUMNS, seed=4), frame[~new], y[~new])
    made = fit(continuation(base, CUT), frame, y, base=base)
    assert made.fitted.native.num_boosted_rounds() == 22
    assert made.fitted.base == base.to_bytes()
    assert fit(made.recipe, frame, y, base=made).to_bytes() == made.to_bytes()
    judge = metric("rmse" if task == "regression" else "log_loss")
    before, after = (judge.score(y[new], one.predict(frame[new])) for one in (base, made))
    assert after < 0.7 * before
    assert made.predict(frame).shape == base.predict(frame).shape
