"""Which files a Feast `FileSource` means, what is in them, and the DuckDB session that reads them.

What doesn't live here: the statements (`sql`) and Feast's interface (`offline`).

A path may be a Parquet file, a directory (every `*.parquet` below it) or a glob such as
`…/features/feat_x/*/*.parquet`. A hive key in the path (`day=2013-01-01`) is never a column: it says where a
row is stored, not what is known about an entity. Files are matched by column name, and a column that older
files lack is NULL there.

A path that matches no file is an *empty source*: the view exists, nothing is known yet, every feature is
NULL. The types of its columns are those of the feature view's schema; as soon as there are files, theirs
hold.
"""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from feast.data_format import ParquetFormat
from feast.data_source import DataSource
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL, FeatureView
from feast.infra.offline_stores.file_source import FileSource
from feast.repo_config import RepoConfig
from feast.types import from_feast_to_pyarrow_type

from mlops_assets.feast_store.sql import exact, identifier, literal


@contextmanager
def session(
    *, memory_limit: str, threads: int | None = None, temp_directory: str | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory DuckDB that spills to disk at `memory_limit` instead of dying, gone when the block ends.

    Args:
        memory_limit: as DuckDB writes it, for example `2GB`.
        threads: None takes every core.
        temp_directory: where to spill; None takes the system's temporary directory. A directory of our own is
            made below it, and removed at the end.
    """
    if temp_directory is not None:
        Path(temp_directory).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="asof-", dir=temp_directory) as spill:
        settings: dict[str, Any] = {
            "memory_limit": memory_limit,
            "temp_directory": spill,
            # Names in a person's entity SQL mean files and tables, never our local variables.
            "python_enable_replacements": False,
            "autoinstall_known_extensions": False,
        }
        if threads is not None:
            settings["threads"] = threads
        connection = duckdb.connect(":memory:", config=settings)
        try:
            # Naive timestamps are UTC, as everywhere in Feast.
            connection.execute("SET TimeZone = 'UTC'")
            # A file is looked at several times: for its columns, for the survey, for the join, for the values.
            connection.execute("SET parquet_metadata_cache = true")
            yield connection
        finally:
            connection.close()


def as_file_source(source: DataSource | None, wanted_by: str) -> FileSource:
    """The source, if it is one this store reads.

    Raises:
        ValueError: it is not a `FileSource` of Parquet files.
    """
    if not isinstance(source, FileSource):
        raise ValueError(
            f"{wanted_by} has a source of type {type(source).__name__}; AsofOfflineStore reads FileSource "
            f"only. "
            "Declare the view with FileSource(path=…) in the feature repository, or choose the offline "
            "store of "
            "that source in feature_store.yaml. Nothing was read or written."
        )
    if source.file_format is not None and not isinstance(source.file_format, ParquetFormat):
        raise ValueError(
            f"{wanted_by} has files of format {type(source.file_format).__name__}; AsofOfflineStore reads "
            "Parquet. Remove file_format from its FileSource and write Parquet. Nothing was read or written."
        )
    return source


def location(source: FileSource, config: RepoConfig) -> str:
    """The source's path: absolute, or relative to the feature repository; remote addresses as they are."""
    uri = source.path
    if uri.startswith("file://"):
        uri = uri.removeprefix("file://")
    return FileSource.get_uri_for_file_path(config.repo_path, uri)


def is_remote(path: str) -> bool:
    """Whether the path is an address (`s3://…`) and not a place on this machine."""
    return "://" in path


def files_of(path: str) -> list[str]:
    """The Parquet files a local path means, sorted; empty when there are none yet."""
    place = Path(path)
    if place.is_file():
        return [path]
    if place.is_dir():
        return sorted(str(file) for file in place.rglob("*.parquet") if not file.name.startswith("."))
    return sorted(file for file in glob.glob(path, recursive=True) if Path(file).is_file())  # noqa: PTH207 the pattern may be absolute


def _remote_dataset(source: FileSource, path: str) -> ds.Dataset:
    filesystem, place = FileSource.create_filesystem_and_path(
        path, source.s3_endpoint_override or "", source.resolve_credentials()
    )
    return ds.dataset(place, filesystem=filesystem, format="parquet")


@dataclass(frozen=True)
class Footer:
    """What a Parquet file's footer says.

    Attributes:
        types: column name (in lower case) to its Arrow type.
        oldest: the least value of the column that was asked for; None where the footer doesn't say.
        newest: the greatest.
    """

    types: Mapping[str, str]
    oldest: datetime | None
    newest: datetime | None


def within(
    files: Sequence[str], *, column: str, columns: Sequence[str], oldest: datetime | None, newest: datetime | None
) -> list[str]:
    """The files that can have rows with `column` in [oldest, newest], as their footers say.

    Opening a file costs more than the rows of a day in it, so a join of one week does not open a year of files. All
    files come back where the chosen ones would give one of `columns` another type than all of them do.
    """
    footers = {file: _footer_now(file, column) for file in files}
    kept = [
        file
        for file, footer in footers.items()
        if not (oldest and footer.newest and footer.newest < oldest)
        and not (newest and footer.oldest and footer.oldest > newest)
    ] or list(files[:1])

    def types(some: Sequence[str]) -> list[set[str | None]]:
        return [{footers[file].types.get(name.casefold()) for file in some} - {None} for name in columns]

    return kept if types(kept) == types(files) else list(files)


def _footer_now(file: str, column: str) -> Footer:
    state = Path(file).stat()
    return _footer(file, column, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=100_000)
def _footer(file: str, column: str, modified: int, size: int) -> Footer:
    """A file's footer, read once for each state of the file."""
    del modified, size
    metadata = pq.read_metadata(file)
    types = {field.name.casefold(): str(field.type) for field in metadata.schema.to_arrow_schema()}
    ranges: list[tuple[Any, Any] | None] = []
    for group in (metadata.row_group(i) for i in range(metadata.num_row_groups)):
        for chunk in (group.column(i) for i in range(group.num_columns)):
            if chunk.path_in_schema.casefold() == column.casefold():
                known = chunk.statistics is not None and chunk.statistics.has_min_max
                ranges.append((chunk.statistics.min, chunk.statistics.max) if known else None)
    if not ranges or not all(pair is not None and isinstance(pair[0], datetime) for pair in ranges):
        return Footer(types, None, None)
    pairs = [pair for pair in ranges if pair is not None]
    return Footer(types, _utc(min(pair[0] for pair in pairs)), _utc(max(pair[1] for pair in pairs)))


def _utc(moment: datetime) -> datetime:
    """Naive timestamps are UTC, as everywhere in Feast."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def relation(
    connection: duckdb.DuckDBPyConnection,
    source: FileSource,
    config: RepoConfig,
    *,
    name: str,
    empty: pa.Schema | None,
) -> str:
    """SQL that reads the source: to be pasted after FROM.

    Args:
        connection: where a remote or empty source is registered.
        source: what to read.
        config: gives the feature repository's directory.
        name: a name that is free on the connection.
        empty: the schema an empty source takes; None makes an empty source an error.

    Raises:
        FileNotFoundError: no file matches and `empty` is None.
    """
    path = location(source, config)
    if is_remote(path):
        connection.register(name, _remote_dataset(source, path))
        return identifier(name)
    files = files_of(path)
    if files:
        return read_files(files)
    if empty is None:
        raise FileNotFoundError(
            f"No Parquet file matches {path}, the path of source {source.name!r}. Write the data first, or "
            "correct the path in its FileSource. Nothing was changed."
        )
    connection.register(name, empty.empty_table())
    return identifier(name)


def read_files(files: Sequence[str]) -> str:
    """SQL that reads Parquet files: to be pasted after FROM."""
    # union_by_name reads every footer, which one file does not need.
    union = ", union_by_name = true" if len(files) > 1 else ""
    return f"read_parquet([{', '.join(literal(exact(file)) for file in files)}], hive_partitioning = false{union})"


def source_name(view: FeatureView, name: str) -> str:
    """The column of the view's source that holds what the view calls `name` (field mapping, reversed)."""
    mapping = view.batch_source.field_mapping if view.batch_source else {}
    return {mine: theirs for theirs, mine in mapping.items()}.get(name, name)


def join_keys(view: FeatureView) -> list[str]:
    """The view's join keys; empty for a view without entities."""
    return [column.name for column in view.entity_columns if column.name != DUMMY_ENTITY_ID]


def with_dummy_entity(statement: str) -> str:
    """Feast stores a view without entities under one made-up key."""
    return f"SELECT *, {literal(DUMMY_ENTITY_VAL)} AS {identifier(DUMMY_ENTITY_ID)} FROM ({statement})"


def declared_schema(view: FeatureView) -> pa.Schema:
    """The source's schema as the view declares it: the types of an empty source.

    Raises:
        ValueError: a declared type has no Arrow type.
    """
    fields = {
        source_name(view, column.name): from_feast_to_pyarrow_type(column.dtype)
        for column in [*view.entity_columns, *view.features]
        if column.name != DUMMY_ENTITY_ID
    }
    source = view.batch_source
    if source is not None:
        for moment in (source.timestamp_field, source.created_timestamp_column):
            if moment:
                fields[source_name(view, moment)] = pa.timestamp("us", tz="UTC")
    return pa.schema(list(fields.items()))


def column_types(connection: duckdb.DuckDBPyConnection, statement: str) -> dict[str, str]:
    """Column name to DuckDB type of a SELECT, in order, without running it."""
    described = connection.sql(statement)
    return dict(zip(described.columns, (str(kind) for kind in described.types), strict=True))


def require_columns(columns: Sequence[str], wanted: Sequence[str], what: str, path: str) -> None:
    """Raise a ValueError that names what is missing from a source, and where to put it right."""
    # DuckDB, like Parquet readers in general, finds columns whatever their case.
    present = {name.casefold() for name in columns}
    missing = [name for name in wanted if name.casefold() not in present]
    if missing:
        raise ValueError(
            f"{what}: {path} has no column {', '.join(map(repr, missing))}; it has "
            f"{', '.join(map(repr, columns))}. "
            "Correct the schema, timestamp_field, created_timestamp_column or field_mapping of the view, or "
            "write "
            "the column. Nothing was changed."
        )


def arrow_schema(source: FileSource, config: RepoConfig) -> pa.Schema:
    """The Arrow schema of the source's files, columns that only some files have included.

    Raises:
        FileNotFoundError: no file matches, so there is nothing to infer from.
    """
    path = location(source, config)
    if is_remote(path):
        return _remote_dataset(source, path).schema
    files = files_of(path)
    if not files:
        raise FileNotFoundError(
            f"No Parquet file matches {path}, so Feast cannot infer the columns of source {source.name!r}. "
            "Declare the view's schema and timestamp_field, or write a file first. Nothing was changed."
        )
    schemas = [pq.read_schema(file).remove_metadata() for file in files]
    return pa.unify_schemas(schemas, promote_options="permissive")
