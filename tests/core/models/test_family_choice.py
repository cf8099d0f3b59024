"""The choice of a family: the best on the newest days wins, a floor saves work, what may know the days is no judge."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.models import family_choice
from mlops_assets.core.models.families import family_called
from mlops_assets.core.models.family_choice import Champion, choose, find
from mlops_assets.core.models.matrix import CannotTrain, FeatureColumn
from mlops_assets.core.models.model import Recipe, fit
from mlops_assets.core.models.training import Goal, LabelledRows, TrainingSettings, tune
from mlops_assets.core.stats.metrics import metric

COLUMNS = tuple(FeatureColumn(name) for name in ("x", "z"))
SETTINGS = TrainingSettings(trials=3, batch=2, max_rounds=30, early_stopping_rounds=5, min_rows=100)


def rows(shape: str, n: int = 1600) -> tuple[pd.DataFrame, np.ndarray, pd.Series]:
    """Forty days whose label follows a line in the features, or is likely where one of them is near zero."""
    rng = np.random.default_rng(7)
    frame = pd.DataFrame({"x": rng.normal(size=n), "z": rng.normal(size=n)})
    score = 2 * frame.x + frame.z if shape == "linear" else 3 * np.sign(0.67 - frame.x.abs())
    times = pd.Series(pd.date_range("2013-01-01", periods=n, freq=pd.Timedelta(days=40) / n, tz="UTC"))
    frame["event_timestamp"], frame["label_available_at"] = times, times + pd.Timedelta(hours=6)
    return frame, (score + rng.logistic(size=n) > 0).astype(float).to_numpy(), times


def chosen(shape: str, **settings: Any) -> family_choice.Chosen:
    frame, y, times = rows(shape)
    return choose(LabelledRows(frame, y, times), Goal(COLUMNS, "binary", "roc_auc", replace(SETTINGS, **settings)))


def test_each_world_gets_the_family_that_suits_it() -> None:
    families = ("xgboost", "linear")
    linear, hill = chosen("linear", families=families), chosen("hill", families=families)
    assert (linear.family, hill.family) == ("linear", "xgboost")
    assert [one.family for one in hill.tried] == list(families)
    trees, line = hill.tried
    assert trees.score is not None
    assert line.score is not None
    assert trees.score > 0.85 > 0.6 > line.score
    assert len(trees.parts) == 4


def test_one_family_is_no_choice_and_costs_nothing() -> None:
    assert chosen("linear") == family_choice.Chosen("xgboost")


@pytest.mark.parametrize(("floor", "n"), [(0.8, 1), ("preset", 1), (0.999, 2)])
def test_above_the_floor_no_other_is_tried(floor: Any, n: int) -> None:
    assert len(chosen("hill", families=("xgboost", "linear"), floor=floor).tried) == n


def test_below_the_floor_all_others_are_tried_where_one_is_named() -> None:
    found = chosen("linear", families=("random_forest",), floor=0.99)
    assert [one.family for one in found.tried] == ["random_forest", "xgboost", "linear", "sgd", "river"]


def test_the_floor_of_a_loss_is_a_ceiling() -> None:
    frame, y, times = rows("hill")
    for floor, n in ((0.69, 1), (0.01, 2)):
        settings = replace(SETTINGS, families=("xgboost", "linear"), floor=floor)
        assert len(choose(LabelledRows(frame, y, times), Goal(COLUMNS, "binary", "log_loss", settings)).tried) == n
    with pytest.raises(ValueError, match="preset is for roc_auc: give a value of log_loss"):
        replace(SETTINGS, floor="preset").check_task("binary", "log_loss")


def test_each_part_is_scored_by_a_fit_on_what_was_known_before_it() -> None:
    """By hand: the first of the four parts of the last eight days, tuned and fitted on the days before."""
    frame, y, times = rows("linear")
    settings = replace(SETTINGS, families=("linear", "xgboost"))
    found = choose(LabelledRows(frame, y, times), Goal(COLUMNS, "binary", "roc_auc", settings))
    first = pd.Timestamp("2013-02-02", tz="UTC")
    part = ((times >= first) & (times < first + pd.Timedelta(days=2))).to_numpy()
    known = (frame.label_available_at < first).to_numpy()
    recipe = tune(
        LabelledRows(frame[known], y[known], times[known]),
        Goal(COLUMNS, "binary", "roc_auc", replace(settings, trials=2)),
    ).recipe
    scores = fit(recipe, frame[known], y[known]).predict(frame[part])
    assert found.tried[0].parts[0] == pytest.approx(metric("roc_auc").score(y[part], scores))


def test_the_choice_is_made_on_a_sample_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(family_choice, "ROWS", 800)
    sampled = chosen("hill", families=("xgboost", "linear"))
    assert sampled.family == "xgboost"
    assert sampled == chosen("hill", families=("xgboost", "linear"))
    monkeypatch.undo()
    assert sampled.tried[0].score != chosen("hill", families=("xgboost", "linear")).tried[0].score


def test_a_family_that_cannot_be_fitted_is_named_and_not_chosen() -> None:
    found = chosen("linear", families=("xgboost_continued", "linear"))
    assert found.family == "linear"
    assert found.tried[0].why_not == "there is no champion to go on from yet"
    frame, y, times = rows("linear")
    late = np.where(times < times.iloc[-100], 0.0, y)
    with pytest.raises(CannotTrain, match=r"no family could be tried: xgboost: .*one class only"):
        choose(
            LabelledRows(frame, late, times),
            Goal(COLUMNS, "binary", "roc_auc", replace(SETTINGS, families=("xgboost", "linear"))),
        )


def test_several_that_go_on_are_trained_anew_while_none_of_them_can() -> None:
    names = ("river_continued", "sgd_continued")
    found = chosen("linear", families=names)
    assert [t.family for t in found.tried] == [*names, "river", "sgd"]
    assert [t.score is None for t in found.tried] == [True, True, False, False]
    assert found.family in ("river", "sgd")
    # One that can go on does, and no other is searched for beside it.
    frame, y, times = rows("linear")
    base = replace(SETTINGS, families=("sgd",))
    first = fit(tune(LabelledRows(frame, y, times), Goal(COLUMNS, "binary", "roc_auc", base)).recipe, frame, y)
    champion = Champion(first, datetime(2013, 1, 30, tzinfo=UTC))
    goal = Goal(COLUMNS, "binary", "roc_auc", replace(SETTINGS, families=names))
    later = choose(LabelledRows(frame, y, times), goal, champion)
    assert (later.family, [t.family for t in later.tried]) == ("sgd_continued", list(names))


def test_with_a_champion_its_boosting_can_go_on() -> None:
    frame, y, times = rows("hill")
    cut = datetime(2013, 1, 25, tzinfo=UTC)
    old = (frame.label_available_at < cut).to_numpy()
    boosted = Recipe("xgboost", "binary", {"objective": "binary:logistic"}, 9, COLUMNS)
    champion = Champion(fit(boosted, frame[old], y[old]), cut)
    settings = replace(SETTINGS, families=("xgboost_continued",))
    shared = (LabelledRows(frame, y, times), Goal(COLUMNS, "binary", "roc_auc", settings))
    tuned, found = find(*shared, champion)
    assert found.family == tuned.recipe.family == "xgboost_continued"
    assert tuned.validation_score == found.tried[0].score
    assert tuned.recipe.base is not None
    assert (tuned.recipe.base.rounds, tuned.recipe.rounds) == (9, 10)
    made = fit(tuned.recipe, frame, y, base=champion.model)
    assert made.fitted.native.num_boosted_rounds() == 19
    # Without one, and from a model of another kind, it is made from nothing.
    for other in (None, replace(champion, model=fit(Recipe("linear", "binary", {"C": 1.0}, 1, COLUMNS), frame, y))):
        tuned, found = find(*shared, other)
        assert tuned.recipe.family == "xgboost"
        assert found.tried[0].why_not


def test_the_champions_parameters_are_tried_first() -> None:
    frame, y, times = rows("hill")
    defaults = dict(family_called("xgboost").defaults)
    params = {**defaults, "learning_rate": 0.2, "max_depth": 4}
    champion = Champion(
        fit(Recipe("xgboost", "binary", {"objective": "binary:logistic", **params}, 9, COLUMNS), frame, y),
        datetime(2013, 1, 25, tzinfo=UTC),
    )
    learned, goal = LabelledRows(frame, y, times), Goal(COLUMNS, "binary", "roc_auc", SETTINGS)
    tuned, _ = find(learned, goal, champion)
    assert {name: tuned.trials.loc[0, name] for name in params} == params
    assert tuned.trials.loc[1, "max_depth"] == 6
    other, _ = find(learned, replace(goal, settings=replace(SETTINGS, families=("linear",))), champion)
    assert other.trials.loc[0, "C"] == 1.0


def test_a_budget_ends_the_search_after_a_batch() -> None:
    frame, y, times = rows("hill")
    settings = replace(SETTINGS, trials=50, budget="0s")
    assert len(tune(LabelledRows(frame, y, times), Goal(COLUMNS, "binary", "roc_auc", settings)).trials) == 2
    enough = replace(SETTINGS, trials=3, budget="10min")
    assert len(tune(LabelledRows(frame, y, times), Goal(COLUMNS, "binary", "roc_auc", enough)).trials) == 3
    with pytest.raises(ValueError, match="is not a duration"):
        replace(SETTINGS, budget="soon")
