"""What a first model waits for, against a day-by-day count of the same rows."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from mlops_assets.core.performance.first_model import first_needs

DAY = np.datetime64("2024-03-01")


def comes(pace: int, delay: int, *, to_train: int, to_judge: int, gate_days: int) -> int:
    """The first day of the clock on which enough is known, counted by hand: `pace` rows on each day from 0 on."""
    for now in range(2_000):
        start = now - delay - gate_days
        judged = pace * max(0, min(gate_days, now - delay) if start < 0 else gate_days)
        # A row of day d is known at the end of day d + delay.
        fitted = pace * max(0, start - delay)
        if fitted >= to_train and judged >= to_judge:
            return now
    raise AssertionError("never")


@pytest.mark.parametrize("pace", [3, 12, 900])
@pytest.mark.parametrize("delay", [0, 3, 30])
@pytest.mark.parametrize(("to_train", "to_judge", "gate_days"), [(500, 30, 28), (50, 20, 8), (5_000, 60, 90)])
def test_the_date_is_that_on_which_enough_is_known(
    pace: int, delay: int, to_train: int, to_judge: int, gate_days: int
) -> None:
    days = np.repeat(DAY + np.arange(5), pace)
    settings: dict[str, Any] = {"to_train": to_train, "to_judge": to_judge, "gate_days": gate_days}
    told = str(first_needs(days, np.full(len(days), delay), today=DAY + 5 + delay, **settings))
    assert f"{5 * pace:,} labelled rows are known, and a first model needs {to_train:,} labelled rows" in told
    found = re.search(r"by about ([0-9-]+)\.", told)
    assert found
    wanted = DAY + comes(pace, delay, **settings)
    assert abs((np.datetime64(found[1]) - wanted).astype(int)) <= 1


def test_what_never_comes_at_this_pace_is_said_with_what_to_change() -> None:
    told = str(
        first_needs(
            np.repeat(DAY + np.arange(10), 2), np.zeros(20), today=DAY, to_train=100, to_judge=200, gate_days=28
        )
    )
    assert "At 2.0 a day 28 days will hold about 56. Lengthen gate.window, or lower retrain.min_matured_labels." in told


def test_without_any_label_there_is_no_date() -> None:
    told = str(
        first_needs(np.array([], dtype="datetime64[D]"), [], today=DAY, to_train=500, to_judge=200, gate_days=28)
    )
    assert told == (
        "cannot judge, because no label is known yet, and a first model needs 500 labelled rows to train on, and then "
        "28 days with 200 more to be judged on. Land rows with their labels; mlops up "
        "takes in what has landed."
    )


def test_labels_that_have_stopped_are_not_waited_for() -> None:
    """By hand: 10 rows a day, 500 to train on in 50 days, 3 for their labels, 28 to judge and 3 more: day 84."""
    days = np.repeat(DAY + np.arange(200), 10)
    settings: dict[str, Any] = {"to_train": 500, "to_judge": 200, "gate_days": 28}
    told = str(first_needs(days, np.full(2_000, 3.0), today=DAY + 900, **settings))
    assert f"At 10 a day that was by about {DAY + 84}, but the newest label is of {DAY + 199} and the newest 28" in told
    assert told.endswith("Land the rows that came since; mlops replay tries the model on its history.")
    assert told == str(first_needs(days, np.full(2_000, 3.0), today=DAY + 901, **settings)), "no news at the next tick"
