"""What a calendar's promise is worth, worked by hand.

What lives here: the expectation from one record. What doesn't: the losses that promises are made of (`test_probe`).
"""

from __future__ import annotations

import numpy as np
import pytest

from mlops_assets.core.decide.promised_gains import TRUST, expected

KEPT = [(0.0, 1.0), (0.04, 3.0)]
"""The usual advantage is 0.03."""


def test_where_nothing_is_known_nothing_is_expected() -> None:
    assert expected(None, [], []) is None
    assert expected(None, [(0.1, 0.1)], []) is None


def test_without_a_promise_the_usual_advantage_is_expected() -> None:
    assert expected(None, [(0.1, 0.2)], KEPT) == pytest.approx(0.03)


def test_without_anything_usual_the_promise_is_expected() -> None:
    assert expected(0.2, [], []) == 0.2


def test_without_a_record_it_is_half_way_from_the_usual_to_the_promise() -> None:
    assert expected(0.2, [], KEPT) == pytest.approx((0.03 + 0.2) / 2)
    assert expected(-0.2, [], KEPT) == pytest.approx((0.03 - 0.2) / 2)


def test_inside_the_range_of_earlier_promises_it_is_believed_as_far_as_those_were_kept() -> None:
    # Promises 0 and 0.2 about a mean of 0.1; half of each was kept. Sums of squares: 0.02 of the promises, 0.01 kept.
    record = [(0.0, 0.0), (0.2, 0.1)]
    slope = (0.01 + TRUST) / (0.02 + TRUST)
    assert slope == pytest.approx(0.75)
    assert expected(0.16, record, KEPT) == pytest.approx(0.03 + 0.75 * 0.06)
    assert expected(0.04, record, KEPT) == pytest.approx(0.03 - 0.75 * 0.06)
    assert expected(0.1, record, KEPT) == pytest.approx(0.03)


def test_many_promises_that_were_not_kept_are_believed_no_more() -> None:
    rng = np.random.default_rng(2)
    record = [(0.2 * (-1) ** k, float(rng.normal(scale=1e-3))) for k in range(50)]
    assert expected(0.2, record, KEPT) == pytest.approx(0.03, abs=0.01 * 0.2 + TRUST / 2.0)
    # Promises that turn out the other way round are not read backwards, and none is believed twice over.
    assert expected(0.15, [(0.2, -0.4), (-0.2, 0.4)] * 9, KEPT) == pytest.approx(0.03)
    assert expected(0.15, [(0.2, 0.4), (-0.2, -0.4)] * 9, KEPT) == pytest.approx(0.03 + 0.15)


def test_what_goes_beyond_any_earlier_promise_is_believed_in_full() -> None:
    record = [(0.0, 0.0), (0.2, 0.1)]
    # The furthest was 0.1 from the mean of 0.1; the new one is 0.4 from it, 0.3 of that without precedent.
    assert expected(0.5, record, KEPT) == pytest.approx(0.03 + 0.75 * 0.1 + 0.3)
    assert expected(-0.3, record, KEPT) == pytest.approx(0.03 - 0.75 * 0.1 - 0.3)
    # One earlier promise has no range: all that differs from it is new.
    assert expected(0.3, [(0.1, 0.0)], KEPT) == pytest.approx(0.03 + 0.2)
