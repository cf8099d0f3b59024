"""A small real lake and dbt in process: starting dbt costs seconds, so homes are built once a session."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mlops_assets.world import dbt_runs
from mlops_assets.world.home import Home
from tests.checkout import CHECKOUT
from tests.real_slice import World
from tests.support import land_raw

PROJECT = CHECKOUT / "dbt_project"
LAST_DAY = date(2013, 2, 5)


@dataclass(frozen=True)
class Dbt:
    """dbt on one home, with a target folder of its own."""

    home: Path
    project: Path = PROJECT

    def __call__(self, *arguments: str, **variables: str) -> dict[str, str]:
        """Run dbt in process; return the status of every node by name. Exposures have nothing to be built."""
        import json

        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.cli.main import dbtRunner

        target = self.home / "target"
        # With what dbt knows of the files from other homes: it parses all of them anew where variables change.
        manifest = dbt_runs.Dbt(self.project, Home(self.home), target=target).parsed()
        old = os.environ.get("MLOPS_HOME")
        os.environ["MLOPS_HOME"] = str(self.home)
        try:
            DuckDBConnectionManager.close_all_connections()
            ran = dbtRunner(manifest=manifest).invoke(
                [
                    *("--quiet", "--no-use-colors", *arguments, "--vars", json.dumps(variables)),
                    *("--project-dir", str(self.project), "--profiles-dir", str(self.project)),
                    *("--target-path", str(target), "--log-path", str(target)),
                ]
            )
            DuckDBConnectionManager.close_all_connections()
        finally:
            if old is None:
                del os.environ["MLOPS_HOME"]
            else:
                os.environ["MLOPS_HOME"] = old
        if ran.exception is not None:
            raise ran.exception
        results: Any = ran.result
        ran_nodes = [result for result in results if result.node.resource_type != "exposure"]
        return {result.node.name: str(result.status) for result in ran_nodes}

    def ok(self, *arguments: str, **variables: str) -> dict[str, str]:
        """Run dbt and insist that every node went well."""
        statuses = self(*arguments, **variables)
        assert set(statuses.values()) <= {"success", "pass"}, statuses
        return statuses


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def files(home: Path, folder: str = "*") -> dict[str, bytes]:
    """Every file of the features and labels of a home, by its path."""
    lake = home / "lake"
    found = [path for layer in ("features", "labels") for path in lake.glob(f"{layer}/{folder}/*/*")]
    return {str(path.relative_to(lake)): path.read_bytes() for path in found}


def rows(home: Path, model: str, sql: str = "select * from model") -> list[tuple[Any, ...]]:
    """Run SQL over one model's files, which it calls `model`."""
    path = next((home / "lake").glob(f"*/{model}"))
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(
            f"create view model as from read_parquet('{path}/*/data.parquet', hive_types = {{partition: date}})"
        )
        return connection.execute(sql).fetchall()


@pytest.fixture(scope="session")
def raw_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The raw lake of January 1 to February 5; tests copy it and never write into it."""
    home = tmp_path_factory.mktemp("raw")
    land_raw(home, through=LAST_DAY)
    return home


@pytest.fixture(scope="session")
def new_home(raw_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """A maker of homes with the raw lake and nothing else."""

    def make() -> Path:
        home = tmp_path_factory.mktemp("home")
        shutil.copytree(raw_home / "lake", home / "lake")
        return home

    return make


@pytest.fixture(scope="session")
def built(new_home: Callable[[], Path]) -> Iterator[tuple[Dbt, dict[str, str]]]:
    """A home built in one pass through February 5, and how every node went; not to be changed."""
    dbt = Dbt(new_home())
    yield dbt, dbt("build", end="2013-02-06")


@pytest.fixture
def home(world: World, slice_home: Home) -> Home:
    """A home with a champion, and the warehouse that its lake was built with."""
    shutil.copy(slice_home.warehouse, world.home.warehouse)
    return world.home
