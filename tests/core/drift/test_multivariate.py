"""Features that moved together: scikit-learn as the second opinion, seeded samples, and what cannot be judged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.drift.multivariate import (
    ReconstructionError,
    domain_classifier,
    outside_support,
    reconstruction_error,
)
from mlops_assets.core.drift.side_by_side import numbers_of, sampled
from mlops_assets.core.models.matrix import FeatureColumn, WrongColumns
from mlops_assets.core.stats.intervals import CannotJudge

COLUMNS = [FeatureColumn("x"), FeatureColumn("y"), FeatureColumn("c", "categorical"), FeatureColumn("b", "boolean")]


def rows(n: int, seed: int, *, correlation: float = 0.9, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n) + shift
    y = correlation * x + np.sqrt(1 - correlation**2) * rng.normal(size=n)
    return pd.DataFrame({"x": x, "y": y, "c": rng.choice(list("abc"), n), "b": rng.random(n) < 0.5})


def days(n: int, n_days: int, start: str = "2013-01-01") -> np.ndarray:
    return np.repeat(pd.date_range(start, periods=n_days).to_numpy(), n // n_days)


REFERENCE, REFERENCE_DAYS = rows(2_800, 1), days(2_800, 56)
SAME, MOVED = rows(700, 2), rows(700, 3, correlation=-0.9)
DAYS = days(700, 7, "2013-03-01")


def classify(current: pd.DataFrame, **kwargs: Any):
    return domain_classifier(REFERENCE, current, COLUMNS, reference_days=REFERENCE_DAYS, current_days=DAYS, **kwargs)


def rebuild(current: pd.DataFrame, **kwargs: Any) -> ReconstructionError:
    return reconstruction_error(REFERENCE, current, COLUMNS, reference_days=REFERENCE_DAYS, current_days=DAYS, **kwargs)


# --- the classifier ----------------------------------------------------------------------------------------


def test_the_classifier_sees_what_no_feature_shows() -> None:
    """Each margin is as it was; only the sign of the correlation has changed."""
    found = classify(MOVED)
    assert found.lower > 0.7
    assert {name for name, _ in found.drivers[:2]} == {"x", "y"}
    assert sum(share for _, share in found.drivers) == pytest.approx(1.0)
    assert found.sentence.startswith("A classifier tells the window from the reference, first by")


def test_two_samples_of_one_thing_cannot_be_told_apart() -> None:
    found = classify(SAME)
    assert found.lower < 0.5 < found.upper
    assert "cannot tell" in found.sentence


def test_the_classifiers_interval_holds_half_where_days_differ_by_themselves() -> None:
    """Each day has its own mean: out of fold by days, the interval by days covers 0.5 as often as it says."""
    missed = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        level = np.repeat(0.5 * rng.normal(size=40), 50)
        frame = pd.DataFrame({"x": level + rng.normal(size=2_000), "y": rng.normal(size=2_000)})
        found = domain_classifier(
            frame[:1_500], frame[1_500:], COLUMNS[:2],
            reference_days=days(1_500, 30), current_days=days(500, 10, "2013-03-01"),
        )  # fmt: skip
        missed += found.lower > 0.5
    assert missed <= 3  # 2.5 % of 20 is half of one; four or more has probability 0.002


def test_the_sample_bounds_the_cost_and_is_repeatable() -> None:
    found = classify(MOVED, sample=600)
    assert (found.n_reference, found.n_current) == (300, 300)
    assert classify(MOVED, sample=600) == found
    small, large, _ = sampled(REFERENCE[:200], SAME, COLUMNS, sample=600, seed=1)
    assert (len(small), len(large)) == (200, 400)  # what one side lacks, the other may have


# --- reconstruction ----------------------------------------------------------------------------------------


def test_the_error_is_that_of_numpys_svd() -> None:
    reference, current = REFERENCE[["x", "y"]].assign(z=REFERENCE["x"] ** 2), SAME[["x", "y"]].assign(z=SAME["x"] ** 2)
    columns = [FeatureColumn(name) for name in "xyz"]
    found = reconstruction_error(
        reference, current, columns, reference_days=REFERENCE_DAYS, current_days=DAYS, sample=10_000
    )
    left, right = (((f - reference.mean()) / reference.std(ddof=0)).to_numpy() for f in (reference, current))
    _, values, axes = np.linalg.svd(left, full_matrices=False)
    k = int(np.searchsorted(np.cumsum(values**2) / (values**2).sum(), 0.65) + 1)
    kept = axes[:k].T @ axes[:k]
    assert found.components == k
    assert found.value == pytest.approx(np.linalg.norm(right - right @ kept, axis=1).mean(), rel=1e-3)


def test_the_range_holds_another_sample_and_not_a_broken_tie() -> None:
    same, moved = rebuild(SAME), rebuild(MOVED)
    assert same.lower <= same.value <= same.upper
    assert "within" in same.sentence
    assert moved.value > moved.upper
    assert moved.n_blocks == 8
    assert "outside" in moved.sentence


def test_a_reference_of_few_windows_has_no_spread() -> None:
    with pytest.raises(CannotJudge, match=r"7 blocks of 7 days .* at least 8. Use a longer reference"):
        reconstruction_error(REFERENCE[:2_750], SAME, COLUMNS, reference_days=REFERENCE_DAYS[:2_750], current_days=DAYS)


# --- support -----------------------------------------------------------------------------------------------


def test_the_share_outside_is_counted_by_hand() -> None:
    current = SAME[:100].copy().assign(c="a")
    current.loc[current.index[:7], "x"] = REFERENCE["x"].max() + 1
    current.loc[current.index[5:10], "c"] = "new"
    current.loc[current.index[10:20], "x"] = np.nan  # a missing value is outside nothing
    found = outside_support(REFERENCE, current, COLUMNS)
    inside = current["y"].between(REFERENCE["y"].min(), REFERENCE["y"].max())
    assert found.outside_range == pytest.approx((inside[10:].size - inside[10:].sum() + 10) / 100)
    assert found.features[:2] == (("x", 0.07), ("c", 0.05))
    assert found.expected_range == pytest.approx(1 - (1 - 2 / 2_801) ** 2)


def test_the_joint_support_sees_what_the_ranges_do_not() -> None:
    same, moved = outside_support(REFERENCE, SAME, COLUMNS), outside_support(REFERENCE, MOVED, COLUMNS)
    assert same.outside_joint < 0.03
    assert moved.outside_joint > 0.2
    assert moved.outside_range < 0.02
    assert "expected 1%" in moved.sentence


def test_mahalanobis_is_scipys() -> None:
    from scipy.spatial.distance import mahalanobis
    from sklearn.covariance import LedoitWolf

    left, right = numbers_of(REFERENCE, MOVED, COLUMNS)
    order = np.random.default_rng(13).permutation(len(left))
    fitted = LedoitWolf().fit(left[order[::2]])

    def distances(values: np.ndarray) -> np.ndarray:
        return np.array([mahalanobis(row, fitted.location_, np.linalg.inv(fitted.covariance_)) for row in values])

    limit = np.quantile(distances(left[order[1::2]]) ** 2, 0.99)
    expected = np.mean(distances(right) ** 2 > limit)
    found = outside_support(REFERENCE, MOVED, COLUMNS, sample=10_000)
    assert found.outside_joint == pytest.approx(expected)


# --- bad input ---------------------------------------------------------------------------------------------

JUDGES: list[Callable[[pd.DataFrame, pd.DataFrame], Any]] = [
    lambda left, right: domain_classifier(
        left, right, COLUMNS, reference_days=REFERENCE_DAYS[: len(left)], current_days=DAYS[: len(right)]
    ),
    lambda left, right: reconstruction_error(
        left, right, COLUMNS, reference_days=REFERENCE_DAYS[: len(left)], current_days=DAYS[: len(right)]
    ),
    lambda left, right: outside_support(left, right, COLUMNS),
]
IDS = ["classifier", "pca", "support"]


@pytest.mark.parametrize("judge", JUDGES, ids=IDS)
def test_what_cannot_be_judged_says_why_and_what_to_do(judge: Callable[..., Any]) -> None:
    with pytest.raises(CannotJudge, match=r"reference has 99 rows .* Use a longer reference"):
        judge(REFERENCE[:99], SAME)
    with pytest.raises(CannotJudge, match=r"the window 0; .* wait until"):
        judge(REFERENCE, SAME[:0])
    with pytest.raises(CannotJudge, match=r"x have infinite values\. Guard the division"):
        judge(REFERENCE, SAME.assign(x=np.inf))
    constant = {"x": 1.0, "y": np.nan, "c": "a", "b": True}
    with pytest.raises(CannotJudge, match=r"all 4 features are constant or missing .* joins and ttl"):
        judge(REFERENCE.assign(**constant), SAME.assign(**constant))
    with pytest.raises(WrongColumns, match="lacks 1 of the model's 4 columns: y"):
        judge(REFERENCE.drop(columns="y"), SAME.drop(columns="y"))


@pytest.mark.parametrize("judge", JUDGES, ids=IDS)
def test_some_constant_or_missing_features_and_new_categories_are_no_obstacle(judge: Callable[..., Any]) -> None:
    for reference, current in (
        (REFERENCE.assign(y=np.nan), SAME.assign(y=1.0, c="new")),
        (REFERENCE.assign(y=1.0), SAME.assign(y=np.nan, b=None)),
    ):
        found = judge(reference, current)
        numbers = [value for value in vars(found).values() if isinstance(value, float)]
        assert numbers
        assert np.isfinite(numbers).all()


def test_one_day_cannot_be_held_out() -> None:
    with pytest.raises(CannotJudge, match=r"the window has rows of one day only.* longer monitoring.window"):
        domain_classifier(
            REFERENCE, SAME, COLUMNS, reference_days=REFERENCE_DAYS, current_days=np.repeat(DAYS[:1], 700)
        )
