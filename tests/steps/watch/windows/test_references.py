"""What a window's inputs are compared with, on real flights: the champion's rows, pinned days, last year's season."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from mlops_assets.core.drift.settings import DriftSpec
from mlops_assets.core.time.windows import Window, midnight
from mlops_assets.steps.predict.references import read_days, read_reference
from mlops_assets.steps.watch.drift_causes import levels_of
from mlops_assets.steps.watch.windows.references import Against, reference_of
from mlops_assets.world.home import Home
from tests.real_slice import WEEKS, World, working_in


@pytest.fixture
def reading(drifting_home: Home):
    with working_in(drifting_home):
        yield World.of(drifting_home)


def found(
    world: World, reference: str, *, window: str = "7d", days: tuple[date, date] = WEEKS[:2], levels: str = "preset"
) -> Against:
    monitoring = world.model.monitoring
    drift = replace(monitoring.drift, reference=reference, levels=levels)
    monitoring = monitoring.model_copy(update={"drift": drift, "window": window})
    model = world.model.model_copy(update={"monitoring": monitoring})
    start, end = (midnight(day, model.timezone) for day in days)
    return reference_of(world.platform, model, Window(start, end), 1)


def test_by_default_it_is_what_the_champion_was_trained_on(reading: World) -> None:
    against = found(reading, "promotion")
    assert not against.warming_up
    assert (
        against.reference.features.to_json()
        == read_reference(reading.platform.lake, "flight_delay", 1).features.to_json()
    )


def test_pinned_days_are_all_events_of_these_days(reading: World) -> None:
    against = found(reading, "2013-02-04/2013-02-06")
    data = reading.platform.data(reading.model)
    start, end = date(2013, 2, 4), date(2013, 2, 7)
    events = data.events(start, end, as_of=midnight(end, reading.model.timezone))
    assert not against.warming_up
    assert against.reference.features.rows == len(events) > 1_000
    assert set(against.reference.sample["event_timestamp"].dt.tz_convert("America/New_York").dt.day) == {4, 5, 6}
    kept = read_reference(reading.platform.lake, "flight_delay", 1)
    assert against.reference.scores.to_json() == kept.scores.to_json()


@pytest.mark.parametrize(
    ("window", "days", "first", "last"),
    [
        ("7d", (date(2014, 2, 17), date(2014, 2, 24)), date(2013, 2, 18), date(2013, 2, 24)),
        ("month", (date(2014, 2, 1), date(2014, 3, 1)), date(2013, 2, 1), date(2013, 2, 28)),
    ],
)
def test_the_season_is_the_same_weekdays_or_month_of_last_year(
    reading: World, window: str, days: tuple[date, date], first: date, last: date
) -> None:
    against = found(reading, "season", window=window, days=days)
    assert not against.warming_up
    seen = against.reference.sample["event_timestamp"].dt.tz_convert("America/New_York").dt.date
    assert (seen.min(), seen.max()) == (first, last)
    pinned = found(reading, f"{first}/{last}", window=window, days=days)
    assert against.reference.features.to_json() == pinned.reference.features.to_json()


@pytest.mark.parametrize("window", ["7d", "month"])
def test_a_season_not_yet_lived_through_is_warming_up(reading: World, window: str) -> None:
    against = found(reading, "season", window=window)
    assert "Warming up: 2012-02-" in against.warming_up
    assert "holds 0 of the 100 rows" in against.warming_up
    assert against.reference.features.rows == read_reference(reading.platform.lake, "flight_delay", 1).features.rows


def test_pinned_days_after_the_window_are_not_looked_at(reading: World) -> None:
    assert "holds 0 of the 100 rows" in found(reading, "2013-03-01/2013-03-03").warming_up


def test_levels_may_be_calibrated_on_pinned_days(reading: World) -> None:
    """42 days are 42 windows of a day, whatever the champion was trained on."""
    assert found(reading, "2013-01-07/2013-02-17", window="day").days is None  # nobody asks for levels
    against = found(reading, "2013-01-07/2013-02-17", window="day", levels="calibrated")
    assert against.days is not None
    assert (against.days.first, against.days.n_days) == (date(2013, 1, 7), 42)
    drift = replace(reading.model.monitoring.drift, levels="calibrated")
    monitoring = reading.model.monitoring.model_copy(update={"drift": drift, "window": "day"})
    model, names = reading.model.model_copy(update={"monitoring": monitoring}), list(against.days.kinds)
    levels = levels_of(model, 1, against.days, names)
    assert (levels.calibrated, levels.n_windows, levels.season_seen) == (True, 42, False)
    assert levels_of(model, 1, read_days(reading.platform.lake, "flight_delay", 1), names).n_windows == 48


@pytest.mark.parametrize("days", ["last", "2013-01-01", "2013-13-01/2013-14-01"])
def test_a_reference_that_names_no_days_says_what_to_write(days: str) -> None:
    with pytest.raises(ValueError, match="write promotion, season, or two days such as 2013-01-01/2013-03-31"):
        DriftSpec(reference=days)


def test_days_in_the_wrong_order_and_levels_without_their_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="write the earlier day first"):
        DriftSpec(reference="2013-03-01/2013-01-01")
    with pytest.raises(ValueError, match=r"Pin its days, set it to promotion, or drift\.levels to preset"):
        DriftSpec(reference="season", levels="auto")
