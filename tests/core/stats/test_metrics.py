from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn import metrics as sk

from mlops_assets.core.stats.intervals import block_interval
from mlops_assets.core.stats.metrics import METRICS, CannotJudge, Metric, metric, metrics_for, profit

RNG = np.random.default_rng(7)
N = 400
Y = (RNG.random(N) < 0.3).astype(float)
S = np.round(np.clip(0.3 + 0.25 * (Y - 0.3) + 0.2 * RNG.standard_normal(N), 0.001, 0.999), 2)  # with ties
T = RNG.normal(10, 3, N)
P = T + RNG.normal(0, 2, N)
K = RNG.integers(0, 3, N).astype(float)
LOGITS = RNG.standard_normal((N, 3)) + np.eye(3)[K.astype(int)]
M = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)

CALLS = S >= 0.5
REFERENCE = {
    "roc_auc": lambda: sk.roc_auc_score(Y, S),
    "pr_auc": lambda: sk.average_precision_score(Y, S),
    "log_loss": lambda: sk.log_loss(Y, S),
    "brier": lambda: sk.brier_score_loss(Y, S),
    "accuracy": lambda: sk.accuracy_score(Y, CALLS),
    "precision": lambda: sk.precision_score(Y, CALLS),
    "recall": lambda: sk.recall_score(Y, CALLS),
    "f1": lambda: sk.f1_score(Y, CALLS),
    "rmse": lambda: sk.root_mean_squared_error(T, P),
    "mae": lambda: sk.mean_absolute_error(T, P),
    "r2": lambda: sk.r2_score(T, P),
}
MULTI = {
    "roc_auc": lambda: sk.roc_auc_score(K, M, multi_class="ovr"),
    "log_loss": lambda: sk.log_loss(K, M),
    "accuracy": lambda: sk.accuracy_score(K, M.argmax(1)),
    "precision": lambda: sk.precision_score(K, M.argmax(1), average="macro"),
    "recall": lambda: sk.recall_score(K, M.argmax(1), average="macro"),
    "f1": lambda: sk.f1_score(K, M.argmax(1), average="macro"),
}


def data(m: Metric, task: str) -> tuple[np.ndarray, np.ndarray]:
    if m.of_bounds:
        return T, np.column_stack([P - 2.0, P + 2.0])
    return {"binary": (Y, S), "regression": (T, P), "multiclass": (K, M)}[task]


@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_values_agree_with_scikit_learn(name: str) -> None:
    y, s = (T, P) if "regression" in metric(name).tasks else (Y, S)
    assert metric(name).score(y, s) == pytest.approx(REFERENCE[name](), rel=1e-12)


@pytest.mark.parametrize("name", sorted(MULTI))
def test_multiclass_values_agree_with_scikit_learn(name: str) -> None:
    assert metric(name).score(K, M) == pytest.approx(MULTI[name](), rel=1e-12)


def test_calibration_error_by_hand() -> None:
    # Two bins: 4 scores of 0.05 with one positive (gap 0.2), 4 scores of 0.95 with three (gap -0.2).
    y = [1, 0, 0, 0, 1, 1, 1, 0]
    s = [0.05] * 4 + [0.95] * 4
    assert metric("calibration_error").score(y, s) == pytest.approx(0.2)


def test_multiclass_brier_by_hand() -> None:
    # Certain and right costs 0, certain and wrong costs 2, undecided between two costs 0.5.
    s = [[1, 0, 0], [1, 0, 0], [0.5, 0.5, 0]]
    assert metric("brier").score([0, 1, 1], s) == pytest.approx((0 + 2 + 0.5) / 3)


