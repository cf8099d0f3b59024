"""Estimates before labels: equal to NannyML, near the truth while the relation holds, and blind when it changes."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.isotonic import IsotonicRegression

from mlops_assets.core.models.matrix import FeatureColumn
from mlops_assets.core.performance.cbpe import Calibration, ConfidenceEstimator, calibration_gap
from mlops_assets.core.performance.dle import LossEstimator, fit_losses
from mlops_assets.core.performance.estimation import (
    ASSUMES,
    Estimated,
    Gap,
    Outcomes,
    estimate_held,
    noise_of,
    own_windows,
)
from mlops_assets.core.stats.intervals import Array, CannotJudge
from mlops_assets.core.stats.metrics import metric, profit

BINARY = ["roc_auc", "pr_auc", "accuracy", "precision", "recall", "f1", "log_loss", "brier", "false_positive_rate"]
COSTS = {"true_positive": 50.0, "false_positive": -5.0, "false_negative": -100.0, "true_negative": 0.0}
COLUMNS = [FeatureColumn("a"), FeatureColumn("b")]


def sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def binary(seed: int, days: int, per_day: int, *, shift: float = 0.0, slope: float = 1.0, day_sd: float = 0.0) -> tuple:
    """Labels, scores of a crooked model, days; `slope` is the relation of input and label."""
    rng = np.random.default_rng(seed)
    n, day = days * per_day, np.repeat(np.arange(days), per_day)
    x = rng.standard_normal(n) + shift
    effect = rng.normal(0.0, day_sd, days)[day] if day_sd else 0.0
    y = (rng.random(n) < sigmoid(-1.2 + slope * x + effect)).astype(float)
    return y, sigmoid(-0.6 + 1.4 * x), day


def classes(seed: int, days: int, per_day: int, *, shift: float = 0.0) -> tuple:
    rng = np.random.default_rng(seed)
    n = days * per_day
    z = rng.standard_normal((n, 3))
    z[:, 0] += shift
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    y = (rng.random(n)[:, None] > p.cumsum(1)).sum(1).astype(float)
    return y, np.exp(1.5 * z) / np.exp(1.5 * z).sum(1, keepdims=True), np.repeat(np.arange(days), per_day)


def regression(seed: int, days: int, per_day: int, *, shift: float = 0.0, slope: float = 0.5) -> tuple:
    """Labels, predictions, days, inputs; the error grows with input a by `slope`."""
    rng = np.random.default_rng(seed)
    n = days * per_day
    x = rng.standard_normal((n, 2))
    x[:, 0] += shift
    y = 3 * x[:, 1] + np.exp(slope * x[:, 0]) * rng.standard_normal(n)
    return y, 3 * x[:, 1], np.repeat(np.arange(days), per_day), pd.DataFrame(x, columns=["a", "b"])


def loss_estimator(seed: int, days: int = 28, per_day: int = 200) -> LossEstimator:
    y, s, day, x = regression(seed, days, per_day)
    models, held_out = fit_losses(x, COLUMNS, Outcomes(y, s, day))
    return LossEstimator(Outcomes(y, s, day, held_out), models)


# --- NannyML -----------------------------------------------------------------------------------------------

# NannyML 0.13.1 (LightGBM 4.5.0, scikit-learn 1.9.1) on the rows that the functions above make: reference 28 days of
# 200 rows (seeds 1, 3, 5), one chunk of 30 days of 200 rows (seeds 2, 4, 6). CBPE(metrics=..., chunk_size=6000) and
# DLE(metrics=["mae", "rmse"], chunk_size=6000), everything else by default; its average_precision is pr_auc here.
# benchmarks/nannyml_estimates.py computes them again, in an environment that has it.
NANNYML: dict[tuple[str, float], dict[str, float]] = {
    ("binary", 0.0): {"roc_auc": 0.747577, "pr_auc": 0.526666, "accuracy": 0.711584, "precision": 0.472425,
                      "recall": 0.597207, "f1": 0.527537},
    ("binary", 0.5): {"roc_auc": 0.742345, "pr_auc": 0.623355, "accuracy": 0.649656, "precision": 0.510630,
                      "recall": 0.757756, "f1": 0.610118},
    ("multiclass", 0.5): {"roc_auc": 0.785183, "accuracy": 0.606457, "precision": 0.599468, "recall": 0.586569,
                          "f1": 0.590010},
    ("regression", 0.0): {"mae": 0.911641, "rmse": 1.298085},
    ("regression", 0.5): {"mae": 1.174968, "rmse": 1.683423},
}  # fmt: skip


@pytest.mark.parametrize(("task", "shift"), [key for key in NANNYML if key[0] != "regression"])
def test_cbpe_is_nannymls(task: str, shift: float) -> None:
    make, seed = (binary, 1) if task == "binary" else (classes, 3)
    expected = NANNYML[task, shift]
    _, s, day = make(seed + 1, 30, 200, shift=shift)
    found = ConfidenceEstimator(Outcomes(*make(seed, 28, 200))).estimate(s, day, list(expected))
    assert {name: found[name].value for name in expected} == pytest.approx(expected, abs=2e-6)


def test_dle_is_near_nannymls() -> None:
    # Another library boosts there, so the figures are near and not equal.
    estimator = loss_estimator(5)
    for shift in (0.0, 0.5):
        _, s, day, x = regression(6, 30, 200, shift=shift)
        found = estimator.estimate(s, day, ["mae", "rmse"], features=x)
        expected = NANNYML["regression", shift]
        assert {name: found[name].value for name in expected} == pytest.approx(expected, rel=0.02)


# --- calibration -------------------------------------------------------------------------------------------


def test_the_curve_is_scikit_learns() -> None:
    y, s, _ = binary(1, 10, 50)
    s = np.round(s, 2)  # with ties
    theirs = IsotonicRegression(out_of_bounds="clip").fit(s, y)
    at = np.linspace(0.0, 1.0, 101)
    assert Calibration.of(s, y)(at) == pytest.approx(theirs.predict(at), abs=1e-9)


def test_the_gap_by_hand() -> None:
    # Ten bins of two rows: hits 0 and 1 in each, at a probability of 0.5 in five bins and of 0.7 in the others.
    assert calibration_gap(np.tile([0.0, 1.0], 10), np.repeat([0.5, 0.7], 10)) == pytest.approx(0.1)


def test_crooked_scores_are_calibrated_and_most_straight_ones_of_few_rows_left_alone() -> None:
    left = {1.0: 0, 1.5: 0}
    for seed in range(20):
        rng = np.random.default_rng(seed)
        p = rng.beta(1, 3, 500)
        y = (rng.random(500) < p).astype(float)
        for power in left:
            estimator = ConfidenceEstimator(Outcomes(y, p**power, np.arange(500) // 25))
            left[power] += estimator.calibrations == (None,)
    assert left[1.0] >= 12
    assert left[1.5] == 0


# --- the relation holds ------------------------------------------------------------------------------------


def covered(
    worlds: Callable[[int], tuple[dict[str, Estimated], Array, Array]], metrics: list[str], runs: int
) -> dict[str, tuple[float, float]]:
    """Metric -> share of intervals that hold what labels then say, and mean error, over runs of a world."""
    inside: dict[str, list[bool]] = {name: [] for name in metrics}
    errors: dict[str, list[float]] = {name: [] for name in metrics}
    for seed in range(runs):
        found, y, s = worlds(seed)
        for name in metrics:
            truth = metric(name).score(y, s)
            inside[name].append(found[name].lower <= truth <= found[name].upper)
            errors[name].append(found[name].value - truth)
    return {name: (float(np.mean(inside[name])), float(np.mean(errors[name]))) for name in metrics}


@pytest.mark.simulates
@pytest.mark.parametrize("days", [7, 30])
def test_estimates_are_near_the_truth_when_inputs_move_and_the_relation_holds(days: int) -> None:
    def world(seed: int) -> tuple[dict[str, Estimated], Array, Array]:
        estimator = ConfidenceEstimator(Outcomes(*binary(2 * seed, 28, 100, day_sd=0.3)))
        y, s, day = binary(2 * seed + 1, days, 100, shift=0.3, day_sd=0.3)
        return estimator.estimate(s, day, BINARY), y, s

    for name, (share, bias) in covered(world, BINARY, 60).items():
        assert share >= 0.87, name  # 95 % less three standard errors
        assert abs(bias) < 0.03, name


def test_estimates_of_classes_are_near_the_truth() -> None:
    names = ["roc_auc", "pr_auc", "accuracy", "precision", "recall", "f1", "log_loss", "brier"]

    def world(seed: int) -> tuple[dict[str, Estimated], Array, Array]:
        y, s, day = classes(2 * seed + 1, 10, 100, shift=0.3)
        return ConfidenceEstimator(Outcomes(*classes(2 * seed, 28, 100))).estimate(s, day, names), y, s

    for name, (share, bias) in covered(world, names, 30).items():
        assert share >= 0.83, name
        assert abs(bias) < 0.03, name


def test_estimates_of_a_regression_follow_its_error() -> None:
    estimator = loss_estimator(1)

    def world(seed: int) -> tuple[dict[str, Estimated], Array, Array]:
        y, s, day, x = regression(seed + 100, 10, 200, shift=0.5)
        return estimator.estimate(s, day, ["mae", "rmse"], features=x), y, s

    for name, (share, bias) in covered(world, ["mae", "rmse"], 30).items():
        assert share >= 0.8, name  # one reference for all runs: its error is in all of them
        assert abs(bias) < 0.06, name
    y, s, _ = regression(1, 28, 200)[:3]
    _, moved, day, x = regression(7, 10, 200, shift=0.5)
    found = estimator.estimate(moved, day, ["mae"], features=x)["mae"]
    assert found.lower > metric("mae").score(y, s)  # it sees that the window is harder than the reference


def test_days_that_go_together_widen_the_interval() -> None:
    _, s, day = binary(2, 7, 200)
    widths = []
    for day_sd in (0.0, 1.5):
        found = ConfidenceEstimator(Outcomes(*binary(1, 28, 200, day_sd=day_sd))).estimate(s, day, ["log_loss"])
        widths.append(found["log_loss"].upper - found["log_loss"].lower)
    assert widths[1] > 2 * widths[0]


def test_more_days_narrow_the_interval_down_to_what_the_reference_leaves_open() -> None:
    estimator = ConfidenceEstimator(Outcomes(*binary(1, 28, 200, day_sd=0.3)))
    widths = []
    for days in (2, 8, 400):
        _, s, day = binary(2, days, 200)
        found = estimator.estimate(s, day, ["brier"])["brier"]
        widths.append(found.upper - found.lower)
    assert widths[0] > widths[1] > widths[2] > 0.2 * widths[1]


# --- the relation changes ----------------------------------------------------------------------------------


def test_a_changed_relation_is_not_seen() -> None:
    """The scores of a model whose relation has turned round are those of one that is right: the estimate is blind."""
    reference = binary(1, 28, 200)
    estimator = ConfidenceEstimator(Outcomes(*reference))
    before = estimator.estimate(*binary(2, 30, 200)[1:], ["roc_auc", "log_loss"])
    y, s, day = binary(2, 30, 200, slope=-1.0)
    after = estimator.estimate(s, day, ["roc_auc", "log_loss"])
    assert after["roc_auc"].value == pytest.approx(before["roc_auc"].value)
    assert metric("roc_auc").score(y, s) < 0.35 < 0.7 < after["roc_auc"].lower
    assert metric("log_loss").score(y, s) > after["log_loss"].upper
    # Only labels tell.
    told = estimate_held([after["roc_auc"]] * 3, [metric("roc_auc").score(y, s)] * 3)
    assert told.coverage == 0.0
    assert "do not rely on it; the relation has changed" in told.sentence
    assert ASSUMES in after["roc_auc"].sentence


def test_a_changed_error_of_a_regression_is_not_seen() -> None:
    y, s, day, x = regression(2, 30, 200, slope=-0.5, shift=0.5)
    found = loss_estimator(1).estimate(s, day, ["mae"], features=x)["mae"]
    assert metric("mae").score(y, s) < found.lower


# --- the interval's parts ----------------------------------------------------------------------------------


def test_own_windows_are_consecutive_and_complete() -> None:
    parts = own_windows(np.repeat(np.arange(10), 3)[::-1])
    assert sorted(np.concatenate(parts).tolist()) == list(range(30))
    assert [len(part) // 3 for part in parts] == [3, 3, 2, 2]


def test_the_interval_is_made_of_what_it_says() -> None:
    """Days of 50 rows whose labels are all alike: the correlation is one, and the error of days is Student's."""
    rng = np.random.default_rng(2)
    day = np.repeat(np.arange(40), 50)
    residual = rng.standard_normal(40)[day]
    found = noise_of(
        lambda rows: Gap(float(residual[rows].mean()), residual[rows], float(np.mean(residual**2)) / len(rows)), day
    )
    assert found.se == pytest.approx(np.sqrt(np.mean(residual**2) / 40 * 40 / 39))
    assert found.correlation == pytest.approx(40 / 39, rel=1e-3)
    assert found.df == pytest.approx(39)
    assert len(found.windows) == 4
    # Nothing beyond days differs between windows; what is left is luck.
    assert found.between < found.se**2 * 4


