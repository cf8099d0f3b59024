"""Features that the time of their row determines: which are known as such, and in which windows they are no news."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.time.calendar_cycles import is_never_compared, lacks_weekdays, part_of_cycle, weekly
from mlops_assets.core.time.windows import Window, midnight

ZONE = "America/New_York"
MONDAY = datetime(2024, 3, 4, tzinfo=UTC)


def rows(first: datetime, days: int, a_day: int = 96, seed: int = 1) -> pd.DataFrame:
    """Events at random moments, with features that are a function of these, and others that are not."""
    rng = np.random.default_rng(seed)
    times = pd.DatetimeIndex(
        pd.Timestamp(first) + pd.to_timedelta(np.sort(rng.uniform(0, 24 * days, a_day * days)), "h")
    )
    local = times.tz_convert(ZONE)
    hour = local.hour.to_numpy()
    return pd.DataFrame(
        {
            "at": times,
            "weekday": local.dayofweek.to_numpy(),
            "name_of_day": local.day_name().to_numpy(),
            "is_weekend": local.dayofweek.to_numpy() >= 5,
            "in_utc": times.dayofweek.to_numpy(),
            "opening": (local.dayofweek.to_numpy() < 5) & (hour > 8) & (hour < 18),
            "sine": np.sin(local.dayofweek.to_numpy() / 7 * 2 * np.pi).astype("float32"),
            "hour": hour,
            "amount": rng.normal(size=len(times)),
            "shop": rng.choice(["north", "south"], len(times)),
            "rare": np.arange(len(times)) == 5,
            "same": 1,
            "unknown": None,
            "price_of_day": times.dayofyear.to_numpy() // 2,
        }
    )


BY_WEEK = {"weekday", "name_of_day", "is_weekend", "in_utc", "opening", "sine"}
NAMES = [name for name in rows(MONDAY, 1) if name != "at"]
REFERENCE = rows(MONDAY, 40)


def by_week(window: pd.DataFrame, reference: pd.DataFrame = REFERENCE) -> set[str]:
    return weekly(reference, window, NAMES, time="at", tz=ZONE)


def test_what_weekday_and_hour_determine_is_known() -> None:
    assert by_week(rows(MONDAY + timedelta(days=42), 1, seed=2)) == BY_WEEK


def test_values_that_another_day_should_have_are_news() -> None:
    window = rows(MONDAY + timedelta(days=42), 1, seed=2)
    assert by_week(window.assign(weekday=window["weekday"] + 1, name_of_day="Tag")) == BY_WEEK - {
        "weekday",
        "name_of_day",
    }


def test_missing_values_are_no_value_of_the_day() -> None:
    window = rows(MONDAY + timedelta(days=42), 1, seed=2)
    assert "weekday" not in by_week(window.assign(weekday=np.nan))


@pytest.mark.parametrize("days", [0, 7])
def test_days_that_did_not_return_tell_nothing(days: int) -> None:
    """In one week each weekday has one price, too."""
    assert by_week(rows(MONDAY + timedelta(days=42), 1), rows(MONDAY, days)) == set()


def test_a_weekday_that_the_reference_lacks_is_news() -> None:
    weekdays = REFERENCE[~REFERENCE["is_weekend"]]
    local_sunday = rows(MONDAY + timedelta(days=41, hours=6), 1)[:80]
    assert by_week(local_sunday, weekdays) == set()


def test_a_window_that_holds_the_cycle_compares_it() -> None:
    day = midnight(MONDAY.date(), ZONE)
    short = part_of_cycle("week", Window(day, day + timedelta(days=6)))
    assert ("a part of the week" in short, is_never_compared(short)) == (True, True)
    # The week in which clocks go forward is an hour shorter.
    spring = Window(midnight(MONDAY.date(), ZONE), midnight((MONDAY + timedelta(days=7)).date(), ZONE))
    assert spring.end - spring.start == timedelta(days=7) - timedelta(hours=1)
    assert part_of_cycle("week", spring) == ""
    assert "a part of the year" in part_of_cycle("year", spring)
    assert part_of_cycle("year", Window(day, day + timedelta(days=365))) == ""


@pytest.mark.parametrize(
    ("first", "days", "lacks"),
    [(0, 7, False), (3, 4, True), (0, 6, True), (2, 7, False), (0, 14, False)],
    ids=["a week", "from Thursday on", "no Sunday", "from Wednesday to Tuesday", "two weeks"],
)
def test_a_window_may_have_rows_of_some_weekdays_alone(first: int, days: int, lacks: bool) -> None:
    window = rows(MONDAY + timedelta(days=42 + first, hours=4), days)
    assert lacks_weekdays(REFERENCE["at"], window["at"], tz=ZONE) is lacks
    whole = Window(MONDAY, MONDAY + timedelta(days=14))
    why = part_of_cycle("week", whole, lacks_weekdays=lacks)
    assert ("the window has no rows of some weekdays" in why, is_never_compared(why)) == (lacks, False)


def test_who_is_closed_on_weekends_lacks_no_weekday() -> None:
    reference = REFERENCE[~REFERENCE["is_weekend"]]
    window = rows(MONDAY + timedelta(days=42, hours=4), 5)
    assert not lacks_weekdays(reference["at"], window["at"], tz=ZONE)
    assert lacks_weekdays(reference["at"], window["at"][:300], tz=ZONE), "Friday"
