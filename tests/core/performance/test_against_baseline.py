"""Worse than guessing: the comparison, several windows as one, the run of windows, and what it is told by."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mlops_assets.core.performance.against_baseline import (
    Compared,
    Fallback,
    Judged,
    Looked,
    compared,
    failing,
    judged,
    numbers,
)
from mlops_assets.core.record.plain_values import as_plain, from_plain
from mlops_assets.core.stats.comparison import against_baseline, paired
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.stats.metrics import metrics_for

RNG = np.random.default_rng(3)
N, DAYS = 2_000, 28
DAY_OF = np.sort(RNG.integers(0, DAYS, N))
SIGNAL = RNG.standard_normal(N)
Y = (RNG.random(N) < 1 / (1 + np.exp(1 - SIGNAL))).astype(float)
GOOD = 1 / (1 + np.exp(1 - SIGNAL))
BAD = 1 / (1 + np.exp(1 + SIGNAL))
"""Calibrated on average, and turned round."""
GUESS = against_baseline([0.0, 0.0, 0.0, 1.0], N, "binary")
START = datetime(2024, 8, 1, tzinfo=UTC)


def window(number: int, scores: np.ndarray, *, days: int = DAYS, metric: str = "roc_auc") -> Looked:
    """The rows of the first so many days, as the window of that number; its days have names of their own."""
    rows = days > DAY_OF
    found = compared(Y[rows], scores[rows], GUESS[rows], DAY_OF[rows] + 1_000 * number, metric)
    start = START + number * timedelta(days=days)
    return Looked(f"w{number}", start, start + timedelta(days=days), found)


@pytest.mark.parametrize("name", ["accuracy", "log_loss", "brier"])
def test_windows_of_a_day_are_one_window_of_all_their_days(name: str) -> None:
    """Metrics that are means of rows: however the days are parted into windows, mean and interval are the same."""
    days = [
        Looked(f"d{day}", START + timedelta(days=day), START + timedelta(days=day + 1), part)
        for day in range(8)
        for rows in (day == DAY_OF,)
        for part in (compared(Y[rows], BAD[rows], GUESS[rows], DAY_OF[rows], name),)
    ]
    rows = DAY_OF < 8
    whole = compared(Y[rows], BAD[rows], GUESS[rows], DAY_OF[rows], name)
    one = judged([Looked("w", START, START + timedelta(days=8), whole)], 3)
    many = judged(days, 3)
    assert many.windows == 8
    for number in ("gain", "lower", "upper"):
        assert getattr(many, number) == pytest.approx(getattr(one, number)), number
    assert one.lower is not None and one.upper is not None and one.upper - one.lower > 0.01


def test_noise_is_not_surely_worse_than_guessing_in_windows_of_a_day() -> None:
    worse = 0
    for seed in range(60):
        rng = np.random.default_rng([20260101, seed])
        days = []
        for day in range(8):
            y = (rng.random(200) < 0.3).astype(float)
            found = compared(y, rng.random(200), np.full(200, 0.3), np.full(200, day), "roc_auc")
            start = START + timedelta(days=day)
            days.append(Looked(f"d{day}", start, start + timedelta(days=1), found))
        worse += judged(days, 3).worse is True
    # One in forty by chance; more than five of sixty less than once in a hundred.
    assert worse <= 5


def verdict(number: int, worse: bool | None, version: int = 3) -> Judged:
    start = START + number * timedelta(days=7)
    return Judged(f"w{number}", start, start + timedelta(days=7), version, worse, "")


@pytest.mark.parametrize("name", [n for n in metrics_for("binary") if n not in ("precision", "recall", "f1")])
def test_it_is_the_gates_comparison_with_the_baseline(name: str) -> None:
    expected = paired(Y, GUESS, BAD, DAY_OF, name, lag_one=0.0)
    found = judged([window(0, BAD, metric=name)], 3)
    assert (found.gain, found.lower, found.upper) == (
        pytest.approx(expected.gain),
        pytest.approx(expected.lower),
        pytest.approx(expected.upper),
    )
    assert (found.baseline, found.champion) == (pytest.approx(expected.champion), pytest.approx(expected.challenger))
    assert found.worse is (expected.upper < 0.0)


def test_a_model_turned_round_is_worse_and_a_good_one_is_not() -> None:
    bad, good = judged([window(0, BAD)], 3), judged([window(0, GOOD)], 3)
    assert bad.worse is True
    assert bad.champion == pytest.approx(roc_auc_score(Y, BAD))
    assert bad.baseline == 0.5
    assert "version 3 is worse than guessing: ROC AUC 0.2" in bad.sentence
    assert good.worse is False
    assert "version 3 is better than guessing: ROC AUC 0.7" in good.sentence


def test_guessing_itself_is_not_worse_than_guessing() -> None:
    """A score that knows nothing has a ROC AUC near 0.5: that is no claim either way."""
    found = judged([window(0, np.random.default_rng(5).random(N))], 3)
    assert found.worse is False
    assert "not surely worse than guessing" in found.sentence


def test_a_regression_and_classes_have_their_own_guess() -> None:
    y = SIGNAL * 10.0
    worse = compared(y, -y, against_baseline(y, N, "regression"), DAY_OF, "mae")
    found = judged([Looked("w", START, START, worse)], 1)
    assert found.worse is True
    assert "by guessing: worse by" in numbers(found)
    codes = (SIGNAL > 0).astype(int) + (SIGNAL > 1)
    wrong = np.eye(3)[(codes + 1) % 3] * 0.8 + 0.1
    worse = compared(
        codes, wrong / wrong.sum(1, keepdims=True), against_baseline(codes, N, "multiclass"), DAY_OF, "log_loss"
    )
    assert judged([Looked("w", START, START, worse)], 1).worse is True


def test_short_windows_are_judged_together_and_too_few_days_not_at_all() -> None:
    one = window(0, BAD, days=3)
    alone = judged([one], 3, min_rows=0)
    assert alone.worse is None
    assert "3 blocks" in alone.sentence
    assert "Wait for more windows" in alone.sentence
    three = [window(n, BAD, days=3) for n in range(3)]
    together = judged(three, 3, min_rows=0)
    assert (together.worse, together.windows, together.rows_from) == (True, 3, START)
    # Three times the same window: the same value, nine days.
    assert together.champion == pytest.approx(one.compared.champion)
    assert "w2 and the 2 windows before it" in together.sentence
    assert judged(three, 3, min_rows=10_000).worse is None
    assert judged([*three, window(3, BAD)], 3).windows == 1, "a window that can be judged is judged by itself"


def test_an_undefined_metric_cannot_be_judged() -> None:
    with pytest.raises(CannotJudge):
        compared(np.ones(N), BAD, GUESS, DAY_OF, "roc_auc")


def test_the_run_begins_with_the_first_window_of_it() -> None:
    run = [verdict(n, w) for n, w in enumerate([True, False, True, None, True])]
    found = failing(run, 3)
    assert found is not None
    assert (found.first, found.newest.window, found.since) == ("w2", "w4", run[2].start)


@pytest.mark.parametrize(
    "run",
    [
        [],
        [verdict(0, None)],
        [verdict(0, True), verdict(1, False)],
        [verdict(0, True, version=2)],
    ],
    ids=["nothing yet", "cannot judge", "over", "another version"],
)
def test_it_is_not_failing(run: list[Judged]) -> None:
    assert failing(run, 3) is None


def test_a_window_that_cannot_be_judged_ends_no_run() -> None:
    assert failing([verdict(0, True), verdict(1, None)], 3) is not None
    assert failing([verdict(0, True, 2), verdict(1, True, 3)], 3).first == "w1"  # type: ignore[union-attr]


def test_it_is_told_in_the_models_zone_with_its_numbers() -> None:
    night = datetime(2024, 8, 1, 4, tzinfo=UTC)
    newest = Judged("w", night, night, 3, True, "", "roc_auc", 0.384, 0.5, -0.116, -0.14, -0.09, 1, night)
    found = failing([newest], 3)
    assert found is not None
    assert found.in_words("flight_delay", ZoneInfo("America/New_York")) == (
        "flight_delay has been worse than guessing since 2024-08-01: ROC AUC 0.384, 0.5 by guessing "
        "(95 % interval 0.36 to 0.41)."
    )
    assert "since 2024-07-31" in found.in_words("x", ZoneInfo("America/Los_Angeles"))
    loss = Judged("w", night, night, 3, True, "", "rmse", 1204.2, 1_100.0, -104.2, -150.0, -58.0, 1, night)
    assert numbers(loss) == "RMSE 1,204, 1,100 by guessing: worse by 104.2 (95 % interval 58 to 150)"


def test_it_survives_the_record() -> None:
    look = window(0, BAD)
    assert from_plain(Compared, json.loads(json.dumps(as_plain(look.compared)))) == look.compared
    for made in (judged([look], 3), verdict(0, None)):
        assert from_plain(Judged, json.loads(json.dumps(as_plain(made)))) == made
    told = Fallback("baseline", "why", (0.2, 0.8))
    assert Fallback.from_json(told.to_json()) == told
