"""Texts of digits that are no numbers, and times of day: what is text stays text, and amounts stay numbers."""

from __future__ import annotations

import re

import numpy as np
import pytest

from mlops_assets.core.values.text_codes import clocks_among, code_kind

_SEED = 3


def _drawn(make: str, count: int = 300) -> list[str]:
    """Texts in which each # is a digit, the first of each number not 0, and each * a number up to 255."""
    rng = np.random.default_rng(_SEED)

    def one() -> str:
        digits = re.sub(r"(?<![\d#])#", lambda _: str(rng.integers(1, 10)), make)
        digits = re.sub("#", lambda _: str(rng.integers(0, 10)), digits)
        return re.sub(r"\*", lambda _: str(rng.integers(0, 256)), digits)

    return [one() for _ in range(count)]


@pytest.mark.parametrize(
    "make",
    [
        "192.168.100.1##",
        "*.*.*.*",
        "+49 1## ### ###",
        "+1 ### ### ####",
        "+49170#######",
        "1.##.1##",
        "2.#.#",
        "v1.#.#",
    ],
)
def test_codes(make: str) -> None:
    assert code_kind(_drawn(make)) == "code"


def test_versions_of_two_and_of_three_parts_are_codes() -> None:
    assert code_kind(["1.2", "1.3", "1.2.10", "2.0", "1.10"]) == "code"
    assert code_kind(["1.2", "1.3", "1.234.567", "2.0"]) is None


@pytest.mark.parametrize("make", ["6## ### ###", "6##.###.###", "1## ### ### ###"])
def test_groups_of_one_length_are_perhaps_telephone_numbers(make: str) -> None:
    assert code_kind(_drawn(make)) == "triples"


@pytest.mark.parametrize(
    "make",
    ["#.###.###", "# ### 000", "## ###", "#.##", "#,##", "#.###.###,##", "+#.##", "+#####", "+4########", "### ###"],
)
def test_amounts_are_numbers(make: str) -> None:
    assert code_kind(_drawn(make)) is None


def test_amounts_of_different_length_are_numbers() -> None:
    assert code_kind([*_drawn("1## ### ###"), *_drawn("1# ### ###")]) is None
    assert code_kind([*_drawn("1##.###.###"), "12"]) is None
    assert code_kind([]) is None


@pytest.mark.parametrize("text", ["1:30", "04:05", "25:59:00", "-0:15", "9:30 PM", "00:01:02.5", "130:00"])
def test_times_of_day_and_lengths_that_look_so(text: str) -> None:
    assert clocks_among([text]).clocks == 1


@pytest.mark.parametrize(
    "text", ["PT5M", "P1DT2H", "PT0.5S", "1h 30m", "2m30s", "90 min", "1 hour, 5 min", "3 days", "1 day 02:03:04.5"]
)
def test_lengths_of_time(text: str) -> None:
    assert clocks_among([text]).lengths == 1


@pytest.mark.parametrize(
    "text", ["16:9", "3:2", "1:2:3", "A1", "12", "min", "00:13:51:46:76:20", "90 km", "", "M", "P"]
)
def test_other_texts_are_none_of_them(text: str) -> None:
    assert clocks_among([text]).most == 0
