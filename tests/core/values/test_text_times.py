"""Times in texts and numbers: each form is the moment that it means, whatever its neighbours are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from functools import cache
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.core.values.number_times import units_of
from mlops_assets.core.values.text_formats import DATE_ORDERS, TIME_FORMATS, DateOrder, TimeFormat
from mlops_assets.core.values.text_times import hint, look_at, read_text, read_times

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns"]
moments = st.datetimes(datetime(1990, 1, 1), datetime(2035, 12, 31), timezones=st.just(UTC)).map(
    lambda at: at.replace(microsecond=0)
)
offsets = st.sampled_from([0, 60, -300, 330, 345, -210, 840])


def one(text: object, zone: str = "UTC", written: TimeFormat | None = None) -> pd.Timestamp:
    return read_times(pd.Series([text], dtype=object), zone, written).iloc[0]


@given(at=moments, minutes=offsets, form=st.integers(0, 11))
def test_an_offset_is_read_however_it_is_written(at: datetime, minutes: int, form: int) -> None:
    local = at.astimezone(timezone(timedelta(minutes=minutes)))
    sign, hours, rest = ("-" if minutes < 0 else "+"), abs(minutes) // 60, abs(minutes) % 60
    forms = [
        local.isoformat(),
        f"{local:%Y-%m-%d %H:%M:%S}{sign}{hours:02}{rest:02}",
        f"{local:%Y-%m-%d %H:%M:%S} {sign}{hours:02}:{rest:02}",
        f"{local:%Y/%m/%d %H:%M:%S}{sign}{hours:02}:{rest:02}",
        f"{local:%Y%m%dT%H%M%S}{sign}{hours:02}{rest:02}",
        f"{at:%Y-%m-%d %H:%M:%S} UTC",
        f"{at:%Y-%m-%dT%H:%M:%S}z",
        f"{at:%Y-%m-%d %H:%M:%S}+00",
        format_datetime(at, usegmt=True),
        f"{at:%d %b %Y, %I:%M:%S %p} GMT",
        f"{at:%Y-%m-%d %H:%M:%S} +0000 UTC",
        f"{local:%Y-%m-%d %H:%M:%S} {sign}{hours:02}{rest:02} NST",
    ]
    assert one(forms[form], "America/New_York") == at


@given(at=moments, order=st.sampled_from(DATE_ORDERS), mark=st.sampled_from("./-"))
def test_day_and_month_stand_where_the_order_says(at: datetime, order: DateOrder, mark: str) -> None:
    day, month = f"{at.day:02}", f"{at.month:02}"
    first, second = (day, month) if order == "dmy" else (month, day)
    text = f"{first}{mark}{second}{mark}{at:%Y %H:%M:%S}"
    assert one(text, written=order) == at
    assert one(text) is pd.NaT


@pytest.mark.parametrize(
    ("texts", "order", "needed"),
    [
        (["31/01/2024", "01/02/2024"], "dmy", True),
        (["01/02/2024", "01/31/2024"], "mdy", True),
        ([f"{day:02}/04/2024" for day in range(1, 11)], None, True),
        (["31/01/2024", "01/31/2024"], None, True),
        (["04.05.2024", "05.05.2024"], "dmy", True),
        (["2024-01-31", "31 Jan 2024"], None, False),
        (["05/05/2024"], None, True),
    ],
)
def test_the_order_is_proven_by_some_text_or_stays_open(texts: list[str], order: str | None, needed: bool) -> None:
    found = look_at(texts)
    assert (found.order, found.needs_order, found.failed) == (order, needed, 0)


@given(
    local=st.datetimes(datetime(1996, 1, 1), datetime(2024, 12, 31)).map(lambda at: at.replace(microsecond=0)),
    zone=st.sampled_from(ZONES),
)
def test_local_times_are_those_of_duckdb(local: datetime, zone: str) -> None:
    """DuckDB reads local times by ICU, which is another library."""
    assert one(local.isoformat(), zone) == duckdb_moment(local, zone)


@pytest.mark.parametrize("zone", ZONES[1:])
def test_hours_that_the_clocks_skip_or_have_twice_are_those_of_duckdb(zone: str) -> None:
    """Every quarter of an hour of the two days of 2024 on which the offset changes, by text and by type."""
    hours = pd.date_range("2024-01-01", "2025-01-01", freq="h", tz="UTC")
    away = np.array([at.utcoffset() for at in hours.tz_convert(zone)])
    for at in hours[1:][away[1:] != away[:-1]]:
        local = pd.date_range(at.tz_convert(zone).tz_localize(None) - pd.Timedelta("4h"), periods=32, freq="15min")
        texts = read_times(pd.Series(local.astype(str)), zone)
        typed = read_times(pd.Series(local), zone)
        assert texts.tolist() == typed.tolist() == [duckdb_moment(when.to_pydatetime(), zone) for when in local]


def duckdb_moment(local: datetime, zone: str) -> datetime:
    return session().execute("select timezone($zone, $at::timestamp)", {"zone": zone, "at": local}).fetchall()[0][0]


@cache
def session() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    return connection


def test_some_with_an_offset_and_some_without() -> None:
    raw = pd.Series(["2024-01-01 07:00:00", "2024-01-01 07:00:00-05:00", None, "2024-01-01 12:00:00 UTC"], dtype=object)
    noon = pd.Timestamp("2024-01-01 12:00", tz="UTC")
    assert read_times(raw, "America/New_York").tolist() == [noon, noon, pd.NaT, noon]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Auckland"])
def test_the_ends_of_the_calendar_are_times(zone: str) -> None:
    """9999-12-31 as "open end": in a zone behind UTC its last hours lie beyond what Python has."""
    last = one("9999-12-31T23:59:59", zone)
    assert (last.year, last.month) == (9999, 12)
    assert last.to_pydatetime() <= datetime.max.replace(tzinfo=UTC)
    assert one("0001-01-01", zone).year == 1


@given(at=moments, unit=st.sampled_from(["s", "ms", "us", "ns"]), as_text=st.booleans())
def test_numbers_since_1970_are_read_in_their_unit(at: datetime, unit: TimeFormat, as_text: bool) -> None:
    number = int(at.timestamp()) * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    assert one(str(number) if as_text else number, written=unit) == at


@given(at=moments, zone=st.sampled_from(ZONES))
def test_days_of_excel(at: datetime, zone: str) -> None:
    local = at.replace(tzinfo=None)
    serial = (local - datetime(1899, 12, 30)) / timedelta(days=1)
    found = read_times(pd.Series([serial]), zone, "excel").iloc[0]
    assert abs(found - one(local.isoformat(), zone)) <= timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("written", "number", "text"),
    [("yyyymmdd", 20240131, "2024-01-31"), ("yyyymm", 202402, "2024-02-01"), ("yyyy", 2024, "2024-01-01")],
)
def test_calendars_in_numbers(written: TimeFormat, number: int, text: str) -> None:
    berlin = pd.Timestamp(text, tz="Europe/Berlin")
    assert one(number, "Europe/Berlin", written) == one(str(number), "Europe/Berlin", written) == berlin


def test_another_unit_among_the_numbers_is_refused() -> None:
    seconds, milliseconds = 1_704_067_200, 1_704_067_200_000
    raw = pd.Series([seconds, milliseconds])
    assert read_times(raw, "UTC", "s").isna().tolist() == [False, True]
    assert read_times(raw, "UTC", "ms").isna().tolist() == [True, False]


@pytest.mark.parametrize(
    "text",
    ["1704067200", "1704067200000", "45321", "202401", "2024-02-30", "2024-13-01", "31/01/24", "05-01-23", "Total", "",
     "10:15", "2024-01-31 25:00", "2024-01-31 10:00 CET", "2024-1", "1e9", "31/31/2024", "2024-01-31 13:00 PM",
     "٢٠٢٤-٠١-٣١"],
)  # fmt: skip
def test_what_tells_no_time_is_not_read_as_one(text: str) -> None:
    assert read_text(text) is None
    assert one(text) is pd.NaT


def test_numbers_are_no_times_without_a_unit() -> None:
    assert read_times(pd.Series([1_704_067_200, 20240131]), "UTC").isna().all()


@given(st.text(max_size=30), st.sampled_from([None, *TIME_FORMATS]), st.sampled_from(ZONES))
def test_no_text_is_an_error(text: str, written: TimeFormat | None, zone: str) -> None:
    one(text, zone, written)
    look_at([text])
    hint(text)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (1_704_067_200, "`format: s`"),
        ("1704067200000", "`format: ms`"),
        (45321.5, "`format: excel`"),
        ("04/05/2024", "`format: dmy` or `format: mdy`"),
        ("31/01/2024", "`format: dmy`"),
        ("1/31/2024 9:05 AM", "`format: mdy`"),
        ("31/01/24", "write four"),
        ("2024-01-31 10:00 EST", "write the offset"),
        ("2024-01-31 12:30.15", "write it as 12:30:15"),
        ("2024-01-31 12,30", "write it as 12:30:15"),
        ("Total", ""),
        ("2024-01-31", ""),
    ],
)
def test_a_hint_says_what_to_write(value: object, told: str) -> None:
    assert (told in hint(value)) if told else hint(value) == ""


def test_units_are_told_apart_by_where_their_numbers_lie() -> None:
    at = datetime(2024, 1, 31, tzinfo=UTC).timestamp()
    numbers = {"s": at, "ms": at * 1e3, "us": at * 1e6, "ns": at * 1e9, "excel": 45322, "yyyymmdd": 20240131}
    assert {unit: units_of(number, number) for unit, number in numbers.items()} == {unit: (unit,) for unit in numbers}
    assert units_of(0, at) == units_of(at, at * 1e3) == ()


@given(st.datetimes(datetime(1970, 1, 1), datetime(2068, 12, 31)))
def test_digits_of_a_date_are_that_date_and_no_time_since_1970(at: datetime) -> None:
    """By `strftime`; what counts since 1970 is no time of an event where it lies after now."""
    now = at + timedelta(hours=1)
    forms = {"yyyymmddhh": "%Y%m%d%H", "yyyymmddhhmm": "%Y%m%d%H%M", "yyyymmddhhmmss": "%Y%m%d%H%M%S"}
    for unit, form in {**forms, "yymmddhhmm": "%y%m%d%H%M"}.items():
        number, whole = int(at.strftime(form)), at.strptime(at.strftime(form), form)
        assert one(number, written=unit) == one(str(number), written=unit) == whole.replace(tzinfo=UTC)  # type: ignore[arg-type]
        units = units_of(number, number, now.replace(tzinfo=UTC))
        assert unit in units
        late = (
            datetime.fromtimestamp(number, UTC) > now.replace(tzinfo=UTC) + timedelta(days=1) if number < 1e11 else True
        )
        assert not (late and "s" in units)


@pytest.mark.parametrize(
    ("written", "number"),
    [("yyyymmddhh", 2024013124), ("yyyymmddhh", 202401312), ("yyyymmddhhmm", 202402300000), ("yymmddhhmm", 2413010000)],
)
def test_digits_of_no_date_are_no_time(written: TimeFormat, number: int) -> None:
    assert pd.isna(one(number, written=written))


def test_a_column_of_a_day_is_read_as_pandas_reads_it() -> None:
    texts = pd.Series(pd.date_range("2024-03-30", periods=5000, freq="37s").astype(str))
    expected = pd.to_datetime(texts).dt.tz_localize(ZoneInfo("Asia/Tokyo")).dt.tz_convert("UTC").dt.as_unit("us")
    pd.testing.assert_series_equal(read_times(texts, "Asia/Tokyo"), expected, check_names=False)


def test_what_arrow_reads_by_the_column_is_read_alike_by_the_text() -> None:
    """Columns of one form are read by Arrow; each of 500 damaged texts is the same time to both."""
    random = np.random.default_rng(3)
    forms = ["2024-01-31", "2024-01-31 10:11", "2024-01-31T10:11:12.123", "2024-01-31T10:11:12Z", "20240131"]
    forms += ["2024-01-31 10:11:12+01:00", "2024-01-31T10:11:12+0130", "2024-01-31 10:11:12-05", "9999-12-31 23:59:59"]
    taken = 0
    for _ in range(500):
        letters = list(random.choice(forms))
        for _ in range(random.integers(0, 3)):
            letters[random.integers(len(letters))] = random.choice(list("0123456789-:T .Z+,"))
        text = "".join(letters)
        alone = read_text(text)
        found = one(text)
        taken += found is not pd.NaT
        assert (found is pd.NaT) == (alone is None), text
        assert alone is None or found == alone.replace(tzinfo=alone.tzinfo or UTC), text
    assert taken > 100


@given(
    at=moments,
    day=st.sampled_from(["%Y-%m-%d", "%Y/%m/%d", "%d %b %Y"]),
    clock=st.sampled_from(["%H.%M", "%H:%M", "%H.%M.%S", "%H:%M:%S", "%H:%M:%S:000", "%H.%M.%S.000", "%H:%M:%S,000"]),
)
def test_a_clock_with_points_is_read_as_one_with_colons(at: datetime, day: str, clock: str) -> None:
    assert one(f"{at:{day} {clock}}") == (at if "%S" in clock else at.replace(second=0))


@pytest.mark.parametrize(
    "clock",
    ["12:30.15", "12,30", "1230.15", "12:30,5", "12.5", "12:3015", "1230:15", "23.5959", "12.30:15", "12:30:15:5"],
)
@pytest.mark.parametrize("day", ["2024-01-31", "2024/01/31", "31 Jan 2024", "2024-W05-3"])
def test_a_clock_whose_last_digits_may_be_several_things_is_refused(day: str, clock: str) -> None:
    assert read_text(f"{day} {clock}") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-0500", None),
        ("2024-01-31-0500", None),
        ("2024-01Z", None),
        ("2024-01-31T12:30:15+14:60", None),
        ("2024-01-31Z", "2024-01-31T00:00:00+00:00"),
        ("2024-01-31+01:00", "2024-01-31T00:00:00+01:00"),
        ("2024-W05-3", "2024-01-31T00:00:00"),
        ("2024-W05-3T12:30Z", "2024-01-31T12:30:00+00:00"),
        ("2024-01-31T1230", "2024-01-31T12:30:00"),
    ],
)
def test_offsets_weeks_and_times_without_colons(text: str, expected: str | None) -> None:
    read = read_text(text)
    assert (read.isoformat() if read else None) == expected
