"""The online store: ttl, no older values, fast materialization, and agreement with the offline store."""

from __future__ import annotations

import json
import sqlite3
import time
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Array, Bool, Float32, Float64, Int32, Int64, String, UnixTimestamp

from mlops_assets.feast_store import materialize
from mlops_assets.feast_store.materialize import _integer_keys, materialize_latest

REFS = ["stats:rate", "stats:trips"]
ROWS = [(1, 0, 0, 0.1, 10), (1, 2, 2, 0.2, 20), (2, 1, 1, 0.4, 40), (3, 9, 9, 0.6, 60)]


def clock(repo: Any, hour: float, **views: float) -> dict[str, str]:
    """Set the repository's clock, and those of single views; returns the online store's setting."""
    times = {view: repo.hours(own).isoformat() for view, own in views.items()}
    (repo.directory / "clock.json").write_text(json.dumps({"now": repo.hours(hour).isoformat(), "views": times}))
    return {"clock_file": "clock.json"}


def online(store: Any, *keys: Any) -> list[Any]:
    rows = [{"driver_id": key} for key in keys]
    return store.get_online_features(["stats:trips"], rows).to_dict()["trips"]


def statuses(store: Any, *keys: Any) -> list[str]:
    response = store.get_online_features(REFS, [{"driver_id": key} for key in keys]).proto
    names = response.DESCRIPTOR.file.enum_types_by_name["FieldStatus"].values_by_number
    position = list(response.metadata.feature_names.val).index("trips")
    return [names[status].name for status in response.results[position].statuses]


# ---------------------------------------- ttl


def test_the_ttl_holds_and_its_end_is_included(repo):
    view = repo.view(repo.stats(ROWS), ttl=timedelta(hours=3))
    store = repo.store(view, online=clock(repo, 5))
    materialize_latest(store, ["stats"], None, repo.hours(5))
    assert online(store, 1, 2, 3) == [20, None, None]
    assert statuses(store, 1, 2, 3, 1) == ["PRESENT", "OUTSIDE_MAX_AGE", "NOT_FOUND", "PRESENT"]
    clock(repo, 5.0001)
    assert online(store, 1, 2) == [None, None]


def test_what_is_past_twice_its_ttl_is_not_kept(repo):
    view = repo.view(repo.stats(ROWS), ttl=timedelta(hours=3))
    store = repo.store(view, online=clock(repo, 7))
    materialize_latest(store, ["stats"], None, repo.hours(7))
    # Events at 2 and at 1 o'clock: the end is included again.
    assert statuses(store, 1, 2) == ["OUTSIDE_MAX_AGE", "OUTSIDE_MAX_AGE"]
    materialize_latest(store, ["stats"], None, repo.hours(7.5))
    assert statuses(store, 1, 2) == ["OUTSIDE_MAX_AGE", "NOT_FOUND"], "the run before had written it"
    materialize_latest(store, ["stats"], None, repo.hours(7.5), rebuild=True)
    assert statuses(store, 1, 2) == ["OUTSIDE_MAX_AGE", "NOT_FOUND"]


def test_without_a_ttl_values_live_for_ever(repo):
    store = repo.store(repo.view(repo.stats(ROWS)))
    materialize_latest(store, None, None, repo.hours(5))
    assert online(store, 1, 2, 3) == [20, 40, None]


def test_the_wall_clock_rules_while_there_is_no_clock_file(repo):
    view = repo.view(repo.stats(ROWS), ttl=timedelta(hours=3))
    for settings in ({}, {"clock_file": "clock.json"}):
        store = repo.store(view, online=settings)
        materialize_latest(store, ["stats"], None, repo.hours(5))
        assert online(store, 1) == [None]


def test_a_clock_file_that_does_not_say_the_time(repo):
    store = repo.store(repo.view(repo.stats(ROWS), ttl=timedelta(hours=3)), online=clock(repo, 5))
    (repo.directory / "clock.json").write_text("{}")
    with pytest.raises(ValueError, match=r"must hold.*Write it"):
        online(store, 1)


def test_a_service_with_vectors_computed_ahead_holds_the_ttl_too(repo):
    view = repo.view(repo.stats(ROWS), ttl=timedelta(hours=3))
    store = repo.store(view, online=clock(repo, 5))
    service = FeatureService(name="ahead", features=[view], precompute_online=True)
    store.apply([service])
    materialize_latest(store, ["stats"], None, repo.hours(5))
    read = store.get_online_features(service, [{"driver_id": 1}, {"driver_id": 2}]).to_dict()
    assert read["trips"] == [20, None]


