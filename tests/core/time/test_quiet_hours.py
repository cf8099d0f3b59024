"""Quiet hours: read from text, over when the clock on the wall says so, also on days when clocks change."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mlops_assets.core.time.quiet_hours import QuietHours, parse_all, quiet_until

NEW_YORK = "America/New_York"


@pytest.mark.parametrize(
    ("text", "days", "begins", "ends"),
    [
        ("08:00-18:00", (0, 1, 2, 3, 4, 5, 6), 480, 1080),
        ("Mon-Fri 8:00 - 18:30", (0, 1, 2, 3, 4), 480, 1110),
        ("sat,sun 00:00-24:00", (5, 6), 0, 1440),
        ("fri-mon 22:00-06:00", (0, 4, 5, 6), 1320, 1800),
    ],
)
def test_hours_are_read(text: str, days: tuple[int, ...], begins: int, ends: int) -> None:
    assert QuietHours.parse(text) == QuietHours(days, begins, ends)


@pytest.mark.parametrize(
    "text", ["8-18", "mon 08:00", "funday 08:00-09:00", "25:00-26:00", "08:00-08:00", "08:60-09:00"]
)
def test_other_texts_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"retrain\.quiet_hours has .*for example 08:00-18:00"):
        QuietHours.parse(text)


def test_a_whole_week_is_refused() -> None:
    with pytest.raises(ValueError, match="leave no time for a training"):
        parse_all(("mon-fri 00:00-24:00", "fri 12:00-24:00", "sat,sun 00:00-24:00"))


@pytest.mark.parametrize(
    ("texts", "now", "until"),
    [
        # 2013-05-06 is a Monday, and New York is four hours behind UTC.
        (("08:00-18:00",), "2013-05-06T11:59", None),
        (("08:00-18:00",), "2013-05-06T12:00", "2013-05-06T22:00"),
        (("08:00-18:00",), "2013-05-06T22:00", None),
        (("08:00-18:00", "17:00-20:00"), "2013-05-06T13:00", "2013-05-07T00:00"),
        (("tue 08:00-18:00",), "2013-05-06T13:00", None),
        (("sun 22:00-06:00",), "2013-05-06T09:59", "2013-05-06T10:00"),
        (("sat 00:00-24:00", "sun 00:00-24:00"), "2013-05-04T12:00", "2013-05-06T04:00"),
        # Clocks go forward on 2013-03-10 and back on 2013-11-03, at two in the morning.
        (("00:00-08:00",), "2013-03-10T06:00", "2013-03-10T12:00"),
        (("00:00-08:00",), "2013-11-03T06:00", "2013-11-03T13:00"),
    ],
)
def test_when_they_are_over(texts: tuple[str, ...], now: str, until: str | None) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    found = quiet_until(texts, moment, NEW_YORK)
    assert found == (datetime.fromisoformat(until).replace(tzinfo=UTC) if until else None)
