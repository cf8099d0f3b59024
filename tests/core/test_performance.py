from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlops_assets.core.performance import (
    Estimate,
    PerformancePolicy,
    PerformanceReport,
    PerformanceRow,
    evaluate,
    evaluate_slices,
    performance_holds,
    performance_report,
)
from mlops_assets.core.windows import closed_windows

RNG = np.random.default_rng(3)
NOW = datetime(2013, 3, 2, tzinfo=UTC)
N = 5_900
TIMES = pd.Series(pd.date_range("2013-01-01", periods=N, freq="864s", tz="UTC"))  # 100 a day, 59 days
Y = (RNG.random(N) < 0.3).astype(float)
S = np.clip(0.3 + 0.2 * (Y - 0.3) + 0.15 * RNG.standard_normal(N), 0, 1)
KNOWN = TIMES + pd.Timedelta("3h")
MONTHS = closed_windows(date(2013, 1, 1), NOW, "month", "UTC")


def report(**changes: object) -> PerformanceReport:
    given = {"event_times": TIMES, "labels": Y, "scores": S, "label_available_at": KNOWN}
    arguments = {**given, "metrics": ["roc_auc", "brier"], "now": NOW, "tz": "UTC", **changes}
    return performance_report(MONTHS, **arguments)  # type: ignore[arg-type]


# --- evaluate ----------------------------------------------------------------------------------------------


def test_the_interval_of_a_mean_is_students_over_days() -> None:
    blocks = np.repeat(np.arange(10), 50)
    found = evaluate(Y[:500], S[:500], ["brier"], blocks)["brier"]
    means = ((Y[:500] - S[:500]) ** 2).reshape(10, 50).mean(axis=1)
    low, high = stats.t.interval(0.95, 9, loc=means.mean(), scale=stats.sem(means))
    assert (found.lower, found.upper) == (pytest.approx(low), pytest.approx(high))
    assert (found.n, found.n_blocks) == (500, 10)


def test_few_days_give_a_value_without_an_interval_and_say_why() -> None:
    found = evaluate(Y[:300], S[:300], ["roc_auc"], np.repeat([0, 1, 2], 100))["roc_auc"]
    assert found.value is not None
    assert (found.lower, found.upper, found.se) == (None, None, None)
    assert "3 blocks" in str(found.why)


def test_one_class_gives_no_value_and_says_why() -> None:
    found = evaluate(np.ones(300), S[:300], ["roc_auc", "brier"], np.arange(300) % 10)
    assert found["roc_auc"].value is None
    assert "needs both classes" in str(found["roc_auc"].why)
    assert found["brier"].value is not None


def test_slices_need_their_rows() -> None:
    column = np.where(np.arange(N) < 150, "few", "many")
    days = np.arange(N) % 20
    found = evaluate_slices(Y, S, ["brier"], days, slices={"x": column}, min_rows=200)
    assert list(found) == ["x=many"]


# --- the report --------------------------------------------------------------------------------------------


def test_a_row_per_window_with_its_counts() -> None:
    january, february = report().rows
    assert (january.window, january.rows, january.labelled, january.mature) == ("2013-01", 3_100, 3_100, True)
    assert january.share_unlabelled == 0.0
    assert january.label_rate == pytest.approx(Y[:3_100].mean())
    assert january.metrics["roc_auc"].n_blocks == 31
    assert february.rows == 2_800


def test_labels_that_have_not_come_are_counted_and_not_used() -> None:
    known = KNOWN.copy()
    known[3_100:4_500] = pd.NaT
    known[4_500:5_000] = pd.Timestamp("2013-04-01", tz="UTC")
    january, february = report(label_available_at=known).rows
    assert january.mature
    assert (february.labelled, february.mature) == (900, False)
    assert february.share_unlabelled == pytest.approx(1_900 / 2_800)
    assert report(label_available_at=known, max_delay=timedelta(days=1)).rows[1].mature
    assert report(label_available_at=known).newest_mature == january


def test_a_window_without_rows_or_labels_has_a_row_that_says_so() -> None:
    none = report(event_times=TIMES - pd.Timedelta("900D"), label_available_at=KNOWN)
    assert (none.rows[0].rows, none.rows[0].share_unlabelled, none.newest_mature) == (0, None, None)
    assert "no rows" in none.rows[0].reason
    assert none.rows[0].metrics["roc_auc"].value is None
    blind = report(label_available_at=pd.Series([pd.NaT] * N), max_delay=timedelta(days=0)).rows[0]
    assert (blind.labelled, blind.label_rate) == (0, None)


