"""Rows that stand in two files count once where one file wrote what the other had, and are named where nobody can tell.

What lives here: whole tables of small files, seeded. What does not: days that land twice (test_landed_parts).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.onboarding.odd.repeated_rows import corrected_rows
from mlops_assets.onboarding.reading.table import Table, read_table


def sales(seed: int = 1, n: int = 400) -> pd.DataFrame:
    r = np.random.default_rng(seed)
    at = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(n) * 1800, "s")
    shop = r.choice(["a", "b"], n)
    return pd.DataFrame({"at": at, "shop": shop, "x": r.normal(50, 9, n).round(1), "y": r.integers(0, 2, n)})


def read(files: Mapping[str, pd.DataFrame], folder: Path) -> Table:
    for name, rows in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rows.to_parquet(path, index=False) if name.endswith("parquet") else rows.to_csv(path, index=False)
    return read_table(str(folder))


def said(table: Table) -> str:
    return " ".join((*table.repeats.notes, *table.repeats.warnings))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_copy_in_a_folder_below_counts_once(kind: str, tmp_path: Path) -> None:
    rows = sales()
    files = {f"a.{kind}": rows[:200], f"b.{kind}": rows[200:], f"old/a.{kind}": rows[:200]}
    table = read(files, tmp_path)
    assert table.rows == 400
    assert table.repeats.notes == (
        "200 rows that another file has, too, count once: "
        f"200 rows of old/a.{kind} (the first is row 1, row 1 of a.{kind}).",
    )
    assert table.texts.notes[-1:] == table.repeats.notes


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("again", [1, 2, 10])
def test_exports_that_begin_with_the_last_rows_of_the_one_before(again: int, seed: int, tmp_path: Path) -> None:
    rows = sales(seed)
    table = read({f"d{i:02}.csv": rows[max(0, 40 * i - again) : 40 * (i + 1)] for i in range(10)}, tmp_path)
    read_back = table.connection.sql(f'select * from {table.relation} order by "at"').df()
    pd.testing.assert_frame_equal(read_back, rows, check_dtype=False)
    assert f"{9 * again} rows that another file has, too, count once: {again} row" in said(table)
    assert f"of d01.csv (the first is row 1, row {41 - again} of d00.csv)" in said(table)


@pytest.mark.parametrize("name", ["rowid", "ROWID"])
def test_a_column_that_is_called_as_the_numbers_of_rows_hides_no_copy(name: str, tmp_path: Path) -> None:
    """As SQLite exports them, and as small as places are: rows were kept twice, or others left out in their place."""
    rows = sales()
    rows.insert(0, name, np.arange(len(rows))[::-1])
    table = read({"a.csv": rows[:250], "b.csv": rows[240:]}, tmp_path)
    read_back = table.connection.sql(f'select * from {table.relation} order by "at"').df()
    pd.testing.assert_frame_equal(read_back, rows, check_dtype=False)
    assert "10 rows of b.csv (the first is row 1, row 241 of a.csv)" in said(table)
    assert table.place(f"{name} = 0") == "row 160 of b.csv (line 161)"
    changed = rows[300:310].assign(x=-1.0)
    table = read({"a.csv": rows[:250], "b.csv": rows[240:], "c.csv": pd.concat([rows[290:300], changed])}, tmp_path)
    assert "c.csv" in " ".join(corrected_rows(table.cells, table.repeats, "at", '"at"', zone="UTC", grain="day"))


def test_all_of_a_year_beside_its_months_and_a_file_in_another_order(tmp_path: Path) -> None:
    rows = sales()
    table = read({"all.csv": rows, "m1.csv": rows[:200], "m2.csv": rows[200:].sample(frac=1, random_state=1)}, tmp_path)
    assert table.rows == 400


def test_a_place_is_still_that_of_the_file(tmp_path: Path) -> None:
    rows = sales()
    rows.loc[350, "x"] = 999.5
    table = read({"a.csv": rows[:200], "b.csv": rows[190:]}, tmp_path)
    assert table.rows == 400
    assert table.place("x = 999.5") == "row 161 of b.csv (line 162)"


def test_equal_rows_of_one_file_are_events_of_their_own(tmp_path: Path) -> None:
    rows = sales()
    twice = pd.concat([rows[:50], rows[40:50], rows[50:]])
    assert read({"a.csv": twice}, tmp_path).rows == 410
    table = read({"a.csv": twice, "b.csv": twice[:300]}, tmp_path)
    assert table.rows == 410, "as often as the file with most of them has"


def test_equal_rows_here_and_there_are_named_and_kept(tmp_path: Path) -> None:
    """Two sensors that nothing tells apart read the same now and then."""
    r = np.random.default_rng(7)
    at = pd.date_range("2024-01-01", periods=300, freq="h")
    files = {f"{name}.csv": pd.DataFrame({"at": at, "x": r.integers(10, 30, 300), "y": 0}) for name in "ab"}
    table = read(files, tmp_path)
    assert table.rows == 600
    assert "are equal in all cells to rows of another file, here and there" in said(table)
    assert "of b.csv (the first is row" in said(table)
    assert table.texts.warnings[-1:] == table.repeats.warnings


def test_days_and_a_few_categories_are_equal_by_chance(tmp_path: Path) -> None:
    """An export cut at noon whose rows have a day, a shop and a flag: some of the afternoon are as the morning's."""
    rows = sales().assign(at=lambda rows: rows["at"].dt.date)[["at", "shop", "y"]]
    table = read({"a.csv": rows[:210], "b.csv": rows[210:]}, tmp_path)
    assert table.rows == 400
    assert "are equal in all cells to rows of another file, here and there" in said(table)
    copied = read({"a.csv": rows[:210], "b.csv": rows[210:], "old/a.csv": rows[:210]}, tmp_path / "copied")
    assert copied.rows == 400, "many kinds of rows in one order"


