"""What a first model waits for, against a day-by-day count of the same rows."""

from __future__ import annotations

import re

import numpy as np
import pytest

from mlops_assets.core.performance.first_model import first_needs
from mlops_assets.core.performance.training_needs import Labels, TrainingNeeds

DAY = np.datetime64("2024-03-01")


def needs(window: str = "auto", *, to_train: int, to_judge: int, gate_days: int, fewest: int = 0) -> TrainingNeeds:
    return TrainingNeeds(window, to_train=to_train, to_judge=to_judge, gate_days=gate_days, fewest=fewest)


def comes(a_day: list[int], delay: int, wanted: TrainingNeeds, *, rolling: int | None = None) -> int | None:
    """The first day of the clock on which enough is known, counted by hand; the last day's rows come on for ever."""

    def rows(start: int, end: int) -> int:
        return sum(a_day[min(day, len(a_day) - 1)] for day in range(max(start, 0), max(end, 0)))

    for now in range(len(a_day) + delay - 1, 2_000):
        start = now - delay - wanted.gate_days
        # A row of day d is known at the end of day d + delay.
        known = start - delay
        fitted = rows(known - rolling if rolling else 0, known)
        if fitted >= wanted.to_train and rows(start, now - delay) >= wanted.to_judge:
            return now
    return None


def first(a_day: list[int], delay: float, wanted: TrainingNeeds, *, today: int, settles: float | None = None) -> str:
    days = np.repeat(DAY + np.arange(len(a_day)), a_day)
    labels = Labels(days, np.full(len(days), delay))
    return str(first_needs(labels, wanted, today=DAY + today, settles=delay if settles is None else settles))


def by_of(text: str) -> int:
    date = re.search(r"can be trained by about ([0-9-]+)\.", text)
    assert date, text
    return int((np.datetime64(date[1]) - DAY).astype(int))


@pytest.mark.parametrize("pace", [3, 12, 900])
@pytest.mark.parametrize("delay", [0, 3, 30])
@pytest.mark.parametrize(("to_train", "to_judge", "gate_days"), [(500, 30, 28), (50, 20, 8), (5_000, 60, 90)])
def test_the_date_is_that_on_which_enough_is_known(
    pace: int, delay: int, to_train: int, to_judge: int, gate_days: int
) -> None:
    wanted = needs(to_train=to_train, to_judge=to_judge, gate_days=gate_days)
    text = first([pace] * 5, delay, wanted, today=5 + delay)
    assert f"{5 * pace:,} labelled rows are known, and a first model needs {to_train:,} labelled rows" in text
    right = comes([pace] * 5, delay, wanted)
    assert right is not None
    assert abs(by_of(text) - right) <= 1


@pytest.mark.parametrize("delay", [0, 4])
@pytest.mark.parametrize(("before", "now"), [(1, 50), (200, 20), (40, 18)])
@pytest.mark.parametrize("rolling", [None, 30, 60])
def test_at_another_pace_than_before_the_date_is_never_past(
    before: int, now: int, delay: int, rolling: int | None
) -> None:
    a_day = [before] * 60 + [now] * 14
    window = f"rolling: {rolling}d" if rolling else "expanding"
    wanted = needs(window, to_train=1_000, to_judge=200, gate_days=14)
    text = first(a_day, delay, wanted, today=74 + delay)
    right = comes(a_day, delay, wanted, rolling=rolling)
    if rolling and now * rolling < 1_000:
        assert f"at {now} a day training.window ({window}) holds about {now * rolling:,}" in text
        assert (
            f"a training.window of about {-(-1_000 // now)} days, or lower training.min_rows to {now * rolling:,}."
            in (text)
        )
    else:
        assert right is not None
        assert abs(by_of(text) - right) <= 1
        assert by_of(text) >= 73 + delay


def test_what_never_comes_at_this_pace_is_said_with_what_to_change() -> None:
    wanted = needs(to_train=100, to_judge=200, gate_days=28)
    text = first([2] * 10, 0, wanted, today=0)
    assert text.endswith(
        "to be judged on, but at 2.0 a day gate.window (28 days) holds about 56. Lengthen gate.window to about 100 "
        "days, or lower retrain.min_matured_labels to 56."
    )
    assert text == first([2] * 10, 0, wanted, today=1), "no news at the next tick"


