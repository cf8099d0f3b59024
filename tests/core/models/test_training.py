"""Recipe, fit and search: same bytes on any number of cores, the order of time, errors with a remedy."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.models import matrix as matrix_module
from mlops_assets.core.models.families import family_called
from mlops_assets.core.models.training import (
    CannotTrain,
    FeatureColumn,
    Goal,
    LabelledRows,
    Model,
    Recipe,
    TrainingSettings,
    WrongColumns,
    check_trainable,
    fit,
    tune,
)
from mlops_assets.core.models.trials import Trial
from mlops_assets.core.stats.metrics import metric

DEFAULTS = family_called("xgboost").defaults
COLUMNS = (
    *(FeatureColumn(f"x{k}") for k in range(5)),
    FeatureColumn("carrier", "categorical"),
    FeatureColumn("is_long", "boolean"),
)
QUICK = TrainingSettings(trials=6, batch=3, max_rounds=40, early_stopping_rounds=8, min_rows=100)
PARAMS = {"objective": "binary:logistic", "max_depth": 4, "learning_rate": 0.3}


def data(n=3000, days=30, seed=0):
    """Features, a binary label that follows them, its log-odds, and event times over `days` days."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({f"x{k}": rng.normal(size=n) for k in range(5)})
    frame.loc[rng.random(n) < 0.1, "x4"] = np.nan
    frame["carrier"] = rng.choice(["AA", "B6", "UA"], n)
    frame["is_long"] = rng.random(n) < 0.5
    odds = 2 * frame.x0 + (frame.carrier == "B6") - frame.is_long.astype(float)
    y = (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(int)
    times = pd.Series(pd.date_range("2013-01-01", periods=n, freq=pd.Timedelta(days=days) / n, tz="UTC"))
    return frame, y, odds.to_numpy(), times


@pytest.fixture(scope="module")
def rows():
    return data()


@pytest.fixture(scope="module")
def tuned(rows):
    frame, y, _, times = rows
    return tune(LabelledRows(frame, y, times), Goal(COLUMNS, "binary", "roc_auc", QUICK))


@pytest.fixture(scope="module")
def model(rows):
    frame, y, _, _ = rows
    return fit(Recipe("xgboost", "binary", PARAMS, 20, COLUMNS, seed=3), frame, y)


def recipe(task="binary", **params):
    objective = {"binary": "binary:logistic", "regression": "reg:squarederror"}[task]
    return Recipe("xgboost", task, {"objective": objective, "max_depth": 3, **params}, 10, COLUMNS)


def test_the_search_is_the_same_on_one_core_and_two(rows, tuned):
    frame, y, _, times = rows
    searches = [
        tune(
            LabelledRows(frame, y, times),
            Goal(COLUMNS, "binary", "roc_auc", TrainingSettings(**{**vars(QUICK), "threads": threads})),
        )
        for threads in (1, 2)
    ]
    for search in searches:
        assert search.recipe == tuned.recipe
        pd.testing.assert_frame_equal(search.curve, tuned.curve)
        pd.testing.assert_frame_equal(search.trials.drop(columns="seconds"), tuned.trials.drop(columns="seconds"))
    assert len({fit(search.recipe, frame, y).sha256 for search in searches}) == 1


def test_parameters_that_are_set_are_not_searched_for(rows):
    frame, y, _, times = rows
    settings = TrainingSettings(**{**vars(QUICK), "params": {"max_depth": 2, "learning_rate": 0.2}})
    found = tune(LabelledRows(frame, y, times), Goal(COLUMNS, "binary", "roc_auc", settings))
    assert (found.recipe.params["max_depth"], found.recipe.params["learning_rate"]) == (2, 0.2)
    assert set(found.trials["max_depth"]) == {2}
    assert (len(found.trials), found.trials["subsample"].nunique() > 1) == (6, True)
    everything = {**family_called("xgboost").defaults, "max_depth": 2}
    settings = TrainingSettings(**{**vars(QUICK), "params": everything})
    found = tune(LabelledRows(frame, y, times), Goal(COLUMNS, "binary", "roc_auc", settings))
    assert len(found.trials) == 1
    assert {name: found.recipe.params[name] for name in everything} == everything


def test_a_parameter_that_no_family_searches_for_is_named():
    settings = TrainingSettings(families=("linear", "xgboost"), params={"C": 0.1, "max_dept": 4})
    with pytest.raises(
        ValueError,
        match=r"training.params has 'max_dept', for which .*: the nearest is max_depth; set some of C, .*max_depth",
    ):
        settings.check_task("binary", "roc_auc")
    TrainingSettings(families=("linear", "xgboost"), params={"C": 0.1, "max_depth": 4}).check_task("binary", "roc_auc")
    for fields in ({"retries": -1}, {"retry_delay": "soon"}):
        with pytest.raises(ValueError, match=r"retries is -1|not a duration"):
            TrainingSettings(**fields)


def test_trials_on_a_shared_matrix_give_the_curves_of_lonely_ones(rows):
    """Each trial alone, on matrices of its own, learns exactly what it learnt beside three others."""
    frame, y, _, times = rows
    settings = TrainingSettings(trials=4, batch=4, threads=4, max_rounds=15, min_rows=100)
    together = tune(LabelledRows(frame, y, times), Goal(COLUMNS, "binary", "roc_auc", settings))
    import xgboost

    late = (times >= together.validation_from).to_numpy()
    matrix = matrix_module.encode(frame, COLUMNS, together.recipe.categories)
    kinds = matrix_module.types_of(COLUMNS)
    for trial, curve in together.curve.groupby("trial"):
        shared = {"feature_types": kinds, "enable_categorical": True, "max_bin": 256}
        fit_side = xgboost.QuantileDMatrix(matrix[~late], y[~late], **shared)
        validation = xgboost.QuantileDMatrix(matrix[late], y[late], ref=fit_side, **shared)
        params = together.trials.loc[trial, list(DEFAULTS)].to_dict()
        params["max_depth"] = int(params["max_depth"])
        history = {}
        xgboost.train(
            {
                **params,
                "objective": "binary:logistic",
                "eval_metric": "auc",
                "nthread": 1,
                "seed": settings.seed,
            },
            fit_side,
            num_boost_round=len(curve),
            evals=[(validation, "v")],
            evals_result=history,
            verbose_eval=False,
        )
        assert history["v"]["auc"] == curve["value"].tolist()


def test_the_newest_whole_days_validate(tuned):
    # 3,000 rows over 30 days are 100 a day: a share of 0.2 is the last 6 days, from the 25th on.
    assert tuned.validation_from == pd.Timestamp("2013-01-25", tz="UTC")
    assert (tuned.fit_rows, tuned.validation_rows) == (2400, 600)


def test_the_order_of_the_rows_does_not_move_the_split(rows, tuned):
    frame, y, _, times = rows
    mixed = np.random.default_rng(5).permutation(len(frame))
    goal = Goal(COLUMNS, "binary", "roc_auc", TrainingSettings(trials=1, max_rounds=5, min_rows=100))
    shuffled = tune(LabelledRows(frame.iloc[mixed], y[mixed], times.iloc[mixed]), goal)
    assert shuffled.validation_from == tuned.validation_from
    assert shuffled.validation_rows == tuned.validation_rows


def test_the_first_trial_is_the_defaults_and_the_best_is_no_worse(tuned):
    first = tuned.trials.iloc[0]
    assert {name: first[name] for name in DEFAULTS} == dict(DEFAULTS)
    assert tuned.validation_score >= first["score"]
    assert tuned.validation_score == tuned.trials["score"].max()


def test_the_score_is_the_metric_of_the_recipe_on_the_validation_days(rows, tuned):
    """Fitted on the earlier days alone, the recipe scores on the later ones what the search says."""
    frame, y, _, times = rows
    late = (times >= tuned.validation_from).to_numpy()
    again = fit(tuned.recipe, frame[~late], y[~late])
    assert metric("roc_auc").score(y[late], again.predict(frame[late])) == pytest.approx(
        tuned.validation_score, abs=1e-6
    )
    values = tuned.curve[tuned.curve["trial"] == tuned.best_trial]["value"]
    assert tuned.recipe.rounds == int(np.argmax(values)) + 1


def test_it_learns_and_importance_says_from_what(rows, model):
    frame, y, odds, _ = data(seed=9)
    truth = metric("roc_auc").score(y, odds)
    assert metric("roc_auc").score(y, model.predict(frame)) > truth - 0.03
    shares = model.importance()
    assert sum(shares.values()) == pytest.approx(1)
    assert next(iter(shares)) == "x0"


def test_bad_trials_are_pruned_against_finished_batches_only(rows):
    frame, y, _, times = rows
    settings = TrainingSettings(trials=12, batch=4, max_rounds=120, early_stopping_rounds=50, min_rows=100)
    search = tune(LabelledRows(frame, y, times), Goal(COLUMNS, "binary", "log_loss", settings))
    assert set(search.trials.loc[search.trials["batch"] == 0, "state"]) == {"complete"}
    pruned = search.trials[search.trials["state"] == "pruned"]
    assert len(pruned)
    assert pruned["score"].isna().all()


def test_the_bar_compares_by_learning_and_not_by_rounds():
    slow = Trial(0, 0, {"learning_rate": 0.5}, values=[0.5, 0.6, 0.55, 0.7])
    # 0.5 a round: learning reaches 1 after round 2 and 2 after round 4; the best so far counts.
    assert slow.by_learning().tolist() == [0.6, 0.7]
    assert replace(slow, greater=False).by_learning().tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("task", "name", "objective"),
    [("regression", "rmse", "reg:squarederror"), ("regression", "mae", "reg:absoluteerror")],
)
def test_regressions_beat_the_constant(rows, task, name, objective):
    frame, _, odds, times = rows
    y = odds * 10 + np.random.default_rng(1).standard_t(3, size=len(odds))
    search = tune(LabelledRows(frame, y, times), Goal(COLUMNS, task, name, QUICK))
    late = (times >= search.validation_from).to_numpy()
    center = np.mean(y[~late]) if name == "rmse" else np.median(y[~late])
    assert search.validation_score < 0.6 * metric(name).score(y[late], np.full(late.sum(), center))
    assert search.recipe.params["objective"] == objective


