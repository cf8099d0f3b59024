"""The rhythm of monitoring windows: which windows `7d every 1d` makes, and what cannot slide."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from mlops_assets.core.time.rhythm import parse_rhythm
from mlops_assets.core.time.windows import Window, closed_windows, window_at

NY = "America/New_York"
FIRST, NOW = date(2013, 3, 1), datetime(2013, 3, 20, 4, tzinfo=UTC)


def test_a_window_of_a_week_ends_every_day() -> None:
    rhythm = parse_rhythm("7d every 1d")
    windows = rhythm.closed(FIRST, NOW, NY)
    assert rhythm.slides
    assert [window.label(NY) for window in windows[:2]] == ["2013-03-01..2013-03-07", "2013-03-02..2013-03-08"]
    assert windows[-1].label(NY) == "2013-03-13..2013-03-19"
    steps = {after.end - before.end for before, after in pairwise(windows)}
    assert steps == {timedelta(hours=23), timedelta(days=1)}
    # Seven days, one of which has 23 hours where clocks go forward.
    assert {window.end - window.start for window in windows} == {timedelta(days=7), timedelta(days=7, hours=-1)}
    assert [rhythm.ending(window.end, NY) for window in windows] == windows


@pytest.mark.parametrize("text", ["24h every 1h", "1d every 1h", "day every 1 h"])
def test_a_day_slides_by_hours(text: str) -> None:
    """On 10 March the clocks of New York go from 2 to 3."""
    rhythm, now = parse_rhythm(text), datetime(2013, 3, 11, 3, 30, tzinfo=UTC)
    windows = rhythm.closed(date(2013, 3, 9), now, NY)
    labels = [window.label(NY) for window in windows]
    assert labels[:3] == ["2013-03-09", "2013-03-09T01..2013-03-10T01", "2013-03-09T02..2013-03-10T03"]
    assert (labels[-1], len(windows), len(set(labels))) == ("2013-03-09T22..2013-03-10T23", 23, 23)
    assert {window.end - window.start for window in windows} == {timedelta(hours=24)}
    assert [rhythm.ending(window.end, NY) for window in windows] == windows
    assert rhythm.last_closed(now, NY) == windows[-1]
    assert rhythm.next_to_close(now, NY).end == datetime(2013, 3, 11, 4, tzinfo=UTC)
    assert (rhythm.slides, rhythm.parts_days) == (True, False)


def test_steps_of_a_week_end_on_sundays() -> None:
    windows = parse_rhythm("28d every 1w").closed(date(2013, 1, 1), NOW, NY)
    assert {window.days(NY)[-1].weekday() for window in windows} == {6}
    assert {len(window.days(NY)) for window in windows} == {28}


@pytest.mark.parametrize("text", ["day", "week", "month", "2w", "7d", "7d every 7d", "1w every 7d"])
def test_windows_that_follow_one_another_are_the_calendar_s(text: str) -> None:
    rhythm = parse_rhythm(text)
    windows = closed_windows(FIRST, NOW, rhythm.length, NY)
    assert not rhythm.slides
    assert rhythm.closed(FIRST, NOW, NY) == windows
    assert [rhythm.ending(window.end, NY) for window in windows] == windows
    assert rhythm.next_to_close(NOW, NY) == window_at(NOW, rhythm.length, NY)


def test_the_next_and_the_last_window_of_a_moment() -> None:
    noon, rhythm = datetime(2013, 3, 20, 16, tzinfo=UTC), parse_rhythm("7d every 1d")
    assert rhythm.next_to_close(noon, NY).label(NY) == "2013-03-14..2013-03-20"
    assert rhythm.last_closed(noon, NY).label(NY) == "2013-03-13..2013-03-19"
    weekly = parse_rhythm("week")
    assert weekly.last_closed(noon, NY) == Window(
        datetime(2013, 3, 11, 4, tzinfo=UTC), datetime(2013, 3, 18, 4, tzinfo=UTC)
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("month every 1d", "only windows of days or weeks can slide: write 28d every 7d"),
        ("7d every month", "only windows of days or weeks can slide"),
        ("1d every 7d", "leaves days out: let a window end at least every 1d"),
        ("7d every 1h", "only windows of a day slide by hours: write 24h every 1h"),
        ("24h every 5h", "does not part a day: write 24h every 1h, 2h"),
        ("24h every 24h", "does not part a day"),
        ("5h", "'5h' does not part a day: write 1h, 2h"),
        ("24h", "'24h' does not part a day: write 1d, or 1h, 2h"),
        ("48 h", "'48 h' does not part a day: write 2d, or 1h, 2h"),
        ("36h", "'36h' does not part a day: write 1h, 2h"),
        ("168h every 1d", "are written in days: write 7d every 1d"),
        ("25h every 1d", "'25h' is not a length"),
        ("0h", "'0h' does not part a day"),
        ("7d every", "is not a length"),
        ("7d every 0d", "'0d' is not a length"),
    ],
)
def test_what_is_no_rhythm_says_what_is(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_rhythm(text)


def test_hours_are_parts_of_local_days() -> None:
    rhythm = parse_rhythm("6h")
    noon = datetime(2013, 3, 4, 17, tzinfo=UTC)
    windows = rhythm.closed(date(2013, 3, 3), noon, NY)
    assert [window.label(NY) for window in windows] == [
        "2013-03-03T00..06", "2013-03-03T06..12", "2013-03-03T12..18", "2013-03-03T18..24",
        "2013-03-04T00..06", "2013-03-04T06..12",
    ]  # fmt: skip
    assert [rhythm.ending(window.end, NY) for window in windows] == windows
    assert rhythm.next_to_close(noon, NY).label(NY) == "2013-03-04T12..18"
    assert rhythm.last_closed(noon, NY) == windows[-1]
    assert rhythm.last_closed(datetime(2013, 3, 4, 5, tzinfo=UTC), NY) == windows[3]
    assert (rhythm.slides, rhythm.length.approximately) == (False, timedelta(days=1))


@pytest.mark.parametrize(("day", "hours"), [(date(2013, 3, 10), 23), (date(2013, 11, 3), 25), (date(2013, 3, 4), 24)])
@pytest.mark.parametrize("text", ["1h", "6h", "12h"])
def test_parts_of_a_day_on_which_clocks_change_are_the_whole_day(text: str, day: date, hours: int) -> None:
    rhythm, now = parse_rhythm(text), datetime(day.year, day.month, day.day + 1, 5, tzinfo=UTC)
    parts = [window for window in rhythm.closed(day, now, NY) if window.days(NY) == (day,)]
    assert parts[-1].end - parts[0].start == timedelta(hours=hours)
    assert all(before.end == after.start for before, after in pairwise(parts))
    assert len({part.label(NY) for part in parts}) == len(parts)
