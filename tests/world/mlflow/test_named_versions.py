"""What aliases name, of many models at once: as the registry says it of each, and again only where it changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.named_versions import FOLLOWED, ByAlias, NamedVersions
from mlops_assets.world.mlflow.registry import Registry
from mlops_assets.world.mlflow.versions import ModelVersion
from tests.real_slice import working_in
from tests.serving.conftest import make_model, register

NAMES = ["a", "b", "c"]
Changes = Callable[[list[str]], dict[str, ByAlias]]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    home = Home(tmp_path_factory.mktemp("named"))
    with working_in(home):
        home.prepare()
        version = register(home, make_model(1), {"own": "x"}, name="a")
        registry = Registry(home=str(home.root))
        first = registry.version("a", version)
        for name, count in (("a", 1), ("b", 2), ("c", 3)):
            for number in range(count):
                registry.share(name, first, tags={"number": number})
        for version in (2, 1):
            registry.promote("b", version, decision_id=f"d{version}", reason="a test; with = and \n")
    return registry


def as_asked(registry: Registry, name: str) -> dict[str, ModelVersion]:
    return {alias: version for alias in FOLLOWED if (version := registry.find(name, alias)) is not None}


@pytest.mark.parametrize("kind", ["file", "server"])
def test_each_change_is_given_once_and_as_the_registry_says_it(registry: Registry, kind: str, tmp_path: Path) -> None:
    named, home = NamedVersions(registry), Home(Path(str(registry.home)))
    changes: Changes = named.changes if kind == "file" else named._of_server
    with working_in(home):
        assert changes(NAMES)["b"] == as_asked(registry, "b")
        assert changes(NAMES) == {}
        registry.alias("c", "candidate", 3)
        registry.tag("c", 3, {"rollout_state": f"shadow-{kind}"})
        assert changes(NAMES) == {"c": as_asked(registry, "c")}
        registry.tag("c", 3, {"rollout_share": f"0.5{kind}"})
        assert changes(NAMES) == {"c": as_asked(registry, "c")}
        registry.tag("b", 2, {"fallback": kind})
        assert changes(NAMES) == {"b": as_asked(registry, "b")}
        registry.alias("c", "candidate", None)
        assert changes(NAMES) == {"c": {}}
        # A name that is asked for later is new then.
        assert changes(["c"]) == {}
        assert changes(["c", "b"]).get("b", as_asked(registry, "b")) == as_asked(registry, "b")
        assert changes(NAMES) in ({}, {"b": as_asked(registry, "b")})