def test_multiclass_gives_a_probability_per_class(rows):
    frame, _, odds, times = rows
    y = np.digitize(odds, [-1.5, 1.5])
    search = tune(LabelledRows(frame, y, times), Goal(COLUMNS, "multiclass", "log_loss", QUICK))
    made = fit(search.recipe, frame, y)
    scores = made.predict(frame)
    assert scores.shape == (len(frame), 3)
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert (scores.argmax(axis=1) == y).mean() > 0.85
    assert made.predict(frame.head(0)).shape == (0, 3)
    assert made.contributions(frame.head(4)).shape == (4, 3 * 8)


def test_same_rows_and_seed_same_bytes_other_seed_other_bytes(rows):
    frame, y, _, _ = rows
    sampled = recipe(subsample=0.7, colsample_bytree=0.7)
    first, second = fit(sampled, frame, y), fit(sampled, frame, y)
    other = fit(Recipe(**{**vars(sampled), "seed": 1}), frame, y)
    assert first.to_bytes() == second.to_bytes()
    assert other.sha256 != first.sha256


def test_one_file_is_the_whole_model(rows, model):
    frame, *_ = rows
    again = Model.from_bytes(model.to_bytes())
    assert again.recipe == model.recipe
    assert again.sha256 == model.sha256
    assert np.array_equal(again.predict(frame), model.predict(frame))
    assert Recipe.from_json(model.recipe.to_json()) == model.recipe
    with pytest.raises(ValueError, match="Restore it from a backup"):
        Model.from_bytes(b"not a model")
    with pytest.raises(ValueError, match=r"Recipe\.to_json"):
        Recipe.from_json('{"family": "xgboost"}')


