"""The cases of Feast's own offline-store tests, on this store and on Feast's `file` store (dask).

Wherever the stock store is right the two give equal rows. Where they differ, the difference has a name, and a
test that pins down what each of them does: when Feast changes its mind, the test says so.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd
import pytest
from feast import Entity, FeatureService, FeatureView, Field, FileSource, RequestSource, ValueType
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, String

REFS = ["stats:rate", "stats:trips"]


def stores(repo: Any, *definitions: Any) -> tuple[Any, Any]:
    """The same definitions in a store of ours and in Feast's."""
    ours = repo.store(*definitions)
    stock = repo.store(
        *definitions,
        offline={"type": "file"},
        online={"type": "sqlite", "path": str(repo.directory / "stock.db")},
    )
    return ours, stock


def same_rows(left: pd.DataFrame, right: pd.DataFrame) -> None:
    """Equal but for the order of rows and columns, and the width of types."""
    assert sorted(left.columns) == sorted(right.columns)
    columns = sorted(left.columns)

    def sort(frame: pd.DataFrame) -> pd.DataFrame:
        plain = frame[columns].copy()
        for column in columns:
            if pd.api.types.is_datetime64_any_dtype(plain[column]):
                plain[column] = plain[column].astype("datetime64[us, UTC]")
            elif pd.api.types.is_numeric_dtype(plain[column]):
                plain[column] = plain[column].astype("float64")
        return plain.sort_values(columns).reset_index(drop=True)

    pd.testing.assert_frame_equal(sort(left), sort(right), check_dtype=False)


HISTORY = [
    (1, 0, 0, 0.1, 10),
    (1, 2, 2, 0.2, 20),
    (1, 4, 4, 0.3, 30),
    (2, 1, 1, 0.4, 40),
    (2, 1, 3, 0.5, 50),  # the same event, corrected later
    (3, 9, 9, 0.6, 60),
]


@pytest.mark.parametrize("full_feature_names", [True, False])
def test_two_views_with_different_entities(repo, full_feature_names):
    customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
    balances = pd.DataFrame(
        {
            "customer_id": ["a", "b", "a"],
            "event_timestamp": [repo.hours(0), repo.hours(1), repo.hours(3)],
            "balance": [1.0, 2.0, 3.0],
        }
    )
    money = FeatureView(
        name="money",
        entities=[customer],
        ttl=timedelta(hours=50),
        schema=[Field(name="customer_id", dtype=String), Field(name="balance", dtype=Float64)],
        source=FileSource(path=repo.write(balances, "money.parquet"), timestamp_field="event_timestamp"),
    )
    ours, stock = stores(repo, customer, repo.view(repo.stats(HISTORY)), money)
    asked = repo.drivers([(1, 1), (1, 3), (1, 5), (2, 5), (3, 9), (9, 5)])
    asked["customer_id"] = ["a", "b", "a", "c", "b", "a"]
    asked["label"] = range(6)
    refs = [*REFS, "money:balance"]
    got = ours.get_historical_features(asked, refs, full_feature_names=full_feature_names).to_df()
    same_rows(got, stock.get_historical_features(asked, refs, full_feature_names=full_feature_names).to_df())
    prefix = ("stats__", "money__") if full_feature_names else ("", "")
    assert list(got.columns) == [
        "driver_id",
        "event_timestamp",
        "customer_id",
        "label",
        f"{prefix[0]}rate",
        f"{prefix[0]}trips",
        f"{prefix[1]}balance",
    ]
    assert got[f"{prefix[0]}trips"].fillna(-1).tolist() == [10, 20, 30, 50, 60, -1]


def test_ttl_counts_from_the_event_and_includes_its_end(repo):
    ours, stock = stores(repo, repo.view(repo.stats([(1, 0, 1, 0.1, 10), (2, 0, 0, 0.2, 20)]), ttl=timedelta(hours=3)))
    asked = repo.drivers([(1, 3), (2, 2.9)])
    got = ours.get_historical_features(asked, REFS).to_df()
    same_rows(got, stock.get_historical_features(asked, REFS).to_df())
    assert got["trips"].tolist() == [10, 20]
    late = ours.get_historical_features(repo.drivers([(1, 3.001)]), REFS).to_df()
    assert late["trips"].isna().all()


