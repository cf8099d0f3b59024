"""The fast way from Parquet into the online store: deduplicated in DuckDB, written in batches.

What doesn't live here: the table and its guard against older values (`online`), what the latest row of an
entity is (`sql`), and when to materialize (defs/).

Feast's own `materialize` works with these stores too. It pulls by event timestamp; `materialize_latest` pulls
by when a row became known, so a row that arrives late is found by the next run, and is written unless the
store has a newer value: afterwards the store holds what a point-in-time join at `end` gives. Rows that
are past twice their view's ttl are not written, and those of earlier runs are removed: they would read as absent,
and a year of past events would be most of the store. Until then a reader is told OUTSIDE_MAX_AGE.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureStore, FeatureView, ValueType
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL
from feast.infra.key_encoding_utils import serialize_entity_key, serialize_entity_key_prefix
from feast.infra.online_stores.helpers import extract_text_and_num
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.protos.feast.types.Value_pb2 import ValueType as ValueTypeProto
from feast.repo_config import RepoConfig
from feast.type_map import python_values_to_proto_values
from feast.utils import make_tzaware

from mlops_assets.feast_store import online, online_tables, sources, sql
from mlops_assets.feast_store.offline import AsofOfflineStoreConfig, open_session
from mlops_assets.feast_store.requested_views import view_history

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
        start: rows that became known from then on are read; None goes on where the view's last
            materialization ended, or from the beginning. Naive means UTC.
        end: rows known by then. Naive means UTC.
        rebuild: empty the views' tables first (in the same transaction) and read from the beginning: after
            rows of the past were taken away or changed to an earlier event.

    Returns:
        What was done, view by view; without `start`, views that have been brought further than `end` are left as they
        are. Either all others are written or none; a second call changes nothing.

    Raises:
        ValueError: the stores are others, a view is not online or is computed by Feast, `start` is after
            `end`.
    """
    config = store.config
    _require_our_stores(config)
    views = _views(store, view_names)
    end = make_tzaware(end)
    spans = [(view, *_span(view, start, end, rebuild=rebuild)) for view in views]
    if start is None:
        # Where a clock was set back, by a replay say, nothing that is known now is taken away.
        spans = [(view, begin, until) for view, begin, until in spans if begin <= until]
    for view, begin, until in spans:
        if begin > until:
            raise ValueError(
                f"Feature view {view.name!r} would be materialized from {begin} to {until}: the start is after the "
                "end. Pass a later end, or a start. Nothing was written."
            )
    online_store = cast(online.TtlSqliteOnlineStore, store._get_provider().online_store)
    online_store.update(config, [], views, [], [], partial=True)
    connection = online_store.connection(config)
    done = []
    # The write lock first: whoever else materializes waits here, and not half-way.
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        for view, begin, until in spans:
            if rebuild:
                connection.execute(f"DELETE FROM {online_tables.table_name(config, view)}")
            elif (oldest := _kept_from(view, until)) is not None:
                online_tables.forget_before(connection, online_tables.table_name(config, view), oldest)
            entities = _write_view(connection, config, view, begin, until)
            done.append(Materialized(view.name, begin, until, entities))
    # After the commit: a crash in between repeats the interval, which changes nothing.
    for view, begin, until in spans:
        store.registry.apply_materialization(view, store.project, begin, until)
    return done


