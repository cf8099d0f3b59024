"""The fast way from Parquet into the online store: deduplicated in DuckDB, written in batches, one transaction.

What doesn't live here: the table and its guard against older values (`online`), what the latest row of an entity
is (`sql`), and when to materialize (defs/).

Feast's own `materialize` works with these stores too. It pulls by event timestamp; `materialize_latest` pulls by
when a row became known, so a row that arrives late is found by the next run, and is written unless the store has
a newer value: afterwards the store holds what a point-in-time join at `end` gives.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureStore, FeatureView, ValueType
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import extract_text_and_num
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig
from feast.type_map import python_values_to_proto_values
from feast.utils import make_tzaware

from mlops_assets.feast_store import online, sources, sql
from mlops_assets.feast_store.offline import AsofOfflineStoreConfig, open_session, view_history

_ENTITIES_PER_BATCH = 65_536
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

# The types whose values are built directly; all others go through Feast's conversion, which is slower.
_PLAIN = {
    ValueType.DOUBLE: ("double_val", pa.float64()),
    ValueType.FLOAT: ("float_val", pa.float32()),
    ValueType.INT64: ("int64_val", pa.int64()),
    ValueType.INT32: ("int32_val", pa.int32()),
    ValueType.STRING: ("string_val", pa.string()),
    ValueType.BOOL: ("bool_val", pa.bool_()),
}


@dataclass(frozen=True)
class Materialized:
    """What was done for one view.

    Attributes:
        view: its name.
        start: from when on rows that became known were read; `end` until when.
        end: see `start`.
        entities: entities with a row in that time; those with a newer value already in the store included.
    """

    view: str
    start: datetime
    end: datetime
    entities: int


def materialize_latest(
    store: FeatureStore,
    view_names: Sequence[str] | None,
    start: datetime | None,
    end: datetime,
    *,
    rebuild: bool = False,
) -> list[Materialized]:
    """Bring each entity's latest row into the online store.

    Args:
        store: a feature store with AsofOfflineStore and TtlSqliteOnlineStore.
        view_names: which feature views; None for all that are online.
        start: rows that became known from then on are read; None goes on where the view's last materialization
            ended, or from the beginning. Naive means UTC.
        end: rows known by then. Naive means UTC.
        rebuild: empty the views' tables first (in the same transaction) and read from the beginning: after
            rows of the past were taken away or changed to an earlier event.

    Returns:
        What was done, view by view. Either all views are written or none; a second call changes nothing.

    Raises:
        ValueError: the stores are others, a view is not online or is computed by Feast, `start` is after `end`.
    """
    config = store.config
    _require_our_stores(config)
    views = _views(store, view_names)
    end = make_tzaware(end)
    spans = [(view, _start(view, start, rebuild=rebuild)) for view in views]
    for view, begin in spans:
        if begin > end:
            raise ValueError(
                f"Feature view {view.name!r} would be materialized from {begin} to {end}: the start is after the "
                "end. Pass a later end, or a start. Nothing was written."
            )
    online_store = store._get_provider().online_store
    online_store.update(config, [], views, [], [], partial=True)
    connection = online_store.connection(config)
    done = []
    with connection:
        for view, begin in spans:
            if rebuild:
                connection.execute(f"DELETE FROM {online.table_name(config, view)}")
            entities = _write_view(connection, config, view, begin, end)
            done.append(Materialized(view.name, begin, end, entities))
    # After the commit: a crash in between repeats the interval, which changes nothing.
    for view, begin in spans:
        store.registry.apply_materialization(view, store.project, begin, end)
    return done


def _require_our_stores(config: RepoConfig) -> None:
    ours = isinstance(config.online_store, online.TtlSqliteOnlineStoreConfig) and isinstance(
        config.offline_store, AsofOfflineStoreConfig
    )
    if not ours or online.writes_as_feast(config):
        raise ValueError(
            "materialize_latest needs mlops_assets.feast_store's AsofOfflineStore and TtlSqliteOnlineStore, without "
            "vector_enabled and enable_openai_compatible_store. Set them in feature_store.yaml, or call "
            "FeatureStore.materialize. Nothing was written."
        )


def _views(store: FeatureStore, names: Sequence[str] | None) -> list[FeatureView]:
    if names is None:
        views = [view for view in store.list_feature_views() if view.online]
    else:
        views = [store.get_feature_view(name) for name in names]
    for view in views:
        computed = getattr(view, "feature_transformation", None) or getattr(view, "aggregations", None)
        if not view.online or computed:
            reason = "computed by Feast" if computed else "not online"
            raise ValueError(
                f"Feature view {view.name!r} is {reason}, so its rows can't be copied to the online store. "
                "Leave it out, or call FeatureStore.materialize. Nothing was written."
            )
    return views


def _start(view: FeatureView, start: datetime | None, *, rebuild: bool) -> datetime:
    if rebuild:
        return _BEGINNING
    return make_tzaware(start or view.most_recent_end_time or _BEGINNING)


def _write_view(
    connection: sqlite3.Connection, config: RepoConfig, view: FeatureView, start: datetime, end: datetime
) -> int:
    """Read the view's latest rows batch by batch and upsert them; returns the number of entities."""
    source = sources.as_file_source(view.batch_source, f"Feature view {view.name!r}")
    history = view_history(view, [feature.name for feature in view.features], cutoff=_cutoff(config))
    entities = 0
    with open_session(config) as session:
        relation = sources.relation(
            session, source, config, name="source", empty=sources.declared_schema(view)
        )
        columns = list(session.sql(f"SELECT * FROM {relation}").columns)
        wanted = [*history.keys, history.event, *filter(None, [history.created]), *history.features]
        sources.require_columns(columns, wanted, f"Feature view {view.name!r}", source.path)
        statement = sql.latest(
            replace(history, relation=relation),
            event_from=None,
            known_from=None if start == _BEGINNING else start,
            to=end,
        )
        for batch in session.sql(statement).to_arrow_reader(_ENTITIES_PER_BATCH):
            online.upsert(connection, online.table_name(config, view), _rows(config, view, history, batch))
            entities += batch.num_rows
    return entities


