"""What a challenger waits for, against a day-by-day count of the same rows."""

from __future__ import annotations

import re
from datetime import date

import numpy as np
import pytest

from mlops_assets.core.performance.training_needs import Labels, TrainingNeeds
from mlops_assets.core.performance.waiting import days_missing, rows_missing
from mlops_assets.core.stats.intervals import MIN_BLOCKS

SINCE = date(2024, 9, 2)
START = np.datetime64(SINCE)


def by_of(told: str) -> np.datetime64:
    found = re.search(r"by about ([0-9-]+)", told)
    assert found, told
    return np.datetime64(found[1])


def comes(*, pace: int, every: int, delay: int, to_judge: int) -> np.datetime64:
    """The first day of the clock with enough days and labels: `pace` rows each `every` days, known `delay` later."""
    for now in range(5_000):
        # A row of day d is known at the end of day d + delay.
        days = sum(1 for d in range(0, max(now - delay, 0), every))
        if days >= MIN_BLOCKS and days * pace >= to_judge:
            return START + now
    raise AssertionError("never")


def missing(labels: Labels, *, today: date, recent: Labels | None = None, gate_days: int = 28) -> str:
    needs = TrainingNeeds("auto", to_train=500, to_judge=200, gate_days=gate_days)
    recent = labels if recent is None else recent
    return str(days_missing(labels, needs, recent=recent, since=SINCE, today=today, needed=MIN_BLOCKS, longest=7.0))


@pytest.mark.parametrize("there", [1, 3, 7])
@pytest.mark.parametrize(("pace", "every"), [(200, 1), (30, 1), (9, 1), (30, 7)])
@pytest.mark.parametrize("delay", [0, 3])
def test_the_date_is_that_on_which_enough_can_be_judged(there: int, pace: int, every: int, delay: int) -> None:
    days = np.repeat(START + every * np.arange(there), pace)
    today = date.fromisoformat(str(START + every * there + delay))
    told = missing(Labels(days, np.full(len(days), delay)), today=today, gate_days=400)
    wanted = max(MIN_BLOCKS, -(-200 // pace))
    assert f"{there} day{'s' if there > 1 else ''} of labels, {there * pace:,} label" in told
    assert f"8 days with 200 are needed: {wanted - there} more day" in told
    # The rhythm of rows that do not come daily is known to within one of its steps.
    right = comes(pace=pace, every=every, delay=delay, to_judge=200)
    assert abs((by_of(told) - right).astype(int)) <= (1 if every == 1 else 8 * every // max(there, 1))
    assert told.endswith("Wait for labels, or lower retrain.min_matured_labels.")


def test_without_any_label_the_longest_delay_is_waited_for() -> None:
    told = missing(Labels(np.array([], dtype="datetime64[D]"), []), today=SINCE)
    assert "0 days of labels, 0 labels in all, are there to judge on since 2024-09-02" in told
    assert "8 more days, by about 2024-09-17" in told


def test_labels_that_are_still_to_come_and_rows_that_stopped_are_told() -> None:
    days = np.repeat(START + np.arange(9), 100)
    late = missing(Labels(days, np.full(900, 5.0)), today=date(2024, 9, 12))
    assert "some of their labels are still to come, by about 2024-09-15" in late
    over = missing(Labels(days[:200], np.zeros(200)), today=date(2024, 12, 1))
    assert over.endswith("by about 2024-09-10, which is over. Land the rows and labels that came since.")


def test_where_traffic_thins_the_window_of_the_gate_is_named() -> None:
    """Two rows a day for a month: 28 days hold 56 of the 200, however long is waited."""
    days = np.repeat(START - 28 + np.arange(32), 2)
    told = missing(
        Labels(days[56:], np.zeros(8)), today=date(2024, 9, 6), recent=Labels(days, np.zeros(64)), gate_days=28
    )
    assert told.endswith(
        "8 days with 200 are needed, but at 2.0 a day gate.window (28 days) holds about 56. Lengthen gate.window to "
        "about 100 days, or lower retrain.min_matured_labels to 56."
    )


def rows(window: str, *, known: int, pace: int = 20, min_rows: int = 500, delay: float = 0.0) -> str:
    days = np.repeat(START - 28 + np.arange(42), pace)
    needs = TrainingNeeds(window, to_train=min_rows, to_judge=0, gate_days=14, fewest_days=0)
    labels = Labels(days, np.full(len(days), delay))
    return str(rows_missing(labels, needs, known=known, start=SINCE, end=date(2024, 9, 16)))


def test_rows_to_train_on_are_counted_in_days() -> None:
    """By hand: 500 - 100 rows at 20 a day are 20 days after the newest judged one."""
    told = rows("since: 2024-08-28", known=100)
    assert "100 labelled rows of the training window (since: 2024-08-28) were known before the days" in told
    assert "begin on 2024-09-02, and 500 are needed to train: about 20 more days, by about 2024-10-06. Wait" in told
    assert "about 20 more days" in rows("expanding", known=100)


def test_a_window_that_begins_within_the_judged_days_puts_them_off() -> None:
    """25 days of rows from the 9th on, whose labels take 3 days: the judged days begin 7 + 25 + 3 days later."""
    assert "about 35 more days, by about 2024-10-21" in rows("since: 2024-09-09", known=0, delay=3.0)


def test_a_window_that_never_holds_enough_is_named_with_what_to_change() -> None:
    told = rows("rolling: 14d", known=280)
    assert told.endswith(
        "at 20 a day training.window (rolling: 14d) holds about 280. Name a training.window of about 25 days, or lower "
        "training.min_rows to 280."
    )
    assert "by about" not in told
