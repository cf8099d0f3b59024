"""Which project a process works on.

What lives here: finding it, as `dg` does, and what is said where there is none. What does not: making one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.world.project import NoProject, Project

DECLARED = "[tool.dg.project]\nroot_module = 'acme'\n"


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    (tmp_path / "acme" / "models" / "deep").mkdir(parents=True)
    (tmp_path / "acme" / "pyproject.toml").write_text(DECLARED)
    return tmp_path / "acme"


def test_the_nearest_project_above_is_worked_on(acme: Path) -> None:
    for start in (acme, acme / "models" / "deep"):
        found = Project.find(start)
        assert (found.root, found.module, found.defs) == (acme, "acme", acme / "acme" / "defs")
    # A folder with a pyproject.toml of something else in between is passed by.
    (acme / "models" / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    assert Project.find(acme / "models" / "deep").root == acme


def test_a_named_project_wins_and_is_not_searched_for(acme: Path, tmp_path: Path) -> None:
    assert Project.find(tmp_path, str(acme)).root == acme
    assert not Project.find(acme, str(acme / "models")).module


@pytest.mark.parametrize("text", [None, "[project]\n", "[tool.dg.project\n", b"\xff\xfe"])
def test_where_there_is_none_the_remedy_is_said(tmp_path: Path, text: str | bytes | None) -> None:
    if text is not None:
        (tmp_path / "pyproject.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(NoProject, match=r"MLOPS_PROJECT=<folder>\).*mlops init"):
        Project.find(tmp_path).require()


def test_a_command_outside_of_a_project_says_so_and_makes_nothing(tmp_path: Path) -> None:
    def mlops(*words: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLOPS_")}
        code = "from mlops_assets.cli import app; app()"
        return subprocess.run(
            [sys.executable, "-c", code, *words], cwd=tmp_path, env=kept, capture_output=True, text=True, check=False
        )

    done = mlops("status")
    assert done.returncode == 1
    assert "mlops init" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
    helped = mlops("status", "--help")
    assert helped.returncode == 0, helped.stderr
