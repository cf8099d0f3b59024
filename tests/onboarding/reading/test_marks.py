"""One decimal mark for a whole file: a point beside decimal commas sets thousands apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.sources.contract import SourceContract
from mlops_assets.core.sources.contract_check import check_frame, check_frames
from mlops_assets.core.values.text_times import TimeTexts
from mlops_assets.onboarding.columns import is_whom
from mlops_assets.onboarding.reading.instructions import Reading, Undecided
from mlops_assets.onboarding.reading.table import read_table
from mlops_assets.onboarding.times import NoTime
from mlops_assets.world.files import text_columns
from mlops_assets.world.files.table_files import open_table
from mlops_assets.world.files.text_columns import look_at_texts
from mlops_assets.world.parquet import own_database
from tests.onboarding.reading.test_texts import HOURS, ROWS, dropped_rows, landed_rows, planned, source, streamed_rows

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
    with pytest.raises(
        Undecided, match=r"count has numbers such as \d\.\d{3}, .*`--decimal comma` or `--decimal point`"
    ):
        planned(file, time="at")
    assert planned(file, time="at", decimal="point").table.facts["count"].high == "9.576"
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


def declared(**columns: dict[str, str]) -> Reading:
    everything = {"at": {"type": "timestamp"}, "y": {"type": "integer"}, **columns}
    return Reading("UTC", declared=SourceContract.from_dict({"columns": everything}, event_time="at").columns)


@pytest.mark.parametrize("form", ["comma", "point"])
@pytest.mark.parametrize("seed", range(4))
def test_a_cell_with_the_other_mark_than_the_contract_has_is_refused_by_land(
    form: str, seed: int, tmp_path: Path
) -> None:
    """Prices drawn at random; in one row, or in some, a hand of another country wrote them."""
    rng = np.random.default_rng([SEED, seed])
    writers = [plain_german, lambda number, places: f"{number:.{places}f}"]
    own, other = writers if form == "comma" else writers[::-1]
    prices, odd = rng.uniform(0.1, 900, ROWS), np.sort(rng.choice(ROWS, 1 + 9 * (seed % 2), replace=False))
    cells = [(other if row in odd else own)(price, 2) for row, price in enumerate(prices)]
    reading = declared(price={"type": "number", "format": form})
    with pytest.raises(Undecided) as caught:
        read_table(str(csv(tmp_path, {"price": cells})), reading=reading)
    said = str(caught.value)
    named = int(said.partition(" in row ")[2].partition(" ")[0]) - 1
    assert named == odd[0], "the first one, as a person finds them"
    assert said.startswith(
        f"price has {cells[named]} in row {named + 1} of t.csv (line {named + 2}), which is no number"
    )
    # The other format would refuse the other cells, so that it is no remedy.
    assert "write all with one mark. Nothing was written" in said
    right = read_table(str(csv(tmp_path, {"price": [own(price, 2) for price in prices]})), reading=reading)
    assert right.facts["price"].distinct == len(set(prices.round(2)))


def test_both_marks_in_a_column_of_numbers_are_refused_by_land(tmp_path: Path) -> None:
    file = csv(tmp_path, {"price": ["12,50" if i % 5 else "5.12" for i in range(ROWS)]})
    told = "a decimal point in row 1 of t.csv (line 2) (5.12) and a decimal comma in row 2 of t.csv (line 3) (12,50)"
    with pytest.raises(Undecided, match=re.escape(told)):
        read_table(str(file), reading=declared(price={"type": "number"}))


DIGITS = {
    "en dash": str.maketrans("-", "–"),
    "minus sign": str.maketrans("-", "−"),
    "full width": str.maketrans("0123456789.-", "０１２３４５６７８９．－"),
    "Arabic": str.maketrans("0123456789.,-", "٠١٢٣٤٥٦٧٨٩٫٬−"),
    "Persian": str.maketrans("0123456789.", "۰۱۲۳۴۵۶۷۸۹٫"),
    "Hindi": str.maketrans("0123456789", "०१२३४५६७८९"),
}


@pytest.mark.parametrize("script", DIGITS)
@pytest.mark.parametrize("is_whole", [False, True])
def test_digits_and_dashes_of_other_scripts_are_numbers_by_every_way_in(
    script: str, tmp_path: Path, *, is_whole: bool
) -> None:
    """A dash alone is a missing one, as a hyphen is."""
    rng = np.random.default_rng(SEED)
    numbers = rng.integers(-9_000, 9_000, ROWS) if is_whole else rng.uniform(-9_000, 9_000, ROWS).round(2)
    cells = [
        (f"{n}" if is_whole else f"{n:,}").translate(DIGITS[script]) if i % 9 else "–" for i, n in enumerate(numbers)
    ]
    file = csv(tmp_path, {"n": cells})
    plan = planned(file, time="at")
    settings = source(plan)
    ways = {
        "new-model": landed_rows(plan, settings, tmp_path / "a").sort_values("at"),
        "drop": dropped_rows(file, settings),
        "stream": streamed_rows(file, settings),
    }
    right = [None if i % 9 == 0 else float(n) for i, n in enumerate(numbers)]
    for way, rows in ways.items():
        assert [None if pd.isna(n) else float(n) for n in rows["n"]] == right, way
    tables = open_table(str(file))
    assert tables.kinds["n"] == "numeric"
    assert tables.marks("n").keys() == (set() if is_whole else {"point"})
    (batch,) = tables.batches({"n": "numeric"})
    assert [None if pd.isna(n) else float(n) for n in batch["n"]] == right


def test_whole_amounts_are_numbers_to_drift_and_prove_no_mark(tmp_path: Path) -> None:
    """2.989 is a thousand and more beside a decimal comma, whatever 5 € says."""
    file = csv(tmp_path, {"paid": [f"{i % 7} €" for i in range(ROWS)], "n": ["2.989"] * ROWS, "p": ["1,5"] * ROWS})
    tables = open_table(str(file))
    assert (tables.kinds["paid"], tables.marks("paid")) == ("numeric", {})
    (batch,) = tables.batches({"paid": "numeric", "n": "numeric", "p": "numeric"})
    assert batch.iloc[1].tolist() == [1.0, 2989.0, 1.5]


def test_texts_are_looked_at_in_the_order_of_the_file_and_sampled_from_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of six hundred different texts the first third are words: a sample of the first fifty would be of words alone."""
    monkeypatch.setattr(text_columns, "FIRST", 50)
    days = [f"{1 + i % 28:02}/{1 + i // 28 % 12:02}/{1990 + i // 336}" for i in range(400)]
    words = [f"word {i:03}" for i in np.random.default_rng(SEED).permutation(200)]
    with own_database() as session:
        for cells, first in (
            (words + days, words[:3]),
            ((days + words) * 2, words[:3]),
            (days[::-1] + words, words[:3]),
        ):
            session.execute("create or replace table t (cell varchar)")
            session.executemany("insert into t values (?)", [[cell] for cell in cells])
            look = look_at_texts(session, "t", "cell")
            assert isinstance(look, TimeTexts)
            assert (look.count, look.failed, look.unread) == (600, 200, tuple(first))
            assert look.either == next(cell for cell in cells if cell in days and int(cell[:2]) <= 12)
        session.execute("create or replace table t as select 'word ' || i as cell from range(600) r(i)")
        assert look_at_texts(session, "t", "cell") is None


