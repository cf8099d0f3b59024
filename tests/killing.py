"""Work in a process that is killed (kill -9) at a chosen moment, to see what it leaves behind.

What lives here: the process. What does not: the moments (`moments.py`), assertions.

The processes are forked from one that has loaded everything already: loading costs more than the work.
"""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import signal
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import dagster_mlflow  # noqa: F401

# Loaded by the process that the others are forked from.
import mlflow.xgboost  # noqa: F401
import optuna  # noqa: F401
import xgboost  # noqa: F401

import mlops_assets.definitions
import mlops_assets.pages.figures
import mlops_assets.serving.app  # noqa: F401
from mlops_assets.world.features import load_feast
from mlops_assets.world.home import Home, collect_seldom
from tests.moments import Moment
from tests.real_slice import World, working_in

load_feast()
importlib.import_module("mlops_assets.feast_store.materialize")
collect_seldom()
# Else each collection in a forked process writes into what it shares with the others, which copies it.
gc.freeze()

_FORKING = multiprocessing.get_context("forkserver")


def killed(home: Home, moment: Moment, work: Callable[..., Any], *arguments: Any) -> None:
    """Do `work(home, ...)` in a process that dies at the moment; it must get that far."""
    process = _FORKING.Process(target=_work, args=(home.root, moment, work, arguments))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL, f"the process ended ({process.exitcode}) before {moment}"


@dataclass
class Online:
    """The online service as a process that can be killed; `slow`: a version, and how many seconds later it answers."""

    home: Home
    slow: tuple[int, float] | None = None
    port: int = 0
    process: Any = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, on the same port each time, and wait until it answers."""
        if not self.port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        self.process = _FORKING.Process(target=_online, args=(self.home.root, self.port, self.slow), daemon=True)
        self.process.start()
        deadline = time.monotonic() + 120
        while True:
            with suppress(OSError), urllib.request.urlopen(f"{self.address}/livez", timeout=5):
                return
            assert self.process.is_alive(), "the service ended"
            assert time.monotonic() < deadline, "the service does not answer"
            time.sleep(0.05)

    def kill(self) -> None:
        """As `kill -9` does."""
        self.process.kill()
        self.process.join()


def _online(root: Path, port: int, slow: tuple[int, float] | None) -> None:
    from mlops_assets.serving.app import build, run
    from mlops_assets.serving.engine.arms import load_arm
    from mlops_assets.serving.http.keys import Keys
    from mlops_assets.serving.http.limits import Limits
    from mlops_assets.serving.rehearsal.drill import slowed
    from mlops_assets.world.platform import Platform

    with working_in(Home(root)) as home:
        load = slowed(*slow) if slow else load_arm
        app = build(Platform.of(home), keys=Keys(), limits=Limits(), flush_seconds=0.2, load=load)
        run(app, host="127.0.0.1", port=port)


@contextmanager
def forking() -> Iterator[None]:
    """The process that the others are forked from; Dagster's own forks must not meet it, nor it them."""
    forkserver._forkserver._stop()
    _FORKING.set_forkserver_preload(["tests.killing"])
    try:
        yield
    finally:
        forkserver._forkserver._stop()
        _FORKING.set_forkserver_preload([])


def _work(root: Path, moment: Moment, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    with working_in(Home(root)) as home:
        moment.arm()
        work(home, *arguments)


def retrain(home: Home, tags: dict[str, str], model: str, changes: dict[str, Any]) -> None:
    """The run of a decision."""
    import dagster as dg

    world = World.of(home, model, **changes)
    world.engine.execute(dg.RunRequest(job_name="retrain", tags=tags))


def move_on(home: Home, changes: dict[str, Any]) -> None:
    """A look at a rollout, and the move."""
    from mlops_assets.steps.rollout import moves

    world = World.of(home, **changes)
    moves.move_on(world.platform, world.model)


def watch(home: Home, first: Any, end: Any) -> None:
    """Predictions and reports of some days."""
    World.of(home).watch(first, end)


def serve(home: Home) -> None:
    """The online store."""
    from mlops_assets.steps.features.online_store import materialize_online
    from mlops_assets.world.platform import Platform

    materialize_online(Platform.of(home))


def replay(home: Home, settings: Any, report: Path) -> None:
    """A replay in a home that is prepared for it."""
    from mlops_assets.simulate.replay import replay as run

    run(settings, home=home, report=report)
