"""A file that lacks rows of its day which stand in the lake, or in a file beside it, is held back; a correction is not.

What lives here: landing. What does not: which rows come again (tests/core/sources/test_partition_parts).
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.steps.land.taking_in import take_in
from tests.landing_home import DAY, HEADER, LandingHome, source


def some_orders(first: int, last: int, *, price: float = 1.5, without: int | None = None) -> str:
    """Orders of a day, one every half an hour, by number from 0 to 47."""
    lines = [
        f"{i},{DAY}T{i // 2:02}:{30 * (i % 2):02}:00Z,north,{price + i}" for i in range(first, last) if i != without
    ]
    return "\n".join([HEADER, *lines]) + "\n"


def orders(keys: list[str], **settings: object) -> SourceSettings:
    values = source(**settings).model_dump()
    values["contract"] |= {"unique": keys, "rows": {"min": 1, "max": None}}
    if not keys:
        values["contract"]["columns"]["id"] = {"type": "integer"}
    return SourceSettings.model_validate(values)


@pytest.fixture(params=[["id"], []], ids=["key", "no key"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> LandingHome:
    return LandingHome.at(tmp_path / "home", orders(request.param))


def land(home: LandingHome, content: str, name: str = f"orders_{DAY}.csv") -> str:
    home.land(content, name)
    intake = home.intake()
    return " ".join(take_in(intake, intake.pending()).bad.get(str(DAY), []))


def lake(home: LandingHome) -> list[int]:
    return sorted(pd.read_parquet(home.intake().raw_file(str(DAY)))["id"])


@pytest.mark.parametrize("name", [f"orders_{DAY}.csv", f"orders_{DAY}_b.csv"], ids=["one name", "two names"])
def test_an_export_that_begins_at_noon_is_held_back(name: str, home: LandingHome) -> None:
    assert land(home, some_orders(0, 24)) == ""
    told = land(home, some_orders(24, 48), name)
    assert f"{name} has 24 rows from 03-01 12:00:00 to 03-01 23:30:00, and orders_{DAY}.csv has 24 rows from" in told
    assert "of which 24 do not come again, such as " in told
    assert f"at {DAY} 00:00:00: it looks like another part of the day" in told
    assert lake(home) == list(range(24)), "nothing was lost"
    assert land(home, some_orders(0, 48)) == "", "the whole day in one file is a correction"
    assert lake(home) == list(range(48))


def test_a_few_rows_that_are_cut_off_at_one_end_are_not_lost(home: LandingHome) -> None:
    """Exports of the newest three days that begin at six: of the oldest day some rows are gone, and no others."""
    assert land(home, some_orders(0, 8)) == ""
    assert "of which 2 do not come again" in land(home, some_orders(2, 8))
    assert lake(home) == list(range(8))


def test_what_a_correction_leaves_out_is_said(home: LandingHome) -> None:
    land(home, some_orders(0, 24))
    home.land(some_orders(0, 24, without=7), f"orders_{DAY}.csv")
    intake = home.intake()
    (notes,) = take_in(intake, intake.pending()).notes.values()
    assert f"1 of the 24 rows of orders_{DAY}.csv do not come again, such as " in notes[0]
    assert f"at {DAY} 03:30:00" in notes[0]


def test_the_rows_of_the_lake_are_no_file_that_was_held_back(home: LandingHome) -> None:
    land(home, some_orders(0, 24), f"orders_{DAY}_a.csv")
    assert f"orders_{DAY}_a.csv has 24 rows" in land(home, some_orders(24, 48), f"orders_{DAY}_b.csv")
    assert "and the lake has 24 rows" in land(home, some_orders(30, 48), f"orders_{DAY}_c.csv")


def test_of_two_parts_that_land_together_one_is_held_back(home: LandingHome) -> None:
    home.land(some_orders(0, 24), f"orders_{DAY}_a.csv")
    told = land(home, some_orders(22, 48), f"orders_{DAY}_b.csv")
    assert f"and orders_{DAY}_a.csv has 24 rows from 03-01 00:00:00 to 03-01 11:30:00, of which 22 do not" in told
    assert home.intake().good() == {}


def test_a_person_lets_it_take_the_place(home: LandingHome) -> None:
    land(home, some_orders(0, 24))
    assert land(home, some_orders(24, 48))
    home.intake().release(str(DAY), "the morning was a test")
    assert take_in(home.intake(), [str(DAY)]).bad == {}
    assert lake(home) == list(range(24, 48))


def test_the_running_day_cut_short_does_not_take_the_place_of_the_whole(home: LandingHome) -> None:
    assert land(home, some_orders(0, 48)) == ""
    assert "of which 24 do not come again" in land(home, some_orders(0, 24))


@pytest.mark.parametrize(
    "newer",
    [some_orders(0, 48), some_orders(0, 48, price=9.5), some_orders(0, 48, without=7), some_orders(0, 24, price=2)],
    ids=["grown", "grown and corrected", "one row less", "corrected"],
)
def test_a_day_that_comes_again_takes_the_place(newer: str, home: LandingHome) -> None:
    assert land(home, some_orders(0, 24)) == ""
    assert land(home, newer, f"orders_{DAY}_b.csv") == ""
    assert land(home, newer, f"orders_{DAY}_c.csv") == "", "twice is no news"


def test_a_file_beside_it_that_keeps_no_contract_holds_nothing_back(home: LandingHome) -> None:
    home.land("\x00", f"orders_{DAY}_a.csv")
    home.land(some_orders(0, 24).replace("north", "west"), f"orders_{DAY}_b.csv")
    assert land(home, some_orders(24, 48), f"orders_{DAY}_c.csv") == ""


def test_an_older_file_that_was_taken_in_does_not_count_again(home: LandingHome) -> None:
    """A release took its place: what comes after it is held against that alone."""
    land(home, some_orders(0, 24), f"orders_{DAY}_a.csv")
    land(home, some_orders(24, 48), f"orders_{DAY}_b.csv")
    home.intake().release(str(DAY), "the morning was a test")
    take_in(home.intake(), [str(DAY)])
    assert land(home, some_orders(24, 48, price=3), f"orders_{DAY}_c.csv") == ""
