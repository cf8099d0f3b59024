"""What a retrieval job runs: the statements of `sql` in a session, to Arrow or straight to Parquet.

What doesn't live here: Feast's job (`retrieval`), the statements (`sql`), the files (`sources`), the left side
(`entity_rows`).

Each feature view is joined to a narrow *spine* (row number, time, keys) on its own. The join finds only which row
of the history counts; the columns are taken by that number (`gather`) and come back in the order of the spine, so
results are set side by side without another join, and the entity frame's columns never pass through the joins. To
Parquet, the columns are spilled to files first: memory stays bounded however many rows there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from feast.infra.offline_stores.offline_store import RetrievalMetadata
from feast.repo_config import RepoConfig

from mlops_assets.feast_store import sources, sql
from mlops_assets.feast_store.entity_rows import ENTITY, ROW, Connection, EntityRows, Frame
from mlops_assets.feast_store.gather import gather
from mlops_assets.feast_store.parquet import copy_to_parquet, in_microseconds
from mlops_assets.feast_store.requested_views import RequestedView

OpenSession = Callable[[], AbstractContextManager[Connection]]

_SPINE = "spine"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Plan(Protocol):
    """What a job runs: each method opens a session of its own."""

    def to_arrow(self) -> pa.Table:
        """The result as one Arrow table."""
        ...

    def write(self, path: Path) -> int:
        """Write the result to one Parquet file without holding it in memory; returns the number of rows."""
        ...

    def statements(self) -> list[str]:
        """The statements that run."""
        ...

    def metadata(self) -> RetrievalMetadata | None:
        """What was asked for, and the range of times."""
        ...


@dataclass(frozen=True)
class Query:
    """One SELECT over one source.

    Attributes:
        open_session: opens the DuckDB session.
        build: makes the statement, registering what it reads on the connection.
    """

    open_session: OpenSession
    build: Callable[[Connection], str]

    def to_arrow(self) -> pa.Table:
        """See `Plan`. One chunk: Feast's own materialization reads the first chunk only."""
        with self.open_session() as connection:
            return connection.sql(self.build(connection)).to_arrow_table().combine_chunks()

    def write(self, path: Path) -> int:
        """See `Plan`."""
        with self.open_session() as connection:
            return copy_to_parquet(connection, self.build(connection), path)

    def statements(self) -> list[str]:
        """See `Plan`."""
        with self.open_session() as connection:
            return [self.build(connection)]

    def metadata(self) -> RetrievalMetadata | None:
        """A pull has none, as in Feast's stores."""
        return None


@dataclass(frozen=True)
class Join:
    """One view's part of a point-in-time join.

    Attributes:
        places: SQL: which row of the history each spine row's value is in.
        values: SQL: what is returned of each row of the history.
        rows: how many rows the history has.
    """

    places: str
    values: str
    rows: int


