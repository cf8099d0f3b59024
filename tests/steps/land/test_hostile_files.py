"""What others may put into a landing folder: nothing from outside it is read, repeated or opened to more readers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from mlops_assets.core.record.entries import Pause
from mlops_assets.steps.land.taking_in import take_in
from mlops_assets.world.atomic import read_regular, replacing, write_text
from mlops_assets.world.landed.landed_files import WHOLE, LandedFile, read_file
from mlops_assets.world.record.record import Record
from tests.landing_home import DAY, LandingHome, rows, source

NEXT = str(DAY + timedelta(days=1))
SECRET = "aws_secret_access_key = AKIA-NOT-FOR-YOU"


@pytest.fixture
def landing(tmp_path: Path) -> LandingHome:
    return LandingHome.at(tmp_path / "home")


@pytest.fixture(params=[0o077, 0o027, 0o022])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def everything(folder: Path) -> str:
    """All that a home holds, as text."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return "\n".join(path.read_bytes().decode("latin-1") for path in files)


def test_links_and_pipes_are_not_read(landing: LandingHome, tmp_path: Path) -> None:
    folder = landing.home.landing / "orders"
    folder.mkdir(parents=True, exist_ok=True)
    secret = tmp_path / "secret.csv"
    secret.write_text(f"{SECRET}\n1,2\n")
    names = [f"orders_{DAY}_{number}.csv" for number in range(4)]
    (folder / names[0]).symlink_to(secret)
    (folder / names[1]).symlink_to(tmp_path / "nothing")
    (folder / names[2]).symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(folder / names[3])
    intake = landing.intake()
    assert intake.landed() == {}
    assert intake.unmatched() == names, "they are named"
    links, special = intake.unclaimed()
    assert links.problem == f"{', '.join(names[:3])} are links, and these are not followed"
    assert links.remedy == "Put a copy of the file in its place."
    assert special.problem == f"{names[3]} is no file but a pipe or a device"
    take_in(intake, [str(DAY)])
    assert SECRET not in everything(landing.home.root)
    landing.land(rows(DAY, n=4), f"orders_{DAY}.csv")
    take_in(intake, [str(DAY)])
    assert len(landing.frame()) == 4


def test_a_file_that_becomes_a_link_after_the_look_is_not_followed(landing: LandingHome, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    (tmp_path / "secret").write_text(SECRET)
    path.symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match=r"orders\.csv"):
        read_file(LandedFile(path, 10, 0))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        read_regular(tmp_path / "pipe")


@pytest.mark.parametrize("text", [f"{SECRET}\n1\n2\n", f"{SECRET},{SECRET}2\n1,2\n", f"a,b\n{SECRET},1,{SECRET}\n"])
def test_the_reason_repeats_no_line_of_a_file_that_is_another(landing: LandingHome, text: str) -> None:
    landing.land(rows(DAY), f"orders_{DAY}.csv")
    (landing.home.landing / "orders" / f"orders_{DAY}.csv").write_text(text)
    take_in(landing.intake(), [str(DAY)])
    entry = landing.intake().taken()[str(DAY)]
    assert entry.status == "quarantined"
    assert "AKIA" not in entry.reason
    assert "Send" in entry.reason


def test_a_reason_quotes_the_beginning_of_a_cell(landing: LandingHome) -> None:
    landing.land(rows(DAY).replace("1.5", "x" * 5_000 + "\x1b[2J", 1), f"orders_{DAY}.csv")
    take_in(landing.intake(), [str(DAY)])
    reason = landing.intake().taken()[str(DAY)].reason
    assert "xxx..." in reason
    assert len(reason) < 1_000


def test_whatever_is_written_obeys_the_umask(umask: int, landing: LandingHome) -> None:
    landing.land(rows(DAY), f"orders_{DAY}.csv")
    landing.land(rows(DAY, n=9), f"orders_{NEXT}.csv")
    take_in(landing.intake(), [str(DAY), NEXT])
    assert landing.intake().taken()[NEXT].status == "quarantined"
    Record(landing.home.root / "ledger").note("churn", Pause, reason="x", by="y")
    written = [path for path in landing.home.root.rglob("*") if path.is_file()]
    assert {".head", ".jsonl", ".parquet", ".json", ".csv"} <= {path.suffix for path in written}
    assert {path.name: oct(path.stat().st_mode & umask) for path in written if path.stat().st_mode & umask} == {}


@pytest.mark.parametrize("name", ["n" * 251 + ".csv", "\u05e9" * 120, "new\nline [1]*.csv", "a.csv"])
def test_a_long_or_odd_name_is_written_whole_and_rubbish_swept(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    for text in ("one", "two"):
        write_text(path, text)
    assert path.read_text() == "two"
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        assert temporary.parent == tmp_path
        raise RuntimeError
    left = temporary.with_name(temporary.name.replace(f".{os.getpid()}.", ".999999999."))
    left.write_text("of a process that is gone")
    at_work = temporary.with_name(temporary.name.replace(f".{os.getpid()}.", f".{os.getppid()}."))
    at_work.write_text("of one that still writes")
    write_text(path, "three")
    assert {found.name for found in tmp_path.iterdir()} == {name, at_work.name}


def test_a_file_name_with_a_line_break_is_a_sentence(landing: LandingHome) -> None:
    landing.land(b"\xff\xfe\x00", f"orders_{DAY}_\n\x1b[2J.csv")
    take_in(landing.intake(), [str(DAY)])
    reason = landing.intake().taken()[str(DAY)].reason
    assert reason.isprintable()
    told = json.loads((landing.intake().quarantine(str(DAY)) / "reason.json").read_text())
    assert told["reasons"] == [reason]


@pytest.mark.parametrize("name", ["reason.json", "rows.parquet"])
def test_a_file_called_like_one_of_ours_is_kept_beside_it(tmp_path: Path, name: str) -> None:
    landing = LandingHome.at(tmp_path / "home", source(files="r*", grain="none", event_time=None, start=None))
    landing.land("id,at,shop,price\n1,never,north,1\n", name)
    take_in(landing.intake(), [WHOLE])
    kept = landing.intake().quarantine(WHOLE)
    assert (kept / f"landed_{name}").exists()
    assert "partition" in json.loads((kept / "reason.json").read_text())


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (rows(DAY).replace("north", "north\0a", 1), 3),
        (rows(DAY).replace(",1.5", ",1\0.5"), 2),
        (rows(DAY).replace("\n", "\r").replace(",3.5", ",3.5\0"), 4),
        (rows(DAY).replace("\n", "\r\n") + "\0" * 512, 5),
        (rows(DAY).replace("shop", "sh\0op"), 1),
        (rows(DAY).encode("utf-16-le").decode(), 1),
    ],
)
def test_a_csv_with_a_nul_is_refused_by_its_line(landing: LandingHome, text: str, line: int) -> None:
    landing.land(rows(DAY + timedelta(days=1)), f"orders_{NEXT}.csv")
    landing.land(rows(DAY), f"orders_{DAY}.csv")
    (landing.home.landing / "orders" / f"orders_{DAY}.csv").write_bytes(text.encode())
    take_in(landing.intake(), [str(DAY), NEXT])
    taken = landing.intake().taken()
    assert taken[NEXT].status == "good"
    assert taken[str(DAY)].status == "quarantined"
    assert f"line {line} holds a NUL" in taken[str(DAY)].reason
    assert "write it without such, as UTF-8). Send it again" in taken[str(DAY)].reason
