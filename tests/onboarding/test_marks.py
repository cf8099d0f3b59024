"""One decimal mark for a whole file: a point beside decimal commas sets thousands apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.sources.contract import SourceContract
from mlops_assets.core.sources.contract_check import check_frame, check_frames
from mlops_assets.onboarding.table import read_table
from mlops_assets.onboarding.texts import Reading, Undecided
from mlops_assets.world.files.table_files import open_table
from tests.onboarding.test_texts import HOURS, ROWS, dropped_rows, landed_rows, planned, source, streamed_rows

SEED = 31


def german(number: float, places: int) -> str:
    """As Python writes it with the marks of English, changed for each other."""
    return f"{number:,.{places}f}".translate(str.maketrans(",.", ".,"))


def plain_german(number: float, places: int) -> str:
    return german(number, places).replace(".", "")


def csv(folder: Path, columns: dict[str, Sequence[object]], name: str = "t.csv") -> Path:
    rows = pd.DataFrame({"at": [at.isoformat() for at in HOURS], **columns, "y": [i % 2 for i in range(ROWS)]})
    rows.to_csv(folder / name, index=False, sep=";")
    return folder / name


@pytest.mark.parametrize("case", range(6))
def test_a_column_beside_commas_is_read_as_they_are_by_every_way_in(case: int, tmp_path: Path) -> None:
    """Whole numbers of which some, or all, have thousands apart, beside a column with decimal commas."""
    rng = np.random.default_rng([SEED, case])
    high = int(rng.choice([1_500, 9_999, 900_000, 40_000_000]))
    counts = rng.integers(-high if case % 2 else 1, high, ROWS)
    price = rng.uniform(0.1, 90, ROWS).round(int(rng.choice([1, 2])))
    write = german if case < 4 else lambda number, places: german(number, places) if number > 5_000 else str(number)
    file = csv(tmp_path, {"count": [write(int(n), 0) for n in counts], "price": [plain_german(p, 2) for p in price]})
    plan = planned(file, time="at")
    settings = source(plan)
    assert settings.contract.columns["count"].format == settings.contract.columns["price"].format == "comma"
    ways = {
        "new-model": landed_rows(plan, settings, tmp_path / "a").sort_values("at"),
        "drop": dropped_rows(file, settings),
        "stream": streamed_rows(file, settings),
    }
    for way, rows in ways.items():
        assert rows["count"].astype(int).tolist() == counts.tolist(), way
        np.testing.assert_allclose(rows["price"], price, atol=0.005, err_msg=way)


@pytest.mark.parametrize("cell", ["2.989", "2.000", "-1.234", "12.989 €", "1.234.567"])
def test_one_cell_of_another_day_is_read_alike(cell: str, tmp_path: Path) -> None:
    """A column of small whole numbers has no point today; its thousands of tomorrow are no fractions."""
    whole = int("".join(c for c in cell if c in "-0123456789"))
    price = [f"{i % 9},5" for i in range(ROWS)]
    settings = source(planned(csv(tmp_path, {"count": [i % 900 for i in range(ROWS)], "price": price}), time="at"))
    file = csv(tmp_path, {"count": [cell if i == 7 else i % 900 for i in range(ROWS)], "price": price}, "b.csv")
    loose = settings.model_copy(update={"contract": settings.contract})
    assert dropped_rows(file, loose)["count"].iloc[7] == whole
    if "€" not in cell and cell.count(".") == 1:
        assert planned(file, time="at").table.first("select count from landed where rowid = 7") == (whole,)
    landed = read_table(str(file), reading=Reading(settings.timezone, declared=settings.contract.columns))
    assert landed.first("select count from landed where rowid = 7") == (cell,)  # the contract reads it


def test_a_file_that_has_both_marks_is_asked_about(tmp_path: Path) -> None:
    columns = {"a": [f"{i},5" for i in range(ROWS)], "b": [f"{i}.5" for i in range(ROWS)]}
    plan = planned(csv(tmp_path, columns), time="at")
    assert {name: facts.high for name, facts in plan.table.facts.items() if name in "ab"} == {
        "a": "479.5",
        "b": "479.5",
    }
    both = csv(tmp_path, {**columns, "c": [f"{1 + i % 9}.{100 + i}" for i in range(ROWS)]}, "both.csv")
    with pytest.raises(
        Undecided, match=r"c has numbers such as \d\.\d{3}, and no row tells .* write all with one mark"
    ):
        planned(both, time="at")


def test_a_comma_that_is_asked_for_holds_for_plain_numbers_in_doubt(tmp_path: Path) -> None:
    file = csv(tmp_path, {"count": [f"{1 + i % 9}.{100 + i % 800}" for i in range(ROWS)]})
    assert planned(file, time="at").table.facts["count"].high == "9.576"
    assert planned(file, time="at", decimal="comma").table.facts["count"].high == "9576.0"


def test_identifiers_keep_their_digits_beside_commas(tmp_path: Path) -> None:
    ids = [9_007_199_254_740_993 + 2 * i for i in range(ROWS)]
    file = csv(tmp_path, {"count": ids, "price": [f"{i % 9},5" for i in range(ROWS)]})
    plan = planned(file, time="at")
    settings = source(plan)
    assert landed_rows(plan, settings, tmp_path / "a").sort_values("at")["count"].tolist() == ids
    assert dropped_rows(file, settings)["count"].tolist() == ids


@pytest.mark.parametrize("kind", ["integer", "number"])
def test_a_contract_with_commas_refuses_a_point_that_nothing_explains(kind: str) -> None:
    contract = SourceContract.from_dict(
        {"columns": {"count": {"type": kind}, "price": {"type": "number", "format": "comma"}}}
    )
    frame = pd.DataFrame({"count": ["1", "2.000", "3"], "price": ["1,5", "2,5", "3,5"]})
    told = r"1 row of count \(row 2\) can be read in two ways \(2\.000\).*`format: comma` or `format: point`"
    for result in (check_frame(contract, frame), check_frames(contract, [frame, frame], partitions=[None, None])[1]):
        assert not result.ok
        assert pd.Series([result.reason]).str.contains(told)[0], result.reason
    assert check_frame(contract, frame.iloc[[0, 2]]).ok
    if kind == "number":
        assert check_frame(contract, frame.assign(count=["1.5", "2.000", "3"])).ok


def test_drift_reads_a_file_by_its_commas(tmp_path: Path) -> None:
    file = csv(tmp_path, {"count": [f"{1 + i % 9}.{100 + i}" for i in range(ROWS)], "price": ["1,5"] * ROWS})
    (frame,) = open_table(str(file)).batches({"count": "numeric", "price": "numeric"})
    assert (frame["count"].min(), frame["price"].unique().tolist()) == (1100.0, [1.5])


@pytest.mark.parametrize(("form", "share"), [("point ‰", "{} ‰"), ("comma ‰", "{},5 ‰"), ("point %", "{}%")])
def test_percent_and_per_mille_are_shares(form: str, share: str, tmp_path: Path) -> None:
    part = {"point ‰": 1000, "comma ‰": 1000, "point %": 100}[form]
    file = csv(tmp_path, {"rate": [share.format(i % 90) for i in range(ROWS)]})
    plan = planned(file, time="at")
    settings = source(plan)
    assert settings.contract.columns["rate"].format == form
    expected = pytest.approx([(i % 90 + (0.5 if "," in share else 0)) / part for i in range(ROWS)])
    assert landed_rows(plan, settings, tmp_path / "a").sort_values("at")["rate"].tolist() == expected
    assert dropped_rows(file, settings)["rate"].tolist() == expected


def test_a_share_without_its_sign_is_left_to_the_contract_which_refuses_it(tmp_path: Path) -> None:
    """By `mlops land`, 12 under `comma %` landed as 12 where the day before had 0.12."""
    columns = {"at": {"type": "timestamp"}, "rate": {"type": "number", "format": "comma %"}}
    contract = SourceContract.from_dict({"columns": columns}, event_time="at")
    file = csv(tmp_path, {"rate": list(range(ROWS))})
    table = read_table(str(file), reading=Reading("UTC", declared=contract.columns))
    landed = table.connection.sql("from landed").to_arrow_table().to_pandas()
    assert "can't be read as number, written as comma %" in check_frame(contract, landed).reason
