"""A home for one source whose files may have `LIMIT` bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.world.home import HomeSettings, Limits
from tests.landing_home import LIMIT, LandingHome, source


@pytest.fixture
def limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LandingHome:
    """The home, in which commands work."""
    found = LandingHome.at(tmp_path / "home", source(files="orders_{partition}*"))
    found.home.configure(HomeSettings(clock="data", limits=Limits(file_bytes=LIMIT)))
    monkeypatch.setenv("MLOPS_HOME", str(found.home.root))
    return found
