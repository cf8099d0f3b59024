"""`mlops drift`: any two sets of files, what it says of them, and what it refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from decimal import Decimal
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import Result

from mlops_assets.core.drift.feature_drift import compare
from mlops_assets.core.drift.grid import Grid
from mlops_assets.core.drift.policy import DriftPolicy, drift_verdict
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.drift.sampled_grid import GridBuilder
from mlops_assets.steps.watch.drift_files import compare_files

Mlops = Callable[..., Result]
ROWS = 3_000


def frame(shift: float = 0.0, seed: int = 1, rows: int = ROWS) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": np.arange(rows),
            "age": np.where(random.random(rows) < 0.1, np.nan, random.normal(40, 10, rows) + 10 * shift),
            "amount": np.exp(random.standard_normal(rows)),
            "visits": random.poisson(3, rows),
            "country": random.choice(["DE", "FR", "NO"], rows),
            "active": pd.array(random.random(rows) < 0.5, dtype="boolean"),
            "at": pd.date_range("2024", periods=rows, freq="min", tz="UTC"),
        }
    )


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    frame().to_parquet("old.parquet")
    frame(1.0, seed=2).to_parquet("new.parquet")
    frame(seed=3).to_parquet("like.parquet")
    return tmp_path


def read(result: Result) -> dict:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def features(found: dict) -> dict[str, dict]:
    return {row["feature"]: row for row in found["features"]}


# --- what it says ------------------------------------------------------------------------------------------


def test_statistics_and_verdict_are_those_of_the_platform(mlops: Mlops, files: Path) -> None:
    found = read(mlops("drift", "old.parquet", "new.parquet", "--json"))
    old, new = frame(), frame(1.0, seed=2)
    grid = Grid.from_reference(old)
    expected = {d.feature: d for d in compare(Profile.of(grid, old), Profile.of(grid, new)) if d.feature != "id"}
    assert set(features(found)) == set(expected)
    for name, row in features(found).items():
        for key, value in asdict(expected[name]).items():
            assert row[key] == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value), (name, key)
    verdict = drift_verdict(list(expected.values()), DriftPolicy())
    assert (found["drift"], found["reason"], found["drifted"]) == (True, verdict.reason, ["age"])
    assert found["features"][0]["feature"] == "age"
    assert features(found)["age"]["verdict"] == "drifted"
    assert found["left_out"] == {
        "at": "a time, or another type that has no distribution here",
        "id": "an identifier: 3,000 different values in 3,000 rows; --columns compares it",
    }
    assert found["reference"]["rows"] == found["current"]["rows"] == ROWS


def test_the_table_fits_80_columns(mlops: Mlops, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    wide = {"age": "customers_demographics__age_at_last_birthday_years"}
    for name in ("old", "new"):
        data = pd.read_parquet(f"{name}.parquet").rename(columns=wide)
        data["amount"] = data["amount"] * (1 if name == "old" else 1e6)
        data.to_parquet(f"{name}.parquet")
    for options in ((), ("--kl",)):
        result = mlops("drift", "old.parquet", "new.parquet", *options)
        table = result.output.split("features have drifted")[0].splitlines()[:-1]
        assert len(table) == 3 + 5  # two lines of headings, a rule, five features
        assert max(len(line.rstrip()) for line in table) <= 80
        assert "…" in table[3] + table[4]
        numbers = " ".join(line.split(maxsplit=1)[1] for line in table[3:])
        assert "…" not in numbers
        assert "drifted" in numbers


def test_the_worst_20_are_shown_unless_all_are_asked_for(mlops: Mlops, files: Path) -> None:
    random = np.random.default_rng(1)
    wide = {f"x{i:02}": random.standard_normal(300) for i in range(25)}
    pd.DataFrame(wide).to_parquet("a.parquet")
    pd.DataFrame({**wide, "x07": wide["x07"] + 2}).to_parquet("b.parquet")
    short = mlops("drift", "a.parquet", "b.parquet").output
    assert short.count(" num ") == 20
    assert "and 5 more" in short
    assert short.splitlines()[3].startswith("x07")
    assert mlops("drift", "a.parquet", "b.parquet", "--all").output.count(" num ") == 25


@pytest.mark.parametrize(
    ("current", "options", "code"),
    [
        ("like.parquet", (), 0),
        ("new.parquet", (), 0),
        ("like.parquet", ("--fail-on-drift",), 0),
        ("new.parquet", ("--fail-on-drift",), 1),
        ("new.parquet", ("--fail-on-drift", "--json"), 1),
    ],
)
def test_drift_is_no_failure_unless_asked(
    mlops: Mlops, files: Path, current: str, options: tuple[str, ...], code: int
) -> None:
    result = mlops("drift", "old.parquet", current, *options)
    assert result.exit_code == code
    if "--json" not in options:
        assert ("No drift." in result.output) is (current == "like.parquet")


def test_nothing_to_judge_does_not_pass_for_no_drift(mlops: Mlops, files: Path) -> None:
    pd.DataFrame({"x": np.full(200, 3.0)}).to_parquet("constant.parquet")
    result = mlops("drift", "constant.parquet", "constant.parquet", "--fail-on-drift")
    assert (result.exit_code, "Cannot judge." in result.output) == (1, True)
    assert "x cannot be judged: it has the same value in every row of both." in result.output


def test_identifiers_are_refused_and_the_rows_counted_all_the_same(mlops: Mlops, files: Path) -> None:
    pd.DataFrame({"key": [f"user-{i}" for i in range(12_000)]}).to_parquet("keys.parquet")
    found = read(mlops("drift", "keys.parquet", "keys.parquet", "--json"))
    assert (found["drift"], found["current"]["rows"]) == (None, 12_000)
    assert "as identifiers do" in features(found)["key"]["why"]


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([f"user-{i}" for i in range(400)]),
        pd.Series(range(10**6, 10**6 + 400)),
        pd.Series(np.random.default_rng(1).permutation(400)).astype("Int64"),
        pd.Series([10**17 + 7 * i for i in range(400)]),
    ],
    ids=["texts", "a counter", "shuffled", "far apart"],
)
def test_what_names_rows_is_no_feature_unless_asked_for(mlops: Mlops, files: Path, values: pd.Series) -> None:
    rows = pd.DataFrame({"order_id": values, "x": np.random.default_rng(2).normal(size=400)})
    rows.to_parquet("a.parquet")
    found = read(mlops("drift", "a.parquet", "a.parquet", "--json", "--html", "page.html"))
    assert (list(features(found)), list(found["left_out"])) == (["x"], ["order_id"])
    assert "Left out: order_id (an identifier: 400 different values in 400 rows" in Path("page.html").read_text()
    asked = read(mlops("drift", "a.parquet", "a.parquet", "--json", "--columns", "order_id"))
    assert list(features(asked)) == ["order_id"]


def test_numbers_that_measure_are_no_identifiers(mlops: Mlops, files: Path) -> None:
    random = np.random.default_rng(4)
    rows = {"cents": random.permutation(10**6)[:400], "share": random.random(400), "age": random.integers(0, 99, 400)}
    pd.DataFrame(rows).to_parquet("a.parquet")
    assert set(features(read(mlops("drift", "a.parquet", "a.parquet", "--json")))) == set(rows)


def test_an_identifier_is_known_by_a_sample_too() -> None:
    rows = 30_000
    builder = GridBuilder({"id": "numeric", "n": "numeric", "k": "numeric"}, sample_rows=1_000)
    random = np.random.default_rng(5)
    values = {"id": range(rows), "n": random.integers(0, 50, rows), "k": random.integers(0, 10**12, rows)}
    builder.add(pd.DataFrame(values))
    assert list(builder.identifiers()) == ["id"]


def test_the_headline_names_columns_that_changed_their_type(mlops: Mlops, files: Path) -> None:
    old = frame()
    old["plan"] = np.arange(ROWS) % 7
    old.to_parquet("old.parquet")
    frame(seed=2).assign(plan="basic").drop(columns="amount").to_parquet("new.parquet")
    result = mlops("drift", "old.parquet", "new.parquet", "--html", "page.html")
    head = "Columns changed (amount: only old.parquet has it; plan: a number in old.parquet and text in new.parquet)."
    assert f"{head} No drift in the others." in " ".join(result.output.split())
    assert f"<h1>{head} No drift in the others</h1>" in Path("page.html").read_text()
    assert read(mlops("drift", "old.parquet", "new.parquet", "--json"))["headline"] == f"{head} No drift in the others"


@pytest.mark.parametrize("seed", range(5))
def test_a_statistic_is_one_number_wherever_it_stands(mlops: Mlops, files: Path, seed: int) -> None:
    """In table, sentence, page and JSON; of many categories the one held against the limit is smaller than the PSI."""
    random = np.random.default_rng(seed)
    for name, power in {"a.parquet": 1, "b.parquet": 2}.items():
        codes = pd.Series((60 * random.random(900) ** power).astype(int).astype(str))
        pd.DataFrame({"code": codes, "x": random.normal(power, 1, 900)}).to_parquet(name)
    found = features(read(mlops("drift", "a.parquet", "b.parquet", "--json", "--preset", "high_stakes")))
    shown = mlops("drift", "a.parquet", "b.parquet", "--preset", "high_stakes", "--html", "page.html").output
    page = Path("page.html").read_text()
    assert found["code"]["psi"] > found["code"]["psi_excess"] > 0.1
    psi = f"{found['code']['psi']:.3f}"
    assert f"PSI {psi} over 0.1" in found["code"]["finding"]
    assert shown.count(psi) == 2
    assert page.count(psi) >= 3
    assert f"{found['code']['psi_excess']:.3g}" not in page


@pytest.mark.parametrize(("preset", "drifted"), [("high_stakes", True), ("default", False), ("low_stakes", False)])
def test_presets(mlops: Mlops, files: Path, preset: str, drifted: bool) -> None:
    frame(0.37, seed=2).to_parquet("some.parquet")
    found = read(mlops("drift", "old.parquet", "some.parquet", "--preset", preset, "--json", "--columns", "age"))
    assert 0.1 < features(found)["age"]["psi"] < 0.2
    assert found["drift"] is drifted


def test_kl_is_judged_on_request(mlops: Mlops, files: Path) -> None:
    plain = read(mlops("drift", "old.parquet", "new.parquet", "--json"))
    asked = read(mlops("drift", "old.parquet", "new.parquet", "--json", "--kl"))
    assert (plain["policy"]["kl"], asked["policy"]["kl"]) == (None, 0.15)
    assert "KL" not in features(plain)["age"]["finding"]
    assert "KL" in features(asked)["age"]["finding"]
    assert "KL" in mlops("drift", "old.parquet", "new.parquet", "--kl").output


def test_the_page_is_written_whole(mlops: Mlops, files: Path) -> None:
    result = mlops("drift", "old.parquet", "new.parquet", "--html", "page.html")
    assert result.exit_code == 0
    text = Path("page.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert text.endswith("</html>")
    assert all(name in text for name in ("age", "country", "Drift"))
    assert [path.name for path in files.glob(".*tmp")] == []


# --- which files and columns -------------------------------------------------------------------------------


def test_columns_are_left_out_together_or_one_by_one(mlops: Mlops, files: Path) -> None:
    together = read(mlops("drift", "old.parquet", "new.parquet", "--json", "--ignore", "at,age"))
    one_by_one = read(mlops("drift", "old.parquet", "new.parquet", "--json", "--ignore", "at", "--ignore", "age"))
    assert together == one_by_one
    assert "age" not in {feature["feature"] for feature in together["features"]}


def test_globs_folders_and_csv_are_the_same_rows(mlops: Mlops, files: Path) -> None:
    whole = frame()
    Path("days").mkdir()
    for i in range(3):
        whole.iloc[i * 1_000 : (i + 1) * 1_000].to_parquet(f"days/{i}.parquet")
    whole.to_csv("old.csv", index=False)
    told = [
        read(mlops("drift", reference, "new.parquet", "--json", "--ignore", "at"))["features"]
        for reference in ("old.parquet", "days/*.parquet", "days", "old.csv", str(files / "days" / "*"))
    ]
    for other in told[1:]:
        for ours, theirs in zip(told[0], other, strict=True):
            # The booleans of a CSV file are those of a Parquet file, and its numbers the same to the last digit.
            assert theirs == {k: pytest.approx(v, rel=1e-9) if isinstance(v, float) else v for k, v in ours.items()}


def test_types_of_parquet_are_understood(mlops: Mlops, files: Path) -> None:
    data = pd.DataFrame(
        {
            "decimal": [Decimal(i % 7) for i in range(300)],
            "int": pd.array([i % 5 if i % 3 else None for i in range(300)], dtype="Int64"),
            "category": pd.Categorical([f"c{i % 4}" for i in range(300)]),
            "none": [None] * 300,
            "list": [[1]] * 300,
            "small": np.arange(300, dtype=np.int8) % 9,
        }
    )
    data.to_parquet("types.parquet")
    found = read(mlops("drift", "types.parquet", "types.parquet", "--json"))
    rows = features(found)
    kinds = {"decimal": "numeric", "int": "numeric", "category": "categorical", "none": None, "small": "numeric"}
    assert {name: row["kind"] for name, row in rows.items()} == kinds
    assert rows["none"]["why"].startswith("the reference has no values")
    assert list(found["left_out"]) == ["list"]
    assert found["drift"] is False


def test_a_column_that_lost_all_its_values_has_drifted(mlops: Mlops, files: Path) -> None:
    gone = frame()
    gone["age"] = None
    gone.to_parquet("gone.parquet")
    gone.to_csv("gone.csv", index=False)
    for name in ("gone.parquet", "gone.csv"):
        row = features(read(mlops("drift", "old.parquet", name, "--json")))["age"]
        assert (row["verdict"], row["missing_change"] > 0.8) == ("drifted", True)
        assert "no value of the window is known" in row["why"]


def test_different_columns_are_named_and_the_rest_compared(mlops: Mlops, files: Path) -> None:
    frame().drop(columns="visits").assign(extra=1.0, country=1).to_parquet("other.parquet")
    found = read(mlops("drift", "old.parquet", "other.parquet", "--json"))
    assert set(features(found)) == {"age", "amount", "active"}
    assert set(found["left_out"]) == {"visits", "extra", "country", "at", "id"}
    output = mlops("drift", "old.parquet", "other.parquet").output
    assert "visits (only old.parquet has it)" in output
    assert "country (text in old.parquet and a number in other.parquet: give it one type)" in output


def test_the_cell_that_makes_a_text_of_numbers_is_named(mlops: Mlops, files: Path) -> None:
    numbers = "".join(f"{number},{number % 7}\n" for number in range(200))
    Path("old.csv").write_text(f"a,b\n{numbers}")
    Path("new.csv").write_text(f"a,b\n{numbers}n.a.,3\n{numbers}")
    why = "a (a number in old.csv and text in new.csv (n.a. in row 201 of new.csv): give it one type)"
    assert why in " ".join(mlops("drift", "old.csv", "new.csv").output.split())
    folder = Path("days")
    folder.mkdir()
    for name in ("old.csv", "new.csv"):
        Path(name).rename(folder / name)
    Path("old.csv").write_text(f"a,b\n{numbers}")
    assert "(n.a. in row 201 of new.csv)" in " ".join(mlops("drift", "old.csv", "days").output.split())


def test_numbers_with_a_decimal_comma_are_numbers(mlops: Mlops, files: Path) -> None:
    for name, data in (("old", frame()), ("new", frame(1.0, seed=2))):
        small = data.assign(amount=data["amount"] * 1e-9, grouped=[f"{1 + n % 9},234" for n in range(ROWS)])
        small.to_csv(f"{name}.csv", index=False, sep=";", decimal=",")
        small.drop(columns="grouped").to_parquet(f"{name}.parquet")
    found = features(read(mlops("drift", "old.csv", "new.csv", "--json")))
    exact = features(read(mlops("drift", "old.parquet", "new.parquet", "--json")))
    for name in ("age", "amount"):
        assert (found[name]["kind"], found[name]["verdict"]) == ("numeric", exact[name]["verdict"])
        assert found[name]["psi"] == pytest.approx(exact[name]["psi"], abs=1e-6)
    assert found["grouped"]["kind"] == "categorical"  # 1,234 may be a thousand and more


def test_columns_can_be_chosen(mlops: Mlops, files: Path) -> None:
    assert set(features(read(mlops("drift", "old.parquet", "new.parquet", "--json", "--columns", "age, country")))) == {
        "age",
        "country",
    }
    assert "id" not in features(read(mlops("drift", "old.parquet", "new.parquet", "--json", "--ignore", "id")))


def test_infinities_are_counted_and_harm_nothing(mlops: Mlops, files: Path) -> None:
    data = frame()
    data.loc[: ROWS // 2 - 1, "amount"] = np.inf
    data.loc[5, "amount"] = -np.inf
    data.to_parquet("infinite.parquet")
    for pair in (("old.parquet", "infinite.parquet"), ("infinite.parquet", "old.parquet")):
        row = features(read(mlops("drift", *pair, "--json")))["amount"]
        assert abs(row["missing_change"]) == pytest.approx(0.5)
        assert row["psi"] < 0.05
    assert (
        features(read(mlops("drift", "old.parquet", "infinite.parquet", "--json")))["amount"]["infinite_share"] == 0.5
    )


# --- what it refuses ---------------------------------------------------------------------------------------


def refused(result: Result, *words: str) -> None:
    assert result.exit_code == 1
    assert result.exception is None or isinstance(result.exception, SystemExit)
    for word in words:
        assert word in result.output, result.output


def test_files_that_cannot_be_read_are_named_with_the_remedy(mlops: Mlops, files: Path) -> None:
    refused(mlops("drift", "none-*.parquet", "new.parquet"), "No file matches 'none-*.parquet'", "in quotes")
    Path("notes.txt").write_text("x", encoding="utf-8")
    refused(mlops("drift", "notes.txt", "new.parquet"), "neither Parquet nor CSV", ".parquet")
    whole = Path("old.parquet").read_bytes()
    Path("cut.parquet").write_bytes(whole[: len(whole) // 2])
    refused(mlops("drift", "cut.parquet", "new.parquet"), "cut.parquet cannot be read", "write it again")
    # The footer is there, rows are not.
    broken = bytearray(whole)
    broken[100 : len(whole) // 2] = os.urandom(len(whole) // 2 - 100)
    Path("broken.parquet").write_bytes(broken)
    refused(mlops("drift", "old.parquet", "broken.parquet"), "broken.parquet cannot be read", "write it again")
    Path("empty.csv").write_text("", encoding="utf-8")
    refused(mlops("drift", "old.parquet", "empty.csv"), "empty.csv")
    frame().replace({"country": {"NO": "Norvège"}}).to_csv("latin.csv", index=False, encoding="latin-1")
    refused(mlops("drift", "latin.csv", "old.parquet"), "latin.csv is not UTF-8", "iconv -f latin1 -t utf-8")


def test_too_few_rows_are_refused(mlops: Mlops, files: Path) -> None:
    frame(rows=99).to_parquet("few.parquet")
    refused(mlops("drift", "few.parquet", "new.parquet"), "few.parquet has 99 rows", "at least 100", "more files")
    frame(rows=0).to_parquet("none.parquet")
    refused(mlops("drift", "old.parquet", "none.parquet"), "none.parquet has no rows", "Wait until")
    Path("head.csv").write_text("age,visits\n", encoding="utf-8")
    refused(mlops("drift", "old.parquet", "head.csv"), "head.csv has no rows")


def test_columns_that_do_not_match_are_refused(mlops: Mlops, files: Path) -> None:
    refused(mlops("drift", "old.parquet", "new.parquet", "--columns", "agee"), "'agee'", "They have: id, age")
    refused(mlops("drift", "old.parquet", "new.parquet", "--ignore", "agee"), "'agee'")
    pd.DataFrame({"other": range(200)}).to_parquet("other.parquet")
    refused(mlops("drift", "old.parquet", "other.parquet"), "no column that can be compared", "the second other")


TYPES = {
    "a time without a zone": pd.date_range("2024", periods=200, freq="h"),
    "a time with a zone": pd.date_range("2024", periods=200, freq="h", tz="UTC"),
    "a date": pd.date_range("2024", periods=200).date,
    "a duration": pd.to_timedelta(np.arange(200), unit="h"),
    "a list of numbers": [[1, 2]] * 200,
    "a list of texts": [["a"]] * 200,
    "a record of k (numbers)": [{"k": 1}] * 200,
    "bytes": [b"a", b"b"] * 100,
    "a number": np.arange(200) % 7,
    "text": ["a", "b", "c", "d"] * 50,
}


@pytest.mark.parametrize(("one", "other"), list(permutations(TYPES, 2)))
def test_each_change_of_type_is_named(one: str, other: str, tmp_path: Path) -> None:
    for name in {one, other}:
        pd.DataFrame({"x": np.arange(200) % 9, "y": TYPES[name]}).to_parquet(tmp_path / f"{name}.parquet")
    old, new = (str(tmp_path / f"{name}.parquet") for name in (one, other))
    found = compare_files(old, new, policy=DriftPolicy())
    assert found.broken == ("y",)
    assert f"y: {one} in {old} and {other} in {new}" in found.headline
    assert not compare_files(old, old, policy=DriftPolicy()).broken


def test_a_time_that_became_a_list_ends_with_2(mlops: Mlops, files: Path) -> None:
    frame().assign(at=[[1]] * ROWS).to_parquet("list.parquet")
    found = mlops("drift", "old.parquet", "list.parquet", "--fail-on-drift")
    assert (found.exit_code, "at: a time with a zone in" in found.output) == (2, True)
    for same in ("same.csv", "same.parquet"):
        getattr(frame(), f"to_{same[5:]}")(same, index=False)
        assert mlops("drift", "old.parquet", same, "--fail-on-drift").exit_code == 0
    frame()[["at"]].to_parquet("one.parquet")
    refused(mlops("drift", "one.parquet", "list.parquet", "--columns", "at"), "a list of numbers in list.parquet")


@pytest.mark.parametrize(
    ("base", "is_judged"), [(0, True), (10**17, True), (10**24, False), (10**29, False), (10**37, False)]
)
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_decimals_that_no_float_tells_apart_are_not_judged(
    base: int, is_judged: bool, kind: str, mlops: Mlops, files: Path
) -> None:
    values = [int(value) for value in np.random.default_rng(5).integers(0, 10**6, ROWS)]
    for name, off in (("a", 0), ("b", 10**9)):
        numbers = [Decimal(base + off + value) for value in values]
        rows = pd.DataFrame({"v": pd.Series(numbers, dtype=pd.ArrowDtype(pa.decimal128(38, 0)))})
        getattr(rows, f"to_{kind}")(f"{name}.{kind}", index=False)
    found = mlops("drift", f"a.{kind}", f"b.{kind}", "--columns", "v", "--fail-on-drift")
    assert found.exit_code == 1
    assert ("more digits than a float" in " ".join(found.output.split())) is not is_judged
    same = mlops("drift", f"a.{kind}", f"a.{kind}", "--columns", "v", "--fail-on-drift")
    assert same.exit_code == (0 if is_judged else 1)


def test_no_home_is_made(mlops: Mlops, files: Path) -> None:
    mlops("drift", "old.parquet", "new.parquet")
    assert not (files / "home").exists()


@pytest.mark.parametrize(
    ("change", "options", "code"),
    [
        (lambda f: f.drop(columns="age"), (), 2),
        (lambda f: f.assign(age=f.age.astype(str)), (), 2),
        (lambda f: f.assign(at=1.0), (), 2),
        (lambda f: f.assign(country=1), (), 2),
        (lambda f: f.drop(columns="age"), ("--ignore", "age"), 0),
        (lambda f: f.assign(more=1.0), (), 0),
        (lambda f: f.assign(visits=f.visits.astype(float)), (), 0),
    ],
    ids=["gone", "text", "a time is a number", "a text is a number", "ignored", "one more", "another width"],
)
def test_a_column_that_is_gone_or_changed_fails(
    mlops: Mlops, files: Path, change: Callable[[pd.DataFrame], pd.DataFrame], options: tuple[str, ...], code: int
) -> None:
    change(frame(seed=3)).to_parquet("changed.parquet")
    assert mlops("drift", "old.parquet", "changed.parquet", *options).exit_code == 0
    result = mlops("drift", "old.parquet", "changed.parquet", "--fail-on-drift", *options)
    assert result.exit_code == code
    assert ("Gone, or of another type:" in result.output) is (code == 2)


@pytest.mark.parametrize("share", [0.97, 0.98, 0.99])
def test_the_rows_beside_a_spike_are_judged_as_if_they_were_alone(mlops: Mlops, files: Path, share: float) -> None:
    random = np.random.default_rng([11, int(100 * share)])
    for name, level in (("a", 100.0), ("b", 100.0), ("far", 1000.0)):
        values = np.where(random.random(5_000) < share, 0.0, random.normal(level, 1, 5_000))
        pd.DataFrame({"x": values}).to_parquet(f"{name}.parquet")
    assert read(mlops("drift", "a.parquet", "b.parquet", "--json"))["drift"] is False
    found = read(mlops("drift", "a.parquet", "far.parquet", "--json"))
    assert found["drifted"] == ["x"]
    assert "PSI beside its most frequent values" in found["reason"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("is_alone", [True, False])
def test_a_text_that_became_a_flag_ends_with_2(mlops: Mlops, files: Path, kind: str, is_alone: bool) -> None:
    random = np.random.default_rng(12)
    more = {} if is_alone else {"y": random.normal(size=500)}
    for name, values in (("a", random.choice(["north", "south"], 500)), ("b", random.random(500) < 0.5)):
        getattr(pd.DataFrame({"f": values, **more}), f"to_{kind}")(f"{name}.{kind}", index=False)
    for one, other in (("a", "b"), ("b", "a")):
        found = mlops("drift", f"{one}.{kind}", f"{other}.{kind}", "--fail-on-drift")
        assert (found.exit_code, "true and false in" in " ".join(found.output.split())) == (2, True)


def test_the_only_column_is_gone(mlops: Mlops, files: Path) -> None:
    pd.DataFrame({"f": np.arange(500.0)}).to_parquet("a.parquet")
    pd.DataFrame({"g": np.arange(500.0)}).to_parquet("b.parquet")
    found = mlops("drift", "a.parquet", "b.parquet", "--fail-on-drift")
    assert (found.exit_code, "f: only a.parquet has it" in " ".join(found.output.split())) == (2, True)
    assert mlops("drift", "a.parquet", "b.parquet").exit_code == 1


def test_times_of_csv_are_times_and_texts_of_parquet_are_not(mlops: Mlops, files: Path) -> None:
    at = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.arange(500), unit="h")
    for name, values in (("text", at.strftime("%Y-%m-%dT%H:%M:%SZ")), ("time", at), ("word", ["north"] * 500)):
        pd.DataFrame({"at": values, "y": np.arange(500)}).to_parquet(f"{name}.parquet")
    pd.DataFrame({"at": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "y": np.arange(500)}).to_csv("text.csv", index=False)
    for one, other in (("text.csv", "time.parquet"), ("text.parquet", "text.csv"), ("text.parquet", "text.parquet")):
        assert mlops("drift", one, other, "--fail-on-drift").exit_code == 0
    for one, other in (("time.parquet", "text.parquet"), ("text.parquet", "time.parquet")):
        result = mlops("drift", one, other, "--fail-on-drift")
        assert (result.exit_code, "Gone, or of another type: at." in result.output) == (2, True)
    assert mlops("drift", "time.parquet", "word.parquet", "--fail-on-drift").exit_code == 2


def test_long_identifiers_are_counted_as_they_are() -> None:
    builder = GridBuilder({"customer_id": "numeric", "order_id": "numeric"})
    ids = 10**18 + np.arange(670)
    builder.add(pd.DataFrame({"customer_id": ids[np.arange(670) % 324], "order_id": ids}))
    assert builder.identifiers() == {
        "order_id": "an identifier: 670 different values in 670 rows; --columns compares it"
    }


def test_a_psi_over_the_limit_that_is_no_drift_says_why(mlops: Mlops, files: Path) -> None:
    random = np.random.default_rng(4)
    shares = np.concatenate([[0.6], 0.4 * random.dirichlet(np.full(3_000, 0.5))])
    for name, rows in (("a", 5_000), ("b", 800)):
        pd.DataFrame({"score": [f"c{i}" for i in random.choice(3_001, rows, p=shares)]}).to_parquet(f"{name}.parquet")
    found = read(mlops("drift", "a.parquet", "b.parquet", "--json"))
    assert features(found)["score"]["psi"] > 0.2
    assert "score has a PSI of" in found["reason"]
    assert "which chance makes of its rare values" in found["reason"]


def test_the_presets_of_the_command_are_those_of_the_yaml() -> None:
    from typing import get_args, get_type_hints

    from mlops_assets.commands.drift import drift
    from mlops_assets.core.drift.policy import DriftPolicy, DriftPreset

    assert get_args(get_type_hints(drift)["preset"]) == get_args(DriftPreset)
    assert all(DriftPolicy.of_preset(name) for name in get_args(DriftPreset))
