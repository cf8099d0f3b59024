"""A transformer before any family: against scikit-learn used directly, without a look at rows that are judged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from mlops_assets.core.models.families import read
from mlops_assets.core.models.families.transformed import unfitted
from mlops_assets.core.models.family_choice import find
from mlops_assets.core.models.matrix import CannotTrain, FeatureColumn
from mlops_assets.core.models.model import Model, Recipe, fit
from mlops_assets.core.models.row_scoring import RowScorer
from mlops_assets.core.models.training import Goal, LabelledRows, TrainingSettings, tune
from mlops_assets.core.settings_sections import TrainingSpec

COLUMNS = (FeatureColumn("a"), FeatureColumn("b"), FeatureColumn("c", "categorical"), FeatureColumn("d", "boolean"))
PARAMS: dict[str, dict[str, Any]] = {
    "xgboost": {"objective": "binary:logistic", "max_depth": 3, "learning_rate": 0.3},
    "random_forest": {"objective": "binary:logistic", "max_depth": 4, "num_parallel_tree": 5},
    "linear": {"C": 1.0},
    "sgd": {"eta0": 0.001, "alpha": 1e-5, "loss": "log_loss"},
}


def written(transformer: Any) -> str:
    return unfitted(skops.io.dumps(transformer), "own.skops")


def columns() -> ColumnTransformer:
    numbers = make_pipeline(SimpleImputer(), FunctionTransformer(np.arcsinh), StandardScaler(), PCA(2))
    texts = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer([("numbers", numbers, ["a", "b"]), ("texts", texts, ["c"])])


def rows(n: int = 1200) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(7)
    frame = pd.DataFrame({"a": rng.normal(size=n), "b": rng.exponential(size=n), "c": rng.choice(["u", "v", "w"], n)})
    frame["d"] = rng.random(n) < 0.5
    frame.loc[rng.random(n) < 0.1, "a"] = np.nan
    y = (frame.a.fillna(0) + 2 * (frame.c == "u") + rng.logistic(size=n) > 0.5).astype(float).to_numpy()
    times = pd.date_range("2024-01-01", periods=n, freq="h", tz="UTC")
    return frame.assign(event_timestamp=times, label_available_at=times), y


def recipe(family: str, transformer: Any) -> Recipe:
    return Recipe(family, "binary", PARAMS[family], 5, COLUMNS, seed=3, transformer=written(transformer))


@pytest.mark.parametrize("family", PARAMS)
def test_it_is_one_file_that_scores_frames_and_rows_alike_and_is_made_again(family: str) -> None:
    frame, y = rows()
    model = fit(recipe(family, columns()), frame, y)
    assert fit(recipe(family, columns()), frame, y).sha256 == model.sha256
    back = Model.from_bytes(model.to_bytes())
    assert back.recipe == model.recipe
    assert Recipe.from_json(model.recipe.to_json()) == model.recipe
    assert np.array_equal(back.predict(frame), model.predict(frame))
    assert fit(back.recipe, frame, y).sha256 == model.sha256, "by its own recipe, without the file of the user's"
    some = frame.head(20)
    sent = some[["a", "b", "c", "d"]].astype(object).where(some.notna(), None).to_dict("records")
    assert np.array_equal(RowScorer(back).predict(sent), model.predict(some))
    assert np.isfinite(RowScorer(back).predict([{}, {"c": "new"}])).all()
    assert model.importance()["a"] > model.importance()["d"] == 0.0, "the transformer takes no d"
    parts = model.contributions(some)
    assert list(parts.columns) == ["a", "b", "c", "d", "bias"]
    scores = model.predict(some).astype(float)
    assert np.allclose(parts.sum(axis=1), np.log(scores / (1 - scores)), atol=1e-4)


def test_it_gives_what_scikit_learn_gives_by_itself() -> None:
    frame, y = rows()
    ours = fit(recipe("linear", columns()), frame, y)
    theirs = make_pipeline(columns(), StandardScaler(), LogisticRegression(max_iter=300))
    expected = theirs.fit(frame, y).predict_proba(frame)[:, 1]
    assert np.abs(ours.predict(frame) - expected).max() < 1e-3


def test_a_regression_goes_through_it_too() -> None:
    frame, _ = rows()
    y = frame.b.to_numpy() * 3 + np.random.default_rng(1).normal(size=len(frame))
    scaled = ColumnTransformer([("b", FunctionTransformer(np.sqrt), ["b"])])
    ours = fit(Recipe("linear", "regression", {"C": 1.0}, 1, COLUMNS, transformer=written(scaled)), frame, y)
    root = StandardScaler().fit_transform(np.sqrt(frame[["b"]]))
    assert np.allclose(ours.predict(frame), Ridge(alpha=1.0).fit(root, y).predict(root), atol=1e-3)


def test_no_trial_and_no_part_sees_rows_that_it_is_judged_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fit of the transformer, by how many rows it saw: the folds' own pasts, and all of them never in a trial."""
    seen = list[int]()
    usual = StandardScaler.fit

    def counted(self: StandardScaler, x: Any, *more: Any, **named: Any) -> StandardScaler:
        if np.shape(x)[1] == 1:
            seen.append(len(x))
        return usual(self, x, *more, **named)

    monkeypatch.setattr(StandardScaler, "fit", counted)
    frame, y = rows()
    scaled = written(ColumnTransformer([("b", StandardScaler(), ["b"])]))
    settings = TrainingSettings(families=("xgboost",), trials=2, cv=3, max_rounds=5, validation_share=0.3)
    labelled = LabelledRows(frame, y, frame.event_timestamp)
    found = tune(labelled, Goal(COLUMNS, "binary", "log_loss", settings, transformer=scaled))
    assert seen == sorted(set(seen)), "one fit a fold, each on all days before it"
    assert (len(seen), seen[0], seen[-1] < len(frame)) == (3, found.fit_rows, True)
    # Several families are told apart part by part, each by fits on what was known before it.
    seen.clear()
    several = TrainingSettings(families=("xgboost", "random_forest"), trials=1, batch=1, max_rounds=5)
    tuned, chosen = find(labelled, Goal(COLUMNS, "binary", "log_loss", several, transformer=scaled))
    assert all(tried.score is not None for tried in chosen.tried)
    assert max(seen) < len(frame)
    assert tuned.recipe.transformer == scaled


