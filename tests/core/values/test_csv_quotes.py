"""A stray quote that makes one cell of several rows is named; cells of several lines are left alone.

What lives here: lines, seeded. What does not: whole tables (tests/onboarding).
"""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pytest

from mlops_assets.core.values.csv_head import head_of
from mlops_assets.core.values.csv_quotes import fault_of_quotes
from mlops_assets.onboarding.reading.loading import UnreadableTable
from mlops_assets.onboarding.reading.table import read_table
from mlops_assets.steps.land.landed_rows import parse
from mlops_assets.world.files.table_files import open_table
from tests.landing_home import source

TEXTS = ["pipe", "2 inch pipe", 'rod 5"', '6" pipe', "a, b", 'he said "no"', "", "12", "x;y"]
LINES = [
    "12 Main St, Springfield\nIL 62701",
    "Hello,\nthanks for the parcel, it came, late\n\nbye",
    "5 items\n7, 8, and 9 are broken",
    'called "the box"\nsecond line, with commas, here\nthird',
    "a\nb",
    "2024-01-02: called\n2024-01-03: called again",
    "\n",
    "one, two\nthree, four",
]


def written(
    rows: list[list[object]], names: list[str], *, separator: str = ",", newline: str = "\n", every: bool = False
) -> str:
    file = io.StringIO()
    quoting = csv.QUOTE_ALL if every else csv.QUOTE_MINIMAL
    csv.writer(file, delimiter=separator, lineterminator=newline, quoting=quoting).writerows([names, *rows])
    return file.getvalue()


def fault(text: str) -> str:
    return fault_of_quotes(io.BytesIO(text.encode()), head_of(text))


def table(seed: int, texts: list[str], n: int = 60) -> list[list[object]]:
    r = np.random.default_rng(seed)
    return [
        [
            f"2024-01-{1 + i % 28:02} 10:00:00",
            round(float(r.normal(50, 9)), 2),
            texts[r.integers(len(texts))],
            int(r.integers(2)),
        ]
        for i in range(n)
    ]


NAMES = ["at", "x", "note", "y"]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("every", [False, True], ids=["as needed", "all in quotes"])
def test_texts_of_several_lines_are_left_alone(seed: int, separator: str, every: bool) -> None:
    rows = table(seed, TEXTS + LINES)
    for columns in ([0, 1, 2, 3], [1, 2], [2, 1], [3, 0, 2], [2, 3, 0], [2, 2, 2, 2]):
        names = [f"{NAMES[place]}{i}" for i, place in enumerate(columns)]
        picked = [[row[place] for place in columns] for row in rows]
        assert (
            fault(written(picked, names, separator=separator, newline="\r\n" if seed % 2 else "\n", every=every)) == ""
        )


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize(("first", "last"), [(20, 29), (20, 21), (20, 22), (5, 55)])
@pytest.mark.parametrize("ends", ['rod 5"', 'rod" end', '5"'])
def test_a_quote_that_swallows_rows_is_named(first: int, last: int, ends: str, separator: str, newline: str) -> None:
    rows = table(first, ["pipe", "rod"])
    for shape in ([0, 1, 2, 3], [2, 1, 0], [0, 2]) if last > first + 2 else ([0, 1, 2, 3], [2, 1, 0]):
        lines = [separator.join(NAMES[place] for place in shape)]
        for i, row in enumerate(rows):
            note = {first: '"5 inch', last: ends}.get(i, row[2])
            lines.append(separator.join(str(note if place == 2 else row[place]) for place in shape))
        told = fault(newline.join(lines) + newline)
        assert f"has a quote in line {first + 2:,} that begins a cell, and the next one, in line {last + 2:,}," in told
        assert '("5 inch)' in told
        assert told.endswith('write each quote of its text twice: "5"" pipe"')


def test_it_is_named_beside_cells_in_quotes_and_texts_of_several_lines() -> None:
    rows = table(1, LINES, 20) + table(2, ["pipe"], 20) + table(3, TEXTS, 20)
    text = written(rows, NAMES).splitlines(keepends=True)
    first = next(i for i, line in enumerate(text) if ",pipe," in line)
    text[first] = text[first].replace("pipe", '"5 inch')
    text[first + 9] = text[first + 9].replace("pipe", 'rod 5"')
    assert f"has a quote in line {first + 1} that begins" in fault("".join(text))
    assert "the 8 lines between them would be one cell" in fault("".join(text))


def test_words_alone_are_rows_where_there_are_many_columns() -> None:
    rows = [[f"{word}{chr(97 + i % 26)}" for word in ("red", "big", "old", "new")] for i in range(40)]
    lines = ["a,b,c,d", *(",".join(row) for row in rows)]
    lines[5], lines[9] = lines[5].replace("big", '"big'), lines[9].replace(",old", '",old')
    assert "in line 6 that begins a cell, and the next one, in line 10" in fault("\n".join(lines))


