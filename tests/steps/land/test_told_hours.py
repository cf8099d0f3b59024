"""What landing says of rows in the hour that the clocks have twice: in the outcome, the record and `mlops status`."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlops_assets.assets.landing_source import _metadata
from mlops_assets.steps.land.taking_in import take_in
from mlops_assets.world.home import Home
from mlops_assets.world.landed import sources as landed
from tests.landing_home import HEADER, LandingHome, source

DAY = date(2025, 10, 26)
TOLD = "1 row falls into the hour that Europe/Berlin has twice (26 October 2025, 02:00); read as the second one."


def content(hours: tuple[int, ...]) -> str:
    lines = [f"{number},{DAY} 0{hour}:30:00,north,1" for number, hour in enumerate(hours)]
    return "\n".join([HEADER, *lines]) + "\n"


def test_landing_tells_of_the_partition_that_has_them(tmp_path: Path) -> None:
    home = LandingHome.at(tmp_path / "home", source(files="orders_{partition}*", timezone="Europe/Berlin"))
    home.land(content((1, 2, 3)), f"orders_{DAY}.csv")
    other = content((1, 2, 3)).replace("2025-10-26", "2025-10-27").replace("\n", "\n9")[:-1]
    home.land(other, "orders_2025-10-27.csv")
    intake = home.intake()
    outcome = take_in(intake, intake.pending())
    assert list(outcome.rows) == [str(DAY), "2025-10-27"]
    assert list(outcome.notes) == [str(DAY)]
    assert outcome.notes[str(DAY)][-1].endswith(TOLD)
    assert TOLD.rstrip(".") in _metadata(intake, outcome)["notes"]
    assert TOLD in intake.taken()[str(DAY)].notes
    assert not intake.taken()["2025-10-27"].notes


def test_mlops_land_tells_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlops_assets.cli import app

    defs = tmp_path / "defs" / "orders"
    defs.mkdir(parents=True)
    (defs / "defs.yaml").write_text(
        "type: mlops_assets.components.LandingSource\nattributes:\n  name: orders\n  description: One row per order.\n"
        "  files: orders_{partition}*.parquet\n  event_time: at\n  timezone: Europe/Berlin\n  start: 2025-01-01\n"
        "  freshness: 36h\n  contract:\n    columns:\n      at: {type: timestamp}\n      shop: {type: string}\n"
    )
    monkeypatch.setattr(landed, "DEFS", tmp_path / "defs")
    monkeypatch.setattr("mlops_assets.commands.console.DEFS", tmp_path / "defs")
    monkeypatch.setenv("MLOPS_HOME", str(Home(tmp_path / "home").prepare().root))
    monkeypatch.setenv("COLUMNS", "300")
    rows = tmp_path / "rows.csv"
    rows.write_text("at,shop\n" + "".join(f"2025-10-26 0{hour}:30:00,n\n" for hour in (1, 2, 3)))
    done = CliRunner().invoke(app, ["land", "orders", "--files", str(rows)])
    assert done.exit_code == 0, done.output
    assert f"at: {TOLD}" in done.output
