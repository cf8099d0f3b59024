"""The online store's tables in SQLite: how they keep a time, and writing rows of which the newest wins.

What doesn't live here: reading them and the ttl (`online`), what is written from Parquet (`materialize`).

The tables are Feast's, with two more columns, `event_us` and `created_us`: see `online`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
from feast import FeatureView, utils
from feast.infra.online_stores.helpers import compute_table_id
from feast.repo_config import RepoConfig

_NAIVE_EPOCH = datetime(1970, 1, 1)
_QUARTER = 900
_FEATURES_PER_STAGE = 400  # SQLite takes 2,000 columns in one table


class Moment(NamedTuple):
    """A time as the table keeps it: Feast's seconds, and the microseconds within the second."""

    seconds: int | None
    microseconds: int | None

    @classmethod
    def of(cls, moment: datetime | None) -> Moment:
        """Split a time; naive means UTC."""
        if moment is None:
            return cls(None, None)
        naive = utils.to_naive_utc(moment)
        # Feast's own adapter: a naive UTC time, taken for a local one.
        return cls(int(naive.replace(microsecond=0).timestamp()), naive.microsecond)


class Moments(NamedTuple):
    """Many times as the table keeps them: two columns, see `Moment`."""

    seconds: Sequence[int | None]
    microseconds: Sequence[int | None]

    @classmethod
    def missing(cls, count: int) -> Moments:
        """As many times that aren't known."""
        return cls([None] * count, [None] * count)

    @classmethod
    def of_epochs(cls, epochs: np.ndarray, missing: np.ndarray) -> Moments:
        """Split times given as microseconds since 1970 in UTC.

        The difference between Feast's seconds and the epoch's is the local zone's, which changes at most
        every quarter of an hour: it is looked up once for each quarter that occurs.

        Args:
            epochs: the times, int64.
            missing: which of them aren't known, bool.
        """
        seconds, microseconds = np.divmod(epochs, 1_000_000)
        quarters, which = np.unique(seconds // _QUARTER, return_inverse=True)
        starts = [int(quarter) * _QUARTER for quarter in quarters]
        offsets = [(Moment.of(_NAIVE_EPOCH + timedelta(seconds=s)).seconds or 0) - s for s in starts]
        columns = [seconds + np.array(offsets, dtype="int64")[which], microseconds]
        if missing.any():
            columns = [np.where(missing, None, column) for column in columns]
        return cls(*(column.tolist() for column in columns))


class Row(NamedTuple):
    """One feature of one entity, as stored."""

    entity_key: bytes
    feature: str
    value: bytes
    text: str | None
    event_seconds: int | None
    event_us: int | None
    created_seconds: int | None
    created_us: int | None


def table_name(config: RepoConfig, view: FeatureView) -> str:
    """The quoted name of a view's table."""
    name = compute_table_id(config.project, view, config.registry.enable_online_feature_view_versioning)
    return '"' + name.replace('"', '""') + '"'


def prepare_table(connection: sqlite3.Connection, table: str) -> None:
    """Add the two columns of microseconds to a table of Feast's, if they are missing."""
    columns = columns_of(connection, table)
    for name in ("event_us", "created_us"):
        if columns and name not in columns:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} INTEGER")


_COLUMNS = "entity_key, feature_name, value, value_text, event_ts, event_us, created_ts, created_us"


def upsert(connection: sqlite3.Connection, table: str, rows: Iterable[Row]) -> None:
    """Write rows, each unless the table has a greater (event, created) for it. The caller commits."""
    connection.executemany(f"INSERT INTO {table} ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) {_UNLESS_NEWER}", rows)


@dataclass(frozen=True)
class Batch:
    """Many entities, each with every feature: what `upsert_batch` writes.

    Attributes:
        keys: the serialised entity keys, ascending: SQLite then writes page after page.
        events: the event times, one for each key.
        created: the created times, one for each key.
        features: name, serialised values and texts, ascending by name.
    """

    keys: Sequence[bytes]
    events: Moments
    created: Moments
    features: Sequence[tuple[str, Sequence[bytes], Sequence[str | None]]]


def upsert_batch(connection: sqlite3.Connection, table: str, batch: Batch) -> None:
    """Write a batch as `upsert` does, in half the time: an entity is bound once, SQLite makes its rows."""
    for first in range(0, len(batch.features), _FEATURES_PER_STAGE):
        features = batch.features[first : first + _FEATURES_PER_STAGE]
        _stage(connection, replace(batch, features=features))
        value, text = (
            "CASE n " + " ".join(f"WHEN {n} THEN {kind}{n}" for n in range(len(features))) + " END"
            for kind in ("v", "t")
        )
        connection.execute(
            f"INSERT INTO {table} ({_COLUMNS}) SELECT k, name, {value}, {text}, es, eu, cs, cu "
            f"FROM temp.staged CROSS JOIN temp.staged_names WHERE true {_UNLESS_NEWER}"
        )


def _stage(connection: sqlite3.Connection, batch: Batch) -> None:
    """The batch as one row per entity in a temporary table, and the features' names in another."""
    pairs = "".join(f", v{n} BLOB, t{n} TEXT" for n in range(len(batch.features)))
    # Left over from the batch before, or from one that failed.
    connection.execute("DROP TABLE IF EXISTS temp.staged")
    connection.execute("DROP TABLE IF EXISTS temp.staged_names")
    connection.execute(f"CREATE TEMP TABLE staged (k BLOB, es, eu, cs, cu{pairs})")
    connection.execute("CREATE TEMP TABLE staged_names (n INTEGER PRIMARY KEY, name TEXT)")
    names = [(n, name) for n, (name, _, _) in enumerate(batch.features)]
    connection.executemany("INSERT INTO staged_names VALUES (?, ?)", names)
    columns: list[Iterable[Any]] = [
        batch.keys,
        *batch.events,
        *batch.created,
    ]
    for _, values, texts in batch.features:
        columns += [values, texts]
    places = ", ".join("?" * len(columns))
    connection.executemany(f"INSERT INTO staged VALUES ({places})", zip(*columns, strict=True))


def _rank(prefix: str) -> str:
    # A missing created timestamp is the lowest, as in the tie rule offline.
    return (
        f"({prefix}event_ts, coalesce({prefix}event_us, 0), coalesce({prefix}created_ts, "
        f"-9223372036854775808), "
        f"coalesce({prefix}created_us, 0))"
    )


_UNLESS_NEWER = (
    "ON CONFLICT (entity_key, feature_name) DO UPDATE SET value = excluded.value, "
    "value_text = excluded.value_text, event_ts = excluded.event_ts, event_us = excluded.event_us, "
    "created_ts = excluded.created_ts, created_us = excluded.created_us "
    f"WHERE {_rank('excluded.')} >= {_rank('')}"
)


def forget_before(connection: sqlite3.Connection, table: str, oldest: datetime) -> None:
    """Remove the rows whose event is before `oldest`, to the second. The caller commits."""
    connection.execute(f"DELETE FROM {table} WHERE event_ts < ?", (Moment.of(oldest).seconds,))


def columns_of(connection: sqlite3.Connection, table: str) -> set[str]:
    """The columns of a table; none where there is no such table."""
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
