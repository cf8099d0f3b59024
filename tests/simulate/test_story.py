"""Under which period a replay files a decision, and what it tells of data that never came.

What lives here: `Story` on a real record and real quarantine files, with scores made up. What does not: living through
a replay (end_to_end/test_replay.py), the words of the page (pages/test_replay.py).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from mlops_assets.core.record.entries import Decision
from mlops_assets.core.time.windows import Window, midnight
from mlops_assets.simulate.lives_compared import ScoredPeriod
from mlops_assets.simulate.replay_settings import ReplaySettings, periods_of
from mlops_assets.simulate.story import Story
from mlops_assets.world.home import Home, HomeSettings
from mlops_assets.world.landed.partitions import Taken
from mlops_assets.world.platform import Platform

MODEL = "flight_delay"
PERIODS = periods_of(ReplaySettings(MODEL, date(2013, 7, 1), date(2013, 11, 1)), "America/New_York")
SCORED = {"rows": 5, "labelled_rows": 5} | dict.fromkeys(("static", "auto", "always", "newest"), 0.5)


@pytest.fixture
def platform(home: Home) -> Platform:
    home.prepare()
    home.configure(HomeSettings(clock="data", until=PERIODS[-1].end))
    return Platform.of(home)


def decide(platform: Platform, identity: str, at: datetime, action: str = "wait", rule: str = "nothing") -> None:
    values: dict[str, Any] = {"action": action, "rule": rule, "reasons": [f"Reason of {identity}."]}
    platform.ledger.record.note(MODEL, Decision, id=identity, at=at.astimezone(UTC), **values)


def told(platform: Platform, decided: dict[str, int], periods: list[Window] = PERIODS) -> dict[str, Any]:
    """`replay.json` of these periods."""
    scored = {period.end.isoformat(): ScoredPeriod("", SCORED) for period in periods}
    return Story(platform, platform.models()[MODEL], periods, [], {}, decided).result(scored)


def test_a_decision_made_while_the_clock_stood_still_belongs_to_its_own_period(platform: Platform) -> None:
    july, august, september, _ = PERIODS
    decide(platform, "d1", july.end)
    decide(platform, "d2", august.end, "retrain", "gain")
    # Nothing good came in September: the clock stands where August ended.
    decide(platform, "d3", august.end, "quarantine", "data")
    at = {july.start: 0, july.end: 1, august.end: 2, september.end: 3, PERIODS[-1].end: 3}
    found = told(platform, {moment.isoformat(): number for moment, number in at.items()})
    rows = [(p["label"], p["decision_id"], p["decision"], p["retrained"]) for p in found["periods"]]
    assert rows == [
        ("2013-07", "d1", "wait", False),
        ("2013-08", "d2", "retrain", True),
        ("2013-09", "d3", "quarantine", False),
        ("2013-10", "d3", "quarantine", False),
    ]
    assert [p["reason"] for p in found["periods"][2:]] == [
        "Reason of d3.", "Nothing changed since the last decision: Reason of d3.",
    ]  # fmt: skip
    assert found["periods"][2]["decided_at"] == august.end.isoformat(), "as the record and `mlops why` say"
    assert found["summary"]["retrains"] == 1


def test_a_retraining_within_a_period_counts(platform: Platform) -> None:
    """The last days of a period never came: its decision stands at an earlier moment than the period's end."""
    july, *_ = PERIODS
    decide(platform, "d1", july.end - timedelta(days=3), "retrain", "gain")
    found = told(platform, {july.start.isoformat(): 0, july.end.isoformat(): 1}, [july])
    assert (found["periods"][0]["retrained"], found["summary"]["retrains"]) == (True, 1)


def test_a_replay_begun_before_this_was_noted_goes_by_the_moments(platform: Platform) -> None:
    for number, period in enumerate(PERIODS):
        decide(platform, f"d{number}", period.end)
    assert [p["decision_id"] for p in told(platform, {})["periods"]] == ["d0", "d1", "d2", "d3"]


@pytest.mark.parametrize("seed", range(5))
def test_each_decision_is_filed_once_wherever_the_clock_stands(platform: Platform, seed: int) -> None:
    """Days come and fail to come at random (the seed is the test's number); a tick decides, or it does not."""
    rng = np.random.default_rng(seed)
    settings = ReplaySettings(MODEL, date(2013, 1, 7), date(2013, 7, 1), every="week")
    periods, clock = periods_of(settings, "America/New_York"), midnight(date(2013, 1, 7), "America/New_York")
    decided, expected = {periods[0].start.isoformat(): 0}, []
    for number, period in enumerate(periods):
        clock = max(clock, period.end - timedelta(days=int(rng.choice([0, 1, 40]))))
        action = str(rng.choice(["", "wait", "retrain"]))
        if action:
            decide(platform, f"d{number}", clock, action)
        decided[period.end.isoformat()] = decided[period.start.isoformat()] + bool(action)
        expected.append(action == "retrain")
    assert [p["retrained"] for p in told(platform, decided, periods)["periods"]] == expected


def test_days_in_quarantine_are_listed_with_their_period_and_reason(platform: Platform) -> None:
    for day, reason in {"2013-06-30": "Too early.", "2013-09-02": "It is empty.", "2013-09-03": "It is short."}.items():
        platform.sources.intakes()["flights"].record.put(day, Taken("a.csv", 1, 1, "sha", "quarantined", reason=reason))
    platform.sources.intakes()["flights"].record.put("2013-09-04", Taken("a.csv", 1, 1, "sha", "good"))
    found = told(platform, {})["quarantine"]
    assert [(q["source"], q["partition"], q["period"], q["reason"]) for q in found] == [
        ("flights", "2013-06-30", None, "Too early."),
        ("flights", "2013-09-02", "2013-09", "It is empty."),
        ("flights", "2013-09-03", "2013-09", "It is short."),
    ]
    assert found[1]["folder"] == "lake/quarantine/flights/2013-09-02"
