"""Which files a path, a folder or a glob means: what is no regular file is named before anything is opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlops_assets.world.files.matching import matches


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.csv").write_text("x\n1\n")
    return tmp_path


@pytest.mark.parametrize("name", ["b.csv", "b.parquet", "b.tsv.gz"])
@pytest.mark.parametrize("asked", ["", "*", "{name}"])
def test_a_pipe_is_refused_by_name_and_not_opened(folder: Path, name: str, asked: str) -> None:
    os.mkfifo(folder / name)
    with pytest.raises(ValueError, match=rf"{name} is no regular file: a pipe.* Put the file itself there"):
        matches(str(folder / asked.format(name=name)))


def test_so_is_a_link_to_one_or_to_nothing(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "link.csv").symlink_to("pipe")
    with pytest.raises(ValueError, match=r"link\.csv is no regular file"):
        matches(str(folder))
    (folder / "link.csv").unlink()
    (folder / "broken.csv").symlink_to("nowhere.csv")
    with pytest.raises(ValueError, match=r"broken\.csv is no regular file"):
        matches(str(folder))


def test_other_pipes_and_folders_do_no_harm_and_a_link_to_a_file_is_that_file(folder: Path) -> None:
    os.mkfifo(folder / "control")
    (folder / "sub.csv").mkdir()
    (folder / "sub.csv" / "c.csv").write_text("x\n2\n")
    (folder / "A_latest.csv").symlink_to("a.csv")
    os.link(folder / "a.csv", folder / "hard.csv")
    assert [path.name for path in matches(str(folder))] == ["a.csv", "c.csv"]
    assert [path.name for path in matches(str(folder / "*.csv"))] == ["a.csv"]
    assert [path.name for path in matches(str(folder / "A_*.csv"))] == ["A_latest.csv"], "asked for alone"
