"""Codes that look like decimals, and identifiers that a spreadsheet has rounded, are named or refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from mlops_assets.core.sources.contract_check import check_frame
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.onboarding.asked import Asked
from mlops_assets.onboarding.files import render
from mlops_assets.onboarding.identity import CannotOnboard
from mlops_assets.onboarding.odd.oddities import oddities
from mlops_assets.onboarding.plan import make_plan
from mlops_assets.onboarding.reading.instructions import Reading, Undecided
from mlops_assets.onboarding.reading.table import UnreadableTable, read_table
from mlops_assets.onboarding.times import time_column
from mlops_assets.steps.land.landed_rows import parse
from mlops_assets.world.project import PROJECT

_SEED = 11
VERSIONS = ["1.1", "1.10", "1.2", "1.20", "2.0", "2.00", "3.1"]
PARTS = ["1E10", "10E9", "2E3", "20E2", "2000", "3E5"]


def _csv(path: Path, cells: list[str], header: str = "part") -> Path:
    at = [datetime(2024, 1, 1) + timedelta(hours=i) for i in range(len(cells))]
    rows = [f"{moment},{cell},{i % 7},{i % 3 % 2}" for i, (moment, cell) in enumerate(zip(at, cells, strict=True))]
    path.write_text("\n".join([f"at,{header},x,y", *rows]) + "\n")
    return path


def _told(path: Path) -> list[str]:
    table = read_table(str(path))
    return [said for said in oddities(table, time_column(table, "at", "UTC"), "UTC") if said.startswith("part ")]


@pytest.mark.parametrize("codes", [VERSIONS, PARTS, ["250.0", "250.00", "401.9", "401.90"]])
def test_codes_in_several_spellings_are_named_with_the_remedy(codes: list[str], tmp_path: Path) -> None:
    (said,) = _told(_csv(tmp_path / "t.csv", codes * 60))
    assert "which are one number, and" in said
    assert said.endswith("If they are codes, keep the column as text: `--text part`.")


def test_the_most_frequent_number_is_the_example(tmp_path: Path) -> None:
    (said,) = _told(_csv(tmp_path / "t.csv", [*VERSIONS * 50, *["1.2", "1.20"] * 9]))
    assert said.startswith("part has the texts '1.2' and '1.20', which are one number, and so are 2 more numbers in ")


def test_one_number_in_two_spellings_is_named(tmp_path: Path) -> None:
    (said,) = _told(_csv(tmp_path / "t.csv", ["1.1", "1.10", "2.3", "3.4"] * 50))
    assert "'1.1' and '1.10', which are one number: they are one value" in said


@pytest.mark.parametrize(
    ("codes", "told"), [(VERSIONS, "'1.1' and '1.10'"), (["1.1", "1.10", "2.3"], "'1.1'"), (PARTS, "E")]
)
def test_an_entity_of_such_codes_is_refused(codes: list[str], told: str, tmp_path: Path) -> None:
    asked = Asked("m", str(_csv(tmp_path / "t.csv", codes * 60)), time="at", label="y", entity="part")
    with pytest.raises(
        UnreadableTable, match=rf"part names things and holds the texts .*{told}.*`--text part`.*written\."
    ):
        make_plan(asked)


@pytest.mark.parametrize("codes", [VERSIONS, PARTS, ["00105", "105", "7"], ["105", "7"], ["true", "no"], ["1,5", "2"]])
def test_a_column_that_is_text_keeps_its_texts(codes: list[str], tmp_path: Path) -> None:
    """In new-model, in the contract, and in a file of the next day; as an entity too."""
    path = _csv(tmp_path / "t.csv", [f'"{code}"' for code in codes * 60])
    for entity in (None, "part"):
        plan = make_plan(Asked("m", str(path), time="at", label="y", entity=entity, texts=("part",)))
        found = plan.table.connection.execute("select part from landed order by rowid").fetchall()
        assert [text for (text,) in found] == codes * 60
        assert plan.table.facts["part"].dtype == "VARCHAR"
        assert not [said for said in plan.warnings if "which are one number" in said]
    documents = list(yaml.safe_load_all(render(plan)[Path(f"{PROJECT.module}/defs/m/defs.yaml")]))
    source = next(one["attributes"] for one in documents if one["type"].endswith("LandingSource"))
    settings = SourceSettings.model_validate(source)
    assert settings.contract.columns["part"].type == "string"
    landed = check_frame(settings.rules, parse("m.csv", path.read_bytes(), settings))
    assert landed.frame["part"].tolist() == codes * 60
    reading = Reading("UTC", declared=settings.contract.columns)
    cut = read_table(str(path), reading=reading).connection.execute("select part from landed order by rowid")
    assert [text for (text,) in cut.fetchall()] == codes * 60


def test_a_column_of_a_parquet_file_is_text_by_its_digits(tmp_path: Path) -> None:
    rows = {"at": pd.date_range("2024-01-01", periods=240, freq="h"), "y": np.arange(240) % 3 % 2}
    rows |= {"a": [7.0, np.nan, 8.5] * 80, "b": range(240), "c": [True, False] * 120, "d": [2.0**60] * 240}
    pd.DataFrame(rows).to_parquet(tmp_path / "t.parquet")
    plan = make_plan(Asked("m", str(tmp_path / "t.parquet"), label="y", texts=("a", "b", "c")))
    found = plan.table.connection.execute("select a, b, c from landed order by rowid limit 3").fetchall()
    assert found == [("7", "0", "true"), (None, "1", "false"), ("8.5", "2", "true")]
    with pytest.raises(
        Undecided, match=r"d is to be text and is the float 1152921504606846976 in row 1 of t\.parquet: "
    ):
        make_plan(Asked("m", str(tmp_path / "t.parquet"), label="y", texts=("d",)))
    with pytest.raises(CannotOnboard, match="at is asked for as a time and as text: leave `--text at` out"):
        make_plan(Asked("m", str(tmp_path / "t.parquet"), time="at", label="y", texts=("at",)))
    with pytest.raises(CannotOnboard, match="`--text nope`: name one of at, y, a, b, c, d"):
        make_plan(Asked("m", str(tmp_path / "t.parquet"), label="y", texts=("nope",)))


def test_a_key_of_such_codes_that_new_model_finds_is_refused(tmp_path: Path) -> None:
    path = _csv(tmp_path / "t.csv", ["1E10", "10E9", *(f"{n}E3" for n in range(100, 500))], "part_no")
    with pytest.raises(UnreadableTable, match=r"part_no names things and holds the texts .*`--text part_no`"):
        make_plan(Asked("m", str(path), time="at", label="y"))
    assert make_plan(Asked("m", str(path), time="at", label="y", texts=("part_no",))).key == "part_no"


@pytest.mark.parametrize(
    "asked", [{"entity": "part"}, {"labels": "labels.csv"}, {"labels": "labels.csv", "key": "part"}]
)
def test_of_many_numbers_those_are_looked_at_that_name_things(asked: dict[str, str], tmp_path: Path) -> None:
    """A measure of so many numbers may have been written by two programs, and its file is not read again."""
    codes = [f"{n // 40}.{n % 40 + 1}" for n in range(800)]
    path = _csv(tmp_path / "t.csv", codes)
    assert make_plan(Asked("m", str(path), time="at", label="y")).table.codes == {}
    rows = [f"2025-02-{n % 28 + 1:02},{code},{n % 2}" for n, code in enumerate(codes)]
    (tmp_path / "labels.csv").write_text("\n".join(["known,part,churned", *rows]) + "\n")
    label = None if "labels" in asked else "y"
    named = {name: str(tmp_path / value) if name == "labels" else value for name, value in asked.items()}
    if "labels" in asked:  # the key alone is in both
        path.write_text(path.read_text().replace("at,part,x,y", "at,part,x,z"))
    with pytest.raises(UnreadableTable, match=r"part names things and holds the texts .0\.1. and .0\.10."):
        make_plan(Asked("m", str(path), time="at", label=label, **named))


def _excel(count: int) -> list[str]:
    return [f"{490000000000 + i % 60 * 200003:.5E}" for i in range(count)]


@pytest.mark.parametrize("beside", [[], ["17", "18.5"]])
def test_identifiers_rounded_by_a_spreadsheet_are_refused(beside: list[str], tmp_path: Path) -> None:
    asked = Asked("m", str(_csv(tmp_path / "t.csv", [*_excel(400), *beside])), time="at", label="y", entity="part")
    with pytest.raises(UnreadableTable, match=r"such as 4\.9\d*E\+11, of which a spreadsheet has left out the last"):
        make_plan(asked)
    assert len(_told(Path(asked.pattern))) == (0 if beside else 1)


def test_rounded_identifiers_with_a_name_that_says_so(tmp_path: Path) -> None:
    path = _csv(tmp_path / "t.csv", _excel(400), "customer_id")
    with pytest.raises(UnreadableTable, match="customer_id names things"):
        make_plan(Asked("m", str(path), time="at", label="y", entity="customer_id"))


def test_so_is_the_key_of_late_labels(tmp_path: Path) -> None:
    rows = [f"2024-01-{i % 28 + 1:02},{490000000000 + i * 1000003:.5E},{i % 7}" for i in range(100)]
    (tmp_path / "rows.csv").write_text("\n".join(["at,cid,x", *rows]) + "\n")
    labels = [f"2024-02-{i % 28 + 1:02},{490000000000 + i * 1000003:.5E},{i % 2}" for i in range(100)]
    (tmp_path / "labels.csv").write_text("\n".join(["known,cid,churned", *labels]) + "\n")
    with pytest.raises(UnreadableTable, match="cid names things and holds numbers such as 4"):
        make_plan(Asked("m", str(tmp_path / "rows.csv"), time="at", labels=str(tmp_path / "labels.csv"), key="cid"))


_MEASURES: dict[str, Callable[[float], str]] = {
    "fixed": lambda v: f"{v:.2f}",
    "one place": lambda v: f"{v:.1f}",
    "repr": lambda v: repr(round(v, 2)),
    "repr of all digits": repr,
    "shortest": lambda v: f"{v:g}",
    "whole or repr, as pandas beside a gap": lambda v: str(int(v)) if v < 3 else repr(float(int(v))),
    "tiny and huge": lambda v: repr(v * (1e-9 if v < 3 else 1e18)),
    "C": lambda v: f"{v:e}",
    "Java": lambda v: f"{v * 1e8:.4E}".replace("E+0", "E"),
    "signed": lambda v: f"{v - 3:+.3f}",
    "integers": lambda v: str(int(v * 1000)),
}


@pytest.mark.parametrize("written", _MEASURES)
@pytest.mark.parametrize("few", [True, False])
def test_ordinary_numbers_do_not_ring(written: str, few: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(_SEED)
    for trial in range(4):
        values = rng.lognormal(1, 1.5, 600)
        values = rng.choice(values[:12].round(1), 600) if few else values
        path = _csv(tmp_path / f"{trial}.csv", [_MEASURES[written](float(value)) for value in values])
        assert not [said for said in _told(path) if "spellings" in said or "spreadsheet" in said]


def test_many_prices_of_two_writers_do_not_ring(tmp_path: Path) -> None:
    cents = np.random.default_rng(_SEED).integers(100, 90_000, 2_000) / 100
    cells = [f"{value:.2f}" if place % 2 else repr(float(value)) for place, value in enumerate(cents)]
    assert not _told(_csv(tmp_path / "t.csv", cells))
