"""Feast repositories made in a temporary directory, with the store under test or with Feast's own.

What lives here: building stores and writing sources. What doesn't: what a right answer is (the test modules).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64, Int64

ASOF = "mlops_assets.feast_store.offline.AsofOfflineStore"
TTL_SQLITE = "mlops_assets.feast_store.online.TtlSqliteOnlineStore"


class Repo:
    """A directory in which sources are written and feature stores are made."""

    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._made = 0

    @staticmethod
    def hours(count: float) -> datetime:
        """The time so many hours after the start of the tests' time."""
        return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=count)

    def write(self, frame: pd.DataFrame, name: str = "stats.parquet") -> str:
        """Write a frame, with times in microseconds, as the lake does; gives the path."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pandas(frame, preserve_index=False)
        fields = [
            field.with_type(pa.timestamp("us", tz="UTC")) if pa.types.is_timestamp(field.type) else field
            for field in table.schema
        ]
        pq.write_table(table.cast(pa.schema(fields), safe=False), path)
        return str(path)

    def stats(self, rows: Sequence[tuple[Any, ...]], name: str = "stats.parquet") -> str:
        """Write rows of (driver_id, event hour, created hour, rate, trips)."""
        frame = pd.DataFrame(rows, columns=["driver_id", "event_timestamp", "created", "rate", "trips"])
        for column in ("event_timestamp", "created"):
            frame[column] = pd.to_datetime(
                [None if pd.isna(hour) else self.hours(hour) for hour in frame[column]], utc=True
            )
        frame = frame.astype({"driver_id": "Int64", "rate": "float64", "trips": "Int64"})
        return self.write(frame, name)

    def view(self, path: str, *, name: str = "stats", ttl: timedelta | None = None, **source: Any) -> FeatureView:
        """A view of drivers with two features, the shape most tests need."""
        source = {"timestamp_field": "event_timestamp", "created_timestamp_column": "created"} | source
        return FeatureView(
            name=name,
            entities=[self.driver],
            ttl=ttl,
            schema=[
                Field(name="driver_id", dtype=Int64),
                Field(name="rate", dtype=Float64),
                Field(name="trips", dtype=Int64),
            ],
            source=FileSource(name=f"{name}_source", path=path, **source),
        )

    def drivers(self, rows: Sequence[tuple[Any, float]]) -> pd.DataFrame:
        """Entity rows of (driver_id, hour)."""
        return pd.DataFrame(
            {
                "driver_id": pd.array([key for key, _ in rows], dtype="Int64"),
                "event_timestamp": pd.to_datetime([self.hours(hour) for _, hour in rows], utc=True),
            }
        )

    def store(
        self, *definitions: Any, offline: dict[str, Any] | None = None, online: dict[str, Any] | None = None
    ) -> FeatureStore:
        """A feature store of its own (registry, online file) with the definitions applied."""
        self._made += 1
        config = RepoConfig(
            project="demo",
            provider="local",
            registry=str(self.directory / f"registry_{self._made}.db"),
            offline_store={"type": ASOF} | (offline or {}),
            online_store={"type": TTL_SQLITE, "path": str(self.directory / f"online_{self._made}.db")} | (online or {}),
            entity_key_serialization_version=3,
            repo_path=self.directory,
        )
        store = FeatureStore(config=config)
        store.apply([self.driver, *definitions])
        return store


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A fresh `Repo`."""
    return Repo(tmp_path)
