from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mlops_assets.core.promote.gate import RuleResult, holm, verdict
from mlops_assets.core.promote.gate_policy import GatePolicy
from mlops_assets.core.stats.comparison import Paired, against_baseline, paired, twin_agrees
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.stats.metrics import metric
from tests.equal_models import lucky

RNG = np.random.default_rng(11)
N, DAYS = 3_000, 30
BLOCKS = np.sort(RNG.integers(0, DAYS, N))
SIGNAL = RNG.standard_normal(N)
Y = (RNG.random(N) < 1 / (1 + np.exp(1 - SIGNAL))).astype(float)


def probability(noise: float, seed: int) -> np.ndarray:
    z = SIGNAL + noise * np.random.default_rng(seed).standard_normal(N)
    return 1 / (1 + np.exp(1 - z))


GOOD, FAIR = probability(0.3, 1), probability(1.5, 2)


def comparison(**changes: object) -> Paired:
    base = Paired("roc_auc", 0.02, 0.01, 0.03, 0.005, 29.0, 3_000, 30, 0.70, 0.72, 0.95)
    return replace(base, **changes)


# --- the verdict -------------------------------------------------------------------------------------------


def test_better_passes_and_fails_by_the_lower_bound() -> None:
    passed = verdict(GatePolicy(), comparison())
    assert passed.promote
    assert passed.reason.startswith("roc_auc 0.7200 against 0.7000 of the champion")
    failed = verdict(GatePolicy(), comparison(lower=-0.001))
    assert (failed.promote, failed.judged) == (False, True)
    assert failed.reason.startswith("roc_auc 0.7200 against 0.7000")


def test_nothing_yet_is_said_with_the_remedy_and_promotes_nothing() -> None:
    few = verdict(GatePolicy(), comparison(n=49))
    assert (few.promote, few.judged) == (False, False)
    assert "49 labelled rows and 50 are needed. Wait" in few.reason
    none = verdict(GatePolicy(), CannotJudge("the window has one class", "Widen the window"))
    assert (none.promote, none.judged) == (False, False)
    assert "Widen the window" in none.reason


def test_by_agreement_what_cannot_be_judged_ships_if_all_other_rules_hold() -> None:
    ship, few = GatePolicy(when_unjudgeable="ship"), CannotJudge("the rows fall into 7 days", "Wait for days")
    shipped = verdict(ship, few, baseline=comparison())
    assert (shipped.promote, shipped.judged) == (True, False)
    assert shipped.reason.startswith(
        "not judged against the champion, because the rows fall into 7 days: it ships by the agreed rule "
        "(gate.when_unjudgeable: ship); roc_auc 0.7200 against 0.7000 of the baseline"
    )
    # What has been judged is judged as ever.
    assert not verdict(ship, comparison(lower=-0.001)).promote
    assert verdict(ship, comparison()).judged
    broken = RuleResult("golden_set_holds", False, 1.0, 0.0, "1 of 5 golden rows is off")
    for rejected in (
        verdict(ship, few, baseline=comparison(lower=-0.001)),
        verdict(ship, few, baseline=comparison(), further=[broken]),
        verdict(replace(ship, min_value=0.73), few, baseline=comparison()),
    ):
        assert (rejected.promote, rejected.judged) == (False, True)
        assert "not judged" not in rejected.reason
    # Nothing could be compared at all: the value neither.
    blind = verdict(replace(ship, min_value=0.73), few, baseline=few)
    assert blind.promote
    assert blind.reason.endswith("the challenger's own value was not judged either")
    # A first model has nobody in whose place it would have to come.
    assert not verdict(ship, None, baseline=few).promote
    assert not verdict(GatePolicy(), few, baseline=comparison()).promote
    with pytest.raises(ValueError, match=r"gate\.when_unjudgeable is 'maybe': set keep or ship"):
        GatePolicy(when_unjudgeable="maybe")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("preset", "gain", "promote"),
    [
        ("f1_2_percent", 0.0141, True),  # 2 % of 0.70 is 0.014
        ("f1_2_percent", 0.0139, False),
        ("accuracy_1_point", 0.0101, True),
        ("accuracy_1_point", 0.0099, False),
        ("rmse_5_percent", 0.0351, True),
        ("rmse_5_percent", 0.0349, False),
    ],
)
def test_presets_hold_the_gain_against_their_limit(preset: str, gain: float, promote: bool) -> None:
    assert verdict(GatePolicy.of_preset(preset), comparison(gain=gain)).promote is promote


def test_a_relative_gain_must_also_be_sure_unless_that_is_switched_off() -> None:
    policy = GatePolicy(rule="relative", min_gain=0.02)
    unsure = comparison(lower=-0.01)
    assert not verdict(policy, unsure).promote
    assert verdict(replace(policy, significant=False), unsure).promote


