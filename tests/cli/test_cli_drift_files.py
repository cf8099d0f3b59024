"""What `mlops drift` says of files that hold no table, and of cells that hold nothing."""

from __future__ import annotations

import gzip
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import Result

from mlops_assets.core.values.sql import is_blank
from mlops_assets.onboarding.reading.table import read_table

Mlops = Callable[..., Result]
ROWS = 1_000


def frame(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"a": rng.normal(size=ROWS).round(3), "c": rng.choice(list("xyz"), ROWS)})


def parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    frame().to_csv("good.csv", index=False)
    return tmp_path


EMPTY = "is empty, without even a header: it is still being written, or its writer failed. Wait, or write it again"
TWICE = "has the column {} twice (names that differ in capitals or blanks are one). Rename or remove one"
NO_ROWS = "has no rows. Wait until its data has come, or give other files"
A = pa.array(np.arange(200) / 7)
BAD: dict[str, tuple[bytes, str]] = {
    "no_bytes.csv": (b"", EMPTY),
    "no_bytes.tsv": (b"", EMPTY),
    "no_bytes.csv.gz": (b"", EMPTY),
    "no_bytes.parquet": (b"", EMPTY),
    "packed_nothing.csv.gz": (gzip.compress(b""), EMPTY),
    "only_a_mark.csv": (b"\xef\xbb\xbf", EMPTY),
    "only_lines.csv": (b"\n \n\n", EMPTY),
    "line_first.csv": (b"\na,c\n1,x\n", "begins with an empty line"),
    "header.csv": (b"a,c\n", NO_ROWS),
    "header.csv.gz": (gzip.compress(b"a,c\n"), NO_ROWS),
    "header_cut.csv": (b"a,c", NO_ROWS),
    "header.parquet": (parquet(pa.table({"a": A[:0], "c": pa.array([], pa.string())})), NO_ROWS),
    "no_columns.parquet": (parquet(pa.table({})), "has no columns"),
    "excel.csv": (b"PK\x03\x04" + bytes(range(256)), "a zip archive (an Excel workbook is one) by its content"),
    "page.csv": (b"<!DOCTYPE html><html></html>\n", "a web page (an error page, say) by its content"),
    "table.csv": (parquet(pa.table({"a": A})), "is Parquet by its content, and text such as CSV by its name"),
    "text.parquet": (b"a,c\n1,x\n", "is text by its content, and Parquet by its name: name it text.csv"),
    "plain.csv.gz": (b"a,c\n1,x\n", "is text by its content, and gzip by its name: name it plain.csv"),
    "in_gzip.csv.gz": (gzip.compress(parquet(pa.table({"a": A}))), "is Parquet by its content"),
    "twice.csv": (b"a,c,a\n1,x,2\n", TWICE.format("a")),
    "twice_in_capitals.csv": (b"a,c,A\n1,x,2\n", TWICE.format("a, A")),
    "twice_but_for_blanks.csv": (b"a,c, a \n1,x,2\n", TWICE.format("a")),
    "twice.parquet": (parquet(pa.table([A, A], names=["a", "a"])), "has the column a twice. Rename or remove one"),
    "uneven.csv": (b"a,c\n" + b"1,x\n" * 150 + b"1,2,3\n", "line 152 has 3 cells and its header 2 names"),
}


@pytest.mark.parametrize("fails", [(), ("--fail-on-drift",)], ids=["", "fail-on-drift"])
@pytest.mark.parametrize("name", list(BAD))
def test_one_sentence_with_the_remedy_and_exit_code_1(
    mlops: Mlops, files: Path, name: str, fails: tuple[str, ...]
) -> None:
    content, told = BAD[name]
    Path(name).write_bytes(content)
    for pair in (("good.csv", name), (name, "good.csv")):
        result = mlops("drift", *pair, *fails)
        assert result.exit_code == 1
        assert isinstance(result.exception, SystemExit), result.exception
        assert f"{name} " in result.stderr
        assert told in " ".join(result.stderr.split())
        assert len(result.stderr.strip().splitlines()) == 1
        assert result.stdout == ""


BLANKS = [" ", "   ", "\t", "\u00a0", " \u2003 ", "\x0b", "\x1f\x85"]


def compared(mlops: Mlops, *pair: str) -> dict[str, Any]:
    result = mlops("drift", *pair, "--json")
    assert result.exit_code == 0, result.output
    return {row["feature"]: row for row in json.loads(result.stdout)["features"]}


@pytest.mark.parametrize("blank", BLANKS)
@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet", "dictionary.parquet"])
def test_a_blank_cell_is_missing_like_an_empty_one(mlops: Mlops, files: Path, blank: str, ending: str) -> None:
    """The same rows with blanks and with nothing in their place are one table, whatever the column holds."""
    data = frame(1).assign(whole=np.arange(ROWS) % 7, flag=np.arange(ROWS) % 2 == 0)
    is_blank = np.random.default_rng(2).random(ROWS) < 0.3
    for name, value in (("blank", blank), ("none", None)):
        # A row of a CSV file that is all blank is none: one column keeps its values.
        columns = list(data)[1:] if "csv" in ending else ["c"]
        texts = data.assign(**{column: data[column].astype(str).where(~is_blank, value) for column in columns})
        if ending == "dictionary.parquet":
            texts["c"] = texts["c"].astype("category")
        if "csv" in ending:
            texts.to_csv(f"{name}.{ending}", index=False)
        else:
            texts.to_parquet(f"{name}.{ending}", index=False)
    found = compared(mlops, f"none.{ending}", f"blank.{ending}")
    assert len(found) == 4
    for row in found.values():
        assert (row["psi"], row["missing_change"], row["verdict"]) == (0.0, 0.0, "stable")
    assert compared(mlops, "good.csv", f"blank.{ending}")["c"]["missing_change"] == pytest.approx(is_blank.mean())


