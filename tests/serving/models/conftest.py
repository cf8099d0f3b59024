"""A home of many models, each with a small file of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mlops_assets.core.models.families.xgboost import ATTRIBUTE
from mlops_assets.core.models.model import Model
from mlops_assets.serving.engine import arms
from mlops_assets.serving.engine.arms import Arm, Contract, load_arm
from mlops_assets.serving.engine.health import Health
from mlops_assets.serving.models.alias_watch import Watcher
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.registry import ModelVersion, Registry
from tests.real_slice import copy_home, working_in
from tests.serving.conftest import contract, make_model, register

NAMES = tuple(f"m{number}" for number in range(6))


def other(model: Model, seed: int) -> Model:
    """The same trees in another file."""
    booster = Model.from_bytes(model.content).fitted.native
    booster.set_attr(**{ATTRIBUTE: dataclasses.replace(model.recipe, seed=seed).to_json()})
    return Model.from_bytes(bytes(booster.save_raw("ubj")))


@pytest.fixture(scope="session")
def many_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Six models with two versions each, the first is champion; promoted in the order of their names."""
    home = Home(tmp_path_factory.mktemp("many"))
    with working_in(home):
        home.prepare()
        registry, first = Registry(home=str(home.root)), make_model(1)
        for number, name in enumerate(NAMES):
            for version in (1, 2):
                register(home, other(first, 10 * number + version), name=name)
            registry.promote(name, 1, decision_id="d1", reason="a test")
    return home


@dataclass
class Many:
    """A home of many models, and what a watcher of it has loaded."""

    home: Home
    loads: list[tuple[str, int]] = field(default_factory=list)
    watchers: list[Watcher] = field(default_factory=list)
    contracts: dict[str, Contract] = field(default_factory=dict)

    @property
    def registry(self) -> Registry:
        return Registry(home=str(self.home.root))

    def watcher(self, memory: int = 2**30, load: Callable[..., Arm] = load_arm) -> Watcher:
        """One that has looked once."""

        def counted(registry: Registry, version: ModelVersion, name: str, of: Contract) -> Arm:
            self.loads.append((version.name, version.version))
            return load(registry, version, name, of)

        health = Health(Alerts(root=str(self.home.root)))
        made = Watcher(self.home, self.registry, self.contracts, health, memory=memory, load=counted)
        made.look()
        self.watchers.append(made)
        return made

    def file(self, name: str, version: int) -> Path:
        source = self.registry.version(name, version).source
        return Path(source.removeprefix("file://")) / "model.ubj"


@pytest.fixture
def many(many_home: Home, tmp_path: Path) -> Iterator[Many]:
    arms._scorers.clear()  # those of a test before may not have been collected yet
    of_first = contract()
    contracts = {
        name: dataclasses.replace(of_first, settings=of_first.settings.model_copy(update={"name": name}))
        for name in NAMES
    }
    with working_in(Home(tmp_path / "home")) as home:
        copy_home(many_home, home.root)
        made = Many(home, contracts=contracts)
        yield made
        for watcher in made.watchers:
            watcher.stop()
