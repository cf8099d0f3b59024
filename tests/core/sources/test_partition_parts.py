"""Two files of one day: which holds it anew, which is a part of it, and where nobody can tell.

What lives here: pure frames, seeded. What does not: landing them (tests/steps/land, tests/onboarding).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.sources.partition_parts import parts_of

SEEDS = range(5)
KEYED, PLAIN = ("id",), ()


def day(seed: int, n: int = 200, *, every: str = "s") -> pd.DataFrame:
    """Rows of a day in the order of time, of a shop each."""
    r = np.random.default_rng(seed)
    at = pd.Timestamp("2024-03-10", tz="UTC") + pd.to_timedelta(np.sort(r.integers(0, 86_400, n)), "s")
    shop = r.choice(["a", "b", "c"], n)
    return pd.DataFrame(
        {
            "id": np.arange(n) + 1000 * seed,
            "at": at.floor(every),
            "shop": shop,
            "x": r.normal(50, 9, n).round(2),
            "y": r.integers(0, 2, n),
        }
    )


def moved(frame: pd.DataFrame, **columns: object) -> pd.DataFrame:
    return frame.assign(**columns)


# name -> (what the newer file has, of the whole day and a generator; rows of the older one)
WHOLE: dict[str, Callable[[pd.DataFrame, np.random.Generator], tuple[pd.DataFrame, pd.DataFrame]]] = {
    "the same": lambda d, r: (d, d.copy()),
    "another order": lambda d, r: (d, d.sample(frac=1, random_state=1)),
    "a corrected column": lambda d, r: (d, moved(d, x=d["x"] * 100)),
    "a corrected column of three": lambda d, r: (d, moved(d, y=1 - d["y"], shop=d["shop"].replace("a", "c"))),
    "a running day, then all of it": lambda d, r: (d.iloc[:90], d),
    "a running day, then all of it, corrected": lambda d, r: (d.iloc[:90], moved(d, y=1 - d["y"])),
    "fewer rows": lambda d, r: (d, d[r.random(len(d)) > 0.1]),
    "more rows": lambda d, r: (d[r.random(len(d)) > 0.1], d),
    "fewer rows, and corrected": lambda d, r: (d, moved(d, x=d["x"] + 1)[r.random(len(d)) > 0.2]),
    "without the last row": lambda d, r: (d, d.iloc[:-1]),
    "a column more": lambda d, r: (d, moved(d, z=1.0)),
}
PARTS: dict[str, Callable[[pd.DataFrame], tuple[pd.DataFrame, pd.DataFrame, int]]] = {
    "cut at noon": lambda d: (d.iloc[:90], d.iloc[90:], 0),
    "cut at noon, the later half first": lambda d: (d.iloc[90:], d.iloc[:90], 0),
    "cut in the evening": lambda d: (d.iloc[:195], d.iloc[195:], 0),
    "ten rows of the one before": lambda d: (d.iloc[:90], d.iloc[80:], 10),
    "the middle is there": lambda d: (d.iloc[:90], d.iloc[100:], 0),
    "a part of what is there": lambda d: (d, d.iloc[:90], 90),
    "all but its first hour": lambda d: (d, d.iloc[12:], 188),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("keys", [KEYED, PLAIN], ids=["key", "no key"])
@pytest.mark.parametrize("name", WHOLE)
def test_a_correction_holds_its_day_whole(name: str, keys: tuple[str, ...], seed: int) -> None:
    old, new = WHOLE[name](day(seed), np.random.default_rng(seed + 50))
    if not keys:
        old, new = old.drop(columns="id"), new.drop(columns="id")
    assert parts_of(old, new, "at", keys).verdict == "whole"


@pytest.mark.simulates
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("every", ["s", "min"])
@pytest.mark.parametrize("keys", [KEYED, PLAIN], ids=["key", "no key"])
@pytest.mark.parametrize("name", PARTS)
def test_a_part_loses_nothing(name: str, keys: tuple[str, ...], every: str, seed: int) -> None:
    """Of a day that was cut into two files each row is there once, however many rows stand in both."""
    whole = day(seed, every=every)
    if not keys:
        whole = whole.drop(columns="id")
    old, new, shared = PARTS[name](whole)
    parts = parts_of(old, new, "at", keys)
    assert parts.verdict == "part"
    assert int(parts.lost.sum()) == len(old) - shared
    joined = pd.concat([old[parts.beside], new]).sort_index()
    pd.testing.assert_frame_equal(joined, whole.loc[joined.index])
    assert len(joined) == len(old) + len(new) - shared


def test_rows_of_other_keys_are_other_rows_whenever_they_were() -> None:
    whole = day(1)
    for shop in "abc":
        mine = whole["shop"] == shop
        assert parts_of(whole[mine], whole[~mine], "at", ["id"]).verdict == "part"


def test_what_can_be_read_in_two_ways_is_unclear() -> None:
    whole = day(2).drop(columns="id")
    is_a = whole["shop"] == "a"
    hourly = pd.date_range("2024-03-10", periods=24, freq="h", tz="UTC")
    sensor = pd.DataFrame({"at": hourly, "sensor": "a", "x": np.arange(24) + 0.5})
    days = whole.assign(at=whole["at"].dt.floor("D"))
    unclear = {
        "a file a shop": (whole[is_a], whole[~is_a]),
        "a file a sensor": (sensor, sensor.assign(sensor="b", x=sensor["x"] + 100.25)),
        "times that moved": (whole, whole.assign(at=whole["at"] + pd.Timedelta("1min"), x=whole["x"] * 2)),
        "days for times": (days.iloc[:90], days.iloc[90:]),
        "a few categories": (days[["at", "shop", "y"]].iloc[:90], days[["at", "shop", "y"]].iloc[90:]),
    }
    assert {name: parts_of(old, new, "at").verdict for name, (old, new) in unclear.items()} == dict.fromkeys(
        unclear, "unclear"
    )


def test_rows_of_the_moment_at_which_two_files_meet_are_all_kept() -> None:
    whole = day(3).drop(columns="id")
    whole.loc[88:91, "at"] = whole.loc[88, "at"]
    old, new = whole.iloc[:90], whole.iloc[90:]
    parts = parts_of(old, new, "at")
    assert parts.verdict == "part"
    assert len(pd.concat([old[parts.beside], new])) == 200


def test_identical_rows_count_as_often_as_they_stand_there() -> None:
    """Three equal sales of a moment, two of which the newer file has."""
    one = {"at": pd.Timestamp("2024-03-10 12:00", tz="UTC"), "x": 1.0}
    old, new = pd.DataFrame([one] * 3), pd.DataFrame([one] * 2)
    assert parts_of(old, new, "at").beside.tolist() == [False, False, True]


@pytest.mark.simulates
@pytest.mark.parametrize("seed", SEEDS[:2])
@pytest.mark.parametrize("n", [10, 16, 60])
def test_days_for_times_and_small_numbers_alone(n: int, seed: int) -> None:
    """As scanned digits: 64 columns of 0 to 16. Of so many some agree by chance; all but one do in a correction."""
    r = np.random.default_rng(seed)
    pixels = pd.DataFrame({f"p{i}": r.integers(0, 17, n) for i in range(64)})
    whole = pixels.assign(at=pd.Timestamp("2024-03-10", tz="UTC"), y=r.integers(0, 10, n))
    assert parts_of(whole, whole.assign(p7=whole["p7"] * 2), "at").verdict == "whole"
    assert parts_of(whole, whole.assign(y=0).iloc[1:], "at").verdict == "whole"
    assert parts_of(whole.iloc[: n // 2], whole, "at").verdict == "whole"
    for cut in (3, n // 2, n - 3):
        assert parts_of(whole.iloc[:cut], whole.iloc[cut:], "at").verdict == "unclear"
