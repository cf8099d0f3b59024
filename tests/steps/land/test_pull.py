"""Sources that are fetched: a table of a real PostgreSQL, objects of a real (made-up) S3, by what is new."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
import sqlalchemy as sa

from mlops_assets.assets.pull_job import build_pull
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.steps.land import pull_sql
from mlops_assets.steps.land.pull import pull
from mlops_assets.steps.land.pull_state import CannotPull
from mlops_assets.world.home import Home, HomeSettings
from mlops_assets.world.lake import Lake
from mlops_assets.world.landed.intake import Intake
from tests.postgres import url

ADDRESS = "TEST_FEED_URL"
OPTIONS = "TEST_FEED_OPTIONS"


def source(pull: dict[str, Any], **changes: Any) -> SourceSettings:
    values = {
        "name": "orders",
        "description": "One row per order.",
        "files": "orders_{partition}.parquet",
        "event_time": "ordered_at",
        "timezone": "Europe/Berlin",
        "start": "2024-01-01",
        "pull": {"url_env": ADDRESS, "options_env": OPTIONS, **pull},
        "contract": {
            "unique": ["order_id"],
            "columns": {
                "order_id": {"type": "integer"},
                "ordered_at": {"type": "timestamp"},
                "amount": {"type": "number", "min": 0},
            },
        },
    }
    return SourceSettings.model_validate({**values, **changes})


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.configure(HomeSettings(clock="data"))
    return home.prepare()


def landed(home: Home) -> dict[str, list[int]]:
    files = sorted((home.landing / "orders").glob("*.parquet"))
    return {f.stem.removeprefix("orders_"): pd.read_parquet(f)["order_id"].tolist() for f in files}


# --- a database --------------------------------------------------------------------------------------------

SQL = source({"kind": "sql", "table": "shop.orders", "watermark": "updated_at"})


@pytest.fixture
def database(postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Connection]:
    """The table shop.orders, empty; rows have numeric amounts and a time of their last change."""
    address = url(postgres, "feed").replace("postgresql://", "postgresql+psycopg2://")
    monkeypatch.setenv(ADDRESS, address)
    engine = sa.create_engine(address, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text("drop schema if exists shop cascade"))
        connection.execute(sa.text("create schema shop"))
        connection.execute(
            sa.text(
                "create table shop.orders (order_id bigint primary key, ordered_at timestamptz, amount numeric(9, 2), "
                "updated_at timestamptz)"
            )
        )
        yield connection
    engine.dispose()


def order(database: sa.Connection, number: int, at: str, updated: str | None = None, amount: float = 9.99) -> None:
    database.execute(
        sa.text(
            "insert into shop.orders values (:n, :at, :amount, :updated) on conflict (order_id) do update set "
            "amount = excluded.amount, updated_at = excluded.updated_at"
        ),
        {"n": number, "at": at, "amount": amount, "updated": updated or at},
    )


def test_a_table_lands_by_day_of_its_zone(database: sa.Connection, home: Home) -> None:
    order(database, 1, "2024-01-01 12:00+00")
    order(database, 2, "2024-01-01 23:30+00")  # In Berlin it is tomorrow.
    order(database, 3, "2024-01-03 01:00+00")
    found = pull(home, SQL)
    assert found.written == ("orders_2024-01-01.parquet", "orders_2024-01-02.parquet", "orders_2024-01-03.parquet")
    assert landed(home) == {"2024-01-01": [1], "2024-01-02": [2], "2024-01-03": [3]}
    assert pd.read_parquet(home.landing / "orders" / found.written[0]).columns.tolist() == list(SQL.contract.columns)
    assert Intake(lake=Lake(root=str(home.root)), source=SQL).pending() == ["2024-01-01", "2024-01-02", "2024-01-03"]


def test_late_and_changed_rows_bring_their_day_again_and_nothing_else_does(
    database: sa.Connection, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(1, 6):
        order(database, day, f"2024-01-0{day} 12:00+00")
    pull(home, SQL)
    assert pull(home, SQL).written == ()
    order(database, 10, "2024-01-02 13:00+00", updated="2024-01-08 00:00+00")
    order(database, 4, "2024-01-04 12:00+00", updated="2024-01-08 00:00+00", amount=1)
    # Committed late, behind the watermark: within the overlap.
    asked = []
    rows = pull_sql._rows
    monkeypatch.setattr(pull_sql, "_rows", lambda c, t, s, day: asked.append(day) or rows(c, t, s, day))
    assert pull(home, SQL).written == ("orders_2024-01-02.parquet", "orders_2024-01-04.parquet")
    assert set(asked) == {date(2024, 1, 2), date(2024, 1, 4), date(2024, 1, 5)}
    order(database, 11, "2024-01-03 13:00+00", updated="2024-01-07 23:30+00")
    assert pull(home, SQL).written == ("orders_2024-01-03.parquet",)
    assert landed(home)["2024-01-02"] == [2, 10]


def test_a_fetch_that_dies_is_done_again_to_the_same_files(
    database: sa.Connection, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(1, 6):
        order(database, day, f"2024-01-0{day} 12:00+00")
    place, count = pull_sql._place, iter(range(9))

    def dying(rows: Any, path: Path) -> bool:
        if next(count) == 2:
            raise KeyboardInterrupt
        return place(rows, path)

    monkeypatch.setattr(pull_sql, "_place", dying)
    with pytest.raises(KeyboardInterrupt):
        pull(home, SQL)
    assert list(landed(home)) == ["2024-01-01", "2024-01-02"]
    assert len(pull(home, SQL).written) == 3, "and the two that were there are left as they are"
    assert [each for of in landed(home).values() for each in of] == [1, 2, 3, 4, 5]


def test_a_serial_number_is_a_watermark_too(database: sa.Connection, home: Home) -> None:
    by_number = source({"kind": "sql", "table": "shop.orders", "watermark": "order_id"}, contract=with_updated())
    order(database, 1, "2024-01-01 12:00+00")
    pull(home, by_number)
    order(database, 2, "2024-01-01 13:00+00")
    assert pull(home, by_number).written == ("orders_2024-01-01.parquet",)
    assert landed(home) == {"2024-01-01": [1, 2]}


def with_updated() -> dict[str, Any]:
    contract = SQL.contract.model_dump()
    contract["columns"]["updated_at"] = {"type": "timestamp"}
    return contract


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"table": "shop.nothing"}, "there is no table shop.nothing"),
        ({"watermark": "version"}, "has no column version; it has order_id"),
    ],
)
def test_what_the_yaml_has_wrong_is_named(
    database: sa.Connection, home: Home, changes: dict[str, str], told: str
) -> None:
    with pytest.raises(CannotPull, match=told):
        pull(home, source({"kind": "sql", "table": "shop.orders", "watermark": "updated_at", **changes}))


def test_a_database_that_is_away_is_named_without_its_password(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS, "postgresql+psycopg2://ada:secret@127.0.0.1:9/shop")
    with pytest.raises(CannotPull, match="the database of orders does not answer") as caught:
        pull(home, SQL)
    assert "secret" not in str(caught.value)
    monkeypatch.delenv(ADDRESS)
    with pytest.raises(CannotPull, match=f"{ADDRESS} is not set"):
        pull(home, SQL)


# --- any watermark: in SQLite, whose decimals SQLAlchemy reads as floats --------------------------------------

LONG = 1_460_323_737_035_677_698
"""More digits than a float has: its neighbours up to 128 away are the same float."""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the table `orders` with a watermark `mark` of a type, and fills and fetches it."""
    import sqlite3

    monkeypatch.setenv(ADDRESS, f"sqlite:///{tmp_path / 'feed.db'}")
    with sqlite3.connect(tmp_path / "feed.db") as database:

        def filled(home: Home, kind: str, rows: list[tuple[str, Any]], first: int = 0) -> list[str]:
            database.execute(f"create table if not exists orders (order_id integer, ordered_at text, mark {kind})")
            numbered = [(first + number, *row) for number, row in enumerate(rows)]
            database.executemany("insert into orders values (?, ?, ?)", numbered)
            database.commit()
            contract = {"columns": {"order_id": {"type": "integer"}, "ordered_at": {"type": "timestamp"}}}
            spec = source({"kind": "sql", "table": "orders", "watermark": "mark"}, contract=contract, timezone="UTC")
            return [name.removesuffix(".parquet")[-2:] for name in pull(home, spec).written]

        yield filled
    database.close()


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("numeric(38, 0)", LONG, LONG + 1),
        ("numeric(38, 0)", -LONG, -LONG + 1),
        ("numeric(12, 2)", 0.25, 0.5),
        ("bigint", LONG, LONG + 1),
        ("real", 1.0, 1.5),
        ("date", "2024-01-01", "2024-01-01"),
        ("datetime", "2024-01-01 10:00:00.000000", "2024-01-01 09:30:00.000001"),
        ("text", "2024-01-01T10:00:00Z", "2024-01-01T10:00:00.5Z"),
        ("text", "2024-01-01 10:00:00", "2024-01-01 09:00:00.25"),
        ("text", "2024-01-01T00:30:00+00:00", "2023-12-31T23:30:00+00:00"),
        ("text", "2024-01-01", "2024-01-01"),
    ],
)
def test_a_row_just_above_any_watermark_or_within_the_overlap_is_fetched(
    small: Any, home: Home, kind: str, first: Any, second: Any
) -> None:
    assert small(home, kind, [("2024-01-01 10:00:00", first)]) == ["01"]
    assert small(home, kind, []) == []
    assert small(home, kind, [("2024-01-02 10:00:00", second), ("2024-01-03 10:00:00", second)], 1) == ["02", "03"]
    assert small(home, kind, []) == [], "and how far it came is kept"
    assert landed(home) == {"2024-01-01": [0], "2024-01-02": [1], "2024-01-03": [2]}