# ---------------------------------------- never an older value


def test_what_arrives_late_and_is_older_changes_nothing(repo):
    store = repo.store(repo.view(repo.stats(ROWS)))
    materialize_latest(store, ["stats"], None, repo.hours(5))
    repo.stats([*ROWS, (1, 1, 6, 9.9, 99), (2, 3, 6, 7.7, 77)])
    done = materialize_latest(store, ["stats"], None, repo.hours(7))
    assert [(span.start, span.end, span.entities) for span in done] == [(repo.hours(5), repo.hours(7), 2)]
    assert online(store, 1, 2) == [20, 77]


def test_microseconds_decide_as_well(repo):
    second = 1 / 3600
    store = repo.store(repo.view(repo.stats([(1, 0.9 * second, 0.9 * second, 0.1, 90)])))
    materialize_latest(store, ["stats"], None, repo.hours(1))
    repo.stats([(1, 0.5 * second, 2, 0.1, 50)])
    materialize_latest(store, ["stats"], None, repo.hours(3))
    assert online(store, 1) == [90]


def test_a_correction_of_the_same_event_replaces_it(repo):
    store = repo.store(repo.view(repo.stats(ROWS)))
    materialize_latest(store, ["stats"], None, repo.hours(5))
    repo.stats([*ROWS, (1, 2, 6, 0.2, 21)])
    materialize_latest(store, ["stats"], None, repo.hours(7))
    assert online(store, 1) == [21]


def test_pushed_rows_keep_the_newest_too(repo):
    store = repo.store(repo.view(repo.stats(ROWS)))
    for hour, count in ((3, 30), (1, 11), (3, 31)):
        frame = pd.DataFrame(
            {
                "driver_id": [1],
                "event_timestamp": [repo.hours(hour)],
                "created": [repo.hours(hour)],
                "rate": [0.5],
                "trips": [count],
            }
        )
        store.write_to_online_store("stats", frame)
    assert online(store, 1) == [31]


def test_a_rebuild_forgets_what_the_source_no_longer_has(repo):
    store = repo.store(repo.view(repo.stats(ROWS)))
    materialize_latest(store, ["stats"], None, repo.hours(5))
    repo.stats(ROWS[:1])
    materialize_latest(store, ["stats"], None, repo.hours(6))
    assert online(store, 1, 2) == [20, 40]
    materialize_latest(store, ["stats"], None, repo.hours(6), rebuild=True)
    assert online(store, 1, 2) == [10, None]


# ---------------------------------------- going on, all or nothing


def test_feast_goes_on_where_we_ended_and_we_where_feast_did(repo, capsys):
    store = repo.store(repo.view(repo.stats(ROWS)))
    materialize_latest(store, ["stats"], repo.hours(0), repo.hours(1))
    assert store.get_feature_view("stats").materialization_intervals == [(repo.hours(0), repo.hours(1))]
    assert online(store, 1, 2) == [10, 40]
    store.materialize_incremental(repo.hours(3))
    capsys.readouterr()
    assert online(store, 1, 2, 3) == [20, 40, None]
    done = materialize_latest(store, ["stats"], None, repo.hours(10))
    assert [(span.start, span.entities) for span in done] == [(repo.hours(3), 1)]
    assert online(store, 1, 2, 3) == [20, 40, 60]


def test_the_same_interval_twice_changes_nothing(repo):
    store = repo.store(repo.view(repo.stats(ROWS)))
    tables = []
    for _ in range(2):
        materialize_latest(store, ["stats"], repo.hours(0), repo.hours(5))
        with sqlite3.connect(store.config.online_store.path) as connection:
            tables.append(connection.execute("SELECT * FROM demo_stats ORDER BY 1, 2").fetchall())
    assert tables[0] == tables[1]
    assert len(tables[0]) == 4


