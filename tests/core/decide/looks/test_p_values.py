"""The p-value of a gain: the level at which the probe's own bound would touch the price."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from msgspec import UNSET
from scipy import stats

from mlops_assets.core.decide.judged_window import KEEP
from mlops_assets.core.decide.looks.p_values import SMALLEST_P, touching_level
from mlops_assets.core.decide.looks.pooled_gains import JoinedSeries
from mlops_assets.core.decide.price import exceeds_price
from mlops_assets.core.decide.probe import SHARES, add_up
from mlops_assets.core.decide.probe_policy import ProbePolicy
from mlops_assets.core.decide.probe_result import Gain, Look, Part, Probed, Series
from mlops_assets.core.decide.retrain_policy import RetrainPolicy
from mlops_assets.core.record.plain_values import as_plain, from_plain

START = datetime(2024, 3, 1, tzinfo=UTC)
ROWS = 100.0
FIRST, COSTS = "refit:expanding", {"tp": 1.0}
PRICES = RetrainPolicy(min_gain=0.01)


def series(days: np.ndarray) -> Series:
    return Series(float(days.mean()), tuple((days - days.mean()) * ROWS), (ROWS,) * len(days), noise=None)


def looks(
    seed: int, *, windows: int = 4, days: int = 28, gain: float = 0.02, memory: float = 0.0, worth: float = 1.0
) -> list[Look]:
    """So many windows in which a refit gains on a champion that loses 1, days remembering the day before."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=windows * days)
    for day in range(1, len(values)):
        values[day] = memory * values[day - 1] + math.sqrt(1.0 - memory**2) * values[day]
    values = gain + 0.02 * values
    made = []
    for number in range(windows):
        end = START + timedelta(days=(number + 1) * days)
        window = values[number * days : (number + 1) * days]
        parts = [
            Part(
                end - timedelta(days=len(part)),
                int(ROWS) * len(part),
                {KEEP: 1.0, FIRST: 1.0 - float(part.mean())},
                {FIRST: series(part)},
                {FIRST: series(worth * part)},
            )
            for part in (window, window[-10:])
        ]
        labelled = int(ROWS) * days
        made.append(Look(str(number), end, end, "1", parts[0], parts[1], costs=COSTS, labelled=labelled))
    return made


def added(of: list[Look], level: float = 0.1, prices: RetrainPolicy | None = PRICES, **more: Any) -> Probed:
    length = of[0].end - START
    return add_up(of, ProbePolicy(level=level), champion="1", since=START, length=length, prices=prices, **more)


def gain_of(of: list[Look], level: float = 0.1, prices: RetrainPolicy | None = PRICES, **more: Any) -> Gain:
    refit = added(of, level, prices, **more).refit
    assert refit is not None
    return refit


@pytest.mark.parametrize("memory", [0.0, 0.6])
@pytest.mark.parametrize(("windows", "days"), [(1, 10), (1, 28), (2, 28), (4, 7), (6, 28)])
@pytest.mark.parametrize("seed", range(4))
def test_the_bound_exceeds_the_price_at_every_level_above_p_and_at_none_below(
    seed: int, windows: int, days: int, memory: float
) -> None:
    of = looks(seed, windows=windows, days=days, memory=memory)
    p = gain_of(of).p
    assert isinstance(p, float)
    for factor in (1.02, 1.5):
        if p * factor < 0.5:
            assert gain_of(of, p * factor).lower > PRICES.min_gain
    for factor in (0.98, 0.5):
        if p * factor < 0.5:
            assert gain_of(of, p * factor).lower <= PRICES.min_gain


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("worth", [0.02, 0.06, 1.0])
def test_with_a_price_in_money_both_must_be_exceeded(seed: int, worth: float) -> None:
    of, prices = looks(seed, worth=worth), replace(PRICES, price_money=1.0)
    p = gain_of(of, prices=prices, costs=COSTS).p
    assert isinstance(p, float)
    assert p >= float(gain_of(of).p)  # type: ignore[arg-type]
    for factor, exceeds in ((1.02, True), (0.98, False)):
        if p * factor < 0.5:
            assert exceeds_price(gain_of(of, p * factor, prices, costs=COSTS), prices) is exceeds


def test_by_hand_it_is_the_tail_of_students_t() -> None:
    """28 equal independent days, one window: the t statistic on 27 degrees of freedom, at a share of 0.4."""
    days = 0.03 + 0.02 * np.array([1.0, -1.0] * 14)
    part = Part(START, 2800, {KEEP: 1.0, FIRST: 0.97}, {FIRST: series(days)})
    end = START + timedelta(days=28)
    t = (0.03 - 0.01) / (days.std(ddof=1) / math.sqrt(28))
    found = gain_of([Look("0", end, end, "1", part, None)]).p
    assert found == pytest.approx(stats.t.sf(t, 27) / SHARES["windows"], rel=1e-6)


def test_where_the_leader_was_chosen_the_choice_has_its_price() -> None:
    """As in the bound: of a level that is halved the same statistic has twice the p-value."""
    two = "refit:2"
    of = looks(3, gain=0.02)
    known = [replace(look, whole=_also(look.whole, two), newest=_also(look.newest, two)) for look in of]
    alone, chosen = gain_of(of), gain_of(known)
    assert (alone.candidate, chosen.candidate) == (FIRST, two)
    assert float(chosen.p) == pytest.approx(2.0 * float(alone.p))  # type: ignore[arg-type]


def _also(part: Part | None, name: str) -> Part:
    """The first refit gains nothing, and another one what it gained."""
    assert part is not None
    days = len(part.series[FIRST].sums)
    gains = {FIRST: Series(0.0, (0.0,) * days, (ROWS,) * days), name: part.series[FIRST]}
    return replace(part, series=gains, loss={KEEP: 1.0, FIRST: 1.0, name: part.loss[FIRST]})


def test_no_gain_is_no_discovery_and_no_p_value_is_nothing() -> None:
    assert gain_of(looks(1, gain=-0.05)).p == 1.0
    sure = gain_of(looks(1, gain=50.0)).p
    assert isinstance(sure, float)
    assert SMALLEST_P <= sure < 1e-9
    exact = JoinedSeries(0.5, np.zeros(8), np.full(8, ROWS), None, None)
    assert touching_level(exact, 0.01, None) == SMALLEST_P


def test_few_days_have_none() -> None:
    of = looks(1, windows=1, days=7)
    short = [replace(look, newest=None) for look in of]
    assert added(short).refit is None


def test_without_prices_evidence_is_what_it_was() -> None:
    """Their ids and fingerprints must not change where nobody looks at many models together."""
    without, with_prices = added(looks(2), prices=None), added(looks(2))
    assert without.refit is not None
    assert (without.refit.p, without.looked_at, without.rows_per_day) == (UNSET, UNSET, UNSET)
    plain, more = as_plain(without), as_plain(with_prices)
    assert more.keys() - plain.keys() == {"looked_at", "rows_per_day"}
    assert more["refit"].keys() - plain["refit"].keys() == {"p"}
    assert {**more["refit"], "p": None} == {**plain["refit"], "p": None}
    assert from_plain(Probed, more) == with_prices
    assert from_plain(Probed, plain) == without
    assert (with_prices.looked_at, with_prices.rows_per_day) == (looks(2)[-1].at, ROWS)