def test_both_windows_that_are_too_short_are_named() -> None:
    """By hand: 10 a day are 140 in 14 days and 280 in 28; 100 are needed whatever the settings say."""
    wanted = needs("rolling: 14d", to_train=500, to_judge=300, gate_days=28, fewest=200)
    assert first([10] * 90, 2, wanted, today=92).endswith(
        "but at 10 a day gate.window (28 days) holds about 280 and training.window (rolling: 14d) holds about 140. "
        "Lengthen gate.window to about 30 days, or lower retrain.min_matured_labels to 280. "
        "Name a training.window of about 50 days."
    )


def test_where_traffic_thins_the_window_of_the_gate_is_named() -> None:
    wanted = needs(to_train=500, to_judge=200, gate_days=28, fewest=100)
    text = first([1_000] * 60 + [1] * 28, 1, wanted, today=90)
    assert "at 1.0 a day gate.window (28 days) holds about 28. Lengthen gate.window to about 200 days." in text
    assert "by about" not in text
    assert "min_matured_labels" not in text, "fewer than 100 cannot be asked for"


def test_a_gate_that_is_shorter_than_any_interval_is_named() -> None:
    text = first([100] * 60, 1, needs(to_train=500, to_judge=200, gate_days=7), today=62)
    assert text.endswith("gate.window has 7 days, and an interval needs 8. Lengthen gate.window to 8d or more.")


def test_labels_of_very_different_delays_leave_a_rolling_window_short() -> None:
    """Half are known at once and half after ten days: of 14 days the window holds 14 and 4 halves, 9 at each a day."""
    days = np.repeat(DAY + np.arange(100), 20)
    labels = Labels(days, np.tile([0.0, 10.0], 1_000))
    wanted = needs("rolling: 14d", to_train=200, to_judge=200, gate_days=28)
    assert f"(rolling: 14d) holds about {20 * (14 + 4) // 2}." in str(
        first_needs(labels, wanted, today=DAY + 100, settles=10)
    )


def test_where_many_labels_never_come_the_longest_delay_is_waited_for() -> None:
    wanted = needs(to_train=50, to_judge=20, gate_days=8)
    waits = by_of(first([12] * 5, 0, wanted, today=5, settles=40))
    assert waits - by_of(first([12] * 5, 0, wanted, today=5)) == 40


def test_a_pace_that_takes_more_than_a_lifetime_has_no_date() -> None:
    text = first([1] + [0] * 98 + [1], 0, needs(to_train=10**6, to_judge=1, gate_days=200), today=100)
    assert "At 0.02 a day that takes more than a hundred years. Land more, or lower training.min_rows." in text


def test_without_any_label_there_is_no_date() -> None:
    none = Labels(np.array([], dtype="datetime64[D]"), [])
    text = str(first_needs(none, needs(to_train=500, to_judge=200, gate_days=28), today=DAY, settles=0.0))
    assert text == (
        "cannot judge, because no label is known yet, and a first model needs 500 labelled rows to train on, and then "
        "28 days with 200 more to be judged on. Land rows with their labels; mlops up "
        "takes in what has landed."
    )


def test_labels_that_have_stopped_are_not_waited_for() -> None:
    """By hand: 10 rows a day, 500 to train on in 50 days, 3 for their labels, 28 to judge and 3 more: day 84."""
    wanted = needs(to_train=500, to_judge=200, gate_days=28)
    text = first([10] * 200, 3, wanted, today=900)
    assert f". That was by about {DAY + 84}, but the newest label is of {DAY + 199} and the newest 28" in text
    assert text.endswith("Land the rows that came since; mlops replay tries the model on its history.")
    assert text == first([10] * 200, 3, wanted, today=901), "no news at the next tick"
    few = first([10] * 20, 3, wanted, today=900)
    assert few.endswith(f"The newest label is of {DAY + 19}. Land the rows and labels that came since.")
