"""The lake's Parquet files as files: where one lies, what it says of itself, an engine to read it with.

Here: what a process needs that has no home and no resources, such as the one that moves the service's log; it starts in
a third of a second, where importing Dagster alone takes one. Not here: tables and their partitions (`lake`).
"""

from __future__ import annotations

import os
import shutil
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

from mlops_assets.world.atomic import is_running

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa

_Found = TypeVar("_Found")

_NUMBERS = count()
FINGERPRINT = b"mlops.fingerprint"
"""Key in a Parquet file's own metadata: what the file was made of."""


def file_of(table: Path, partition: date | str | None = None, name: str = "data") -> Path:
    """The file of one partition of a table (or of the whole table, without a partition) and one writer."""
    folder = table if partition is None else table / f"partition={partition}"
    return folder / f"{name}.parquet"


def fingerprint(path: Path) -> str:
    """What a file says it was made of; empty for one that says nothing."""
    import pyarrow.parquet as pq

    return (pq.read_metadata(path).metadata or {}).get(FINGERPRINT, b"").decode()


def read_exact(source: Path, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """A Parquet file of the lake as a frame that keeps every digit (`core.values.exact.frame_of`).

    Raises:
        ValueError: a column is there twice.
    """
    import pyarrow.parquet as pq

    return exact_frame(pq.read_table(source, columns=columns and list(columns), partitioning=None))


def exact_frame(table: pa.Table) -> pd.DataFrame:
    """A table as a frame that keeps every digit (`core.values.exact.frame_of`).

    An index that pandas wrote under a name is a column like the others.

    Raises:
        ValueError: a column is there twice.
    """
    from mlops_assets.core.values.exact import frame_of

    table = table.replace_schema_metadata(None)
    names = table.column_names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"it has the column {', '.join(twice)} twice")
    return frame_of(table)


@contextmanager
def connected() -> Iterator[duckdb.DuckDBPyConnection]:
    """A session of this process's in-memory DuckDB that speaks UTC.

    What is registered, and temporary tables and views, are the session's own and gone with it. Whoever changes a
    setting that holds for the engine, such as its memory, opens one of their own.
    """
    with _engine(os.getpid()).cursor() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("set enable_progress_bar = false")
        yield connection


def own_database() -> duckdb.DuckDBPyConnection:
    """A session as `connected` gives, with a database of its own in memory: both are gone when nobody holds it.

    For tables that cursors see, too (`beside`).
    """
    process, name = os.getpid(), f"own_{next(_NUMBERS)}"
    session = _engine(process).cursor()
    session.execute(f"attach ':memory:' as {name}")
    _prepare(session, name)
    # At the end of the process everything goes anyway; the stubs do not know that it can be set.
    weakref.finalize(session, _forget, process, name).atexit = False  # type: ignore[misc]
    return session


def beside(session: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Another session on the same database, for a query whose rows are fetched while the first goes on."""
    ((name,),) = session.execute("select current_database()").fetchall()
    cursor = session.cursor()
    _prepare(cursor, name)
    return cursor


def _prepare(session: duckdb.DuckDBPyConnection, database: str) -> None:
    session.execute(f"use {database}")
    session.execute("set timezone = 'UTC'")
    session.execute("set enable_progress_bar = false")


def _forget(process: int, name: str) -> None:
    if process == os.getpid():
        with _engine(process).cursor() as session:
            session.execute(f"detach {name}")


@cache
def _engine(process: int) -> duckdb.DuckDBPyConnection:
    """An engine for a process, by its number: opening one costs 15 ms of CPU, a session of it 0.2 ms.

    A forked process has not the threads of its parent's engine, so it opens its own. The parent's stays in the cache:
    closing it would wait for those threads.
    """
    import duckdb

    return duckdb.connect()


def read_steady(files: Sequence[Path], read: Callable[[Sequence[Path]], _Found]) -> _Found:
    """What a read of files finds that others may replace at any moment.

    DuckDB opens a file once for its footer and again for its rows. One that was replaced in between is read by the
    footer of another ("don't know what type"), so whatever was found while one of them changed is read again, from
    names that nobody replaces.

    Args:
        files: at least one, each in the folder of its partition.
        read: reads the paths that it is given, once or twice; the second time under other names in the same partitions.
    """
    import duckdb

    before = [_state(file) for file in files]
    try:
        content = read(files)
    except duckdb.Error:
        if [_state(file) for file in files] == before:
            raise
    else:
        if [_state(file) for file in files] == before:
            return content
    with _pinned(files) as links:
        return read(links)


def _state(file: Path) -> tuple[int, int, int] | None:
    try:
        stat = file.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


@contextmanager
def _pinned(files: Sequence[Path]) -> Iterator[list[Path]]:
    """Hard links to the files as they are now, hidden from whoever lists the table."""
    table = files[0].parents[1]
    for left in table.glob(".reading.*"):
        if not is_running(left.name.split(".")[2]):
            shutil.rmtree(left, ignore_errors=True)
    with TemporaryDirectory(prefix=f".reading.{os.getpid()}.", dir=table) as folder:
        links = [Path(folder, file.parent.name, f".{file.name}") for file in files]
        for file, link in zip(files, links, strict=True):
            link.parent.mkdir(exist_ok=True)
            link.hardlink_to(file)
        yield links
