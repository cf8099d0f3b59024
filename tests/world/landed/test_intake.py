from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.steps.land.taking_in import take_in
from mlops_assets.world.home import Home, HomeSettings
from mlops_assets.world.landed import intake as module
from mlops_assets.world.landed.partitions import Taken
from tests.landing_home import DAY, LandingHome, rows, source

DAYS = [DAY + timedelta(days=i) for i in range(4)]
KEYS = [str(day) for day in DAYS]


@pytest.fixture
def landing(tmp_path: Path) -> LandingHome:
    return LandingHome.at(tmp_path / "home")


def settled(landing: LandingHome, *keys: str) -> None:
    take_in(landing.intake(), keys or KEYS[:1])


# --- what landed -------------------------------------------------------------------------------------------


def test_the_newest_file_holds_the_partition(landing: LandingHome) -> None:
    landing.land(rows(DAY, n=2), f"orders_{DAY}_z.csv")
    landing.land(rows(DAY, n=4), f"orders_{DAY}_a.csv")
    settled(landing)
    assert len(landing.frame()) == 4
    assert landing.intake().landed()[str(DAY)].name == f"orders_{DAY}_a.csv"


@pytest.mark.parametrize("is_noted", [True, False])
def test_a_correction_with_an_old_time_is_one(is_noted: bool, landing: LandingHome) -> None:
    """As a backup restores it, under a name of its own: what has come since is news, whatever its time says."""
    first, correction = f"orders_{DAY}.csv", f"orders_{DAY}_restored.csv"
    landing.land(rows(DAY), first)
    settled(landing)
    intake = landing.intake()
    landing.land(rows(DAY, price=2.5), correction)
    os.utime(intake.folder / correction, (1, 1))
    if not is_noted:
        # A record from before the files beside were noted goes by time.
        intake.record.put(str(DAY), replace(intake.taken()[str(DAY)], beside=None))
        assert (intake.pending(), intake.landed()[str(DAY)].name) == ([], first)
        return
    assert (intake.pending(), intake.landed()[str(DAY)].name) == ([str(DAY)], correction)
    settled(landing)
    # The file that it corrects has the newer time, and is known.
    for _ in range(2):
        assert (intake.pending(), intake.landed()[str(DAY)].name) == ([], correction)
    assert not intake.files_beside()[str(DAY)]
    landing.land(rows(DAY), first)
    assert (intake.pending(), intake.landed()[str(DAY)].name) == ([str(DAY)], first)


def test_a_correction_in_the_place_of_a_file_is_told_by_its_content(landing: LandingHome) -> None:
    landing.land(rows(DAY))
    settled(landing)
    landing.land(rows(DAY, price=2.5))
    os.utime(landing.intake().landed()[str(DAY)], (1, 1))
    assert landing.intake().pending() == [str(DAY)]


