"""The models of a home as they are served: who is to answer for each, and those of them that are in memory.

Here: loading a model when it is first asked for, making it follow what the registry names, and what is said of one that
cannot be loaded. Not here: noticing that an alias moved (`alias_watch`), what is let go of (`model_memory`), what an
arm is (`arms`).

A request waits for the load of its own model alone, and no model's trouble is another's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from mlops_assets.serving.engine.arms import CANDIDATE, CHAMPION, Arm, Arms, CannotServe, Contract, Load, load_arm
from mlops_assets.serving.engine.health import Health
from mlops_assets.serving.models.appointed import Appointed
from mlops_assets.serving.models.kept_champions import kept_arm
from mlops_assets.serving.models.model_memory import ModelMemory
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.registry import ModelDamaged, ModelVersion, Registry

logger = logging.getLogger("mlops.serving")

RETRY_SECONDS = 10.0
"""After a version could not be loaded it is tried again, also without a change of the store."""
DEFAULT_MEMORY = 2**30
Ready = Mapping[tuple[int, str], Arm]
"""Loaded versions by number and hash."""


@dataclass(frozen=True)
class InMemory:
    """A model that is loaded.

    Attributes:
        arms: who answers.
        standby: the versions that could be gone back to.
    """

    arms: Arms
    standby: Ready = field(default_factory=dict)

    @property
    def ready(self) -> Ready:
        """Every version that is loaded."""
        return {**self.standby, **{(arm.version, arm.sha256): arm for arm in self.arms.loaded.values()}}

    @property
    def parts(self) -> dict[int, int]:
        """Bytes of each file that is loaded; members of a fleet may have one in common."""
        return {id(arm.scorer): arm.size for arm in self.ready.values()}


@dataclass(frozen=True)
class _Fault:
    why: str
    again_at: float


class ServedModels:
    """Answers who answers. Safe between threads.

    Attributes:
        appointed: what the registry names, by model; replaced, never changed.
        memory: the models that are loaded.
        loads: versions that were loaded since the start, those of the standby apart.
        changed: models that were loaded or have got other arms, in that order, for whoever comes after.
    """

    def __init__(
        self,
        home: Home,
        registry: Registry,
        contracts: Mapping[str, Contract],
        health: Health,
        *,
        memory: int = DEFAULT_MEMORY,
        on_load: Callable[[Arms], None] = lambda arms: None,
        load: Load = load_arm,
    ) -> None:
        """Begin with nothing.

        Args:
            home: whose champions are kept for a start without the registry.
            registry: of the versions.
            contracts: of the models.
            health: is told what cannot be loaded.
            memory: bytes that loaded models may take.
            on_load: is called with arms before they answer.
            load: makes an arm of a version.
        """
        self.appointed: Mapping[str, Appointed] = {}
        self.memory = ModelMemory[InMemory](memory)
        self.loads = 0
        self.changed: dict[str, None] = {}
        self._home, self._registry, self._contracts, self._health = home, registry, contracts, health
        self._on_load, self._load = on_load, load
        self._faults: dict[tuple[str, str], _Fault] = {}
        self._locks: dict[str, threading.Lock] = {}

    @property
    def snapshot(self) -> dict[str, Arms]:
        """The arms of the models that are in memory."""
        kept = {name: self.memory.look(name) for name in sorted(self.memory.names)}
        return {name: each.arms for name, each in kept.items() if each is not None}

    @property
    def answering(self) -> dict[str, dict[str, int]]:
        """Model -> arm -> version, in memory or as it would be loaded; without those that cannot be."""
        versions: dict[str, dict[str, int]] = {}
        for name, appointed in self.appointed.items():
            if (loaded := self.memory.look(name)) is not None:
                versions[name] = {arm.name: arm.version for arm in loaded.arms.loaded.values()}
            elif (name, CHAMPION) not in self._faults:
                versions[name] = appointed.versions
        return versions

    def at_hand(self, name: str) -> Arms | None:
        """The arms of a model that is in memory; it counts as asked for."""
        loaded = self.memory.ask(name)
        return loaded.arms if loaded else None

    def is_loadable(self, name: str) -> bool:
        """Whether a model is in memory, or the last try to load it has not failed."""
        return (name, CHAMPION) not in self._faults or self.memory.look(name) is not None

    def require_loadable(self, name: str) -> None:
        """Do nothing if a model may be loaded.

        Raises:
            CannotServe: the last try failed.
        """
        if (fault := self._faults.get((name, CHAMPION))) is not None and not self.is_loadable(name):
            raise CannotServe(f"no version of {name} can be served: {fault.why}")

    def arms(self, name: str) -> Arms:
        """The arms of a model that has a champion; loaded, if they are not in memory.

        Raises:
            CannotServe: they cannot be loaded.
        """
        with self._lock_of(name):
            loaded = self.memory.ask(name)
            if loaded is None:
                self.require_loadable(name)
                loaded = self._made(name, None)
                if loaded is None:
                    self.require_loadable(name)
                    raise CannotServe(f"no version of {name} can be served; see /readyz")
                self._put(name, loaded, asked=True)
            return loaded.arms

    def warm(self, name: str) -> bool:
        """Load a model that nobody has asked for, where there is room; whether there was."""
        with self._lock_of(name):
            if self.memory.look(name) is not None or (name, CHAMPION) in self._faults:
                return True
            loaded = self._made(name, None)
            if loaded is None:
                return True
            if not self.memory.fits(name, loaded.parts):
                return False
            self._put(name, loaded, asked=False)
            return True

    def appoint(self, changes: Mapping[str, Appointed]) -> None:
        """Follow the registry: models in memory get their new arms, and what failed is tried again."""
        before = self.appointed
        self.appointed = {**before, **changes}
        self.retry({name for name, each in changes.items() if not each.is_like(before.get(name))}, due=True)

    def retry(self, names: Collection[str] = (), *, due: bool = False) -> None:
        """Make models in memory what the registry names, and let those be tried again that could not be loaded.

        Args:
            names: models of which something has changed.
            due: of the others that failed only those whose time has come.
        """
        now = time.monotonic()
        failed = {name for (name, _), fault in list(self._faults.items()) if not due or fault.again_at <= now}
        for name in sorted({*names, *failed}):
            with self._lock_of(name):
                if (loaded := self.memory.look(name)) is not None:
                    self._renew(name, loaded)
                else:
                    # The next request tries, or the load in the background.
                    self._forgive(name)
                    self.changed[name] = None

    def take_standby(self, name: str, standby: Ready) -> bool:
        """Keep these versions of a model ready to be gone back to, if it is in memory still; whether there was room."""
        with self._lock_of(name):
            if (loaded := self.memory.look(name)) is None:
                return True
            ready = InMemory(loaded.arms, standby)
            fits = self.memory.fits(name, ready.parts)
            if fits:
                self.memory.put(name, ready, ready.parts, asked=False)
            return fits

    def _renew(self, name: str, loaded: InMemory) -> None:
        new = self._made(name, loaded)
        # No other copy of it may be left: what answers in place of a version that cannot be loaded stays.
        self.memory.hold(name, (name, CHAMPION) in self._faults)
        if new is None or new.arms == loaded.arms:
            return
        # What answered until now is what one goes back to first.
        self._put(name, InMemory(new.arms, loaded.ready), asked=False)

    def _put(self, name: str, loaded: InMemory, *, asked: bool) -> None:
        self._on_load(loaded.arms)
        arms = loaded.arms
        gone = self.memory.put(name, loaded, loaded.parts, asked=asked)
        self.changed[name] = None
        instead = f"not itself ({arms.fallback.mode})" if arms.fallback else "as champion"
        logger.info("%s: version %s answers %s", name, arms.champion.version, instead)
        if gone:
            logger.info("for %s these left the memory: %s", name, ", ".join(gone))
        self._tell_fallback(name, arms)

    def _tell_fallback(self, name: str, arms: Arms) -> None:
        """Let /readyz say so; the incident is that of the failing champion, so nobody is told twice."""
        part = f"{name}@fallback"
        if arms.fallback is None:
            self._health.gone(part)
            return
        self._health.bad(part, arms.fallback.reason, did="", do="", runbook="worse-than-guessing", tell=False)

    def _made(self, name: str, old: InMemory | None) -> InMemory | None:
        """What the registry names, as far as it can be loaded; the arms in memory where it cannot."""
        contract, appointed = self._contracts[name], self.appointed[name]
        self._forgive(name)
        champion = self._arm(contract, CHAMPION, appointed.champion, CHAMPION, old)
        if champion is None:
            return None
        # The tag is of the version that answers: where a new champion cannot be loaded, the old one's stays.
        is_it = champion.version == appointed.champion.version
        fallback = appointed.fallback if is_it else old.arms.fallback if old else None
        alone = InMemory(Arms(contract, champion, fallback=fallback))
        if appointed.fault:
            self._bad(name, CANDIDATE, appointed.fault, answers=True)
            return alone
        named = appointed.candidate
        if named is None or named.version == champion.version:
            self._health.gone(f"{name}@{CANDIDATE}")
            return alone
        candidate = self._arm(contract, CANDIDATE, named, appointed.state, old)
        if candidate is None or (candidate.version, candidate.name) != (named.version, appointed.state):
            return alone
        return InMemory(Arms(contract, champion, candidate, appointed.share, fallback))

    def _arm(self, contract: Contract, alias: str, named: ModelVersion, arm: str, old: InMemory | None) -> Arm | None:
        """A version as an arm; where it cannot be loaded the arm of that alias in memory, if there is one."""
        before = None if old is None else old.arms.champion if alias == CHAMPION else old.arms.candidate
        if before is not None and (before.version, before.name, before.sha256) == (named.version, arm, named.sha256):
            return before
        name = contract.settings.name
        ready = old.ready.get((named.version, named.sha256)) if old else None
        try:
            made = replace(ready, name=arm, since=datetime.now(UTC)) if ready else self._read(named, arm, contract)
        except Exception as error:
            # Whatever it fails with is this version's trouble, and no other model's.
            self._faults[name, alias] = _Fault(str(error), time.monotonic() + RETRY_SECONDS)
            logger.warning("%s could not be loaded", named.uri, exc_info=True)
            self._bad(name, alias, str(error), answers=before is not None)
            return before
        self._health.good(f"{name}@{alias}")
        return made

    def _read(self, named: ModelVersion, arm: str, contract: Contract) -> Arm:
        """A version from where the registry has it; where that cannot be reached, as it was last served."""
        self.loads += 1
        if not named.source and (kept := kept_arm(self._home, contract, named)) is not None:
            return kept
        try:
            return self._load(self._registry, named, arm, contract)
        except (ModelDamaged, CannotServe, ValueError):
            raise
        except Exception:
            if arm == CHAMPION and (kept := kept_arm(self._home, contract, named)) is not None:
                logger.warning("%s is served as it was kept", named.uri, exc_info=True)
                return kept
            raise

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

    def _forgive(self, name: str) -> None:
        for alias in (CHAMPION, CANDIDATE):
            self._faults.pop((name, alias), None)

    def _lock_of(self, name: str) -> threading.Lock:
        return self._locks.setdefault(name, threading.Lock())
