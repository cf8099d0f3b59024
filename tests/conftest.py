"""Homes with real flights in them, built once a session and copied for each test.

Dagster and pandas are loaded by the fixtures that need them: the pure half does without.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
import typeguard
import typer.testing
from dbt_common.tests import enable_test_caching
from hypothesis import settings

from mlops_assets.core.models.cores import cores
from mlops_assets.world.home import SHARED_CORES, Home, collect_seldom
from mlops_assets.world.project import VARIABLE
from tests.checkout import CHECKOUT

if TYPE_CHECKING:
    from tests.real_slice import World

pytest_plugins = ("tests.mlflow_homes", "tests.postgres")

# Processes that stand elsewhere work on this project, too.
os.environ[VARIABLE] = str(CHECKOUT)

# As in every process that `mlops` starts; numpy is not loaded yet.
os.environ.update(SHARED_CORES | os.environ)

# The same examples in each run, and none fails because the machine is busy.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")

# Feast's classes as the product loads them (`load_feast`), whichever module brings them first: each process saves 2.6 s
# of CPU, and the checks of types in each of their calls.
typeguard.typechecked = lambda target=None, **_: target or (lambda decorated: decorated)

# A call in this process builds all commands anew, which costs 0.1 s; in a process of its own they are built once, too.
typer.testing._get_command = cache(typer.testing._get_command)

# dbt's own switch for tests: the same text is parsed once a process, among others the 550 macros that dbt brings (1 s).
enable_test_caching()

MEMORY_DISK = Path("/dev/shm")
ROOM = 6 * 2**30
"""Bytes that must be free there, and in memory: a run of the whole suite holds at most 2 GiB."""


def pytest_configure(config: pytest.Config) -> None:
    """Write into memory where there is room: SQLite waits for the disk (4 ms) at every event that Dagster stores.

    On a disk 300 events take 3 s of CPU time and more of waiting, in memory 1.2 s. `TMPDIR` and `--basetemp` choose
    another place.
    """
    collect_seldom()
    if "TMPDIR" in os.environ or config.option.basetemp or not os.access(MEMORY_DISK, os.W_OK):
        return
    if min(psutil.disk_usage(str(MEMORY_DISK)).free, psutil.virtual_memory().available) >= ROOM:
        os.environ["TMPDIR"] = str(MEMORY_DISK)
        tempfile.tempdir = None


def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores: some tests wait most of their time, for a daemon or a service to start."""
    return cores() + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: `make test` gives whole files to cores, and a long one at the end keeps one busy.

    The first of them builds the slice; other slow ones that need it come after those that do not, or they would wait.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    of_slice = {item.path for item in items if "slice_home" in getattr(item, "fixturenames", ())}
    builder = next((item.path for item in items if item.path in slow & of_slice), None)
    items.sort(
        key=lambda item: (
            item.path not in slow,
            item.path != builder,
            (item.path in of_slice) == (item.path in slow),
        )
    )


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all workers of a session share."""
    base = tmp_path_factory.getbasetemp()
    return (base if worker_id == "master" else base.parent) / "shared_homes"


@pytest.fixture(scope="session")
def worker_id(request: pytest.FixtureRequest) -> str:
    """The worker of pytest-xdist, or `master` where it is not used."""
    return getattr(request.config, "workerinput", {"workerid": "master"})["workerid"]


@pytest.fixture(scope="session")
def slice_home(shared_folder: Path) -> Home:
    """Real flights of January 1 to March 10, 2013, with features and labels; not to be changed."""
    from tests.real_slice import build_once, build_slice

    return build_once(shared_folder / "slice", build_slice)


@pytest.fixture(scope="session")
def champion_home(slice_home: Home, shared_folder: Path) -> Home:
    """The slice with a first, weak champion of flight_delay as of February 18; not to be changed."""
    from tests.real_slice import build_once, copy_home, train_champion

    def build(home: Home) -> None:
        train_champion(copy_home(slice_home, home.root))

    return build_once(shared_folder / "champion", build)


@pytest.fixture(scope="session")
def drifting_home(champion_home: Home, shared_folder: Path) -> Home:
    """The champion two weeks later, on March 4: both weekly reports show drift; not to be changed."""
    from tests.real_slice import build_once, copy_home, watch_until_drift

    def build(home: Home) -> None:
        watch_until_drift(copy_home(champion_home, home.root))

    return build_once(shared_folder / "drifting", build)


@pytest.fixture(scope="session")
def app_in_this_process() -> Iterator[None]:
    """The service's application does not tune the process, which is not its own: 0.5 to 1.7 s of CPU at each start.

    `gc.collect` looks through all that the tests have loaded. The service as a process of its own tunes itself.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlops_assets.serving.app.short_pauses", nullcontext)
        yield


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for 256 KiB; mounting it needs rights that not every machine gives."""
    folder = tmp_path / "small_disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def new_world(slice_home: Home, tmp_path: Path) -> Iterator[Callable[..., World]]:
    """A maker of a world on a copy of the slice; settings as `small` takes them."""
    from tests.real_slice import World, copy_home, working_in

    with working_in(Home(tmp_path / "home")) as home:
        yield lambda name="flight_delay", **changes: World.of(copy_home(slice_home, home.root), name, **changes)


@pytest.fixture
def world(champion_home: Home, tmp_path: Path) -> Iterator[World]:
    """A world with a weak first champion, at the moment of its promotion."""
    from tests.real_slice import World, copy_home, working_in

    with working_in(Home(tmp_path / "home")) as home:
        yield World.of(copy_home(champion_home, home.root))


@pytest.fixture
def drifting(drifting_home: Home, tmp_path: Path) -> Iterator[World]:
    """A world whose reports show two weeks of drift, and nobody has decided on them."""
    from tests.real_slice import World, copy_home, working_in

    with working_in(Home(tmp_path / "home")) as home:
        yield World.of(copy_home(drifting_home, home.root))


@pytest.fixture
def mlops() -> Callable[..., typer.testing.Result]:
    """Call `mlops` with these arguments in the home of the environment."""
    from mlops_assets.cli import app

    return lambda *arguments: typer.testing.CliRunner().invoke(app, list(arguments))
