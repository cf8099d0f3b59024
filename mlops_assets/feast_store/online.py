"""Feast's SQLite online store, holding the ttl when it is read and the newest value when it is written.

What doesn't live here: its tables and how they are written (`online_tables`), the fast way from Parquet into this
store (`materialize`).

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
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

from feast import Entity, FeatureService, FeatureView, utils
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import extract_text_and_num
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig

from mlops_assets.feast_store.online_tables import Moment, Row, columns_of, prepare_table, table_name, upsert

_CACHE_KIB = 65_536
_KEYS_PER_QUERY = 10_000  # SQLite takes 32,766 variables in one statement

_Type = Literal["mlops_assets.feast_store.online.TtlSqliteOnlineStore"]


class TtlSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """The `online_store` section of feature_store.yaml."""

    type: _Type = "mlops_assets.feast_store.online.TtlSqliteOnlineStore"  # type: ignore[assignment]

    clock_file: str | None = None
    """A JSON file {"now": "2013-04-01T00:00:00+00:00"} that says what time it is, read at each read of
    features; relative to the feature repository. Under "views" it may say another time for a view, by name. The wall
    clock when left out or while there is no such file."""


def read_clock(config: RepoConfig, view: str) -> datetime:
    """What time it is for the ttl of a feature view.

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
        times = json.loads(text)
        return utils.make_tzaware(datetime.fromisoformat(times.get("views", {}).get(view) or times["now"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'The clock file {path} must hold {{"now": "<ISO time in UTC>"}}, it holds {text[:80]!r}. Write '
            f"it "
            "anew, or remove it to go by the wall clock. The online store is as it was."
        ) from error


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
        documents = super().retrieve_online_documents(config, table, *args, **kwargs)
        return self._alive(config, table, documents)

    def retrieve_online_documents_v2(self, config: RepoConfig, table: FeatureView, *args: Any, **kwargs: Any) -> Any:
        """As Feast does, without documents older than the ttl: there may be fewer than asked for."""
        documents = super().retrieve_online_documents_v2(config, table, *args, **kwargs)
        return self._alive(config, table, documents)

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Remove the file, and what WAL mode keeps beside it."""
        super().teardown(config, tables, entities)
        for suffix in ("-wal", "-shm"):
            Path(self._get_db_path(config) + suffix).unlink(missing_ok=True)

    def _alive(self, config: RepoConfig, view: FeatureView, documents: list[Any]) -> list[Any]:
        oldest = _oldest_alive(config, view)
        return [
            document
            for document in documents
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
        if table not in self._with_microseconds and "event_us" in columns_of(connection, table):
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
    now = read_clock(config, view.name)
    return None if ttl > now - datetime.min.replace(tzinfo=UTC) else now - ttl