def test_a_failure_in_the_second_view_leaves_the_first_as_it_was(repo):
    good = repo.view(repo.stats(ROWS, "good.parquet"), name="stats")
    bad = repo.view(repo.stats(ROWS, "bad.parquet"), name="other")
    store = repo.store(good, bad)
    (repo.directory / "bad.parquet").write_bytes(b"PAR1 truncated")
    with pytest.raises(Exception, match=r"bad\.parquet"):
        materialize_latest(store, ["stats", "other"], None, repo.hours(5))
    assert online(store, 1) == [None]
    assert store.get_feature_view("stats").materialization_intervals == []
    repo.stats(ROWS, "bad.parquet")
    materialize_latest(store, ["stats", "other"], None, repo.hours(5))
    assert online(store, 1) == [20]


def test_a_view_without_files_has_no_values_and_goes_on_later(repo):
    path = str(repo.directory / "later" / "*.parquet")
    store = repo.store(repo.view(path))
    assert materialize_latest(store, ["stats"], None, repo.hours(0))[0].entities == 0
    repo.stats(ROWS, "later/one.parquet")
    materialize_latest(store, ["stats"], None, repo.hours(5))
    assert online(store, 1) == [20]


def test_a_view_that_is_ahead_keeps_what_it_has(repo):
    store = repo.store(repo.view(repo.stats(ROWS)))
    materialize_latest(store, ["stats"], None, repo.hours(9))
    assert materialize_latest(store, ["stats"], None, repo.hours(4)) == []
    assert online(store, 1, 3) == [20, 60]
    # Made anew at an earlier moment it reaches as far as before: the next run would not read what lies between.
    (done,) = materialize_latest(store, ["stats"], None, repo.hours(4), rebuild=True)
    assert done.end == repo.hours(9)
    assert online(store, 1, 3) == [20, 60]


def test_the_clock_of_one_view(repo):
    store = repo.store(repo.view(repo.stats(ROWS), ttl=timedelta(hours=3)), online=clock(repo, 5))
    materialize_latest(store, ["stats"], None, repo.hours(5))
    clock(repo, 100, stats=5)
    assert online(store, 1) == [20]
    clock(repo, 5, other=100)
    assert online(store, 1) == [20]
    clock(repo, 5, stats=100)
    assert online(store, 1) == [None]


def test_errors_name_the_remedy(repo):
    store = repo.store(repo.view(repo.stats(ROWS)))
    with pytest.raises(ValueError, match="after the end"):
        materialize_latest(store, ["stats"], repo.hours(5), repo.hours(4))
    stock = repo.store(repo.view(repo.stats(ROWS)), offline={"type": "file"})
    with pytest.raises(ValueError, match=r"needs mlops_assets.*feature_store.yaml"):
        materialize_latest(stock, ["stats"], None, repo.hours(5))


# ---------------------------------------- Feast's own client


def every_type(repo: Any) -> tuple[Any, ...]:
    place = Entity(name="place", join_keys=["place_id"], value_type=ValueType.STRING)
    count = 40
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "driver_id": rng.integers(-5, 5, count),
            "place_id": rng.choice(["x", "y", "ß"], count),
            "event_timestamp": [repo.hours(int(h)) for h in rng.integers(0, 9, count)],
            "double": np.where(rng.random(count) < 0.2, np.nan, rng.normal(size=count)),
            "single": rng.random(count).astype("float32"),
            "long": pd.array([None, *rng.integers(-9, 9, count - 1)], dtype="Int64"),
            "short": rng.integers(0, 9, count).astype("int32"),
            "narrow": rng.integers(0, 9, count).astype("int8"),
            "text": rng.choice(["a", "ü", ""], count),
            "truth": rng.random(count) < 0.5,
            "many": [list(rng.random(2)) for _ in range(count)],
            "moment": [repo.hours(int(h)) for h in rng.integers(0, 9, count)],
        }
    ).drop_duplicates(["driver_id", "place_id", "event_timestamp"])
    frame["created"] = frame["event_timestamp"]
    types = {
        "double": Float64,
        "single": Float32,
        "long": Int64,
        "short": Int32,
        "narrow": Int32,
        "text": String,
        "truth": Bool,
        "many": Array(Float64),
        "moment": UnixTimestamp,
    }
    fields = [Field(name=name, dtype=kind) for name, kind in types.items()]
    view = FeatureView(
        name="typed",
        entities=[repo.driver, place],
        schema=[Field(name="driver_id", dtype=Int64), Field(name="place_id", dtype=String), *fields],
        source=FileSource(
            path=repo.write(frame, "typed.parquet"),
            timestamp_field="event_timestamp",
            created_timestamp_column="created",
        ),
    )
    return place, view


