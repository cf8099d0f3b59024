"""Feast's OfflineStore interface on DuckDB's ASOF join: `AsofOfflineStore` and its configuration.

What doesn't live here: what a point-in-time value is and the tie rule (`sql`, read it first), running a job
(`retrieval`, `plans`), which files are read (`sources`).

What differs from Feast's stock `file` store, on purpose:

- rows out equal rows in, in their order, duplicates included; a value beyond the ttl is NULL, the row stays;
- a value counts only from when it was created (`known_at_cutoff`), also in `pull_latest`;
- ties are decided by the rule in `sql`, the same in every run;
- a NULL join key matches nothing;
- a path without files is an empty view.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from feast.data_source import DataSource
from feast.errors import FeastJoinKeysDuringMaterialization
from feast.feature_logging import LoggingConfig, LoggingSource
from feast.feature_view import FeatureView
from feast.infra.offline_stores.file_source import FileLoggingDestination, FileSource
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.utils import compute_non_entity_date_range

from mlops_assets.feast_store import entity_rows, sources, sql
from mlops_assets.feast_store.parquet import write_table
from mlops_assets.feast_store.plans import PointInTime, Query, time_range
from mlops_assets.feast_store.requested_views import requested_views
from mlops_assets.feast_store.retrieval import AsofRetrievalJob


class AsofOfflineStoreConfig(FeastConfigBaseModel):
    """The `offline_store` section of feature_store.yaml."""

    type: Literal["mlops_assets.feast_store.offline.AsofOfflineStore"] = (
        "mlops_assets.feast_store.offline.AsofOfflineStore"
    )

    memory_limit: str = "2GB"
    """What DuckDB may hold before it spills to disk, as DuckDB writes it (2GB, 512MB, 80%)."""

    threads: int | None = None
    """How many threads a retrieval takes; every core when left out."""

    temp_directory: str | None = None
    """Where to spill; the system's temporary directory when left out."""

    known_at_cutoff: bool = True
    """A value counts only from max(event timestamp, created timestamp). Off, created timestamps only break
    ties, as in Feast's stores, and a value written later leaks into the past."""

    event_times: bool = False
    """Return, beside a view's features, the event timestamp of the row they come from, as
    `<view>__event_timestamp`. Off by default: Feast's other stores have no such column."""


def open_session(config: RepoConfig) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
    """The DuckDB session that the store's configuration asks for."""
    store = _settings(config)
    return sources.session(memory_limit=store.memory_limit, threads=store.threads, temp_directory=store.temp_directory)


def _settings(config: RepoConfig) -> AsofOfflineStoreConfig:
    if not isinstance(config.offline_store, AsofOfflineStoreConfig):
        raise ValueError(
            f"The configured offline store is {config.offline_store.type!r}. Set offline_store.type to "
            "mlops_assets.feast_store.offline.AsofOfflineStore in feature_store.yaml. Nothing was read."
        )
    return config.offline_store


