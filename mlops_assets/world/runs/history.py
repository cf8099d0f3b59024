"""Dagster's history in SQLite, in the same files as Dagster's own storage, by connections that stay open.

Here: keeping a connection to each of the newest databases. Not here: what is stored and how, which is Dagster's.

Dagster opens an engine and a connection for each statement. The last connection to a database of this kind (WAL)
carries its log over and syncs it when it closes. By connections that stay open an event costs a third of the CPU. It is
for a process that executes one run after another (a replay); where storage is agreed in `dagster.yaml`, that holds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import yaml
from dagster import DagsterInstance
from dagster._config import StringSource
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import (
    DagsterSqliteStorage,
    _event_logs_directory,
    _runs_directory,
    _schedule_directory,
)
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine

from mlops_assets.world.home import Home

_KEPT = 8
"""Databases that are kept open: each run has one of its own."""


def open_instance(home: Home) -> DagsterInstance:
    """Dagster's instance of a home, for whoever executes runs in this process; to be closed as a context."""
    folder = str(home.dagster)
    file = home.dagster / "dagster.yaml"
    agreed = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else None
    if agreed and {"storage", "run_storage", "event_log_storage", "schedule_storage"} & agreed.keys():
        return DagsterInstance.from_config(folder)
    kept = {"custom": {"module": __name__, "class": History.__name__, "config": {"base_dir": folder}}}
    return DagsterInstance.from_ref(InstanceRef.from_dir(folder, overrides={"storage": kept}))


class _Connections:
    """An engine for each of the newest databases, with one connection that stays open; others come and go."""

    def __init__(self) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._lock = Lock()

    def engine(self, address: str) -> Engine:
        """The engine of a database."""
        with self._lock:
            engine = self._engines.pop(address, None) or create_engine(
                address, pool_size=1, max_overflow=-1, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
            )
            self._engines[address] = engine
            old = self._engines.popitem(last=False)[1] if len(self._engines) > _KEPT else None
        if old is not None:
            # What is checked out of its pool goes on, and is closed when it comes back.
            old.dispose()
        return engine

    @contextmanager
    def transaction(self, address: str) -> Iterator[Connection]:
        """A connection in a transaction, which is committed at the end."""
        with self.engine(address).connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close them all; the next question opens its own anew."""
        with self._lock:
            engines, self._engines = self._engines, OrderedDict()
        for engine in engines.values():
            engine.dispose()


class _Events(SqliteEventLogStorage):
    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None):
        self._connections = _Connections()
        super().__init__(base_dir, inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            address = self.conn_string_for_shard(shard)
            if shard not in self._initialized_dbs:
                self._initdb(self._connections.engine(address))
                self._initialized_dbs.add(shard)
            with self._connections.transaction(address) as connection:
                yield connection

    def wipe(self) -> None:
        self._connections.close()
        super().wipe()

    def dispose(self) -> None:
        super().dispose()
        self._connections.close()


class _Runs(SqliteRunStorage):
    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None):
        self._connections = _Connections()
        super().__init__(conn_string, inst_data)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with self._connections.transaction(self._conn_string) as connection:
            yield connection

    def dispose(self) -> None:
        super().dispose()
        self._connections.close()


class _Schedules(SqliteScheduleStorage):
    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None):
        self._connections = _Connections()
        super().__init__(conn_string, inst_data)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with self._connections.transaction(self._conn_string) as connection:
            yield connection

    def dispose(self) -> None:
        super().dispose()
        self._connections.close()


class History(DagsterSqliteStorage):
    """Runs, events and ticks in SQLite below a folder."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None):
        """Open or create the databases."""
        self.base_dir = base_dir
        self._run_storage = _Runs.from_local(_runs_directory(base_dir))
        self._event_log_storage = _Events(_event_logs_directory(base_dir))
        self._schedule_storage = _Schedules.from_local(_schedule_directory(base_dir))
        self._inst_data = inst_data
        super(DagsterSqliteStorage, self).__init__()

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """The folder."""
        return {"base_dir": StringSource}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> History:
        """As `dagster.yaml` says."""
        return cls.from_local(inst_data=inst_data, **config_value)