def test_created_cutoff_as_the_stock_store_does_it_on_request(repo):
    ours, stock = stores(repo, repo.view(repo.stats(HISTORY)))
    asked = repo.drivers([(8, 1), (2, 1), (2, 2), (2, 3), (2, 8)])
    got = ours.get_historical_features(asked, REFS).to_df()
    same_rows(got, stock.get_historical_features(asked, REFS, filter_by_created_timestamp=True).to_df())
    assert got["trips"].fillna(-1).tolist() == [-1, 40, 40, 50, 50]


def test_without_the_cutoff_as_the_stock_store_does_it_by_default(repo):
    view = repo.view(repo.stats(HISTORY))
    _, stock = stores(repo, view)
    ours = repo.store(view, offline={"known_at_cutoff": False})
    asked = repo.drivers([(8, 1), (2, 1), (2, 2), (2, 3), (2, 8)])
    got = ours.get_historical_features(asked, REFS).to_df()
    same_rows(got, stock.get_historical_features(asked, REFS).to_df())
    assert got["trips"].fillna(-1).tolist() == [-1, 50, 50, 50, 50]
    on_request = ours.get_historical_features(asked, REFS, filter_by_created_timestamp=True).to_df()
    assert on_request["trips"].fillna(-1).tolist() == [-1, 40, 40, 50, 50]


def test_a_backfill_without_a_created_column(repo):
    ours, stock = stores(repo, repo.view(repo.stats(HISTORY[:4]), created_timestamp_column=""))
    asked = repo.drivers([(1, 1), (1, 3), (2, 2)])
    got = ours.get_historical_features(asked, REFS).to_df()
    same_rows(got, stock.get_historical_features(asked, REFS).to_df())


def test_field_mapping(repo):
    path = repo.stats(HISTORY)
    frame = pd.read_parquet(path).rename(columns={"rate": "r", "event_timestamp": "at", "created": "made"})
    path = repo.write(frame, "mapped.parquet")
    view = repo.view(path, timestamp_field="at", created_timestamp_column="made", field_mapping={"r": "rate"})
    ours, stock = stores(repo, view)
    asked = repo.drivers([(1, 1), (1, 3), (2, 5), (7, 5)])
    got = ours.get_historical_features(asked, REFS).to_df()
    same_rows(got, stock.get_historical_features(asked, REFS).to_df())
    assert got["rate"].fillna(-1).tolist() == [0.1, 0.2, 0.5, -1]


def test_one_view_twice_under_aliases_and_other_keys(repo):
    view = repo.view(repo.stats(HISTORY))
    ours, stock = stores(repo, view)
    asked = repo.drivers([(1, 5), (2, 5), (3, 10)]).rename(columns={"driver_id": "origin_id"})
    asked["destination_id"] = pd.array([2, 8, 1], dtype="Int64")
    service = FeatureService(
        name="both_ends",
        features=[
            view.with_name("origin").with_join_key_map({"driver_id": "origin_id"}),
            view.with_name("destination").with_join_key_map({"driver_id": "destination_id"}),
        ],
    )
    frames = []
    for store in (ours, stock):
        store.apply([service])
        frames.append(store.get_historical_features(asked, service, full_feature_names=True).to_df())
    same_rows(*frames)
    assert frames[0]["origin__trips"].tolist() == [30, 50, 60]
    assert frames[0]["destination__trips"].fillna(-1).tolist() == [50, -1, 30]


