"""What became of a promotion: kept, worse, cannot judge; each branch with intervals worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mlops_assets.core.promote.outcome import gain_of, outcome, promise
from mlops_assets.core.record.gain import Gain
from mlops_assets.core.stats.comparison import Paired, paired
from mlops_assets.core.stats.intervals import CannotJudge

PROMISED = Gain(gain=0.03, lower=0.02, upper=0.04, confidence=0.95, rows=9_000, days=14)


def found(gain: float, half: float) -> Paired:
    return Paired("roc_auc", gain, gain - half, gain + half, half / 2, 13, 9_000, 14, 0.6, 0.6 + gain, 0.95)


@pytest.mark.parametrize(
    ("gain", "half", "result", "told"),
    [
        (0.03, 0.01, "kept", "Surely better: "),
        (0.01, 0.005, "kept", "Surely better, though by less than promised"),
        (0.01, 0.02, "kept", "Better by the estimate, and the promise lies within the noise"),
        (-0.03, 0.01, "worse", "Surely worse"),
        (0.005, 0.01, "worse", "Not surely better, and surely less than the least that was promised"),
        (-0.005, 0.01, "worse", "Not surely better, and surely less"),
        (-0.005, 0.03, "cannot_judge", "The noise covers both no gain and the promised one"),
        (0.0, 0.03, "cannot_judge", "The noise covers both"),
    ],
)
def test_a_promotion_is_held_to_its_promise(gain: float, half: float, result: str, told: str) -> None:
    judged = outcome(PROMISED, found(gain, half), opponent="version 1")
    assert judged.result == result
    assert judged.reason.startswith(told)
    assert judged.realised is not None
    assert f"{gain:+.4f}" in judged.reason
    assert "of version 1" in judged.reason
    assert "promised was +0.0300 (95% interval +0.0200 to +0.0400, 9,000 rows on 14 days)" in judged.reason


@pytest.mark.parametrize(
    ("gain", "half", "result"), [(0.02, 0.01, "kept"), (0.005, 0.01, "kept"), (-0.02, 0.01, "worse")]
)
def test_without_a_promise_on_record_it_is_held_to_zero(gain: float, half: float, result: str) -> None:
    judged = outcome(None, found(gain, half))
    assert judged.result == result
    assert "what was promised is not on record" in judged.reason


def test_what_cannot_be_judged_says_why() -> None:
    judged = outcome(PROMISED, CannotJudge("there are 3 days", "Wait."))
    assert (judged.result, judged.realised) == ("cannot_judge", None)
    assert judged.reason == "Cannot judge, because there are 3 days. Wait."


def test_the_promise_of_a_gate_is_the_gain_over_the_champion_or_over_the_baseline() -> None:
    champion, baseline = found(0.02, 0.01), found(0.1, 0.01)
    assert promise(champion, baseline) == gain_of(champion).to_dict()
    assert promise(None, baseline) == gain_of(baseline).to_dict()
    assert promise(CannotJudge("too few", "Wait."), baseline) is None
    assert Gain.from_dict(gain_of(champion).to_dict()) == gain_of(champion)


def test_a_kept_promise_is_seldom_called_worse() -> None:
    """The gain is as promised at the least: by the interval's level it is called worse in at most 2.5 % of trials.

    200 trials; by the binomial distribution more than 11 such errors have a probability below 0.6 %.
    """
    rng = np.random.default_rng(3)
    least = Gain(0.15, 0.1, 0.2, 0.95, 120, 12)  # errors with a spread of 0.9 instead of 1: a gain of 0.1 in RMSE
    called = 0
    for _ in range(200):
        y, days = rng.normal(size=120), np.repeat(np.arange(12), 10)
        before, after = y + rng.normal(size=120), y + rng.normal(scale=0.9, size=120)
        called += outcome(least, paired(y, before, after, days, "rmse")).result == "worse"
    assert called <= 11