@pytest.mark.parametrize(("lower", "promote"), [(-0.0139, True), (-0.0141, False), (0.01, True)])
def test_non_inferior_lets_through_what_is_surely_not_worse_by_the_margin(lower: float, promote: bool) -> None:
    policy = GatePolicy(rule="non_inferior", margin=0.02)  # 2 % of 0.70 is 0.014
    said = verdict(policy, comparison(gain=0.0, lower=lower))
    assert (said.promote, said.rules[0].limit) == (promote, pytest.approx(-0.014))
    assert "needed a lower bound above -0.014" in said.rules[0].sentence
    # The baseline is no champion: it must surely be beaten, or the first model is none.
    assert verdict(policy, None, baseline=comparison(lower=0.001)).promote
    assert not verdict(policy, None, baseline=comparison(lower=-0.001)).promote
    assert not verdict(policy, comparison(), baseline=comparison(lower=-0.001)).promote
    nothing_yet = verdict(policy, CannotJudge("the window has one class", "Widen the window"))
    assert (nothing_yet.promote, nothing_yet.judged) == (False, False)


@pytest.mark.parametrize(
    ("name", "limit", "promote"),
    [("roc_auc", 0.72, True), ("roc_auc", 0.73, False), ("rmse", 0.72, True), ("rmse", 0.71, False)],
)
def test_the_challenger_must_reach_a_value_of_its_own(name: str, limit: float, promote: bool) -> None:
    policy = GatePolicy(min_value=limit)
    said = verdict(policy, comparison(metric=name))
    assert said.promote is promote
    (rule,) = (rule for rule in said.rules if rule.name == "value_holds")
    assert (rule.value, rule.limit, rule.passed) == (0.72, limit, promote)
    assert verdict(policy, None, baseline=comparison(metric=name)).promote is promote
    assert not any(rule.name == "value_holds" for rule in verdict(GatePolicy(), comparison()).rules)
    assert not verdict(policy, CannotJudge("there are no rows", "Wait")).judged


def test_a_first_model_must_beat_the_baseline_by_the_same_rule() -> None:
    base = against_baseline(Y, N, "binary")
    assert metric("roc_auc").score(Y, base) == 0.5
    first = verdict(GatePolicy(), None, baseline=paired(Y, base, GOOD, BLOCKS, "roc_auc"))
    assert first.promote
    assert "of the baseline" in first.reason
    noise = RNG.random(N)
    assert not verdict(GatePolicy(), None, baseline=paired(Y, base, noise, BLOCKS, "roc_auc")).promote
    with pytest.raises(ValueError, match="against_baseline"):
        verdict(GatePolicy(), None)


def test_beating_the_champion_but_not_surely_the_baseline_is_a_rejection() -> None:
    unsure = comparison(gain=0.025, lower=-0.005)  # the champion is 0.005 ahead of the baseline
    assert not verdict(GatePolicy(), comparison(), baseline=unsure).promote
    assert verdict(GatePolicy(beat_baseline=False), comparison(), baseline=unsure).promote


def test_where_the_champion_is_behind_the_baseline_whatever_beats_it_is_an_improvement() -> None:
    """After a sudden change: the gate's window is older than the change, and knows the base rate better than both."""
    behind = comparison(gain=-0.03, lower=-0.04)
    found = verdict(GatePolicy(), comparison(gain=0.05, lower=0.04), baseline=behind)
    assert found.promote
    (rule,) = [rule for rule in found.rules if rule.name == "beats_baseline"]
    assert rule.sentence.endswith(", but the champion itself is 0.08 behind the baseline")
    assert not verdict(GatePolicy(), comparison(lower=-0.001), baseline=behind).promote
    assert not verdict(GatePolicy(), None, baseline=behind).promote


# --- slices ------------------------------------------------------------------------------------------------


def test_a_slice_that_is_surely_worse_vetoes() -> None:
    bad = comparison(gain=-0.10, lower=-0.12, upper=-0.08, se=0.01)
    result = verdict(GatePolicy(), comparison(), slices={"carrier=AA": bad, "carrier=UA": comparison()})
    assert not result.promote
    assert "carrier=AA (-14.3%)" in result.reason


def test_a_slice_that_may_be_worse_by_chance_does_not_veto() -> None:
    noisy = comparison(gain=-0.03, lower=-0.09, upper=0.03, se=0.03)
    assert verdict(GatePolicy(), comparison(), slices={"carrier=AA": noisy}).promote


