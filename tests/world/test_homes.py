"""A home of any name: DuckDB reads each path as a pattern, and reads no other home instead."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

from mlops_assets.core.values.sql import exact
from mlops_assets.feast_store import sql as feast_sql
from mlops_assets.feast_store.sources import files_of, read_files
from mlops_assets.onboarding.reading.table import read_table
from mlops_assets.steps.land.taking_in import take_in
from mlops_assets.world.files.table_files import open_table
from mlops_assets.world.home import Home
from mlops_assets.world.lake import Lake
from tests.landing_home import DAY, LandingHome, rows, source

NAMES = {
    "a[1]": "a1",
    "a*": "abc",
    "a[1]*": "a1bc",
    "[!b]": "c",
    "**": "x",
    "a]": "a",
    "[": "b",
    "ö'{x,y}\" $HOME": "öx",
}
"""Of a home, and of one beside it that its name means as a pattern."""


@pytest.mark.parametrize("name", NAMES)
def test_what_is_read_is_of_this_home(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {}
    for number, folder in enumerate((name, NAMES[name]), start=1):
        home = Home(tmp_path / folder).prepare()
        monkeypatch.setenv("MLOPS_HOME", str(home.root))
        assert Home.from_environment().root == home.root
        lake = Lake(root=str(home.root))
        for day in range(1, 3):
            frame = pd.DataFrame({"id": [str(number)] * number, "partition": pd.Timestamp(2024, 1, day)})
            lake.write(frame[["id"]], lake.file("raw", "t", partition=date(2024, 1, day)))
            (home.root / "files").mkdir(exist_ok=True)
            (home.root / "files" / f"{day}.csv").write_text("id,x\n" + f"c{number},1.5\n" * 200)
            frame[["id"]].assign(day=day).to_parquet(home.root / "files" / f"{day}.pq.parquet")
        counts[folder] = home
    home = counts[name]
    monkeypatch.setenv("MLOPS_HOME", str(home.root))
    lake = Lake(root=str(home.root))
    assert lake.read("raw", "t")["id"].tolist() == ["1", "1"]
    files = sorted((home.lake / "raw" / "t").glob("*/data.parquet"))
    session = duckdb.connect()
    for path in (*map(exact, files), f"{exact(home.lake)}/raw/t/*/data.parquet"):
        assert set(session.execute("select id from read_parquet($f)", {"f": path}).fetchall()) == {("1",)}
    found = files_of(f"{feast_sql.exact(home.lake)}/raw/t/*/data.parquet")
    assert found == [str(file) for file in files]
    assert session.sql(f"select distinct id from {read_files(found)}").fetchall() == [("1",)]
    for kind in ("csv", "parquet"):
        (home.root / kind).mkdir()
        for file in (home.root / "files").glob(f"*.{kind}"):
            file.rename(home.root / kind / file.name)
    table = open_table(str(home.root / "csv"))
    assert {text for batch in table.batches({"id": "categorical"}) for text in batch["id"]} == {"c1"}
    assert read_table(str(home.root / "csv")).facts["id"].values == ("c1",)
    assert read_table(str(home.root / "parquet")).rows == 2
    assert pq.read_table(files[0]).num_rows == 1


@pytest.mark.parametrize("name", [name for name in NAMES if "*" in name or "[" in name])
def test_landing_finds_keys_of_this_home_alone(name: str, tmp_path: Path) -> None:
    other = LandingHome.at(tmp_path / NAMES[name], source(files="orders_{partition}*"))
    other.land(rows(DAY), f"orders_{DAY}.csv")
    assert take_in(other.intake(), other.intake().pending()).rows == {str(DAY): 3}
    home = LandingHome.at(tmp_path / name, source(files="orders_{partition}*"))
    home.land(rows(DAY), f"orders_{DAY}.csv")
    intake = home.intake()
    assert take_in(intake, intake.pending()).rows == {str(DAY): 3}


@pytest.mark.parametrize("name", ["what?", "home#2", "100%25", "back\\slash"])
def test_a_name_that_no_database_can_have_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / name))
    with pytest.raises(ValueError, match=r"A home cannot have .* in its path.*Name another folder \(--home"):
        Home.from_environment()
    assert not (tmp_path / name).exists()
