"""A transformer before any family: against scikit-learn used directly, without a look at rows that are judged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomTreesEmbedding
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_selection import SelectKBest, f_regression, mutual_info_classif
from sklearn.impute import IterativeImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.manifold import TSNE
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    PowerTransformer,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)

from mlops_assets.core.models.families import read
from mlops_assets.core.models.families.skops_file import RECIPE, with_entries
from mlops_assets.core.models.families.transformer import unfitted
from mlops_assets.core.models.family_choice import find
from mlops_assets.core.models.matrix import CannotTrain, CannotTransform, FeatureColumn, encode
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


def test_an_encoder_of_the_label_hands_no_row_its_own_label() -> None:
    """A category a row, nearly: what scikit-learn's `Pipeline` gives, which fits a model on `fit_transform`.

    Fitted on `transform` of its own rows, the model would trust the encoded names, which say nothing of other rows.
    """
    frame, y = rows(1_500)
    names = np.random.default_rng(11).integers(0, 120, len(frame))
    frame["c"] = [f"n{name}" for name in names]
    learn, judge = frame.iloc[:1_000], frame.iloc[1_000:]
    encoded = ColumnTransformer(
        [
            ("n", make_pipeline(SimpleImputer(), StandardScaler()), ["a", "b"]),
            ("c", TargetEncoder(smooth=1e-3, random_state=3), ["c"]),
        ]
    )
    ours = fit(recipe("linear", encoded), learn, y[:1_000])
    theirs = make_pipeline(encoded, StandardScaler(), LogisticRegression(max_iter=300)).fit(learn, y[:1_000])
    assert np.abs(ours.predict(judge) - theirs.predict_proba(judge)[:, 1]).max() < 1e-3
    leaking = make_pipeline(StandardScaler(), LogisticRegression()).fit(theirs[0].transform(learn), y[:1_000])
    leaked = leaking.predict_proba(theirs[0].transform(judge))[:, 1]
    assert roc_auc_score(y[1_000:], ours.predict(judge)) > roc_auc_score(y[1_000:], leaked)


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


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("step", "named"),
    [(make_pipeline(SimpleImputer(), PCA(1, svd_solver="randomized")), ["a", "b"]), (TargetEncoder(), ["c"])],
)
def test_seeds_that_are_left_open_are_the_recipes(step: Any, named: list[str]) -> None:
    frame, y = rows()
    random = ColumnTransformer([("n", step, named)])
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
        (
            skops.io.dumps(SelectKBest(mutual_info_classif)),
            r"\(sklearn\.feature.*mutual_info_classif\): use .* f_classif",
        ),
        (skops.io.dumps(TSNE()), "TSNE, which is not a transformer"),
        (
            with_entries(skops.io.dumps(StandardScaler()), {"schema.json": "{"}),
            "own.skops is not a file of skops .*skops",
        ),
        (skops.io.dumps(StandardScaler())[:200], "own.skops is not a file of skops"),
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
        (
            ColumnTransformer([("x", StandardScaler(), ["b"])], remainder="passthrough"),
            r"cannot be fitted \(it lets values through that are not numbers: .*; encode such columns, or drop them",
        ),
        (FunctionTransformer(), "it lets values through that are not numbers"),
        (ColumnTransformer([]), r"cannot be fitted \(it makes no column\)"),
        (
            ColumnTransformer([("x", make_pipeline(SimpleImputer(), SplineTransformer(extrapolation="error")), ["b"])]),
            r"beyond the limits of the knots\), for example in a row with a=.*take any number",
        ),
        (
            ColumnTransformer([("x", make_pipeline(SimpleImputer(), PowerTransformer(method="box-cox")), ["b"])]),
            r"strictly positive data\), for example in a row with a=0\.0, b=0\.0, d=False\. .*yeo-johnson",
        ),
        # Trees, which skops does not trust since their nodes point at each other, come with the fit.
        (
            ColumnTransformer([("x", RandomTreesEmbedding(2), ["b"])]),
            r"can be fitted, but not be read back .*Leave that step out",
        ),
    ],
)
def test_what_cannot_take_the_rows_is_refused_before_the_search(transformer: Any, message: str) -> None:
    frame, y = rows()
    goal = Goal(COLUMNS, "binary", "log_loss", TrainingSettings(trials=1), transformer=written(transformer))
    with pytest.raises(CannotTrain, match=message):
        tune(LabelledRows(frame, y, frame.event_timestamp), goal)


@pytest.mark.parametrize(
    "last",
    [SelectKBest(k=2), SelectKBest(f_regression, k=2), KMeans(3, n_init=1), LinearDiscriminantAnalysis()],
    ids=["f_classif", "f_regression", "clusters", "discriminants"],
)
def test_whatever_transforms_may_be_its_last_step(last: Any) -> None:
    frame, y = rows()
    model = fit(recipe("linear", make_pipeline(columns(), last)), frame, y)
    made = make_pipeline(columns(), clone(last))
    if "random_state" in last.get_params():
        made.set_params(kmeans__random_state=3, columntransformer__numbers__pca__random_state=3)
    theirs = make_pipeline(made, StandardScaler(), LogisticRegression(max_iter=300)).fit(frame, y)
    again = Model.from_bytes(model.to_bytes())
    assert np.abs(again.predict(frame) - theirs.predict_proba(frame)[:, 1]).max() < 1e-3


@pytest.mark.parametrize(
    "steps", [(SimpleImputer(), SplineTransformer()), (IterativeImputer(random_state=3),)], ids=["spline", "imputer"]
)
def test_what_scikit_learn_adds_in_the_fit_is_read_again(steps: tuple[Any, ...]) -> None:
    frame, y = rows()
    curved = ColumnTransformer([("b", make_pipeline(*steps), ["a", "b"])])
    model = fit(recipe("linear", curved), frame, y)
    theirs = make_pipeline(curved, StandardScaler(), LogisticRegression(max_iter=300)).fit(frame, y)
    again = Model.from_bytes(model.to_bytes())
    assert np.abs(again.predict(frame) - theirs.predict_proba(frame)[:, 1]).max() < 1e-3


def test_the_first_row_that_is_not_taken_has_its_position() -> None:
    frame, y = rows()
    bounded = ColumnTransformer([("c", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["c"])])
    model = fit(recipe("linear", bounded), frame, y)
    # As a version from before each fit was tried on zeros and negative numbers.
    held = {**model.fitted.held, "transformer": FunctionTransformer(func=_only_positive)}
    older = replace(model.fitted, held=held)
    matrix = encode(frame, model.recipe.columns, model.recipe.categories)
    matrix[:, 0] = 1.0
    matrix[[700, 900], 0] = 0.0
    with pytest.raises(CannotTransform, match=r"no zero, please\)\. Correct the file .* train again") as refused:
        older.predict(matrix)
    assert refused.value.row == 700


def _only_positive(frame: pd.DataFrame) -> np.ndarray:
    if (frame.a <= 0).any():
        raise ValueError("no zero, please")
    return np.zeros((len(frame), 3))


def test_a_file_without_its_transformer_is_damaged() -> None:
    frame, y = rows()
    plain = fit(Recipe("linear", "binary", {"C": 1.0}, 1, COLUMNS), frame, y)
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
