"""A copy of a home works like the home; an upgrade of one that is up to date changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.resources.home import Home
from mlops_assets.resources.platform import Platform
from mlops_assets.resources.upkeep import UpkeepFailed, backup, migrate
from tests.real_slice import World


def test_a_copy_is_a_home(world: World, tmp_path: Path) -> None:
    (world.home.root / "replays" / "old").mkdir(parents=True)
    assert backup(world.home, tmp_path / "copy") > 100
    copy = Platform.of(Home(tmp_path / "copy"))
    assert copy.ledger.entries("flight_delay") == world.ledger()
    assert [v.version for v in copy.registry.versions("flight_delay")] == [1]
    assert copy.lake.partitions("labels", "lbl_flight_delay").keys() == (
        world.platform.lake.partitions("labels", "lbl_flight_delay").keys()
    )
    assert not (tmp_path / "copy" / "replays").exists()
    with pytest.raises(UpkeepFailed, match="is there already"):
        backup(world.home, tmp_path / "copy")
    with pytest.raises(UpkeepFailed, match="lies inside the home"):
        backup(world.home, world.home.root / "copy")


def test_an_upgrade_keeps_what_is_there_and_copies_it_first(world: World) -> None:
    before = world.ledger(), world.aliases(), world.runs()
    done = migrate(world.home)
    assert [told.partition(" is ")[0] for told in done[1:]] == ["Dagster's storage", "MLflow's database"]
    assert (world.ledger(), world.aliases(), world.runs()) == before
    (kept,) = (world.home.root / "backups").iterdir()
    assert (kept / "mlflow" / "mlflow.db").exists()


def test_there_must_be_a_home(tmp_path: Path) -> None:
    for call in (lambda home: backup(home, tmp_path / "x"), migrate):
        with pytest.raises(UpkeepFailed, match="is no home"):
            call(Home(tmp_path / "none"))