def test_nothing_is_said_of_ordinary_files(tmp_path: Path) -> None:
    for seed in range(5):
        rows = sales(seed)
        table = read({f"{seed}/m{i}.csv": rows[100 * i : 100 * (i + 1)] for i in range(4)}, tmp_path / str(seed))
        assert (table.rows, said(table)) == (400, "")


def again(table: Table) -> str:
    return " ".join(
        corrected_rows(table.cells, table.repeats, "at", "timezone('UTC', \"at\")", zone="UTC", grain="day")
    )


@pytest.mark.parametrize("share", [0.02, 0.3, 1.0], ids=["a row", "some rows", "all rows"])
def test_a_day_that_comes_again_with_other_values_is_named(share: float, tmp_path: Path) -> None:
    rows = sales()
    fifth = rows[rows["at"].dt.day == 5].reset_index(drop=True)
    corrected = fifth.assign(x=fifth["x"] + np.where(np.arange(48) < max(1, share * 48), 100.0, 0.0)[::-1])
    table = read({"a.csv": rows, "b.csv": corrected}, tmp_path)
    told = said(table) + again(table)
    if share < 0.3:
        assert "47 rows of b.csv (the first is row 1, row 193 of a.csv)" in told
        assert "with other values: row 48 of b.csv (in a.csv, too). They are there twice" in told
    else:
        assert (
            f"Two files hold 2024-01-05 (48 rows of a.csv, {15 if share < 1 else 48} rows of b.csv), with most rows"
            in told
        )


def test_a_corrected_row_among_copies_is_named(tmp_path: Path) -> None:
    rows = sales()
    corrected = rows[:100].copy()
    corrected.loc[40, "x"] = 999.5
    table = read({"a.csv": rows[:200], "b.csv": rows[200:], "fix/a.csv": corrected}, tmp_path)
    assert "99 rows of fix/a.csv (the first is row 1, row 1 of a.csv)" in said(table)
    assert "with other values: row 41 of fix/a.csv (in a.csv, too). They are there twice" in again(table)


@pytest.mark.parametrize("place", [0, 4, 9])
def test_a_corrected_row_where_exports_overlap_is_named(place: int, tmp_path: Path) -> None:
    rows = sales()
    later = rows[190:].copy().reset_index(drop=True)
    later.loc[place, "y"] = 7
    told = again(read({"a.csv": rows[:200], "b.csv": later}, tmp_path))
    assert f"with other values: row {place + 1} of b.csv (in a.csv, too)" in told


def test_a_file_a_shop_and_a_day_cut_at_noon_are_ordinary(tmp_path: Path) -> None:
    rows = sales()
    shops = {f"{shop}.csv": group for shop, group in rows.groupby("shop")}
    hours = {f"{shop}.csv": rows.assign(shop=shop, x=rows["x"] + place) for place, shop in enumerate("ab")}
    noon = {"a.csv": rows[:210], "b.csv": rows[210:]}
    days = {name: part.assign(at=part["at"].dt.date) for name, part in noon.items()}
    for place, files in enumerate((shops, hours, noon, days)):
        table = read(files, tmp_path / str(place))
        assert said(table) + again(table) == ""


def test_a_file_with_a_heading_alone_moves_no_place(tmp_path: Path) -> None:
    rows = sales()
    table = read({"a.csv": rows[:200], "b.csv": rows[:0], "c.csv": rows[180:]}, tmp_path)
    assert table.rows == 400
    assert "20 rows of c.csv (the first is row 1, row 181 of a.csv)" in said(table)


def test_the_rows_of_a_file_are_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To count a CSV file's rows is to read it; what asks for places and for repeats shares the count."""
    for name, rows in {"a": 3, "b": 5}.items():
        lines = [f"2024-01-{1 + i:02},{i % 2}" for i in range(rows)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["at,x", *lines]))
    table = read_table(str(tmp_path))
    assert list(table.counts.values()) == [3, 5]
    assert table.rows == 5
    # A file that is gone cannot be counted again.
    (tmp_path / "b.csv").rename(tmp_path / "b.moved")
    assert table.cells.rows_of_files == [3, 5]
