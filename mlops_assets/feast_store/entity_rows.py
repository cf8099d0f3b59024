"""The left side of a point-in-time join: a data frame, a SELECT, or every entity that there is.

What doesn't live here: the join (`plans`), the statements (`sql`), the files (`sources`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from feast.errors import EntityTimestampInferenceException
from feast.infra.offline_stores.offline_utils import DEFAULT_ENTITY_DF_EVENT_TIMESTAMP_COL

from mlops_assets.core.values.text_times import hint, read_times
from mlops_assets.feast_store import sources, sql
from mlops_assets.feast_store.requested_views import RequestedView

Connection = duckdb.DuckDBPyConnection
ENTITY, ROW = "entity_frame", "__row"
"""The table that `install` makes, and its column that numbers the rows from 0."""


class EntityRows(Protocol):
    """The left side of a point-in-time join."""

    def install(self, connection: Connection, views: Sequence[RequestedView]) -> str:
        """Make `ENTITY` on the connection (with a column `row` in order) and return its timestamp column."""
        ...


@dataclass(frozen=True)
class Frame:
    """Entity rows from pandas. Columns come back as they went in, whatever their types."""

    table: pa.Table
    timestamp: str

    @classmethod
    def from_pandas(cls, frame: pd.DataFrame) -> Frame:
        """Take a frame; naive times are UTC.

        Raises:
            EntityTimestampInferenceException: no column `event_timestamp`, and not exactly one datetime
                column.
            ValueError: it holds numbers, or texts that tell no time.
        """
        moments = [str(name) for name in frame.columns if pd.api.types.is_datetime64_any_dtype(frame[name])]
        timestamp = timestamp_column([str(name) for name in frame.columns], moments)
        frame = frame.assign(**{timestamp: _moments(frame[timestamp])})
        return cls(pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None), timestamp)

    def install(self, connection: Connection, views: Sequence[RequestedView]) -> str:
        """See `EntityRows`. Only what the joins need is handed over."""
        del views
        connection.register(ENTITY, self.table.append_column(ROW, pa.array(range(self.table.num_rows), pa.int64())))
        return self.timestamp


@dataclass(frozen=True)
class Statement:
    """Entity rows from a person's SELECT, for example over a Parquet file of labels."""

    text: str

    def install(self, connection: Connection, views: Sequence[RequestedView]) -> str:
        """See `EntityRows`.

        Raises:
            ValueError: the text is not one SELECT.
        """
        del views
        parsed = connection.extract_statements(self.text)
        if len(parsed) != 1 or parsed[0].type != duckdb.StatementType.SELECT:
            raise ValueError(
                "entity_df as SQL must be one SELECT statement in DuckDB's dialect, for example "
                "\"SELECT * FROM '/data/labels.parquet'\". Nothing was run."
            )
        select = parsed[0].query.strip().rstrip(";")
        # A line of its own closes the parenthesis: the text may end in a comment.
        numbered = f"SELECT *, row_number() OVER () - 1 AS {sql.identifier(ROW)} FROM ({select}\n)"
        connection.execute(f"CREATE TEMP TABLE {ENTITY} AS {numbered}")
        types = sources.column_types(connection, f"SELECT * EXCLUDE ({sql.identifier(ROW)}) FROM {ENTITY}")
        moments = [name for name, kind in types.items() if kind.startswith(("TIMESTAMP", "DATE"))]
        timestamp = timestamp_column(list(types), moments)
        if timestamp not in moments:
            (cell,) = connection.execute(f"SELECT first({sql.identifier(timestamp)}) FROM {ENTITY}").fetchall()[0]
            raise _no_times(timestamp, 0, cell, "cast it in the SELECT, such as to_timestamp(...) or ...::TIMESTAMPTZ")
        return timestamp


@dataclass(frozen=True)
class Snapshot:
    """No entity frame: one row at `end` for each entity that has a row in [start, end] in any view."""

    start: datetime
    end: datetime

    def install(self, connection: Connection, views: Sequence[RequestedView]) -> str:
        """See `EntityRows`.

        Raises:
            ValueError: the views have different join keys, so there is no one set of entities.
        """
        keys = views[0].join.spine_keys
        if any(set(view.join.spine_keys) != set(keys) for view in views):
            raise ValueError(
                "Retrieval without an entity_df needs views with the same join keys; got "
                + ", ".join(f"{view.name}: {list(view.join.spine_keys)}" for view in views)
                + ". Pass an entity_df, or ask for these views one by one. Nothing was read."
            )
        bounds = sql.Bounds(oldest_event=self.start, newest_known=self.end)
        parts = []
        for view in views:
            names = {mine: f"k{i}" for i, mine in enumerate(view.join.spine_keys)}
            select = ", ".join(f"{names[key]} AS {sql.identifier(key)}" for key in keys) or "1"
            parts.append(f"SELECT {select} FROM ({sql.rows(view.join.history, bounds)})")
        columns = "".join(f"{sql.identifier(key)}, " for key in keys)
        order = f"ORDER BY {columns.removesuffix(', ')}" if keys else ""
        entities = f"SELECT DISTINCT * FROM ({' UNION '.join(parts)})" if keys else "SELECT 1"
        connection.execute(
            f"CREATE TEMP TABLE {ENTITY} AS SELECT {columns}{sql.instant(self.end)} AS "
            f"{DEFAULT_ENTITY_DF_EVENT_TIMESTAMP_COL}, row_number() OVER ({order}) - 1 AS "
            f"{sql.identifier(ROW)} "
            f"FROM ({entities}) {order}"
        )
        return DEFAULT_ENTITY_DF_EVENT_TIMESTAMP_COL


def _moments(raw: pd.Series) -> pd.Series:
    """Times of a frame in UTC; naive ones are UTC."""
    if pd.api.types.is_datetime64_any_dtype(raw.dtype):
        return pd.to_datetime(raw, utc=True, cache=False)
    read = read_times(raw, "UTC")
    if (wrong := np.flatnonzero(read.isna() & raw.notna())).size:
        remedy = "convert the column, such as by pd.to_datetime(column, unit='s', utc=True)"
        raise _no_times(str(raw.name), int(wrong[0]), raw.iloc[wrong[0]], remedy)
    return read


def _no_times(column: str, row: int, cell: Any, remedy: str) -> ValueError:
    unit = hint(cell).partition(":")[0]
    return ValueError(
        f"{column} of the entity rows is {cell} in row {row + 1:,}, which is no time{unit and f' ({unit})'}: {remedy}. "
        "Nothing was read."
    )


def timestamp_column(columns: Sequence[str], moments: Sequence[str]) -> str:
    """Feast's rule: `event_timestamp`, else the only column that holds times."""
    if DEFAULT_ENTITY_DF_EVENT_TIMESTAMP_COL in columns:
        return DEFAULT_ENTITY_DF_EVENT_TIMESTAMP_COL
    if len(moments) != 1:
        raise EntityTimestampInferenceException(DEFAULT_ENTITY_DF_EVENT_TIMESTAMP_COL)
    return moments[0]
