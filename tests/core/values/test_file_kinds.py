"""What a file is by its first bytes: each kind under each name, and tables under their own."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
import pytest

from mlops_assets.core.values.file_kinds import START, fault_inside, fault_of_kind

FRAME = pd.DataFrame({"a": [1.5, 2.5], "c": ["x", "y"]})
CSV = FRAME.to_csv(index=False).encode()


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def zipped(buffer: io.BytesIO) -> None:
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")


def sqlite() -> bytes:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("create table t (a)")
        return connection.serialize()


TABLE = pa.Table.from_pandas(FRAME)
MADE: dict[str, bytes] = {
    "Parquet": written(lambda buffer: pq.write_table(TABLE, buffer)),
    "an Arrow (Feather) file": written(lambda buffer: pa.feather.write_feather(TABLE, buffer)),
    "an ORC file": written(lambda buffer: pa.orc.write_table(TABLE, buffer)),
    "gzip": gzip.compress(CSV),
    "bzip2": bz2.compress(CSV),
    "xz": lzma.compress(CSV),
    "zstd": pa.compress(CSV, codec="zstd", asbytes=True),
    "a zip archive (an Excel workbook is one)": written(zipped),
    "a SQLite database": sqlite(),
    "text in UTF-16": CSV.decode().encode("utf-16"),
    "JSON": json.dumps([{"a": 1}]).encode(),
    "a web page (an error page, say)": b"\n<!DOCTYPE html><html><body>404</body></html>",
    "XML": b"\xef\xbb\xbf<?xml version='1.0'?><rows/>",
}
"""Each made by the library that such files come from."""


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.tsv", "t"])
@pytest.mark.parametrize("kind", list(MADE))
def test_another_kind_is_named_with_the_remedy(kind: str, name: str) -> None:
    told = fault_of_kind(name, MADE[kind][:START])
    if kind == "Parquet" and name.endswith("parquet"):
        assert told == ""
        return
    assert told.startswith(f"is {kind} by its content, and ")
    assert told.partition(": ")[2]
    assert "{" not in told


def test_text_under_the_name_of_something_else() -> None:
    assert fault_of_kind("day.parquet", CSV) == "is text by its content, and Parquet by its name: name it day.csv"
    assert fault_of_kind("day.csv.gz", CSV).endswith("gzip by its name: name it day.csv")
    assert fault_of_kind("day.csv", MADE["Parquet"][:START]).endswith("name it day.parquet")
    assert fault_of_kind("day.csv", MADE["gzip"]).endswith("name it day.csv.gz")


@pytest.mark.parametrize(
    "start",
    [
        CSV, b"", b"a\n", b"\xef\xbb\xbfa,b\n1,2\n", "größe;ß\n1;2\n".encode(), b"PAR1,PAR2\n1,2\n",
        b"ORC,BZh\n1,2\n", b"PK,name\n1,2\n", b"[id],name\n", b'"a","b"\n', b"<id>,name\n", b"sep=;\na;b\n",
        b"BZh91AY\n1\n",
        "größe".encode()[:3],
    ],
)  # fmt: skip
def test_tables_under_their_own_names_have_no_fault(start: bytes) -> None:
    assert fault_of_kind("t.csv", start) == ""


def test_what_nobody_knows_is_left_to_the_readers() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        start = b"\x07" + rng.bytes(300)
        assert fault_of_kind("t.csv", start) == fault_of_kind("t.parquet", start) == ""


def test_the_docs_example_is_a_table() -> None:
    file = Path(__file__).parents[3] / "docs" / "examples" / "subscriptions.csv"
    assert fault_of_kind(file.name, file.read_bytes()[:START]) == ""


def test_what_gzip_holds_is_named_by_what_it_is() -> None:
    table = b"a,b\n1,2\n"
    assert fault_inside("days.csv.gz", table) == ""
    assert fault_inside("days.csv.gz", gzip.compress(table)).startswith("is gzip within gzip: unpack it once")
    assert "export the table" in fault_inside("days.csv.gz", b"<html><body>404</body></html>")
