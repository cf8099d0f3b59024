"""A copy of a home works like the home; an upgrade of one that is up to date changes nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from mlops_assets.steps.keep.upkeep import UpkeepFailed, backup, migrate
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.registry import ModelDamaged
from mlops_assets.world.mlflow.store import MlflowUnavailable, _bring_along, open_client
from mlops_assets.world.platform import Platform
from tests.real_slice import World


def test_a_copy_is_a_home(world: World, tmp_path: Path) -> None:
    (world.home.root / "replays" / "old").mkdir(parents=True)
    assert backup(world.home, tmp_path / "copy") > 100
    copy = Platform.of(Home(tmp_path / "copy"))
    assert [entry.to_dict() for entry in copy.ledger.entries("flight_delay")] == world.ledger()
    assert [v.version for v in copy.registry.versions("flight_delay")] == [1]
    assert copy.lake.partitions("labels", "lbl_flight_delay").keys() == (
        world.platform.lake.partitions("labels", "lbl_flight_delay").keys()
    )
    assert not (tmp_path / "copy" / "replays").exists()
    with pytest.raises(UpkeepFailed, match="is there already"):
        backup(world.home, tmp_path / "copy")
    with pytest.raises(UpkeepFailed, match="lies inside the home"):
        backup(world.home, world.home.root / "copy")


def test_a_copy_knows_nothing_of_the_home_that_it_was_copied_from(world: World, tmp_path: Path) -> None:
    backup(world.home, tmp_path / "a #%41 copy")
    copy = Platform.of(Home(tmp_path / "a #%41 copy"))
    version = copy.registry.version("flight_delay", 1)
    file = Path(url2pathname(urlsplit(version.source).path)) / "model.ubj"
    assert file.is_relative_to(tmp_path)
    copy.registry.verify("flight_delay", 1)
    file.write_bytes(b"another")
    with pytest.raises(ModelDamaged):
        copy.registry.verify("flight_delay", 1)
    world.platform.registry.verify("flight_delay", 1)
    with closing(sqlite3.connect(tmp_path / "a #%41 copy" / "mlflow" / "mlflow.db")) as connection:
        told = "\n".join(connection.iterdump())
    assert f"{world.home.root.as_uri()}/mlflow" not in told
    # Moved once more, and back to a store that is right already.
    (tmp_path / "a #%41 copy").rename(tmp_path / "moved")
    moved = Platform.of(Home(tmp_path / "moved"))
    assert moved.registry.version("flight_delay", 1).source.startswith((tmp_path / "moved").as_uri())


def test_addresses_that_are_meant_to_be_elsewhere_stay(tmp_path: Path) -> None:
    shared = tmp_path / "shared" / "mlflow" / "artifacts" / "x"
    shared.mkdir(parents=True)
    home = Home(tmp_path / "home").prepare()
    open_client(home).create_experiment("x", artifact_location=shared.as_uri())
    _bring_along.cache_clear()
    assert open_client(home).get_experiment_by_name("x").artifact_location == shared.as_uri()


def test_a_copy_that_cannot_be_changed_is_a_sentence(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").prepare()
    open_client(home)
    (home.mlflow / "artifacts" / "default" / "0").mkdir(parents=True)
    home.root.rename(tmp_path / "moved")
    with closing(sqlite3.connect(tmp_path / "moved" / "mlflow" / "mlflow.db")) as connection, connection:
        connection.execute("create trigger no before update on experiments begin select raise(abort, 'no'); end")
    with pytest.raises(MlflowUnavailable, match=r"was copied or moved.*put the home back in its place"):
        open_client(Home(tmp_path / "moved"))


def test_a_full_disk_ends_a_copy_in_a_sentence_and_leaves_nothing(world: World, small_disk: Path) -> None:
    with pytest.raises(UpkeepFailed, match=r"(No space left|disk is full).*Make room there.*Nothing was kept"):
        backup(world.home, small_disk / "copy")
    assert list(small_disk.iterdir()) == []


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
