"""Declared events: which windows they touch, which rows lie in them, and what decisions say of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest
from pydantic import ValidationError

from mlops_assets.core.decide.policy import Evidence, History, RetrainPolicy, decide
from mlops_assets.core.settings_sections import EventSpec
from mlops_assets.core.time.events import DeclaredEvent, is_evidence, named, trained, usual
from mlops_assets.core.time.windows import Window, midnight

ZONE = "America/New_York"
HOLIDAYS = DeclaredEvent("holidays", date(2013, 12, 21), date(2014, 1, 5), "holiday")
OUTAGE = DeclaredEvent("radar", date(2013, 12, 2), date(2013, 12, 2), "outage", "exclude", train=False)


def week(day: date) -> Window:
    return Window(midnight(day, ZONE), midnight(day + timedelta(days=7), ZONE))


def test_windows_are_touched_by_local_days() -> None:
    weeks = [week(date(2013, 11, 25) + k * timedelta(days=7)) for k in range(3)]
    assert [OUTAGE.touches(one, ZONE) for one in weeks] == [False, True, False]
    assert HOLIDAYS.touches(week(date(2013, 12, 30)), ZONE)
    assert not HOLIDAYS.touches(week(date(2014, 1, 6)), ZONE)


def test_only_excluding_events_take_a_window_out_of_the_evidence() -> None:
    assert is_evidence([], week(date(2013, 12, 2)), ZONE)
    assert is_evidence([HOLIDAYS], week(date(2013, 12, 23)), ZONE)
    assert not is_evidence([HOLIDAYS, OUTAGE], week(date(2013, 12, 2)), ZONE)


def test_each_touched_window_is_named() -> None:
    told = named([HOLIDAYS, OUTAGE], [week(date(2013, 12, 2)), week(date(2013, 12, 9)), week(date(2013, 12, 16))], ZONE)
    assert told == (
        "Window 2013-12-02..2013-12-08 falls into radar (outage, 2013-12-02 to 2013-12-02) and is no evidence.",
        "Window 2013-12-16..2013-12-22 falls into holidays (holiday, 2013-12-21 to 2014-01-05).",
    )


def test_rows_lie_in_an_event_by_their_local_day() -> None:
    # Four and five in the morning UTC on December 2: eleven at night before, and midnight, in New York.
    times = pd.DatetimeIndex(["2013-12-02T04:59", "2013-12-02T05:00", "2013-12-03T04:59", "2013-12-03T05:00"], tz=UTC)
    assert usual([HOLIDAYS, OUTAGE], times, ZONE).tolist() == [True, False, False, True]
    assert trained([HOLIDAYS, OUTAGE], times, ZONE).tolist() == [True, False, False, True]
    assert usual([HOLIDAYS], times, ZONE).all()
    assert usual([], times[:0], ZONE).tolist() == []


def test_a_decision_names_the_events_after_its_reasons() -> None:
    told = named([HOLIDAYS], [week(date(2013, 12, 23))], ZONE)
    decision = decide(Evidence("m", None, events=told), RetrainPolicy(), History(), datetime(2014, 1, 1, tzinfo=UTC))
    assert decision.reasons[-1] == told[0]
    assert Evidence.from_dict(decision.evidence).events == told


def test_the_yaml_is_strict_and_says_what_to_do() -> None:
    read = {"name": "holidays", "start": "2013-12-21", "end": "2014-01-05", "kind": "holiday"}
    assert EventSpec(**read).in_words == HOLIDAYS.in_words  # type: ignore[arg-type]
    for change, remedy in (
        ({"end": "2013-12-01"}, "before it starts on 2013-12-21: swap them"),
        ({"kind": "strike"}, "'holiday', 'outage', 'price_change' or 'other'"),
        ({"windows": "drop"}, "'annotate' or 'exclude'"),
        ({"until": "2014"}, "until"),
    ):
        with pytest.raises(ValidationError, match=remedy):
            EventSpec(**{**read, **change})  # type: ignore[arg-type]
