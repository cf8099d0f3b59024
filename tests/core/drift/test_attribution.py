"""Drift that matters: parts that add up, one finding per source, what matters most first."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.drift.attribution import PredictionShift, by_source, findings, prediction_shift
from mlops_assets.core.drift.calibration import preset_levels
from mlops_assets.core.drift.feature_drift import FeatureDrift
from mlops_assets.core.drift.policy import DriftPolicy
from mlops_assets.core.models.matrix import FeatureColumn, WrongColumns
from mlops_assets.core.models.model import Model, Recipe, fit
from mlops_assets.core.record.plain_values import as_plain
from mlops_assets.core.stats.intervals import CannotJudge

RNG = np.random.default_rng(21)
FEATURES = pd.DataFrame({name: RNG.normal(size=1_200) for name in ("a", "b", "idle")}).assign(
    c=RNG.choice(list("xyz"), 1_200)
)
COLUMNS = (FeatureColumn("a"), FeatureColumn("b"), FeatureColumn("idle"), FeatureColumn("c", "categorical"))
OBJECTIVES = {
    "binary": {"objective": "binary:logistic"},
    "regression": {"objective": "reg:squarederror"},
    "multiclass": {"objective": "multi:softprob", "num_class": 3},
}


def fitted(task: str) -> Model:
    score = 2 * FEATURES["a"] + FEATURES["b"] * (FEATURES["c"] == "x")
    label = {
        "binary": score > 0,
        "regression": score,
        "multiclass": pd.cut(score, [-np.inf, -1, 1, np.inf], labels=False),
    }
    params = {**OBJECTIVES[task], "max_depth": 3, "eta": 0.3}
    recipe = Recipe(family="xgboost", task=task, params=params, rounds=15, columns=COLUMNS, categories={}, seed=1)
    return fit(recipe, FEATURES, label[task].astype(float))


def raw(model: Model, frame: pd.DataFrame) -> float:
    """Mean log-odds, by the model's own predictions."""
    p = model.predict(frame).astype(np.float64)
    return float(np.mean(np.log(p / (1 - p)))) if model.recipe.task == "binary" else float(p.mean())


# --- the shift ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_the_parts_add_up_to_the_shift_of_the_mean_raw_score(task: str) -> None:
    model, current = fitted(task), FEATURES[:600].assign(a=FEATURES["a"] + 0.7)
    shift = prediction_shift(model, FEATURES, current, sample=10_000)
    assert shift.total == pytest.approx(raw(model, current) - raw(model, FEATURES), abs=1e-4)
    assert sum(shift.by_feature.values()) == pytest.approx(shift.total, abs=1e-6)
    assert shift.reference == pytest.approx(raw(model, FEATURES), abs=1e-4)
    assert next(iter(shift.by_feature)) == "a"
    assert abs(shift.by_feature["idle"]) < 0.05 * abs(shift.total)
    assert shift.unit == ("log-odds" if task == "binary" else "the label's unit")
    json.dumps(as_plain(shift))


def test_of_several_classes_the_one_that_moved_most_is_explained() -> None:
    model, current = fitted("multiclass"), FEATURES.assign(a=FEATURES["a"] + 3)
    shift = prediction_shift(model, FEATURES, current, sample=10_000)
    margins = [model.contributions(frame).T.groupby("class").sum().T.mean() for frame in (FEATURES, current)]
    moved = margins[1] - margins[0]
    assert shift.target == moved.abs().idxmax()
    assert shift.total == pytest.approx(moved[shift.target], abs=1e-4)
    assert f"of class {shift.target} moved" in shift.sentence


def test_nothing_moves_between_the_same_rows() -> None:
    shift = prediction_shift(fitted("binary"), FEATURES, FEATURES, sample=10_000)
    assert shift.total == 0.0
    assert shift.sentence == "The mean raw score moved by +0 (log-odds)."


def test_the_sample_is_bounded_and_repeatable() -> None:
    model = fitted("binary")
    shift = prediction_shift(model, FEATURES, FEATURES.assign(a=5.0), sample=200)
    assert (shift.n_reference, shift.n_current) == (100, 100)
    assert prediction_shift(model, FEATURES, FEATURES.assign(a=5.0), sample=200) == shift


