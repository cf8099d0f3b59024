"""What columns are taken for: codes stay texts, and dates in digits and times of day are named with the remedy."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.onboarding.asked import Asked
from mlops_assets.onboarding.plan import Plan, make_plan

ROWS = 400
Make = Callable[[np.random.Generator], object]


def planned(folder: Path, columns: dict[str, Make], suffix: str = "csv") -> Plan:
    """Seed 6."""
    rng = np.random.default_rng(6)
    rows = [
        {
            "at": datetime(2024, 1, 1) + timedelta(hours=6 * i),
            "x": round(rng.normal(50, 10), 2),
            **{name: make(rng) for name, make in columns.items()},
            "y": i * 7 % 3 % 2,
        }
        for i in range(ROWS)
    ]
    file = folder / f"t.{suffix}"
    pd.DataFrame(rows).to_csv(file, index=False) if suffix == "csv" else pd.DataFrame(rows).to_parquet(file)
    return make_plan(Asked("t", str(file)))


CODES: dict[str, Make] = {
    "address": lambda rng: f"192.168.100.{rng.integers(100, 200)}",
    "version": lambda rng: rng.choice(["1.20.100", "2.10.115", "1.20.101"]),
    "release": lambda rng: rng.choice(["1.2", "1.10", "1.2.10", "2.0"]),
    "abroad": lambda rng: f"+49 170 123 {rng.integers(100, 110)}",
}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_codes_stay_texts_and_say_nothing_of_other_columns(suffix: str, tmp_path: Path) -> None:
    plan = planned(tmp_path, CODES, suffix)
    assert {plan.table.facts[name].dtype for name in CODES} == {"VARCHAR"}
    assert plan.table.facts["x"].dtype == "DOUBLE"
    assert (plan.table.texts.formats, plan.table.texts.notes, plan.table.texts.warnings) == ({}, (), ())
    assert not [said for said in plan.warnings if said.split()[0] in CODES and "hint" not in said and " is " in said]


def test_groups_of_three_digits_are_named_and_amounts_are_numbers(tmp_path: Path) -> None:
    plan = planned(
        tmp_path,
        {
            "phone": lambda rng: f"6{rng.integers(10, 99)} {rng.integers(100, 999)} {rng.integers(100, 999)}",
            "price": lambda rng: f"{rng.integers(1, 30)} {rng.integers(100, 999)} 000",
        },
    )
    assert (plan.table.facts["phone"].dtype, plan.table.facts["price"].dtype) == ("VARCHAR", "DOUBLE")
    (said,) = plan.table.texts.warnings
    assert said.startswith("phone holds numbers and is taken as texts, since all are of one length in groups of three")


DATES: dict[str, tuple[Make, str]] = {
    "dob": (lambda rng: int(f"{rng.integers(1950, 2005)}{rng.integers(1, 13):02}{rng.integers(1, 29):02}"), "yyyymmdd"),
    "signup": (lambda rng: float(f"2024{rng.integers(1, 13):02}{rng.integers(1, 29):02}"), "yyyymmdd"),
    "period": (lambda rng: int(f"{rng.integers(2010, 2024)}{rng.integers(1, 13):02}"), "yyyymm"),
}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_dates_in_digits_are_named_whatever_their_column_is_called(suffix: str, tmp_path: Path) -> None:
    plan = planned(tmp_path, {name: make for name, (make, _) in DATES.items()}, suffix)
    for name, (_, unit) in DATES.items():
        (said,) = [said for said in plan.warnings if said.startswith(f"{name} seems to hold numbers such as 2024")]
        assert said.endswith(f"say so: `--moment {name}`; its `format` in the YAML is then {unit}.")


SINCE = (pd.Timestamp("2024-01-01") - pd.Timestamp(0)) // pd.Timedelta("1s")


def counted(folder: Path, moments: tuple[str, ...] = ()) -> Plan:
    """Seed 7: times near the event as numbers, under names that say nothing, and ordinary numbers of that size."""
    rng = np.random.default_rng(7)
    seconds = SINCE + 6 * 3600 * np.arange(ROWS)
    day = seconds // 86400 + 25_569
    columns = {
        "at": pd.to_datetime(seconds, unit="s"),
        "signup": seconds - rng.integers(86_400, 9_000_000, ROWS),
        "seen": (seconds - rng.integers(0, 900, ROWS)) * 1000,
        "valid": seconds + rng.integers(10**8, 2 * 10**8, ROWS),
        "due": day + rng.integers(1, 30, ROWS),
        "ean": rng.integers(4 * 10**12, 5 * 10**12, ROWS),
        "called": rng.integers(2 * 10**9, 9 * 10**9, ROWS),
        "price": rng.integers(42_000, 48_000, ROWS),
        "ticket": 45_000 + np.arange(ROWS) + rng.integers(0, 2, ROWS),
        "y": np.arange(ROWS) * 7 % 3 % 2,
    }
    pd.DataFrame(columns).to_csv(folder / "t.csv", index=False)
    return make_plan(Asked("t", str(folder / "t.csv"), label="y", moments=moments))


UNITS = {"signup": "s", "seen": "ms", "valid": "s", "due": "excel"}


def test_numbers_that_count_from_1970_or_1900_are_named_where_they_are_near_the_event(tmp_path: Path) -> None:
    said = [one for one in counted(tmp_path).warnings if "seems to hold" in one]
    assert {one.split()[0]: one.split()[-1].rstrip(".") for one in said} == UNITS


def test_a_moment_may_lie_in_the_future(tmp_path: Path) -> None:
    """`valid` ends three to six years after the event."""
    plan = counted(tmp_path, moments=("valid", "due"))
    assert {name: plan.table.texts.formats[name] for name in ("valid", "due")} == {"valid": "s", "due": "excel"}


TIMES: dict[str, Make] = {
    "took": lambda rng: f"{rng.integers(0, 9)}:{rng.integers(0, 60):02}",
    "departs": lambda rng: f"{rng.integers(4, 26):02}:{rng.integers(0, 60):02}:00",
    "opens": lambda rng: f"{rng.integers(1, 13)}:{rng.integers(0, 60):02} AM",
    "waited": lambda rng: f"{rng.integers(1, 9)}h {rng.integers(1, 60)}m",
    "lasts": lambda rng: f"PT{rng.integers(1, 90)}M",
}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_times_of_day_and_lengths_of_time_are_named(suffix: str, tmp_path: Path) -> None:
    plan = planned(tmp_path, TIMES, suffix)
    for name in TIMES:
        (said,) = [said for said in plan.warnings if said.startswith(f"{name} holds ")]
        assert f"(row 1 of t.{suffix}" in said
        assert said.endswith("write them as numbers, in minutes or seconds, and call new-model again.")


@pytest.mark.parametrize("hours", [range(24), [9, 10, 11, 12, 13, 14, 15, 16, 17]])
def test_a_clock_of_twelve_hours_without_am_and_pm_is_named(hours: list[int], tmp_path: Path) -> None:
    """A whole day, and office hours."""

    def said(written: str) -> list[str]:
        at = [datetime(2024, 1, 1 + i // 20, hours[i % len(hours)], i % 60) for i in range(ROWS)]
        frame = pd.DataFrame(
            {"at": [time.strftime(written) for time in at], "x": np.arange(ROWS) % 11, "y": np.arange(ROWS) % 2}
        )
        frame.to_csv(tmp_path / "t.csv", index=False)
        return [one for one in make_plan(Asked("t", str(tmp_path / "t.csv"))).warnings if "am and pm" in one]

    (one,) = said("%Y-%m-%d %I:%M:%S")
    assert one.startswith("at has hours from 1 to 12 alone, none of them 0 (row ")
    assert not said("%Y-%m-%d %H:%M:%S")
    assert not said("%Y-%m-%d %I:%M:%S %p")


def test_mornings_alone_are_ordinary(tmp_path: Path) -> None:
    at = [datetime(2024, 1, 1 + i // 20, 6 + i % 7) for i in range(ROWS)]
    pd.DataFrame({"at": at, "x": np.arange(ROWS) % 11, "y": np.arange(ROWS) % 2}).to_csv(
        tmp_path / "t.csv", index=False
    )
    assert not [one for one in make_plan(Asked("t", str(tmp_path / "t.csv"))).warnings if "am and pm" in one]


ORDINARY: dict[str, Make] = {
    "order": lambda rng: rng.integers(20_230_000, 20_250_000),
    "postcode": lambda rng: rng.integers(190_000, 210_000),
    "amount": lambda rng: rng.integers(500, 90_000_000),
    "screen": lambda rng: rng.choice(["16:9", "4:3", "21:9"]),
    "goals": lambda rng: f"{rng.integers(0, 5)}:{rng.integers(0, 5)}",
    "size": lambda rng: rng.choice(["S", "M", "L", "XL"]),
    "weight": lambda rng: f"{rng.integers(1, 90)} kg",
}


@pytest.mark.parametrize("word", ["n.a.", "N.A", "not available", "missing", "k.A."])
def test_a_category_that_reads_like_a_missing_value_is_offered_as_one(word: str, tmp_path: Path) -> None:
    warnings = planned(tmp_path, {"flag": lambda rng: rng.choice(["yes", "no", word])}).warnings
    (said,) = [one for one in warnings if one.startswith("flag is ")]
    assert f"flag={word}" in said
    assert "is a category to the model: if it means missing" in said


FLAGS = [("yes", "no"), ("true", "false"), ("True", "False"), ("Y", "N"), ("0", "1")]
SPELLINGS = ["NONE", "none", "na", "Na", "[NULL]", "(null)", "<none>"]
UNKNOWN = ["unknown", "Unknown", "U", "unk", "don't know", "unbekannt", "-999", "-1", "9", "99.9"]


def beside(flags: tuple[str, str], words: list[str], folder: Path) -> tuple[Asked, pd.DataFrame]:
    """A table with a column a word, in which that stands beside two answers: a single one is the label."""
    rng = np.random.default_rng(5)
    numbers = {"at": pd.date_range("2024-01-01", periods=ROWS, freq="h"), "x": rng.normal(size=ROWS)}
    texts = {f"c{n}": rng.choice([*flags, word], ROWS, p=[0.48, 0.48, 0.04]) for n, word in enumerate(words)}
    rows = pd.DataFrame({**numbers, **texts, "y": np.arange(ROWS) * 7 % 3 % 2})
    rows.to_csv(folder / "t.csv", index=False)
    return Asked("t", str(folder / "t.csv"), label="c0" if len(words) == 1 else "y"), rows


def offered(plan: Plan, name: str) -> str:
    (said,) = [each for each in plan.warnings if each.startswith(f"{name} is ")]
    return said


CASES = [(flags, [word]) for flags in FLAGS for word in SPELLINGS if flags != ("True", "False")]
CASES += [(flags, SPELLINGS) for flags in FLAGS if flags != ("True", "False")]


@pytest.mark.parametrize(("flags", "words"), CASES)
def test_other_capitals_and_brackets_of_a_missing_value_are_offered_beside_a_flag(
    flags: tuple[str, str], words: list[str], tmp_path: Path
) -> None:
    """Of a label and of features; where 0 and 1 are most, it is said of a text among numbers."""
    plan = make_plan(beside(flags, words, tmp_path)[0])
    for number, word in enumerate(words):
        assert f"c{number}={word}" in offered(plan, f"c{number}")


CASES = [(flags, words) for flags in FLAGS[:4] for words in [*([word] for word in UNKNOWN), UNKNOWN]]


@pytest.mark.parametrize(("flags", "words"), CASES)
def test_what_is_known_of_nobody_is_offered_beside_a_flag_and_the_remedy_makes_it_one(
    flags: tuple[str, str], words: list[str], tmp_path: Path
) -> None:
    """Of a label and of features."""
    asked, rows = beside(flags, words, tmp_path)
    plan, options = make_plan(asked), []
    for number, word in enumerate(words):
        first = int(np.flatnonzero(rows[f"c{number}"] == word)[0]) + 1
        said = offered(plan, f"c{number}")
        assert f"in row {first} of t.csv (line {first + 1})" in said
        _, option = shlex.split(said.partition("say so: `")[2].removesuffix("`."))
        options.append(option)
    table = make_plan(replace(asked, missing=tuple(options))).table
    for number, word in enumerate(words):
        facts = table.facts[f"c{number}"]
        assert (facts.dtype, facts.missing) == ("BOOLEAN", int((rows[f"c{number}"] == word).sum()))


def test_several_of_them_are_said_in_one_sentence(tmp_path: Path) -> None:
    said = planned(tmp_path, {"flag": lambda rng: rng.choice(["yes", "no", "unknown", "-9"])}).warnings
    (sentence,) = [one for one in said if one.startswith("flag is ")]
    assert sentence.startswith("flag is '-9' in row ") and " and 'unknown' in row " in sentence
    assert sentence.endswith("say so: `--missing flag=-9` `--missing flag=unknown`.")


@pytest.mark.parametrize(
    "words", [("yes", "no", "other"), ("Y", "N", "X"), ("red", "blue", "unknown"), ("1", "0", "u")]
)
def test_a_third_answer_and_an_unknown_kind_are_classes(words: tuple[str, ...], tmp_path: Path) -> None:
    said = planned(tmp_path, {"flag": lambda rng: rng.choice(words)}).warnings
    assert bool([one for one in said if one.startswith("flag is ")]) == (words[-1] == "u")


@pytest.mark.parametrize(("answers", "is_named"), [((0, 1), True), ((1, 2), True), ((0, 1, 2), False), ((7, 8), False)])
def test_a_nine_beside_two_answers_is_named(answers: tuple[int, ...], *, is_named: bool, tmp_path: Path) -> None:
    said = planned(tmp_path, {"flag": lambda rng: rng.choice([*answers, 9])}).warnings
    assert bool([one for one in said if one.startswith("flag is 9 in row ")]) == is_named


@pytest.mark.parametrize("mark", ['="{}"', "'{}"])
def test_the_mark_of_a_spreadsheet_for_texts_is_named(mark: str, tmp_path: Path) -> None:
    codes = iter(range(ROWS))
    said = planned(tmp_path, {"code": lambda _: mark.format(f"{next(codes):05}")}).warnings
    (sentence,) = [one for one in said if one.startswith("code has ")]
    assert f"{mark.format('00000')} in row 1 of t.csv (line 2), as spreadsheets mark texts" in sentence
    assert "with tables that have 00000 it has nothing in common" in sentence
    said = planned(tmp_path, {"code": lambda rng: rng.choice(["'til", "plain", '="']), "b": lambda _: "'a'"}).warnings
    assert not [one for one in said if "spreadsheets" in one]


def test_numbers_that_a_spreadsheet_has_rounded_are_named_among_whole_ones(tmp_path: Path) -> None:
    ids = iter(range(ROWS))
    said = planned(
        tmp_path,
        {
            "id": lambda _: "1.15292E+18" if (i := next(ids)) % 9 == 4 else str(2**60 + i * 1_000),
            "size": lambda rng: rng.choice(["1.5E+10", "small"]),
        },
    ).warnings
    (sentence,) = [one for one in said if one.startswith("id has ")]
    assert f"1.15292E+18 in row 5 of t.csv (line 6), in {len(range(4, ROWS, 9))} rows in all, of which a" in sentence
    assert not [one for one in said if one.startswith("size has ")]


def test_such_a_word_among_numbers_is_told_once(tmp_path: Path) -> None:
    warnings = planned(tmp_path, {"share": lambda rng: rng.choice(["12.5 %", "7.25 %", "n.a."])}).warnings
    (said,) = [one for one in warnings if one.startswith("share is ")]
    assert said.endswith("say that it means missing: `--missing share=n.a.`.")


@pytest.mark.parametrize("words", [("na", "nd", "sd"), ("ka", "ba"), ("known", "new"), ("none", "some")])
def test_a_state_or_a_plain_word_is_not(words: tuple[str, ...], tmp_path: Path) -> None:
    assert not [one for one in planned(tmp_path, {"flag": lambda rng: rng.choice(words)}).warnings if "missing" in one]


def test_ordinary_columns_are_none_of_them(tmp_path: Path) -> None:
    said = planned(tmp_path, ORDINARY).warnings
    assert not [one for one in said if "seems to hold" in one or " holds " in one]