def test_the_same_content_twice_is_nothing_to_do_and_is_hashed_once(
    landing: LandingHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = []
    real = module.file_hash
    monkeypatch.setattr(module, "file_hash", lambda path: hashed.append(path.name) or real(path))
    landing.land(rows(DAY))
    settled(landing)
    intake = landing.intake()
    assert (intake.pending(), hashed) == ([], [])
    landing.land(rows(DAY), f"orders_{DAY}_copy.csv")
    for _ in range(3):
        assert intake.pending() == []
    assert hashed == [f"orders_{DAY}_copy.csv"], "the record remembers the copy"
    landing.land(rows(DAY, price=2.5), f"orders_{DAY}.csv")
    assert intake.pending() == [str(DAY)]
    landing.land(rows(DAY, n=4), f"orders_{DAY}.csv")
    assert intake.pending() == [str(DAY)]
    assert len(hashed) == 2, "another size is another content"


def test_a_touched_quarantined_file_stays_in_quarantine(landing: LandingHome) -> None:
    landing.land(rows(DAY, n=9))
    settled(landing)
    landing.land(rows(DAY, n=9))
    assert landing.intake().pending() == []
    assert landing.intake().taken()[str(DAY)].status == "quarantined"


def test_misnamed_files_belong_to_no_partition(landing: LandingHome) -> None:
    good = f"orders_{DAY}_v2.csv"
    bad = ["orders.csv", "orders_2024-02-29.csv", "orders_2024-13-01.csv", f"orders_{DAY}.txt"]
    for name in [good, *bad, f".orders_{DAY}.csv.part"]:
        landing.land(rows(DAY), name)
    (landing.home.landing / "orders" / "archive").mkdir()
    assert list(landing.intake().landed()) == [str(DAY)]
    assert landing.intake().unmatched() == sorted(bad), "one is before the source's start"


def test_after_the_end_of_a_source_nothing_belongs_to_it(tmp_path: Path) -> None:
    landing = LandingHome.at(tmp_path / "home", source(end=str(DAYS[1])))
    landing.land_days(DAYS)
    assert list(landing.intake().landed()) == [str(DAYS[0]), str(DAYS[1])]
    assert landing.intake().unmatched() == [f"orders_{day}.csv" for day in DAYS[2:]]


def test_weeks_and_months_begin_where_the_calendar_says(tmp_path: Path) -> None:
    for grain, right, wrong in (("week", "2024-03-04", "2024-03-05"), ("month", "2024-04-01", "2024-04-02")):
        landing = LandingHome.at(tmp_path / grain, source(grain=grain))
        for day in (right, wrong):
            landing.land(rows(DAY), f"orders_{day}.csv")
        assert list(landing.intake().landed()) == [right]
        assert landing.intake().unmatched() == [f"orders_{wrong}.csv"]


def test_time_that_stands_still_hides_later_files(landing: LandingHome) -> None:
    landing.land_days(DAYS)
    until = datetime(2024, 3, 3, tzinfo=UTC)
    landing.home.configure(HomeSettings(clock="data", until=until))
    assert landing.intake().pending() == KEYS[:2]
    landing.home.configure(HomeSettings(clock="data", until=until + timedelta(days=1)))
    assert landing.intake().pending() == KEYS[:3]


def test_rows_that_the_lake_has_lost_are_taken_in_again(landing: LandingHome) -> None:
    landing.land_days(DAYS)
    settled(landing, *KEYS)
    file = landing.intake().raw_file(KEYS[1])
    file.unlink()
    file.parent.rmdir()
    assert landing.intake().pending() == [KEYS[1]]
    assert KEYS[1] not in landing.intake().good()


def test_one_write_of_the_record_a_batch(landing: LandingHome, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    real = type(landing.intake().record).put_all
    monkeypatch.setattr(
        type(landing.intake().record), "put_all", lambda self, e: written.append(len(e)) or real(self, e)
    )
    landing.land_days(DAYS)
    settled(landing, *KEYS)
    assert written == [4]


def test_an_older_bad_file_leaves_the_quarantine_when_a_newer_comes(landing: LandingHome) -> None:
    landing.land(rows(DAY, n=9), f"orders_{DAY}_a.csv")
    settled(landing)
    landing.land("", f"orders_{DAY}_b.csv")
    settled(landing)
    folder = landing.intake().quarantine(str(DAY))
    assert sorted(path.name for path in folder.iterdir()) == [f"orders_{DAY}_b.csv", "reason.json"]


def test_years_of_unchanged_files_are_looked_at_without_being_read(
    landing: LandingHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = landing.intake()
    days = [DAY + timedelta(days=i) for i in range(400)]
    landing.land_days(days)
    entries = {}
    for key, file in intake.landed_files().items():
        intake.raw_file(key).parent.mkdir(parents=True)
        entries[key] = Taken(file.name, file.size, file.mtime_ns, "0" * 64, "good", 3)
    intake.record.put_all(entries)

    def read(*_: object) -> None:
        raise AssertionError("a look reads no file")

    monkeypatch.setattr(module, "file_hash", read)
    monkeypatch.setattr(Path, "open", read)
    monkeypatch.setattr(type(intake.record), "entries", lambda _: entries)
    state = intake.state()
    assert (len(state.good), state.pending) == (400, ())


# --- kill -9 -----------------------------------------------------------------------------------------------

PLACES = {"rename": (Path, "replace", True), "renamed": (Path, "replace", False), "removal": (shutil, "rmtree", False)}
"""In one call: two good Parquet files, then a bad file, its rows and its reason, then the record: six renames."""


def take_in_and_die(place: str, number: int, root: Path) -> None:
    """Runs in a process of its own, which kills itself at the given call."""
    owner, name, before = PLACES[place]
    real, calls = getattr(owner, name), []

    def deadly(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if before and len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, deadly)
    take_in(LandingHome(Home(root)).intake(), KEYS[:3])


@pytest.fixture(scope="module")
def processes() -> Any:
    """Processes forked from one that has imported everything but started nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pandera.pandas", "mlops_assets.core.sources.contract", "tests.landing_home"])
    return context


def lay_out(landing: LandingHome) -> None:
    """Two days in the lake (a third in quarantine), then corrections for two and a bad file for the other."""
    landing.land_days(DAYS[:2])
    landing.land(rows(DAYS[2], n=9), f"orders_{DAYS[2]}.csv")
    settled(landing, *KEYS[:3])
    landing.land(rows(DAYS[0], n=5), f"orders_{DAYS[0]}.csv")
    landing.land(rows(DAYS[1], price=-7), f"orders_{DAYS[1]}.csv")
    landing.land(rows(DAYS[2], n=4), f"orders_{DAYS[2]}.csv")


def everything(landing: LandingHome) -> dict[str, bytes | str]:
    """The whole lake, but for moments and locks."""
    found: dict[str, bytes | str] = {}
    for path in sorted(landing.home.lake.rglob("*")):
        if path.is_dir() or path.name.endswith(".lock"):
            continue
        name = str(path.relative_to(landing.home.lake))
        text = path.suffix == ".json"
        found[name] = (
            "".join(x for x in path.read_text().splitlines(True) if '"at":' not in x) if text else path.read_bytes()
        )
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes | str]:
    landing = LandingHome.at(tmp_path_factory.mktemp("undisturbed"))
    lay_out(landing)
    settled(landing, *KEYS[:3])
    return everything(landing)


@pytest.mark.parametrize(
    ("place", "number"),
    [("rename", 1), ("renamed", 1), ("rename", 3), ("rename", 4), ("rename", 6), ("removal", 2), ("renamed", 6)],
    ids=["partition", "second-partition", "bad-file", "bad-rows", "record", "cleared", "done"],
)
def test_killed_while_writing_then_the_same_again(
    landing: LandingHome, undisturbed: dict[str, bytes | str], processes: Any, place: str, number: int
) -> None:
    lay_out(landing)
    before = landing.files()
    process = processes.Process(target=take_in_and_die, args=(place, number, landing.home.root))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    after = landing.files()
    whole = {name: content for name, content in undisturbed.items() if name.startswith("raw/")}
    for name, content in after.items():
        assert content in (before.get(name), whole.get(f"raw/{name}")), "the old rows or the new, nothing between"
    expected = [] if (place, number) == ("renamed", 6) else KEYS[:3]
    assert landing.intake().pending() == expected
    settled(landing, *KEYS[:3])
    assert everything(landing) == undisturbed
    assert not list(landing.home.lake.rglob("*.tmp")), "what the killed process left is swept"
    assert landing.intake().pending() == []
