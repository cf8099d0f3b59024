"""Feast's SQLite online store, holding the ttl when it is read and the newest value when it is written.

What doesn't live here: the fast way from Parquet into this store (`materialize`).

Three things differ from Feast's store; the tables are Feast's, so its own client reads them too:

- a value older than its view's ttl reads as absent, with the status OUTSIDE_MAX_AGE. The ttl is inclusive and
  measured from the event timestamp, as offline;
- a row never overwrites one with a greater (event, created) timestamp, whatever the order of writing;
- Feast's columns keep whole seconds. Two more, `event_us` and `created_us`, keep the microseconds within the
  second, so that neither rule is off by a second. A client that doesn't know them is off by less than that.

The file is in WAL mode: readers never wait for the one who materializes. As in Feast's store, everyone who
opens a file must run in the same time zone (Feast writes naive times as local ones).
"""

from __future__ import annotations

import copy
import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from feast import Entity, FeatureService, FeatureView, utils
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import compute_table_id, extract_text_and_num
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig

_NAIVE_EPOCH = datetime(1970, 1, 1)
_QUARTER = 900
_FEATURES_PER_STAGE = 400  # SQLite takes 2,000 columns in one table
_CACHE_KIB = 65_536
_KEYS_PER_QUERY = 10_000  # SQLite takes 32,766 variables in one statement

_Type = Literal["mlops_assets.feast_store.online.TtlSqliteOnlineStore"]


class TtlSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """The `online_store` section of feature_store.yaml."""

    type: _Type = "mlops_assets.feast_store.online.TtlSqliteOnlineStore"  # type: ignore[assignment]

    clock_file: str | None = None
    """A JSON file {"now": "2013-04-01T00:00:00+00:00"} that says what time it is, read at each read of
    features; relative to the feature repository. The wall clock when left out or while there is no such
    file."""


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


