"""Hours that the clocks have twice or skip: counted against the standard library's own zones, in every zone tried."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.sources.changed_hours import told_of
from mlops_assets.core.values.text_times import moment_of

AUTUMN = [f"2025-10-26 0{hour}:30:00" for hour in (1, 2, 2, 2, 3)]
SPRING = [f"2025-03-30 0{hour}:15:00" for hour in (1, 2, 3)]


def test_both_hours_of_a_year_are_told() -> None:
    told = told_of("at", pd.Series([*AUTUMN, *SPRING]), "Europe/Berlin")
    assert told == [
        "at: 1 row falls into the hour that Europe/Berlin skips (30 March 2025, 02:00); read as if the clocks had not "
        "been put forward.",
        "at: 3 rows fall into the hour that Europe/Berlin has twice (26 October 2025, 02:00); read as the second one.",
    ]
    assert moment_of(AUTUMN[1], "Europe/Berlin") == datetime(2025, 10, 26, 1, 30, tzinfo=UTC)
    assert moment_of(SPRING[1], "Europe/Berlin") == datetime(2025, 3, 30, 1, 15, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "Asia/Tokyo"])
def test_where_no_clock_is_put_there_is_nothing_to_tell(zone: str) -> None:
    assert told_of("at", pd.Series([*AUTUMN, *SPRING]), zone) == []


def test_times_with_an_offset_are_in_no_doubt() -> None:
    """London's second hour has the offset of UTC: only the offset in the text tells one from the other."""
    texts = pd.Series(["2025-10-26T01:30:00Z", "2025-10-26T01:30:00+01:00", "2025-10-26T01:30:00"])
    (told,) = told_of("at", texts, "Europe/London")
    assert told.startswith("at: 1 row falls into the hour that Europe/London has twice (26 October 2025, 01:00)")
    assert told_of("at", pd.to_datetime(texts[:2], utc=True), "Europe/London") == []
    assert told_of("at", pd.Series(["soon", None, ""]), "Europe/London") == []


@pytest.mark.parametrize(
    "zone",
    ["Europe/Berlin", "Europe/Dublin", "America/New_York", "America/St_Johns", "Australia/Lord_Howe", "Asia/Gaza"],
)
def test_counts_are_those_of_the_standard_library(zone: str) -> None:
    """Each quarter of an hour of 2024 (seed 4 drops some): fold and a round trip say which are twice or skipped."""
    kept = np.random.default_rng(4).random(366 * 96) < 0.9
    times = [datetime(2024, 1, 1) + timedelta(minutes=15 * i) for i in range(366 * 96) if kept[i]]
    here, twice, skipped = ZoneInfo(zone), 0, 0
    for time in times:
        first, second = time.replace(tzinfo=here), time.replace(tzinfo=here, fold=1)
        if first.utcoffset() != second.utcoffset():
            there = first.astimezone(UTC).astimezone(here).replace(tzinfo=None) == time
            twice, skipped = twice + there, skipped + (not there)
    assert twice
    assert skipped
    for raw in (pd.Series([f"{time}" for time in times]), pd.Series(times).dt.as_unit("us")):
        found = {"twice": 0, "skips": 0}
        for sentence in told_of("at", raw, zone):
            found["twice" if "has twice" in sentence else "skips"] += int(sentence.split()[1])
        assert found == {"twice": twice, "skips": skipped}