@pytest.mark.parametrize("full_feature_names", [True, False])
def test_on_demand_view(repo, full_feature_names):
    view = repo.view(repo.stats(HISTORY))
    request = RequestSource(name="request", schema=[Field(name="added", dtype=Int64)])

    @on_demand_feature_view(sources=[view, request], schema=[Field(name="total", dtype=Float64)], mode="pandas")
    def summed(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"total": inputs["trips"] + inputs["added"].astype("float64")})

    ours, stock = stores(repo, view, summed)
    asked = repo.drivers([(1, 1), (2, 5), (9, 5)])
    asked["added"] = [1, 2, 3]
    refs = ["stats:trips", "summed:total"]
    job = ours.get_historical_features(asked, refs, full_feature_names=full_feature_names)
    same_rows(job.to_df(), stock.get_historical_features(asked, refs, full_feature_names=full_feature_names).to_df())
    name = "summed__total" if full_feature_names else "total"
    assert job.to_df()[name].fillna(-1).tolist() == [11, 52, -1]
    job.to_parquet(repo.directory / "on_demand.parquet")
    assert pd.read_parquet(repo.directory / "on_demand.parquet")[name].fillna(-1).tolist() == [11, 52, -1]


def test_entity_times_without_a_zone_or_under_another_name(repo):
    ours, stock = stores(repo, repo.view(repo.stats(HISTORY)))
    asked = repo.drivers([(1, 1), (2, 5)])
    naive = asked.assign(event_timestamp=asked["event_timestamp"].dt.tz_localize(None))
    renamed = asked.rename(columns={"event_timestamp": "at"})
    elsewhere = asked.assign(event_timestamp=asked["event_timestamp"].dt.tz_convert("America/New_York"))
    for frame in (naive, renamed, elsewhere):
        got = ours.get_historical_features(frame, REFS).to_df()
        same_rows(got, stock.get_historical_features(frame, REFS).to_df())
        assert got["trips"].tolist() == [10, 50]


def test_saved_dataset(repo):
    ours, stock = stores(repo, repo.view(repo.stats(HISTORY)))
    asked = repo.drivers([(1, 1), (1, 3), (2, 5)])
    frames = []
    for name, store in (("ours", ours), ("stock", stock)):
        job = store.get_historical_features(asked, REFS)
        storage = SavedDatasetFileStorage(path=str(repo.directory / f"{name}.parquet"))
        saved = store.create_saved_dataset(job, name, storage)
        assert saved.min_event_timestamp == repo.hours(1)
        assert saved.max_event_timestamp == repo.hours(5)
        frames.append(store.get_saved_dataset(name).to_df())
    same_rows(*frames)
    assert len(frames[0]) == 3


def pulled(store: Any, which: str, **times: Any) -> pd.DataFrame:
    view = store.get_feature_view("stats")
    pull = getattr(store._get_provider().offline_store, f"pull_{which}_from_table_or_query")
    job = pull(
        config=store.config,
        data_source=view.batch_source,
        join_key_columns=["driver_id"],
        feature_name_columns=["rate", "trips"],
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
        **times,
    )
    return job.to_df()


@pytest.mark.parametrize("which", ["latest", "all"])
@pytest.mark.parametrize(("start", "end"), [(0, 9), (1, 4), (3, 3.5)])
def test_pulls(repo, which, start, end):
    ours, stock = stores(repo, repo.view(repo.stats(HISTORY)))
    times = {"start_date": repo.hours(start), "end_date": repo.hours(end)}
    same_rows(pulled(ours, which, **times), pulled(stock, which, **times))


def test_snapshot_without_entity_rows(repo):
    ours, stock = stores(repo, repo.view(repo.stats(HISTORY), ttl=timedelta(hours=4)))
    span = {"start_date": repo.hours(1), "end_date": repo.hours(5)}
    got = ours.get_historical_features(features=REFS, **span).to_df()
    same_rows(got, stock.get_historical_features(features=REFS, **span).to_df())
    assert got["driver_id"].tolist() == [1, 2]
    assert got["trips"].tolist() == [30, 50]


# ---------------------------------------- differences


def differs(repo: Any, rows: list[tuple[Any, ...]], asked: pd.DataFrame, **view: Any) -> tuple[list[Any], list[Any]]:
    """What each store gives for `trips`, missing as None."""
    given = []
    for store in stores(repo, repo.view(repo.stats(rows), **view)):
        frame = store.get_historical_features(asked, REFS).to_df()
        given.append([None if pd.isna(value) else int(value) for value in frame["trips"]])
    return given[0], given[1]