def test_windows_that_differ_beyond_their_days_widen_the_interval() -> None:
    day = np.repeat(np.arange(40), 50)
    level = np.repeat([0.3, -0.3, 0.3, -0.3], 500)
    rng = np.random.default_rng(2)
    residual = level + 0.1 * rng.standard_normal(2_000)
    found = noise_of(lambda rows: Gap(float(residual[rows].mean()), residual[rows], 0.01 / len(rows)), day)
    assert np.sqrt(found.between) == pytest.approx(0.27, abs=0.03)


# --- what cannot be ----------------------------------------------------------------------------------------

Y, S, DAY = binary(1, 10, 50)


@pytest.mark.parametrize(
    ("outcomes", "why"),
    [
        (Outcomes(Y[:0], S[:0], DAY[:0]), "the reference has no rows"),
        (Outcomes(np.ones(500), S, DAY), "all 500 labels of the reference are 1"),
        (Outcomes(Y, np.where(Y == 1, np.inf, S), DAY), "missing or infinite"),
        (Outcomes(np.where(S > 0.9, np.nan, Y), S, DAY), "missing or infinite"),
        (Outcomes(Y, 2 * S, DAY), "run from .* and are no probabilities"),
        (Outcomes(Y, S - 0.5, DAY), "run from .* and are no probabilities"),
        (Outcomes(Y[:350], S[:350], DAY[:350]), "the reference has 7 days and an interval needs at least 8"),
    ],
)
def test_a_reference_that_says_nothing_is_refused_with_a_remedy(outcomes: Outcomes, why: str) -> None:
    with pytest.raises(CannotJudge, match=f"cannot judge, because .*{why}") as caught:
        ConfidenceEstimator(outcomes)
    assert "Promote a version" in caught.value.remedy


