"""Noticing that an alias moved, and putting the new version in service.

Here: the cheap look at MLflow's store, the thread that takes it, loading the new arms beside the old ones and
swapping them. Not here: what an arm is (`arms`), the choice for a request (`routing`).

SQLite counts the commits of other connections (`PRAGMA data_version`, a few microseconds), so the embedded store
is asked for aliases only after somebody has written to it. A tracking server has no such signal and is asked each time.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from mlops_assets.serving.engine.arms import (
    CANDIDATE,
    CHAMPION,
    SHADOW,
    STATE,
    WATCH,
    Arm,
    Arms,
    CannotServe,
    Contract,
    Load,
    load_arm,
    rollout_of,
)
from mlops_assets.serving.engine.health import Health
from mlops_assets.serving.engine.kept_champions import keep, kept
from mlops_assets.serving.engine.standby import Standby
from mlops_assets.steps.predict.scoring_versions import fallback_of
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.registry import ModelVersion, NoSuchVersion, Registry
from mlops_assets.world.mlflow.store import MlflowUnavailable, sqlite_path

logger = logging.getLogger("mlops.serving")

EVERY_SECONDS = 0.2
"""Between two looks at the embedded store; a server is asked as often as it answers in `SERVER_SECONDS`."""
SERVER_SECONDS = 0.5
RETRY_SECONDS = 10.0
"""After an arm could not be loaded it is tried again, also without a change of the store."""


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


class Watcher:
    """The arms in service, kept equal to the registry's aliases by a thread.

    Attributes:
        snapshot: the arms of each model that has a champion; replaced, never changed.
    """

    def __init__(
        self,
        home: Home,
        registry: Registry,
        contracts: Mapping[str, Contract],
        health: Health,
        *,
        on_change: Callable[[Mapping[str, Arms]], None] = lambda snapshot: None,
        load: Load = load_arm,
    ) -> None:
        self.snapshot: Mapping[str, Arms] = {}
        self._home, self._registry, self._contracts, self._health = home, registry, contracts, health
        self._on_change = on_change
        self._signal = Signal(registry.tracking_uri or home.mlflow_uri)
        self._load = load
        self._standby = Standby(load)
        self._stop = threading.Event()
        self._look = threading.Lock()
        self._retry_at = 0.0
        self._thread = threading.Thread(target=self._run, name="watch-aliases", daemon=True)

    def start(self) -> None:
        """Load what there is, then watch."""
        self.look()
        missing = {name: arms for name in self._contracts.keys() - self.snapshot if (arms := self._kept(name))}
        if missing and not self._health.parts["registry"].ok:
            self._swap({**self.snapshot, **missing})
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._signal.close()

    @property
    def ready(self) -> dict[str, list[int]]:
        """Versions of each model that are in memory, to be gone back to without loading."""
        return {name: self._standby.versions(name) for name in self.snapshot}

    def look(self, *, anyway: bool = False) -> None:
        """Ask the registry if its store has changed (or anyway), and put in service what it names."""
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        with self._look:
            try:
                changed = self._signal.changed()
                if not (changed or anyway or 0.0 < self._retry_at < time.monotonic()):
                    return
                self._retry_at = 0.0
                arms_by_model = {name: self._arms(contract) for name, contract in self._contracts.items()}
            except (MlflowUnavailable, MlflowException, SQLAlchemyError, OSError) as error:
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
            self._swap({name: arms for name, arms in arms_by_model.items() if arms is not None})

    def _swap(self, snapshot: Mapping[str, Arms]) -> None:
        before = self.snapshot
        if snapshot == before:
            return
        self._on_change(snapshot)
        self.snapshot = snapshot
        for name, arms in snapshot.items():
            old = before.get(name)
            if old is None or (old.champion.version, old.fallback) != (arms.champion.version, arms.fallback):
                keep(self._home, arms)
                instead = f"not itself ({arms.fallback.mode})" if arms.fallback else "as champion"
                logger.info("%s: version %s answers %s", name, arms.champion.version, instead)
                self._tell_fallback(name, arms)

    def _tell_fallback(self, name: str, arms: Arms) -> None:
        """Let /readyz say so; the incident is that of the failing champion, so nobody is told twice."""
        part = f"{name}@fallback"
        if arms.fallback is None:
            self._health.gone(part)
            return
        self._health.bad(part, arms.fallback.reason, did="", do="", runbook="worse-than-guessing", tell=False)

    def _is_watched(self, name: str, version: int) -> bool:
        model_version = self._registry.find(name, version)
        return model_version is not None and model_version.tags.get(STATE) == WATCH

    def _prepare(self) -> None:
        """Load what could be gone back to, after everything else: nobody waits for it."""
        for arms in self.snapshot.values():
            self._standby.prepare(self._registry, arms)

    def _kept(self, name: str) -> Arms | None:
        return kept(self._home, self._contracts[name])

    def _arms(self, contract: Contract) -> Arms | None:
        """What the registry names, as far as it can be loaded; the arm in service where it can't."""
        name = contract.settings.name
        old, now = self.snapshot.get(name), self._registry.champion(name)
        champion = self._arm(contract, CHAMPION, CHAMPION, now, old.champion if old else None)
        if champion is None:
            # An alias that was removed leaves the model in service: nothing says what else should answer.
            return old
        # The tag is of the version that answers: where a new champion cannot be loaded, the old one's stays.
        is_it = now is not None and now.version == champion.version
        fallback = fallback_of(now) if is_it else old.fallback if old else None
        named = self._registry.find(name, CANDIDATE)
        try:
            state, share = rollout_of(named)
            if named is None and self._is_watched(name, champion.version):
                named, state = self._registry.previous(name), SHADOW
        except CannotServe as error:
            self._bad(name, CANDIDATE, str(error), answers=True)
            return Arms(contract, champion, fallback=fallback)
        if state is None or named is None or named.version == champion.version:
            self._health.gone(f"{name}@{CANDIDATE}")
            return Arms(contract, champion, fallback=fallback)
        candidate = self._arm(contract, CANDIDATE, state, named, None if old is None else old.candidate)
        if candidate is None or candidate.version != named.version or candidate.name != state:
            return Arms(contract, champion, fallback=fallback)
        return Arms(contract, champion, candidate, share, fallback)

    def _arm(self, contract: Contract, alias: str, arm: str, named: ModelVersion | None, old: Arm | None) -> Arm | None:
        if named is None:
            return old
        if old is not None and (old.version, old.name, old.sha256) == (named.version, arm, named.sha256):
            return old
        part = f"{contract.settings.name}@{alias}"
        try:
            made = self._standby.take(named, arm) or self._load(self._registry, named, arm, contract)
        except (RuntimeError, ValueError, NoSuchVersion) as error:
            if isinstance(error, MlflowUnavailable):
                raise
            self._retry_at = time.monotonic() + RETRY_SECONDS
            self._bad(contract.settings.name, alias, str(error), answers=old is not None)
            return old
        self._health.good(part)
        return made

    def _bad(self, model: str, alias: str, why: str, *, answers: bool) -> None:
        """Tell that a version could not be put in service; `answers`: one of that alias is there already."""
        if alias == CANDIDATE:
            did = "The champion answers alone."
        elif answers:
            did = "The version that was in service goes on answering."
        else:
            did = f"No version of {model} is in service: requests for it are answered with 503."
        self._health.bad(
            f"{model}@{alias}",
            why,
            did=did,
            do="Restore the version's file, or move the alias to a version that can be put in service.",
            runbook="model-not-loaded",
        )

    def _run(self) -> None:
        prepared: Mapping[str, Arms] | None = None
        while not self._stop.wait(self._signal.seconds):
            try:
                self.look()
                if self.snapshot is not prepared:
                    prepared = self.snapshot
                    self._prepare()
            except Exception:
                # The thread must outlive whatever a look meets; what is in service stays.
                logger.exception("looking at the registry failed")