@pytest.mark.parametrize(("name", "task"), [(n, t) for n, m in sorted(METRICS.items()) for t in m.tasks])
def test_influence_is_the_derivative_with_respect_to_a_rows_weight(name: str, task: str) -> None:
    """Doubling one row moves the metric by its influence / n, to first order; and influences sum to zero."""
    m = metric(name)
    y, s = data(m, task)
    _, psi = m.evaluate(y, s)
    assert psi.shape == (N,)
    assert psi.sum() == pytest.approx(0.0, abs=1e-8)
    # The calibration error has kinks at gaps of zero, where the row with most pull may sit.
    largest = 42 if name == "calibration_error" else int(np.argmax(np.abs(psi)))
    for i in (0, 17, largest):
        doubled = m.score(np.append(y, y[i]), np.concatenate([s, s[i : i + 1]]))
        dropped = m.score(np.delete(y, i), np.delete(s, i, axis=0))
        slope = (doubled - dropped) / 2.0 * N
        assert slope == pytest.approx(psi[i], rel=0.05, abs=0.05 * np.abs(psi).mean() + 1e-6)


def test_auc_standard_error_is_delongs() -> None:
    # DeLong's variance is s10 / n1 + s01 / n0 from the placements, worked here without influence values.
    v10 = [(S[Y == 0] < x).mean() + 0.5 * (S[Y == 0] == x).mean() for x in S[Y == 1]]
    v01 = [(S[Y == 1] > x).mean() + 0.5 * (S[Y == 1] == x).mean() for x in S[Y == 0]]
    delong = np.var(v10) / len(v10) + np.var(v01) / len(v01)
    psi = metric("roc_auc").influence(Y, S)
    assert np.mean(psi**2) / N == pytest.approx(delong, rel=1e-9)


def test_gain_is_positive_when_better_whatever_the_metric() -> None:
    assert metric("roc_auc").gain(0.7, 0.8) == pytest.approx(0.1)
    assert metric("rmse").gain(10.0, 9.0) == pytest.approx(1.0)
    assert metric("roc_auc").loss(0.7) == pytest.approx(0.3)
    assert metric("rmse").loss(9.0) == 9.0


@pytest.mark.parametrize(
    ("name", "y", "s", "why"),
    [
        ("roc_auc", [], [], "no rows"),
        ("roc_auc", [1, 1], [0.2, 0.3], "needs both classes"),
        ("pr_auc", [0, 0], [0.2, 0.3], "needs both classes"),
        ("recall", [0, 0], [0.2, 0.3], "needs both classes"),
        ("f1", [0, 0], [0.2, 0.3], "needs both classes"),
        ("precision", [0, 1], [0.2, 0.3], "precision is 0/0"),
        ("r2", [3, 3], [1, 2], "constant"),
        ("log_loss", [0, 1], [-1, 2], "no probabilities"),
        ("brier", [0, 2], [0.1, 0.2], "neither 0 nor 1"),
        ("mae", [1, np.nan], [1, 2], "1 of 2 labels are unknown"),
        ("mae", [1, 2], [1, np.inf], "1 of 2 scores"),
        ("rmse", [0, 1], [[0.5, 0.5], [0.5, 0.5]], "not defined for class probabilities"),
        ("accuracy", [0, 2013], [[0.5, 0.5], [0.5, 0.5]], "such as 2013, are not class codes"),
    ],
)
def test_undefined_is_said_with_a_remedy_and_never_a_number(name: str, y: list, s: list, why: str) -> None:
    with pytest.raises(CannotJudge, match=why) as caught:
        metric(name).score(y, s)
    assert caught.value.remedy


def test_rows_that_do_not_match_are_a_fault() -> None:
    with pytest.raises(ValueError, match="row by row"):
        metric("mae").score([1, 2], [1])


def test_an_unknown_metric_lists_all() -> None:
    with pytest.raises(ValueError, match="roc_auc"):
        metric("auc")
    assert "rmse" in metrics_for("regression")
    assert "rmse" not in metrics_for("binary")


def test_a_faultless_regression_has_no_influence() -> None:
    value, psi = metric("rmse").evaluate(T, T)
    assert value == 0.0
    assert not psi.any()


