"""Differences between groups: fairlearn's values, and limits that are broken only with confidence."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fairlearn import metrics as fairlearn
from sklearn.metrics import accuracy_score, mean_absolute_error, roc_auc_score

from mlops_assets.core.performance.fairness import Difference, difference, fairness_holds
from mlops_assets.core.performance.fairness_policy import FairnessPolicy, measures_for
from mlops_assets.core.record.plain_values import as_plain, from_plain
from mlops_assets.core.stats.intervals import block_interval

RNG = np.random.default_rng(7)
N, DAYS = 6_000, 28
GROUP = RNG.choice(["A", "B", "C"], N, p=[0.5, 0.3, 0.2])
DAY = RNG.integers(0, DAYS, N)
SIGNAL = RNG.standard_normal(N) + 0.6 * (GROUP == "A")
Y = (RNG.random(N) < 1 / (1 + np.exp(-SIGNAL))).astype(float)
S = 1 / (1 + np.exp(-SIGNAL - 0.3 * RNG.standard_normal(N)))
CALLS = (S >= 0.5).astype(int)


def found(
    measure: str, *, y: np.ndarray = Y, s: np.ndarray = S, groups: np.ndarray = GROUP, **more: object
) -> Difference:
    return difference(y, s, more.pop("days", DAY), groups, by="team", measure=measure, **more)


@pytest.mark.parametrize(
    ("measure", "theirs"),
    [
        ("demographic_parity", fairlearn.demographic_parity_difference),
        ("equalized_odds", fairlearn.equalized_odds_difference),
        ("equal_opportunity", fairlearn.equal_opportunity_difference),
    ],
)
def test_the_value_is_fairlearns(measure: str, theirs: object) -> None:
    one = found(measure)
    assert one.value == pytest.approx(theirs(Y, CALLS, sensitive_features=GROUP))
    assert one.lower < one.value < one.upper


@pytest.mark.parametrize(
    ("measure", "formula", "s"),
    [("accuracy", accuracy_score, CALLS), ("roc_auc", roc_auc_score, S), ("mae", mean_absolute_error, S)],
)
def test_other_measures_are_the_spread_of_scikit_learns_by_group(measure: str, formula: object, s: np.ndarray) -> None:
    frame = fairlearn.MetricFrame(metrics=formula, y_true=Y, y_pred=s, sensitive_features=GROUP)
    one = found(measure)
    assert one.value == pytest.approx(frame.difference())
    assert one.highest == f"team={frame.by_group.idxmax()}"
    assert {name: values[measure] for name, values in one.groups.items()} == pytest.approx(
        {f"team={name}": value for name, value in frame.by_group.items()}
    )


def test_the_mean_error_of_a_regression_is_prediction_less_label() -> None:
    one = found("mean_error", s=Y + 2.0 * (GROUP == "B"))
    assert (one.value, one.highest) == (pytest.approx(2.0), "team=B")


def test_classes_are_compared_by_accuracy() -> None:
    classes = RNG.integers(0, 3, N)
    right = RNG.random(N) < np.where(GROUP == "C", 0.6, 0.9)
    called = np.where(right, classes, (classes + 1) % 3)
    one = found("accuracy", y=classes.astype(float), s=0.1 + 0.7 * np.eye(3)[called])
    assert one.lowest == "team=C"
    assert one.value == pytest.approx(
        fairlearn.MetricFrame(
            metrics=accuracy_score, y_true=classes, y_pred=called, sensitive_features=GROUP
        ).difference()
    )
    assert one.lower > 0.2


def test_two_groups_of_means_have_the_block_interval_of_their_contrast() -> None:
    two = np.where(GROUP == "A", "A", "B")
    y, s = np.zeros(N), RNG.standard_normal(N) + (two == "A")
    one = found("mean_error", y=y, s=s, groups=two)
    n_a, n_b = (two == "A").sum(), (two == "B").sum()
    psi = np.where(two == "A", N / n_a * (s - s[two == "A"].mean()), -N / n_b * (s - s[two == "B"].mean()))
    span = block_interval(one.value, psi, DAY)
    assert (one.lower, one.upper) == (pytest.approx(span.lower), pytest.approx(span.upper))


def test_demographic_parity_needs_no_labels_and_the_rest_leaves_unlabelled_rows_out() -> None:
    some = np.where(np.arange(N) % 2, Y, np.nan)
    assert found("demographic_parity", y=some).value == pytest.approx(
        fairlearn.demographic_parity_difference(Y, CALLS, sensitive_features=GROUP)
    )
    known = np.isfinite(some)
    assert found("equalized_odds", y=some).value == pytest.approx(
        fairlearn.equalized_odds_difference(Y[known], CALLS[known], sensitive_features=GROUP[known])
    )


def test_equal_groups_seldom_break_a_limit_of_nothing_though_their_days_differ() -> None:
    """Eight equal groups, days and groups within days that differ: the largest of 28 differences is far from 0."""
    broken, plain = 0, 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        groups, days = rng.integers(0, 8, 4_000), rng.integers(0, 28, 4_000)
        effect = rng.normal(0, 0.15, (28, 8))[days, groups]
        one = found("mean_error", y=np.zeros(4_000), s=effect + rng.standard_normal(4_000), groups=groups, days=days)
        broken += one.lower > 0.0
        plain += one.value > 0.1
    assert broken / 50 <= 0.06
    assert plain / 50 > 0.8


def test_a_small_group_whose_rate_is_one_is_not_sure() -> None:
    groups = np.where(np.arange(N) < 250, "few", "many")
    few = np.flatnonzero(groups == "few")
    y, s = Y.copy(), np.where(Y == 1, np.where(RNG.random(N) < 0.95, 0.9, 0.1), 0.1)
    y[few], s[few] = 0.0, 0.1
    y[few[:32]], s[few[:32]] = 1.0, 0.9
    one = found("equal_opportunity", y=y, s=s, groups=groups)
    assert one.groups["team=few"]["true_positive_rate"] == 1.0
    assert one.lower == 0.0


# --- nothing yet -------------------------------------------------------------------------------------------


def test_small_groups_are_named_and_missing_values_are_none() -> None:
    groups = np.where(np.arange(N) < 100, "rare", GROUP).astype(object)
    groups[200:2_200] = None
    one = found("equalized_odds", groups=groups)
    assert one.small == {"team=rare": 100}
    assert set(one.groups) == {"team=A", "team=B", "team=C"}
    assert sum(values["rows"] for values in one.groups.values()) == N - 100 - 2_000


def test_one_group_cannot_be_compared() -> None:
    one = found("equalized_odds", groups=np.full(N, "A"))
    assert (one.value, one.lower) == (None, None)
    assert "fewer than two groups of team" in one.sentence
    assert "min_rows" in one.sentence


def test_a_week_gives_values_without_an_interval() -> None:
    one = found("equalized_odds", days=DAY % 7)
    assert one.value is not None
    assert one.lower is None
    assert "7 blocks" in one.sentence


def test_a_metric_that_a_group_does_not_have_says_why() -> None:
    one = found("roc_auc", y=np.where(GROUP == "C", 0.0, Y))
    assert one.value is None
    assert "one class" in one.sentence or "both classes" in one.sentence


def test_a_difference_is_plain() -> None:
    one = found("equalized_odds")
    assert from_plain(Difference, json.loads(json.dumps(as_plain(one)))) == one


# --- the limit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "lower", "passed"), [(0.2, 0.12, False), (0.2, 0.08, True), (0.05, 0.0, True)])
def test_a_limit_is_broken_only_with_confidence(value: float, lower: float, passed: bool) -> None:
    one = Difference(
        "team", "accuracy", value, lower, 0.3, "accuracy", "a", "b", {"a": {"accuracy": 0.9}, "b": {"accuracy": 0.7}}
    )
    verdict = fairness_holds([one], 0.1)
    assert (verdict.passed, verdict.value, verdict.limit) == (passed, value, 0.1)


def test_without_an_interval_nothing_is_judged() -> None:
    verdict = fairness_holds([found("equalized_odds", days=DAY % 7)], 0.1)
    assert verdict.passed is None
    assert "longer window" in verdict.sentence


# --- the policy --------------------------------------------------------------------------------------------


def test_the_measure_of_a_task_and_its_limit() -> None:
    policy = FairnessPolicy(by=("team",))
    assert [policy.measure_of(task) for task in ("binary", "multiclass", "regression")] == [
        "equalized_odds",
        "accuracy",
        "mean_error",
    ]
    assert policy.limit("binary") == policy.limit("multiclass") == 0.1
    with pytest.raises(ValueError, match="max_difference has no default for mean_error: set it"):
        policy.check("regression")
    FairnessPolicy(by=("team",), max_difference=5.0).check("regression")
    FairnessPolicy().check("regression")
    with pytest.raises(ValueError, match="set one of accuracy"):
        FairnessPolicy(by=("team",), measure="equalized_odds").check("multiclass")


@pytest.mark.parametrize("fields", [{"confidence": 95}, {"min_rows": -1}, {"max_difference": -0.1}, {"window": "soon"}])
def test_a_wrong_policy_names_the_remedy(fields: dict) -> None:
    with pytest.raises(ValueError, match=r"set|for example"):
        FairnessPolicy(**fields)


def test_every_measure_that_may_be_named_can_be_computed() -> None:
    for task in ("binary", "regression"):
        for measure in measures_for(task):
            assert found(measure).value is not None, measure
