"""Helpers shared by the tests: a raw lake made from landed CSV files, without Dagster.

What lives here: small builders of real inputs. What does not: fixtures (conftest.py) and assertions.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import duckdb

from mlops_assets.core.values.display import BREAK
from mlops_assets.landing import nycflights13

_TYPES = {"time_hour": "TIMESTAMPTZ", "tailnum": "VARCHAR", "flight": "BIGINT"} | dict.fromkeys(
    ("temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"), "DOUBLE"
)
_WHOLE = {
    "year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time",
    "arr_delay", "air_time", "distance", "hour", "minute", "wind_dir", "engines", "seats", "speed",
}  # fmt: skip


def linked(metadata: Any) -> Path:
    """The file that a link in a materialization's metadata leads to; what is shown of it is its name."""
    shown, uri = re.fullmatch(r"\[(.+)\]\((file://.+)\)", metadata.value).groups()
    path = Path(unquote(urlsplit(uri).path))
    assert shown.replace("\\", "").replace(BREAK, "") == path.name
    assert path.exists()
    return path


def _sql_types(path: Path) -> str:
    """Return a DuckDB struct literal of column types for one landed CSV file."""
    with path.open() as file:
        names = file.readline().strip().split(",")
    types = {name: _TYPES.get(name, "BIGINT" if name in _WHOLE else "VARCHAR") for name in names}
    return "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in types.items()) + "}"


def write_raw(home: Path, source: str, files: Iterable[Path]) -> None:
    """Copy landed CSV files of one source into `<home>/lake/raw/<source>/`, daily ones by partition."""
    paths = sorted(files)
    if not paths:
        return
    target = home / "lake" / "raw" / source
    scratch = home / "lake" / "raw" / f".{source}.building"
    names = ", ".join(f"'{path}'" for path in paths)
    rows = f"read_csv([{names}], header=true, columns={_sql_types(paths[0])}, filename=true)"
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        if "_" not in paths[0].stem:
            target.mkdir(parents=True, exist_ok=True)
            connection.execute(f"copy (select * exclude (filename) from {rows}) to '{target}/.tmp' (format parquet)")
            (target / ".tmp").replace(target / "data.parquet")
            return
        scratch.parent.mkdir(parents=True, exist_ok=True)
        day = "regexp_extract(filename, '_([0-9-]{10})[^/]*$', 1)"
        connection.execute(
            f"copy (select * exclude (filename), {day} as partition from {rows}) to '{scratch}' "
            "(format parquet, partition_by (partition), overwrite true)"
        )
    for part in sorted(scratch.iterdir()):
        (target / part.name).mkdir(parents=True, exist_ok=True)
        next(part.glob("*.parquet")).replace(target / part.name / "data.parquet")
    shutil.rmtree(scratch)


def land_raw(home: Path, *, through: date, start: date | None = None) -> nycflights13.LandingSummary:
    """Land real flights under `<home>/landing` and copy them into the raw lake of the same home."""
    summary = nycflights13.land(home / "landing", through, start)
    for source in (*nycflights13.DAILY_SOURCES, *nycflights13.WHOLE_SOURCES):
        write_raw(home, source, (path for path in summary.written if path.parent.name == source))
    return summary


@cache
def keep_dagster_engines() -> None:
    """Let Dagster's SQLite stores keep what they make anew at each event and for each run, from here on.

    SQLAlchemy's engine with its compiled statements, and Alembic's folder of 60 revisions: a run of three assets takes
    0.11 s of CPU in place of 0.19 then, and one in a new home 0.16 in place of 0.29.
    """
    from alembic.script import ScriptDirectory
    from dagster._core.storage.event_log.sqlite import sqlite_event_log
    from dagster._core.storage.runs.sqlite import sqlite_run_storage
    from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage

    make_engine, make_directory = sqlite_event_log.create_engine, ScriptDirectory.from_config
    engines: dict[str, Any] = {}
    directories: dict[str | None, Any] = {}

    def engine_of(address: str, **settings: Any) -> Any:
        if address not in engines:
            # Homes come and go; 64 of their files are more than one test opens.
            if len(engines) >= 64:
                engines.clear()
            engines[address] = make_engine(address, **settings)
        return engines[address]

    def directory_of(config: Any) -> Any:
        place = config.get_main_option("script_location")
        if place not in directories:
            directories[place] = make_directory(config)
        return directories[place]

    for storage in (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage):
        storage.create_engine = engine_of
    ScriptDirectory.from_config = directory_of
