"""Rules of thumb: when each says that a training is due.

What lives here: the rules on small rows. What doesn't: living by them (tests/core/simulate/test_backtest.py).
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.models.matrix import CannotTrain
from mlops_assets.core.simulate.rules_of_thumb import every, ks_under, monthly, never, psi_over
from mlops_assets.core.simulate.shared_fits import Fits, Rows
from mlops_assets.core.time.windows import closed_windows, midnight

NONE = np.zeros(0, dtype=int)


def rows_of(x: np.ndarray) -> Rows:
    times = pd.date_range("2024-01-01", periods=len(x), freq="h", tz="UTC")
    return Rows(x[:, None], np.arange(len(x), dtype=float), times, times, np.asarray(times.date))


def test_the_calendar_counts_from_the_first_window_served() -> None:
    assert [every(2, first=6).due(number, NONE, NONE) for number in (6, 7, 8, 9)] == [False, True, False, True]
    assert all(every(1, first=6).due(number, NONE, NONE) for number in range(6, 9))
    assert not never().due(6, NONE, NONE)


def test_monthly_is_due_when_a_month_has_ended_where_the_model_lives() -> None:
    windows = closed_windows(date(2024, 1, 1), midnight(date(2024, 3, 4), "America/New_York"), "7d", "America/New_York")
    rule = monthly(windows, "America/New_York")
    due = [windows[k].label("America/New_York") for k in range(len(windows)) if rule.due(k, NONE, NONE)]
    assert due == ["2024-01-29..2024-02-04", "2024-02-26..2024-03-03"]


@pytest.mark.parametrize(("rule", "limit"), [(psi_over, 0.2), (ks_under, 0.05)])
@pytest.mark.parametrize(("shift", "due"), [(0.0, False), (1.0, True), (50.0, True)])
def test_drift_rules_ring_for_a_shift_against_what_the_model_was_fitted_on(
    rule, limit, shift: float, due: bool
) -> None:
    rng = np.random.default_rng(5)
    rows = rows_of(np.concatenate([rng.normal(size=2_000), rng.normal(size=2_000) + shift]))
    fitted, newest = np.arange(2_000), np.arange(2_000, 4_000)
    assert rule(limit, rows).due(7, fitted, newest) is due
    # A model fitted on the shifted rows has nothing to ring for.
    assert rule(limit, rows).due(7, newest, newest) is False
    assert rule(limit, rows).due(7, fitted, NONE) is False


def test_the_same_rows_are_fitted_on_once_and_charged_each_time() -> None:
    seconds = iter([1.0, 4.0, 10.0, 12.0])

    def learner(x: np.ndarray, y: np.ndarray):
        if len(y) < 5:
            raise CannotTrain("too few rows", "Wait")
        return lambda values: np.full(len(values), y.mean())

    fits = Fits(rows_of(np.arange(20.0)), learner, clock=lambda: next(seconds))
    some, others = np.arange(10), np.arange(10, 20)
    assert fits.model(some)[1] == fits.model(some)[1] == 3.0
    ((scores, cost),) = fits.scores([(some, others)])
    assert (scores.tolist(), cost, fits.made) == ([4.5] * 10, 3.0, 1)
    assert fits.scores([(others, some), (others, some)])[0][1] == 2.0
    assert fits.made == 2
    with pytest.raises(StopIteration):
        fits.model(np.arange(5, 20))
    quiet = Fits(rows_of(np.arange(20.0)), learner)
    assert quiet.scores([(np.arange(3), others)]) == [(None, 0.0)]
