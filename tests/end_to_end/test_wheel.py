"""The library without its checkout: three commands from an empty folder to a monitored model.

What lives here: the built wheel, unpacked where nothing of the checkout is. What does not: the files that are written
(`tests.onboarding`).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mlops_assets.core.settings_kinds import COMPONENTS
from tests.bare import bare_path
from tests.checkout import CHECKOUT
from tests.onboarding.tables import churn

pytestmark = pytest.mark.slow
DG = (
    "import sys; from dagster_dg_cli.cli import cli; [cli.main(w.split(), standalone_mode=False) for w in sys.argv[1:]]"
)
"""Each argument is a command of its own: in one process, for most of each is to load the components."""
RUN = "import sys; from mlops_assets.cli import app; app()"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked: the installed library."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=CHECKOUT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def bare(library: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a Python that has what a bare installation has: the library, no extra, no developers' tool."""
    return os.pathsep.join([str(bare_path(tmp_path_factory.mktemp("bare"))), str(library)])


def run(path: str, folder: Path, *words: str) -> str:
    """Python with the library on that path, in a folder outside of every project but those in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "DAGSTER_"))}
    environment = kept | {"PYTHONPATH": path, "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_three_commands_from_nothing_to_a_monitored_model(library: Path, bare: str, tmp_path: Path) -> None:
    assert not (library / "mlops_assets" / "defs").exists(), "the demo is no part of the library"
    where = run(bare, tmp_path, "-c", "import mlops_assets; print(mlops_assets.__file__)")
    assert where.startswith(str(library))
    churn(1_200, days=90).to_csv(tmp_path / "customers.csv", index=False)

    assert "Made" in run(bare, tmp_path, "-c", RUN, "init", "acme")
    acme = tmp_path / "acme"
    told = run(bare, acme, "-c", RUN, "new-model", "churn", "--from", str(tmp_path / "customers.csv"))
    assert "acme/defs/churn/defs.yaml" in told
    run(bare, acme, "-c", RUN, "replay", "churn", "--every", "month", "--trials", "1")

    replay = json.loads((acme / ".mlops" / "reports" / "churn" / "replay.json").read_text(encoding="utf-8"))
    assert replay["model"] == "churn"
    # A developer's `dg` finds our components by the wheel's entry point, and what it writes loads with the rest.
    (entries,) = library.glob("*.dist-info/entry_points.txt")
    assert "[dagster_dg_cli.registry_modules]\nmlops_assets = mlops_assets.components" in entries.read_text()
    declared = {"visits": "LandingSource", "leavers": "MonitoredModel"}
    scaffold = (f"scaffold defs mlops_assets.components.{component} {name}" for name, component in declared.items())
    said = run(str(library), acme, "-c", DG, "list components --json", *scaffold)
    known = json.JSONDecoder().raw_decode(said, said.index("{"))[0]["items"]
    assert {f"mlops_assets.components.{name}" for name in COMPONENTS} <= {item["key"] for item in known}
    assert {"churn: ", "visits", "leavers: "} <= set(re.findall(r"\w+(?:: )?", run(bare, acme, "-c", RUN, "status")))
    # Its own test, as its CI runs it: all definitions load.
    run(str(library), acme, "-m", "pytest", "-q", "tests", "-p", "no:cacheprovider")
    assert not list(tmp_path.glob("*/mlops_assets")), "nothing of the library was copied"
