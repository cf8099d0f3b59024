"""Refits that have kept paying: the record, and how far it eases the probe and the gate.

What lives here: formulas on hand-made records, and the record's own level by simulation. What doesn't: who leads and
what looks add up to (`test_probe`), whole lives (tests/scenarios).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy import stats

from mlops_assets.core.decide.judged_window import KEEP
from mlops_assets.core.decide.probe import CHOSEN, SHARES, add_up, gate_confidence
from mlops_assets.core.decide.probe_policy import ProbePolicy
from mlops_assets.core.decide.probe_result import Gain, Look, Part, Probed, Series
from mlops_assets.core.decide.track_record import EASED, EVEN, FEWEST, LEVEL, PAYS, RECENT, keeps_paying

DAY = timedelta(days=1)
LENGTH = 28 * DAY
START = datetime(2024, 3, 1, tzinfo=UTC)
ALL, ONE = "refit:expanding", "refit:1"
DAYS, NOISE = 10, 0.3


def looks_with(gains: Sequence[float | None], *, name: str = ONE, loss: float = 1.0) -> list[Look]:
    """A look at another champion in each window, by what a refit gained on its newest days, as a share of the loss."""
    looks = []
    for number, gain in enumerate(gains):
        start, end = START + number * LENGTH, START + (number + 1) * LENGTH
        found = {} if gain is None else {name: _series(gain * loss)}
        # The whole window was judged by the refit that became its champion: it gains nothing there.
        lost = {KEEP: 0.7 * loss, ALL: loss, name: 0.7 * loss}
        whole = Part(start, 280, lost, {name: _series(0.0)})
        newest = Part(end - DAYS * DAY, 100, {KEEP: loss, ALL: loss, name: loss * (1.0 - (gain or 0.0))}, found)
        looks.append(Look(f"w{number}", end, end, str(number + 1), whole, newest))
    return looks


def _series(gain: float) -> Series:
    """Ten days of ten rows that lie above and below the gain in turns: they remember nothing."""
    return Series(gain, tuple(NOISE * (-1) ** day * 10.0 for day in range(DAYS)), (10.0,) * DAYS)


def bound(gains: Sequence[float]) -> float:
    """The textbook lower bound of a mean."""
    error = float(np.std(gains, ddof=1)) / math.sqrt(len(gains))
    return float(np.mean(gains)) - float(stats.t.ppf(1.0 - LEVEL, len(gains) - 1)) * error


@pytest.mark.parametrize(
    "gains",
    [
        [0.1, 0.05, 0.12, 0.08],
        [0.1, -0.01, 0.12, 0.02],
        [0.012, 0.011, 0.012, 0.011],
        [0.011, 0.0, 0.012, 0.011],
        [0.0, 0.0, 0.0, 0.9],
        [0.0, 0.0, 0.9, 0.0, 0.0, 0.0, 0.0],
    ],
)
@pytest.mark.parametrize("loss", [1.0, 7.0])
def test_refits_keep_paying_where_the_mean_of_the_windows_surely_exceeds_a_hundredth(
    gains: list[float], loss: float
) -> None:
    assert keeps_paying(looks_with(gains, loss=loss), ONE, ProbePolicy()) is (bound(gains) > PAYS)


def test_one_break_is_no_record_however_large() -> None:
    for size in (0.1, 0.9):
        assert not keeps_paying(looks_with([0.0] * 5 + [size]), ONE, ProbePolicy())
        assert not keeps_paying(looks_with([size] + [0.0] * 5), ONE, ProbePolicy())


def test_a_record_takes_windows_and_is_of_the_newest() -> None:
    assert not keeps_paying(looks_with([0.1] * (FEWEST - 1)), ONE, ProbePolicy())
    assert keeps_paying(looks_with([0.1] * FEWEST), ONE, ProbePolicy())
    # What was long ago no longer counts, and a window that the refit was not judged in is none.
    assert keeps_paying(looks_with([-0.9] * 3 + [0.1, 0.11] * (RECENT // 2)), ONE, ProbePolicy())
    assert not keeps_paying(looks_with([0.1, None, 0.1, None, 0.1]), ONE, ProbePolicy())
    # Windows before there was a champion have no gain.
    before = [replace(look, champion="") for look in looks_with([0.1] * FEWEST)]
    assert not keeps_paying(before, ONE, ProbePolicy())


@pytest.mark.parametrize(("champions", "is_record"), [("111111", False), ("111222", False), ("112233", True)])
def test_one_break_that_no_refit_has_answered_is_no_record(champions: str, is_record: bool) -> None:
    """A champion that stays shows the same gain in each window."""
    looks = [replace(look, champion=name) for look, name in zip(looks_with([0.1] * 6), champions, strict=True)]
    assert keeps_paying(looks, ONE, ProbePolicy()) is is_record


def test_a_refit_that_began_with_a_change_has_the_record_of_the_most_similar_calendar() -> None:
    looks = looks_with([0.1] * 6)
    since = f"refit:since:{(looks[-1].end - 20 * DAY).date()}"
    assert keeps_paying(looks, since, ProbePolicy())
    assert not keeps_paying(looks, f"refit:since:{(looks[-1].end - 100 * DAY).date()}", ProbePolicy())


def test_equal_models_make_no_record() -> None:
    """The share of windows with a record where nothing is gained, at 500 lives of 20 windows: well below its level."""
    rng = np.random.default_rng(3)
    eased = [
        keeps_paying(looks_with(life[:count].tolist()), ONE, ProbePolicy())
        for life in rng.normal(0.0, 0.05, size=(500, 20))
        for count in (8, 14, 20)
    ]
    assert np.mean(eased) < LEVEL


def summed(gains: Sequence[float]) -> Probed:
    looks = looks_with(gains)
    return add_up(looks, ProbePolicy(), champion=looks[-1].champion, since=START, length=LENGTH)


def lower_at(level: float, gain: float) -> float:
    """The lower bound of a gain on ten days that lie above and below it in turns, by Bell and McCaffrey."""
    return gain - float(stats.t.ppf(1.0 - level, DAYS - 1)) * NOISE / math.sqrt(DAYS - 1)


def test_while_refits_keep_paying_the_newest_days_need_less_evidence() -> None:
    own = ProbePolicy().level / CHOSEN * SHARES["newest"]
    paid, usual = summed([0.3, 0.2] * 3), summed([0.0, 0.0, 0.0, 0.0, 0.0, 0.2])
    assert paid.leader == usual.leader == ONE
    assert paid.refit is not None
    assert usual.refit is not None
    assert (paid.refit.windows, paid.refit.eased, usual.refit.eased) == (0, True, False)
    assert paid.refit.lower == pytest.approx(lower_at(min(EVEN, EASED * own), 0.2))
    assert "by 11.2% at least, most likely, as refits have kept paying" in paid.refit.in_words
    assert lower_at(own, 0.2) < 0.0 < paid.refit.lower
    assert usual.refit.lower <= 0.0


def test_the_gate_is_eased_as_the_probe_is_and_only_for_a_gain_above_the_price() -> None:
    def found(lower: float, *, eased: bool) -> Probed:
        gain = Gain(ONE, lower, 0.05, 0, 100, 10, eased=eased)
        return Probed(gain, None, ONE, looks=2, alpha_spent=0.01, sentence="The probe has looked.")

    # One-sided, 2.5 % become 25 %; of a level that is agreed to be stricter, ten times as much.
    assert gate_confidence(found(0.02, eased=True), 0.01, 0.95) == pytest.approx(1.0 - 2.0 * EVEN)
    assert gate_confidence(found(0.02, eased=True), 0.01, 0.99) == pytest.approx(1.0 - EASED * 0.01)
    assert gate_confidence(found(0.02, eased=True), 0.01, 0.8) == pytest.approx(1.0 - 2.0 * EVEN)
    assert gate_confidence(found(0.02, eased=False), 0.01, 0.95) == 0.95
    assert gate_confidence(found(0.005, eased=True), 0.01, 0.95) > 0.95


def daily(losses: Sequence[float], end: datetime) -> tuple[tuple[str, float, float], ...]:
    first = end.date() - timedelta(days=len(losses))
    return tuple((str(first + timedelta(days=k)), 10.0, loss) for k, loss in enumerate(losses))


def test_what_was_gained_until_the_champion_recovered_is_over() -> None:
    """A shock filled most of the window: the refit that knows of it gained there, and gains nothing since it ended."""
    wiggle = [0.01 * (-1) ** k for k in range(28)]
    high, low = [2.0 + x for x in wiggle[:19]], [1.0 + x for x in wiggle[19:]]
    (look,) = looks_with([-0.02], name=ALL)
    gained = Part(look.whole.start, 280, {KEEP: 1.7, ALL: 1.5}, {ALL: Series(0.2, (0.1, -0.1) * 14, (10.0,) * 28)})
    shock = replace(look, whole=gained, daily=daily([*high, *low], look.end))
    lasting = replace(shock, daily=daily([1.5 + x for x in wiggle], look.end))

    def refit(one: Look, policy: ProbePolicy | None = None) -> Gain:
        found = add_up([one], policy or ProbePolicy(), champion="1", since=START, length=LENGTH).refit
        assert found is not None
        return found

    assert refit(lasting).windows == 1
    assert refit(lasting).lower > 0.0
    assert refit(shock).windows == 0
    assert refit(shock).lower < 0.0
    # Where the newest days gain too, it goes on; and without the test for a day nothing is taken to be over.
    assert look.newest is not None
    ahead = replace(shock, newest=replace(look.newest, series={ALL: _series(0.01)}))
    assert refit(ahead).windows == 1
    assert refit(shock, ProbePolicy(change_level=0.0)).windows == 1
