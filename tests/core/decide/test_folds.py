"""Folds: what is judged together, and what it may be fitted on."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from mlops_assets.core.decide.folds import TURNS, Fold, newest_folds
from mlops_assets.core.decide.judged_window import hedged, is_news
from mlops_assets.core.time.windows import Window, microseconds

START = datetime(2024, 3, 1, tzinfo=UTC)
NEWEST = Window(START + timedelta(days=18), START + timedelta(days=28))
HOUR = np.array([microseconds(START + timedelta(hours=hour)) for hour in range(24 * 30)])
REFITS = ("expanding", "decay:2", "4", "2", "1")


def fitted(fold: Fold, gap: timedelta) -> np.ndarray:
    return fold.outside(HOUR, gap) & (microseconds(fold.before(gap)) > HOUR)


def judged(fold: Fold) -> np.ndarray:
    return (microseconds(fold.judged.start) <= HOUR) & (microseconds(fold.judged.end) > HOUR)


def test_going_forward_newest_days_are_one_fold_fitted_on_what_happened_before_them() -> None:
    (fold,) = newest_folds(NEWEST, in_turns=False, timezone="UTC")
    assert (fold.judged, fold.end) == (NEWEST, NEWEST.end)
    assert (HOUR[fitted(fold, timedelta(0))] < microseconds(NEWEST.start)).all()
    assert fitted(fold, timedelta(0)).sum() == 18 * 24


@pytest.mark.parametrize("gap", [timedelta(0), timedelta(days=2)])
def test_in_turns_each_hour_is_judged_once_by_a_fit_on_all_that_is_not_near_it(gap: timedelta) -> None:
    folds = newest_folds(NEWEST, in_turns=True, timezone="UTC")
    assert len(folds) == TURNS
    inside = (microseconds(NEWEST.start) <= HOUR) & (microseconds(NEWEST.end) > HOUR)
    np.testing.assert_array_equal(np.sum([judged(fold) for fold in folds], axis=0), inside.astype(int))
    for fold in folds:
        near = (microseconds(fold.judged.start - gap) <= HOUR) & (microseconds(fold.judged.end + gap) > HOUR)
        np.testing.assert_array_equal(fitted(fold, gap), ~near & (microseconds(NEWEST.end) > HOUR))


def test_what_changed_is_news_from_the_first_of_the_newest_days_on() -> None:
    assert is_news(date(2024, 3, 19), NEWEST, "UTC")
    assert not is_news(date(2024, 3, 18), NEWEST, "UTC")
    assert not is_news(None, NEWEST, "UTC")
    # The day is a local one: in Berlin these days begin an hour later in UTC's count.
    berlin = Window(NEWEST.start - timedelta(hours=1), NEWEST.end - timedelta(hours=1))
    assert is_news(date(2024, 3, 19), berlin, "Europe/Berlin")
    assert not is_news(date(2024, 3, 18), berlin, "Europe/Berlin")


def test_the_newest_window_alone_is_tried_where_the_change_has_lasted_longer_than_labels_are_late() -> None:
    changed = NEWEST.start.date()
    assert hedged(REFITS, changed, end=NEWEST.end, at=NEWEST.end + timedelta(days=9)) == REFITS
    # It may be over by now: what knows nothing else would lose as much again.
    assert hedged(REFITS, changed, end=NEWEST.end, at=NEWEST.end + timedelta(days=10)) == REFITS[:-1]
