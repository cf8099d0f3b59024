"""A source whose files hold an hour of their day: what a day knows so far, and a bad hour among good ones."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from pydantic import ValidationError

from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.time.spans import Span
from mlops_assets.world.home import HomeSettings
from tests.landing_home import DAY, HEADER, LandingHome, source, verdict

NEXT = DAY + timedelta(days=1)
HOURLY = source(files="orders_{partition}T{hour}*.csv")


def hour(number: int, *, n: int = 3, day: date = DAY) -> str:
    """A good file of an hour: n orders, some minutes apart."""
    lines = [f"{100 * number + i},{day}T{number:02}:{10 * i:02}:00Z,north,{1.5 + i}" for i in range(n)]
    return "\n".join([HEADER, *lines]) + "\n"


def land(landing: LandingHome, *hours: int, day: date = DAY, n: int = 3, more: str = "") -> None:
    for number in hours:
        landing.land(hour(number, day=day, n=n), f"orders_{day}T{number:02}{more}.csv")


def ids(landing: LandingHome) -> list[int]:
    """What the lake has of the day, as dbt reads it."""
    with landing.lake.connect() as connection:
        found = connection.execute(
            f"select id from read_parquet('{landing.lake.folder('raw', 'orders')}/*/data*.parquet', "
            "hive_partitioning = true, hive_types = {'partition': date}) where partition = $day order by id",
            {"day": DAY},
        ).fetchall()
    return [one for (one,) in found]


def test_each_hour_adds_to_its_day_and_moves_the_clock(tmp_path: Path) -> None:
    landing = LandingHome.at(tmp_path, HOURLY)
    sources = landing.all_sources()
    land(landing, 0, 1)
    (first,) = sources.pending()
    assert (first.first, first.last, first.take_in) == (DAY, DAY, ("orders",))
    with dg.DagsterInstance.ephemeral() as instance:
        assert verdict(landing.run(instance=instance)) == (True, "")
        (event,) = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey(["raw", "orders"]), asset_partitions=[str(DAY)]), limit=1
        ).records
        assert event.asset_materialization is not None
        assert event.asset_materialization.metadata["dagster/row_count"].value == 6
    sources.mark_built(sources.good(), Span(DAY, NEXT))
    assert landing.intake().newest_end() == datetime(2024, 3, 1, 2, tzinfo=UTC)
    assert sources.pending() == []
    land(landing, 2)
    (second,) = sources.pending()
    assert (second.first, second.key != first.key) == (DAY, True)
    before = landing.files()
    landing.run()
    assert ids(landing) == [0, 1, 2, 100, 101, 102, 200, 201, 202]
    assert before.items() <= landing.files().items(), "the work of an hour: the others stand as they were"
    assert landing.intake().newest_end() == datetime(2024, 3, 1, 3, tzinfo=UTC)
    sources.mark_built(sources.good(), Span(DAY, NEXT))
    land(landing, 1, n=2, more="_corrected")
    landing.run()
    assert ids(landing) == [0, 1, 2, 100, 101, 200, 201, 202]


def test_a_bad_hour_is_set_aside_and_those_after_it_go_on(tmp_path: Path) -> None:
    landing = LandingHome.at(tmp_path, HOURLY)
    sources = landing.all_sources()
    land(landing, 0, 1)
    land(landing, 2, n=1)
    passed, told = verdict(landing.run())
    assert not passed
    assert f"quarantine release orders {DAY}T02" in told
    (period,) = sources.pending()
    assert period.take_in == (), "the good hours wait to be built"
    assert verdict(landing.run()) == (True, ""), "the run that goes on leaves the known bad hour out"
    sources.mark_built(sources.good(), Span(DAY, NEXT))
    assert sources.pending() == []
    land(landing, 3)
    assert verdict(landing.run()) == (True, "")
    assert ids(landing) == [0, 1, 2, 100, 101, 102, 300, 301, 302]
    landing.intake().release(f"{DAY}T02", "the shop was closed")
    (period,) = sources.pending()
    assert verdict(landing.run()) == (True, "")
    assert 200 in ids(landing)
    assert landing.intake().record.quarantined() == {}


def test_a_source_that_changes_from_days_to_hours_and_back_has_its_rows_once(tmp_path: Path) -> None:
    daily = source(files="orders_{partition}.csv")
    landing = LandingHome.at(tmp_path, daily)
    landing.land(hour(0), f"orders_{DAY}.csv")
    landing.run()
    assert ids(landing) == [0, 1, 2]
    landing.sources = [HOURLY]
    land(landing, 1)
    landing.run()
    assert ids(landing) == [100, 101, 102], "the hours hold the day from now on"
    landing.sources = [daily]
    landing.land(hour(2), f"orders_{DAY}.csv")
    landing.run()
    assert ids(landing) == [200, 201, 202]


def test_rows_of_another_hour_and_days_of_which_nothing_came(tmp_path: Path) -> None:
    landing = LandingHome.at(tmp_path, HOURLY)
    landing.land(hour(5), f"orders_{DAY}T06.csv")
    passed, told = verdict(landing.run())
    assert not passed
    assert f"{DAY}T06" in told
    passed, told = verdict(landing.run(NEXT))
    assert not passed
    assert f"Put orders_{NEXT}T00*.csv into" in told


def test_a_replay_sees_an_hour_once_it_is_over(tmp_path: Path) -> None:
    landing = LandingHome.at(tmp_path, HOURLY)
    land(landing, 0, 1, 2)
    landing.home.configure(HomeSettings(clock="data", until=datetime(2024, 3, 1, 2, tzinfo=UTC)))
    assert sorted(landing.intake().landed()) == [f"{DAY}T00", f"{DAY}T01"]


def test_hours_when_the_clocks_change() -> None:
    new_york = source(files="orders_{partition}T{hour}.csv", timezone="America/New_York")
    assert new_york.begins("2024-11-03T01") == datetime(2024, 11, 3, 5, tzinfo=UTC)
    assert new_york.ends("2024-11-03T01") == datetime(2024, 11, 3, 7, tzinfo=UTC), "an hour that is there twice"
    assert new_york.begins("2024-03-10T02") == new_york.ends("2024-03-10T02"), "one that is left out"
    assert new_york.ends("2024-03-10T01") == new_york.begins("2024-03-10T03")
    assert new_york.ends("2024-03-10T23") == new_york.begins("2024-03-11")
    assert sum((new_york.ends(k) - new_york.begins(k) for k in day_of_hours("2024-11-03")), timedelta()) == timedelta(
        hours=25
    )


def day_of_hours(day: str) -> list[str]:
    return [f"{day}T{number:02}" for number in range(24)]


def test_names_that_are_no_hour_match_nothing(tmp_path: Path) -> None:
    landing = LandingHome.at(tmp_path, source(files="orders_{partition}T{hour}.csv", timezone="America/New_York"))
    for name in ("2024-03-10T02", "2024-03-11T24", "2024-03-11"):
        landing.land(hour(2), f"orders_{name}.csv")
    assert len(landing.intake().unmatched()) == 3


def test_hours_are_parts_of_days(tmp_path: Path) -> None:
    assert (HOURLY.fresh_for, source().fresh_for) == ("3h", "36h")
    with pytest.raises(ValidationError, match=r"\{hour\} in `files` needs grain day"):
        source(files="orders_{partition}T{hour}.csv", grain="week", start="2024-03-04")
    with pytest.raises(ValidationError, match="needs `event_time`"):
        SourceSettings.model_validate({**HOURLY.model_dump(), "files": "orders_T{hour}.csv"})