@pytest.mark.parametrize("zero", ["0105", "007", "00"])
def test_a_leading_zero_of_an_integer_is_refused_by_land(zero: str, tmp_path: Path) -> None:
    file = csv(tmp_path, {"shop": [zero if i == 7 else f"{100 + i}" for i in range(ROWS)]})
    told = f"shop has {zero} in row 8 of t.csv (line 9): as an integer"
    with pytest.raises(Undecided, match=re.escape(told) + r".*`type: string` of it in the contract"):
        read_table(str(file), reading=declared(shop={"type": "integer"}))
    table = read_table(str(file), reading=declared(shop={"type": "string"}))
    assert zero in [cell for (cell,) in table.connection.execute(f"select shop from {table.relation}").fetchall()]
    plain = csv(tmp_path, {"shop": ["0" if i == 7 else f"{100 + i}" for i in range(ROWS)]})
    assert read_table(str(plain), reading=declared(shop={"type": "integer"})).facts["shop"].dtype == "BIGINT"


OPEN = {"n": [f"{1 + i % 9}.{100 + i}" for i in range(ROWS)]}
PROOFS: dict[str, tuple[list[str], float | None]] = {
    "a comma": ([f"{i % 30},5" for i in range(ROWS)], 9576.0),
    "commas, some percent": ([f"{i % 30},5{' %' if i % 2 else ''}" for i in range(ROWS)], 9576.0),
    "commas in two currencies": ([f"{i % 30},5 {'€' if i % 2 else '$'}" for i in range(ROWS)], 9576.0),
    "points": ([f"{i % 30}.5" for i in range(ROWS)], 9.576),
    "points and thousands": ([f"1,{100 + i}.50" for i in range(ROWS)], 9.576),
    "commas and a word": (["abc" if i == 7 else f"{i % 30},5" for i in range(ROWS)], None),
    "none": ([str(i % 30) for i in range(ROWS)], None),
}


@pytest.mark.parametrize("kind", PROOFS)
def test_thousands_are_read_where_the_file_proves_them_and_asked_about_where_not(kind: str, tmp_path: Path) -> None:
    cells, high = PROOFS[kind]
    file = csv(tmp_path, {**OPEN, "p": cells})
    if high is not None:
        assert float(planned(file, time="at").table.facts["n"].high or 0) == high
        return
    with pytest.raises(Undecided, match=r"n has numbers such as \d\.\d{3}, and no row tells"):
        planned(file, time="at")
    assert planned(file, time="at", decimal="point").table.facts["n"].high == "9.576"
    assert planned(file, time="at", decimal="comma").table.facts["n"].high == "9576.0"


