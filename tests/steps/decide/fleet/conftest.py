"""A home of five models whose trainings share a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlops_assets.core.decide.fleet.trainings_policy import TrainingsPolicy
from mlops_assets.world.home import Home, working_in
from tests.fleet_home import FleetHome, declare

NewFleet = Callable[..., FleetHome]


@pytest.fixture
def new_fleet(tmp_path: Path) -> Iterator[NewFleet]:
    """A maker of a home with models of these names, by default a to e."""
    with working_in(Home(tmp_path / "home"), own_store=True) as home:
        home.prepare()

        def made(policy: TrainingsPolicy | None, *names: str) -> FleetHome:
            declare(tmp_path / "defs", list(names or "abcde"))
            return FleetHome(home, tmp_path / "defs", policy)

        yield made
