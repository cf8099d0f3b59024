"""Classes that come and go: scores of models that know others, models fitted with gaps, and what is said of labels."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from mlops_assets.core.models.families import FAMILIES, GOING_ON, family_called
from mlops_assets.core.models.family_choice import Champion, _cannot_continue, choose, continuation
from mlops_assets.core.models.matrix import CannotTrain, FeatureColumn
from mlops_assets.core.models.model import Model, fit
from mlops_assets.core.models.probabilities import Calibration
from mlops_assets.core.models.recipe import Recipe
from mlops_assets.core.models.row_scoring import RowScorer
from mlops_assets.core.models.training import Goal, LabelledRows, tune
from mlops_assets.core.models.training_settings import TrainingSettings
from mlops_assets.core.performance.cbpe import ConfidenceEstimator
from mlops_assets.core.performance.estimation import Outcomes
from mlops_assets.core.promote.gate_policy import GatePolicy
from mlops_assets.core.simulate.life import live
from mlops_assets.core.simulate.life_settings import LifePolicy
from mlops_assets.core.simulate.shared_fits import Rows
from mlops_assets.core.stats.classes import alike, class_changes, knowing, placed, stacked, widened
from mlops_assets.core.stats.comparison import against_baseline, paired, twin_agrees
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.stats.metrics import metric, metrics_for, profit
from mlops_assets.core.time.windows import Window

COLUMNS = (FeatureColumn("a"), FeatureColumn("b"))
ANEW = [name for name in FAMILIES if name not in GOING_ON]


def rows_of(n: int, codes: tuple[int, ...], seed: int = 3) -> tuple[pd.DataFrame, np.ndarray]:
    """Two numbers that say which of the codes a row has: each code is a cloud on a circle."""
    rng = np.random.default_rng(seed)
    y = rng.choice(codes, n)
    angle = y * 1.6
    frame = pd.DataFrame({"a": np.cos(angle) + rng.normal(0, 0.4, n), "b": np.sin(angle) + rng.normal(0, 0.4, n)})
    return frame, y.astype(float)


def recipe_of(family: str, y: np.ndarray, **more: object) -> Recipe:
    kind = family_called(family)
    params = {**kind.fixed("multiclass", "log_loss", y), **kind.defaults}
    return Recipe(family, "multiclass", params, min(10, kind.most_rounds(10)), COLUMNS, **more)  # type: ignore[arg-type]


# --- scores of models with other classes -------------------------------------------------------------------


def test_a_model_gave_a_class_that_it_cannot_say_no_chance() -> None:
    three = np.array([[0.2, 0.5, 0.3], [0.6, 0.2, 0.2], [0.1, 0.1, 0.8]])
    four = np.column_stack([three, np.zeros(3)])
    y = np.array([3.0, 0.0, 2.0])
    for name in metrics_for("multiclass"):
        (value, psi), (padded, same) = metric(name).evaluate(y, three), metric(name).evaluate(y, four)
        assert value == padded
        assert np.array_equal(psi, same)
    assert metric("accuracy").score(y, three) == pytest.approx(2 / 3)
    tiny = np.finfo(np.float64).eps
    assert metric("log_loss").score(y, three) == pytest.approx(-np.log([tiny, 0.6, 0.8]).mean())
    assert metric("brier").score(y, three) == pytest.approx(np.mean([0.38 + 1.0, 0.16 + 0.08, 0.02 + 0.04]))
    calls = three.argmax(axis=1)
    assert metric("recall").score(y, three) == sk.recall_score(y, calls, labels=[0, 2, 3], average="macro")
    expected = sk.precision_score(y, calls, labels=[0, 2, 3], average="macro", zero_division=0)
    assert metric("precision").score(y, three) == expected


def test_a_class_that_nobody_can_tell_has_an_auc_of_a_half() -> None:
    rng = np.random.default_rng(0)
    y, s = rng.integers(0, 4, 400).astype(float), rng.dirichlet(np.ones(3), 400)
    each = [sk.roc_auc_score(y == code, s[:, code]) for code in range(3)]
    assert metric("roc_auc").score(y, s) == pytest.approx(np.mean([*each, 0.5]))


def test_influence_values_of_unsaid_classes_sum_to_zero() -> None:
    rng = np.random.default_rng(0)
    y, s = rng.integers(0, 5, 300).astype(float), rng.dirichlet(np.ones(3), 300)
    for name in metrics_for("multiclass"):
        assert metric(name).influence(y, s).sum() == pytest.approx(0.0, abs=1e-6)


def test_a_class_without_rows_leaves_the_metric_to_the_others() -> None:
    rng = np.random.default_rng(1)
    y, s = rng.choice([0.0, 2.0, 3.0], 300), rng.dirichlet(np.ones(4), 300)
    each = [sk.roc_auc_score(y == code, s[:, code]) for code in (0, 2, 3)]
    assert metric("roc_auc").score(y, s) == pytest.approx(np.mean(each))
    for name in metrics_for("multiclass"):
        assert np.isfinite(metric(name).score(y, s))


def test_a_number_that_is_no_class_is_refused_with_a_remedy() -> None:
    with pytest.raises(CannotJudge, match="2013, are not class codes") as caught:
        metric("accuracy").score([0, 2013], [[0.5, 0.5], [0.5, 0.5]])
    assert caught.value.remedy


def test_the_cost_table_may_name_a_class_that_a_model_does_not_know() -> None:
    judge = profit("multiclass", {"right": 1.0, "wrong": -1.0, "3 as 0": -9.0})
    three = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]])
    assert judge.score([0, 1], three) == 1.0
    assert judge.score([3, 1], three) == -4.0


def test_champion_and_candidate_with_other_classes_are_judged_on_the_same_rows() -> None:
    rng = np.random.default_rng(2)
    y = rng.integers(0, 4, 400).astype(float)
    sure = np.eye(4)[y.astype(int)] * 0.8 + 0.05
    blind = sure[:, :3] / sure[:, :3].sum(axis=1, keepdims=True)
    found = paired(y, blind, sure, np.arange(400) // 20, "accuracy")
    assert found.challenger == 1.0
    assert found.champion == pytest.approx(np.mean(y < 3))
    assert found.lower > 0.0
    base = against_baseline(y[y < 3], 400, "multiclass")
    assert paired(y, base, sure, np.arange(400) // 20, "log_loss").gain > 0.0


def test_a_refit_that_has_seen_a_new_class_agrees_with_its_twin_on_the_others() -> None:
    rng = np.random.default_rng(4)
    three = rng.dirichlet(np.ones(3), 200)
    assert twin_agrees(three, np.column_stack([three * 0.95, np.full(200, 0.05)])).agrees
    assert not twin_agrees(three, np.column_stack([three[::-1], np.zeros(200)])).agrees


def test_parts_by_models_of_other_classes_are_put_together() -> None:
    two, three = np.full((2, 2), 0.5), np.full((1, 3), 1 / 3)
    assert stacked([two, three]).tolist()[0] == [0.5, 0.5, 0.0]
    found = placed(4, [(np.array([0, 2]), two), (np.array([3]), three)])
    assert np.isnan(found[1]).all()
    assert found[2].tolist() == [0.5, 0.5, 0.0]
    line = np.ones(3)
    assert widened(line, 4) is line
    assert [one.shape for one in alike(two, three, line)] == [(2, 3), (1, 3), (3,)]


def test_later_windows_are_held_against_parts_that_knew_every_class() -> None:
    days = np.arange(20)
    scores = np.full((20, 3), 1 / 3)
    scores[:10, 2] = 0.0
    assert knowing(scores, days).tolist() == [False] * 10 + [True] * 10
    scores[10:13, 2] = 0.0
    assert knowing(scores, days).all()
    assert knowing(np.ones(20), days).all()


def test_estimates_of_a_reference_with_a_class_that_its_model_cannot_say() -> None:
    rng = np.random.default_rng(5)
    s = rng.dirichlet(np.ones(3), 600)
    y = np.where(rng.random(600) < 0.1, 3, [rng.choice(3, p=p) for p in s]).astype(float)
    days = np.repeat(pd.date_range("2023-01-01", periods=20).to_numpy(), 30)
    estimator = ConfidenceEstimator(Outcomes(y, s, days))
    found = estimator.estimate(s, days, ["accuracy"])["accuracy"]
    assert found.lower < metric("accuracy").score(y, s) < found.upper
    wider = estimator.estimate(np.column_stack([s, np.zeros(600)]), days, ["accuracy"])["accuracy"]
    assert wider.value == found.value


# --- models ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ANEW)
def test_a_refit_has_the_classes_of_its_rows(family: str) -> None:
    frame, y = rows_of(900, (0, 1, 2, 3))
    old = recipe_of(family, y[y < 3])
    four, three = fit(old, frame, y), fit(old, frame[y < 3], y[y < 3])
    assert three.predict(frame).shape == (900, 3)
    assert four.predict(frame).shape == (900, 4)
    assert four.recipe.classes == 4
    assert metric("accuracy").score(y, four.predict(frame)) > 0.8
    assert metric("accuracy").score(y, three.predict(frame)) <= np.mean(y < 3)
    again = Model.from_bytes(four.to_bytes())
    assert np.array_equal(again.predict(frame), four.predict(frame))
    assert four.predict(frame[:0]).shape == (0, 4)
    assert fit(four.recipe, frame[y < 3], y[y < 3]).recipe.classes == 3


@pytest.mark.parametrize("family", ANEW)
@pytest.mark.parametrize("codes", [(0, 2, 3), (1, 3)])
def test_a_class_without_rows_keeps_its_code_and_has_no_chance(family: str, codes: tuple[int, ...]) -> None:
    frame, y = rows_of(900, codes)
    model = fit(recipe_of(family, np.array([0.0, 1.0, 2.0, 3.0])), frame, y)
    scores = model.predict(frame)
    assert scores.shape == (900, 4)
    assert scores.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert scores[:, [code for code in range(4) if code not in codes]].max() < 0.01
    assert metric("accuracy").score(y, scores) > 0.8
    few = RowScorer(model).predict(frame[:4].to_dict("records"))
    assert np.array_equal(few, model.predict(frame[:4]))
    assert model.contributions(frame[:5]).shape == (5, 4 * 3)
    assert set(model.importance()) == {"a", "b"}


@pytest.mark.parametrize("family", ANEW)
def test_a_search_over_days_of_which_only_the_newest_have_a_class(family: str) -> None:
    frame, y = rows_of(1200, (0, 1, 2))
    times = pd.date_range("2023-01-01", periods=1200, freq="1h", tz="UTC")
    y[1100:][y[1100:] == 0] = 3
    settings = TrainingSettings(trials=2, batch=2, max_rounds=5, calibration="platt")
    tuned = tune(LabelledRows(frame, y, times), Goal(COLUMNS, "multiclass", "log_loss", settings), family=family)
    assert tuned.recipe.classes == 4
    assert fit(tuned.recipe, frame, y).predict(frame).shape == (1200, 4)
    # An older part of the same rows, by the same recipe, without the class.
    assert fit(tuned.recipe, frame[:1000], y[:1000]).predict(frame).shape == (1200, 3)


def test_a_champion_is_not_gone_on_from_where_a_class_has_come() -> None:
    frame, y = rows_of(1600, (0, 1, 2, 3))
    frame["label_available_at"] = pd.date_range("2023-01-01", periods=1600, freq="1h", tz="UTC")
    old, until = y < 3, frame["label_available_at"][800]
    base = fit(recipe_of("xgboost", y[old]), frame[:800][old[:800]], y[:800][old[:800]])
    recipe = continuation(base, until.to_pydatetime())
    same = fit(recipe, frame[old], y[old], base=base)
    assert same.recipe.base is not None
    # Of its classes one has no new rows.
    fewer = fit(recipe, frame[y < 2], y[y < 2], base=base)
    assert fewer.predict(frame).shape == (1600, 3)
    anew = fit(recipe, frame, y, base=base)
    assert (anew.recipe.family, anew.recipe.base, anew.recipe.rounds) == ("xgboost", None, 20)
    assert anew.predict(frame).shape == (1600, 4)
    champion = Champion(base, until.to_pydatetime())
    assert "class 3 has come" in _cannot_continue("xgboost_continued", champion, COLUMNS, "multiclass", y)
    settings = TrainingSettings(families=("xgboost_continued",), trials=1, max_rounds=3)
    chosen = choose(
        LabelledRows(frame, y, frame["label_available_at"]),
        Goal(COLUMNS, "multiclass", "log_loss", settings),
        champion=champion,
    )
    assert chosen.family == "xgboost"


def test_calibration_leaves_a_class_that_came_after_it() -> None:
    scores = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.6, 0.0, 0.4]], dtype=np.float32)
    map_ = Calibration("platt", (((1.0,), (0.0,)), ((1.0,), (0.0,))))
    assert map_.apply(scores) == pytest.approx(scores, abs=1e-6)
    lifted = Calibration("isotonic", (((0.0, 1.0), (0.2, 1.0)),) * 3)
    assert lifted.apply(scores)[2, 1] == 0.0
    assert lifted.apply(scores).sum(axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("task", "y", "why"),
    [
        ("binary", [0.0] * 600, "one class only"),
        ("binary", [0.0, 1.0, 2.0] * 200, "are not 0 and 1"),
        ("multiclass", [2.0] * 600, "one class only"),
        ("multiclass", [0.0, 2013.0] * 300, "2013 is no class code"),
    ],
)
def test_labels_that_nothing_can_be_trained_on_are_refused(task: str, y: list[float], why: str) -> None:
    frame, _ = rows_of(600, (0, 1))
    recipe = Recipe("xgboost", task, {"objective": "binary:logistic"}, 2, COLUMNS)  # type: ignore[arg-type]
    with pytest.raises(CannotTrain, match=why) as caught:
        fit(recipe, frame, np.array(y))
    assert caught.value.remedy


@pytest.mark.parametrize(("y", "why"), [([0.0, 1.0, 2.0], "neither 0 nor 1"), ([1.0, 1.0, 1.0], "needs both classes")])
def test_a_binary_champion_cannot_be_judged_on_other_labels(y: list[float], why: str) -> None:
    with pytest.raises(CannotJudge, match=why):
        metric("roc_auc").score(y, [0.1, 0.2, 0.3])


# --- probe and life ----------------------------------------------------------------------------------------

START = datetime(2023, 1, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


def lived_rows(weeks: int, new_from: int, gone_from: int) -> tuple[Rows, list[Window]]:
    """120 rows a day; class 3 comes with one week, class 1 goes with another."""
    frame, y = rows_of(weeks * 840, (0, 1, 2, 3))
    times = pd.DatetimeIndex(START + pd.to_timedelta(np.arange(len(y)) * 12, unit="min"))
    week = np.arange(len(y)) // 840
    keep = ~((y == 3) & (week < new_from)) & ~((y == 1) & (week >= gone_from))
    windows = [Window(START + WEEK * k, START + WEEK * (k + 1)) for k in range(weeks)]
    days = times[keep].tz_localize(None).to_numpy().astype("datetime64[D]")
    return Rows(frame[keep].reset_index(drop=True), y[keep], times[keep], times[keep], days), windows


def learner(x: pd.DataFrame, y: np.ndarray):
    return fit(recipe_of("xgboost", y), x, y).predict


@pytest.mark.parametrize("name", ["log_loss", "accuracy"])
def test_a_life_through_a_new_and_a_vanished_class(name: str) -> None:
    rows, windows = lived_rows(10, new_from=4, gone_from=7)
    policy = LifePolicy(name, gate=GatePolicy(), gate_window=2 * WEEK)
    life = live(rows, windows, learner, policy, first=3)
    promoted = [period for period in life.periods if period.promoted is not None]
    assert promoted
    assert promoted[0].window.start >= windows[4].start
    last = rows.take(np.arange(len(rows.y))[-500:])
    champion = life.versions[promoted[-1].promoted]  # type: ignore[index]
    assert champion.model(last).shape == (500, 4)


# --- what is said ------------------------------------------------------------------------------------------


def days_of(n: int, per_day: int) -> np.ndarray:
    return np.datetime64("2023-06-01") + np.arange(n) // per_day


def test_a_new_class_is_said_with_its_first_day_and_rows() -> None:
    y = np.tile([0.0, 1.0, 2.0, 0.0], 50)
    days = days_of(200, 10)
    y[[95, 120, 199]] = 3.0
    found = class_changes(y, days, {0: 0.5, 1: 0.25, 2: 0.25})
    (new,) = found.new
    assert (new.code, new.since, new.rows) == (3, "2023-06-10", 3)
    assert new.share == pytest.approx(3 / 110)
    assert found.sentence == (
        "Class 3 is new: 3 rows since 2023-06-10, 2.7% of those with a label; the champion cannot say it, so each of "
        "them counts as wrong."
    )
    assert found.rows == 3


def test_a_class_is_gone_when_twenty_of_its_rows_are_missed() -> None:
    y = np.tile([0.0, 1.0, 2.0, 0.0], 50)
    y[100:][y[100:] == 1.0] = 0.0
    days = days_of(200, 10)
    found = class_changes(y, days, {0: 0.5, 1: 0.25, 2: 0.25})
    (gone,) = found.gone
    assert (gone.code, gone.last, gone.missed) == (1, "2023-06-10", 100)
    assert "Class 1 is gone: none of 100 rows since 2023-06-10, where about 25 were to be expected" in found.sentence
    # Its labels may still come: only days whose labels have all come count.
    assert not class_changes(y, days, {0: 0.5, 1: 0.25, 2: 0.25}, settled=days < np.datetime64("2023-06-15"))
    # A rare class is not missed so soon.
    assert not class_changes(y, days, {0: 0.5, 1: 0.01, 2: 0.25})


def test_a_class_that_never_came_since_the_champion_was_fitted() -> None:
    found = class_changes([0.0] * 90 + [2.0] * 10, days_of(100, 10), {0: 0.6, 1: 0.3, 2: 0.1})
    assert found.gone[0].last is None
    assert "since the champion was trained" in found.gone[0].sentence


def test_a_value_that_the_label_model_gives_no_code_is_said() -> None:
    found = class_changes([0.0, np.nan, 1.0, np.nan], days_of(4, 1), {0: 0.5, 1: 0.5})
    assert found.rows == 2
    assert found.sentence.startswith("2 rows since 2023-06-02 have a label that the label model gives no code")


def test_nothing_has_come_or_gone() -> None:
    found = class_changes([0.0, 1.0, 1.0], days_of(3, 1), {0: 0.5, 1: 0.5})
    assert not found
    assert found.sentence == "The labels have the classes that the champion knows."
