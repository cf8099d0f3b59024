"""Local times as moments and back: those of DuckDB, which has the clocks of zones from ICU, another library."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.core.sources.contract_cast import to_date, to_utc
from mlops_assets.core.time.local_times import local_times, moment_in, moments_in

ZONES = (
    *("UTC", "Europe/Berlin", "Europe/Dublin", "America/New_York", "America/St_Johns", "America/Sao_Paulo"),
    *("Asia/Kathmandu", "Africa/Monrovia", "Australia/Lord_Howe", "Pacific/Apia"),
)
SUMMERS = ("Europe/Berlin", "America/New_York", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Auckland")
seconds = st.datetimes(datetime(1850, 1, 1), datetime(2400, 12, 31)).map(lambda at: at.replace(microsecond=0))


def duckdbs(naive: pd.Series, zone: str) -> list[datetime]:
    return [
        at
        for (at,) in session().execute(f"select timezone('{zone}', t) from unnest($1) _(t)", [list(naive)]).fetchall()
    ]


@cache
def session() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    return connection


def column(*times: datetime) -> pd.Series:
    return pd.Series(list(times), dtype="datetime64[us]")


@given(times=st.lists(seconds, min_size=1, max_size=20), zone=st.sampled_from(ZONES))
def test_local_times_of_four_centuries_are_those_of_duckdb(times: list[datetime], zone: str) -> None:
    moments = moments_in(column(*times), zone)
    assert moments.tolist() == duckdbs(column(*times), zone)
    assert moments.tolist() == [moment_in(at, ZoneInfo(zone)) for at in times]


@given(times=st.lists(seconds, min_size=1, max_size=20), zone=st.sampled_from(ZONES))
def test_clocks_of_four_centuries_show_what_they_show_in_duckdb(times: list[datetime], zone: str) -> None:
    moments = column(*times).dt.tz_localize("UTC")
    assert local_times(moments, zone).tolist() == duckdbs(moments, zone)


@pytest.mark.parametrize("zone", SUMMERS)
@pytest.mark.parametrize("year", [1985, 2024, 2037, 2038, 2050])
def test_hours_that_clocks_skip_or_have_twice_in_any_year(year: int, zone: str) -> None:
    """Every quarter of an hour around both changes of the offset, by a rule that no table ends."""
    first = datetime(year, 1, 1, tzinfo=UTC)
    hours = [first + timedelta(hours=n) for n in range(366 * 24)]
    away = [at.astimezone(ZoneInfo(zone)).utcoffset() for at in hours]
    changes = [at for at, before, after in zip(hours[1:], away, away[1:], strict=False) if before != after]
    assert len(changes) == 2
    for at in changes:
        start = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) - timedelta(hours=4)
        local = column(*(start + timedelta(minutes=15 * n) for n in range(32)))
        assert moments_in(local, zone).tolist() == duckdbs(local, zone)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Auckland"])
def test_beyond_the_ends_of_the_calendar_are_its_ends(zone: str) -> None:
    ends = column(datetime.min, datetime.max)
    moments = moments_in(ends, zone)
    assert moments.dt.year.tolist() == local_times(moments, zone).dt.year.tolist() == [1, 9999]


def test_what_is_missing_stays_so_beside_any_year() -> None:
    naive = pd.Series(["2050-07-01", None, "2024-07-01"], index=[5, 6, 5]).astype("datetime64[us]")
    moments = moments_in(naive, "Europe/Berlin")
    summer = [pd.Timestamp("2050-06-30 22:00", tz="UTC"), pd.NaT, pd.Timestamp("2024-06-30 22:00", tz="UTC")]
    assert moments.tolist() == summer
    assert local_times(moments, "Europe/Berlin").tolist() == naive.tolist()
    assert moments.index.tolist() == [5, 6, 5]


@given(day=st.dates(date(1850, 1, 1), date(9999, 12, 31)), zone=st.sampled_from(SUMMERS))
def test_a_date_of_a_contract_is_that_day_in_any_zone(day: date, zone: str) -> None:
    assert to_date(to_utc(pd.Series([day.isoformat()], dtype=object), zone), zone).tolist() == [day]
