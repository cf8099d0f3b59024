"""Candidates that are asked for on fewer than eight days of labels, lived: judged by hours where days cannot."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

import pandas as pd
import pytest

from mlops_assets.core.record.entries import Request
from mlops_assets.steps.promote.cards import card_file
from tests.assets.test_agreed_triggers import agreed, decided
from tests.real_slice import COLD_START, World

WEEK_LATER = date(2013, 2, 25)
WEEKLY = {"schedule": {"every": "7d"}}
BY_HOURS = (
    r"rows on 28 stretches of 6 hours, as there are fewer than 8 days.*; a gain of 0\.\d+ would be found with 80 %"
)


def after_a_week(world: World, **changes: object) -> World:
    world.at(WEEK_LATER)
    return world.with_settings(retrain=agreed(WEEKLY), **changes)


def test_a_weekly_schedule_is_judged_every_week_and_the_reason_says_by_what(world: World) -> None:
    """Two days of storm brought most of the gain, and the stretches of them resemble each other: it is not sure."""
    later = after_a_week(world)
    later.tick()
    assert (decided(later).action, decided(later).rule) == ("retrain", "schedule")
    assert not any("cannot be judged" in reason for reason in decided(later).reasons)
    (rejection,) = later.ledger("rejection")
    assert re.search(BY_HOURS, rejection["reason"]), rejection["reason"]
    assert "times as wide because a stretch of 6 hours resembles the one before" in rejection["reason"]
    assert later.platform.record(later.model.name, "evaluation")["verdict"]["judged"]
    prepared = later.platform.record(later.model.name, "training_set")
    # All of it came after what the champion was fitted on.
    assert "unjudged" not in prepared
    assert prepared["gate_start"] == f"{COLD_START}T05:00:00+00:00"
    assert prepared["gate_end"] == f"{WEEK_LATER}T05:00:00+00:00"


def test_what_passes_by_hours_is_promised_by_hours(world: World) -> None:
    by_estimate = {"window": "14d", "rule": "relative", "min_gain": 0.02, "significant": False}
    later = after_a_week(world, gate=by_estimate)
    later.tick()
    (promotion,) = later.ledger("promotion")[1:]
    assert re.search(BY_HOURS, promotion["reason"]), promotion["reason"]
    assert (promotion["promised"]["blocks"], promotion["promised"]["days"]) == ("6 hours", 28)
    card = card_file(later.platform.lake, later.model.name, 2).with_suffix(".md").read_text()
    assert "A stretch of 6 hours counts as one observation" in card


def test_an_equal_challenger_is_rejected_by_hours(world: World) -> None:
    """The same recipe on hardly more rows, one round of boosting as the champion has: the two say the same."""
    later = after_a_week(world, training={"max_rounds": 1, "trials": 1})
    later.tick()
    assert later.aliases() == {"champion": 1}
    (rejection,) = later.ledger("rejection")
    assert (
        "rows on 28 stretches of 6 hours, as there are fewer than 8 days); needed a lower bound" in rejection["reason"]
    )


def test_where_nobody_agreed_on_triggers_eight_days_are_waited_for(world: World) -> None:
    world.at(WEEK_LATER)
    world.platform.ledger.record.note("flight_delay", Request, reason="new features", by="ada")
    assert world.tick().runs == ()
    assert "and 8 days with 200 are needed" in " ".join(decided(world).reasons)


@pytest.mark.parametrize(("days", "starts"), [(2, False), (3, True)])
def test_three_days_are_the_fewest(world: World, days: int, starts: bool) -> None:
    world.at(date(2013, 2, 18 + days))
    later = world.with_settings(retrain=agreed({"schedule": {"every": "1d"}}))
    assert bool(later.engine.requests(later.sensor)[0]) is starts


@pytest.mark.parametrize(("on", "days"), [([WEEKLY], 3), (None, 8)])
def test_before_any_label_the_events_tell_how_many_days_are_needed(world: World, on: object, days: int) -> None:
    """Four quarters of each day have flights, so three days have the eight that are needed."""
    world.at(COLD_START)
    world.platform.ledger.record.note("flight_delay", Request, reason="new features", by="ada")
    later = world.with_settings(retrain=agreed(*on)) if on else world
    assert later.engine.requests(later.sensor)[0] == []
    reasons = " ".join(decided(later).reasons)
    assert f"0 days of labels, 0 labels in all, are there to judge on since {COLD_START}" in reasons
    assert re.search(rf"and {days} days with \d+ are needed: {days} more days", reasons), reasons


def test_times_without_hours_are_judged_by_days_alone(world: World) -> None:
    lake = world.platform.lake
    for path in lake.partitions("labels", world.model.label.model).values():
        rows = pd.read_parquet(path)
        midnight = rows["event_timestamp"].dt.tz_convert("America/New_York").dt.normalize().dt.tz_convert("UTC")
        lake.write(rows.assign(event_timestamp=midnight), path)
    later = after_a_week(world)
    assert later.engine.requests(later.sensor)[0] == []
    assert "7 days of labels" in decided(later).reasons[0]
    assert "8 days with 100 are needed: 1 more day" in decided(later).reasons[0]


def test_where_a_column_says_what_an_observation_is_its_values_are_judged_by(world: World) -> None:
    blocks = replace(world.model.monitoring.performance, blocks="carrier")
    later = after_a_week(world, monitoring={"performance": blocks})
    later.tick()
    (promotion,) = later.ledger("promotion")[1:]
    assert re.search(r"rows on 1\d blocks by carrier.*; a gain of 0\.\d+ would be found with 80 %", promotion["reason"])
