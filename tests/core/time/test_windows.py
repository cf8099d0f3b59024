from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.time.windows import (
    Window,
    closed_windows,
    format_duration,
    local_days,
    maturity,
    parse_duration,
    parse_every,
    window_at,
)

NY = "America/New_York"


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def test_months_are_cut_at_local_midnight_and_adjacent() -> None:
    windows = closed_windows(date(2013, 1, 1), at(2013, 5, 1, 4), "month", NY)
    assert [w.label(NY) for w in windows] == ["2013-01", "2013-02", "2013-03", "2013-04"]
    assert windows[0].start == at(2013, 1, 1, 5)  # EST
    assert windows[2].end == at(2013, 4, 1, 4)  # EDT
    assert all(a.end == b.start for a, b in itertools.pairwise(windows))


def test_a_window_closes_exactly_at_its_end() -> None:
    assert len(closed_windows(date(2013, 1, 1), at(2013, 2, 1, 5), "month", NY)) == 1
    assert closed_windows(date(2013, 1, 1), at(2013, 2, 1, 4, 59), "month", NY) == []


def test_days_on_which_clocks_change_have_23_and_25_hours() -> None:
    spring = window_at(at(2013, 3, 10, 12), "day", NY)
    autumn = window_at(at(2013, 11, 3, 12), "day", NY)
    assert spring.end - spring.start == timedelta(hours=23)
    assert autumn.end - autumn.start == timedelta(hours=25)
    assert spring.days(NY) == (date(2013, 3, 10),)


def test_seven_days_are_iso_weeks_and_the_partial_first_week_is_left_out() -> None:
    windows = closed_windows(at(2013, 1, 1, 10), at(2013, 1, 21, 5), "7d", NY)
    assert [w.label(NY) for w in windows] == ["2013-01-07..2013-01-13", "2013-01-14..2013-01-20"]
    assert windows == closed_windows(at(2013, 1, 1, 10), at(2013, 1, 21, 5), "week", NY)


def test_an_anchor_moves_windows_of_days() -> None:
    every = parse_every("28d", anchor=date(2013, 1, 1))
    windows = closed_windows(date(2013, 1, 1), at(2013, 3, 1), every, "UTC")
    assert [w.start for w in windows] == [at(2013, 1, 1), at(2013, 1, 29)]


@pytest.mark.parametrize("text", ["0d", "7", "fortnight", "-1d", "1.5d", ""])
def test_a_wrong_rhythm_names_the_right_ones(text: str) -> None:
    with pytest.raises(ValueError, match="write day, week, month"):
        parse_every(text)


def test_durations_round_trip() -> None:
    for text in ("7d", "36h", "90s", "30m"):
        assert format_duration(parse_duration(text)) == text
    assert parse_duration("2w") == timedelta(days=14)
    with pytest.raises(ValueError, match="for example 7d"):
        parse_duration("soon")


def test_windows_refuse_naive_and_empty_spans() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Window(datetime(2013, 1, 1), at(2013, 1, 2))
    with pytest.raises(ValueError, match="swap or widen"):
        Window(at(2013, 1, 2), at(2013, 1, 2))


def test_contains_is_half_open_and_reads_naive_as_utc() -> None:
    window = Window(at(2013, 1, 1), at(2013, 1, 2))
    times = pd.Series(
        pd.to_datetime(["2013-01-01", "2013-01-02", None, "2012-12-31 23:59:59.999999"], format="ISO8601")
    )
    assert window.contains(times).tolist() == [True, False, False, False]


def test_local_days_are_blocks_in_the_zone() -> None:
    days = local_days(["2013-01-01T04:59:00Z", "2013-01-01T05:00:00Z"], NY)
    assert days.astype(str).tolist() == ["2012-12-31", "2013-01-01"]


def labels(known: int, never: int, unknown: int) -> tuple[pd.Series, pd.Series]:
    n = known + never + unknown
    events = pd.Series(pd.date_range("2013-01-01", periods=n, freq="min", tz="UTC"))
    available = events + pd.Timedelta("1h")
    available[known:] = pd.NaT
    return events, available


WINDOW = Window(at(2013, 1, 1), at(2013, 1, 2))


def test_mature_when_the_share_is_known_with_cancelled_rows_expected() -> None:
    m = maturity(WINDOW, *labels(95, 5, 0), now=at(2013, 1, 3))
    assert (m.expected, m.known, m.mature) == (100, 95, True)
    assert "95 of 100" in m.reason


def test_not_mature_below_the_share_until_the_longest_delay_has_passed() -> None:
    events, available = labels(94, 6, 0)
    early = maturity(WINDOW, events, available, now=at(2013, 1, 3), max_delay=timedelta(days=2))
    late = maturity(WINDOW, events, available, now=at(2013, 1, 4), max_delay=timedelta(days=2))
    assert (early.mature, late.mature) == (False, True)
    assert "waits for 95%" in early.reason
    assert "2d has passed" in late.reason


def test_a_label_that_becomes_known_later_is_not_known_yet() -> None:
    events, available = labels(100, 0, 0)
    assert maturity(WINDOW, events, available + pd.Timedelta("5d"), now=at(2013, 1, 3)).known == 0


def test_open_and_empty_windows_are_never_mature() -> None:
    assert not maturity(WINDOW, *labels(100, 0, 0), now=at(2013, 1, 1, 23)).mature
    empty = maturity(WINDOW, [], [], now=at(2014, 1, 1), max_delay=timedelta(days=1))
    assert not empty.mature
    assert np.isnan(empty.share)
    assert "no rows" in empty.reason
