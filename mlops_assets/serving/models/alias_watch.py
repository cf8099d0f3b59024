"""Noticing that an alias moved, and what is done in the background.

Here: the cheap look at MLflow's store, and the thread that takes it, has models follow, and loads those that nobody has
asked for yet. Not here: loading (`served_models`), which versions those are (`appointed`), the choice for a request
(`routing`).

SQLite counts the commits of other connections (`PRAGMA data_version`, a few microseconds), so the embedded store
is asked for aliases only after somebody has written to it. A tracking server has no such signal and is asked each time.
"""

from __future__ import annotations

import logging
import sqlite3
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from mlops_assets.core.models.families import family_called
from mlops_assets.serving.engine.arms import CHAMPION, Arms, CannotServe, Contract, Load, load_arm
from mlops_assets.serving.engine.health import Health
from mlops_assets.serving.models.appointed import Appointed
from mlops_assets.serving.models.kept_champions import keep, kept_versions
from mlops_assets.serving.models.served_models import DEFAULT_MEMORY, RETRY_SECONDS, ServedModels
from mlops_assets.serving.models.standby import standby_of
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.named_versions import ByAlias, NamedVersions
from mlops_assets.world.mlflow.registry import Registry
from mlops_assets.world.mlflow.store import MlflowUnavailable, sqlite_path

logger = logging.getLogger("mlops.serving")

EVERY_SECONDS = 0.2
"""Between two looks at the embedded store; a server is asked as often as it answers in `SERVER_SECONDS`."""
SERVER_SECONDS = 0.5
SETTLE = 100
"""Models that are loaded in the background between two calls of `settled`."""
_MODULES = {"scikit-learn": "sklearn"}
"""Libraries that are imported by another name."""


class Signal:
    """Says whether MLflow's store may have changed since the last time."""

    def __init__(self, uri: str) -> None:
        self.file = sqlite_path(uri)
        self.seconds = EVERY_SECONDS if self.file else SERVER_SECONDS
        self._connection: sqlite3.Connection | None = None
        self._seen: tuple[int, int] | None = None

    def changed(self) -> bool:
        """Whether to ask the registry.

        Raises:
            MlflowUnavailable: the embedded store's file is gone or cannot be read.
        """
        if self.file is None:
            return True
        try:
            inode = self.file.stat().st_ino
            if self._connection is None or self._seen is None or self._seen[0] != inode:
                self.close()
                self._connection = sqlite3.connect(
                    f"{self.file.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False
                )
            seen = (inode, int(self._connection.execute("pragma data_version").fetchone()[0]))
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise MlflowUnavailable(_gone(self.file, error)) from error
        before, self._seen = self._seen, seen
        return seen != before

    def close(self) -> None:
        """Let go of the file; the next look counts as a change."""
        if self._connection is not None:
            self._connection.close()
        self._connection, self._seen = None, None


def _gone(file: Path, error: Exception) -> str:
    return f"MLflow's store {file} cannot be read ({error}). Restore it; models in service are as they were."


@dataclass(frozen=True)
class Hooks:
    """What else is done where models are loaded.

    Attributes:
        on_load: with arms, before they answer.
        before_look: before each look at the registry; it may add contracts.
        settled: when models were loaded in the background.
    """

    on_load: Callable[[Arms], None] = lambda arms: None
    before_look: Callable[[], None] = lambda: None
    settled: Callable[[], None] = lambda: None