@pytest.mark.parametrize("place", [3, 59])
def test_a_quote_that_none_follows_is_named(place: int) -> None:
    lines = written(table(4, ["pipe"]), NAMES).splitlines()
    lines[place] = lines[place].replace("pipe", '"5 inch')
    told = fault("\n".join(lines) + "\n")
    assert told.startswith(
        f'has a quote in line {place + 1} that begins a cell, and none that ends it ("5 inch). Leave'
    )


def test_a_cell_longer_than_pythons_limit(tmp_path: Path) -> None:
    rows = table(6, ["pipe"], 8000)
    lines = written(rows, NAMES).splitlines()
    text = '"' + "\n".join(["a long note without an end"] * 8000) + '"'
    assert fault("\n".join([*lines[:5], f"2024-01-01,1.5,{text},0", *lines[5:]])) == ""
    lines[7] = lines[7].replace("pipe", '"5 inch')
    assert "line 8 that begins a cell, and none that ends it" in fault("\n".join(lines))
    lines[7990] = lines[7990].replace("pipe", 'rod 5"')
    assert "the next one, in line 7,991, ends it" in fault("\n".join(lines))


def test_a_literal_quote_behind_a_cell_of_several_lines() -> None:
    rows = written(table(7, ["pipe"]), ["at", "x", "note", "size"]).splitlines()
    rows[9] = '2024-01-09,1.5,"it came, late\nand broken",rod 5"'
    assert fault("\n".join(rows)) == ""


@pytest.mark.parametrize("behind", ["a", " a", 'a"'])
def test_a_cell_of_several_lines_that_ends_early_is_named(behind: str) -> None:
    content = f'x,c\n1,"a\n2,b\nx,c\n1,"{behind}\n2,b\n'.encode() * 3
    said = fault_of_quotes(io.BytesIO(content), head_of("x,c\n"))
    assert said.startswith(
        'has a quote in line 2 that begins a cell, and the next one, in line 5, ends it before its text does ("a)'
    )
    for blanks in ("", " ", "\t "):
        sound = f'x,c\n"a\nb"{blanks},1\n"c\nd"{blanks}\n'.encode()
        assert fault_of_quotes(io.BytesIO(sound), head_of("x,c\n")) == ""


def test_lines_are_counted_from_the_top_of_the_file() -> None:
    """Behind a line that names the separator, and names of two lines."""
    lines = ["sep=,", 'at,x,"note', 'of it",y', *(f"2024-01-01,{i},pipe,1" for i in range(9))]
    lines[6], lines[8] = '2024-01-01,3,"5 inch,1', '2024-01-01,5,rod 5",1'
    assert "line 7 that begins a cell, and the next one, in line 9" in fault("\n".join(lines))


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
@pytest.mark.parametrize("last", ['rod 5"', "rod 5"], ids=["swallows", "unmatched"])
def test_each_way_in_refuses_the_file(name: str, last: str, tmp_path: Path) -> None:
    rows = table(5, ["pipe"])
    rows[20][2], rows[29][2] = '"5 inch', last
    content = "\n".join([",".join(NAMES), *(",".join(map(str, row)) for row in rows)]).encode()
    content = gzip.compress(content) if name.endswith(".gz") else content
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableTable, match=rf"{name} has a quote in line 22 that begins a cell.*Nothing was"):
        read_table(str(tmp_path / name))
    with pytest.raises(ValueError, match="has a quote in line 22 that begins a cell"):
        open_table(str(tmp_path / name))
    with pytest.raises(ValueError, match="has a quote in line 22 that begins a cell"):
        parse(name, content, source())


# --- a quote that ends a cell early ------------------------------------------------------------------------


EARLY = {
    '1,"5\\" pipe",x': 'has a quote behind a backslash in line 3 ("5\\" pipe',
    '1,"[\\"x\\",\\"y\\"]",x': "has a quote behind a backslash in line 3 (",
    '1,"A" team,x': 'has a quote in line 3 that ends a cell before its text does ("A" team)',
    '"B"2,y,x': 'has a quote in line 3 that ends a cell before its text does ("B"2)',
    '1,"{"k": "v"}",x': "has a quote in line 3 that ends a cell before its text does (",
}
SOUND = [
    '1,5" pipe,x', '1,"5"" pipe",x', '1,"he said ""x"" to",x', '1,"C:\\dir\\",x', '1,{"k": "v"},x',
    '1,"{""k"": ""v""}",x', '1,"x" ,y', '1,"x\ny ""q"" z",x\n2,"" ,x',
]  # fmt: skip


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("row", EARLY)
def test_a_quote_that_ends_a_cell_early_is_named_with_its_line(row: str, separator: str) -> None:
    text = f"a,b,c\n0,u,v\n{row}\n2,u,v\n".replace(",", separator)
    said = fault(text)
    assert said.startswith(EARLY[row].replace(",", separator))
    assert "twice" in said


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("row", SOUND)
def test_quotes_of_a_text_are_left_alone(row: str, separator: str) -> None:
    assert fault(f"a,b,c\n0,u,v\n{row}\n2,u,v\n".replace(",", separator)) == ""