@pytest.mark.parametrize(
    ("kind", "marks", "told"),
    [
        ("text", ["abc"], "mark of orders holds abc, by which nobody can tell"),
        ("text", ["10", "9"], "holds 9,"),
        ("text", ["2024-02-31"], "holds 2024-02-31"),
        ("text", ["2024-01-01T10:00:00+02:00"], r"\+02:00.* all in UTC or all without a zone"),
        ("text", ["2024-01-01 10:00:00", "2024-01-01T09:00:00"], "2024-01-01 10:00:00 beside 2024-01-01T09:00:00"),
        ("text", ["2024-01-01T10:00:00Z", "2024-01-01T09:00:00"], "beside"),
        ("blob", [b"\x01"], "is of the type BLOB"),
        ("boolean", [True], "is of the type BOOLEAN"),
        ("time", ["10:00:00"], "is of the type TIME"),
        ("numeric(9, 0)", ["x"], "holds x"),
        ("date", ["yesterday"], r"orders\.mark is of the type DATE and holds what is none \(.*yesterday"),
        ("real", [float("inf")], "holds inf"),
    ],
)
def test_what_tells_nothing_of_what_is_new_is_refused_before_anything_lands(
    small: Any, home: Home, kind: str, marks: list[Any], told: str
) -> None:
    with pytest.raises(CannotPull, match=told):
        small(home, kind, [("2024-01-01 10:00:00", mark) for mark in marks])
    assert landed(home) == {}


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("numeric(38, 4)", f"{LONG}.0001", f"{LONG}.0002"),
        ("date", "2024-01-09", "2024-01-09"),
        ("timestamp", "2024-01-09 10:00", "2024-01-09 10:30"),
        ("timestamptz", "2024-01-09 10:00+02", "2024-01-09 08:30+00"),
        ("text", "2024-01-09T10:00:00Z", "2024-01-09T10:00:01Z"),
    ],
)
def test_watermarks_of_a_database_with_types_of_its_own(
    database: sa.Connection, home: Home, kind: str, first: str, second: str
) -> None:
    database.execute(sa.text(f"alter table shop.orders add column mark {kind}"))
    spec = source({"kind": "sql", "table": "shop.orders", "watermark": "mark"})
    for number, mark in ((1, first), (2, second)):
        database.execute(
            sa.text(f"insert into shop.orders values ({number}, '2024-01-0{number} 12:00+00', 1, now(), '{mark}')")
        )
        assert pull(home, spec).written == (f"orders_2024-01-0{number}.parquet",)
        assert pull(home, spec).written == ()


