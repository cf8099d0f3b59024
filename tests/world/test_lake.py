from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.world.lake import Lake, content_hash
from mlops_assets.world.parquet import beside, connected, own_database, read_steady

DAY = date(2024, 3, 1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(root=str(tmp_path))


def test_a_partition_is_replaced_whole_or_not_at_all(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lake.file("raw", "orders", partition=DAY)
    assert lake.write(pd.DataFrame({"id": [1, 2]}), path, fingerprint="abc") == 2
    before = path.read_bytes()

    def fails(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", fails)
    with pytest.raises(OSError, match="No space left"):
        lake.write(pd.DataFrame({"id": [3]}), path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["data.parquet"]
    assert Lake.fingerprint(path) == "abc"


def test_decimals_without_places_are_integers_and_not_floats(lake: Lake) -> None:
    """As a dbt model writes keys that are sums or casts: beside times, gaps and decimals that are measures."""
    ids = [1_460_323_737_035_677_698 + n if n % 3 else None for n in range(5_000)]
    large = [10**30 + n for n in range(5_000)]
    table = pa.table(
        {
            "at": pa.array(range(5_000), pa.timestamp("us", tz="UTC")),
            "day": pa.array(range(5_000), pa.date32()),
            "id": pa.array([None if v is None else Decimal(v) for v in ids], pa.decimal128(38, 0)),
            "serial": pa.array([Decimal(v) for v in large], pa.decimal128(38, 0)),
            "price": pa.array([Decimal(n).scaleb(-2) for n in range(5_000)], pa.decimal128(12, 2)),
        }
    )
    path = lake.file("features", "f", partition=DAY)
    lake.write(table, path)
    frame = lake.read("features", "f", order_by=["at"])
    assert list(frame) == table.column_names
    assert [str(frame[name].dtype) for name in ("at", "id", "price")] == ["datetime64[us, UTC]", "Int64", "float64"]
    assert [None if pd.isna(v) else v for v in frame["id"]] == ids
    assert [int(v) for v in frame["serial"]] == large
    assert frame["price"].tolist() == [n / 100 for n in range(5_000)]
    assert frame["at"].is_monotonic_increasing
    pd.testing.assert_frame_equal(lake.read("features", "f", order_by=["at"], columns=["id"]), frame[["id"]])


def test_timestamps_are_stored_in_utc_microseconds(lake: Lake) -> None:
    path = lake.file("raw", "orders", partition=DAY)
    times = pd.to_datetime(["2024-03-01T12:00:00.123456+02:00"]).tz_convert("Europe/Berlin")
    lake.write(pd.DataFrame({"at": times}), path)
    assert str(pq.read_schema(path).field("at").type) == "timestamp[us, tz=UTC]"
    assert pq.read_table(path)["at"].to_pylist()[0].isoformat() == "2024-03-01T10:00:00.123456+00:00"


def test_a_range_is_read_without_its_hive_key_and_an_empty_one_is_empty(lake: Lake) -> None:
    for day in (1, 2, 3):
        lake.write(pd.DataFrame({"day": [day]}), lake.file("raw", "orders", partition=date(2024, 3, day)))
    rows = lake.read("raw", "orders", start=date(2024, 3, 2), where="day < $most", parameters={"most": 3})
    assert rows.to_dict("list") == {"day": [2]}
    assert lake.read("raw", "orders", start=date(2025, 1, 1)).empty
    assert list(lake.partitions("raw", "orders")) == [date(2024, 3, day) for day in (1, 2, 3)]
    assert lake.row_counts("raw", "orders", end=date(2024, 3, 2)) == {DAY: 1}


def test_columns_are_those_of_all_files_of_a_range(lake: Lake) -> None:
    lake.write(pd.DataFrame({"id": [1]}), lake.file("raw", "orders", partition=date(2024, 3, 1)))
    lake.write(pd.DataFrame({"id": [1], "price": [2.0]}), lake.file("raw", "orders", partition=date(2024, 3, 2)))
    assert lake.columns("raw", "orders") == ["id", "price"]
    assert lake.columns("raw", "orders", end=date(2024, 3, 2)) == ["id"]
    assert lake.columns("raw", "orders", name="online") == []


@pytest.mark.parametrize("is_replaced", [True, False])
def test_a_file_that_is_replaced_while_it_is_read_is_read_whole(lake: Lake, is_replaced: bool) -> None:
    files = [lake.file("raw", "orders", partition=date(2024, 3, day)) for day in (1, 2)]
    for file in files:
        lake.write(pd.DataFrame({"id": range(1_000), "text": "short"}), file)
    asked: list[Sequence[Path]] = []

    def read(paths: Sequence[Path]) -> pd.DataFrame:
        asked.append(paths)
        with lake.connect() as connection:
            rows = connection.read_parquet([str(path) for path in paths], hive_partitioning=True)
            # The footers are read; another writer comes before the rows are.
            if is_replaced:
                lake.write(pd.DataFrame({"id": range(3_000), "text": f"longer {len(asked)}"}), files[1])
            return rows.df()

    rows = read_steady(files, read)
    if not is_replaced:
        assert (asked, len(rows)) == ([files], 2_000)
        return
    assert len(asked) == 2
    # As it was when the second read began, whatever came after.
    assert rows.groupby("text").size().to_dict() == {"short": 1_000, "longer 1": 3_000}
    assert sorted(path.name for path in lake.folder("raw", "orders").iterdir()) == [f.parent.name for f in files]


def test_a_file_that_cannot_be_read_is_an_error(lake: Lake) -> None:
    path = lake.file("raw", "orders", partition=DAY)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(duckdb.Error):
        lake.read("raw", "orders")


def test_the_content_hash_sees_values_types_and_order() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    others = [frame[::-1], frame[["b", "a"]], frame.astype({"a": "float64"}), frame.fillna("y")]
    assert content_hash(frame) == content_hash(frame.copy())
    assert content_hash(frame) not in {content_hash(other) for other in others}


def count(rows: int) -> int:
    with connected() as session:
        session.register("given", pd.DataFrame({"n": range(rows)}))
        session.execute("create temp table kept as select * from given")
        session.execute("create temp view seen as select * from kept where n % 2 = 0")
        return session.execute("select count(*) from seen").fetchall()[0][0]


def test_sessions_see_nothing_of_each_other() -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(count, range(0, 800, 2))) == list(range(400))
    with connected() as outer, connected() as session:
        outer.execute("set timezone = 'America/New_York'")
        assert session.execute("select current_setting('TimeZone')").fetchall() == [("UTC",)]
        here = "select count(*) from duckdb_tables() where database_name = current_database()"
        assert session.execute(here).fetchall() == [(0,)]


def test_a_database_of_its_own_is_seen_beside_it_and_gone_with_it() -> None:
    sessions = [own_database(), own_database()]
    names = {session.execute("select current_database()").fetchall()[0][0] for session in sessions}
    for number, session in enumerate(sessions):
        session.execute(f"create table kept as select {number} + n as n from range(10_000) as t(n)")
    for number, session in enumerate(sessions):
        rows = beside(session).sql("select n from kept").to_arrow_reader(1_000)
        session.execute("create table anew as select 1")
        assert sum(batch.num_rows for batch in rows) == 10_000
        assert session.execute("select min(n) from kept").fetchall() == [(number,)]
        assert beside(session).execute("select current_setting('TimeZone')").fetchall() == [("UTC",)]
    del sessions, session, rows
    gc.collect()
    with connected() as session:
        left = session.execute("select database_name from duckdb_databases()").fetchall()
    assert names.isdisjoint(name for (name,) in left)


@pytest.mark.process
def test_a_forked_process_has_a_session_of_its_own() -> None:
    assert count(10) == 5
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=lambda: there.send(count(100_000)))
    process.start()
    assert here.poll(60)
    assert here.recv() == 50_000
    # Not asked to end: what else runs in this process may have told its children to take no notice.
    process.kill()
    process.join()
