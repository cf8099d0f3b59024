"""Whether `mlops up` runs in a home, and where it answers.

Here: the claim that keeps a second `mlops up` out of a home, and looking whether there is one.
Not here: starting anything (`up`).
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from mlops_assets.resources.atomic import write_text
from mlops_assets.resources.home import Home


@dataclass(frozen=True)
class Up:
    """A running `mlops up`.

    Attributes:
        pid: its process.
        dagster: address of Dagster's UI.
        mlflow: address of MLflow's UI.
    """

    pid: int
    dagster: str
    mlflow: str


def of(home: Home) -> Up | None:
    """The `mlops up` that runs in a home, else None; what a killed one left behind doesn't count."""
    if not _lock_file(home).exists() or not _file(home).exists():
        return None
    with _lock_file(home).open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return Up(**json.loads(_file(home).read_text(encoding="utf-8")))
    return None


@contextmanager
def claimed(home: Home, *, dagster: str, mlflow: str) -> Iterator[None]:
    """Keep the home for this process; the system lets go of it when the process dies.

    Raises:
        ValueError: another `mlops up` has it.
    """
    home.root.mkdir(parents=True, exist_ok=True)
    with _lock_file(home).open("a+") as lock:
        # Whoever only looks (`of`) holds the lock for a moment: once is not enough.
        for attempt in range(10):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == 9:
                    raise ValueError(f"mlops up runs in {home.root} already. {_where(home)}") from None
                time.sleep(0.1)
        write_text(_file(home), json.dumps(asdict(Up(os.getpid(), dagster, mlflow)), indent=2) + "\n")
        try:
            yield
        finally:
            _file(home).unlink(missing_ok=True)


def _where(home: Home) -> str:
    if not _file(home).exists():
        return "It is just starting; use that one."
    other = Up(**json.loads(_file(home).read_text(encoding="utf-8")))
    return f"Use that one, {other.dagster}, or stop it: kill {other.pid}"


def _file(home: Home) -> Path:
    return home.root / "up.json"


def _lock_file(home: Home) -> Path:
    return home.root / ".up.lock"
