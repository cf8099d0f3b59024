"""The option `event_times`: beside a view's features, when the row was about that they come from."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest

from tests.feast_store.conftest import Repo

HISTORY = [
    # driver, about hour, known at hour, rate, trips
    (1, 0, 0, 0.1, 1),
    (1, 2, 5, 0.2, 2),
    (2, 1, 1, 0.3, 3),
]


def joined(repo: Repo, *, event_times: bool, full: bool = True, ttl: timedelta | None = None) -> pd.DataFrame:
    view = repo.view(repo.stats(HISTORY), ttl=ttl)
    store = repo.store(view, offline={"event_times": event_times})
    return store.get_historical_features(
        entity_df=repo.drivers([(1, 3), (1, 6), (2, 6), (3, 6)]),
        features=["stats:rate"],
        full_feature_names=full,
    ).to_df()


def hours(repo: Repo, column: pd.Series) -> list[float | None]:
    begin = pd.Timestamp(repo.hours(0), tz="UTC") if repo.hours(0).tzinfo is None else pd.Timestamp(repo.hours(0))
    return [None if pd.isna(t) else (t - begin).total_seconds() / 3600 for t in column]


def test_the_time_is_the_joined_rows_and_not_the_events(repo: Repo) -> None:
    found = joined(repo, event_times=True)
    # Worked by hand: at 3 the row about 2 was not known yet (it came at 5); driver 3 has no row.
    assert hours(repo, found["stats__event_timestamp"]) == [0, 2, 1, None]
    assert found["stats__rate"].tolist()[:3] == [0.1, 0.2, 0.3]
    assert str(found["stats__event_timestamp"].dtype) == "datetime64[us, UTC]"


def test_beyond_the_ttl_there_is_no_time_either(repo: Repo) -> None:
    found = joined(repo, event_times=True, ttl=timedelta(hours=4))
    assert hours(repo, found["stats__event_timestamp"]) == [0, 2, None, None]
    assert found["stats__rate"].isna().tolist() == [False, False, True, True]


def test_off_by_default_the_columns_are_feasts(repo: Repo) -> None:
    with_times, without = joined(repo, event_times=True), joined(repo, event_times=False)
    assert without.columns.tolist() == ["driver_id", "event_timestamp", "stats__rate"]
    pd.testing.assert_frame_equal(with_times[without.columns], without)


def test_the_name_carries_the_view_also_with_short_feature_names(repo: Repo) -> None:
    assert joined(repo, event_times=True, full=False).columns.tolist() == [
        "driver_id", "event_timestamp", "rate", "stats__event_timestamp",
    ]  # fmt: skip


def test_what_is_written_to_a_file_has_them_too(repo: Repo) -> None:
    from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

    store = repo.store(repo.view(repo.stats(HISTORY)), offline={"event_times": True})
    job = store.get_historical_features(
        entity_df=repo.drivers([(1, 3), (2, 6)]), features=["stats:rate"], full_feature_names=True
    )
    path = repo.directory / "saved.parquet"
    job.persist(SavedDatasetFileStorage(path=str(path)))
    assert hours(repo, pd.read_parquet(path)["stats__event_timestamp"]) == [0, 1]


@pytest.mark.parametrize("wanted", [True, False])
def test_each_view_has_its_own(repo: Repo, wanted: bool) -> None:
    first = repo.view(repo.stats(HISTORY), name="stats")
    second = repo.view(repo.stats([(1, 1, 1, 9.0, 9)], "other.parquet"), name="other")
    store = repo.store(first, second, offline={"event_times": wanted})
    found = store.get_historical_features(
        entity_df=repo.drivers([(1, 3)]), features=["stats:rate", "other:rate"], full_feature_names=True
    ).to_df()
    times = {"stats": [0], "other": [1]} if wanted else {}
    assert {
        name.removesuffix("__event_timestamp"): hours(repo, found[name])
        for name in found.columns
        if name.endswith("__event_timestamp")
    } == times
