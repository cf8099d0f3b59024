"""The head of a CSV file that is longer than any, or has more columns than anyone compares one by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.values.csv_head import LONGEST_CELL, NoHead, head_of
from mlops_assets.onboarding.reading.table import UnreadableTable, read_table
from mlops_assets.steps.land.landed_rows import parse
from mlops_assets.world.files.refused_files import refuse_file
from mlops_assets.world.files.table_files import open_table

SOURCE = SourceSettings.model_validate(
    {"name": "t", "description": "Rows.", "grain": "none", "files": "t.csv", "contract": {"columns": {}}}
)


def test_names_that_are_cut_off_are_no_names(tmp_path: Path) -> None:
    """c144960 cut after c14496 was told as a column that is there twice."""
    names = ",".join(f"c{i}" for i in range(300_000))
    assert len(names) > LONGEST_CELL
    file = tmp_path / "t.csv"
    file.write_text(f"{names}\n{','.join('1' * 300_000)}\n")
    said = "begins with names of more than 1,048,576 bytes in all: leave out what no model needs"
    with pytest.raises(UnreadableTable, match=said):
        read_table(str(file))
    with pytest.raises(ValueError, match=said):
        open_table(str(file))
    with pytest.raises(ValueError, match=said):
        parse(file.name, file.read_bytes(), SOURCE)


def test_what_ends_within_the_beginning_is_whole() -> None:
    assert head_of("a,b\n1,2", is_cut=True).names == ("a", "b")
    assert head_of("a,b").names == ("a", "b")
    with pytest.raises(NoHead, match="more than"):
        head_of("a,b", is_cut=True)


def test_a_separator_in_quotes_is_read_but_behind_a_mark(tmp_path: Path) -> None:
    """There DuckDB took the rows for one cell: a header and no rows."""
    rows = "\r\nat;size\r\n" + "2024-01-01;1.5\r\n" * 3
    file = tmp_path / "t.csv"
    for line in ("sep=;", '"sep=;"', "\ufeffsep=;"):
        file.write_text(line + rows, encoding="utf-8", newline="")
        assert read_table(str(file)).rows == len(parse(file.name, file.read_bytes(), SOURCE)) == 3
        assert list(open_table(str(file)).kinds) == ["at", "size"]
    file.write_text('\ufeff"sep=;"' + rows, encoding="utf-8", newline="")
    said = 'begins with "sep=;" in quotes behind a byte order mark: remove that line, or its quotes'
    with pytest.raises(UnreadableTable, match=said):
        read_table(str(file))
    with pytest.raises(ValueError, match=said):
        open_table(str(file))
    with pytest.raises(ValueError, match=said):
        parse(file.name, file.read_bytes(), SOURCE)


def test_a_hundred_thousand_names_are_compared_at_once(tmp_path: Path) -> None:
    """Each with each took minutes."""
    file = tmp_path / "t.csv"
    file.write_text(",".join(f"c{i}" for i in range(100_000)) + ",C7\n")
    with pytest.raises(ValueError, match="has the column c7, C7 twice"):
        refuse_file(file, 2**30)
