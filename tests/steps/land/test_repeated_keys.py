"""A key of a source names one row of all its days: a second day that has it goes to quarantine, and both are named."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.steps.land.taking_in import take_in
from tests.landing_home import DAY, HEADER, ORDERS, LandingHome, source

DAYS = [str(DAY + timedelta(days=i)) for i in range(4)]


@pytest.fixture
def home(tmp_path: Path) -> LandingHome:
    return LandingHome.at(tmp_path / "home", source())


def landed(home: LandingHome, day: int, ids: list[int], take: bool = True) -> dict[str, list[str]]:
    """Why each partition is bad after a file of a day has landed."""
    lines = [f"{key},{DAYS[day]}T{i:02}:00:00Z,north,1" for i, key in enumerate(ids)]
    home.land("\n".join([HEADER, *lines]) + "\n", f"orders_{DAYS[day]}.csv")
    return taken_in(home) if take else {}


def taken_in(home: LandingHome) -> dict[str, list[str]]:
    intake = home.intake()
    return take_in(intake, intake.pending()).bad


def good(home: LandingHome) -> list[str]:
    return [part for part, entry in home.intake().taken().items() if entry.status == "good"]


def test_the_later_one_is_held_back_and_both_days_and_the_key_are_named(home: LandingHome) -> None:
    assert landed(home, 0, [1, 2, 3]) == {}
    told = landed(home, 1, [4, 2, 3])[DAYS[1]][0]
    assert (
        f"2 rows of {DAYS[1]} (rows 2, 3) share their key (id) with rows of {DAYS[0]}, such as id 2 of {DAYS[0]}"
        in told
    )
    assert told.endswith("or add at to `unique` if a key may come again.")
    assert good(home) == [DAYS[0]]
    marked = pd.read_parquet(home.intake().quarantine(DAYS[1]) / "rows.parquet")
    assert marked["is_bad"].tolist() == [False, True, True]


def test_of_two_that_come_together_the_earlier_is_let_in(home: LandingHome) -> None:
    landed(home, 1, [1, 2], take=False)
    landed(home, 2, [7, 8], take=False)
    landed(home, 0, [2, 3], take=False)
    assert set(taken_in(home)) == {DAYS[1]}
    assert good(home) == [DAYS[0], DAYS[2]]


def test_a_correction_of_a_day_may_have_the_keys_that_it_had(home: LandingHome) -> None:
    landed(home, 0, [1, 2])
    assert landed(home, 0, [1, 2, 3]) == {}


def test_a_row_that_moves_to_another_day_is_taken_in_with_both_files(home: LandingHome) -> None:
    landed(home, 0, [1, 2, 3])
    landed(home, 0, [1, 2], take=False)
    assert landed(home, 1, [3, 4]) == {}
    assert good(home) == DAYS[:2]


def test_a_release_tries_again_and_does_not_let_it_in(home: LandingHome) -> None:
    """Builds would fail on it; once the other day is corrected, the same word takes it in."""
    landed(home, 0, [1, 2, 3])
    landed(home, 1, [3, 4])
    home.intake().release(DAYS[1], "seen")
    assert set(taken_in(home)) == {DAYS[1]}
    landed(home, 0, [1, 2])
    home.intake().release(DAYS[1], "the first day is corrected")
    assert taken_in(home) == {}
    assert good(home) == DAYS[:2]


def test_what_is_said_to_do_about_it_works_to_the_letter(home: LandingHome) -> None:
    """By each of the three ways that are named the day comes in; by a release alone it does not, and that is said."""
    landed(home, 0, [1, 2, 3])
    landed(home, 1, [3, 4])
    entry = home.intake().taken()[DAYS[1]]
    release = f"mlops quarantine release orders {DAYS[1]} --reason '...'"
    told = entry.remedy("orders", DAYS[1])
    assert "It cannot be let in as it is" in told
    assert told.endswith(release)
    assert landed(home, 1, [4, 5]) == {}
    landed(home, 2, [1, 6])
    every_day = {**ORDERS["contract"], "unique": ["id", "at"]}
    home.sources = [SourceSettings.model_validate({**ORDERS, "contract": every_day})]
    assert taken_in(home) == {}
    assert good(home) == DAYS[:2], "another contract alone tries nothing again"
    home.intake().release(DAYS[2], "a key may come again")
    assert taken_in(home) == {}
    assert good(home) == DAYS[:3]


@pytest.mark.parametrize(
    ("content", "can_be"),
    [
        (f"{HEADER}\n1,{DAYS[0]}T00:00:00Z,west,1\n2,{DAYS[0]}T01:00:00Z,west,1\n", True),
        ("id,at,shop\n1,2024-03-01T00:00:00Z,north\n", False),
        (f"{HEADER}\n", False),
        ("\x00", False),
    ],
    ids=["a value", "a column", "no rows", "unreadable"],
)
def test_only_what_a_release_lets_in_is_said_to_be_let_in(content: str, can_be: bool, home: LandingHome) -> None:
    home.land(content, f"orders_{DAYS[0]}.csv")
    assert set(taken_in(home)) == {DAYS[0]}
    entry = home.intake().release(DAYS[0], "seen")
    assert entry.can_be_let_in == can_be
    assert ("let it in as it is: mlops quarantine release" in entry.remedy("orders", DAYS[0])) == can_be
    assert set(taken_in(home)) == (set() if can_be else {DAYS[0]})


def test_a_bad_correction_leaves_its_old_rows_which_count(home: LandingHome) -> None:
    """Day 1 gives up key 3 in a file that is held back for another key: its old rows stay, and day 2 may not have 3."""
    landed(home, 0, [1, 2])
    landed(home, 1, [3, 4])
    landed(home, 1, [2, 4], take=False)
    assert set(landed(home, 2, [3, 5])) == {DAYS[1], DAYS[2]}
    assert sorted(pd.read_parquet(home.intake().raw_file(DAYS[1]))["id"]) == [3, 4]


@pytest.mark.parametrize("seed", range(3))
def test_the_lake_never_has_a_key_twice(seed: int, tmp_path: Path) -> None:
    """Random files of random days, in batches: the lake's keys stay apart, and no day is held back for less."""
    random = np.random.default_rng(seed)
    home = LandingHome.at(tmp_path / "home", source())
    for _ in range(12):
        days = random.choice(4, size=random.integers(1, 4), replace=False)
        for day in days:
            landed(home, int(day), random.choice(30, size=3, replace=False).tolist(), take=False)
        # A day's other keys may be another part of it, which is held back for that (`test_replaced_rows`).
        bad = [part for part, why in taken_in(home).items() if not any("do not come again" in one for one in why)]
        files = {part: home.intake().raw_file(part) for part in home.intake().good()}
        lake = pd.concat([pd.read_parquet(file).assign(part=part) for part, file in files.items()])
        assert lake["id"].is_unique
        held = {p: set(pd.read_parquet(home.intake().quarantine(p) / "rows.parquet")["id"].astype(int)) for p in bad}
        for part, ids in held.items():
            others = set(lake.loc[lake["part"] != part, "id"]).union(*(held[other] for other in held if other != part))
            assert ids & others


def test_a_key_with_the_time_of_the_event_may_come_again(tmp_path: Path) -> None:
    values = source().model_dump()
    values["contract"]["unique"] = ["id", "at"]
    home = LandingHome.at(tmp_path / "home", type(source()).model_validate(values))
    landed(home, 0, [1, 2])
    assert landed(home, 1, [1, 2]) == {}


def test_hours_of_a_day_are_partitions_too(tmp_path: Path) -> None:
    home = LandingHome.at(tmp_path / "home", source(files="orders_{partition}T{hour}*.csv"))
    for hour, key in ((3, 1), (4, 1)):
        lines = "\n".join([HEADER, *(f"{key + i},{DAY}T{hour:02}:0{i}:00Z,north,1" for i in range(2))])
        home.land(lines + "\n", f"orders_{DAY}T{hour:02}.csv")
    intake = home.intake()
    bad = take_in(intake, [str(DAY)]).bad
    assert list(bad) == [f"{DAY}T04"]
