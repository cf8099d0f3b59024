"""Columns that some files lack, names and values that look alike, copies of a column: named, each with where it stands.

What lives here: whole tables of small files, seeded. What does not: flags and case (test_spellings).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.sources.contract import SourceContract
from mlops_assets.core.sources.contract_failures import shape_failures
from mlops_assets.core.values.column_names import look_of
from mlops_assets.onboarding.asked import Asked
from mlops_assets.onboarding.odd.look_alikes import columns_in_folders, copies, uneven_columns
from mlops_assets.onboarding.odd.spellings import spelled
from mlops_assets.onboarding.plan import make_plan
from mlops_assets.onboarding.reading.loading import UnreadableTable
from mlops_assets.onboarding.reading.table import read_table
from tests.onboarding.tables import churn

CAFE, CAFE_2 = unicodedata.normalize("NFC", "cafe\u0301"), "cafe\u0301"
ALIKE = {
    "accent": (CAFE, CAFE_2),
    "no width": ("north", "nor\u200bth"),
    "byte order mark": ("north", "\ufeffnorth"),
    "cyrillic": ("north", "n\u043erth"),
    "greek": ("Alpha", "\u0391lpha"),
    "soft hyphen": ("north", "no\u00adrth"),
    "no-break space": ("north sea", "north\u00a0sea"),
}


def sales(seed: int = 1, n: int = 400) -> pd.DataFrame:
    r = np.random.default_rng(seed)
    at = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(n) * 3600, "s")
    return pd.DataFrame(
        {
            "at": at,
            "amount": r.normal(50, 9, n).round(2),
            "shop": r.choice(["a", "b", "c"], n),
            "size": r.integers(0, 9, n),
            "y": r.integers(0, 2, n),
        }
    )


def written(files: Mapping[str, pd.DataFrame], folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for name, rows in files.items():
        rows.to_parquet(folder / name, index=False) if name.endswith("parquet") else rows.to_csv(
            folder / name, index=False
        )
    return folder


def warnings(files: Mapping[str, pd.DataFrame], folder: Path) -> str:
    table = read_table(str(written(files, folder)))
    return " ".join([*uneven_columns(table.files), *copies(table)])


def planned(files: Mapping[str, pd.DataFrame], folder: Path) -> str:
    return " ".join(make_plan(Asked("shop", str(written(files, folder)), time="at", label="y")).warnings)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_column_by_a_new_name_is_named_with_files(kind: str, tmp_path: Path) -> None:
    rows = sales()
    new = rows.rename(columns={"amount": "Amount (EUR)"})
    told = warnings({f"a.{kind}": rows[:200], f"b.{kind}": new[200:300], f"c.{kind}": new[300:]}, tmp_path)
    assert (
        f"amount is a column of a.{kind}, and Amount (EUR) of b.{kind} and 1 more in its place: they are two columns, "
        "each missing in the other files. If one is the other by a new name, write one name into all files." in told
    )


def test_a_column_that_some_files_lack_is_named_once(tmp_path: Path) -> None:
    rows = sales()
    told = planned({"a.csv": rows[:200], "b.csv": rows[200:300].drop(columns="size"), "c.csv": rows[300:]}, tmp_path)
    assert "size is no column of b.csv, and missing in their rows; a.csv and 1 more have it." in told
    assert "amount" not in told.split("size is no column")[1]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("pair", ALIKE.values(), ids=ALIKE)
def test_names_that_look_alike_are_named(pair: tuple[str, str], kind: str, tmp_path: Path) -> None:
    rows = sales().rename(columns={"amount": pair[0]})
    other = rows.rename(columns={pair[0]: pair[1]})
    if not pair[1].startswith("\ufeff"):  # at the beginning of a CSV file it is none of a name
        told = warnings({f"a.{kind}": rows[:200], f"b.{kind}": other[200:]}, tmp_path / "two")
        assert f"they look alike: {pair[0]!a} and {pair[1]!a}" in told
    both = rows.assign(**{pair[1]: 1})
    with pytest.raises(UnreadableTable, match=r"twice .*look alike.*Rename or remove one"):
        warnings({f"t.{kind}": both}, tmp_path / "one")


@pytest.mark.parametrize("pair", ALIKE.values(), ids=ALIKE)
def test_values_that_look_alike_are_one(pair: tuple[str, str]) -> None:
    assert spelled(["south", *pair]) == [sorted(pair)]


@pytest.mark.parametrize("pair", [ALIKE["accent"], ALIKE["no width"]], ids=["accent", "no width"])
def test_values_that_look_alike_are_named(pair: tuple[str, str], tmp_path: Path) -> None:
    rows = sales()
    rows["shop"] = np.where(np.arange(400) == 7, pair[1], np.where(np.arange(400) % 2 == 0, "south", pair[0]))
    told = planned({"t.csv": rows}, tmp_path)
    assert "shop has 2 spellings of one value (" in told
    assert f"{pair[1]!a} in row 8 of t.csv (line 9)" in told


def test_a_landed_file_whose_name_looks_as_declared_says_how_it_differs() -> None:
    contract = SourceContract.from_dict({"columns": {CAFE: {"type": "number"}, "x": {"type": "number"}}})
    (failure,) = shape_failures(contract, pd.DataFrame({CAFE_2: [1], "x": [1]}))
    assert r"is not declared (they look alike: 'caf\xe9', 'cafe\u0301'); did you rename" in failure.sentence


def test_what_looks_otherwise_is_otherwise() -> None:
    words = [
        "north",
        "nort",
        "rn",
        "m",
        "O",
        "0",
        "l",
        "1",
        "I",
        "straße",
        "strasse",
        "Москва",
        "Масква",
        "m2",
        "m²",
        "1.0",
    ]
    looks = {look_of(word) for word in words}
    assert len(looks) == len(words)
    assert look_of("\u200b") == "\u200b", "nothing else is there"


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_copy_of_a_column_is_named(kind: str, tmp_path: Path) -> None:
    rows = sales().assign(price=lambda rows: rows["amount"], shop_name=lambda rows: rows["shop"])
    rows.loc[5, ["amount", "price"]] = np.nan
    told = planned({f"t.{kind}": rows}, tmp_path)
    assert "price is amount in every row: as two features they tell one thing twice" in told
    assert "shop_name is shop in every row" in told


def test_nothing_is_said_of_ordinary_columns(tmp_path: Path) -> None:
    rows = sales().assign(
        mirrored=lambda rows: rows["amount"].to_numpy()[::-1], constant=1, other=1, flag=lambda rows: rows["size"] > 4
    )
    told = planned({"a.csv": rows[:200], "b.csv": rows[200:]}, tmp_path)
    assert not any(text in told for text in ("in every row", "no column of", "look alike", "spellings"))
    assert read_table(str(tmp_path)).rows == 400


@pytest.mark.parametrize("has_column", [False, True])
def test_a_column_in_the_names_of_folders_is_named(has_column: bool, tmp_path: Path) -> None:
    for color in ("blue", "red"):
        folder = tmp_path / "run=5" / f"color={color}"
        folder.mkdir(parents=True)
        rows = churn(120).assign(**({"color": color} if has_column else {}))
        rows.to_parquet(folder / "part-0.parquet", index=False)
    told = columns_in_folders(read_table(str(tmp_path / "run=5")))
    assert [sentence.split(" stands in")[0] for sentence in told] == ([] if has_column else ["color"])
    assert all("(color=blue, color=red)" in sentence and "it is left out" in sentence for sentence in told)
