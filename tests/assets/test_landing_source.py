from __future__ import annotations

import io
from datetime import date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pyarrow.parquet as pq
import pytest

from mlops_assets.assets import landing_source
from mlops_assets.assets.partitions import PartitionCalendar
from mlops_assets.steps.land import taking_in
from mlops_assets.world.landed.landed_files import read_file
from tests.landing_home import DAY, HEADER, LandingHome, rows, source, verdict

NEXT = DAY + timedelta(days=1)


@pytest.fixture
def home(tmp_path: Path) -> LandingHome:
    return LandingHome.at(tmp_path / "home")


def downstream() -> dg.AssetsDefinition:
    @dg.asset(deps=[dg.AssetKey(["raw", "orders"])])
    def features() -> None: ...

    return features


def without(text: str, column: str) -> str:
    return pd.read_csv(io.StringIO(text), dtype=str).drop(columns=column).to_csv(index=False)


# --- good files --------------------------------------------------------------------------------------------


def test_a_day_is_written_whole_in_utc_microseconds_and_reported(home: LandingHome) -> None:
    home.sources = [source(timezone="America/New_York")]
    home.land(f"{HEADER}\n1,2024-03-01T20:00:00,north,2\n2,2024-03-02T04:59:59Z,south,\n")
    result = home.run()
    assert verdict(result) == (True, "")
    written = pq.read_table(home.intake().raw_file(str(DAY)))
    assert str(written.schema.field("at").type) == "timestamp[us, tz=UTC]"
    assert written["at"].to_pylist()[0].isoformat() == "2024-03-02T01:00:00+00:00"
    assert not [name for name in written.schema.names if name == "partition"]
    events = result.asset_materializations_for_node("raw_orders")
    assert {e.partition: e.metadata["dagster/row_count"].value for e in events if e.partition} == {str(DAY): 2}


def test_a_range_chosen_in_the_ui_reports_the_rows_of_each_partition(home: LandingHome) -> None:
    home.land_days([DAY])
    home.land_days([NEXT], n=4)
    defs = dg.Definitions(
        assets=[landing_source.build_raw_asset(source())],
        jobs=[dg.define_asset_job("j", selection="*", executor_def=dg.in_process_executor)],
        resources={"lake": home.lake},
    )
    tags = {"dagster/asset_partition_range_start": str(DAY), "dagster/asset_partition_range_end": str(NEXT)}
    result = defs.resolve_job_def("j").execute_in_process(tags=tags)
    events = result.asset_materializations_for_node("raw_orders")
    assert {e.partition: e.metadata["dagster/row_count"].value for e in events} == {str(DAY): 3, str(NEXT): 4}


@pytest.mark.parametrize("grain", ["week", "month"])
def test_longer_partitions_begin_on_monday_or_the_first(tmp_path: Path, grain: str) -> None:
    first = {"week": date(2024, 3, 4), "month": DAY}[grain]
    home = LandingHome.at(tmp_path / "home", source(grain=grain))
    last = home.sources[0].end_of(first) - timedelta(days=1)
    home.land(f"{HEADER}\n1,{first}T00:00:00Z,north,1\n2,{last}T23:59:59Z,north,1\n", f"orders_{first}.csv")
    assert verdict(home.run(first))[0]
    assert len(home.frame(first)) == 2


@pytest.mark.parametrize(
    ("grain", "last", "keys"),
    [("day", "2024-03-01", 1), ("week", "2024-03-05", 1), ("month", "2024-12-31", 10), ("day", "2024-03-03", 3)],
)
def test_the_calendar_of_a_source_that_is_over_ends(grain: str, last: str, keys: int) -> None:
    over = source(grain=grain, start="2024-03-04" if grain == "week" else "2024-03-01", end=last)
    found = PartitionCalendar.of_source(over).partitions().get_partition_keys()
    assert len(found) == keys
    assert over.has_partition(date.fromisoformat(found[-1]))
    assert not over.has_partition(over.end_of(date.fromisoformat(found[-1])))