def stored(path: str, table: str) -> list[Any]:
    columns = "entity_key, feature_name, value, value_text, event_ts, created_ts"
    with sqlite3.connect(path) as connection:
        return connection.execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2").fetchall()


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_the_table_is_what_feast_writes_itself(repo, capsys, monkeypatch, zone):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        place, typed = every_type(repo)
        stats = repo.view(repo.stats(ROWS))
        ours = repo.store(place, typed, stats)
        theirs = repo.store(
            place,
            typed,
            stats,
            offline={"type": "file"},
            online={"type": "sqlite", "path": str(repo.directory / "theirs.db")},
        )
        materialize_latest(ours, None, repo.hours(0), repo.hours(9))
        theirs.materialize(repo.hours(0), repo.hours(9))
        capsys.readouterr()
        for table in ("demo_typed", "demo_stats"):
            mine = stored(ours.config.online_store.path, table)
            assert mine == stored(str(repo.directory / "theirs.db"), table)
            assert mine
        assert online(ours, 1, 2, 3) == online(theirs, 1, 2, 3) == [20, 40, 60]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_feasts_own_store_reads_our_file(repo):
    store = repo.store(repo.view(repo.stats(ROWS)))
    materialize_latest(store, ["stats"], None, repo.hours(5))
    config = RepoConfig(
        project="demo",
        provider="local",
        registry=store.config.registry.path,
        offline_store={"type": "file"},
        online_store={"type": "sqlite", "path": store.config.online_store.path},
        entity_key_serialization_version=3,
        repo_path=repo.directory,
    )
    stock = FeatureStore(config=config)
    assert online(stock, 1, 2, 3) == [20, 40, None]
    # And the other way: what Feast's client writes into the table, we read.
    frame = pd.DataFrame({"driver_id": [3], "event_timestamp": [repo.hours(9)], "created": [repo.hours(9)]})
    stock.write_to_online_store("stats", frame.assign(rate=0.6, trips=60))
    assert online(store, 1, 2, 3) == [20, 40, 60]


@pytest.mark.parametrize("names", [["id"], ["b", "a"]])
def test_integer_keys_are_laid_out_as_feast_does(repo, names):

    config = repo.store().config
    numbers = [0, 1, -1, 2**62, -(2**62)]
    columns = {name: pa.array([n + shift for n in numbers]) for shift, name in enumerate(names)}
    assert _integer_keys(config, columns) == [
        serialize_entity_key(
            EntityKey(join_keys=names, entity_values=[Value(int64_val=n + s) for s in range(len(names))]), 3
        )
        for n in numbers
    ]


# ---------------------------------------- agreement with offline


@pytest.mark.parametrize("seed", range(4))
def test_online_agrees_with_offline_after_every_step(repo, seed):
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(150):
        event = int(rng.integers(0, 20))
        created = None if rng.random() < 0.1 else event + int(rng.integers(-1, 8))
        rows.append((int(rng.integers(6)), event, created, float(rng.integers(3)), int(rng.integers(4))))
    view = repo.view(repo.stats(rows), ttl=timedelta(hours=4))
    store = repo.store(view, online=clock(repo, 0))
    keys = list(range(7))
    for hour in (0, 3, 4, 9, 15, 26):
        clock(repo, hour)
        materialize_latest(store, ["stats"], None, repo.hours(hour))
        read = store.get_online_features(REFS, [{"driver_id": key} for key in keys]).to_dict()
        joined = store.get_historical_features(repo.drivers([(key, hour) for key in keys]), REFS).to_arrow()
        assert read["rate"] == joined["rate"].to_pylist()
        assert read["trips"] == joined["trips"].to_pylist()


def test_more_entities_than_one_statement_or_batch_takes(repo, monkeypatch):
    monkeypatch.setattr(materialize, "_ENTITIES_PER_BATCH", 5_000)
    count = 12_000
    at = datetime.fromisoformat("2024-01-01T00:00:00+00:00")
    frame = pd.DataFrame({"driver_id": range(count), "event_timestamp": at, "created": at, "rate": 0.5})
    store = repo.store(repo.view(repo.write(frame.assign(trips=frame["driver_id"]))))
    assert materialize_latest(store, ["stats"], None, repo.hours(5))[0].entities == count
    assert online(store, *range(count)) == list(range(count))
