"""Work in a process that is killed (kill -9) at a chosen moment, to see what it leaves behind.

What lives here: the moments, and the process. What does not: assertions.

The processes are forked from one that has loaded everything already: loading costs more than the work.
"""

from __future__ import annotations

import fnmatch
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

# Loaded by the process that the others are forked from.
import mlflow.xgboost  # noqa: F401
import optuna  # noqa: F401
import xgboost  # noqa: F401

import mlops_assets.core.figures
import mlops_assets.definitions
import mlops_assets.feast_store.materialize  # noqa: F401
from mlops_assets.resources.home import Home
from tests.real_slice import World, working_in

_FORKING = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Moment:
    """When a process dies.

    Attributes:
        what: the end of the path of a file that is about to get its name (a pattern), or a function that is about
            to be called, as `module:Class.name`.
        nth: at which time.
    """

    what: str
    nth: int = 1

    def arm(self) -> None:
        """Let this process die there."""
        module, _, name = self.what.partition(":")
        if not name:
            os.replace = self._dying(os.replace, lambda _, target: fnmatch.fnmatch(str(target), f"*{self.what}"))
            return
        owner: Any = __import__(module, fromlist=["_"])
        *path, last = name.split(".")
        for part in path:
            owner = getattr(owner, part)
        setattr(owner, last, self._dying(getattr(owner, last), lambda *_, **__: True))

    def _dying(self, function: Any, is_it: Callable[..., bool]) -> Any:
        seen = 0

        def wrapper(*arguments: Any, **options: Any) -> Any:
            nonlocal seen
            seen += is_it(*arguments, **options)
            if seen == self.nth:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return wrapper


def killed(home: Home, moment: Moment, work: Callable[..., Any], *arguments: Any) -> None:
    """Do `work(home, ...)` in a process that dies at the moment; it must get that far."""
    process = _FORKING.Process(target=_work, args=(home.root, moment, work, arguments))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL, f"the process ended ({process.exitcode}) before {moment}"


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
    world.engine.execute(dg.RunRequest(job_name=f"{model}_retrain", tags=tags))


def watch(home: Home, first: Any, end: Any) -> None:
    """Predictions and reports of some days."""
    World.of(home).watch(first, end)


def serve(home: Home) -> None:
    """The online store."""
    from mlops_assets.resources.online_steps import materialize_online
    from mlops_assets.resources.platform import Platform

    materialize_online(Platform.of(home))


def replay(home: Home, settings: Any, report: Path) -> None:
    """A replay in a home that is prepared for it."""
    from mlops_assets.replay.driver import replay as run

    run(settings, home=home, report=report)