def test_a_column_of_blanks_alone_has_lost_its_values(mlops: Mlops, files: Path) -> None:
    frame().assign(c="  ").to_csv("blank.csv", index=False)
    row = compared(mlops, "good.csv", "blank.csv")["c"]
    assert (row["missing_change"], row["verdict"]) == (1.0, "drifted")


def test_one_rule_says_what_is_blank_in_all_readers() -> None:
    """Python's, which the contract goes by; DuckDB's and Arrow's of every character agree with it."""
    every = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code <= 0xDFFF]
    table = pa.table({"text": every})
    with duckdb.connect() as connection:
        connection.register("every_text", table)
        sql = connection.execute(f"select {is_blank('text')} from every_text").fetchall()
    wanted = [text.isspace() for text in every]
    assert [said for (said,) in sql] == wanted
    assert pc.utf8_is_space(table["text"]).to_pylist() == wanted


def test_columns_called_like_our_own_words(mlops: Mlops, files: Path) -> None:
    frame().rename(columns={"a": "self", "c": "texts"}).to_csv("odd.csv", index=False)
    assert set(compared(mlops, "odd.csv", "odd.csv")) == {"self", "texts"}


def test_an_empty_file_in_a_folder_is_named(mlops: Mlops, files: Path) -> None:
    Path("days").mkdir()
    shutil.copy("good.csv", "days/1.csv")
    Path("days/2.csv").touch()
    result = mlops("drift", "good.csv", "days")
    assert (result.exit_code, "days/2.csv is empty" in result.stderr) == (1, True)


def test_the_row_numbers_that_pandas_wrote_are_no_column(mlops: Mlops, files: Path) -> None:
    frame().query("a > 0").to_parquet("filtered.parquet")
    frame().set_index("c").to_parquet("named.parquet")
    assert set(compared(mlops, "filtered.parquet", "filtered.parquet")) == {"a", "c"}
    assert set(compared(mlops, "named.parquet", "filtered.parquet")) == {"a", "c"}


@pytest.mark.parametrize("current", ["commas.csv", "days"])
def test_a_decimal_comma_in_one_file_and_a_point_in_another_are_named(mlops: Mlops, files: Path, current: str) -> None:
    frame().to_csv("commas.csv", index=False, sep=";", decimal=",")
    Path("days").mkdir()
    shutil.copy("commas.csv", "days/1.csv")
    shutil.copy("good.csv", "days/2.csv")
    result = mlops("drift", "good.csv", current, "--html", "page.html")
    commas = "1.csv" if current == "days" else current
    told = rf"a has a decimal point in (good|2)\.csv and a decimal comma in {commas}: .* Write all with one mark\."
    assert re.search(told, " ".join(result.output.split()))
    assert re.search(told, Path("page.html").read_text(encoding="utf-8"))
    assert not json.loads(mlops("drift", "good.csv", "good.csv", "--json").output)["notes"]


def test_a_page_that_cannot_be_written_is_refused_before_a_row_is_read(mlops: Mlops, files: Path) -> None:
    result = mlops("drift", "good.csv", "no-such-file.csv", "--html", "good.csv/page.html")
    said = " ".join(result.stderr.replace("│", " ").split())
    assert (result.exit_code, "is a file, so that nothing can be written in it" in said) == (2, True)
    assert not mlops("drift", "good.csv", "good.csv", "--html", "new/folder/page.html").exit_code
    assert Path("new/folder/page.html").exists()


@pytest.mark.parametrize(
    ("texts", "is_number"),
    [
        (["+5", "-3", "12", " "], True),
        (["+0.5", "-3.25", "12", "+7e3"], True),
        (["5", "-3", "12", "7"], False),
        (["05", "+3", "-12", "7"], False),
        (["+4917012345678", "+4917012345679", "+4917012345670", "+4917012345671"], False),
        (["+5", "-3", "many", "7"], False),
    ],
)
@pytest.mark.parametrize("is_dictionary", [False, True])
def test_signed_texts_of_parquet_are_what_new_model_and_landing_take_them_for(
    texts: list[str], is_number: bool, is_dictionary: bool, mlops: Mlops, files: Path
) -> None:
    """Digits that stand as texts are codes; with a plus beside them they are amounts, in CSV and Parquet alike."""
    column = pa.array([texts[i % len(texts)] for i in range(ROWS)])
    table = pa.table({"a": column.dictionary_encode() if is_dictionary else column, "z": np.arange(ROWS) / 7})
    pq.write_table(table, "signed.parquet")
    assert (compared(mlops, "signed.parquet", "signed.parquet")["a"]["kind"] == "numeric") is is_number
    read = read_table("signed.parquet").facts["a"]
    assert read.is_number is is_number
    if is_number:
        table.to_pandas().to_csv("signed.csv", index=False)
        same = compared(mlops, "signed.csv", "signed.parquet")["a"]
        assert (same["kind"], same["psi"], same["missing_change"]) == ("numeric", 0.0, 0.0)