class AsofOfflineStore(OfflineStore):
    """Point-in-time joins by DuckDB's ASOF join over Parquet, within a memory limit.

    Reads `FileSource`s of Parquet. What a value at a time is, and the tie rule, are stated in
    `mlops_assets.feast_store.sql`.
    """

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(  # noqa: PLR0913  (Feast's signature)
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        *,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        filter_by_created_timestamp: bool = False,
    ) -> RetrievalJob:
        """Join the features as they were known at each entity row's time.

        Args:
            config: Feast's configuration.
            feature_views: the views that `feature_refs` name, aliases included.
            feature_refs: `view:feature`.
            entity_df: a data frame; or one SELECT in DuckDB's dialect; or None for a snapshot at `end_date`
                of every entity that has a row in [start_date, end_date]. Its time is `event_timestamp`, else
                its only column of times; naive times are UTC; below a microsecond times are cut off.
            registry: Feast's registry.
            project: the project.
            full_feature_names: call features `view__feature`.
            start_date: for a snapshot; by default `end_date` less the longest ttl, or 30 days.
            end_date: for a snapshot; by default now.
            filter_by_created_timestamp: ask for the cut-off where `known_at_cutoff` is off.

        Returns:
            A job whose result has the entity rows' columns, then the features: one row for each entity row,
            in the same order.

        Raises:
            ValueError: an entity or source lacks a column, types can't match, or a name would occur twice.
        """
        settings = _settings(config)
        views = requested_views(
            feature_views,
            feature_refs,
            full_feature_names=full_feature_names,
            cutoff=settings.known_at_cutoff or filter_by_created_timestamp,
            event_times=settings.event_times,
        )
        entities: entity_rows.EntityRows
        if entity_df is None:
            start, end = compute_non_entity_date_range(feature_views, start_date=start_date, end_date=end_date)
            entities = entity_rows.Snapshot(start, end)
        elif isinstance(entity_df, str):
            entities = entity_rows.Statement(entity_df)
        else:
            entities = entity_rows.Frame.from_pandas(entity_df)
        plan = PointInTime(lambda: open_session(config), config, entities, views, feature_refs)
        return AsofRetrievalJob(
            plan,
            config=config,
            full_feature_names=full_feature_names,
            on_demand_feature_views=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """One row per entity: its greatest (tie rule of `sql`) with an event timestamp between the dates.

        Both dates included. Under `known_at_cutoff` only rows created by `end_date`. A row that arrives late
        with an event timestamp before `start_date` is not here, by Feast's contract;
        `materialize.materialize_latest` finds it.
        """
        source = sources.as_file_source(data_source, "The pulled source")
        cutoff = _settings(config).known_at_cutoff

        def build(connection: duckdb.DuckDBPyConnection) -> str:
            relation, columns = _read(connection, source, config, join_key_columns)
            moments = {timestamp_field, created_timestamp_column}
            features = feature_name_columns or [
                name for name in columns if name not in moments and name not in join_key_columns
            ]
            history = sql.History(
                relation=relation,
                keys=tuple(join_key_columns),
                event=timestamp_field,
                created=created_timestamp_column or None,
                features=tuple(features),
                tie_break=tuple(features),
                cutoff=cutoff,
            )
            statement = sql.latest(history, event_from=start_date, known_from=None, to=end_date)
            return statement if join_key_columns else sources.with_dummy_entity(statement)

        return AsofRetrievalJob(Query(lambda: open_session(config), build), config=config)

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """Every row with an event timestamp in [start_date, end_date], as it stands in the files."""
        source = sources.as_file_source(data_source, "The pulled source")
        moments = [timestamp_field, *filter(None, [created_timestamp_column])]
        wanted = [*join_key_columns, *feature_name_columns, *moments] if feature_name_columns else []

        def build(connection: duckdb.DuckDBPyConnection) -> str:
            relation, _ = _read(connection, source, config, join_key_columns)
            statement = sql.everything(
                relation,
                columns=list(dict.fromkeys(wanted)),
                event=timestamp_field,
                start=start_date,
                end=end_date,
            )
            return statement if join_key_columns else sources.with_dummy_entity(statement)

        return AsofRetrievalJob(Query(lambda: open_session(config), build), config=config)

    @staticmethod
    def offline_write_batch(
        config: RepoConfig,
        feature_view: FeatureView,
        table: pa.Table,
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Append rows to the view's source: a new file in a directory, or the one file replaced whole.

        Raises:
            ValueError: the columns are not the source's, or its path is a glob or remote: then nobody can say
                which file the rows belong in.
        """
        source = sources.as_file_source(feature_view.batch_source, f"Feature view {feature_view.name!r}")
        path = sources.location(source, config)
        place = Path(path)
        if sources.is_remote(path) or not (place.is_dir() or place.suffix == ".parquet") or "*" in path:
            raise ValueError(
                f"Rows of feature view {feature_view.name!r} can't be written to {path}: AsofOfflineStore "
                f"appends "
                "to a local file or directory. Write the files with what owns them (here: dbt). Nothing was "
                "written."
            )
        files = sources.files_of(path)
        if files:
            schema = sources.arrow_schema(source, config)
            if schema.names != table.column_names:
                raise ValueError(
                    f"The rows have the columns {table.column_names}, the source of feature view "
                    f"{feature_view.name!r} has {schema.names}. Bring them in this order. Nothing was "
                    f"written."
                )
            table = table.cast(schema)
        if place.is_dir():
            write_table(table, place / f"{uuid.uuid4().hex}.parquet")
        else:
            before = [pq.read_table(path).cast(table.schema)] if files else []
            write_table(pa.concat_tables([*before, table]), place)
        if progress:
            progress(table.num_rows)

    @staticmethod
    def write_logged_features(
        config: RepoConfig,
        data: pa.Table | Path,
        source: LoggingSource,
        logging_config: LoggingConfig,
        registry: BaseRegistry,
    ) -> None:
        """Append logged features as new Parquet files to the destination's directory."""
        del source, registry
        destination = logging_config.destination
        if not isinstance(destination, FileLoggingDestination):
            raise ValueError(
                f"AsofOfflineStore logs features to files; got {type(destination).__name__}. "
                "Use FileLoggingDestination(path=…). Nothing was written."
            )
        filesystem, path = FileSource.create_filesystem_and_path(
            FileSource.get_uri_for_file_path(config.repo_path, destination.path),
            destination.s3_endpoint_override or "",
        )
        ds.write_dataset(
            ds.dataset(data, format="parquet") if isinstance(data, Path) else data,
            base_dir=path,
            basename_template=f"{uuid.uuid4().hex}-{{i}}.parquet",
            partitioning=destination.partition_by,
            filesystem=filesystem,
            format="parquet",
            existing_data_behavior="overwrite_or_ignore",
        )

    def validate_data_source(self, config: RepoConfig, data_source: DataSource) -> None:
        """Check that the files hold the declared timestamps. A source without files yet is valid.

        Raises:
            ValueError: the source is not Parquet files, or a timestamp column is missing.
        """
        source = sources.as_file_source(data_source, f"Data source {data_source.name!r}")
        path = sources.location(source, config)
        if sources.is_remote(path) or sources.files_of(path):
            wanted = [name for name in (source.timestamp_field, source.created_timestamp_column) if name]
            renamed = {mine: theirs for theirs, mine in source.field_mapping.items()}
            sources.require_columns(
                sources.arrow_schema(source, config).names,
                [renamed.get(name, name) for name in wanted],
                f"Data source {source.name!r}",
                path,
            )

    def get_table_column_names_and_types_from_data_source(
        self, config: RepoConfig, data_source: DataSource
    ) -> Iterable[tuple[str, str]]:
        """The columns of the source's files and their Arrow types; hive keys are not columns.

        Raises:
            FileNotFoundError: there is no file to infer from: the view must declare its schema.
        """
        source = sources.as_file_source(data_source, f"Data source {data_source.name!r}")
        schema = sources.arrow_schema(source, config)
        return [(field.name, str(field.type)) for field in schema]

    @staticmethod
    def get_monitoring_max_timestamp(
        config: RepoConfig, data_source: DataSource, timestamp_field: str
    ) -> datetime | None:
        """The newest event timestamp of the source; None when it is empty."""
        source = sources.as_file_source(data_source, f"Data source {data_source.name!r}")
        path = sources.location(source, config)
        if not sources.is_remote(path) and not sources.files_of(path):
            return None
        with open_session(config) as connection:
            relation, _ = _read(connection, source, config, [])
            return time_range(connection, relation, sql.identifier(timestamp_field))[1]


def _read(
    connection: duckdb.DuckDBPyConnection, source: FileSource, config: RepoConfig, keys: list[str]
) -> tuple[str, list[str]]:
    """The source's relation and columns, with the join keys in them."""
    relation = sources.relation(connection, source, config, name="source", empty=None)
    columns = list(connection.sql(f"SELECT * FROM {relation}").columns)
    if not set(keys) <= set(columns):
        raise FeastJoinKeysDuringMaterialization(source.path, set(keys), set(columns))
    return relation, columns