@dataclass(frozen=True)
class PointInTime:
    """The point-in-time join of entity rows with feature views: as many rows as went in, in their order.

    Attributes:
        open_session: opens the DuckDB session.
        config: Feast's configuration.
        entities: the left side.
        views: the right sides.
        feature_refs: what was asked for, for the metadata.
    """

    open_session: OpenSession
    config: RepoConfig
    entities: EntityRows
    views: Sequence[RequestedView]
    feature_refs: Sequence[str]

    def to_arrow(self) -> pa.Table:
        """See `Plan`."""
        with self._prepared() as (connection, joins):
            result = self._entity_table(connection)
            for join in joins:
                places = connection.sql(join.places).to_arrow_table()["n"]
                for schema, batches in gather(connection, join.values, places, rows=join.rows):
                    part = pa.Table.from_batches(list(batches), schema)
                    for name in part.column_names:
                        result = result.append_column(name, part[name])
            return result

    def write(self, path: Path) -> int:
        """See `Plan`."""
        with self._prepared() as (connection, joins):
            if isinstance(self.entities, Frame):
                connection.register("in_microseconds", in_microseconds(self.entities.table))
                connection.execute("CREATE TEMP TABLE given AS SELECT * FROM in_microseconds")
                left = "SELECT * FROM given"
            else:
                left = f"SELECT * EXCLUDE ({sql.identifier(ROW)}) FROM {ENTITY}"
            spill = Path(str(connection.sql("SELECT current_setting('temp_directory')").fetchall()[0][0]))
            spill.mkdir(parents=True, exist_ok=True)
            parts: list[Path] = []
            for join in joins:
                places = connection.sql(join.places).to_arrow_table()["n"]
                for schema, batches in gather(connection, join.values, places, rows=join.rows):
                    parts.append(spill / f"part-{len(parts)}.parquet")
                    with pq.ParquetWriter(parts[-1], schema, compression="lz4", use_dictionary=False) as writer:
                        for batch in batches:
                            writer.write_batch(batch)
            side_by_side = "".join(f" POSITIONAL JOIN read_parquet({sql.literal(sql.exact(part))})" for part in parts)
            return copy_to_parquet(connection, f"SELECT * FROM ({left}){side_by_side}", path)

    def statements(self) -> list[str]:
        """See `Plan`."""
        with self._prepared() as (_, joins):
            return [statement for join in joins for statement in (join.places, join.values)]

    def metadata(self) -> RetrievalMetadata:
        """Features, entity columns and the range of entity times. Reads the entity rows once."""
        with self.open_session() as connection:
            views = self._located(connection)
            timestamp = self.entities.install(connection, views)
            oldest, newest = time_range(connection, ENTITY, sql.identifier(timestamp))
            keys = [name for name in self._entity_columns(connection) if name != timestamp]
        return RetrievalMetadata(
            features=list(self.feature_refs),
            keys=keys,
            min_event_timestamp=oldest,
            max_event_timestamp=newest,
        )

    @contextmanager
    def _prepared(self) -> Iterator[tuple[Connection, list[Join]]]:
        """A session with the spine in it, and one join for each view."""
        with self.open_session() as connection:
            views = self._located(connection)
            timestamp = self.entities.install(connection, views)
            self._check_names(self._entity_columns(connection))
            self._make_spine(connection, views, timestamp)
            oldest, newest = time_range(connection, _SPINE, "t")
            joins = []
            for view in views:
                bounds = sql.Bounds(_before(oldest, view.join.ttl), newest)
                history = self._reachable(view, bounds)
                survey = take_survey(connection, history, bounds)
                join = replace(view.join, history=history, survey=survey)
                joins.append(Join(sql.places(join, _SPINE, bounds), sql.values(join, bounds), survey.rows))
            yield connection, joins

    def _located(self, connection: Connection) -> list[RequestedView]:
        """The views with their relations, their columns checked."""
        located = []
        for i, view in enumerate(self.views):
            relation = sources.relation(connection, view.source, self.config, name=f"source_{i}", empty=view.declared)
            history = replace(view.join.history, relation=relation)
            types = sources.column_types(connection, f"SELECT * FROM {relation}")
            wanted = [*history.keys, history.event, *filter(None, [history.created]), *history.tie_break]
            sources.require_columns(list(types), wanted, f"Feature view {view.name!r}", view.source.path)
            known = {name.casefold(): kind for name, kind in types.items()}
            located.append(replace(view, join=replace(view.join, history=history), types=known))
        return located

    def _reachable(self, view: RequestedView, bounds: sql.Bounds) -> sql.History:
        """The view's history, read only from the files that can have rows within the bounds."""
        history = view.join.history
        path = sources.location(view.source, self.config)
        files = [] if sources.is_remote(path) else sources.files_of(path)
        if len(files) < 2:
            return history
        wanted = [*history.keys, history.event, *filter(None, [history.created])]
        reached = sources.within(
            files,
            column=history.event,
            columns=[*wanted, *history.features, *history.tie_break],
            oldest=bounds.oldest_event,
            newest=bounds.newest_known,
        )
        return replace(history, relation=sources.read_files(reached))

    def _make_spine(self, connection: Connection, views: Sequence[RequestedView], timestamp: str) -> None:
        given = sources.column_types(connection, f"SELECT * FROM {ENTITY}")
        wanted = list(dict.fromkeys(key for view in self.views for key in view.join.spine_keys))
        missing = [key for key in wanted if key not in given]
        if missing:
            raise ValueError(
                f"The entity rows lack the join key {', '.join(map(repr, missing))}; they have "
                f"{', '.join(repr(name) for name in given if name != ROW)}. Add the column, or map it with "
                "with_join_key_map. Nothing was read."
            )
        types = _key_types(views, given)
        keys = "".join(f", CAST({sql.identifier(key)} AS {types[key]}) AS {sql.identifier(key)}" for key in wanted)
        connection.execute(
            f"CREATE TEMP TABLE {_SPINE} AS SELECT {sql.identifier(ROW)} AS row, "
            f"CAST({sql.identifier(timestamp)} AS TIMESTAMPTZ) AS t{keys} FROM {ENTITY}"
        )

    def _entity_columns(self, connection: Connection) -> list[str]:
        return [name for name in connection.sql(f"SELECT * FROM {ENTITY}").columns if name != ROW]

    def _entity_table(self, connection: Connection) -> pa.Table:
        if isinstance(self.entities, Frame):
            return self.entities.table
        return connection.sql(f"SELECT * EXCLUDE ({sql.identifier(ROW)}) FROM {ENTITY}").to_arrow_table()

    def _check_names(self, entity_columns: Sequence[str]) -> None:
        names = [*entity_columns, *(name for view in self.views for name in view.join.outputs)]
        names += [view.join.event_time for view in self.views if view.join.event_time]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"The result would have {', '.join(map(repr, twice))} twice. Pass full_feature_names=True, "
                f"or "
                "rename the column of the entity rows. Nothing was read."
            )