def test_a_regression_without_days_or_rows_is_refused() -> None:
    y, s, day, x = regression(1, 7, 100)
    with pytest.raises(CannotJudge, match="7 days"):
        fit_losses(x, COLUMNS, Outcomes(y, s, day))
    y, s, day, x = regression(1, 10, 20)
    with pytest.raises(CannotJudge, match="the model of the error cannot be fitted"):
        fit_losses(x, COLUMNS, Outcomes(y, s, day))


@pytest.mark.parametrize(
    ("name", "scores", "why"),
    [
        ("roc_auc", S[:0], "the window has no predictions"),
        ("roc_auc", np.where(S > 0.5, np.inf, S), "missing or infinite"),
        ("mae", np.where(S > 0.5, np.nan, S), "missing or infinite"),
        ("roc_auc", 3 * S, "no probabilities"),
        ("precision", 0.1 * S, "precision is 0/0"),
        ("calibration_error", S, "takes the calibration for given"),
        ("rmse", S, "rmse is not defined"),
        ("roc_auc", np.column_stack([1 - S, S]), r"have \(2,\) classes"),
    ],
)
def test_a_window_that_says_nothing_has_no_value_and_a_remedy(name: str, scores: Array, why: str) -> None:
    found = ConfidenceEstimator(Outcomes(Y, S, DAY)).estimate(scores, DAY[: len(scores)], [name])[name]
    assert (found.value, found.lower, found.upper) == (None, None, None)
    assert found.why.startswith("cannot estimate, because ")
    assert found.sentence.startswith(f"{name}: cannot estimate, because ")
    assert re.search(why, found.why)


