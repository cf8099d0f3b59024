"""Online materialization: 50,000 entities x 10 features from 2,000,000 rows, ours against Feast's own.

What lives here: the timing, and a check that both stores then hold the same values. Synthetic data, one seed.

    python benchmarks/online_materialization.py [--quick]

Each contender gets a fresh registry and a fresh SQLite file for each repetition; they take turns. The last
line printed is a JSON object with the figures and the target.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64, Int64

from mlops_assets.feast_store.materialize import materialize_latest

FEATURES = 10
TARGET = 4.0
START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)
STORES = {
    "asof": {
        "offline_store": {"type": "mlops_assets.feast_store.offline.AsofOfflineStore"},
        "online_store": {"type": "mlops_assets.feast_store.online.TtlSqliteOnlineStore"},
    },
    "feast": {"offline_store": {"type": "file"}, "online_store": {"type": "sqlite"}},
}


def write_source(path: Path, *, entities: int, rows: int) -> None:
    """Rows of `entities` drivers over 31 days; some are created late, none after END."""
    values = ", ".join(f"(hash(i * {FEATURES} + {n}) % 1000003) / 1000.0 AS f{n}" for n in range(FEATURES))
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"COPY (SELECT *, event_timestamp + to_minutes(id % 60) AS created FROM ("
            f"SELECT (CASE WHEN i < {entities} THEN i ELSE hash(i) % {entities} END)::BIGINT AS id, "
            f"TIMESTAMPTZ '2024-01-01' + to_microseconds((hash(i + 7) % 2592000000000)::BIGINT) AS "
            f"event_timestamp, "
            f"{values} FROM range({rows}) t(i))) TO '{path}'"
        )


def make_store(directory: Path, source: Path, contender: str) -> FeatureStore:
    """A feature store with one view, applied, nothing materialized."""
    directory.mkdir(parents=True)
    parts = STORES[contender]
    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(directory / "registry.db"),
        offline_store=parts["offline_store"],
        online_store=parts["online_store"] | {"path": str(directory / "online.db")},
        entity_key_serialization_version=3,
        repo_path=directory,
    )
    entity = Entity(name="driver", join_keys=["id"], value_type=ValueType.INT64)
    view = FeatureView(
        name="stats",
        entities=[entity],
        schema=[
            Field(name="id", dtype=Int64),
            *(Field(name=f"f{n}", dtype=Float64) for n in range(FEATURES)),
        ],
        source=FileSource(path=str(source), timestamp_field="event_timestamp", created_timestamp_column="created"),
    )
    store = FeatureStore(config=config)
    store.apply([entity, view])
    return store


def seconds(work: Callable[[], object]) -> float:
    """How long it takes; Feast's progress text is swallowed."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        start = time.perf_counter()
        work()
        return time.perf_counter() - start


def sample(store: FeatureStore, entities: int) -> list[dict[str, object]]:
    """What Feast's client reads for every hundredth entity."""
    rows = [{"id": i} for i in range(0, entities, max(1, entities // 100))]
    read = store.get_online_features([f"stats:f{n}" for n in range(FEATURES)], rows).to_dict()
    return [dict(zip(read, values, strict=True)) for values in zip(*read.values(), strict=True)]


def main() -> None:
    """Run and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="5,000 entities, 100,000 rows, one repetition")
    quick = arguments.parse_args().quick
    entities, rows, repetitions = (5_000, 100_000, 1) if quick else (50_000, 2_000_000, 3)
    times: dict[str, list[float]] = {name: [] for name in STORES}
    reads: dict[str, list[dict[str, object]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "stats.parquet"
        write_source(source, entities=entities, rows=rows)
        for repetition in range(repetitions):
            for name in STORES:
                store = make_store(Path(temporary) / f"{name}_{repetition}", source, name)
                if name == "asof":
                    took = seconds(lambda store=store: materialize_latest(store, ["stats"], START, END))
                else:
                    took = seconds(lambda store=store: store.materialize(START, END, ["stats"]))
                times[name].append(took)
                reads[name] = sample(store, entities)
                print(f"{name:6} {took:7.2f} s")
    ours, theirs = (statistics.median(times[name]) for name in ("asof", "feast"))
    result = {
        "benchmark": "online_materialization",
        "entities": entities,
        "features": FEATURES,
        "rows": rows,
        "asof_seconds": round(ours, 3),
        "feast_seconds": round(theirs, 3),
        "times_faster": round(theirs / ours, 2),
        "target_times_faster": TARGET,
        "same_values": reads["asof"] == reads["feast"],
        "met": theirs / ours >= TARGET and reads["asof"] == reads["feast"],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
