"""Calendars: their names, where they begin, and which rows they hold.

What lives here: hand-made cases. What doesn't: who leads (`test_probe`), fits (`test_life_on_paper`, tests/resources).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from mlops_assets.core.models.refit_rows import Calendar

DAY = timedelta(days=1)
LENGTH = 28 * DAY
END = datetime(2024, 8, 30, tzinfo=UTC)
START = END - LENGTH


@pytest.mark.parametrize(
    ("text", "calendar", "told"),
    [
        ("expanding", Calendar("expanding"), "all history"),
        ("1", Calendar("windows", 1), "the newest window"),
        ("12", Calendar("windows", 12), "the newest 12 windows"),
        ("decay:1", Calendar("decay", 1), "rows that count half after a window"),
        ("decay:2", Calendar("decay", 2), "rows that count half after 2 windows"),
        ("since:2024-08-01", Calendar("since", day=date(2024, 8, 1)), "the rows since 2024-08-01"),
    ],
)
def test_a_calendar_is_read_and_told(text: str, calendar: Calendar, told: str) -> None:
    assert Calendar.parse(text) == calendar
    assert calendar.in_words == told


@pytest.mark.parametrize("text", ["", "all", "0", "-1", "1.5", "decay", "decay:0", "decay:x", "since:", "since:May"])
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a calendar: write expanding, a number of windows"):
        Calendar.parse(text)


def begins(text: str, before: datetime, timezone: str = "UTC") -> datetime | None:
    return Calendar.parse(text).start(before=before, end=END, length=LENGTH, timezone=timezone)


@pytest.mark.parametrize("text", ["expanding", "decay:2"])
def test_all_history_has_no_beginning(text: str) -> None:
    assert begins(text, START) is None


def test_windows_are_counted_back_from_the_end_of_what_is_known() -> None:
    newest = END - 10 * DAY
    # Judged are the newest days: the newest window's earlier days are fitted on, and are all of one window.
    assert begins("1", newest) == START
    assert begins("2", newest) == START - LENGTH
    # An embargo that leaves nothing of the newest window: it is counted back from what may be fitted on.
    assert begins("1", START) == START - LENGTH


def test_a_day_begins_at_local_midnight() -> None:
    assert begins("since:2024-08-01", START) == datetime(2024, 8, 1, tzinfo=UTC)
    assert begins("since:2024-08-01", START, "Europe/Berlin") == datetime(2024, 7, 31, 22, tzinfo=UTC)


def chosen(text: str, times: list[int], draws: list[float], *, start: int | None, before: int) -> list[bool]:
    found = Calendar.parse(text).chosen(np.array(times), np.array(draws), start=start, before=before, length=10)
    return [bool(one) for one in found]


@pytest.mark.parametrize("text", ["expanding", "2", "since:2024-08-01"])
def test_rows_lie_from_the_start_on_and_before_what_is_judged(text: str) -> None:
    times, draws = [0, 9, 10, 29, 30, 31], [0.99] * 6
    assert chosen(text, times, draws, start=10, before=30) == [False, False, True, True, False, False]
    assert chosen(text, times, draws, start=None, before=30) == [True, True, True, True, False, False]


def test_rows_that_count_half_are_drawn_half_as_often() -> None:
    # Two windows of ten: at an age of 20 half of the rows are left, at 40 a quarter.
    for age, share in ((20, 0.5), (40, 0.25)):
        draws = [share - 1e-9, share + 1e-9]
        assert chosen("decay:2", [100 - age] * 2, draws, start=None, before=100) == [True, False]
    assert chosen("decay:2", [100, 105], [0.0, 0.0], start=None, before=100) == [False, False]


def test_a_row_that_was_left_out_stays_out_as_it_ages() -> None:
    rng = np.random.default_rng(1)
    times, draws = np.arange(200), rng.random(200)
    calendar = Calendar.parse("decay:2")
    before = [calendar.chosen(times, draws, start=None, before=now, length=20) for now in (150, 180)]
    assert not (before[1] & ~before[0])[:150].any()
    # As many are left as they weigh: the sum of the chances, with three standard errors of a sum of coins.
    chance = 0.5 ** ((180 - times[:180]) / 40)
    assert before[1].sum() == pytest.approx(chance.sum(), abs=3 * np.sqrt((chance * (1 - chance)).sum()))