@pytest.mark.process
def test_importing_the_core_pulls_in_no_heavy_library() -> None:
    code = (
        "import sys, mlops_assets.core.stats.metrics, mlops_assets.core.promote.gate, mlops_assets.core.drift.profile, "
        "mlops_assets.core.decide.policy, mlops_assets.core.sources.contract, "
        "mlops_assets.core.performance.window_metrics;"
        "print([m for m in ('sklearn', 'scipy', 'pandera', 'dagster', 'mlflow') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


# --- false-positive rate, coverage, profit, chances in place of labels -------------------------------------

COSTS = {"true_positive": 50.0, "false_positive": -5.0, "false_negative": -100.0, "true_negative": 0.0}


def test_false_positive_rate_is_one_less_specificity() -> None:
    tn, fp, _, _ = sk.confusion_matrix(Y, CALLS).ravel()
    assert metric("false_positive_rate").score(Y, S) == pytest.approx(fp / (fp + tn))
    assert not metric("false_positive_rate").greater_is_better
    with pytest.raises(CannotJudge, match="needs both classes"):
        metric("false_positive_rate").score([1, 1], [0.2, 0.7])


def test_interval_coverage_is_the_share_inside() -> None:
    bounds = np.array([[0.0, 1.0], [0.0, 1.0], [2.0, 3.0], [4.0, 4.0]])
    assert metric("interval_coverage").score([0.0, 1.5, 2.5, 4.0], bounds) == 0.75


@pytest.mark.parametrize(
    ("scores", "why"),
    [
        ([1.0, 2.0], "needs a lower and an upper bound"),
        ([[1.0, 2.0, 3.0]] * 2, "needs a lower and an upper bound"),
        ([[2.0, 1.0], [1.0, 2.0]], "lower bound above the upper"),
        ([[np.inf, 1.0], [1.0, 2.0]], "missing or infinite"),
    ],
)
def test_bounds_that_are_none_are_refused(scores: list, why: str) -> None:
    with pytest.raises(CannotJudge, match=why):
        metric("interval_coverage").score([1.0, 2.0], scores)


def test_profit_is_the_confusion_matrix_times_the_costs() -> None:
    _, fp, fn, tp = sk.confusion_matrix(Y, CALLS).ravel()
    expected = (50 * tp - 5 * fp - 100 * fn) / N
    found = profit("binary", COSTS)
    assert (found.name, found.greater_is_better, found.tasks) == ("profit", True, ("binary",))
    assert found.score(Y, S) == pytest.approx(expected)


def test_profit_of_a_regression_by_hand() -> None:
    # One unit too low costs 3, two units too high cost 1 each: (3 + 2) / 2 a row.
    found = profit("regression", {"under_prediction": 3.0, "over_prediction": 1.0})
    assert found.score([5.0, 5.0], [4.0, 7.0]) == pytest.approx(-2.5)


OF_CALLS = {"right": 4.0, "wrong": -1.0, "0 as 2": -20.0, "1 as 1": 7.0}


def test_profit_of_several_classes_is_the_confusion_matrix_times_the_costs() -> None:
    table = np.array([[4.0, -1.0, -20.0], [-1.0, 7.0, -1.0], [-1.0, -1.0, 4.0]])
    counts = sk.confusion_matrix(K, M.argmax(axis=1), labels=[0, 1, 2])
    found = profit("multiclass", OF_CALLS)
    assert found.tasks == ("multiclass",)
    assert found.score(K, M) == pytest.approx((counts * table).sum() / N)
    assert found.loss(found.score(K, np.eye(3)[K.astype(int)]), K) == pytest.approx(0.0)
    assert found.loss(0.0, K) == pytest.approx(table.max(axis=1)[K.astype(int)].mean())
    chances = np.eye(3)[K.astype(int)]
    assert found.expected(chances, M)[0] == pytest.approx(found.score(K, M))
    # Of a class that neither rows nor model have: nothing changes.
    assert profit("multiclass", {**OF_CALLS, "3 as 0": 1.0}).score(K, M) == found.score(K, M)


@pytest.mark.parametrize(("task", "y", "s"), [("binary", Y, S), ("regression", T, P), ("multiclass", K, M)])
def test_the_interval_of_profit_is_students_over_days(task: str, y: np.ndarray, s: np.ndarray) -> None:
    from scipy import stats

    of_task = {"binary": COSTS, "regression": {"under_prediction": 3.0, "over_prediction": 1.0}, "multiclass": OF_CALLS}
    found = profit(task, of_task[task])  # type: ignore[arg-type]
    value, influence = found.evaluate(y, s)
    days = np.repeat(np.arange(10), N // 10)
    span = block_interval(value, influence, days)
    means = (influence + value).reshape(10, -1).mean(axis=1)
    assert (span.lower, span.upper) == pytest.approx(stats.t.interval(0.95, 9, means.mean(), stats.sem(means)))


@pytest.mark.parametrize(
    ("task", "costs", "why"),
    [
        ("binary", {"true_positive": 1.0}, "needs a finite number for each of true_positive"),
        ("binary", {**COSTS, "extra": 1.0}, "needs a finite number"),
        ("binary", {**COSTS, "true_negative": float("inf")}, "needs a finite number"),
        ("regression", {"under_prediction": -1.0, "over_prediction": 1.0}, "zero or more"),
        ("multiclass", COSTS, "needs a finite number for each of right, wrong"),
        ("multiclass", {"right": 1.0}, "for each of right, wrong"),
        ("multiclass", {"right": 1.0, "wrong": 0.0, "1 for 2": 3.0}, "besides only calls such as `0 as 2`"),
    ],
)
def test_a_wrong_cost_table_names_the_remedy(task: str, costs: dict, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        profit(task, costs)  # type: ignore[arg-type]


OF_CLASSES = [(n, t) for n, m in sorted(METRICS.items()) for t in m.tasks if t != "regression"]


@pytest.mark.parametrize(("name", "task"), OF_CLASSES)
def test_chances_of_zero_and_one_are_labels(name: str, task: str) -> None:
    y, s = data(metric(name), task)
    chances = (y[:, None] == np.arange(2 if task == "binary" else 3)).astype(float)
    value, branches = metric(name).expected(chances, s)
    known, influence = metric(name).evaluate(y, s)
    assert value == pytest.approx(known)
    assert branches[np.arange(N), y.astype(int)] == pytest.approx(influence)


@pytest.mark.parametrize(("name", "task"), [pair for pair in OF_CLASSES if pair[0] != "calibration_error"])
def test_the_expected_value_is_the_mean_over_labels_drawn_from_the_chances(name: str, task: str) -> None:
    rng = np.random.default_rng(11)
    s = S if task == "binary" else M
    chances = np.column_stack([1 - S, S]) if task == "binary" else M
    value, branches = metric(name).expected(chances, s)
    draws = [(rng.random(N)[:, None] > chances.cumsum(axis=1)).sum(axis=1).astype(float) for _ in range(200)]
    values = [metric(name).score(y, s) for y in draws]
    assert value == pytest.approx(np.mean(values), abs=5 * np.std(values) / np.sqrt(200) + 1e-9)
    # And the influence says how much the value scatters from draw to draw.
    mean = (chances * branches).sum(axis=1)
    spread = np.sqrt(((chances * branches**2).sum(axis=1) - mean**2).sum()) / N
    assert spread == pytest.approx(np.std(values), rel=0.25)


def test_a_regression_has_no_expected_value() -> None:
    with pytest.raises(CannotJudge, match="rmse is not defined"):
        metric("rmse").expected(np.full((2, 2), 0.5), [0.5, 0.5])


def test_a_metric_is_handed_back() -> None:
    found = profit("binary", COSTS)
    assert metric(found) is found