# --- an object store ---------------------------------------------------------------------------------------

OBJECTS = source({"kind": "objects"}, files="orders_{partition}*.csv")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A bucket, as s3fs sees it."""
    import s3fs

    options = {
        "key": "a",
        "secret": "b",
        "endpoint_url": server,
        "client_kwargs": {"region_name": "eu-central-1"},
        "use_listings_cache": False,
    }
    monkeypatch.setenv(ADDRESS, f"s3://feed-{abs(hash(tmp_path))}/orders")
    monkeypatch.setenv(OPTIONS, json.dumps(options))
    store = s3fs.S3FileSystem(**options)
    store.mkdir(f"feed-{abs(hash(tmp_path))}")
    return lambda name, text: store.pipe(f"feed-{abs(hash(tmp_path))}/orders/{name}", text.encode())


def test_new_and_changed_objects_land_and_others_do_not(bucket: Any, home: Home) -> None:
    bucket("orders_2024-01-01.csv", "order_id,ordered_at,amount\n1,2024-01-01 10:00,2\n")
    bucket("2024/orders_2024-01-02.csv", "order_id,ordered_at,amount\n2,2024-01-02 10:00,2\n")
    bucket("readme.txt", "hello")
    found = pull(home, OBJECTS)
    assert found.written == ("orders_2024-01-02.csv", "orders_2024-01-01.csv")
    assert pull(home, OBJECTS).written == ()
    # A late file for a day that has landed, and a correction under the same name.
    bucket("orders_2024-01-01_late.csv", "order_id,ordered_at,amount\n1,2024-01-01 10:00,2\n3,2024-01-01 11:00,2\n")
    bucket("2024/orders_2024-01-02.csv", "order_id,ordered_at,amount\n2,2024-01-02 10:00,7\n")
    assert set(pull(home, OBJECTS).written) == {"orders_2024-01-01_late.csv", "orders_2024-01-02.csv"}
    files = Intake(lake=Lake(root=str(home.root)), source=OBJECTS).landed()
    assert [path.name for path in files.values()] == ["orders_2024-01-01_late.csv", "orders_2024-01-02.csv"]
    assert "7" in files["2024-01-02"].read_text()


def test_a_store_that_is_not_there_is_named(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(ADDRESS, "nosuch://feed")
    with pytest.raises(CannotPull, match="nosuch"):
        pull(home, OBJECTS)
    monkeypatch.setenv(OPTIONS, "[1]")
    with pytest.raises(CannotPull, match="no JSON object"):
        pull(home, OBJECTS)


def test_a_folder_is_a_store_too(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "orders_2024-01-01.csv").write_text("order_id,ordered_at,amount\n")
    monkeypatch.setenv(ADDRESS, (tmp_path / "share").as_uri())
    assert pull(home, OBJECTS).written == ("orders_2024-01-01.csv",)
    assert pull(home, OBJECTS).written == ()


# --- when it is done ---------------------------------------------------------------------------------------


def test_the_schedule_is_quiet_without_an_address_and_its_run_fetches(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    definitions = dg.Definitions.merge(
        build_pull(OBJECTS), dg.Definitions(resources={"lake": Lake(root=str(home.root))})
    )
    schedule = definitions.resolve_schedule_def("pull_orders_schedule")
    monkeypatch.delenv(ADDRESS, raising=False)
    tick = schedule.evaluate_tick(dg.build_schedule_context())
    assert (tick.run_requests, tick.skip_message) == ([], f"{ADDRESS} is not set.")
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "orders_2024-01-01.csv").write_text("order_id,ordered_at,amount\n")
    monkeypatch.setenv(ADDRESS, (tmp_path / "share").as_uri())
    assert len(schedule.evaluate_tick(dg.build_schedule_context()).run_requests or ()) == 1
    assert definitions.resolve_job_def("pull_orders").execute_in_process().success
    assert (home.landing / "orders" / "orders_2024-01-01.csv").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kind": "sql"}, "`table`, and `watermark`"),
        ({"kind": "objects", "table": "orders"}, "what is new, the store says"),
        ({"kind": "sql", "table": "t", "watermark": "w", "overlap": "soon"}, "is not a duration"),
    ],
)
def test_what_a_pull_cannot_be(changes: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        source(changes)
    with pytest.raises(ValueError, match="pull from sql writes Parquet"):
        source({"kind": "sql", "table": "t", "watermark": "w"}, files="orders_{partition}.csv")


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (["2024-01-01 10:00:00 UTC", "2024-01-01T10:00:00+00"], ""),
        (["1704067200", "1704067201"], r"ordered_at of orders is 1704067200, which is no time \(.* seconds since 1970"),
        (["01/02/2024", "02/02/2024"], r"which is no time \(.* has the day or the month first"),
    ],
)
def test_texts_of_a_table_are_times_or_refused(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cells: list[str], told: str
) -> None:
    address = f"sqlite:///{tmp_path / 'texts.db'}"
    rows = [{"order_id": i, "ordered_at": cell, "amount": 1.0, "changed": i} for i, cell in enumerate(cells)]
    with sa.create_engine(address).begin() as connection:
        connection.execute(sa.text("create table orders (order_id int, ordered_at text, amount real, changed int)"))
        connection.execute(sa.text("insert into orders values (:order_id, :ordered_at, :amount, :changed)"), rows)
    monkeypatch.setenv(ADDRESS, address)
    orders = source({"kind": "sql", "table": "orders", "watermark": "changed"})
    if told:
        with pytest.raises(CannotPull, match=told):
            pull(home, orders)
    else:
        assert pull(home, orders).written == ("orders_2024-01-01.parquet",)


@pytest.mark.parametrize("kind", ["timestamp", "text"])
@pytest.mark.parametrize("form", ["{} {}:00", "{} {}:00.000000", "{}T{}:00", "{}T{}:00+00:00", "{}T{}:00Z"])
def test_a_row_at_midnight_lands_in_its_day_however_sqlite_has_its_text(
    form: str, kind: str, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the first day too; rows of Berlin whose texts are in UTC land by the day in Berlin."""
    address = f"sqlite:///{tmp_path / 'texts.db'}"
    times = [(day, hour) for day in (1, 2, 3) for hour in ("00:00", "12:00", "23:30")]
    rows = [
        {"id": 10 * day + place, "at": form.format(f"2024-01-0{day}", hour)} for place, (day, hour) in enumerate(times)
    ]
    with sa.create_engine(address).begin() as connection:
        connection.execute(sa.text(f"create table orders (order_id int, ordered_at {kind}, updated_at {kind})"))
        connection.execute(sa.text("insert into orders values (:id, :at, :at)"), rows)
    monkeypatch.setenv(ADDRESS, address)
    pull(home, source({"kind": "sql", "table": "orders", "watermark": "updated_at"}))
    is_utc = form.endswith(("+00:00", "Z"))
    # In Berlin, 23:30 in UTC is half past midnight of the next day.
    assert landed(home) == (
        {"2024-01-01": [10, 11], "2024-01-02": [12, 23, 24], "2024-01-03": [25, 36, 37], "2024-01-04": [38]}
        if is_utc
        else {"2024-01-01": [10, 11, 12], "2024-01-02": [23, 24, 25], "2024-01-03": [36, 37, 38]}
    )


