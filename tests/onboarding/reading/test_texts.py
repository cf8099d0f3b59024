"""Times, numbers and missing values of a person's files: read alike by every way in, or asked about, with the row."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
import yaml

from mlops_assets.core.sources.contract import Column
from mlops_assets.core.sources.contract_cast import conform
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.sources.stream_rows import judge_messages
from mlops_assets.core.sources.stream_settings import StreamSettings
from mlops_assets.onboarding.asked import Asked
from mlops_assets.onboarding.files import render
from mlops_assets.onboarding.landing import land
from mlops_assets.onboarding.plan import Plan, make_plan
from mlops_assets.onboarding.reading.instructions import Reading, Undecided
from mlops_assets.onboarding.reading.table import read_table
from mlops_assets.onboarding.times import NoTime, time_column
from mlops_assets.steps.land.landed_rows import parse

ROWS = 480
WORDS = ["NA", "N/A", "#N/A", "NULL", "null", "None", "\\N", "?", "-", "nan", "#DIV/0!", "inf", "-Infinity", "."]
FIRST = datetime(2024, 3, 28, tzinfo=UTC)
"""In Berlin the clocks go forward on the 31st."""
HOURS = [FIRST + timedelta(minutes=90 * i) for i in range(ROWS)]
BERLIN = ZoneInfo("Europe/Berlin")


def table(folder: Path, cells: Callable[[int], dict[str, object]], name: str = "t.csv", separator: str = ",") -> Path:
    rows = pd.DataFrame([cells(i) for i in range(ROWS)])
    rows.to_csv(folder / name, index=False, sep=separator)
    return folder / name


def plain(i: int) -> dict[str, object]:
    return {"at": HOURS[i].isoformat(), "size": random.Random(i).gauss(50, 10), "y": random.Random(i).randint(0, 1)}


def planned(file: Path, **asked: Any) -> Plan:
    return make_plan(Asked("t", str(file), label="y", **asked))


def source(plan: Plan) -> SourceSettings:
    text = next(text for path, text in render(plan).items() if path.name == "defs.yaml")
    return SourceSettings.model_validate(next(iter(yaml.safe_load_all(text)))["attributes"])


def landed_rows(plan: Plan, settings: SourceSettings, folder: Path) -> pd.DataFrame:
    """By `mlops land`, and then the contract."""
    found = land(plan.table, plan.time, settings, folder)
    files = sorted(found.folder.glob("*.parquet"))
    frames = [conform(settings.rules, parse(file.name, file.read_bytes(), settings)).frame for file in files]
    return pd.concat(frames, ignore_index=True)


def dropped_rows(file: Path, settings: SourceSettings) -> pd.DataFrame:
    """By a CSV file that is put into the landing folder."""
    found = conform(settings.rules, parse(file.name, file.read_bytes(), settings))
    assert not found.failures, found.failures
    return found.frame


def streamed_rows(file: Path, settings: SourceSettings) -> pd.DataFrame:
    """By messages that hold the texts as they stand in the file; what is missing there is null."""
    values = settings.model_dump(exclude={"files", "grain", "pull"})
    stream = StreamSettings.model_validate({**values, "stream": {"topic": "t"}})
    cells = parse(file.name, file.read_bytes(), settings)
    messages = [
        {name: None if pd.isna(value) else value for name, value in row.items()} for row in cells.to_dict("records")
    ]
    judged = judge_messages(stream, messages, now=datetime(2030, 1, 1, tzinfo=UTC))
    assert not judged.poison
    return judged.rows.reset_index(drop=True)


def local(at: datetime, form: str) -> str:
    return at.astimezone(BERLIN).strftime(form)


FORMS: dict[str, Callable[[int], object]] = {
    "Z": lambda i: HOURS[i].isoformat().replace("+00:00", "Z"),
    "+00": lambda i: f"{HOURS[i]:%Y-%m-%d %H:%M:%S}+00",
    "UTC": lambda i: f"{HOURS[i]:%Y-%m-%d %H:%M:%S} UTC",
    "an offset in some rows": lambda i: (
        HOURS[i].astimezone(BERLIN).isoformat() if i % 3 else local(HOURS[i], "%Y-%m-%d %H:%M:%S")
    ),
    "local": lambda i: local(HOURS[i], "%Y-%m-%dT%H:%M:%S"),
    "day first": lambda i: local(HOURS[i], "%d/%m/%Y %H:%M"),
    "month first": lambda i: local(HOURS[i], "%m/%d/%Y %I:%M %p"),
    "dots": lambda i: local(HOURS[i], "%d.%m.%Y %H:%M:%S"),
    "dots in the hour": lambda i: local(HOURS[i], "%d.%m.%Y %H.%M"),
    "points in the clock": lambda i: local(HOURS[i], "%Y-%m-%d %H.%M"),
    "words": lambda i: local(HOURS[i], "%d %b %Y %H:%M"),
    "seconds": lambda i: int(HOURS[i].timestamp()),
    "milliseconds": lambda i: int(HOURS[i].timestamp()) * 1000,
    "microseconds": lambda i: int(HOURS[i].timestamp()) * 10**6,
    "minutes as digits": lambda i: local(HOURS[i], "%Y%m%d%H%M"),
    "seconds as digits": lambda i: local(HOURS[i], "%Y%m%d%H%M%S"),
    "a year of two digits": lambda i: local(HOURS[i], "%y%m%d%H%M"),
    "Excel": lambda i: repr((HOURS[i].astimezone(BERLIN).replace(tzinfo=None) - datetime(1899, 12, 30)) / timedelta(1)),
}


@pytest.mark.parametrize("form", FORMS)
def test_times_are_the_same_by_every_way_in(form: str, tmp_path: Path) -> None:
    file = table(tmp_path, lambda i: {**plain(i), "at": FORMS[form](i)})
    plan = planned(file, timezone="Europe/Berlin", time="at")
    settings = source(plan)
    ways = {
        "land": landed_rows(plan, settings, tmp_path / "landing"),
        "drop": dropped_rows(file, settings),
        "stream": streamed_rows(file, settings),
    }
    for way, rows in ways.items():
        assert sorted(rows["at"].dt.round("s")) == HOURS, way


def test_hours_as_digits_are_those_hours_and_no_seconds(tmp_path: Path) -> None:
    hours = [FIRST + timedelta(hours=i) for i in range(ROWS)]
    plan = planned(table(tmp_path, lambda i: {**plain(i), "at": f"{hours[i]:%Y%m%d%H}"}))
    assert (plan.time.unit, plan.calendar.first, plan.calendar.last) == (
        "yyyymmddhh",
        hours[0].date(),
        hours[-1].date(),
    )
    assert sorted(landed_rows(plan, source(plan), tmp_path / "landing")["at"]) == hours


def test_digits_that_may_be_two_times_are_refused(tmp_path: Path) -> None:
    file = table(tmp_path, lambda i: {**plain(i), "at": 1_701_010_000 + i % 50})
    with pytest.raises(NoTime, match=r"at can be read as numbers such as 2401312359 or as seconds .*nobody can tell"):
        planned(file, time="at")


@pytest.mark.parametrize("odd", [1_711_584_000_000, 4_102_444_800, 20240328, 0, -5])
@pytest.mark.parametrize("row", [0, 7, ROWS - 1])
def test_one_number_of_another_unit_is_named_with_its_row(odd: int, row: int, tmp_path: Path) -> None:
    file = table(tmp_path, lambda i: {**plain(i), "at": odd if i == row else int(HOURS[i].timestamp())})
    for asked in ("at", None):
        with pytest.raises(NoTime, match=rf"at is {odd} in row {row + 1} of t\.csv.*479 of 480 rows have seconds"):
            planned(file, time=asked)


def test_tomorrow_is_read_as_today(tmp_path: Path) -> None:
    """The first ten days of April, by day first, are no days of January to October."""
    days = [date(2024, 3, 20) + timedelta(days=i // 20) for i in range(ROWS)]
    plan = planned(table(tmp_path, lambda i: {**plain(i), "at": f"{days[i]:%d/%m/%Y}"}))
    settings = source(plan)
    assert settings.contract.columns["at"].format == "dmy"
    april = tmp_path / "april.csv"
    april.write_text("at,size,y\n" + "".join(f"{day:02}/04/2024,50,1\n" for day in range(1, 11)))
    assert dropped_rows(april, settings)["at"].dt.strftime("%m-%d").tolist() == [f"04-{d:02}" for d in range(1, 11)]
    reading = Reading(settings.timezone, declared=settings.contract.columns)
    landed = read_table(str(april), reading=reading)
    found = landed.connection.execute(
        f"select {time_column(landed, 'at', 'UTC').sql} from landed order by 1"
    ).fetchall()
    assert [at.date() for (at,) in found] == [date(2024, 4, d) for d in range(1, 11)]


def test_an_open_order_is_asked_for_and_a_wrong_one_refused(tmp_path: Path) -> None:
    file = table(tmp_path, lambda i: {**plain(i), "at": f"{1 + i % 10:02}/0{1 + i // 60}/2024"})
    with pytest.raises(Undecided, match=r"at has dates such as .*`--date-order dmy` or `--date-order mdy`"):
        planned(file)
    by_day, by_month = (planned(file, date_order=order).calendar for order in ("dmy", "mdy"))
    assert (by_day.first, by_day.last) == (date(2024, 1, 1), date(2024, 8, 10))
    assert (by_month.first, by_month.last) == (date(2024, 1, 1), date(2024, 10, 8))
    proven = table(tmp_path, lambda i: {**plain(i), "at": f"{HOURS[i]:%d/%m/%Y}"}, "proven.csv")
    with pytest.raises(Undecided, match=r"at has \d\d/\d\d/2024, which is no date with the month first"):
        planned(proven, date_order="mdy")
    both = table(tmp_path, lambda i: {**plain(i), "at": "01/31/2024" if i == 7 else f"{HOURS[i]:%d/%m/%Y}"}, "both.csv")
    with pytest.raises(Undecided, match=r"with the day first .* and with the month first \(01/31/2024\)"):
        planned(both)


def test_the_order_is_one_over_all_files(tmp_path: Path) -> None:
    """One file proves it for the other, which could be read either way."""
    for name, start in (("a", date(2024, 4, 1)), ("b", date(2024, 4, 11))):
        days = [start + timedelta(days=i // 48) for i in range(ROWS)]
        table(tmp_path, lambda i, days=days: {**plain(i), "at": f"{days[i]:%d/%m/%Y}"}, f"{name}.csv")
    found = planned(tmp_path / "*.csv").calendar
    assert (found.first, found.last, found.days) == (date(2024, 4, 1), date(2024, 4, 20), 20)


@pytest.mark.parametrize("word", WORDS)
def test_words_for_missing_are_told_and_are_missing(word: str, tmp_path: Path) -> None:
    def cells(i: int) -> dict[str, object]:
        price = round(random.Random(1000 + i).gauss(70, 9), 2)
        seen = {"age": word if i % 37 == 0 else i // 3 % 90, "price": word if i % 33 == 0 else price}
        return {**plain(i), **seen, **({"y": word} if i > 400 else {})}

    file = table(tmp_path, cells)
    plan = planned(file)
    assert {c.name: c.role for c in plan.columns if c.name in ("age", "price")} == {
        "age": "numeric",
        "price": "numeric",
    }
    assert plan.label.classes == ("0", "1")
    assert plan.table.facts["age"].missing == len(range(0, ROWS, 37))
    assert any(f"{word!r} ({len(range(0, ROWS, 37)):,} in age" in note for note in plan.notes)
    assert dropped_rows(file, source(plan))["price"].isna().sum() == len(range(0, ROWS, 33))


def test_a_word_of_ones_own_and_one_that_is_a_value(tmp_path: Path) -> None:
    def cells(i: int) -> dict[str, object]:
        return {**plain(i), "temp": -999 if i % 40 == 7 else i % 30, "alley": "None" if i % 2 else "gravel"}

    file = table(tmp_path, cells)
    warned = planned(file).warnings
    assert any(
        w.startswith("temp is -999 in row 8 of t.csv (line 9), in 12 rows") and "`--missing temp=-999`" in w
        for w in warned
    )
    plan = planned(file, missing=("-999",), not_missing=("None",))
    assert plan.table.facts["temp"].missing == 12
    assert plan.table.facts["alley"].values == ("None", "gravel")
    settings = source(plan)
    assert "-999" in settings.null_values
    rows = dropped_rows(file, settings)
    assert (rows["temp"].isna().sum(), rows["alley"].isna().sum()) == (12, 0)


@pytest.mark.parametrize(
    ("form", "price", "values"),
    [
        ("comma", lambda i: f"{i}.{i % 900 + 100},50 €", lambda i: i * 1000 + i % 900 + 100.5 if i else 100.5),
        ("point", lambda i: f"${i + 1},{i % 900 + 100}.25", lambda i: (i + 1) * 1000 + i % 900 + 100.25),
        ("comma %", lambda i: f"{i},5 %", lambda i: (i + 0.5) / 100),
        (
            "point",
            lambda i: f"({i % 9}.50)" if i % 7 == 0 else f"{i}.25",
            lambda i: i + 0.25 if i % 7 else -(i % 9) - 0.5,
        ),
    ],
)
def test_numbers_of_a_country_are_the_same_by_every_way_in(
    form: str, price: Callable[[int], str], values: Callable[[int], float], tmp_path: Path
) -> None:
    file = table(
        tmp_path, lambda i: {**plain(i), "price": price(i).removeprefix("0.") if i == 0 else price(i)}, separator=";"
    )
    plan = planned(file)
    settings = source(plan)
    assert settings.contract.columns["price"].format == form
    expected = pytest.approx([values(i) for i in range(ROWS)])
    assert landed_rows(plan, settings, tmp_path / "landing").sort_values("at")["price"].tolist() == expected
    assert dropped_rows(file, settings)["price"].tolist() == expected
    assert streamed_rows(file, settings)["price"].tolist() == expected


def test_an_open_decimal_mark_is_asked_for(tmp_path: Path) -> None:
    file = table(tmp_path, lambda i: {**plain(i), "price": f"{1 + i % 9},{100 + i % 800}"})
    with pytest.raises(Undecided, match=r"price has numbers such as .*`--decimal comma` or `--decimal point`"):
        planned(file)
    assert planned(file, decimal="comma").table.facts["price"].high == "9.576"
    assert planned(file, decimal="point").table.facts["price"].high == "9576.0"


def test_numbers_that_are_not_alike_stay_texts_and_are_told(tmp_path: Path) -> None:
    def cells(i: int) -> dict[str, object]:
        return {**plain(i), "fee": f"{'€' if i % 2 else '$'} {i % 9}", "rate": f"{i % 7} %" if i % 2 else i % 7}

    warned = " ".join(planned(table(tmp_path, cells)).warnings)
    assert "fee holds numbers and is taken as texts, since they are in several currencies ($, €)" in warned
    assert "rate holds numbers and is taken as texts, since some are percent" in warned


def test_texts_that_merely_differ_are_no_key(tmp_path: Path) -> None:
    file = table(tmp_path, lambda i: {**plain(i), "note": f"said {i} times", "code": f"C-{i:04}"})
    assert planned(file).key == "code"
    file = table(tmp_path, lambda i: {**plain(i), "price": "n.n." if i == 3 else f"{i * 1.25:.2f}"})
    assert planned(file).key is None


STRANGE: dict[str, tuple[Callable[[int], dict[str, object]], str]] = {
    "a row of 1970": (
        lambda i: {"at": "1970-01-01" if i == 16 else HOURS[i].isoformat()},
        r"at is 1970-01-01 in row 17 of t\.csv \(line 18\), and 1 of 480 rows lie 54 years or more before",
    ),
    "a row of 9999": (
        lambda i: {"at": "9999-12-31" if i == 30 else HOURS[i].isoformat()},
        r"at is 9999-12-31 in row 31 of t\.csv \(line 32\), and 1 of 480 rows lie [\d,]+ years or more after",
    ),
    "a total below": (
        lambda i: {"at": "Total" if i == 479 else HOURS[i].isoformat()},
        r"'Total' in row 480 of t\.csv \(line 481\)",
    ),
    "years of two digits": (
        lambda i: {"at": f"{HOURS[i]:%d-%m-%y}"},
        r"at holds no times that can be read, such as '\d\d-\d\d-24' \(\S+ has a year of two digits: write four\)",
    ),
    "names of zones": (
        lambda i: {"at": f"{HOURS[i]:%Y-%m-%d %H:%M} EST"},
        r"EST is a name that several time zones have: write the offset",
    ),
    "a day of Excel": (
        lambda i: {"at": "45321" if i == 9 else HOURS[i].isoformat()},
        r"'45321' in row 10 of t\.csv \(line 11\), which is no time \(45321 may be days as Excel counts them, 2024-",
    ),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_a_strange_time_is_refused_with_its_row(kind: str, tmp_path: Path) -> None:
    cells, told = STRANGE[kind]
    with pytest.raises(NoTime, match=told):
        planned(table(tmp_path, lambda i: {**plain(i), **cells(i)}), time="at")


ODD: dict[str, tuple[Callable[[int], dict[str, object]], str]] = {
    "an open end": (lambda i: {"until": "9999-12-31" if i % 5 else "2024-05-05"}, "until is 9999-12-31 in row 2 of"),
    "milliseconds": (
        lambda i: {"sent_at": int(HOURS[i].timestamp() * 1000)},
        "sent_at seems to hold milliseconds since 1970",
    ),
    "one word among numbers": (
        lambda i: {"p": "abc" if i == 30 else i * 1.5},
        "p is 'abc' in row 31 of t.csv (line 32)",
    ),
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_value_is_named_with_its_row(kind: str, tmp_path: Path) -> None:
    cells, told = ODD[kind]
    assert any(
        told in said for said in planned(table(tmp_path, lambda i: {**plain(i), **cells(i)}), time="at").warnings
    )


def test_an_hour_that_the_clocks_have_twice_or_skip_is_told(tmp_path: Path) -> None:
    skipped = table(
        tmp_path, lambda i: {**plain(i), "at": "2024-03-31 02:30" if i == 50 else f"{HOURS[i]:%Y-%m-%d %H:%M}"}
    )
    told = " ".join(planned(skipped, timezone="Europe/Berlin").warnings)
    assert "at lies in an hour that the clocks of Europe/Berlin skip" in told
    autumn = [datetime(2024, 10, 20, 0, 30) + timedelta(minutes=90 * i) for i in range(ROWS)]
    twice = table(tmp_path, lambda i: {**plain(i), "at": f"{autumn[i]:%Y-%m-%d %H:%M}"}, "twice.csv")
    told = " ".join(planned(twice, timezone="Europe/Berlin").warnings)
    assert "have twice: it is read as the second one (row " in told


def test_thousandths_behind_two_marks_are_refused(tmp_path: Path) -> None:
    mixed = table(tmp_path, lambda i: {**plain(i), "price": f"5{'.' if i % 30 == 7 else ','}{100 + i}"}, separator=";")
    with pytest.raises(Undecided, match=r"price has numbers such as 5\.107, .*Write all with one mark"):
        planned(mixed, decimal="comma")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('\ufeffat,"size\n(EUR)",y\r\n', ["size\n(EUR)", "y"]),
        ('\ufeff"at";"size, EUR, net";y\r\n', ["size, EUR, net", "y"]),
        ("\ufeffsep=;\r\nat;size;y\r\n", ["size", "y"]),
    ],
)
def test_headings_as_excel_writes_them(text: str, names: list[str], tmp_path: Path) -> None:
    separator = ";" if ";" in text else ","
    rows = [separator.join((at.isoformat(), f"{i % 37}.5", str(i % 2))) for i, at in enumerate(HOURS)]
    file = tmp_path / "t.csv"
    file.write_text(text + "\r\n".join(rows) + "\r\n", encoding="utf-8", newline="")
    plan = planned(file)
    assert [column.facts.name for column in plan.columns] == names
    assert dropped_rows(file, source(plan))["at"].tolist() == HOURS


@pytest.mark.parametrize(
    ("unit", "number"),
    [
        ("excel", lambda i: 45_200 + i // 9),
        ("ms", lambda i: 1_711_584_000_000 + i * 60_000),
        ("yyyymmdd", lambda i: int(f"{HOURS[i] - timedelta(days=9):%Y%m%d}")),
    ],
)
def test_numbers_that_are_times_become_times_where_one_says_so(
    unit: str, number: Callable[[int], int], tmp_path: Path
) -> None:
    file = table(tmp_path, lambda i: {**plain(i), "sent_at": number(i)})
    told = " ".join(planned(file, time="at").warnings)
    assert f"say so: `--moment sent_at`; its `format` in the YAML is then {unit}" in told
    plan = planned(file, time="at", moments=("sent_at",))
    settings = source(plan)
    assert {c.name: c.role for c in plan.columns}["sent_at"] == "moment"
    assert (settings.contract.columns["sent_at"].type, settings.contract.columns["sent_at"].format) == (
        "timestamp",
        unit,
    )
    rows = landed_rows(plan, settings, tmp_path / "landing").sort_values("at")["sent_at"].tolist()
    assert rows == dropped_rows(file, settings)["sent_at"].tolist()
    assert rows[0] == {"excel": pd.Timestamp("2023-10-01", tz="UTC")}.get(unit, rows[0])
    assert not any("sent_at" in said for said in plan.warnings)
    assert any(note.startswith("sent_at has ") for note in plan.notes)
    with pytest.raises(NoTime, match=r"`--moment size`: name a column of numbers that are times"):
        planned(file, time="at", moments=("size",))


BLANKS = [" ", "   ", "\t", "\u00a0", " \u2003 "]


@pytest.mark.parametrize("blank", BLANKS)
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_cell_of_blanks_is_missing_by_every_way_in(blank: str, suffix: str, tmp_path: Path) -> None:
    def cells(i: int) -> dict[str, object]:
        return {**plain(i), "kind": blank if i % 5 == 0 else "ab"[i % 2], "size": blank if i % 7 == 0 else str(i % 31)}

    file = table(tmp_path, cells)
    if suffix == "parquet":
        pd.DataFrame([cells(i) for i in range(ROWS)]).to_parquet(file.with_suffix(".parquet"))
        file = file.with_suffix(".parquet")
    plan = planned(file)
    assert plan.table.facts["kind"].values == ("a", "b")
    assert plan.table.facts["kind"].missing == ROWS // 5
    settings = source(plan)
    ways = (
        landed_rows(plan, settings, tmp_path / "landing"),
        dropped_rows(file, settings),
        streamed_rows(file, settings),
    )
    for rows in ways:
        assert (rows["kind"].isna().sum(), rows["size"].isna().sum()) == (ROWS // 5, len(range(0, ROWS, 7)))


@pytest.mark.parametrize(
    ("name", "of"), [("order_id", lambda i: f"C-{i:05}"), ("OrderNo", lambda i: i + 7), ("ref", lambda i: f"A{i:04}")]
)
def test_a_key_that_stands_twice_is_told_with_its_rows(name: str, of: Callable[[int], object], tmp_path: Path) -> None:
    good = planned(table(tmp_path, lambda i: {**plain(i), name: of(i)}))
    assert good.key == name
    twice = planned(table(tmp_path, lambda i: {**plain(i), name: of(8 if i == 311 else i)}, "twice.csv"))
    (told,) = (said for said in twice.warnings if "names rows" in said)
    assert twice.key is None
    assert (
        f"{of(8)} stands in row 9 of twice.csv (line 10) and in row 312 of twice.csv (line 313) (1 of 480 values repeat"
        in told
    )
    gap = planned(table(tmp_path, lambda i: {**plain(i), name: None if i == 20 else of(i)}, "gap.csv"))
    assert any(
        f"{name} names rows" in said and "it is missing in row 21 of gap.csv (line 22)" in said for said in gap.warnings
    )


def test_things_with_gaps_are_still_hinted_at(tmp_path: Path) -> None:
    file = table(tmp_path, lambda i: {**plain(i), "customer_id": None if i % 5 == 0 else 1000 + i % 40})
    told = " ".join(planned(file).warnings)
    assert "`--entity customer_id` adds the history of each, once the 96 rows without customer_id are removed" in told


UNREAD: dict[str, tuple[Callable[[int], dict[str, object]], str]] = {
    "an open order": (
        lambda i: {"at": f"0{1 + i % 9}/03/2024"},
        "`format: dmy` or `format: mdy` of at in the contract",
    ),
    "against the order": (lambda i: {"sent": "13/01/2024"}, "say otherwise: `format: dmy` of sent in the contract"),
    "an open mark": (lambda i: {"rate": f"1,{100 + i}"}, "`format: comma` or `format: point` of rate in the contract"),
    "against the mark": (lambda i: {"price": "$1.5"}, "say otherwise: `format: point` of price in the contract"),
    "a row without a time": (lambda i: {"at": None if i == 3 else HOURS[i].isoformat()}, "as `event_time` in the"),
    "no time": (lambda i: {"at": f"day {i}"}, "as `event_time` in the source's YAML"),
    "a total": (lambda i: {"at": "Total" if i == 3 else HOURS[i].isoformat()}, "as `event_time` in the source's YAML"),
    "another unit": (lambda i: {"at": 5 if i == 3 else int(HOURS[i].timestamp())}, "as `event_time` in the source's"),
}


@pytest.mark.parametrize("kind", UNREAD)
def test_what_a_declared_source_cannot_read_is_mended_in_its_yaml(kind: str, tmp_path: Path) -> None:
    """`mlops land` has no option that says how texts are written."""
    cells, told = UNREAD[kind]
    columns: dict[str, dict[str, str]] = {
        "at": {"type": "timestamp"},
        "sent": {"type": "timestamp", "format": "mdy"},
        "price": {"type": "number", "format": "comma"},
        "rate": {"type": "number"},
    }
    declared = {name: Column.from_dict(name, data) for name, data in columns.items()}
    file = table(tmp_path, lambda i: {"at": HOURS[i].isoformat(), "y": 1, **cells(i)})
    with pytest.raises((Undecided, NoTime)) as caught:
        time_column(read_table(str(file), reading=Reading("UTC", declared=declared)), "at", "UTC")
    assert told in str(caught.value)
    assert "--" not in str(caught.value)