def _require_our_stores(config: RepoConfig) -> None:
    ours = isinstance(config.online_store, online.TtlSqliteOnlineStoreConfig) and isinstance(
        config.offline_store, AsofOfflineStoreConfig
    )
    if not ours or online.writes_as_feast(config):
        raise ValueError(
            "materialize_latest needs mlops_assets.feast_store's AsofOfflineStore and TtlSqliteOnlineStore, "
            "without "
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


def _span(view: FeatureView, start: datetime | None, end: datetime, *, rebuild: bool) -> tuple[datetime, datetime]:
    """From when to when rows are read that became known; rebuilt, a view reaches as far as it did before."""
    reached = make_tzaware(view.most_recent_end_time or _BEGINNING)
    if rebuild:
        return _BEGINNING, max(end, reached)
    return make_tzaware(start) if start else reached, end


def _write_view(
    connection: sqlite3.Connection, config: RepoConfig, view: FeatureView, start: datetime, end: datetime
) -> int:
    """Read the view's latest rows batch by batch and upsert them; returns the number of entities."""
    source = sources.as_file_source(view.batch_source, f"Feature view {view.name!r}")
    history = view_history(view, [feature.name for feature in view.features], cutoff=_cutoff(config))
    table, entities = online_tables.table_name(config, view), 0
    with open_session(config) as session:
        relation = sources.relation(session, source, config, name="source", empty=sources.declared_schema(view))
        columns = list(session.sql(f"SELECT * FROM {relation}").columns)
        wanted = [*history.keys, history.event, *filter(None, [history.created]), *history.features]
        sources.require_columns(columns, wanted, f"Feature view {view.name!r}", source.path)
        statement = sql.latest(
            replace(history, relation=relation),
            event_from=_kept_from(view, end),
            known_from=None if start == _BEGINNING else start,
            to=end,
        )
        for batch in session.sql(statement).to_arrow_reader(_ENTITIES_PER_BATCH):
            online_tables.upsert_batch(connection, table, _batch(config, view, history, batch))
            entities += batch.num_rows
    return entities


def _kept_from(view: FeatureView, end: datetime) -> datetime | None:
    """The oldest event that is kept online at `end`; None where all are."""
    if not view.ttl or 2 * view.ttl > end - _BEGINNING:
        return None
    return end - 2 * view.ttl


def _cutoff(config: RepoConfig) -> bool:
    return bool(config.offline_store.known_at_cutoff)


def _batch(config: RepoConfig, view: FeatureView, history: sql.History, batch: pa.RecordBatch) -> online_tables.Batch:
    """The batch as the table keeps it, in the order of the table's primary key."""
    keys = _entity_keys(config, view, history, batch)
    order = sorted(range(len(keys)), key=keys.__getitem__)
    batch = batch.take(pa.array(order, pa.int64()))
    features = sorted(zip(view.features, history.features, strict=True), key=lambda pair: pair[0].name)
    return online_tables.Batch(
        keys=[keys[i] for i in order],
        events=_moments(batch.column(history.event)),
        created=(
            _moments(batch.column(history.created))
            if history.created
            else online_tables.Moments.missing(batch.num_rows)
        ),
        features=[
            (feature.name, *_encode(batch.column(column), feature.dtype.to_value_type()))
            for feature, column in features
        ],
    )


def _entity_keys(config: RepoConfig, view: FeatureView, history: sql.History, batch: pa.RecordBatch) -> list[bytes]:
    names = sources.join_keys(view)
    if not names:
        dummy = EntityKey(join_keys=[DUMMY_ENTITY_ID], entity_values=[Value(string_val=DUMMY_ENTITY_VAL)])
        return [serialize_entity_key(dummy, config.entity_key_serialization_version)] * batch.num_rows
    kinds = {column.name: column.dtype.to_value_type() for column in view.entity_columns}
    columns = {name: (batch.column(column), kinds[name]) for name, column in zip(names, history.keys, strict=True)}
    if all(kind == ValueType.INT64 and column.type == pa.int64() for column, kind in columns.values()):
        return _integer_keys(config, {name: column for name, (column, _) in columns.items()})
    protos = [_protos(column, kind) for column, kind in columns.values()]
    return [
        serialize_entity_key(EntityKey(join_keys=names, entity_values=values), config.entity_key_serialization_version)
        for values in zip(*protos, strict=True)
    ]


def _integer_keys(config: RepoConfig, columns: dict[str, pa.Array]) -> list[bytes]:
    """What `serialize_entity_key` gives for integer keys: the names, then type, length and value of each."""
    version = config.entity_key_serialization_version
    head = serialize_entity_key_prefix(list(columns), version)
    key_dtype = np.dtype([("type", "<u4"), ("length", "<u4"), ("value", "<i8")])
    ordered = [columns[name] for name in sorted(columns)]
    laid_out = np.empty((len(ordered[0]), len(ordered)), dtype=key_dtype)
    laid_out["type"], laid_out["length"] = ValueTypeProto.INT64, 8
    for n, column in enumerate(ordered):
        laid_out["value"][:, n] = column.to_numpy()
    return [head + tail for tail in _pieces(laid_out.tobytes(), key_dtype.itemsize * len(ordered))]


def _pieces(joined: bytes, size: int) -> list[bytes]:
    return [joined[first : first + size] for first in range(0, len(joined), size)]


def _moments(column: pa.Array) -> online_tables.Moments:
    epochs = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    missing = epochs.is_null().to_numpy(zero_copy_only=False)
    return online_tables.Moments.of_epochs(epochs.fill_null(0).to_numpy(zero_copy_only=False), missing)


def _encode(column: pa.Array, kind: ValueType) -> tuple[list[bytes], list[str | None]]:
    """Each value as Feast's serialised proto and as the text that Feast keeps beside it."""
    if pa.types.is_nested(column.type) or pa.types.is_floating(column.type):
        return _encode_each(column, kind)
    # Counts, flags and categories repeat: each distinct value is converted once.
    coded = column.dictionary_encode()
    distinct, distinct_texts = _encode_each(coded.dictionary, kind)
    values = np.array([*distinct, b""], dtype=object)
    texts = np.array([*distinct_texts, None], dtype=object)
    # The place after the last is the null: Feast's empty value.
    positions = coded.indices.fill_null(len(distinct)).to_numpy(zero_copy_only=False)
    return values[positions].tolist(), texts[positions].tolist()


def _encode_each(column: pa.Array, kind: ValueType) -> tuple[list[bytes], list[str | None]]:
    field, plain = _PLAIN.get(kind, (None, None))
    column = _as_declared(column, plain)
    if field is None or column.type != plain:
        protos = _protos(column, kind)
        return [p.SerializeToString() for p in protos], [extract_text_and_num(p, False)[0] for p in protos]
    values = _plain_values(column)
    texts = [None if value is None else str(value) for value in values]
    if pa.types.is_floating(column.type):
        return _encode_floats(column, field), texts
    # One proto at a time, gone at once: half a million alive cost more in garbage collection than to make.
    encoded = [b"" if value is None else Value(**{field: value}).SerializeToString() for value in values]
    return encoded, texts


def _encode_floats(column: pa.Array, field: str) -> list[bytes]:
    """What `SerializeToString` gives for floats and doubles: a fixed tag, then the value little-endian."""
    example: dict[str, Any] = {field: 1.0}
    tag = Value(**example).SerializeToString()[: -column.type.bit_width // 8]
    numbers = column.fill_null(math.nan).to_numpy(zero_copy_only=False)
    pieces = _pieces(numbers.astype(numbers.dtype.newbyteorder("<")).tobytes(), column.type.bit_width // 8)
    missing = np.isnan(numbers).tolist()
    return [b"" if gone else tag + piece for gone, piece in zip(missing, pieces, strict=True)]


def _protos(column: pa.Array, kind: ValueType) -> list[Value]:
    """Each value as Feast's proto; null and NaN as the empty one, as Feast does."""
    field, plain = _PLAIN.get(kind, (None, None))
    column = _as_declared(column, plain)
    if field is None or column.type != plain:
        return list(python_values_to_proto_values(column.to_numpy(zero_copy_only=False), kind))
    return [Value() if value is None else Value(**{field: value}) for value in _plain_values(column)]


def _as_declared(column: pa.Array, declared: pa.DataType | None) -> pa.Array:
    """Whole numbers of another width, or decimals, as the declared whole number or text; else as it is.

    By numpy, Feast's conversion would make floats of integers beside a missing one.

    Raises:
        ValueError: a value does not fit the declared type.
    """
    is_whole = pa.types.is_integer(column.type) or pa.types.is_decimal(column.type)
    if declared is None or not is_whole or not (pa.types.is_integer(declared) or pa.types.is_string(declared)):
        return column
    try:
        return column.cast(declared)
    except pa.ArrowInvalid as error:
        raise ValueError(
            f"a value of type {column.type} does not fit the declared {declared} ({error}). Declare the column as text "
            "(data_type: varchar) in its dbt model and cast it there. Nothing was written."
        ) from error


def _plain_values(column: pa.Array) -> list[Any]:
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    return list(column.to_pylist())