def test_parquet_lands_with_its_own_types_and_a_column_added_later_is_null_in_old_files(tmp_path: Path) -> None:
    added = source(
        files="orders_{partition}.parquet",
        columns={"coupon": {"type": "string", "required": False, "max_null_share": 1}},
    )
    home = LandingHome.at(tmp_path / "home", added)
    frame = pd.read_csv(io.StringIO(rows(DAY)), parse_dates=["at"])
    for day, extra in ((DAY, {}), (NEXT, {"coupon": ["a", None, "b"]})):
        moved = frame.assign(id=frame["id"] + 100 * (day - DAY).days, at=frame["at"] + (day - DAY), **extra)
        buffer = io.BytesIO()
        moved.to_parquet(buffer)
        home.land(buffer.getvalue(), f"orders_{day}.parquet")
    assert verdict(home.run(DAY, NEXT))[0]
    assert home.frame()["coupon"].isna().all()
    assert home.frame(NEXT)["coupon"].tolist() == ["a", None, "b"]
    one, other = (pq.read_schema(home.intake().raw_file(str(day))) for day in (DAY, NEXT))
    assert one.equals(other)


def test_batches_give_the_lake_that_one_by_one_gives(home: LandingHome, monkeypatch: pytest.MonkeyPatch) -> None:
    days = [DAY + timedelta(days=i) for i in range(5)]
    home.land_days(days)
    home.land(rows(days[2], price=-9), f"orders_{days[2]}.csv")
    together = verdict(home.run(days[0], days[-1]))
    written = home.files()
    monkeypatch.setattr(taking_in, "BATCH_BYTES", 1)
    assert verdict(home.run(days[0], days[-1])) == together
    assert home.files() == written
    assert len([name for name in written if name.startswith("orders")]) == 4


# --- bad files ---------------------------------------------------------------------------------------------

