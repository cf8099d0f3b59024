"""A PostgreSQL server of one's own, where it is installed.

What lives here: the fixture `postgres`, and addresses of its databases. What does not: assertions.

Without PostgreSQL the tests that want it are skipped, and the reason is in the summary; `.ci/run` installs it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")


def programs() -> Path | None:
    """The folder of PostgreSQL's programs; Debian keeps them off the PATH."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    folders = sorted(folder for place in PLACES for folder in Path("/").glob(place[1:]) if (folder / "initdb").exists())
    return folders[-1] if folders else None


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """Parameters of a server of its own, reached by a socket in its folder: `host=...` of a connection URL."""
    programs_ = programs()
    if programs_ is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql): its settings are NOT tested")
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        # It refuses to run as root.
        who = {"user": "nobody", "group": "nogroup"} if os.getuid() == 0 else {}
        if who:
            shutil.chown(folder, **who)
        data = f"{folder}/data"

        def run(program: str, *words: str) -> None:
            told = Path(folder) / "said.txt"
            with told.open("a") as log:
                done = subprocess.run(
                    [programs_ / program, *words], stdout=log, stderr=log, cwd=folder, check=False, **who
                )
            assert done.returncode == 0, told.read_text()

        run("initdb", "-D", data, "-U", "mlops", "-A", "trust", "-E", "UTF8", "--no-sync")
        run("pg_ctl", "-D", data, "-w", "-o", f"-k {folder} -c listen_addresses= -c fsync=off", "start")
        try:
            for database in ("dagster", "mlflow", "feed"):
                run("createdb", "-h", folder, "-U", "mlops", database)
            yield f"host={folder}"
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "stop")


def url(postgres: str, database: str) -> str:
    """The address of `dagster`, `mlflow` or `feed`; two have a table `runs`, so each is a database of its own."""
    return f"postgresql://mlops@/{database}?{postgres}"