DAMAGED = {
    "no JSON": '{"watermark": {"time": "2024-0',
    "a list": "[1]",
    "of an earlier version": '{"watermark": "2024-03-01T00:00:00"}',
    "another kind": '{"watermark": {"lsn": 5}}',
    "two kinds": '{"watermark": {"number": 5, "text": "2024-03-01"}}',
    "no number": '{"watermark": {"number": "5"}}',
    "no time": '{"watermark": {"time": 5}}',
    "no decimal": '{"watermark": {"decimal": "5,5"}}',
    "no days": '{"open": 5}',
    "other days": '{"open": ["March"]}',
    "objects": '{"objects": ["a"]}',
    "bytes": "\udcff",
    "nested": "{" * 100_000,
}


@pytest.mark.parametrize("kind", ["sql", "objects"])
@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_note_of_a_fetch_is_a_sentence(
    text: str, kind: str, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or is read, where it says nothing that is needed; once it is deleted, all is fetched."""
    import sqlite3

    feed = tmp_path / "feed"
    feed.mkdir()
    row = "1, '2024-03-01 12:00:00', 5.0, '2024-03-01 12:00:00'"
    with sqlite3.connect(feed / "feed.db") as database:
        database.execute("create table orders (order_id integer, ordered_at text, amount real, updated_at text)")
        database.execute(f"insert into orders values ({row})")
    pd.DataFrame({"order_id": [1]}).to_parquet(feed / "orders_2024-03-01.parquet")
    of = {"sql": {"kind": "sql", "table": "orders", "watermark": "updated_at"}, "objects": {"kind": "objects"}}[kind]
    monkeypatch.setenv(ADDRESS, f"sqlite:///{feed / 'feed.db'}" if kind == "sql" else str(feed))
    note = home.landing / "orders" / ".pull.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_bytes(text.encode(errors="surrogateescape"))
    theirs = {"sql": ("watermark", "open"), "objects": ("objects",)}[kind]
    if not text.endswith("}") or any(f'"{name}"' in text for name in theirs):
        with pytest.raises(
            CannotPull, match=r"\.pull\.json.*delete it: all is looked at.*Nothing was fetched"
        ) as caught:
            pull(home, source(of))
        assert len(str(caught.value)) < 500
        assert landed(home) == {}
        note.unlink()
    pull(home, source(of))
    assert landed(home) == {"2024-03-01": [1]}
