"""What may be removed from a home, and removing it: training sets, candidates, old replays, old runs.

Here: which of it nothing needs any more. Not here: the command. Never touched: landed files, the lake's raw tables,
features, labels and predictions, versions in the registry, and the record of decisions.

What is needed is what the kept versions of each model need: those with an alias, the newest few, and the one on trial.
A training set that went away can be made again from the lake (`mlops reproduce`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from mlops_assets.world.home import Home
from mlops_assets.world.platform import Platform

RUNS = "Dagster's runs"


@dataclass(frozen=True)
class Removable:
    """One thing that nothing needs.

    Attributes:
        kind: what it is one of.
        name: of the file, folder or run.
        size: bytes; of runs 0, their database gives no size.
        path: of a file or folder; None for a run.
    """

    kind: str
    name: str
    size: int
    path: Path | None = None


def removable(home: Home, *, keep: int, older_than: timedelta, now: datetime | None = None) -> list[Removable]:
    """What may go.

    Args:
        home: where.
        keep: how many of the newest versions of a model are kept whole, beside those with an alias.
        older_than: younger things stay: they may be at work.
        now: the moment; by default the machine's.
    """
    before = (now or datetime.now(UTC)) - older_than
    return [
        *_training_sets(home, keep, before),
        *_candidates(home, keep, before),
        *_replays(home, before),
        *_runs(home, before),
    ]


def remove(home: Home, things: list[Removable]) -> None:
    """Remove them. Killed in between, the rest is found by the next call."""
    for thing in things:
        if thing.path is not None:
            shutil.rmtree(thing.path) if thing.path.is_dir() else thing.path.unlink(missing_ok=True)
    runs = [thing.name for thing in things if thing.kind == RUNS]
    if runs:
        with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
            for run in runs:
                instance.delete_run(run)


def _kept(platform: Platform, keep: int) -> tuple[set[str], set[str]]:
    """Hashes of the training sets and of the models that kept versions need; of all models in the registry."""
    sets, models = set[str](), set[str]()
    for model in platform.registry.client.search_registered_models():
        versions = platform.registry.versions(model.name)
        newest = sorted(versions, key=lambda version: -version.version)[:keep]
        for version in {v.version: v for v in [*newest, *(v for v in versions if v.aliases)]}.values():
            sets |= {version.tags.get("training_set", ""), version.tags.get("refit_set", "")}
            models |= {version.sha256, version.tags.get("judged_sha256", "")}
    return sets, models


def _training_sets(home: Home, keep: int, before: datetime) -> Iterator[Removable]:
    platform = Platform.of(home)
    files = _old(home.lake.glob("training_sets/*.parquet"), before)
    if files:
        needed = _kept(platform, keep)[0]
        yield from (_file("training sets", path) for path in files if path.stem not in needed)


def _candidates(home: Home, keep: int, before: datetime) -> Iterator[Removable]:
    platform = Platform.of(home)
    files = _old(home.lake.glob("models/*/candidates/*"), before)
    if files:
        needed = _kept(platform, keep)[1]
        yield from (_file("candidates", path) for path in files if path.stem not in needed)


def _replays(home: Home, before: datetime) -> Iterator[Removable]:
    for path in _old(home.replays.glob("*"), before):
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file() and not file.is_symlink())
        yield Removable("replays", path.name, size, path)


def _runs(home: Home, before: datetime) -> Iterator[Removable]:
    """Runs that have ended long ago, with their events; the newest materialization of each asset stays known."""
    if not (home.dagster / "dagster.yaml").exists():
        return
    ended = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        newest = {
            record.asset_entry.last_run_id for record in instance.get_asset_records() if record.asset_entry.last_run_id
        }
        runs = instance.get_runs(filters=dg.RunsFilter(statuses=ended, created_before=before))
    yield from (Removable(RUNS, run.run_id, 0) for run in runs if run.run_id not in newest)


def _old(paths: Iterator[Path], before: datetime) -> list[Path]:
    return sorted(path for path in paths if path.stat().st_mtime < before.timestamp())


def _file(kind: str, path: Path) -> Removable:
    return Removable(kind, path.name, path.stat().st_size, path)