def test_unseen_missing_and_infinite_values_are_read_as_missing(rows, model):
    frame = rows[0].head(3).copy()
    frame["x0"] = [np.inf, -np.inf, np.nan]
    frame["carrier"] = ["ZZ", None, np.nan]
    frame["x1"], frame["x2"], frame["x3"], frame["x4"] = 0.0, 0.0, 0.0, 0.0
    frame["is_long"] = pd.array([None, None, None], dtype="boolean")
    scores = model.predict(frame)
    assert np.isfinite(scores).all()
    assert len(set(scores.tolist())) == 1


def test_columns_are_taken_by_name_whatever_order_type_and_company(rows, model):
    frame = rows[0]
    other = frame[frame.columns[::-1]].assign(extra=1)
    other["x0"] = other["x0"].astype("Float64")
    other["is_long"] = other["is_long"].astype(object)
    other["carrier"] = other["carrier"].astype("category")
    assert np.array_equal(model.predict(other), model.predict(frame))


def test_a_category_is_the_same_as_text_integer_or_float():
    columns = (FeatureColumn("code", "categorical"),)
    known = matrix_module.categories_of(pd.DataFrame({"code": [7, 7, 12]}), columns)
    assert known == {"code": ("7", "12")}
    for values in ([12, 7, 5], ["12", "7", "5"], [12.0, 7.0, np.nan]):
        codes = matrix_module.encode(pd.DataFrame({"code": values}), columns, known)[:, 0]
        assert np.array_equal(codes, [1, 0, np.nan], equal_nan=True)