def read_clock(config: RepoConfig) -> datetime:
    """What time it is for the ttl.

    Raises:
        ValueError: the clock file is there but doesn't say.
    """
    named = getattr(config.online_store, "clock_file", None)
    if named is None:
        return datetime.now(tz=UTC)
    path = Path(named) if Path(named).is_absolute() else Path(config.repo_path or ".") / named
    try:
        text = path.read_text()
    except FileNotFoundError:
        return datetime.now(tz=UTC)
    try:
        return utils.make_tzaware(datetime.fromisoformat(json.loads(text)["now"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'The clock file {path} must hold {{"now": "<ISO time in UTC>"}}, it holds {text[:80]!r}. Write '
            f"it "
            "anew, or remove it to go by the wall clock. The online store is as it was."
        ) from error


def table_name(config: RepoConfig, view: FeatureView) -> str:
    """The quoted name of a view's table."""
    name = compute_table_id(config.project, view, config.registry.enable_online_feature_view_versioning)
    return '"' + name.replace('"', '""') + '"'


def prepare_table(connection: sqlite3.Connection, table: str) -> None:
    """Add the two columns of microseconds to a table of Feast's, if they are missing."""
    columns = _columns(connection, table)
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


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


def writes_as_feast(config: RepoConfig) -> bool:
    """Vector and document search fill columns of their own; Feast's code does that."""
    return bool(config.online_store.vector_enabled or config.online_store.enable_openai_compatible_store)


class _Read(NamedTuple):
    """What was read of one entity."""

    moment: datetime | None
    values: dict[str, Value]
    expired: set[str]


class TtlSqliteOnlineStore(SqliteOnlineStore):
    """SQLite online store that holds the ttl; see the module for what it changes."""

    def __init__(self) -> None:
        super().__init__()
        # A column that a table has stays; to ask for them takes as long as to read an entity.
        self._with_microseconds: set[str] = set()

    def _get_conn(self, config: RepoConfig) -> sqlite3.Connection:
        fresh = self._conn is None
        if fresh:
            Path(self._get_db_path(config)).parent.mkdir(parents=True, exist_ok=True)
        connection: sqlite3.Connection = super()._get_conn(config)
        if fresh:
            connection.execute("PRAGMA busy_timeout = 30000")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        return connection

    def connection(self, config: RepoConfig) -> sqlite3.Connection:
        """The store's connection to its file, opened when first asked for."""
        return self._get_conn(config)

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Make and drop tables as Feast does, with the columns of microseconds."""
        super().update(config, tables_to_delete, tables_to_keep, entities_to_delete, entities_to_keep, partial)
        connection = self._get_conn(config)
        for view in tables_to_keep:
            prepare_table(connection, table_name(config, view))
        connection.commit()

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[tuple[EntityKey, dict[str, Value], datetime, datetime | None]],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows as Feast does, except that an older one leaves a newer one alone.

        With vector or document search on, Feast's own code writes, without that guard.
        """
        if writes_as_feast(config):
            super().online_write_batch(config, table, data, progress)
            return
        connection, name = self._get_conn(config), table_name(config, table)
        with connection:
            prepare_table(connection, name)
            for entity_key, values, event, created in data:
                key = serialize_entity_key(entity_key, config.entity_key_serialization_version)
                moments = (*Moment.of(event), *Moment.of(created))
                upsert(
                    connection,
                    name,
                    [
                        Row(
                            key,
                            feature,
                            value.SerializeToString(),
                            extract_text_and_num(value, False)[0],
                            *moments,
                        )
                        for feature, value in values.items()
                    ],
                )
                if progress:
                    progress(1)

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """Read the features of entities; what is older than the ttl is absent.

        Returns:
            For each key the newest event time and the features still alive; None for them where there are
            none. The time is there also where all of them are too old.
        """
        read = self._read(config, table, entity_keys, requested_features)
        return [(entity.moment, entity.values or None) for entity in read]

    def get_online_features(self, config: RepoConfig, features: Any, *args: Any, **kwargs: Any) -> Any:
        """As Feast does, but vectors computed ahead are not used: their ttl goes by the wall clock only."""
        if isinstance(features, FeatureService) and getattr(features, "precompute_online", False):
            features = copy.copy(features)
            features.precompute_online = False
        return super().get_online_features(config, features, *args, **kwargs)

    def retrieve_online_documents(self, config: RepoConfig, table: FeatureView, *args: Any, **kwargs: Any) -> Any:
        """As Feast does, without documents older than the ttl: there may be fewer than asked for."""
        found = super().retrieve_online_documents(config, table, *args, **kwargs)
        return self._alive(config, table, found)

    def retrieve_online_documents_v2(self, config: RepoConfig, table: FeatureView, *args: Any, **kwargs: Any) -> Any:
        """As Feast does, without documents older than the ttl: there may be fewer than asked for."""
        found = super().retrieve_online_documents_v2(config, table, *args, **kwargs)
        return self._alive(config, table, found)

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Remove the file, and what WAL mode keeps beside it."""
        super().teardown(config, tables, entities)
        for suffix in ("-wal", "-shm"):
            Path(self._get_db_path(config) + suffix).unlink(missing_ok=True)

    def _alive(self, config: RepoConfig, view: FeatureView, found: list[Any]) -> list[Any]:
        oldest = _oldest_alive(config, view)
        return [
            document
            for document in found
            if oldest is None or document[0] is None or utils.make_tzaware(document[0]) >= oldest
        ]

    def _read(
        self,
        config: RepoConfig,
        view: FeatureView,
        entity_keys: Sequence[EntityKey],
        requested: Sequence[str] | None,
    ) -> list[_Read]:
        keys = [serialize_entity_key(key, config.entity_key_serialization_version) for key in entity_keys]
        oldest = _oldest_alive(config, view)
        stored = self._stored(config, view, list(dict.fromkeys(keys)))
        wanted = None if requested is None else set(requested)
        result = []
        for key in keys:
            values: dict[str, Value] = {}
            expired: set[str] = set()
            newest: datetime | None = None
            for feature, value, moment in stored.get(key, []):
                if wanted is not None and feature not in wanted:
                    continue
                if moment is not None and (newest is None or moment > newest):
                    newest = moment
                if oldest is not None and moment is not None and moment < oldest:
                    expired.add(feature)
                else:
                    values[feature] = Value.FromString(value)
            result.append(_Read(newest, values, expired))
        return result

    def _stored(
        self, config: RepoConfig, view: FeatureView, keys: Sequence[bytes]
    ) -> dict[bytes, list[tuple[str, bytes, datetime | None]]]:
        """Feature, serialised value and event time of each stored row, by entity key."""
        connection, table = self._get_conn(config), table_name(config, view)
        # A table that only Feast's own client has written so far has whole seconds.
        if table not in self._with_microseconds and "event_us" in _columns(connection, table):
            self._with_microseconds.add(table)
        within = "event_us" if table in self._with_microseconds else "0"
        # The features of an entity were mostly written together.
        moments: dict[tuple[datetime, int | None], datetime] = {}
        stored: dict[bytes, list[tuple[str, bytes, datetime | None]]] = defaultdict(list)
        for first in range(0, len(keys), _KEYS_PER_QUERY):
            some = keys[first : first + _KEYS_PER_QUERY]
            cursor = connection.execute(
                f"SELECT entity_key, feature_name, value, event_ts, {within} FROM {table} "
                f"WHERE entity_key IN ({', '.join('?' * len(some))})",
                some,
            )
            for key, feature, value, seconds, microseconds in cursor:
                moment = moments.get((seconds, microseconds))
                if moment is None and seconds is not None:
                    moment = utils.make_tzaware(seconds) + timedelta(microseconds=microseconds or 0)
                    moments[seconds, microseconds] = moment
                stored[key].append((feature, value, moment))
        return stored

    def _read_features_per_fv(
        self,
        config: RepoConfig,
        grouped_refs: list[Any],
        join_key_values: dict[str, Any],
        entity_name_to_join_key_map: dict[str, str],
        online_features_response: Any,
        full_feature_names: bool,
        include_feature_view_version_metadata: bool,
    ) -> None:
        """Feast's generic reading, view by view, with a status of its own for what is too old."""
        for view, requested in grouped_refs:
            values, positions, length = utils._get_unique_entities(view, join_key_values, entity_name_to_join_key_map)
            read = self._read(config, view, utils._get_entity_key_protos(values), requested)
            utils._populate_response_from_feature_data(
                requested,
                [(entity.moment, entity.values or None) for entity in read],
                positions,
                online_features_response,
                full_feature_names,
                view,
                length,
                include_feature_view_version_metadata,
            )
            vectors = online_features_response.results[-len(requested) :]
            for entity, rows in zip(read, positions, strict=True):
                for vector in (vectors[requested.index(feature)] for feature in entity.expired):
                    for row in rows:
                        vector.statuses[row] = FieldStatus.OUTSIDE_MAX_AGE


def _oldest_alive(config: RepoConfig, view: FeatureView) -> datetime | None:
    """The oldest event time that is within the view's ttl; None when there is no ttl."""
    ttl = getattr(view, "ttl", None)
    if not ttl:
        return None
    now = read_clock(config)
    return None if ttl > now - datetime.min.replace(tzinfo=UTC) else now - ttl