def test_bad_input_is_refused_with_the_remedy_and_odd_values_are_read_as_missing() -> None:
    model = fitted("binary")
    with pytest.raises(CannotJudge, match=r"reference has 99 rows .* Use a longer reference"):
        prediction_shift(model, FEATURES[:99], FEATURES)
    with pytest.raises(CannotJudge, match="the window 0"):
        prediction_shift(model, FEATURES, FEATURES[:0])
    with pytest.raises(WrongColumns, match="lacks 1 of the model's 4 columns: b"):
        prediction_shift(model, FEATURES, FEATURES.drop(columns="b"))
    odd = FEATURES.assign(a=np.inf, idle=np.nan, c="unseen")
    as_missing = FEATURES.assign(a=np.nan, idle=np.nan, c=None)
    assert prediction_shift(model, FEATURES, odd) == prediction_shift(model, FEATURES, as_missing)


# --- sources -----------------------------------------------------------------------------------------------

WEATHER = {f"w{k}": ("events", "weather") for k in range(20)}
OTHERS = {f"e{k}": ("events",) for k in range(30)}
SOURCES = {**WEATHER, **OTHERS}


def test_twenty_features_of_one_feed_are_one_finding() -> None:
    assert len(WEATHER) == 20
    assert by_source(set(WEATHER), list(SOURCES), SOURCES) == [("weather", sorted(WEATHER), sorted(WEATHER))]


def test_when_everything_moves_it_is_what_everything_comes_from() -> None:
    assert [group[0] for group in by_source(set(SOURCES), list(SOURCES), SOURCES)] == ["events"]


def test_what_the_first_source_does_not_explain_goes_to_the_next() -> None:
    groups = by_source({*list(WEATHER)[:16], "e1", "e2"}, list(SOURCES), SOURCES)
    assert [(source, names) for source, names, _ in groups] == [
        ("weather", sorted(list(WEATHER)[:16])),
        ("events", ["e1", "e2"]),
    ]


def test_features_of_unknown_source_stay_alone() -> None:
    assert by_source({"p", "q"}, ["p", "q"], {}) == [(None, ["p"], ["p"]), (None, ["q"], ["q"])]
    assert by_source(set(), list(SOURCES), SOURCES) == []


# --- findings ----------------------------------------------------------------------------------------------


def drifts(**psi: float) -> list[FeatureDrift]:
    return [FeatureDrift(name, "numeric", psi=psi.get(name, 0.0)) for name in [*SOURCES, *(set(psi) - set(SOURCES))]]


def levels(found: list[FeatureDrift]):
    return preset_levels([drift.feature for drift in found], DriftPolicy())


def test_what_the_model_uses_comes_before_what_moved_further() -> None:
    found = drifts(w1=4.0, e1=0.5)
    shift = PredictionShift(0.2, -1.0, "log-odds", {"e1": 0.15, "w1": 0.0, "e2": 0.05}, None, 500, 500)
    first, second = findings(found, levels(found), importance={"e1": 0.3, "w1": 0.01}, sources=SOURCES, shift=shift)
    assert (first.feature, first.value, first.level, first.importance) == ("e1", 0.5, 0.2, 0.3)
    assert first.matters == pytest.approx(0.3 * 0.5 / 0.2)
    assert (first.attribution, second.attribution) == (0.15, 0.0)
    assert second.source == "weather"
    assert first.sentence == (
        "events: 1 of its 50 features have moved, most e1 (psi 0.5, level 0.2); 30% of the champion's gain; they moved "
        "its mean raw score by +0.15 of +0.2 (log-odds)."
    )
    json.dumps(as_plain(first))


def test_a_broken_feed_is_told_once_with_all_that_it_did() -> None:
    found = drifts(**{name: 1.0 + k for k, name in enumerate(WEATHER)})
    importance = dict.fromkeys(WEATHER, 0.02)
    (only,) = findings(found, levels(found), importance=importance, sources=SOURCES)
    assert (only.source, only.feature, only.value) == ("weather", "w19", 20.0)
    assert only.features == tuple(f"w{k}" for k in range(19, -1, -1))
    assert only.importance == pytest.approx(0.4)
    assert only.matters == pytest.approx(0.02 * sum(1.0 + k for k in range(20)) / 0.2)
    assert only.attribution is None


def test_no_drift_no_findings() -> None:
    found = [*drifts(w1=0.1), FeatureDrift("lost", None, why="no values. Look at the source.")]
    assert findings(found, levels(found), importance={}, sources=SOURCES) == []


def test_a_feature_that_went_missing_is_a_finding_even_if_it_cannot_be_compared() -> None:
    lost = [FeatureDrift("w1", "numeric", missing_change=0.9, why="no value of the window is known.")]
    (only,) = findings(lost, levels(lost), importance={}, sources={})
    assert (only.source, only.statistic, only.matters) == (None, "missing_change", 0.0)
    assert only.sentence.startswith("w1 has moved, most w1 (missing_change 0.9, level 0.1)")