def test_difference_stock_drops_rows_beyond_the_ttl(repo):
    asked = repo.drivers([(1, 1), (1, 9)])
    ours, stock = differs(repo, [(1, 0, 0, 0.1, 10)], asked, ttl=timedelta(hours=3))
    assert ours == [10, None]
    assert stock == [10]


def test_difference_stock_drops_rows_before_any_value(repo):
    ours, stock = differs(repo, [(1, 5, 5, 0.1, 10)], repo.drivers([(1, 1), (1, 6)]))
    assert ours == [None, 10]
    assert stock == [10]


def test_difference_stock_merges_equal_entity_rows(repo):
    ours, stock = differs(repo, [(1, 0, 0, 0.1, 10)], repo.drivers([(1, 1), (1, 1)]))
    assert ours == [10, 10]
    assert stock == [10]


def test_difference_stock_changes_the_order_of_rows(repo):
    ours, stock = differs(repo, HISTORY, repo.drivers([(1, 5), (2, 4), (1, 1)]))
    assert ours == [30, 50, 10]
    assert sorted(stock) == [10, 30, 50]
    assert stock != ours


def test_difference_stock_lets_the_file_order_break_ties(repo):
    tied = [(1, 0, 0, 0.1, 10), (1, 0, 0, 0.1, 20)]
    asked = repo.drivers([(1, 1)])
    first = differs(repo, tied, asked)
    second = differs(repo, tied[::-1], asked)
    assert first[0] == second[0] == [20]
    assert first[1] != second[1]


def test_difference_stock_lets_later_knowledge_leak(repo):
    ours, stock = differs(repo, [(1, 0, 0, 0.1, 10), (1, 1, 6, 0.2, 20)], repo.drivers([(1, 2), (1, 7)]))
    assert ours == [10, 20]
    assert stock == [20, 20]


def test_difference_stock_matches_missing_keys_with_missing_keys(repo):
    ours, stock = differs(repo, [(None, 0, 0, 0.1, 10), (1, 0, 0, 0.2, 20)], repo.drivers([(None, 1), (1, 2)]))
    assert ours == [None, 20]
    assert stock == [10, 20]


def test_difference_stock_needs_a_created_time_under_the_cutoff(repo):
    view = repo.view(repo.stats([(1, 0, None, 0.1, 10), (1, 9, 9, 0.2, 20)]))
    asked = repo.drivers([(1, 2)])
    ours, stock = stores(repo, view)
    assert ours.get_historical_features(asked, REFS).to_df()["trips"].tolist() == [10]
    frame = stock.get_historical_features(asked, REFS, filter_by_created_timestamp=True).to_df()
    assert frame["trips"].isna().all()


def test_difference_stock_takes_no_sql(repo):
    ours, stock = stores(repo, repo.view(repo.stats(HISTORY)))
    statement = "SELECT 1 AS driver_id, TIMESTAMP '2024-01-01 05:00:00' AS event_timestamp"
    assert ours.get_historical_features(statement, REFS).to_df()["trips"].tolist() == [30]
    with pytest.raises(ValueError, match="entity_df of type"):
        stock.get_historical_features(statement, REFS)


def test_difference_stock_fails_on_a_view_without_files(repo):
    ours, stock = stores(repo, repo.view(str(repo.directory / "nothing" / "*.parquet")))
    asked = repo.drivers([(1, 2)])
    assert ours.get_historical_features(asked, REFS).to_df()["trips"].isna().all()
    with pytest.raises((KeyError, OSError)):
        stock.get_historical_features(asked, REFS).to_df()


def test_difference_stock_snapshot_ignores_its_start(repo):
    ours, stock = stores(repo, repo.view(repo.stats(HISTORY)))
    span = {"start_date": repo.hours(2), "end_date": repo.hours(5)}
    assert ours.get_historical_features(features=REFS, **span).to_df()["driver_id"].tolist() == [1]
    assert sorted(stock.get_historical_features(features=REFS, **span).to_df()["driver_id"]) == [1, 2]
