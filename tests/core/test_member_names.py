"""Names of the members of a fleet: short where values are, and never the same for two."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.core.member_names import LONGEST_FLEET, member_names
from mlops_assets.core.settings import ModelSettings

ALLOWED = next(part.pattern for part in ModelSettings.model_fields["name"].metadata if hasattr(part, "pattern"))


@given(st.lists(st.text(min_size=1), unique=True, max_size=30))
def test_any_values_have_names_of_their_own_that_a_model_may_have(values: list[str]) -> None:
    fleet = "f" * LONGEST_FLEET
    names = member_names(fleet, values, taken=["other"])
    assert [*names] == values
    assert len({*names.values(), fleet, "other"}) == len(values) + 2
    assert all(re.fullmatch(ALLOWED, name) for name in names.values())


@given(st.lists(st.text(min_size=1), unique=True, max_size=10), st.text(min_size=1))
def test_a_value_that_comes_later_renames_nobody(values: list[str], later: str) -> None:
    before = member_names("f", values)
    after = member_names("f", [*values, *([later] if later not in values else [])])
    assert before.items() <= after.items()


@pytest.mark.parametrize(
    ("value", "name"),
    [("UA", "delay_ua"), ("north", "delay_north"), ("10", "delay_10"), ("EMEA_2", "delay_emea_2")],
)
def test_plain_values_are_the_names(value: str, name: str) -> None:
    assert member_names("delay", [value]) == {value: name}


@pytest.mark.parametrize(
    "value", ["São Paulo", "../../etc/passwd", "a b", " ", "x" * 500, "漢字", "Über", "a__b", "_", "-1"]
)
def test_other_values_are_told_apart_by_a_hash(value: str) -> None:
    (name,) = member_names("delay", [value]).values()
    assert re.fullmatch(r"delay(_[a-z0-9]+)*_[0-9a-f]{8}", name)


def test_values_that_differ_in_case_and_names_that_are_taken() -> None:
    names = member_names("delay", ["UA", "ua"], taken=["delay_aa"])
    assert names["UA"] == "delay_ua" != names["ua"]
    assert member_names("delay", ["AA"], taken=["delay_aa"])["AA"].startswith("delay_aa_")