def _key_types(views: Sequence[RequestedView], given: Mapping[str, str]) -> dict[str, str]:
    """The type of each join key in the spine: the entity rows', or the source's where all are NULL."""
    types: dict[str, str] = {}
    for view in views:
        for mine, theirs in zip(view.join.spine_keys, view.join.history.keys, strict=True):
            kind, source_type = given[mine], view.types[theirs.casefold()]
            if kind in ('"NULL"', "NULL"):
                kind = types.get(mine, source_type)
            if _is_text(kind) != _is_text(source_type):
                raise ValueError(
                    f"Join key {mine!r} is {kind} in the entity rows and {source_type} in the source of feature view "
                    f"{view.name!r}: they can't match. Convert the entity column to the source's type. Nothing was "
                    "changed."
                )
            types[mine] = kind
    return types


def take_survey(connection: Connection, history: sql.History, bounds: sql.Bounds) -> sql.Survey:
    """Find out how much of the general case the history needs (see `sql`)."""
    late, repeated, rows = connection.sql(sql.survey(history, bounds)).fetchall()[0]
    tied = bool(repeated) and bool(connection.sql(sql.survey_ties(history, bounds)).fetchall()[0][0])
    return sql.Survey(late=bool(late), repeated=bool(repeated), tied=tied, rows=int(rows))


def _is_text(kind: str) -> bool:
    return kind.startswith(("VARCHAR", "ENUM"))


def time_range(connection: Connection, table: str, column: str) -> tuple[datetime | None, datetime | None]:
    """The oldest and newest time in a column; None where there is none."""
    moment = f"epoch_us(CAST({column} AS TIMESTAMPTZ))"
    oldest, newest = connection.sql(f"SELECT min({moment}), max({moment}) FROM {table}").fetchall()[0]

    def as_datetime(microseconds: int | None) -> datetime | None:
        return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)

    return as_datetime(oldest), as_datetime(newest)


def _before(moment: datetime | None, ttl: timedelta | None) -> datetime | None:
    """The oldest event that can be alive at `moment`; None when there is no such bound."""
    if moment is None or ttl is None or ttl > moment - datetime.min.replace(tzinfo=UTC):
        return None
    return moment - ttl
