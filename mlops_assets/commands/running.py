"""What runs in a home: `mlops up` and where it answers, a demo or replay and how far it is.

Here: the claims that keep a second one out of a home, and looking whether there is one.
Not here: starting anything (`up`, `simulate`).
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from mlops_assets.world.atomic import write_text
from mlops_assets.world.files.state_files import read_state
from mlops_assets.world.home import Home


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


@dataclass(frozen=True)
class Replaying:
    """A demo or a replay at work.

    Attributes:
        pid: its process.
        name: `demo`, or the replay's id.
        step: what it does now.
        done: how many steps are done.
        steps: how many there are.
    """

    pid: int
    name: str
    step: str = "starting"
    done: int = 0
    steps: int = 0

    @property
    def in_words(self) -> str:
        """In words."""
        return f"{self.name}, {self.done} of {self.steps} steps done: {self.step} (process {self.pid})"


_Claim = TypeVar("_Claim", Up, Replaying)


def of(home: Home) -> Up | None:
    """The `mlops up` that runs in a home, else None; what a killed one left behind doesn't count."""
    return _claimed(home, "up", Up)


def replays(home: Home) -> list[Replaying]:
    """The demo or replay that runs in a home, and the replays of its history that run below it."""
    homes = [home, *(Home(path) for path in sorted(home.replays.glob("*")) if path.is_dir())]
    return [claim for each in homes if (claim := _claimed(each, "replaying", Replaying))]


@contextmanager
def claimed(home: Home, *, dagster: str, mlflow: str) -> Iterator[None]:
    """Keep the home for this process; the system lets go of it when the process dies.

    Raises:
        ValueError: another `mlops up` has it.
    """
    with _claim(home, "up", lambda: f"mlops up runs in {home.root} already. {_where(home)}"):
        write_text(_file(home, "up"), json.dumps(asdict(Up(os.getpid(), dagster, mlflow)), indent=2) + "\n")
        yield


@contextmanager
def replaying(home: Home, name: str) -> Iterator[Callable[[str, int, int], None]]:
    """Keep the home for this demo or replay; a function that notes for all who ask how far it is.

    Raises:
        ValueError: another one is at work in it.
    """

    def note(step: str, done: int, steps: int) -> None:
        at_work = Replaying(os.getpid(), name, step, done, steps)
        write_text(_file(home, "replaying"), json.dumps(asdict(at_work), indent=2) + "\n")

    def taken() -> str:
        return f"A replay is at work in {home.root} already: let it end, or take another home. Nothing was started."

    with _claim(home, "replaying", taken):
        note("starting", 0, 0)
        yield note


@contextmanager
def _claim(home: Home, what: str, taken: Callable[[], str]) -> Iterator[None]:
    home.root.mkdir(parents=True, exist_ok=True)
    with _lock_file(home, what).open("a+") as lock:
        # Whoever only looks holds the lock for a moment: once is not enough.
        for attempt in range(10):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == 9:
                    raise ValueError(taken()) from None
                time.sleep(0.1)
        try:
            yield
        finally:
            _file(home, what).unlink(missing_ok=True)


def _claimed(home: Home, what: str, kind: type[_Claim]) -> _Claim | None:
    """What a process that is alive has written of itself."""
    if not _lock_file(home, what).exists() or not _file(home, what).exists():
        return None
    with _lock_file(home, what).open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lost = "whoever has written it goes on, and is not shown"
            return read_state(_file(home, what), kind, lost=lost)
    return None


def _where(home: Home) -> str:
    other = read_state(_file(home, "up"), Up, lost="the other process goes on")
    if other is None:
        return "It is just starting; use that one."
    return f"Use that one, {other.dagster}, or stop it: kill {other.pid}"


def _file(home: Home, what: str) -> Path:
    return home.root / f"{what}.json"


def _lock_file(home: Home, what: str) -> Path:
    return home.root / f".{what}.lock"
