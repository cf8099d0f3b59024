"""One value in several spellings: a flag is read as one, or every spelling is named with its row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.sources.contract import SourceContract
from mlops_assets.core.values.exact import FALSE, TRUE
from mlops_assets.onboarding.asked import Asked
from mlops_assets.onboarding.labels import NoLabel
from mlops_assets.onboarding.plan import Plan, make_plan
from mlops_assets.onboarding.reading.instructions import Reading
from mlops_assets.onboarding.reading.table import read_table
from tests.onboarding.reading.test_texts import ROWS, dropped_rows, landed_rows, plain, source, table

Write = Callable[[Path, list[str]], Path]


def as_csv(folder: Path, texts: list[str], column: str = "f") -> Path:
    return table(folder, lambda i: {**plain(i), column: texts[i]})


def as_parquet(folder: Path, texts: list[str], column: str = "f") -> Path:
    pd.DataFrame([{**plain(i), column: texts[i]} for i in range(ROWS)]).to_parquet(folder / "t.parquet")
    return folder / "t.parquet"


def planned(file: Path, label: str = "y", **asked: str) -> Plan:
    return make_plan(Asked("t", str(file), label=label, **asked))  # type: ignore[arg-type]


def spell(rng: np.random.Generator, flags: list[bool], *, of: list[list[str]]) -> list[str]:
    """Flags in spellings drawn at random, each of which stands somewhere, in capitals or not."""
    words = [str(rng.choice(of[flag])) for flag in flags]
    for flag in (False, True):
        places = [place for place, one in enumerate(flags) if one == flag]
        for place, word in zip(places, of[flag], strict=False):
            words[place] = word
    changes = (str, str.upper, str.capitalize, lambda text: f"{text} ")
    return [changes[rng.integers(4)](word) for word in words]


@pytest.mark.parametrize("write", [as_csv, as_parquet])
@pytest.mark.parametrize("seed", range(8))
def test_a_flag_in_any_of_its_spellings_is_one(write: Write, seed: int, tmp_path: Path) -> None:
    """Seeds 0 to 7: random subsets of the known spellings with a word among them, as a feature and as the label."""
    rng = np.random.default_rng(seed)
    flags = [bool(flag) for flag in rng.random(ROWS) < 0.3]
    some = [
        ["no", *rng.choice(sorted(FALSE - {"no"}), rng.integers(1, len(FALSE)), replace=False)],
        ["yes", *rng.choice(sorted(TRUE - {"yes"}), rng.integers(1, len(TRUE)), replace=False)],
    ]
    file = write(tmp_path, spell(rng, flags, of=some))
    plan = planned(file, label="f")
    assert (plan.label.task, plan.label.classes) == ("binary", ("false", "true"))
    found = plan.table.connection.execute("select f from landed order by rowid").fetchall()
    assert [flag for (flag,) in found] == flags
    assert {c.name: c.role for c in planned(file).columns}["f"] == "boolean"
    settings = source(plan)
    assert settings.contract.columns["f"].type == "boolean"
    assert landed_rows(plan, settings, tmp_path / "landing").sort_values("at")["f"].tolist() == flags
    assert dropped_rows(file, settings)["f"].tolist() == flags


@pytest.mark.parametrize(
    ("texts", "role"),
    [
        (["1", "1.0", "0"], "boolean"),
        (["0", "1"], "categorical"),
        (["Y", "F"], "categorical"),
        (["T", "N", "F"], "categorical"),
        (["yes", "Yes"], "categorical"),
        (["yes", "no", "unknown"], "categorical"),
    ],
)
def test_what_texts_of_a_flag_are(texts: list[str], role: str, tmp_path: Path) -> None:
    plan = planned(as_parquet(tmp_path, [texts[i % len(texts)] for i in range(ROWS)]))
    assert {c.name: c.role for c in plan.columns}["f"] == role


SPELLED: dict[str, tuple[list[str], list[list[str]]]] = {
    "flags": (["Y", "no", "yes", "N", "Ja", "nein"], [["Ja", "Y", "yes"], ["N", "nein", "no"]]),
    "another language": (["oui", "Oui", "non", "NON", "Non"], [["NON", "Non", "non"], ["Oui", "oui"]]),
    "one who does not know": (["yes", "Y", "no", "unknown"], [["Y", "yes"]]),
    "digits and letters": (["1", "0", "Y"], [["1", "Y"]]),
    "capitals": (
        ["Berlin", "Rome", "berlin", "ROME", "rome", "Oslo"],
        [["Berlin", "berlin"], ["ROME", "Rome", "rome"]],
    ),
    "blanks": (["NYC", "nyc", " NYC ", "LA"], [[" NYC ", "NYC", "nyc"]]),
    "blanks within": (["basic plan", "pro", "basic  plan "], [["basic  plan ", "basic plan"]]),
    "zeros": (["7", "007", "0012", "12", "100"], [["0012", "12"], ["007", "7"]]),
    "zeros and floats": (["A1", "31.0", "31", "031", "7"], [["031", "31", "31.0"]]),
    "none": (["Berlin", "Rome", "Y", "1", "007", "0010", "1.2.10", "1.2.1", "A07", "A7"], []),
    "one each": (["ja", "nein"], []),
    "sizes": (["F", "f", "M", "y"], [["F", "f"]]),
}


@pytest.mark.parametrize("kind", SPELLED)
def test_all_spellings_of_all_values_are_told(kind: str, tmp_path: Path) -> None:
    texts, groups = SPELLED[kind]
    file = as_csv(tmp_path, [texts[i % len(texts)] for i in range(ROWS)])
    warned = [said for said in planned(file).warnings if "spellings of one value" in said]
    assert len(warned) == bool(groups)
    for one in groups:
        told = ", ".join(
            f"{text!r} in row {texts.index(text) + 1} of t.csv (line {texts.index(text) + 2})" for text in one
        )
        assert f"{len(one)} " in warned[0]
        assert f"({told})" in warned[0]


@pytest.mark.parametrize("kind", [kind for kind in SPELLED if SPELLED[kind][1]])
def test_a_label_in_several_spellings_is_refused_with_all_of_them(kind: str, tmp_path: Path) -> None:
    texts, groups = SPELLED[kind]
    file = as_csv(tmp_path, [texts[i % len(texts)] for i in range(ROWS)])
    with pytest.raises(NoLabel, match=r"Write each value in one spelling, or say --task multiclass") as caught:
        planned(file, label="f")
    assert all(repr(text) in str(caught.value) for one in groups for text in one)
    assert len(planned(file, label="f", task="multiclass").label.classes) == len(texts)


def test_spellings_among_many_values_are_told(tmp_path: Path) -> None:
    file = as_csv(tmp_path, [f"town {i % 120}" if i else "Town 119" for i in range(ROWS)])
    assert any(
        "('Town 119' in row 1 of t.csv (line 2), 'town 119' in row 120" in said for said in planned(file).warnings
    )


def test_numbers_with_and_without_zeros_among_many_are_told(tmp_path: Path) -> None:
    file = as_csv(tmp_path, [f"{i % 280:05}" if i else "279" for i in range(ROWS)])
    assert any("f has 2 spellings of one value ('279' in row 1 of t.csv (line 2), '00279' in row 280" in said
               for said in planned(file).warnings)  # fmt: skip
    ordinary = as_csv(tmp_path, [f"{i % 280:05}" for i in range(ROWS)])
    assert not any("spellings" in said for said in planned(ordinary).warnings)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (
            ["yes", "no", "unknown"],
            r"\('no', 'unknown', 'yes'\), and a binary label has 2\. Say `--task multiclass`, make",
        ),
        ([0, 1, 2], r"3 different values \('0', '1', '2'\).*Say `--task multiclass`.*`--missing WORD`"),
        (range(40), r"40 different values \('0', '1', .* and 20 more\).*Say `--task regression`"),
        ([f"c{i}" for i in range(30)], "Name another column with --label, make fewer values of them in the file"),
    ],
)
def test_a_binary_label_of_more_values_is_refused_with_the_way_out(
    values: list[object], told: str, tmp_path: Path
) -> None:
    file = table(tmp_path, lambda i: {**plain(i), "f": values[i % len(values)]})
    with pytest.raises(NoLabel, match=told):
        planned(file, label="f", task="binary")


@pytest.mark.parametrize("write", [as_csv, as_parquet])
@pytest.mark.parametrize("words", [("yes", "no"), ("Y", "N"), ("true", "false"), ("Yes", "Y", "no")])
def test_what_is_declared_as_text_lands_as_it_stands(write: Write, words: tuple[str, ...], tmp_path: Path) -> None:
    """Else a contract that allows `yes` and `no` would meet `true` and `false`."""
    texts = [words[i % len(words)] for i in range(ROWS)]
    columns = {"at": {"type": "timestamp"}, "f": {"type": "string"}}
    declared = SourceContract.from_dict({"columns": columns}, event_time="at").columns
    table_read = read_table(str(write(tmp_path, texts)), reading=Reading("UTC", declared=declared))
    found = table_read.connection.execute("select f from landed order by rowid").fetchall()
    assert [text for (text,) in found] == texts
