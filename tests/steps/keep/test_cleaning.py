"""What a home no longer needs goes, and nothing else."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from mlops_assets.steps.keep.cleaning import RUNS, removable, remove
from tests.real_slice import World

LONG_AGO = datetime.now(UTC) - timedelta(days=200)


def test_only_what_nobody_needs_goes(world: World) -> None:
    lake, home = world.home.lake, world.home
    champion = world.platform.registry.version("flight_delay", "champion")
    needed = lake / "training_sets" / f"{champion.tags['refit_set']}.parquet"
    unneeded = lake / "training_sets" / f"{'0' * 64}.parquet"
    young = lake / "training_sets" / f"{'1' * 64}.parquet"
    candidate = lake / "models" / "flight_delay" / "candidates" / f"{'2' * 64}.ubj"
    replay = home.replays / "flight_delay-20200101T000000"
    candidate.parent.mkdir(parents=True, exist_ok=True)
    (replay / "lake").mkdir(parents=True)
    for file in (unneeded, young, candidate, replay / "lake" / "x.parquet"):
        file.write_bytes(b"0" * 100)
    for path in (needed, unneeded, candidate, replay):
        os.utime(path, (LONG_AGO.timestamp(), LONG_AGO.timestamp()))
    before = world.files()
    found = removable(home, keep=3, older_than=timedelta(days=90))
    assert {(thing.kind, thing.name, thing.size) for thing in found} == {
        ("training sets", unneeded.name, 100),
        ("candidates", candidate.name, 100),
        ("replays", replay.name, 100),
    }
    assert world.files() == before, "looking changes nothing"
    remove(home, found)
    assert needed.exists()
    assert young.exists()
    assert not (unneeded.exists() or candidate.exists() or replay.exists())
    assert removable(home, keep=3, older_than=timedelta(days=90)) == []
    world.platform.registry.verify("flight_delay", "champion")


def test_old_runs_go_but_not_those_that_assets_stand_on(world: World) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    before = world.runs()
    newest = {
        record.asset_entry.last_run_id
        for record in world.instance.get_asset_records()
        if record.asset_entry.last_run_id
    }
    runs = [t for t in removable(world.home, keep=3, older_than=timedelta(0), now=later) if t.kind == RUNS]
    remove(world.home, runs)
    assert world.runs() == before - len(runs)
    assert all(world.instance.has_run(run) for run in newest)
