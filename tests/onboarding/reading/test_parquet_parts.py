"""Several Parquet files as one table: each says what it holds, and changes nothing of what the others hold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.core.sources.contract import Column, SourceContract
from mlops_assets.core.sources.contract_check import check_frame
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.values.exact import frame_of
from mlops_assets.onboarding.asked import Asked
from mlops_assets.onboarding.landing import land
from mlops_assets.onboarding.plan import make_plan
from mlops_assets.onboarding.reading.instructions import Reading, Undecided
from mlops_assets.onboarding.reading.table import Table, read_table
from mlops_assets.onboarding.times import time_column
from mlops_assets.steps.land.landed_rows import parse
from mlops_assets.steps.land.taking_in import take_in
from mlops_assets.world.landed.intake import Intake
from tests.landing_home import LandingHome

ZONE = "America/New_York"
LONG = 1_460_323_737_035_677_698
FIRST = datetime(2024, 1, 15, 21, 30)
NAMED = "__index_level_0__"


def written(folder: Path, *files: Mapping[str, Any]) -> Table:
    """The files, by name in this order, as `new-model` reads them."""
    folder.mkdir(exist_ok=True)
    for number, columns in enumerate(files):
        pq.write_table(pa.table(dict(columns)), folder / f"{number}.parquet")
    return read_table(str(folder), reading=Reading(ZONE))


def values(table: Table, column: str) -> list[Any]:
    found = table.connection.execute(f'select "{column}" from {table.relation} order by rowid').fetchall()
    return [value for (value,) in found]


def frame(rows: int = 900) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    x = rng.normal(50, 10, rows).round(2)
    at = [datetime(2024, 1, 1) + timedelta(hours=2 * n) for n in range(rows)]
    return pd.DataFrame({"at": at, "x": x, "shop": np.arange(rows) % 7, "y": (rng.random(rows) < x / 100).astype(int)})


def source(columns: Mapping[str, Mapping[str, Any]], zone: str = ZONE) -> SourceSettings:
    return SourceSettings.model_validate(
        {
            "name": "orders",
            "description": "One row per order.",
            "files": "orders_{partition}*.parquet",
            "event_time": "at",
            "timezone": zone,
            "start": "2024-01-01",
            "contract": {"columns": {"at": {"type": "timestamp"}, **columns}},
        }
    )


def intake_of(folder: Path, settings: SourceSettings) -> Intake:
    intake = LandingHome.at(folder, settings).intake()
    intake.folder.mkdir(parents=True, exist_ok=True)
    return intake


# --- what pandas writes beside the data ----------------------------------------------------------------------


def test_the_row_numbers_of_a_filtered_frame_are_no_column(tmp_path: Path) -> None:
    frame().query("x > 40").to_parquet(tmp_path / "shop.parquet")
    assert NAMED in pq.read_schema(tmp_path / "shop.parquet").names
    plan = make_plan(Asked(name="shop", pattern=str(tmp_path / "shop.parquet")))
    assert list(plan.table.facts) == ["at", "x", "shop", "y"]
    assert [note for note in plan.notes if NAMED in note] == [
        f"{NAMED} is the index of a pandas frame, without a name, and left out (name it, and it is a column like any "
        "other)."
    ]


def test_levels_without_a_name_go_and_named_ones_stay(tmp_path: Path) -> None:
    data = frame()
    rows = np.arange(900)
    for index in ([rows, data["shop"]], [data["shop"], rows, rows]):
        data.drop(columns="shop").set_index(index).to_parquet(tmp_path / "shop.parquet")
        table = read_table(str(tmp_path / "shop.parquet"))
        assert list(table.facts) == ["at", "x", "y", "shop"]
        assert list(parse("a.parquet", (tmp_path / "shop.parquet").read_bytes(), source({}))) == list(table.facts)


@pytest.mark.parametrize("notes", [None, b"{", b"[]", b'{"index_columns": 3}', b'{"index_columns": [{"a": 1}]}'])
def test_a_column_of_data_may_be_called_like_them(tmp_path: Path, notes: bytes | None) -> None:
    """What pandas does not call its index is data, in history and in what lands."""
    data = pa.table({NAMED: [1, 2], "x": [0.5, 1.5]}, metadata=None if notes is None else {b"pandas": notes})
    pq.write_table(data, tmp_path / "a.parquet")
    assert list(read_table(str(tmp_path)).facts) == [NAMED, "x"]
    assert list(parse("a.parquet", (tmp_path / "a.parquet").read_bytes(), source({}))) == [NAMED, "x"]


def test_files_with_and_without_row_numbers_are_one_table_in_their_order(tmp_path: Path) -> None:
    data = frame(90)
    for number in range(3):
        part = data.iloc[30 * number : 30 * number + 30]
        (part.reset_index(drop=True) if number == 1 else part.query("x > 0")).to_parquet(tmp_path / f"{number}.parquet")
    table = read_table(str(tmp_path))
    assert list(table.facts) == list(data)
    assert values(table, "x") == data["x"].tolist()
    assert table.place("rowid = 65") == "row 6 of 2.parquet"


def test_days_of_filtered_frames_land_under_the_contract(tmp_path: Path) -> None:
    settings = source({"x": {"type": "number"}}, "UTC")
    intake = intake_of(tmp_path / "home", settings)
    data = frame(36)[["at", "x"]].query("x > 40")
    for day, rows in data.groupby(data["at"].dt.date):
        rows.to_parquet(intake.folder / f"orders_{day}.parquet")
    outcome = take_in(intake, intake.pending())
    assert (sum(outcome.rows.values()), outcome.bad) == (len(data), {})


# --- times with a zone in some files -------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("first", ["naive", "aware"])
def test_times_without_a_zone_are_those_of_the_zone(tmp_path: Path, unit: str, first: str) -> None:
    local = [FIRST + timedelta(hours=7 * n) for n in range(60)]
    moments = [time.replace(tzinfo=ZoneInfo(ZONE)).astimezone(UTC) for time in local]
    naive = {"at": pa.array(local[:30], pa.timestamp("us")).cast(pa.timestamp(unit))}
    aware = {"at": pa.array(moments[30:], pa.timestamp("us", tz="UTC")).cast(pa.timestamp(unit, tz="Asia/Tokyo"))}
    table = written(tmp_path / "in", *([naive, aware] if first == "naive" else [aware, naive]))
    assert [time.astimezone(UTC) for time in values(table, "at")] == (
        moments if first == "naive" else [*moments[30:], *moments[:30]]
    )
    landed = land(table, time_column(table, "at", ZONE), source({}), tmp_path)
    found = [time for file in sorted(landed.folder.iterdir()) for time in pq.read_table(file)["at"].to_pylist()]
    assert found == moments


def test_days_beside_moments_begin_at_midnight_of_the_zone(tmp_path: Path) -> None:
    days = [FIRST.date() + timedelta(days=n) for n in range(3)]
    moment = datetime(2024, 1, 20, 3, tzinfo=UTC)
    table = written(tmp_path / "in", {"at": pa.array(days)}, {"at": pa.array([moment], pa.timestamp("us", tz="UTC"))})
    midnights = [datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(ZONE)) for day in days]
    assert values(table, "at") == [*midnights, moment]


def test_times_that_land_are_read_alike_file_by_file(tmp_path: Path) -> None:
    intake = intake_of(tmp_path, source({}))
    naive, aware = datetime(2024, 1, 15, 21), datetime(2024, 1, 17, 2, tzinfo=UTC)
    pq.write_table(pa.table({"at": pa.array([naive])}), intake.folder / "orders_2024-01-15.parquet")
    pq.write_table(
        pa.table({"at": pa.array([aware], pa.timestamp("us", tz="UTC"))}), intake.folder / "orders_2024-01-16.parquet"
    )
    assert take_in(intake, intake.pending()).bad == {}
    landed = sorted(intake.lake.folder("raw", "orders").rglob("*.parquet"))
    times = [time for file in landed for time in pq.ParquetFile(file).read()["at"].to_pylist()]
    assert times == [naive.replace(tzinfo=ZoneInfo(ZONE)), aware]


# --- columns that are missing throughout a file --------------------------------------------------------------

MISSING: Mapping[str, pa.Array] = {
    "floats": pa.array([None] * 5, pa.float64()),
    "small floats": pa.array([None] * 5, pa.float32()),
    "NaN": pa.array([float("nan")] * 5),
    "texts": pa.array([None] * 5, pa.string()),
    "blanks": pa.array([" ", "\t", " ", "  ", None]),
    "moments": pa.array([None] * 5, pa.timestamp("ns", tz="UTC")),
    "booleans": pa.array([None] * 5, pa.bool_()),
    "nothing": pa.nulls(5),
}
KNOWN: Mapping[str, tuple[pa.Array, str]] = {
    "ids": (pa.array([LONG + n for n in range(40)]), "BIGINT"),
    "whole decimals": (pa.array([LONG + n for n in range(40)]).cast(pa.decimal128(19, 0)), "BIGINT"),
    "times": (pa.array([FIRST + timedelta(days=n) for n in range(40)], pa.timestamp("us")), "TIMESTAMP"),
    "days": (pa.array([FIRST.date() + timedelta(days=n) for n in range(40)]), "DATE"),
    "flags": (pa.array([n % 3 == 0 for n in range(40)]), "BOOLEAN"),
    "words": (pa.array([f"w{n % 9}" for n in range(40)]), "VARCHAR"),
}


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("empty", MISSING)
@pytest.mark.parametrize("known", KNOWN)
def test_a_file_without_a_value_says_nothing_of_the_type(tmp_path: Path, known: str, empty: str, place: int) -> None:
    array, dtype = KNOWN[known]
    files: list[dict[str, Any]] = [{"Dev": array[:20]}, {"Dev": array[20:]}]
    files.insert(place, {"Dev": MISSING[empty]})
    table = written(tmp_path / "in", *files)
    assert {name: facts.dtype for name, facts in table.facts.items()} == {"Dev": dtype}
    wanted = [value for file in files for value in (file["Dev"].to_pylist() if len(file["Dev"]) == 20 else [None] * 5)]
    assert values(table, "Dev") == wanted


def test_a_column_that_no_file_has_a_value_of_is_there(tmp_path: Path) -> None:
    table = written(tmp_path / "in", {"a": [1, 2], "b": pa.nulls(2, pa.float64())}, {"a": [3], "b": pa.nulls(1)})
    assert table.facts["b"].missing == 3


def test_a_day_without_an_id_lands_beside_days_of_long_ones(tmp_path: Path) -> None:
    intake = intake_of(tmp_path, source({"dev": {"type": "integer", "max_null_share": 1.0}}, "UTC"))
    ids = [LONG + n for n in range(40)]
    for day, dev in (("2024-01-15", pa.array(ids)), ("2024-01-16", pa.array([None] * 40, pa.float64()))):
        at = pa.array([datetime.fromisoformat(f"{day}T10:00:00")] * 40)
        pq.write_table(pa.table({"at": at, "dev": dev}), intake.folder / f"orders_{day}.parquet")
    outcome = take_in(intake, intake.pending())
    assert (sum(outcome.rows.values()), outcome.bad) == (80, {})
    landed = sorted(intake.lake.folder("raw", "orders").rglob("*.parquet"))
    assert [value for file in landed for value in pq.ParquetFile(file).read()["dev"].to_pylist()] == [
        *ids,
        *[None] * 40,
    ]


# --- floats and texts where other files have integers ---------------------------------------------------------

GAPS: Mapping[str, pa.Array] = {
    "floats": pa.array([7.0, None, 9.0]),
    "NaN": pa.array([7.0, float("nan"), 9.0]),
    "small floats": pa.array([7.0, None, 9.0]).cast(pa.float32()),
}


@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("kind", [pa.int8(), pa.uint64(), pa.int64(), pa.decimal128(38, 0)], ids=str)
def test_whole_floats_beside_integers_are_integers(tmp_path: Path, kind: pa.DataType, gap: str) -> None:
    large = 100 if kind == pa.int8() else LONG
    table = written(tmp_path / "in", {"dev": pa.array([large, 8]).cast(kind)}, {"dev": GAPS[gap]})
    assert values(table, "dev") == [large, 8, 7, None, 9]
    assert table.facts["dev"].dtype == "BIGINT"


@pytest.mark.parametrize(
    ("kind", "lost", "bits"), [(pa.float64(), 2**60, 53), (pa.float32(), 2**25, 24), (pa.float16(), 2**12, 11)]
)
@pytest.mark.parametrize("place", [0, 1])
def test_floats_that_have_lost_digits_of_integers_are_refused(
    tmp_path: Path, kind: pa.DataType, lost: int, bits: int, place: int
) -> None:
    files = [{"dev": pa.array([lost - 1])}]
    files.insert(place, {"dev": pa.array([7.0, None, float(lost)]).cast(kind)})
    told = (
        rf"dev has floats beyond 2\^{bits} in {place}\.parquet \(such as {lost} in row 3\), and integers in {1 - place}"
    )
    with pytest.raises(Undecided, match=told + r"\.parquet.*as integers or as text.*Nothing was written"):
        written(tmp_path / "in", *files)


def test_fractions_beside_integers_make_floats_as_far_as_these_hold_them(tmp_path: Path) -> None:
    fractions = pa.array([7.5, None]).cast(pa.float32())
    table = written(tmp_path / "in", {"x": pa.array([2**30 + 1])}, {"x": fractions})
    assert values(table, "x") == [2.0**30 + 1, 7.5, None]
    with pytest.raises(Undecided, match=r"x has integers beyond 2\^53 in 0\.parquet .*and fractions in 1\.parquet"):
        written(tmp_path / "in", {"x": pa.array([LONG])}, {"x": fractions})
    measured = pa.array([125]).cast(pa.decimal128(21, 2))
    assert values(written(tmp_path / "in", {"x": measured}, {"x": pa.array([7.0])}), "x") == [125.0, 7.0]


@pytest.mark.parametrize("texts", [pa.array(["007"]), pa.array(["0012", "12"]), pa.array(["007"]).dictionary_encode()])
@pytest.mark.parametrize("numbers", [pa.array([7]), pa.array([7.0, None]), pa.array([7]).cast(pa.decimal128(19, 0))])
def test_numbers_beside_texts_with_leading_zeros_are_refused(
    tmp_path: Path, texts: pa.Array, numbers: pa.Array
) -> None:
    told = (
        r"dev has numbers in 1\.parquet \(such as 7 in row 1\) and texts with leading zeros in 0\.parquet \(such as 00"
    )
    with pytest.raises(Undecided, match=told + r".*say `--text dev`\. Nothing"):
        written(tmp_path / "in", {"dev": texts}, {"dev": numbers})
    declared = Reading(ZONE, declared={"dev": Column("string")})
    table = read_table(str(tmp_path / "in"), reading=declared)
    assert values(table, "dev")[len(texts)] == "7"


def test_numbers_beside_texts_that_lack_nothing_are_texts_and_named(tmp_path: Path) -> None:
    """Postcodes of five digits each; floats by their digits."""
    table = written(tmp_path / "in", {"zip": pa.array([12345.0, None, 67890.0])}, {"zip": pa.array(["01234"])})
    assert values(table, "zip") == ["12345", None, "67890", "01234"]
    assert table.texts.notes == (
        "zip is numbers in 0.parquet and texts in 1.parquet: it is read as text in all files.",
    )
    with pytest.raises(Undecided, match=r"floats beyond 2\^53 in 0\.parquet .*, and texts in 1\.parquet"):
        written(tmp_path / "in", {"zip": pa.array([float(LONG)])}, {"zip": pa.array(["A"])})


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()])
@pytest.mark.parametrize("declared", ["integer", "string", "number"])
def test_land_refuses_floats_that_have_lost_digits(tmp_path: Path, kind: pa.DataType, declared: Any) -> None:
    pq.write_table(pa.table({"dev": pa.array([7.0, None, 2.0**60]).cast(kind)}), tmp_path / "a.parquet")
    reading = Reading(ZONE, declared={"dev": Column(declared)})
    if declared == "number":
        assert values(read_table(str(tmp_path), reading=reading), "dev")[0] == 7
        return
    with pytest.raises(Undecided, match=r"dev is to be .* and is the float 1152921504606846976 in row 3 of a\.parquet"):
        read_table(str(tmp_path), reading=reading)


@pytest.mark.parametrize(("kind", "lost"), [("float64", 2**60), ("float32", 2**25), ("float16", 2**12)])
@pytest.mark.parametrize("declared", ["integer", "string"])
def test_days_of_floats_land_as_integers_or_are_refused(kind: str, lost: int, declared: Any) -> None:
    contract = SourceContract({"dev": Column(declared)})
    good = check_frame(contract, pd.DataFrame({"dev": np.array([7, np.nan, 9], kind)}))
    assert good.frame["dev"].dropna().astype(str).tolist() == ["7", "9"]
    bad = check_frame(contract, pd.DataFrame({"dev": np.array([7, np.nan, lost], kind)}))
    assert f"(row 3) can't be read as {declared}" in bad.reason
    assert "has lost digits, so deliver the column as integers, decimals or text" in bad.reason


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_lengths_of_time_are_the_texts_that_landing_makes_of_them(tmp_path: Path, unit: str) -> None:
    counts = [None, 0, 1, -1, 90, -86_400_000_001, *map(int, np.random.default_rng(3).integers(-(10**14), 10**14, 50))]
    wait = pa.array([None if n is None else n // (10**6 if unit == "s" else 1) for n in counts], pa.duration(unit))
    table = written(tmp_path, {"at": [FIRST] * len(wait), "wait": wait})
    column = SourceContract.from_dict({"columns": {"wait": {"type": "string"}}})
    landed = check_frame(column, frame_of(pa.table({"wait": wait}))).frame["wait"]
    assert values(table, "wait") == [None if pd.isna(text) else text for text in landed]
    assert table.facts["wait"].dtype == "VARCHAR"
