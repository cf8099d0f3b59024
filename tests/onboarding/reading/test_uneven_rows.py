"""A row of a CSV with a cell too many or too few, far down: its line is named by the first command that meets it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.onboarding.reading.loading import UnreadableTable
from mlops_assets.onboarding.reading.table import read_table

ROWS = 700


def written(folder: Path, row: str, *, at: int = 500, name: str = "export.csv") -> Path:
    lines = [f"{n},2024-01-{1 + n % 28:02d} 10:00:00,{n}.5,{n % 2}" for n in range(ROWS)]
    lines[at] = row
    file = folder / name
    file.write_text("\n".join(["id,opened,price,label", *lines]) + "\n")
    return file


@pytest.mark.parametrize(
    ("row", "cells"), [("500,2024-01-24 10:00:00,1,5,0", 5), ("500,2024-01-24 10:00:00,1", 3), ("500", 1)]
)
def test_the_line_is_named(tmp_path: Path, row: str, cells: int) -> None:
    file = written(tmp_path, row)
    told = f"line 502 has {counted(cells)} and its header 4 names. Give each row as many cells"
    for asked in (file, tmp_path, tmp_path / "*.csv"):
        with pytest.raises(UnreadableTable) as refused:
            read_table(str(asked))
        assert str(file) in str(refused.value)
        assert told in str(refused.value)


def counted(cells: int) -> str:
    return f"{cells} cell{'' if cells == 1 else 's'}"