def test_seeds_that_are_left_open_are_the_recipes() -> None:
    frame, y = rows()
    random = ColumnTransformer([("n", make_pipeline(SimpleImputer(), PCA(1, svd_solver="randomized")), ["a", "b"])])
    made = [fit(recipe("linear", random), frame, y).sha256 for _ in range(2)]
    assert made[0] == made[1]


class Own(StandardScaler):
    """A class that is no part of scikit-learn."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04", "own.skops is not a file of skops"),
        (b"pickle", "own.skops is not a file of skops"),
        (
            skops.io.dumps(make_pipeline(StandardScaler(), LogisticRegression())),
            "LogisticRegression, which is not a tra",
        ),
        (skops.io.dumps(Own()), "types that are not loaded, since they could run any code"),
        (skops.io.dumps({"a": 1}), "dict, which is not a transformer"),
    ],
)
def test_what_is_no_transformer_is_refused_with_its_remedy(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unfitted(content, "own.skops")


@pytest.mark.parametrize(
    ("transformer", "message"),
    [
        (ColumnTransformer([("x", StandardScaler(), ["away"])]), "cannot be fitted .*there are a, b, c, d"),
        (
            ColumnTransformer([("x", OneHotEncoder(sparse_output=False), ["c"])]),
            "everything is missing .*handle_unknown",
        ),
        (ColumnTransformer([("x", StandardScaler(), ["c"])]), "cannot be fitted"),
    ],
)
def test_what_cannot_take_the_rows_is_refused_before_the_search(transformer: Any, message: str) -> None:
    frame, y = rows()
    goal = Goal(COLUMNS, "binary", "log_loss", TrainingSettings(trials=1), transformer=written(transformer))
    with pytest.raises(CannotTrain, match=message):
        tune(LabelledRows(frame, y, frame.event_timestamp), goal)


def test_a_file_without_its_transformer_is_damaged() -> None:
    frame, y = rows()
    plain = fit(Recipe("linear", "binary", {"C": 1.0}, 1, COLUMNS), frame, y)
    from mlops_assets.core.models.families.skops_file import RECIPE, with_entries

    damaged = with_entries(plain.content, {RECIPE: recipe("linear", columns()).to_json()})
    with pytest.raises(ValueError, match="its file holds none; the file is damaged"):
        read(damaged)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pipeline": "../other.skops"}, "name a file beside the model's YAML"),
        ({"pipeline": "own.pkl"}, "for example scaled.skops"),
        ({"pipeline": "own.skops", "families": ("sgd_continued",)}, "sgd_continued goes on from one: leave one out"),
    ],
)
def test_settings_that_cannot_be_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingSpec(**fields)