class Watcher:
    """Keeps the models in service equal to the registry's aliases, by a thread.

    Attributes:
        models: that are served.
    """

    def __init__(
        self,
        home: Home,
        registry: Registry,
        contracts: Mapping[str, Contract],
        health: Health,
        *,
        memory: int = DEFAULT_MEMORY,
        hooks: Hooks | None = None,
        load: Load = load_arm,
    ) -> None:
        """Prepare, without starting; for what else is given see `ServedModels`."""
        hooks = hooks or Hooks()
        self.models = ServedModels(home, registry, contracts, health, memory=memory, on_load=hooks.on_load, load=load)
        self._home, self._registry, self._contracts, self._health = home, registry, contracts, health
        self._signal = Signal(registry.tracking_uri or home.mlflow_uri)
        self._named = NamedVersions(registry)
        self._asked_of: frozenset[str] = frozenset()
        self._load, self._hooks = load, hooks
        self._warmed = 0
        self._to_warm: deque[str] = deque()
        self._to_prepare: dict[str, None] = {}
        self._is_full = False
        self._stop = threading.Event()
        self._look = threading.Lock()
        self._retry_at = 0.0
        self._thread = threading.Thread(target=self._run, name="watch-aliases", daemon=True)

    @property
    def snapshot(self) -> Mapping[str, Arms]:
        """The arms of the models that are in memory."""
        return self.models.snapshot

    def start(self) -> None:
        """Look who is to answer, then watch; models are loaded by their first request, or from now on one by one."""
        self.look()
        if not self._health.parts["registry"].ok:
            missing = self._contracts.keys() - self.models.appointed
            kept = kept_versions(self._home, missing)
            self._appoint({name: {CHAMPION: version} for name, version in kept.items()})
        families = {each.champion.tags.get("family", "") for each in self.models.appointed.values()}
        _import_libraries(families)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._signal.close()

    @property
    def ready(self) -> dict[str, list[int]]:
        """Versions of each model that are in memory, newest first, to be gone back to without loading."""
        loaded = {name: self.models.memory.look(name) for name in sorted(self.models.memory.names)}
        return {
            name: sorted({version for version, _ in each.ready}, reverse=True)
            for name, each in loaded.items()
            if each is not None
        }

    def look(self, *, anyway: bool = False) -> None:
        """Ask the registry if its store has changed (or anyway), and put in service what it names."""
        with self._look:
            try:
                self._hooks.before_look()
                names = frozenset(self._contracts)
                changed = self._signal.changed() or names != self._asked_of
                if not (changed or anyway or 0.0 < self._retry_at < time.monotonic()):
                    self.models.retry(due=True)
                    return
                self._retry_at = 0.0
                changes = self._named.changes(names)
                self._asked_of = names
            except _unavailable() as error:
                self._retry_at = time.monotonic() + RETRY_SECONDS
                self._signal.close()
                self._health.bad(
                    "registry",
                    str(error),
                    did="It answers with the models it has loaded.",
                    do="Restore MLflow's database, or start its server; the service goes on by itself then.",
                    runbook="serving-degraded",
                )
                return
            self._health.good("registry")
            self._appoint(changes)
            if anyway:
                self.models.retry()

    def _appoint(self, changes: Mapping[str, ByAlias]) -> None:
        appointed: dict[str, Appointed] = {}
        for name, by_alias in changes.items():
            part = f"{name}@registry"
            try:
                new = Appointed.of(by_alias)
            except CannotServe as error:
                self._health.bad(
                    part,
                    str(error),
                    did="The model is served as it was.",
                    do="Correct what the message names; the service follows by itself then.",
                    runbook="model-not-loaded",
                )
                continue
            self._health.gone(part)
            if new is not None:
                # An alias that was removed leaves the model as it was: nothing says what else should answer.
                appointed[name] = new
        self.models.appoint(appointed)
        while self._keep_next():
            pass
        by_promotion = sorted(appointed, key=lambda name: appointed[name].promoted_at, reverse=True)
        self._to_warm.extendleft(reversed(by_promotion))
        self._is_full = self._is_full and not appointed

    def _keep_next(self) -> bool:
        """Keep a model that was loaded for a start without the registry; whether one was."""
        for name in list(self.models.changed):
            self.models.changed.pop(name)
            self._to_prepare[name] = None
            if (loaded := self.models.memory.look(name)) is not None:
                keep(self._home, loaded.arms)
                return True
            self._to_warm.append(name)
        return False

    def _in_the_background(self) -> bool:
        """One thing that nobody waits for; whether there may be another."""
        if self._keep_next():
            return True
        if self._warmed and (self._warmed >= SETTLE or not self._to_warm):
            self._warmed = 0
            self._hooks.settled()
        if self._to_warm:
            self._warmed += 1
            if not self.models.warm(self._to_warm.popleft()):
                # Full. What is asked for is loaded all the same, in place of what was asked for longest ago.
                self._to_warm.clear()
                self._is_full = True
            return True
        if not self._to_prepare:
            return False
        name = next(iter(self._to_prepare))
        del self._to_prepare[name]
        if (loaded := self.models.memory.look(name)) is not None:
            ready = standby_of(self._registry, loaded, None if self._is_full else self._load)
            self._is_full |= not self.models.take_standby(name, ready)
        return True

    def _run(self) -> None:
        pause, look_at = 0.0, 0.0
        while not self._stop.wait(pause):
            pause = self._signal.seconds
            try:
                if time.monotonic() >= look_at:
                    self.look()
                    look_at = time.monotonic() + self._signal.seconds
                began = time.monotonic()
                with self._look:
                    goes_on = self._in_the_background()
                if goes_on:
                    # As long as it took: requests have half of a core at least.
                    pause = min(pause, time.monotonic() - began)
            except Exception:
                # The thread must outlive whatever a look meets; what is in service stays.
                logger.exception("looking at the registry failed")


def _unavailable() -> tuple[type[Exception], ...]:
    """What a store raises that cannot be asked; of MLflow's own only where MLflow is loaded: that takes seconds."""
    modules = {"mlflow.exceptions": "MlflowException", "sqlalchemy.exc": "SQLAlchemyError"}
    loaded = [getattr(sys.modules[name], error) for name, error in modules.items() if name in sys.modules]
    return (MlflowUnavailable, OSError, *loaded)


def _import_libraries(families: set[str]) -> None:
    """Load what scores models of these families, so that no request waits for it."""
    for family in sorted(families - {""}):
        try:
            for library in family_called(family).libraries:
                import_module(_MODULES.get(library, library))
        except (ValueError, ImportError):
            # Told with the model's name when it is loaded.
            logger.warning("what scores models of %s cannot be imported", family, exc_info=True)
