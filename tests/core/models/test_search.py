"""Grid and folds: every listed combination, days before and days after, the mean of the folds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import TimeSeriesSplit

from mlops_assets.core.models.families import family_called
from mlops_assets.core.models.family_choice import find
from mlops_assets.core.models.model import fit
from mlops_assets.core.models.recipe import Recipe
from mlops_assets.core.models.time_splits import days_of, time_splits
from mlops_assets.core.models.training import CannotTrain, Goal, LabelledRows, Tuned, tune
from mlops_assets.core.models.training_settings import MOST_COMBINATIONS, TrainingSettings
from tests.core.models.test_training import COLUMNS, QUICK, data

DEFAULTS = family_called("xgboost").defaults


def settings(**changes: Any) -> TrainingSettings:
    return replace(QUICK, **changes)


def searched(family: str = "xgboost", n: int = 1_500, **changes: Any) -> Tuned:
    frame, y, _, times = data(n=n)
    return tune(LabelledRows(frame, y, times), Goal(COLUMNS, "binary", "roc_auc", settings(**changes)), family=family)


def listed(tuned: Tuned, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in tuned.trials[list(names)].itertuples(index=False)]


# --- folds -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cv", [2, 3, 6])
def test_folds_are_those_of_a_rolling_origin_on_days(cv: int) -> None:
    # 30 days of 100 rows, of which the newest six are a fifth: scikit-learn splits the days alike.
    _, _, _, times = data(n=3_000, days=30)
    day = days_of(times, 3_000)
    days = np.unique(day)
    expected = TimeSeriesSplit(n_splits=cv, test_size=6 // cv).split(days)
    for split, (before, after) in zip(time_splits(times, 3_000, settings(cv=cv)), expected, strict=True):
        assert set(day[split.fit]) == set(days[before])
        assert set(day[split.validation]) == set(days[after])
        assert split.first_day == pd.Timestamp(days[after][0], tz="UTC")
        assert (np.diff(split.fit) > 0).all(), "the order of the rows stays"


def test_folds_of_a_sample_have_no_row_twice_and_none_from_later() -> None:
    frame, _, _, times = data(n=3_000)
    day = days_of(times, len(frame))
    folds = time_splits(times, len(frame), settings(cv=3, trial_rows=1_000))
    validated = np.concatenate([fold.validation for fold in folds])
    assert len(set(validated)) == len(validated) == 200
    for fold in folds:
        assert day[fold.fit].max() < day[fold.validation].min()
        assert len(set(fold.fit)) == len(fold.fit) <= 1_000


def test_more_folds_than_days_and_folds_of_one_class_are_refused() -> None:
    frame, y, _, times = data(n=1_500)
    goal = Goal(COLUMNS, "binary", "roc_auc", settings(cv=7))
    with pytest.raises(CannotTrain, match=r"of 6 days, and training.cv wants 7 folds .*Set training.cv lower"):
        tune(LabelledRows(frame, y, times), goal)
    y[days_of(times, len(frame)) >= np.datetime64("2013-01-29")] = 0
    with pytest.raises(CannotTrain, match=r"split at 2013-01-29\) have one class only\. .*or set training.cv lower"):
        tune(LabelledRows(frame, y, times), replace(goal, settings=settings(cv=3)))


def test_a_trials_score_is_the_mean_of_its_folds() -> None:
    """By hand: the recipe fitted before each fold, its ROC AUC there by scikit-learn."""
    frame, y, _, times = data(n=1_500)
    tuned = searched("linear", search="grid", cv=3, params={"C": [0.01, 1.0]}, families=("linear",))
    for C, score in listed(tuned, "C", "score"):
        recipe = replace(tuned.recipe, params={**tuned.recipe.params, "C": C})
        values = []
        for split in time_splits(times, len(frame), settings(cv=3)):
            made = fit(recipe, frame.iloc[split.fit], y[split.fit])
            values.append(roc_auc_score(y[split.validation], made.predict(frame.iloc[split.validation])))
        assert score == pytest.approx(np.mean(values), abs=1e-6)
    assert tuned.validation_score == tuned.trials["score"].max()
    assert tuned.validation_rows == 300


def test_optuna_searches_over_folds_too_and_rounds_are_those_of_the_fold_in_the_middle() -> None:
    tuned = searched(cv=3, trials=5)
    assert (len(tuned.trials), set(tuned.trials["state"])) == (5, {"complete"})
    assert tuned.recipe.rounds == tuned.trials.loc[tuned.best_trial, "rounds"]
    assert 1 <= tuned.recipe.rounds <= QUICK.max_rounds
    assert np.isfinite(tuned.trials["score"]).all()


def test_scores_are_calibrated_over_all_folds() -> None:
    tuned = searched(cv=3, trials=2, calibration="platt")
    assert tuned.recipe.calibration is not None


# --- grid --------------------------------------------------------------------------------------------------


def test_a_grid_tries_every_combination_in_the_order_of_its_lists() -> None:
    params: Mapping[str, Any] = {"max_depth": [2, 5], "learning_rate": [0.1, 0.2, 0.3], "subsample": 0.9}
    tuned = searched(search="grid", params=params, trials=1)
    assert listed(tuned, "max_depth", "learning_rate") == list(product([2, 5], [0.1, 0.2, 0.3]))
    assert set(tuned.trials["subsample"]) == {0.9}
    assert set(tuned.trials["reg_lambda"]) == {DEFAULTS["reg_lambda"]}, "what is not named is the family's default"
    assert set(tuned.trials["state"]) == {"complete"}, "each is seen to its end"
    best = tuned.trials.loc[tuned.trials["score"].idxmax()]
    assert tuned.recipe.params["max_depth"] == best["max_depth"]


def test_the_number_of_threads_does_not_change_what_is_found() -> None:
    params = {"max_depth": [2, 4, 6]}
    one, three = (searched(search="grid", cv=2, params=params, threads=threads) for threads in (1, 3))
    assert one.recipe.to_json() == three.recipe.to_json()
    assert one.trials.drop(columns="seconds").equals(three.trials.drop(columns="seconds"))


def test_of_several_families_each_takes_its_own_lists() -> None:
    frame, y, _, times = data(n=1_500)
    params = {"C": [0.1, 1.0], "max_depth": [2, 3, 4]}
    goal = Goal(COLUMNS, "binary", "roc_auc", settings(search="grid", params=params, families=("linear", "xgboost")))
    tuned, chosen = find(LabelledRows(frame, y, times), goal)
    assert len(tuned.trials) == {"linear": 2, "xgboost": 3}[chosen.family]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a list without a grid": ({"params": {"max_depth": [2, 3]}}, r"lists values of max_depth: set search: grid"),
    "a grid without a list": (
        {"search": "grid", "params": {"max_depth": 2}},
        r"grid tries what training.params lists",
    ),
    "a grid of nothing": ({"search": "grid"}, r"grid tries what training.params lists, such as .*: list some"),
    "an empty list": ({"search": "grid", "params": {"max_depth": []}}, r"training.params.max_depth lists no value"),
    "too many": (
        {"search": "grid", "params": {name: list(range(1, 12)) for name in ("a", "b", "c")}},
        r"lists 1,331 combinations, and 1,000 are tried at most: list fewer values, or leave search to optuna",
    ),
    "no fold": ({"cv": 0}, r"training.cv is 0: write a whole number from 1 to 50"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_search_that_cannot_be_is_refused(name: str) -> None:
    values, why = REFUSED[name]
    with pytest.raises(ValueError, match=why):
        settings(**values)
    assert MOST_COMBINATIONS == 1_000


def test_a_parameter_that_no_family_has_is_named_in_a_grid_too() -> None:
    with pytest.raises(ValueError, match=r"training.params has 'depth'"):
        settings(search="grid", params={"depth": [1, 2]}).check_task("binary", "roc_auc")


def test_what_is_listed_is_not_searched_while_families_are_chosen() -> None:
    quick = settings(search="grid", cv=3, params={"max_depth": [2, 3], "subsample": 0.9}, budget="5min").for_choosing
    assert (quick.search, quick.cv, quick.params, quick.trials, quick.budget) == (
        "optuna",
        1,
        {"subsample": 0.9},
        3,
        None,
    )
    assert settings().for_choosing == replace(QUICK, trials=3), "as it always was"


def test_a_recipe_says_nothing_of_how_it_was_found() -> None:
    assert isinstance(Recipe.from_json(searched(search="grid", params={"max_depth": [2]}).recipe.to_json()), Recipe)
