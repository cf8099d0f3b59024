"""Keeping a home: a copy that can be gone back to, and bringing it to the formats of newer tools.

Here: copying a home whole, upgrading the databases of Dagster and MLflow in it. Not here: the commands, what may be
removed (`cleaning`).

Databases are copied by SQLite itself, so that a copy is whole while somebody writes; files of the lake are replaced and
never written in place, so each is whole too. What is rebuilt at need is left out.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from mlops_assets.core.record.plain_values import counted
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.store import sqlite_path

LEFT_OUT = (
    "dbt",
    "warehouse.duckdb",
    "warehouse.duckdb.wal",
    "replays",
    "logs",
    "backups",
    "up.json",
    ".up.lock",
    "replaying.json",
)
"""Made anew at need, or only about the process that runs."""
SQLITE = b"SQLite format 3\x00"


class UpkeepFailed(RuntimeError):
    """A copy or an upgrade did not end well; the message says what is as it was, and what to do."""


def backup(home: Home, target: Path) -> int:
    """Copy a home, whole or not at all; gives the number of files.

    The copy is a home: it can be worked in where it is, or be put in the home's place.

    Args:
        home: what to copy; it may be at work.
        target: a folder that is not there yet.

    Raises:
        UpkeepFailed: the folder is there, there is no home, the copy would lie inside it, or the disk is full.
    """
    if target.exists():
        raise UpkeepFailed(f"{target} is there already: name a new folder. Nothing was copied.")
    if not home.root.exists():
        raise UpkeepFailed(f"{home.root} is no home: name one with --home. Nothing was copied.")
    if home.root in target.resolve().parents:
        raise UpkeepFailed(f"{target} lies inside the home: name a folder outside. Nothing was copied.")
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        count = _copy_all(home, partial)
        partial.rename(target)
    except (OSError, sqlite3.Error) as error:
        raise UpkeepFailed(
            f"{home.root} cannot be copied to {target} ({error}). Make room there, or name a folder on another disk. "
            "Nothing was kept of the copy, and the home is as it was."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return count


def _copy_all(home: Home, partial: Path) -> int:
    """Every file of a home that is not made anew; how many there are."""
    count = 0
    for folder, names, files in os.walk(home.root):
        here = Path(folder)
        names[:] = [name for name in names if here != home.root or name not in LEFT_OUT]
        place = partial / here.relative_to(home.root)
        place.mkdir(parents=True, exist_ok=True)
        for name in files:
            if (here == home.root and name in LEFT_OUT) or name.endswith((".tmp", ".lock", "-wal", "-shm", "-journal")):
                continue
            count += _copy(here / name, place / name)
    return count


def migrate(home: Home) -> list[str]:
    """Bring the databases of a home to the installed Dagster and MLflow; what was done, in sentences.

    They are copied first, to `backups/`. A second call changes nothing.

    Raises:
        UpkeepFailed: a tool refused; the copies are there.
    """
    if not home.root.exists():
        raise UpkeepFailed(f"{home.root} is no home: name one with --home. Nothing was changed.")
    kept = home.root / "backups" / datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    done = [f"{counted(count, 'database')} copied to {kept}."] if (count := _keep_databases(home, kept)) else []
    if (home.dagster / "dagster.yaml").exists():
        said: list[str] = []
        with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
            instance.upgrade(said.append)
        done.append("Dagster's storage is as the installed version needs it.")
    path = sqlite_path(home.mlflow_uri)
    if path is not None and path.exists():
        run = subprocess.run(
            [sys.executable, "-m", "mlflow", "db", "upgrade", home.mlflow_uri],
            capture_output=True, text=True, check=False, env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        )  # fmt: skip
        if run.returncode:
            raise UpkeepFailed(
                f"MLflow could not upgrade its database ({run.stderr.strip()[-500:]}). The copy from before is in "
                f"{kept}: put it back and ask MLflow's release notes for this step."
            )
        done.append("MLflow's database is as the installed version needs it.")
    return done


def _keep_databases(home: Home, kept: Path) -> int:
    """Copies of all databases of a home, below `kept`."""
    count = 0
    for path in sorted(home.root.rglob("*.db")):
        if "replays" in path.parts or "backups" in path.parts:
            continue
        copy = kept / path.relative_to(home.root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        count += _copy(path, copy)
    return count


def _copy(source: Path, target: Path) -> int:
    """One file; a database by SQLite's own copy. A file that went away meanwhile is none."""
    try:
        with source.open("rb") as file:
            is_database = file.read(len(SQLITE)) == SQLITE
        if not is_database:
            shutil.copy2(source, target)
            return 1
    except FileNotFoundError:
        return 0
    address = f"{source.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
    return 1