def _cutoff(config: RepoConfig) -> bool:
    return bool(config.offline_store.known_at_cutoff)


def _rows(
    config: RepoConfig, view: FeatureView, history: sql.History, batch: pa.RecordBatch
) -> Iterator[online.Row]:
    """The batch as rows of the table, in the order of its primary key: SQLite then writes page after page."""
    keys = _entity_keys(config, view, history, batch)
    events = _moments(batch.column(history.event))
    created = (
        _moments(batch.column(history.created))
        if history.created
        else [online.Moment(None, None)] * batch.num_rows
    )
    features = sorted(zip(view.features, history.features, strict=True), key=lambda pair: pair[0].name)
    encoded = [
        (feature.name, *_encode(batch.column(column), feature.dtype.to_value_type()))
        for feature, column in features
    ]
    for i in sorted(range(batch.num_rows), key=keys.__getitem__):
        for name, values, texts in encoded:
            yield online.Row(keys[i], name, values[i], texts[i], *events[i], *created[i])


def _entity_keys(
    config: RepoConfig, view: FeatureView, history: sql.History, batch: pa.RecordBatch
) -> list[bytes]:
    names = sources.join_keys(view)
    if not names:
        dummy = EntityKey(join_keys=[DUMMY_ENTITY_ID], entity_values=[Value(string_val=DUMMY_ENTITY_VAL)])
        return [serialize_entity_key(dummy, config.entity_key_serialization_version)] * batch.num_rows
    kinds = {column.name: column.dtype.to_value_type() for column in view.entity_columns}
    columns = [
        _protos(batch.column(column), kinds[name]) for name, column in zip(names, history.keys, strict=True)
    ]
    return [
        serialize_entity_key(
            EntityKey(join_keys=names, entity_values=values), config.entity_key_serialization_version
        )
        for values in zip(*columns, strict=True)
    ]


def _moments(column: pa.Array) -> list[online.Moment]:
    """The times of a column as the table keeps them. Few are distinct, so each is converted once."""
    epochs = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_pylist()
    known: dict[int | None, online.Moment] = {None: online.Moment(None, None)}
    for epoch in epochs:
        if epoch not in known:
            known[epoch] = online.Moment.of_epoch(epoch)
    return [known[epoch] for epoch in epochs]


def _encode(column: pa.Array, kind: ValueType) -> tuple[list[bytes], list[str | None]]:
    """Each value as Feast's serialised proto and as the text it keeps beside it; distinct values once."""
    if pa.types.is_nested(column.type):
        protos = _protos(column, kind)
        return [p.SerializeToString() for p in protos], [extract_text_and_num(p, False)[0] for p in protos]
    coded = column.dictionary_encode()
    protos = _protos(coded.dictionary, kind)
    values = np.array([*(p.SerializeToString() for p in protos), b""], dtype=object)
    texts = np.array([*(extract_text_and_num(p, False)[0] for p in protos), None], dtype=object)
    # The place after the last is the null: Feast's empty value.
    positions = coded.indices.fill_null(len(protos)).to_numpy(zero_copy_only=False)
    return values[positions].tolist(), texts[positions].tolist()


def _protos(column: pa.Array, kind: ValueType) -> list[Value]:
    """Each value as Feast's proto; null and NaN as the empty one, as Feast does."""
    field, plain = _PLAIN.get(kind, (None, None))
    if field is None or column.type != plain:
        values = python_values_to_proto_values(column.to_numpy(zero_copy_only=False), kind)
        return list(values)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    return [Value() if value is None else Value(**{field: value}) for value in column.to_pylist()]
