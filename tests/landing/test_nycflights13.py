"""Landing the real tables: what is in the files, and that landing twice is a no-op."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from mlops_assets.core.sources.partition_faults import changes
from mlops_assets.core.sources.partition_profile import Shape, column_shape
from mlops_assets.landing.nycflights13 import land


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home") / "landing"
    land(folder, date(2013, 1, 3))
    return folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_file_a_day_and_whole_tables(landing: Path) -> None:
    names = {path.relative_to(landing).as_posix() for path in landing.rglob("*") if path.is_file()}
    days = ("2013-01-01", "2013-01-02", "2013-01-03")
    assert names == {
        *(f"{source}/{source}_{day}.csv" for source in ("flights", "weather") for day in days),
        *(f"{source}/{source}.csv" for source in ("planes", "airports", "airlines")),
    }


def test_rows_are_the_sources_own(landing: Path) -> None:
    """842 flights on January 1 and the row counts of the whole tables: the data's published figures."""
    flights = table(landing / "flights" / "flights_2013-01-01.csv")
    assert len(flights) == 842
    assert {(row["year"], row["month"], row["day"]) for row in flights} == {("2013", "1", "1")}
    assert flights[0]["flight"] == "1545"
    assert flights[0]["time_hour"] == "2013-01-01T10:00:00Z"
    assert [len(table(landing / name / f"{name}.csv")) for name in ("planes", "airports", "airlines")] == [
        3322,
        1458,
        16,
    ]


def test_not_available_is_an_empty_cell(landing: Path) -> None:
    flights = table(landing / "flights" / "flights_2013-01-01.csv")
    cancelled = [row for row in flights if row["dep_time"] == ""]
    assert len(cancelled) == 4
    assert all(row["arr_delay"] == "" and row["air_time"] == "" for row in cancelled)
    assert "NA" not in {cell for path in landing.rglob("*.csv") for row in table(path) for cell in row.values()}


def test_landing_again_touches_nothing_and_a_changed_file_is_put_right(landing: Path) -> None:
    path = landing / "weather" / "weather_2013-01-02.csv"
    times = {file: file.stat().st_mtime_ns for file in landing.rglob("*.csv")}
    again = land(landing, date(2013, 1, 3))
    assert (again.written, again.unchanged) == ((), 9)
    assert {file: file.stat().st_mtime_ns for file in landing.rglob("*.csv")} == times
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert land(landing, date(2013, 1, 3)).written == (path,)
    assert path.read_bytes() == content


def test_days_from_start_through_the_last_inclusive(tmp_path: Path) -> None:
    summary = land(tmp_path, date(2013, 12, 31), date(2013, 12, 30))
    assert sorted(path.name for path in (tmp_path / "flights").iterdir()) == [
        "flights_2013-12-30.csv",
        "flights_2013-12-31.csv",
    ]
    # The weather of the last day never came.
    assert [path.name for path in (tmp_path / "weather").iterdir()] == ["weather_2013-12-30.csv"]
    assert summary.rows["flights"] == 968 + 776


def test_days_outside_the_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"2013-01-01 to 2013-12-31.*Nothing was written"):
        land(tmp_path, date(2014, 1, 1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.simulates
def test_no_day_of_the_years_weather_is_taken_for_a_fault(tmp_path: Path) -> None:
    """Degrees Fahrenheit that were Celsius, in steps of 0.18; a rounded 2.2 had four of these days in another unit."""
    land(tmp_path, date(2013, 12, 30))
    past: list[Shape] = []
    for path in sorted((tmp_path / "weather").glob("*.csv")):
        day = pd.read_csv(path).select_dtypes("number").drop(columns=["year", "month", "day", "hour"])
        one = Shape({str(name): column_shape(values.dropna().to_numpy(float)) for name, values in day.items()})
        assert changes(one, past) == [], path.name
        past.append(one)
    assert len(past) == 364