def test_a_refit_learns_new_categories_behind_the_known_ones(rows, model):
    frame, y, _, _ = data(seed=4)
    frame.loc[:200, "carrier"] = "WN"
    refitted = fit(model.recipe, frame, y)
    known = model.recipe.categories["carrier"]
    assert refitted.recipe.categories["carrier"] == (*known, "WN")


def test_only_the_most_frequent_categories_are_kept(monkeypatch):
    monkeypatch.setattr(matrix_module, "MAX_CATEGORIES", 2)
    frame = pd.DataFrame({"c": ["a", "b", "b", "c", "c", "c"]})
    assert matrix_module.categories_of(frame, (FeatureColumn("c", "categorical"),)) == {"c": ("c", "b")}


def test_contributions_add_up_to_the_log_odds(rows, model):
    frame = rows[0].head(20)
    parts = model.contributions(frame)
    p = model.predict(frame).astype(float)
    assert list(parts.columns) == [*model.recipe.names, "bias"]
    assert np.allclose(parts.sum(axis=1), np.log(p / (1 - p)), atol=1e-4)


def test_constant_columns_are_named_and_dropped(rows):
    frame, y, _, times = rows
    frame = frame.assign(same=1.0, never=np.nan, once=np.nan)
    frame.loc[2999, "once"] = 1.0
    more = (*COLUMNS, FeatureColumn("same"), FeatureColumn("never"), FeatureColumn("once"))
    search = tune(
        LabelledRows(frame, y, times), Goal(more, "binary", "roc_auc", TrainingSettings(trials=1, max_rounds=3))
    )
    assert search.dropped == ("same", "never")
    assert search.recipe.columns == (*COLUMNS, FeatureColumn("once"))


def test_a_sample_of_the_rows_serves_the_trials(rows, tuned):
    frame, y, _, times = rows
    settings = TrainingSettings(**{**vars(QUICK), "trial_rows": 1000})
    search = tune(LabelledRows(frame, y, times), Goal(COLUMNS, "binary", "roc_auc", settings))
    assert (search.fit_rows, search.validation_rows) == (800, 200)
    assert search.validation_from == tuned.validation_from


def test_labels_are_refused_before_there_are_features_as_the_search_would_refuse_them(rows):
    _, y, _, times = rows
    check_trainable(y, times, "binary", QUICK)
    with pytest.raises(CannotTrain, match=r"fitted on .* have one class only"):
        check_trainable(np.arange(3000) >= 2900, times, "binary", QUICK)
    with pytest.raises(CannotTrain, match="all rows are of one day"):
        check_trainable(y, times.iloc[[0]].repeat(3000), "binary", QUICK)


