"""How sure a gain must be among many: against another library's procedure, and as looks come one after the other."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from mlops_assets.core.decide.fleet.false_discoveries import among_looks, any_dependence, found_among

DAY = date(2026, 3, 4)
P_VALUES = st.lists(st.floats(1e-9, 1.0), min_size=1, max_size=40)


def named(p: list[float]) -> dict[str, float]:
    return {f"m{number:02}": each for number, each in enumerate(p)}


@given(P_VALUES, st.sampled_from([0.01, 0.05, 0.2]))
def test_it_finds_what_scipy_finds(p: list[float], rate: float) -> None:
    adjusted = false_discovery_control(p, method="by")
    sure = {name for name, each in zip(named(p), adjusted, strict=True) if each <= rate * (1 - 1e-12)}
    close = {name for name, each in zip(named(p), adjusted, strict=True) if each <= rate * (1 + 1e-12)}
    assert sure <= found_among(named(p), len(p), rate) <= close


@given(P_VALUES, st.data())
def test_what_was_found_stays_found_as_looks_are_made(p: list[float], data: st.DataObject) -> None:
    """Those that have not been made count as 1: by the end of the day it is the procedure on all of them."""
    order = data.draw(st.permutations(list(named(p))))
    known: dict[str, float] = {}
    found: set[str] = set()
    for name in order:
        known[name] = named(p)[name]
        now = found_among(known, len(p), 0.05)
        assert found <= now
        found = now
    assert found == found_among(named(p), len(p), 0.05)


@given(P_VALUES, st.integers(0, 960))
def test_the_limit_says_who_is_found(p: list[float], more: int) -> None:
    p_values, looks = named(p), len(p) + more
    found = found_among(p_values, looks, 0.05)
    for name, each in p_values.items():
        among = among_looks(name, p_values, DAY, looks, 0.05)
        assert (among.refusal(each) == "") is (name in found)


def test_by_hand() -> None:
    """Of 1,000 looks, whose factor is 7.485, the limits of the three places are 6.7, 13.4 and 20.0 in a million."""
    p_values = {"a": 0.000_006, "b": 0.000_014, "c": 0.004}
    assert found_among(p_values, 1_000, 0.05) == {"a"}
    held = among_looks("c", p_values, DAY, 1_000, 0.05)
    assert held.limit == pytest.approx(0.15e-3 / 7.485, rel=1e-4)
    assert held.refusal(0.004) == (
        "Its gain is not certain enough among the 1,000 looks of the day: p 0.004, limit 0.00002. "
        "Its next look decides anew."
    )
    # With another that is as sure, b is found as well.
    assert found_among({**p_values, "d": 0.000_012}, 1_000, 0.05) == {"a", "d", "b"}


def test_one_look_alone_is_a_test_at_the_rate() -> None:
    assert found_among({"a": 0.05}, 1, 0.05) == {"a"}
    assert found_among({"a": 0.051}, 1, 0.05) == set()
    assert found_among({}, 7, 0.05) == set()


def test_more_p_values_than_looks_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="2 p-values of 1 looks"):
        found_among({"a": 0.1, "b": 0.2}, 1, 0.05)


def test_the_factor_of_any_dependence() -> None:
    """Benjamini and Yekutieli (2001), theorem 1.3; as scipy has it."""
    p = np.array([0.001, 0.01, 0.02])
    ratio = false_discovery_control(p, method="by") / false_discovery_control(p, method="bh")
    assert ratio == pytest.approx(np.full(3, any_dependence(3)))