def test_a_regression_estimates_its_errors_only() -> None:
    y, s, day, x = regression(1, 10, 100)
    found = loss_estimator(1, 10, 100).estimate(s, day, ["r2", "mae"], features=x)
    assert "only mae and rmse of a regression" in found["r2"].why
    assert found["mae"].value == pytest.approx(metric("mae").score(y, s), rel=0.15)


def test_profit_is_estimated_from_the_same_table() -> None:
    judge = profit("binary", COSTS)
    y, s, day = binary(2, 30, 200)
    found = ConfidenceEstimator(Outcomes(*binary(1, 28, 200))).estimate(s, day, [judge])["profit"]
    # By hand from NannyML's figures: shares of all rows from accuracy, precision and recall.
    known = NANNYML["binary", 0.0]
    wrong = 1 - known["accuracy"]
    positives = wrong / (1 - known["recall"] + known["recall"] * (1 / known["precision"] - 1))
    hit = known["recall"] * positives
    expected = 50 * hit - 5 * hit * (1 / known["precision"] - 1) - 100 * (positives - hit)
    assert found.value == pytest.approx(expected, rel=1e-4)
    assert found.lower < judge.score(y, s) < found.upper


# --- held? -------------------------------------------------------------------------------------------------


def an_estimate(value: float | None) -> Estimated:
    if value is None:
        return Estimated.none("roc_auc", 10, CannotJudge("there is no reference", "Promote one"))
    return Estimated("roc_auc", value, value - 0.05, value + 0.05, 0.025, 10)


def test_held_by_hand() -> None:
    found = estimate_held([an_estimate(v) for v in (0.70, 0.72, None, 0.80, 0.70)], [0.68, 0.73, 0.7, 0.70, None])
    assert found.errors == pytest.approx((0.02, -0.01, None, 0.10, None))
    assert (found.windows, found.coverage) == (3, pytest.approx(2 / 3))
    assert (found.bias, found.size) == pytest.approx((0.11 / 3, 0.13 / 3))
    assert "2 of 3 intervals held" in found.sentence


def test_estimates_that_held_are_not_called_healthy() -> None:
    found = estimate_held([an_estimate(0.7)] * 4, [0.69] * 4)
    assert found.coverage == 1.0
    assert "do not rely" not in found.sentence
    assert "health" not in found.sentence


def test_nothing_to_check_yet_says_so() -> None:
    with pytest.raises(CannotJudge, match="no window has both"):
        estimate_held([an_estimate(0.7), an_estimate(None)], [None, 0.7])
    with pytest.raises(ValueError, match="one of each per window"):
        estimate_held([an_estimate(0.7)], [])