def test_as_few_rows_as_were_agreed_are_trained_on(rows):
    frame, y, _, times = rows
    few = slice(None, None, 60)
    found = tune(LabelledRows(frame[few], y[few], times[few]), Goal(COLUMNS, "binary", "roc_auc", QUICK))
    assert found.fit_rows + found.validation_rows == 50
    assert fit(found.recipe, frame[few], y[few]).predict(frame).shape == (3000,)


def test_what_cannot_be_trained_on_is_said_with_a_remedy(rows):
    frame, y, odds, times = rows
    with pytest.raises(CannotTrain, match=r"no labelled rows.*Wait for labels"):
        tune(LabelledRows(frame[:0], y[:0], times[:0]), Goal(COLUMNS, "binary", "roc_auc", QUICK))
    with pytest.raises(CannotTrain, match=r"one class only.*Widen training\.window"):
        fit(recipe(), frame, np.zeros(len(frame)))
    with pytest.raises(CannotTrain, match=r"1 of 3,000 labels are missing or infinite"):
        fit(recipe("regression"), frame, np.where(np.arange(3000) == 7, np.inf, odds))
    with pytest.raises(CannotTrain, match=r"not 0 and 1.*label model"):
        fit(recipe(), frame, y + 1)
    with pytest.raises(CannotTrain, match=r"all 7 features are constant"):
        fit(recipe(), frame.iloc[[0] * 600], y[:600])
    with pytest.raises(CannotTrain, match=r"infinite values in x1.*nullif"):
        fit(recipe(), frame.assign(x1=np.inf), y)
    with pytest.raises(CannotTrain, match="of one day"):
        tune(LabelledRows(frame, y, [times[0]] * 3000), Goal(COLUMNS, "binary", "roc_auc", QUICK))
    with pytest.raises(CannotTrain, match=r"to be validated on.*one class only"):
        early = np.where(times < pd.Timestamp("2013-01-20", tz="UTC"), y, 0)
        tune(LabelledRows(frame, early, times), Goal(COLUMNS, "binary", "roc_auc", QUICK))


def test_wrong_frames_and_settings_are_named(rows, model):
    frame, y, _, times = rows
    with pytest.raises(WrongColumns, match="lacks 2 of the model's 7 columns: x0, carrier"):
        model.predict(frame.drop(columns=["x0", "carrier"]))
    with pytest.raises(WrongColumns, match="'x2' holds object, for example 'a'"):
        model.predict(frame.assign(x2="a"))
    with pytest.raises(ValueError, match="is not for task"):
        tune(LabelledRows(frame, y, times), Goal(COLUMNS, "binary", "rmse", QUICK))
    with pytest.raises(ValueError, match=r"training\.families"):
        fit(Recipe("forest", "binary", PARAMS, 5, COLUMNS), frame, y)
    with pytest.raises(ValueError, match="validation_share"):
        TrainingSettings(validation_share=1.5)


def test_where_the_newest_days_contradict_the_rest_the_champions_recipe_learns_on() -> None:
    """Any tree is worse than none there, and a search that says so would ship a model that tells nothing apart."""
    rng, n = np.random.default_rng(8), 400
    times = pd.Series(pd.date_range("2024-06-01", periods=n, freq="3h", tz="UTC"))
    frame = pd.DataFrame({"x": rng.normal(size=n)})
    turned = np.where(times < pd.Timestamp("2024-07-05", tz="UTC"), 1.0, -1.0)
    y = (rng.random(n) < 1 / (1 + np.exp(-2 * turned * frame["x"]))).astype(float)
    goal = Goal((FeatureColumn("x"),), "binary", "log_loss", TrainingSettings(trials=2, max_rounds=50, min_rows=100))
    params = {"objective": "binary:logistic", "max_depth": 3, "learning_rate": 0.2, "min_child_weight": 60.0}
    champion = Recipe("xgboost", "binary", params, 17, goal.columns)
    found = tune(LabelledRows(frame, y, times), goal, champion=champion).recipe
    assert (found.rounds, found.params["max_depth"], found.params["min_child_weight"]) == (17, 3, 60.0)
