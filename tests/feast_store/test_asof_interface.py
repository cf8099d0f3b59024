"""The offline store's interface beyond the join: sources, SQL input, names, saving, writing, errors."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.errors import EntityTimestampInferenceException, SavedDatasetLocationAlreadyExists
from feast.feature_logging import LoggingConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination, SavedDatasetFileStorage
from feast.types import Array, Bool, Float32, Float64, Int32, Int64, String, UnixTimestamp

REFS = ["stats:rate", "stats:trips"]
ROWS = [(1, 0, 0, 0.1, 10), (1, 2, 2, 0.2, 20), (2, 1, 1, 0.4, 40)]


def trips(store: Any, asked: Any) -> list[Any]:
    return store.get_historical_features(asked, ["stats:trips"]).to_arrow()["trips"].to_pylist()


# ---------------------------------------- sources


def test_a_hive_partitioned_glob_and_a_column_that_older_files_lack(repo):
    repo.stats(ROWS[:1], "lake/day=2024-01-01/data.parquet")
    frame = pd.read_parquet(repo.directory / "lake/day=2024-01-01/data.parquet").drop(columns="rate")
    repo.write(frame.assign(driver_id=3), "lake/day=2023-12-31/data.parquet")
    for path in (str(repo.directory / "lake/*/*.parquet"), str(repo.directory / "lake"), "lake/*/*.parquet"):
        store = repo.store(repo.view(path))
        got = store.get_historical_features(repo.drivers([(1, 5), (3, 5)]), REFS).to_df()
        assert got["trips"].tolist() == [10, 10]
        assert got["rate"].isna().tolist() == [False, True]
        source = store.get_feature_view("stats").batch_source
        columns = store._get_provider().get_table_column_names_and_types_from_data_source(store.config, source)
        assert "day" not in dict(columns)


def test_an_empty_source_has_the_types_of_the_schema(repo):
    types = {
        "truth": (Bool, pa.bool_()),
        "small": (Int32, pa.int32()),
        "large": (Int64, pa.int64()),
        "single": (Float32, pa.float32()),
        "text": (String, pa.string()),
        "many": (Array(Float64), pa.list_(pa.float64())),
        "moment": (UnixTimestamp, pa.timestamp("us", tz="UTC")),
    }
    view = FeatureView(
        name="later",
        entities=[repo.driver],
        schema=[
            Field(name="driver_id", dtype=Int64),
            *(Field(name=n, dtype=t) for n, (t, _) in types.items()),
        ],
        source=FileSource(path="later/*/*.parquet", timestamp_field="event_timestamp"),
    )
    store = repo.store(view)
    table = store.get_historical_features(repo.drivers([(1, 1)]), [f"later:{n}" for n in types]).to_arrow()
    assert {name: table.schema.field(name).type for name in types} == {n: kind for n, (_, kind) in types.items()}
    assert all(table[name].null_count == 1 for name in types)
    store._get_provider().validate_data_source(store.config, view.batch_source)


def test_a_remote_source_is_read_through_its_filesystem(repo, monkeypatch):
    # No bucket can be reached from a test: the file system that Feast would open is a local directory.
    repo.stats(ROWS, "bucket/stats.parquet")
    local = pa.fs.SubTreeFileSystem(str(repo.directory), pa.fs.LocalFileSystem())
    monkeypatch.setattr(
        FileSource,
        "create_filesystem_and_path",
        staticmethod(lambda path, *_: (local, path.removeprefix("s3://"))),
    )
    assert trips(repo.store(repo.view("s3://bucket/stats.parquet")), repo.drivers([(1, 1), (2, 1)])) == [
        10,
        40,
    ]


def test_a_view_without_entities(repo):
    view = FeatureView(
        name="world",
        entities=[],
        ttl=timedelta(hours=5),
        schema=[Field(name="trips", dtype=Int64)],
        source=FileSource(path=repo.stats(ROWS), timestamp_field="event_timestamp"),
    )
    got = repo.store(view).get_historical_features(repo.drivers([(7, 1.5), (7, 0), (7, -1), (7, 9)]), ["world:trips"])
    assert got.to_arrow()["trips"].to_pylist() == [40, 10, None, None]


def test_a_key_of_two_columns(repo):
    place = Entity(name="place", join_keys=["place_id"], value_type=ValueType.STRING)
    frame = pd.read_parquet(repo.stats(ROWS)).assign(place_id=["x", "y", "x"])
    view = FeatureView(
        name="pair",
        entities=[repo.driver, place],
        schema=[
            Field(name="driver_id", dtype=Int64),
            Field(name="place_id", dtype=String),
            Field(name="trips", dtype=Int64),
        ],
        source=FileSource(path=repo.write(frame, "pair.parquet"), timestamp_field="event_timestamp"),
    )
    asked = repo.drivers([(1, 5), (1, 5), (2, 5), (2, 5)]).assign(place_id=["x", "y", "x", None])
    got = repo.store(place, view).get_historical_features(asked, ["pair:trips"]).to_arrow()
    assert got["trips"].to_pylist() == [10, 20, 40, None]


def test_naive_times_in_a_source_are_utc_and_nanoseconds_are_cut_off(repo):
    at = pd.to_datetime([repo.hours(0), repo.hours(2)]).tz_localize(None).astype("datetime64[ns]")
    frame = pd.DataFrame(
        {"driver_id": [1, 1], "event_timestamp": at, "created": at, "rate": [1.0, 2.0], "trips": [1, 2]}
    )
    path = repo.directory / "naive.parquet"
    pq.write_table(pa.Table.from_pandas(frame), path)
    asked = repo.drivers([(1, 1), (1, 2)])
    asked["event_timestamp"] = asked["event_timestamp"].astype("datetime64[ns, UTC]")
    assert trips(repo.store(repo.view(str(path))), asked) == [1, 2]


# ---------------------------------------- entity rows


def test_sql_entity_rows_from_a_file(repo):
    store = repo.store(repo.view(repo.stats(ROWS)))
    asked = repo.drivers([(1, 3), (2, 3), (1, 1)]).assign(label=[1, 0, 1])
    path = repo.write(asked, "labels.parquet")
    job = store.get_historical_features(f"SELECT * FROM '{path}' -- all of them", REFS)
    assert job.to_arrow().column_names == ["driver_id", "event_timestamp", "label", "rate", "trips"]
    assert job.to_arrow()["trips"].to_pylist() == [20, 40, 10]
    assert job.metadata.keys == ["driver_id", "label"]
    assert job.metadata.min_event_timestamp == repo.hours(1)
    assert job.metadata.max_event_timestamp == repo.hours(3)
    job.to_parquet(repo.directory / "out.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(repo.directory / "out.parquet"), job.to_df(), check_dtype=False)


@pytest.mark.parametrize("text", ["SELECT 1; SELECT 2", "CREATE TABLE x AS SELECT 1", "COPY (SELECT 1) TO 'x.csv'"])
def test_entity_sql_is_one_select(repo, text):
    store = repo.store(repo.view(repo.stats(ROWS)))
    with pytest.raises(ValueError, match="one SELECT"):
        store.get_historical_features(text, REFS).to_df()


def test_columns_come_back_as_they_went_in(repo):
    asked = repo.drivers([(1, 3), (2, 3)])
    asked["kind"] = pd.Categorical(["a", "b"])
    asked["at"] = pd.to_datetime(["2020-01-01", "2020-01-02"], utc=True)
    asked["many"] = [[1, 2], [3]]
    got = repo.store(repo.view(repo.stats(ROWS))).get_historical_features(asked, REFS).to_df()
    for column in ("kind", "at", "event_timestamp"):
        pd.testing.assert_series_equal(got[column], asked[column])
    assert [list(values) for values in got["many"]] == [[1, 2], [3]]


def test_no_entity_rows_give_no_rows(repo):
    got = repo.store(repo.view(repo.stats(ROWS))).get_historical_features(repo.drivers([]), REFS).to_arrow()
    assert got.num_rows == 0
    assert got.column_names == ["driver_id", "event_timestamp", "rate", "trips"]


def test_keys_that_are_all_missing_and_times_that_are(repo):
    store = repo.store(repo.view(repo.stats(ROWS)))
    asked = pd.DataFrame({"driver_id": [None, None], "event_timestamp": [repo.hours(3)] * 2})
    assert trips(store, asked) == [None, None]
    asked = repo.drivers([(1, 3), (1, 3)])
    asked.loc[0, "event_timestamp"] = pd.NaT
    assert trips(store, asked) == [None, 20]


# ---------------------------------------- odd names


def test_names_are_names_and_never_sql(repo):
    odd = ['a"; DROP TABLE spine; --', "select", "with space", "quote'", "e", "row", "known"]
    frame = pd.read_parquet(repo.stats(ROWS))
    for n, name in enumerate(odd):
        frame[name] = [n, n + 100, n + 200]
    key = 'key"; --'
    frame = frame.rename(columns={"driver_id": key})
    entity = Entity(name="odd", join_keys=[key], value_type=ValueType.INT64)
    view = FeatureView(
        name="odd'view",
        entities=[entity],
        ttl=timedelta(days=9),
        schema=[Field(name=key, dtype=Int64), *(Field(name=name, dtype=Int64) for name in odd)],
        source=FileSource(path=repo.write(frame, "it's.parquet"), timestamp_field="event_timestamp"),
    )
    asked = repo.drivers([(1, 1), (2, 5)]).rename(columns={"driver_id": key})
    job = repo.store(entity, view).get_historical_features(asked, [f"odd'view:{name}" for name in odd])
    table = job.to_arrow()
    assert [table[name].to_pylist() for name in odd] == [[n, n + 200] for n in range(len(odd))]
    assert job.to_sql().count("ASOF LEFT JOIN") == 1


def test_a_name_that_would_occur_twice(repo):
    store = repo.store(repo.view(repo.stats(ROWS)))
    asked = repo.drivers([(1, 3)]).assign(trips=7)
    with pytest.raises(ValueError, match=r"'trips' twice.*full_feature_names"):
        store.get_historical_features(asked, REFS).to_df()
    got = store.get_historical_features(asked, REFS, full_feature_names=True).to_df()
    assert got[["trips", "stats__trips"]].to_numpy().tolist() == [[7, 20]]


# ---------------------------------------- clear errors


def test_errors_name_the_remedy(repo):
    path = repo.stats(ROWS)
    store = repo.store(repo.view(path))
    asked = repo.drivers([(1, 3)])
    with pytest.raises(ValueError, match=r"lack the join key 'driver_id'.*Add the column"):
        store.get_historical_features(asked[["event_timestamp"]], REFS).to_df()
    with pytest.raises(ValueError, match=r"VARCHAR in the entity rows.*Convert"):
        store.get_historical_features(asked.assign(driver_id=["one"]), REFS).to_df()
    with pytest.raises(EntityTimestampInferenceException):
        store.get_historical_features(asked[["driver_id"]], REFS)
    repo.write(pd.read_parquet(path).drop(columns="rate"))
    with pytest.raises(ValueError, match=r"no column 'rate'; it has .*Correct the schema"):
        store.get_historical_features(asked, REFS).to_df()


def test_a_source_with_the_wrong_timestamp_is_not_valid(repo):
    store = repo.store(repo.view(repo.stats(ROWS)))
    wrong = FileSource(path=str(repo.directory / "stats.parquet"), timestamp_field="nowhere")
    with pytest.raises(ValueError, match="no column 'nowhere'"):
        store._get_provider().validate_data_source(store.config, wrong)


def test_schema_inference_reads_the_files_or_says_that_there_are_none(repo):
    def view(path: str) -> FeatureView:
        return FeatureView(
            name="inferred",
            entities=[repo.driver],
            source=FileSource(path=path, timestamp_field="event_timestamp", created_timestamp_column="created"),
        )

    store = repo.store(view(repo.stats(ROWS)))
    assert {f.name: f.dtype for f in store.get_feature_view("inferred").features} == {
        "rate": Float64,
        "trips": Int64,
    }
    with pytest.raises(FileNotFoundError, match="Declare the view's schema"):
        repo.store(view(str(repo.directory / "none" / "*.parquet")))


# ---------------------------------------- saving and writing


@pytest.mark.parametrize("name", ["saved.parquet", "saved"])
def test_persist_replaces_only_when_allowed(repo, name):
    store = repo.store(repo.view(repo.stats(ROWS)))
    storage = SavedDatasetFileStorage(path=name)
    store.get_historical_features(repo.drivers([(1, 3)]), REFS).persist(storage)
    again = store.get_historical_features(repo.drivers([(1, 3), (2, 3)]), REFS)
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        again.persist(storage)
    assert len(pd.read_parquet(repo.directory / name)) == 1
    again.persist(storage, allow_overwrite=True)
    assert pd.read_parquet(repo.directory / name)["trips"].tolist() == [20, 40]
    assert not list(repo.directory.glob(".*tmp"))


def test_a_failed_write_leaves_what_was_there(repo):
    store = repo.store(repo.view(repo.stats(ROWS)))
    target = repo.directory / "out.parquet"
    store.get_historical_features(repo.drivers([(1, 3)]), REFS).to_parquet(target)
    before = target.read_bytes()
    with pytest.raises(Exception, match=r"(?i)conver"):
        store.get_historical_features(
            "SELECT 1 AS driver_id, now() AS event_timestamp, CAST('x' AS INT) AS bad", REFS
        ).to_parquet(target)
    assert target.read_bytes() == before
    assert not list(repo.directory.glob(".*tmp"))


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_rows_are_appended(repo, kind):
    path = repo.stats(ROWS, "store/one.parquet")
    store = repo.store(repo.view(path if kind == "file" else str(repo.directory / "store")))
    more = pd.read_parquet(path).iloc[:1].assign(driver_id=9, trips=90)
    store.write_to_offline_store("stats", more)
    assert trips(store, repo.drivers([(1, 3), (9, 3)])) == [20, 90]
    with pytest.raises(ValueError, match="do not match"):
        store.write_to_offline_store("stats", more.drop(columns="rate"))


def test_rows_are_not_written_to_a_glob(repo):
    repo.stats(ROWS, "lake/day=2024-01-01/data.parquet")
    store = repo.store(repo.view("lake/*/*.parquet"))
    rows = pd.read_parquet(repo.directory / "lake/day=2024-01-01/data.parquet")
    with pytest.raises(ValueError, match=r"can't be written.*dbt"):
        store.write_to_offline_store("stats", rows)


def test_logged_features_come_back(repo):
    view = repo.view(repo.stats(ROWS))
    store = repo.store(view)
    service = FeatureService(
        name="served",
        features=[view],
        logging_config=LoggingConfig(destination=FileLoggingDestination(path=str(repo.directory / "logs"))),
    )
    store.apply([service])
    logs = pa.table({"driver_id": [1], "__log_timestamp": pa.array([repo.hours(1)], pa.timestamp("us", tz="UTC"))})
    provider = store._get_provider()
    for _ in range(2):
        provider.write_feature_service_logs(service, logs, store.config, store.registry)
    assert ds.dataset(str(repo.directory / "logs")).count_rows() == 2


def test_newest_time_for_monitoring(repo):
    store = repo.store(repo.view(repo.stats(ROWS)))
    offline = store._get_provider().offline_store
    source = store.get_feature_view("stats").batch_source
    assert offline.get_monitoring_max_timestamp(store.config, source, "event_timestamp") == repo.hours(2)
    nothing = FileSource(path="none/*.parquet", timestamp_field="event_timestamp")
    assert offline.get_monitoring_max_timestamp(store.config, nothing, "event_timestamp") is None