GOOD = rows(DAY)
SOON = datetime.now() + timedelta(days=1)
BAD = {
    "missing column": (without(GOOD, "price"), "Column price is missing: add it to the file"),
    "extra column": (GOOD.replace("price\n", "price,tax\n").replace(".5\n", ".5,1\n"), "add it to the contract"),
    "renamed column": (GOOD.replace("price", "cost"), "did you rename price to cost? Rename it back"),
    "wrong type": (GOOD.replace("1.5", "cheap"), "can't be read as number (cheap): correct the values"),
    "empty file": ("", "it is empty, without even a header). Send it again"),
    "header alone": (HEADER + "\n", "The file is empty and 2 to 6 are expected: deliver it again"),
    "duplicate rows": (GOOD + GOOD.splitlines()[1] + "\n", "share their key (id) with another row: remove the dup"),
    "rows of another day": (GOOD.replace("2024-03-01T02", "2024-03-02T02"), "lies outside 2024-03-01 (UTC)"),
    "unknown category": (GOOD.replace("north", "nort"), "unknown (nort; 33.3% of all, at most 0.0%): correct the"),
    "too many rows": (rows(DAY, n=9), "The file has 9 rows and 2 to 6 are expected"),
    "more cells than names": (GOOD.replace(".5\n", ".5,1\n"), "its line 2 has 5 cells and its header 4 names: put"),
    "ragged rows": (
        GOOD + "7,2024-03-01T07:30:00Z,north,1,2,3\n",
        "its line 5 has 6 cells and its header 4 names",
    ),
    "another encoding": (GOOD.replace("north", "nörd").encode("latin1"), "it is not UTF-8 in line 3: convert it"),
    "a column twice": (GOOD.replace("price", "id"), "Column price is missing"),
    "not text": (b"\xff\xfe\x00id", "cannot be read"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_quarantined_and_the_old_partition_stays(home: LandingHome, kind: str) -> None:
    content, told = BAD[kind]
    home.land(GOOD)
    home.run()
    before = home.files()
    landed = home.land(content)
    result = home.run(more=[downstream()])
    passed, description = verdict(result)
    assert not passed
    assert not result.success
    assert told in description
    assert f"quarantine release orders {DAY}" in description
    assert not result.asset_materializations_for_node("features"), "nothing downstream may run"
    assert home.files() == before, "the old partition is as it was, byte for byte"
    folder = home.intake().quarantine(str(DAY))
    assert (folder / landed.name).read_bytes() == landed.read_bytes()
    assert told.split("(")[0].strip() in (folder / "reason.json").read_text()
    assert home.intake().pending() == [], "it is not tried again until something changes"


def test_future_timestamps_are_refused_where_no_partition_bounds_them(tmp_path: Path) -> None:
    whole = source(grain="none", files="orders*.csv", start=None)
    home = LandingHome.at(tmp_path / "home", whole)
    home.land(f"{HEADER}\n1,{SOON:%Y-%m-%dT%H:%M:%S}Z,north,1\n2,2024-03-01T00:00:00Z,north,1\n", "orders.csv")
    passed, description = verdict(home.run(None))
    assert not passed
    assert "1 row of at (row 1) is later than" in description
    assert "correct the clock or the time zone of the source" in description


def test_truncated_parquet(tmp_path: Path) -> None:
    home = LandingHome.at(tmp_path / "home", source(files="orders_{partition}.parquet"))
    buffer = io.BytesIO()
    pd.read_csv(io.StringIO(GOOD), parse_dates=["at"]).to_parquet(buffer)
    home.land(buffer.getvalue(), f"orders_{DAY}.parquet")
    home.run()
    before = home.files()
    home.land(buffer.getvalue()[:-20], f"orders_{DAY}.parquet")
    passed, description = verdict(home.run())
    assert not passed
    assert "cannot be read" in description
    assert "Send it again; the old partition is unchanged." in description
    assert home.files() == before


def test_offending_rows_are_marked(home: LandingHome) -> None:
    home.land(GOOD.replace("2.5", "-2.5"))
    home.run()
    marked = pd.read_parquet(home.intake().quarantine(str(DAY)) / "rows.parquet")
    assert marked["is_bad"].tolist() == [False, True, False]
    assert marked["price"].tolist() == ["1.5", "-2.5", "3.5"], "as they came"


def test_in_a_range_the_good_days_are_written_and_the_bad_one_is_named(home: LandingHome) -> None:
    days = [DAY + timedelta(days=i) for i in range(3)]
    home.land_days(days)
    home.land(rows(days[1], price=-5), f"orders_{days[1]}.csv")
    result = home.run(days[0], days[-1], more=[downstream()])
    passed, description = verdict(result)
    assert (passed, result.success) == (False, False)
    assert description.startswith(f"1 bad, 2 good. {days[1]}: 3 rows of price (rows 1, 2, 3) are below 0")
    assert sorted(home.intake().good()) == [str(days[0]), str(days[2])]
    reported = {e.partition for e in result.asset_materializations_for_node("raw_orders")}
    assert reported == {str(days[0]), str(days[2])}
    assert not result.asset_materializations_for_node("features")


def test_a_required_source_misses_a_file_an_optional_one_does_not(tmp_path: Path) -> None:
    home = LandingHome.at(tmp_path / "home")
    home.land_days([DAY])
    passed, description = verdict(home.run(DAY, NEXT))
    assert not passed
    assert f"No file has landed. Put orders_{NEXT}*.csv into" in description
    home.sources = [source(required=False)]
    result = home.run(DAY, NEXT, more=[downstream()])
    assert verdict(result) == (True, "")
    last = result.asset_materializations_for_node("raw_orders")[-1]
    assert last.metadata["path"].value.startswith("[orders](file://"), "a bare path does not break, and widens the page"
    assert last.metadata["without_file"].value == str(NEXT)
    assert result.success


def test_misnamed_files_are_named_on_the_materialization(home: LandingHome) -> None:
    home.land_days([DAY])
    home.land(GOOD, "order_2024-03-01.csv")
    last = home.run().asset_materializations_for_node("raw_orders")[-1]
    assert last.metadata["files_ignored"].value == (
        "no partition claims 1 file: order_2024-03-01.csv. Rename to match orders_{partition}*.csv (the partition's "
        "first day, as 2013-01-31, not before the source's `start` or after its `end`), or remove."
    )


def test_of_several_bad_days_the_first_is_told_and_the_others_are_named(home: LandingHome) -> None:
    days = [DAY + timedelta(days=i) for i in range(3)]
    for day in days:
        home.land(rows(day, price=-5), f"orders_{day}.csv")
    passed, description = verdict(home.run(days[0], days[-1]))
    assert not passed
    assert description.startswith(f"3 bad, 0 good. {days[0]}: ")
    assert f" Also bad: {days[1]}, {days[2]}. They are in quarantine" in description
    assert description.count("below 0") == 1


# --- release, correction -----------------------------------------------------------------------------------


def test_a_released_partition_is_taken_as_it_is(home: LandingHome) -> None:
    home.land(rows(DAY, n=8))
    assert not verdict(home.run())[0]
    home.intake().release(str(DAY), "a sale (somebody)")
    assert home.intake().pending() == [str(DAY)]
    assert verdict(home.run())[0]
    assert len(home.frame()) == 8
    assert home.intake().taken()[str(DAY)].reason == "a sale (somebody)"
    assert not home.intake().quarantine(str(DAY)).exists()
    assert home.intake().pending() == []


@pytest.mark.parametrize("content", ["", HEADER + "\n", without(GOOD, "price")])
def test_what_has_no_rows_or_no_column_cannot_be_released(home: LandingHome, content: str) -> None:
    home.land(content)
    home.run()
    home.intake().release(str(DAY), "let it in")
    assert not verdict(home.run())[0]
    assert home.intake().taken()[str(DAY)].status == "quarantined"


def test_a_corrected_file_replaces_the_partition_and_clears_the_quarantine(home: LandingHome) -> None:
    home.land(GOOD.replace("1.5", "cheap"))
    home.run()
    home.land(rows(DAY, n=5), f"orders_{DAY}_corrected.csv")
    assert home.intake().pending() == [str(DAY)]
    assert verdict(home.run())[0]
    assert len(home.frame()) == 5
    assert not home.intake().quarantine(str(DAY)).exists()


# --- the outside -------------------------------------------------------------------------------------------


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = dg.RetryPolicy(max_retries=3, delay=0.01, backoff=dg.Backoff.EXPONENTIAL)
    assert landing_source.OUTSIDE_RETRY.max_retries == 3
    assert landing_source.OUTSIDE_RETRY.backoff == dg.Backoff.EXPONENTIAL
    monkeypatch.setattr(landing_source, "OUTSIDE_RETRY", policy)


def test_a_disk_that_fails_once_is_tried_again(home: LandingHome, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    home.land_days([DAY])
    failures = [OSError(5, "Input/output error")]

    def read(file: object) -> object:
        if failures:
            raise failures.pop()
        return read_file(file)  # type: ignore[arg-type]

    monkeypatch.setattr(taking_in, "read_file", read)
    result = home.run()
    assert result.success
    assert len([e for e in result.all_events if e.is_step_up_for_retry]) == 1
    assert len(home.frame()) == 3


def test_a_broken_contract_is_not_tried_again(home: LandingHome, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    home.land(rows(DAY, n=9))
    result = home.run()
    assert not result.success
    assert not [e for e in result.all_events if e.is_step_up_for_retry]
    assert len(result.get_asset_check_evaluations()) == 1