def test_slices_are_in_the_report_and_all_of_it_is_plain() -> None:
    rows = report(slices={"carrier": np.where(np.arange(N) % 2, "AA", "UA")}).rows
    assert set(rows[0].slices) == {"carrier=AA", "carrier=UA"}
    json.dumps([row.to_dict() for row in rows], allow_nan=False)


def test_the_frame_has_a_row_per_window_and_bounds_per_metric() -> None:
    frame = report().to_frame()
    assert frame["window"].tolist() == ["2013-01", "2013-02"]
    assert (frame["roc_auc_lower"] < frame["roc_auc"]).all()
    assert (frame["roc_auc"] < frame["roc_auc_upper"]).all()


def test_multiclass_scores_have_no_label_rate() -> None:
    probabilities = np.column_stack([1 - S, S])
    row = report(scores=probabilities, metrics=["log_loss"]).rows[0]
    assert row.label_rate is None
    assert row.metrics["log_loss"].value is not None


# --- performance holds -------------------------------------------------------------------------------------


def window(value: float | None, lower: float | None, upper: float | None, name: str = "roc_auc") -> PerformanceRow:
    found = Estimate(name, value, lower, upper, 0.01, 900, 30, None if value is not None else "one class")
    base = report().rows[0]
    return replace(base, labelled=900, metrics={name: found})


@pytest.mark.parametrize(
    ("row", "reference", "passed"),
    [
        (window(0.72, 0.70, 0.74), 0.75, True),  # 4 % under is within 5 %
        (window(0.70, 0.68, 0.72), 0.75, False),  # 6.7 % under and surely under
        (window(0.70, 0.62, 0.78), 0.75, True),  # 6.7 % under, but may be noise
        (window(0.70, None, None), 0.75, False),  # no interval: the value decides
        (window(10.4, 10.2, 10.6, "rmse"), 10.0, True),
        (window(10.6, 10.4, 10.8, "rmse"), 10.0, False),
        (window(10.6, 9.4, 11.8, "rmse"), 10.0, True),
        (window(-0.2, -0.25, -0.15, "r2"), -0.1, False),
    ],
)
def test_relative_limits(row: PerformanceRow, reference: float, passed: bool) -> None:
    name = next(iter(row.metrics))
    verdict = performance_holds(row, name, reference, PerformancePolicy())
    assert verdict.passed is passed
    assert ("keeps" if passed else "breaks") in verdict.sentence


def test_without_sureness_the_value_alone_decides() -> None:
    row = window(0.70, 0.62, 0.78)
    assert performance_holds(row, "roc_auc", 0.75, PerformancePolicy(sure=False)).passed is False


def test_a_floor_is_absolute() -> None:
    policy = PerformancePolicy(floor=0.9)
    assert performance_holds(window(0.88, 0.87, 0.89, "accuracy"), "accuracy", None, policy).passed is False
    assert performance_holds(window(0.91, 0.90, 0.92, "accuracy"), "accuracy", None, policy).passed is True


@pytest.mark.parametrize(
    ("row", "reference", "why"),
    [
        (replace(window(0.7, 0.6, 0.8), mature=False, reason="too early"), 0.75, "not mature: too early"),
        (replace(window(0.7, 0.6, 0.8), labelled=199), 0.75, "199 labels and 200 are needed"),
        (window(None, None, None), 0.75, "one class"),
        (window(0.7, 0.6, 0.8), None, "nothing to hold"),
    ],
)
def test_what_cannot_be_judged_yet_says_why(row: PerformanceRow, reference: float | None, why: str) -> None:
    verdict = performance_holds(row, "roc_auc", reference, PerformancePolicy())
    assert verdict.passed is None
    assert why in verdict.sentence


def test_a_wrong_policy_names_the_remedy() -> None:
    with pytest.raises(ValueError, match="zero or more"):
        PerformancePolicy(max_drop=-0.1)


def test_a_verdict_states_the_share_without_a_label() -> None:
    row = replace(window(0.72, 0.70, 0.74), share_unlabelled=0.025)
    assert performance_holds(row, "roc_auc", 0.75, PerformancePolicy()).sentence.endswith("2.5% of the rows have none")
    assert "have none" not in performance_holds(window(0.72, 0.70, 0.74), "roc_auc", 0.75, PerformancePolicy()).sentence
