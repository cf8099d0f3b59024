"""What rows count: halved with each half-life, balanced by class, and the same as rows that are there twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.models.matrix import FeatureColumn, WrongColumns
from mlops_assets.core.models.model import Recipe, fit
from mlops_assets.core.models.training import Goal, LabelledRows, TrainingSettings, tune
from mlops_assets.core.models.training_window import TrainingWindow
from mlops_assets.core.models.weights import decayed, is_imbalanced, row_weights

COLUMNS = (FeatureColumn("x"),)
PLAIN = Recipe("xgboost", "binary", {"objective": "binary:logistic", "max_depth": 2}, 5, COLUMNS)
OLD_AND_NEW = replace(PLAIN, half_life_days=10.0)


def rows(n: int = 2000) -> tuple[pd.DataFrame, np.ndarray]:
    """A hundred days; half-way the meaning of x turns round."""
    rng = np.random.default_rng(0)
    times = pd.date_range("2013-01-01", periods=n, freq=pd.Timedelta(days=100) / n, tz="UTC")
    frame = pd.DataFrame({"x": rng.normal(size=n), "event_timestamp": times})
    sign = np.where(np.arange(n) < n // 2, 1, -1)
    return frame, (sign * frame.x + 0.2 * rng.normal(size=n) > 0).astype(float).to_numpy()


def test_a_row_counts_half_with_each_half_life() -> None:
    times = pd.to_datetime(["2013-01-01", "2013-01-11", "2013-01-21", "2013-01-26"], utc=True)
    assert decayed(times, 10.0) == pytest.approx([0.5**2.5, 0.5**1.5, 0.5**0.5, 1.0])


def test_the_moment_that_ages_are_counted_from_makes_no_difference() -> None:
    frame, y = rows()
    weights = row_weights(OLD_AND_NEW, frame, y)
    assert weights is not None
    assert weights.mean() == pytest.approx(1.0, abs=1e-5)
    later = frame.assign(event_timestamp=frame.event_timestamp + timedelta(days=400))
    assert np.array_equal(weights, row_weights(OLD_AND_NEW, later, y))


def test_classes_are_balanced_as_scikit_learn_does() -> None:
    from sklearn.utils.class_weight import compute_sample_weight

    frame, _ = rows()
    y = (np.arange(len(frame)) % 10 == 0).astype(float)
    assert row_weights(replace(PLAIN, balanced=True), frame, y) == pytest.approx(compute_sample_weight("balanced", y))
    both = row_weights(replace(OLD_AND_NEW, balanced=True), frame, y)
    assert both is not None
    assert both[y == 1].sum() == pytest.approx(both[y == 0].sum(), rel=1e-4)


def test_without_a_wish_there_are_no_weights_and_without_times_none_can_be() -> None:
    frame, y = rows()
    assert row_weights(PLAIN, frame, y) is None
    with pytest.raises(WrongColumns, match="lacks 'event_timestamp'"):
        fit(OLD_AND_NEW, frame[["x"]], y)


def test_rare_is_less_than_a_twentieth() -> None:
    assert is_imbalanced(np.array([1.0] * 4 + [0.0] * 96))
    assert not is_imbalanced(np.array([1.0] * 5 + [0.0] * 95))
    assert not is_imbalanced(np.array([0.0, 2.0]))


@pytest.mark.parametrize("family", ["xgboost", "random_forest", "linear"])
def test_old_rows_are_forgotten(family: str) -> None:
    from mlops_assets.core.models.families import family_called

    frame, y = rows()
    kind = family_called(family)
    recipe = replace(PLAIN, family=family, params={**kind.defaults, **kind.fixed("binary", "roc_auc", y)})
    late = np.arange(len(y)) >= 1000
    right = [
        np.mean((fit(one, frame, y).predict(frame[late]) > 0.5) == y[late])
        for one in (recipe, replace(recipe, half_life_days=10.0))
    ]
    assert right[1] > 0.85
    assert right[1] > right[0] + 0.2


def test_it_is_xgboost_with_these_weights() -> None:
    import xgboost

    frame, y = rows()
    model = fit(OLD_AND_NEW, frame, y)
    data = xgboost.QuantileDMatrix(
        frame[["x"]].to_numpy(np.float32), y, weight=row_weights(OLD_AND_NEW, frame, y), feature_names=["x"]
    )
    booster = xgboost.train({**PLAIN.params, "nthread": 1}, data, 5)
    expected = booster.inplace_predict(frame[["x"]].to_numpy(np.float32))
    assert np.allclose(model.predict(frame), expected, atol=1e-6)
    assert Recipe.from_json(model.recipe.to_json()) == model.recipe
    assert "half_life_days" not in PLAIN.to_json()


def test_the_search_weighs_its_rows_as_the_fit_does() -> None:
    frame, y = rows()
    settings = TrainingSettings(trials=2, max_rounds=20, min_rows=100)
    found = tune(
        LabelledRows(frame, y, frame.event_timestamp), Goal(COLUMNS, "binary", "log_loss", settings, half_life_days=5.0)
    )
    assert found.recipe.half_life_days == 5.0
    late = (frame.event_timestamp >= found.validation_from).to_numpy()
    scores = fit(found.recipe, frame[~late], y[~late]).predict(frame[late])
    from mlops_assets.core.stats.metrics import metric

    assert metric("log_loss").score(y[late], scores) == pytest.approx(found.validation_score, abs=1e-5)
    plain = tune(LabelledRows(frame, y, frame.event_timestamp), Goal(COLUMNS, "binary", "log_loss", settings))
    assert found.validation_score < plain.validation_score


@pytest.mark.parametrize(
    ("text", "first", "half_life"),
    [
        ("auto", None, None),
        ("expanding", None, None),
        ("rolling: 90d", datetime(2024, 6, 3, 12, tzinfo=UTC), None),
        ("decay: 36h", None, 1.5),
        # Midnight in Berlin, where it is summer.
        ("since: 2024-08-01", datetime(2024, 7, 31, 22, tzinfo=UTC), None),
    ],
)
def test_windows_are_read(text: str, first: datetime | None, half_life: float | None) -> None:
    window = TrainingWindow.parse(text)
    assert str(window) == text
    assert window.first(datetime(2024, 9, 1, 12, tzinfo=UTC), "Europe/Berlin") == first
    assert window.half_life_days == half_life


@pytest.mark.parametrize(
    "text", ["", "rolling", "decay", "decay: 0d", "expanding: 3d", "sliding: 3d", "since", "since: May"]
)
def test_other_windows_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"training\.window is .*since: 2024-08-01|decay is .*write a length"):
        TrainingWindow.parse(text)