def test_both_marks_in_one_column_of_a_file_are_named(tmp_path: Path) -> None:
    file = csv(tmp_path, {**OPEN, "p": [f"{i % 30}{'.' if i % 2 else ','}5" for i in range(ROWS)]})
    told = r"p has a decimal point in row 2 of t\.csv .* a decimal comma in row 1 of t\.csv .*`--text p`\."
    with pytest.raises(Undecided, match=told):
        planned(file, time="at")
    with pytest.raises(Undecided, match=r"n has numbers such as \d\.\d{3}, and no row tells"):
        planned(file, time="at", texts=("p",))


def test_plain_numbers_in_a_file_with_commas_between_cells_are_plain(tmp_path: Path) -> None:
    file = csv(tmp_path, OPEN)
    file.write_text(file.read_text().replace(";", ","))
    assert planned(file, time="at").table.facts["n"].high == "9.576"


def test_files_with_other_separators_are_read_as_one_table(tmp_path: Path) -> None:
    """Commas in one, semicolons in the other; cells in quotes hold either."""
    rows = [f'2024-01-{1 + i % 28:02},{i % 30}.5,"a;b, c",{i % 2}' for i in range(ROWS)]
    (tmp_path / "a.csv").write_text("\n".join(["at,x,c,y", *rows]))
    (tmp_path / "b.csv").write_text("\n".join(["at;x;c;y", *(f'2024-02-01;7.5;"a;b, c";{i % 2}' for i in range(ROWS))]))
    table = planned(tmp_path / "*.csv", time="at").table
    assert (table.rows, table.facts["c"].values, table.facts["x"].dtype) == (2 * ROWS, ("a;b, c",), "DOUBLE")
    assert table.place("x = 7.5 and \"at\" = '2024-02-01' and rowid >= 480") == "row 1 of b.csv (line 2)"


def test_a_file_without_its_header_is_named(tmp_path: Path) -> None:
    rows = [f"2024-01-{1 + i % 28:02},{i % 30}.5,{i % 2}" for i in range(ROWS)]
    (tmp_path / "a.csv").write_text("\n".join(["at,x,y", *rows]))
    (tmp_path / "b.csv").write_text("\n".join(rows))
    with pytest.raises(
        NoTime, match=r"b.csv has no column at, but 2024-01-01, 0\.5, 0: if these are values, its header"
    ):
        planned(tmp_path / "*.csv")


@pytest.mark.parametrize("separator", [";", ","])
@pytest.mark.parametrize("asked", [None, "comma", "point"])
def test_files_with_different_marks_are_named_with_a_remedy_that_works(
    separator: str, asked: str | None, tmp_path: Path
) -> None:
    prices = np.random.default_rng(SEED).uniform(1, 90, ROWS).round(2)
    rows = pd.DataFrame({"at": [at.isoformat() for at in HOURS], "price": prices, "y": [i % 2 for i in range(ROWS)]})
    rows[: ROWS // 2].to_csv(tmp_path / "a.csv", index=False)
    rows[ROWS // 2 :].to_csv(tmp_path / "b.csv", index=False, sep=separator, decimal=",")
    wished = {"decimal": asked} if asked else {}
    with pytest.raises(Undecided) as caught:
        planned(tmp_path, time="at", **wished)
    said = str(caught.value)
    named = {file: re.search(rf"row (\d+) of {file}", said) for file in ("a.csv", "b.csv")}
    for file, first in {"a.csv": 0, "b.csv": ROWS // 2}.items():
        price = str(prices[first + int(named[file][1]) - 1])  # type: ignore[index]
        assert price.replace(".", "," if file == "b.csv" else ".") in said
    assert said.endswith("write all with one mark, or keep the column as text: `--text price`. Nothing was written.")
    assert read_table(str(tmp_path), reading=Reading("UTC", asked=("price",))).facts["price"].dtype == "VARCHAR"
    rows[ROWS // 2 :].to_csv(tmp_path / "b.csv", index=False)
    np.testing.assert_allclose(float(planned(tmp_path, time="at").table.facts["price"].high or 0), prices.max())


def test_an_option_is_not_its_own_remedy(tmp_path: Path) -> None:
    file = csv(tmp_path, {"price": [f"{i % 90},5" for i in range(ROWS)]})
    with pytest.raises(Undecided, match=r"no number with a decimal point\. Correct it, .* `--decimal comma`\. Nothing"):
        planned(file, time="at", decimal="point")


def test_amounts_in_several_currencies_name_nothing(tmp_path: Path) -> None:
    """They stay texts, many of them twice: nothing that rows are about."""
    fees = [f"{'€' if i % 2 else '$'} {i // 2 % 140}.25" for i in range(ROWS)]
    plan = planned(csv(tmp_path, {"fee": fees, "n": [i // 7 % 50 for i in range(ROWS)]}), time="at")
    assert plan.table.facts["fee"].dtype == "VARCHAR"
    assert is_whom(plan.table.facts["fee"])
    assert "--entity" not in " ".join(plan.warnings)
