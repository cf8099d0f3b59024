from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlops_assets.core.performance.window_metrics import (
    PerformanceRow,
    Predicted,
    evaluate,
    evaluate_slices,
    performance_row,
)
from mlops_assets.core.record.plain_values import as_plain
from mlops_assets.core.time.windows import closed_windows, maturity

RNG = np.random.default_rng(3)
NOW = datetime(2013, 3, 2, tzinfo=UTC)
N = 5_900
TIMES = pd.Series(pd.date_range("2013-01-01", periods=N, freq="864s", tz="UTC"))  # 100 a day, 59 days
Y = (RNG.random(N) < 0.3).astype(float)
S = np.clip(0.3 + 0.2 * (Y - 0.3) + 0.15 * RNG.standard_normal(N), 0, 1)
KNOWN = TIMES + pd.Timedelta("3h")
MONTHS = closed_windows(date(2013, 1, 1), NOW, "month", "UTC")


def report(
    *, metrics: tuple[str, ...] = ("roc_auc", "brier"), max_delay: timedelta | None = None, **changes: object
) -> list[PerformanceRow]:
    given = Predicted(**{"event_times": TIMES, "labels": Y, "scores": S, "label_available_at": KNOWN, **changes})
    times, known = given.event_times, given.label_available_at
    states = [maturity(month, times, known, now=NOW, max_delay=max_delay) for month in MONTHS]
    return [
        performance_row(month, given, metrics, state, now=NOW, tz="UTC")
        for month, state in zip(MONTHS, states, strict=True)
    ]


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
    january, february = report()
    assert (january.window, january.rows, january.labelled, january.mature) == ("2013-01", 3_100, 3_100, True)
    assert january.share_unlabelled == 0.0
    assert january.label_rate == pytest.approx(Y[:3_100].mean())
    assert january.metrics["roc_auc"].n_blocks == 31
    assert february.rows == 2_800


def test_labels_that_have_not_come_are_counted_and_not_used() -> None:
    known = KNOWN.copy()
    known[3_100:4_500] = pd.NaT
    known[4_500:5_000] = pd.Timestamp("2013-04-01", tz="UTC")
    january, february = report(label_available_at=known)
    assert january.mature
    assert (february.labelled, february.mature) == (900, False)
    assert february.share_unlabelled == pytest.approx(1_900 / 2_800)
    assert report(label_available_at=known, max_delay=timedelta(days=1))[1].mature


def test_a_window_without_rows_or_labels_has_a_row_that_says_so() -> None:
    none = report(event_times=TIMES - pd.Timedelta("900D"), label_available_at=KNOWN)
    assert (none[0].rows, none[0].share_unlabelled) == (0, None)
    assert "no rows" in none[0].reason
    assert none[0].metrics["roc_auc"].value is None
    blind = report(label_available_at=pd.Series([pd.NaT] * N), max_delay=timedelta(days=0))[0]
    assert (blind.labelled, blind.label_rate) == (0, None)


def test_slices_are_in_the_report_and_all_of_it_is_plain() -> None:
    rows = report(slices={"carrier": np.where(np.arange(N) % 2, "AA", "UA")})
    assert set(rows[0].slices) == {"carrier=AA", "carrier=UA"}
    json.dumps([as_plain(row) for row in rows], allow_nan=False)


def test_multiclass_scores_have_no_label_rate() -> None:
    probabilities = np.column_stack([1 - S, S])
    row = report(scores=probabilities, metrics=("log_loss",))[0]
    assert row.label_rate is None
    assert row.metrics["log_loss"].value is not None
