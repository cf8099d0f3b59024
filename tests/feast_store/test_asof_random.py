"""The point-in-time join against a brute-force search, on random histories: ties, late rows, NULLs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from feast import FeatureView, Field, FileSource
from feast.types import Float64, Int64, String

from mlops_assets.feast_store import gather, sources

# Few keys and few distinct hours: ties on event, on created, and on both are the rule, not the exception.
KEYS, HOURS = 4, 12


def random_history(rng: np.random.Generator, rows: int) -> list[tuple[Any, ...]]:
    """Rows of (driver_id, event, created, rate, trips): any of key, created and values may be missing."""
    history = []
    for _ in range(rows):
        event = int(rng.integers(HOURS))
        created = None if rng.random() < 0.1 else event + int(rng.integers(-2, 7))
        key = None if rng.random() < 0.05 else int(rng.integers(KEYS))
        rate = None if rng.random() < 0.1 else float(rng.integers(3))
        trips = None if rng.random() < 0.1 else int(rng.integers(3))
        history.append((key, event, created, rate, trips))
    return history


def lowest_if_missing(value: float | None) -> float:
    return -np.inf if value is None else value


def value_at(
    history: list[tuple[Any, ...]], key: int | None, t: float, ttl: float | None, cutoff: bool
) -> tuple[Any, ...]:
    """What is known of `key` at hour `t`, straight from the definition."""
    known = [
        row
        for row in history
        if key is not None and row[0] == key and row[1] <= t and (not cutoff or row[2] is None or row[2] <= t)
    ]
    if not known:
        return (None, None)
    best = max(known, key=lambda row: tuple(map(lowest_if_missing, row[1:])))
    return (None, None) if ttl is not None and best[1] < t - ttl else best[3:]


@pytest.mark.parametrize("cutoff", [True, False])
@pytest.mark.parametrize("ttl", [None, 3])
def test_join_equals_the_definition(repo, cutoff, ttl):
    view = repo.view(str(repo.directory / "stats.parquet"), ttl=timedelta(hours=ttl) if ttl is not None else None)
    store = repo.store(view, offline={"known_at_cutoff": cutoff})
    for seed in range(12):
        rng = np.random.default_rng(seed)
        history = random_history(rng, int(rng.integers(1, 120)))
        repo.stats(history)
        asked = [
            (None if rng.random() < 0.1 else int(rng.integers(KEYS + 1)), float(rng.integers(-1, HOURS + 8)))
            for _ in range(200)
        ]
        got = store.get_historical_features(repo.drivers(asked), ["stats:rate", "stats:trips"]).to_arrow()
        expected = [value_at(history, key, t, ttl, cutoff) for key, t in asked]
        assert got["driver_id"].to_pylist() == [key for key, _ in asked]
        assert list(zip(got["rate"].to_pylist(), got["trips"].to_pylist(), strict=True)) == expected


def test_a_feature_is_the_same_whatever_else_is_asked_for(repo):
    history = random_history(np.random.default_rng(5), 150)
    store = repo.store(repo.view(repo.stats(history)))
    asked = repo.drivers([(key, hour) for key in range(KEYS) for hour in range(HOURS)])
    both = store.get_historical_features(asked, ["stats:rate", "stats:trips"]).to_df()
    alone = store.get_historical_features(asked, ["stats:trips"]).to_df()
    pd.testing.assert_series_equal(both["trips"], alone["trips"])


def test_neither_the_order_of_rows_nor_the_number_of_threads_decides_a_tie(repo):
    rng = np.random.default_rng(6)
    history = random_history(rng, 150)
    asked = repo.drivers([(key, hour) for key in range(KEYS) for hour in range(HOURS)])
    results = []
    for threads in (1, 2):
        for _ in range(3):
            shuffled = [history[i] for i in rng.permutation(len(history))]
            store = repo.store(repo.view(repo.stats(shuffled)), offline={"threads": threads})
            results.append(store.get_historical_features(asked, ["stats:rate", "stats:trips"]).to_arrow())
    assert all(result.equals(results[0]) for result in results)


def test_a_spill_gives_the_same_rows(repo):
    rng = np.random.default_rng(7)
    rows = 200_000
    frame = pd.DataFrame(
        {
            "driver_id": rng.integers(0, 500, rows),
            "event_timestamp": repo.hours(0) + pd.to_timedelta(rng.integers(0, 10**6, rows), unit="s"),
            "rate": rng.random(rows),
            "trips": rng.integers(0, 9, rows),
        }
    )
    frame["created"] = frame["event_timestamp"] + pd.to_timedelta(rng.integers(0, 10**4, rows), unit="s")
    view = repo.view(repo.write(frame))
    asked = frame[["driver_id", "event_timestamp"]].sample(frac=1.0, random_state=1).reset_index(drop=True)
    small = repo.store(view, offline={"memory_limit": "80MB", "threads": 2})
    large = repo.store(view, offline={"memory_limit": "2GB", "threads": 2})
    refs = ["stats:rate", "stats:trips"]
    written = small.get_historical_features(asked, refs).to_parquet(repo.directory / "out.parquet")
    assert written == rows
    spilled = pd.read_parquet(repo.directory / "out.parquet")
    pd.testing.assert_frame_equal(spilled, large.get_historical_features(asked, refs).to_df(), check_dtype=False)
    assert list(spilled.columns) == ["driver_id", "event_timestamp", "rate", "trips"]


def test_columns_taken_a_few_at_a_time_and_in_batches_are_the_same(repo, monkeypatch):
    """From a history in several files, of which a ttl leaves out some; text too; to Arrow and to Parquet."""
    rng = np.random.default_rng(11)
    history: list[tuple[Any, ...]] = []
    for day in range(5):
        rows = [
            (key, event + 24 * day, None if created is None else created + 24 * day, rate, trips)
            for key, event, created, rate, trips in random_history(rng, 60)
        ]
        history += rows
        path = repo.stats(rows, f"days/{day}.parquet")
        frame = pd.read_parquet(path)
        repo.write(frame.assign(name=frame["rate"].map(lambda rate: f"rate {rate}")), f"days/{day}.parquet")
    view = FeatureView(
        name="stats",
        entities=[repo.driver],
        ttl=timedelta(hours=20),
        schema=[
            Field(name=n, dtype=t)
            for n, t in (("driver_id", Int64), ("rate", Float64), ("trips", Int64), ("name", String))
        ],
        source=FileSource(
            path=str(repo.directory / "days"), timestamp_field="event_timestamp", created_timestamp_column="created"
        ),
    )
    store = repo.store(view)
    asked = [(key, hour) for key in range(KEYS) for hour in range(50, 110, 3)]
    refs = ["stats:rate", "stats:name", "stats:trips"]
    whole = store.get_historical_features(repo.drivers(asked), refs).to_arrow()
    expected = [value_at(history, key, hour, 20, cutoff=True) for key, hour in asked]
    assert list(zip(whole["rate"].to_pylist(), whole["trips"].to_pylist(), strict=True)) == expected
    monkeypatch.setattr(gather, "CELLS", 1)
    monkeypatch.setattr(gather, "BATCH_ROWS", 7)
    job = store.get_historical_features(repo.drivers(asked), refs)
    assert job.to_arrow().equals(whole)
    job.to_parquet(repo.directory / "out.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(repo.directory / "out.parquet"), whole.to_pandas(), check_dtype=False)


def test_files_are_opened_only_where_their_rows_can_count(repo):
    for day in range(4):
        moment = pd.Timestamp("2026-01-01", tz="UTC") + pd.Timedelta(days=day)
        frame = pd.DataFrame({"driver_id": [1], "event_timestamp": [moment], "rate": [float(day)]})
        repo.write(frame.assign(late=[1.0]) if day == 3 else frame, f"days/{day}.parquet")
    files = sources.files_of(str(repo.directory / "days"))

    def chosen(columns: list[str], oldest: str | None, newest: str | None) -> list[int]:
        bounds = [None if text is None else pd.Timestamp(text, tz="UTC").to_pydatetime() for text in (oldest, newest)]
        found = sources.within(files, column="EVENT_timestamp", columns=columns, oldest=bounds[0], newest=bounds[1])
        return [files.index(file) for file in found]

    assert chosen(["rate"], "2026-01-02", "2026-01-03") == [1, 2]
    assert chosen(["rate"], None, "2026-01-01 23:00") == [0]
    assert chosen(["rate"], "2026-01-02 00:00:01", None) == [2, 3]
    assert chosen(["rate"], "2027-01-01", None) == [0], "one file stays, for its columns"
    assert chosen(["rate", "late"], None, "2026-01-02") == [0, 1, 2, 3], "a column that only other files have"
    assert chosen(["rate"], None, None) == [0, 1, 2, 3]
    # A file that changes is looked at again.
    later = pd.DataFrame({"driver_id": [1], "event_timestamp": [pd.Timestamp("2026-01-02", tz="UTC")], "rate": [9.0]})
    repo.write(later, "days/0.parquet")
    assert chosen(["rate"], "2026-01-02", "2026-01-02") == [0, 1]
