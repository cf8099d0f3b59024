"""The gate's limits: each passes, fails, and has nothing to judge on yet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mlops_assets.core.performance.fairness import Difference
from mlops_assets.core.promote.gate import verdict
from mlops_assets.core.promote.gate_limits import calibration_rules, fairness_rule, latency_rule, season_rule, size_rule
from mlops_assets.core.promote.gate_policy import GatePolicy
from mlops_assets.core.stats.comparison import Paired
from mlops_assets.core.stats.intervals import CannotJudge

PAIRED = Paired("roc_auc", 0.02, 0.01, 0.03, 0.005, 29.0, 3_000, 30, 0.70, 0.72, 0.95)
RNG = np.random.default_rng(3)
N = 4_000
DAYS = np.arange(N) % 28
TRUE = RNG.random(N)
Y = (RNG.random(N) < TRUE).astype(float)
SURE = np.clip(0.5 + 1.6 * (TRUE - 0.5), 0.01, 0.99)
"""Too sure of itself by a known amount."""


def spread(value: float | None, lower: float | None) -> Difference:
    groups = {"x=a": {"accuracy": 0.9}, "x=b": {"accuracy": 0.9 - (value or 0.0)}}
    why = None if lower is not None else "no rows. Wait."
    return Difference("x", "accuracy", value, lower, 1.0, "accuracy", "x=a", "x=b", groups, why=why)


# --- fairness ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("challenger", "champion", "passed"),
    [
        (spread(0.05, 0.0), None, True),
        (spread(0.20, 0.12), None, False),
        (spread(0.20, 0.08), None, True),  # may be noise
        (spread(0.20, 0.12), spread(0.05, 0.0), False),
        (spread(0.20, 0.12), spread(0.25, 0.15), True),  # the champion breaks it already, and by more
        (spread(0.26, 0.16), spread(0.25, 0.15), False),  # ... by less
        (spread(0.26, 0.05), spread(0.25, 0.15), False),
        (spread(None, None), None, True),
        (spread(None, None), spread(0.25, 0.15), True),
    ],
)
def test_fairness(challenger: Difference, champion: Difference | None, passed: bool) -> None:
    (rule,) = fairness_rule([challenger], [champion] if champion else None, 0.1)
    assert (rule.name, rule.passed, rule.value, rule.limit) == ("fairness_holds", passed, challenger.value, 0.1)


def test_one_column_of_two_is_enough_to_fail() -> None:
    (rule,) = fairness_rule([spread(0.05, 0.0), spread(0.2, 0.12)], None, 0.1)
    assert (rule.passed, rule.value) == (False, 0.2)
    assert fairness_rule([], None, 0.1) == []


# --- calibration -------------------------------------------------------------------------------------------


def expected_error(s: np.ndarray) -> float:
    """Guo et al. (2017), by hand: the gap of mean score and rate in ten bins, weighed by rows."""
    bins = np.minimum((s * 10).astype(int), 9)
    return sum(abs(Y[bins == b].mean() - s[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins))


def test_calibration_is_off_unless_it_is_asked_for() -> None:
    assert calibration_rules(GatePolicy(), Y, SURE, TRUE, DAYS) == []


@pytest.mark.parametrize(("scores", "passed"), [(TRUE, True), (SURE, False)])
def test_calibration_error_is_held_to_a_limit(scores: np.ndarray, passed: bool) -> None:
    (rule,) = calibration_rules(GatePolicy(max_calibration_error=0.05), Y, scores, None, DAYS)
    assert (rule.name, rule.passed, rule.limit) == ("calibration_holds", passed, 0.05)
    assert rule.value == pytest.approx(expected_error(scores))
    assert "interval" in rule.sentence


def test_calibration_must_not_surely_be_worse_than_the_champions() -> None:
    policy = GatePolicy(calibration_margin=0.0)
    (worse,) = calibration_rules(policy, Y, SURE, TRUE, DAYS)
    assert (worse.name, worse.passed) == ("calibration_not_worse", False)
    assert worse.value == pytest.approx(expected_error(SURE) - expected_error(TRUE))
    (better,) = calibration_rules(policy, Y, TRUE, SURE, DAYS)
    assert better.passed
    (allowed,) = calibration_rules(replace(policy, calibration_margin=0.2), Y, SURE, TRUE, DAYS)
    assert allowed.passed
    assert calibration_rules(policy, Y, SURE, None, DAYS) == []


def test_calibration_that_cannot_be_judged_says_why() -> None:
    policy = GatePolicy(max_calibration_error=0.05, calibration_margin=0.0)
    first, second = calibration_rules(policy, Y, TRUE * 10, SURE, DAYS)
    assert first.passed
    assert second.passed
    assert "no probabilities" in first.sentence
    assert "no probabilities" in second.sentence


# --- the same season ---------------------------------------------------------------------------------------


def test_the_same_season_is_held_to_the_slice_margin() -> None:
    policy = GatePolicy(same_season=True)  # 2 % of 0.70 is 0.014
    (good,) = season_rule(policy, PAIRED, "on the rows of last year")
    assert (good.name, good.passed, good.limit) == ("same_season_holds", True, -0.02)
    assert good.value == pytest.approx(0.02 / 0.70)
    assert "on the rows of last year" in good.sentence
    noisy = replace(PAIRED, gain=-0.02)  # beyond by 0.006, 1.2 standard errors: not sure
    assert season_rule(policy, noisy, "")[0].passed
    (bad,) = season_rule(policy, replace(PAIRED, gain=-0.03), "")  # by 0.016, 3.2 standard errors
    assert not bad.passed
    assert "surely worse by more than 2%" in bad.sentence


def test_a_year_that_is_not_there_is_no_reason_to_reject() -> None:
    (rule,) = season_rule(GatePolicy(), CannotJudge("2012 has no rows", "Land that year"), "")
    assert (rule.passed, rule.value) == (True, None)
    assert "2012 has no rows. Land that year" in rule.sentence


# --- size and latency --------------------------------------------------------------------------------------


def test_size_and_latency_are_held_to_their_limits() -> None:
    policy = GatePolicy(max_size_mb=2, max_latency_ms=5)
    assert [size_rule(policy, n)[0].passed for n in (1_900_000, 2_000_000, 2_100_000)] == [True, True, False]
    assert size_rule(policy, 2_100_000)[0].value == pytest.approx(2.1)
    assert [latency_rule(policy, ms, 300)[0].passed for ms in (4.9, 5.0, 5.1)] == [True, True, False]
    assert "measured once on this machine" in latency_rule(policy, 4.9, 300)[0].sentence
    assert size_rule(GatePolicy(), 10**9) == latency_rule(GatePolicy(), 1e6, 300) == []


# --- one verdict -------------------------------------------------------------------------------------------


def test_a_limit_is_part_of_the_verdict() -> None:
    policy = GatePolicy(max_size_mb=2)
    for n_bytes, promote in ((10, True), (10**7, False)):
        found = verdict(policy, PAIRED, further=size_rule(policy, n_bytes))
        assert found.promote is promote
        assert [rule.name for rule in found.rules] == ["beats_champion", "size_holds"]
        assert ("10 MB" in found.reason) is not promote


@pytest.mark.parametrize("field", ["max_calibration_error", "calibration_margin", "max_size_mb", "max_latency_ms"])
def test_a_negative_limit_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=rf"gate.{field} is -1.0: write a number"):
        GatePolicy(**{field: -1.0})
