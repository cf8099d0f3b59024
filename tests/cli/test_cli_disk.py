"""What a disk and its names refuse, as a sentence: no traceback, and nothing half left behind."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from mlops_assets.commands.console import remedy
from mlops_assets.world.home import Home, HomeSettings

Mlops = Callable[..., Result]


def test_landing_on_a_full_disk(mlops: Mlops, home: Home, small_disk: Path) -> None:
    home.root.mkdir()
    home.configure(HomeSettings(clock="data", landing=str(small_disk / "landing")))
    failed = mlops("land", "flights", "--through", "2013-01-05")
    assert failed.exit_code == 1
    assert "No space left" in failed.stderr
    assert "Errno" not in failed.stderr
    assert "Free some" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert [path for path in small_disk.rglob("*") if path.name.endswith((".tmp", ".partial"))] == []


def test_landing_a_table_of_ones_own_on_a_full_disk(mlops: Mlops, home: Home, small_disk: Path, tmp_path: Path) -> None:
    home.root.mkdir()
    home.configure(HomeSettings(clock="data", landing=str(small_disk / "landing")))
    rows = "\n".join(f"2013-01-{1 + i // 4000:02} {i % 24:02}:00:00,{os.urandom(8).hex()},{i}" for i in range(80_000))
    (tmp_path / "weather.csv").write_text(f"time_hour,origin,temp\n{rows}\n")
    failed = mlops("land", "weather", "--files", str(tmp_path / "weather.csv"))
    assert failed.exit_code == 1
    assert "Free some" in failed.stderr
    assert [path for path in small_disk.rglob("*") if path.name.endswith((".tmp", ".partial"))] == []


def test_a_name_too_long_for_a_disk(mlops: Mlops, tmp_path: Path) -> None:
    failed = mlops("drift", "x" * 300 + ".csv", "y.csv")
    assert failed.exit_code == 1
    assert isinstance(failed.exception, SystemExit)
    for command in (
        ("decisions", "m" * 240),
        ("pause", "m" * 240, "--reason", "x"),
        ("land", "s" * 240, "--files", "x"),
    ):
        said = mlops(*command)
        assert said.exit_code == 1
        assert "There is no" in said.stderr


@pytest.mark.parametrize(
    ("error", "todo"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "Free some"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "Free some"),
        (RuntimeError("database or disk is full"), "Free some"),
        (OSError(errno.ENAMETOOLONG, "File name too long"), "Shorten"),
        (OSError(errno.EROFS, "Read-only file system"), "Correct the place"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), ""),
        (KeyError("x"), ""),
    ],
)
def test_what_to_do_about_a_disk(error: Exception, todo: str) -> None:
    assert remedy(error).startswith(todo) if not todo else todo in remedy(error)
    assert bool(remedy(error)) == bool(todo)