def test_small_and_unjudgeable_slices_are_counted_not_judged() -> None:
    slices = {"a": comparison(n=50, gain=-0.5), "b": CannotJudge("one class", "Widen"), "c": comparison()}
    rules = {r.name: r for r in verdict(GatePolicy(), comparison(), slices=slices).rules}
    assert rules["slices_hold"].passed
    assert "2 of 3 slices too small" in rules["slices_hold"].sentence


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.04 against 0.05/4, /3, /2, /1: only the first passes its step.
    assert holm([0.04, 0.01, 0.03, 0.02], 0.05) == [False, True, False, False]
    assert holm([0.01, 0.012], 0.05) == [True, True]
    assert holm([], 0.05) == []


# --- the twin ----------------------------------------------------------------------------------------------


def test_a_refit_close_to_its_twin_agrees_and_a_shuffled_one_does_not() -> None:
    close = twin_agrees(GOOD, GOOD + 0.01)
    shuffled = twin_agrees(GOOD, RNG.permutation(GOOD))
    assert close.agrees
    assert not shuffled.agrees
    assert verdict(GatePolicy(), comparison(), twin=close).promote
    assert not verdict(GatePolicy(), comparison(), twin=shuffled).promote


def test_the_twins_agreement_is_pearsons_correlation() -> None:
    one, other = RNG.standard_normal((2, 50))
    assert twin_agrees(one, other).correlation == pytest.approx(np.corrcoef(one, other)[0, 1])
    told = twin_agrees([0.1, 0.2, 0.4], [0.1, 0.2, 0.4]).sentence
    assert told == "the refit that ships scores 3 rows like the judged model (correlation 1.000, at least 0.5 agreed)"


def test_a_refit_that_is_surer_of_rows_it_has_seen_agrees() -> None:
    assert twin_agrees(GOOD, 0.5 + 3 * (GOOD - GOOD.mean())).correlation == pytest.approx(1.0)


def test_odd_twins() -> None:
    assert twin_agrees([0.3, 0.3], [0.3, 0.3]).agrees
    assert not twin_agrees([0.3, 0.3], [0.3, 0.4]).agrees
    assert not twin_agrees([0.1, 0.3], [0.1, np.nan]).agrees
    with pytest.raises(CannotJudge):
        twin_agrees([], [])
    with pytest.raises(ValueError, match="same rows"):
        twin_agrees([1.0], [1.0, 2.0])


# --- equal models ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["rmse", "accuracy"])
def test_equal_models_are_promoted_by_luck_at_most_as_often_as_agreed(metric: str) -> None:
    """A smoke run of benchmarks/aa_gate.py: 3.5 % are the bar, and 300 worlds have a standard error of 1 %."""
    luck = lucky(metric, 10_000, 300)
    assert luck.by_day <= 0.035 + 0.02
    assert luck.by_row > luck.by_day


@pytest.mark.simulates
@pytest.mark.parametrize(("days", "rho"), [(8, 0.7), (28, 0.7), (60, 0.7)])
def test_days_that_resemble_the_day_before_promote_no_more_of_them(days: int, rho: float) -> None:
    """500 worlds have a standard error of 0.8 %."""
    luck = lucky("rmse", 10_000, 500, rho=rho, days=days)
    assert luck.by_day <= 0.035 + 0.016
    assert luck.forgetful > 2.0 * luck.by_day


# --- the policy --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "remedy"),
    [
        ({"rule": "best"}, "set better, relative, absolute or non_inferior"),
        ({"rule": "non_inferior"}, "set it above zero, such as 0.02"),
        ({"rule": "non_inferior", "margin": 0.02, "min_gain": 0.1}, "rule non_inferior takes none"),
        ({"margin": 0.02}, "set rule: non_inferior"),
        ({"margin": 2.0, "rule": "non_inferior"}, "from 0 to 1, for example 0.02"),
        ({"margin": float("inf"), "rule": "non_inferior"}, "from 0 to 1, for example 0.02"),
        ({"margin": -0.02, "rule": "non_inferior"}, "from 0 to 1"),
        ({"min_gain": 0.02}, "set relative or absolute"),
        ({"confidence": 95}, "for example 0.95"),
        ({"slice_margin": -0.1}, "from 0 to 1"),
        ({"rule": "relative", "min_gain": 2.0}, "share of the champion's value below 1, for example 0.02"),
    ],
)
def test_a_wrong_policy_names_the_remedy(fields: dict, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        GatePolicy(**fields)


def test_an_unknown_preset_lists_all() -> None:
    with pytest.raises(ValueError, match="f1_2_percent"):
        GatePolicy.of_preset("strict")


def test_policy_and_verdict_are_plain_for_the_ledger() -> None:
    assert GatePolicy(**json.loads(json.dumps(GatePolicy().to_dict()))) == GatePolicy()
    assert json.loads(json.dumps(verdict(GatePolicy(), comparison()).to_dict()))["promote"] is True
