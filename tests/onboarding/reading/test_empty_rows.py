"""Rows without a value are no rows of data by any way in: left out of CSV files, counted, and said."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.drift.policy import DriftPolicy
from mlops_assets.core.sources.contract_check import check_frame
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.onboarding.reading.table import read_table
from mlops_assets.steps.land.landed_rows import parse, rows_in
from mlops_assets.steps.watch.drift_files import compare_files
from mlops_assets.world.files import empty_rows as module
from mlops_assets.world.files.empty_rows import counted_without, empty_rows, noted
from mlops_assets.world.files.table_files import open_table

SOURCE = SourceSettings.model_validate(
    {
        "name": "visits",
        "description": "One row per visit.",
        "event_time": "at",
        "start": "2024-01-01",
        "contract": {
            "columns": {
                "at": {"type": "timestamp"},
                "ward": {"type": "string", "max_null_share": 1},
                "age": {"type": "integer", "max_null_share": 1},
            }
        },
    }
)
HEAD = ["at", "ward", "age"]
ROW = ["2024-01-01 10:00:00", "A", "7"]
EMPTY = [["", "", ""], [" ", "", "\t"], ['""', "", '" "'], ["\u00a0", "\u2003", ""]]
KINDS = {"ward": "categorical", "age": "numeric"}


def written(rows: list[list[str]], path: Path, *, separator: str = ",", end: str = "\n", last: str = "\n") -> Path:
    text = end.join(separator.join(row) for row in [HEAD, *rows]) + last
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def with_empty(r: np.random.Generator, n: int) -> tuple[list[list[str]], list[int]]:
    """Rows with some without a value among and behind them, and where those stand."""
    rows, empty = [], []
    for _ in range(n):
        if r.random() < 0.2:
            empty.append(len(rows))
            rows.append(EMPTY[r.integers(len(EMPTY))])
        minutes = f"2024-01-01 {r.integers(10, 20)}:{r.integers(10, 60)}:00"
        rows.append([minutes, str(r.choice(["A", "B", ""])), str(r.choice(["", "31", "65"]))])
    for _ in range(r.integers(0, 4)):
        empty.append(len(rows))
        rows.append(EMPTY[r.integers(len(EMPTY))])
    return rows, empty


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("separator", "end", "name"), [(",", "\n", "v.csv"), (";", "\r\n", "v.csv.gz")])
def test_the_rows_are_those_of_the_file_without_them_by_every_way_in(
    seed: int, separator: str, end: str, name: str, tmp_path: Path
) -> None:
    r = np.random.default_rng(seed)
    rows, empty = with_empty(r, 60)
    (tmp_path / "plain").mkdir()
    rest = [row for number, row in enumerate(rows) if number not in empty]
    plain = written(rest, tmp_path / "plain" / name, separator=separator, end=end, last=end)
    file = written(rows, tmp_path / name, separator=separator, end=end, last="" if seed % 2 else end)
    with duckdb.connect() as session:
        assert empty_rows(session, file).tolist() == empty
        assert empty_rows(session, plain).tolist() == []
    read = read_table(str(file))
    assert read.rows == len(rest)
    same = [each.connection.sql(f"select * from {each.relation}").fetchall() for each in (read, read_table(str(plain)))]
    assert same[0] == same[1]
    assert read.left_out == tuple(noted(empty, f" of {name}"))
    landed = rows_in(name, file.read_bytes(), SOURCE, 2**30)
    assert list(landed.empty) == empty
    pd.testing.assert_frame_equal(landed.frame, parse(name, plain.read_bytes(), SOURCE))
    assert check_frame(SOURCE.rules, landed.frame).ok
    batches = [next(iter(open_table(str(each)).batches(KINDS))) for each in (file, plain)]
    assert batches[0].astype(str).equals(batches[1].astype(str))


def test_it_is_said_which_they_are(tmp_path: Path) -> None:
    rows = [ROW, EMPTY[0], *[ROW] * 150, EMPTY[1], EMPTY[0]]
    file = str(written(rows, tmp_path / "v.csv"))
    said = "3 rows without a value (rows 2, 153, 154 of v.csv) were left out."
    assert read_table(file).texts.notes[0] == said
    other = str(written([ROW] * 150, tmp_path / "w.csv"))
    assert compare_files(other, file, policy=DriftPolicy()).notes == (said,)
    assert compare_files(other, other, policy=DriftPolicy()).notes == ()
    assert noted([4]) == ["1 row without a value (row 5) was left out."]


def test_rows_behind_them_keep_their_place(tmp_path: Path) -> None:
    """A cell that is odd is named by its row and line in the file; a landed row by its number without them."""
    rows = [ROW, EMPTY[0], ROW, EMPTY[0], ["2024-01-01 11:00:00", "B", "ninety"], EMPTY[0]]
    table = read_table(str(written(rows, tmp_path / "v.csv")))
    assert table.place("age = 'ninety'") == "row 5 of v.csv (line 6)"
    landed = rows_in("v.csv", (tmp_path / "v.csv").read_bytes(), SOURCE, 2**30)
    assert "1 row of age (row 3) can't be read" in check_frame(SOURCE.rules, landed.frame).reason
    assert counted_without(landed.empty, len(landed.frame)) == [
        "Rows are counted without those that have no value: rows 2, 4."
    ]
    assert counted_without([3, 4], 3) == [], "behind the last one they change no number"


def test_several_files_each_say_their_own(tmp_path: Path) -> None:
    written([ROW, EMPTY[0], ["2024-01-02 10:00:00", "B", "8"]], tmp_path / "a.csv")
    written([["2024-01-03 10:00:00", "C", "9"], EMPTY[2]], tmp_path / "b.csv")
    table = read_table(f"{tmp_path}/*.csv")
    assert table.left_out == (
        "1 row without a value (row 2 of a.csv) was left out.",
        "1 row without a value (row 2 of b.csv) was left out.",
    )
    ages = table.connection.sql(f"select age from {table.relation} order by age").fetchall()
    assert ages == [(7,), (8,), (9,)]
    assert table.place("age = 9") == "row 1 of b.csv (line 2)"


def test_a_column_that_is_called_as_their_number_is_no_hindrance(tmp_path: Path) -> None:
    text = "rowid,number,is_empty\n1,2,x\n,,\n3,4,y\n,,\n"
    (tmp_path / "v.csv").write_text(text)
    table = read_table(str(tmp_path / "v.csv"))
    assert table.connection.sql(f"select * from {table.relation}").fetchall() == [(1, 2, "x"), (3, 4, "y")]
    (batch,) = open_table(str(tmp_path / "v.csv")).batches({"rowid": "numeric", "number": "numeric"})
    assert batch.to_numpy().tolist() == [[1, 2], [3, 4]]


def test_words_for_missing_and_lines_in_quotes_are_no_empty_rows(tmp_path: Path) -> None:
    rows = [ROW, ["NA", "NA", "NA"], ["2024-01-01 11:00:00", '"x\n,,\ny"', "8"]]
    file = written(rows, tmp_path / "v.csv")
    assert read_table(str(file)).rows == 3
    assert len(parse("v.csv", file.read_bytes(), SOURCE)) == 3
    (batch,) = open_table(str(file)).batches(KINDS)
    assert len(batch) == 3
    both = written([*rows, *[EMPTY[0]] * 2], tmp_path / "w.csv")
    assert read_table(str(both)).rows == 3
    assert len(parse("w.csv", both.read_bytes(), SOURCE)) == 3
    (batch,) = open_table(str(both)).batches(KINDS)
    assert batch["age"].isna().tolist() == [False, True, False]


def test_one_column_has_no_empty_rows(tmp_path: Path) -> None:
    with duckdb.connect() as session:
        (tmp_path / "v.csv").write_text('age\n1\n""\n \n2\n')
        assert len(empty_rows(session, tmp_path / "v.csv")) == 0


@pytest.mark.parametrize("chunk", [1, 2, 3, 7])
@pytest.mark.parametrize(
    "text", ["a,b\n1,2\n,\n3,4\n", "a,b\n1,2\n ,\t", "a,b\r1,2\r,\r3,4\r", 'a,b\r\n1,2\r\n"",\r\n']
)
def test_a_line_that_two_pieces_share_is_seen(chunk: int, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlops_assets.core.values.csv_head import head_of

    monkeypatch.setattr(module, "_CHUNK", chunk)
    assert module.may_have_empty_rows(io.BytesIO(text.encode()), head_of(text))
    full = text.replace(",\n", "5,\n").replace(" ,", "5,").replace("\r,\r", "\r5,\r").replace('"",', "5,")
    assert not module.may_have_empty_rows(io.BytesIO(full.encode()), head_of(full))


@pytest.mark.parametrize(("header", "place"), [(",at,ward,age", 1), ("at,ward, ,age", 3), ("at,ward,age,", 4)])
def test_a_column_with_values_and_no_name_is_refused_as_a_new_model_refuses_it(
    header: str, place: int, tmp_path: Path
) -> None:
    rows = [["2024-01-01 10:00:00", "A", "7"], ["2024-01-01 11:00:00", "B", "8"]]
    lines = [header]
    for row, cell in zip(rows, ["", "x"], strict=True):
        row.insert(place - 1, cell)
        lines.append(",".join(row))
    file = tmp_path / "v.csv"
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=rf"Column {place} of the table has no name, and a value in row 2 of v.csv"):
        read_table(str(file))
    with pytest.raises(ValueError, match=rf"its column {place} has no name, and a value in row 2 \('?x'?\): write"):
        parse("v.csv", file.read_bytes(), SOURCE)
    table = open_table(str(file))
    assert list(table.kinds) == HEAD
    assert table.left_out == {f"column {place}": "it has no name in v.csv"}
    empty = file.with_name("w.csv")
    empty.write_text(file.read_text().replace("x", ""))
    assert list(parse("w.csv", empty.read_bytes(), SOURCE)) == HEAD
    assert (list(open_table(str(empty)).kinds), open_table(str(empty)).left_out) == (HEAD, {})
