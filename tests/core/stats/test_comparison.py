"""The comparison of two models on the same rows: pairing, intervals by days, slices, baselines, twins."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mlops_assets.core.promote.gate import verdict
from mlops_assets.core.promote.gate_policy import GatePolicy
from mlops_assets.core.stats.comparison import Paired, against_baseline, judge_slices, paired, slice_rows
from mlops_assets.core.stats.intervals import CannotJudge, block_interval
from mlops_assets.core.stats.metrics import METRICS, metric

RNG = np.random.default_rng(11)
N, DAYS = 3_000, 30
BLOCKS = np.sort(RNG.integers(0, DAYS, N))
SIGNAL = RNG.standard_normal(N)
Y = (RNG.random(N) < 1 / (1 + np.exp(1 - SIGNAL))).astype(float)


def probability(noise: float, seed: int) -> np.ndarray:
    z = SIGNAL + noise * np.random.default_rng(seed).standard_normal(N)
    return 1 / (1 + np.exp(1 - z))


GOOD, FAIR = probability(0.3, 1), probability(1.5, 2)


# --- the interval ------------------------------------------------------------------------------------------


def test_equal_blocks_give_the_t_interval_of_block_means() -> None:
    values = RNG.standard_normal(400)
    blocks = np.repeat(np.arange(20), 20)
    means = values.reshape(20, 20).mean(axis=1)
    low, high = stats.t.interval(0.95, 19, loc=means.mean(), scale=stats.sem(means))
    span = block_interval(values.mean(), values - values.mean(), blocks)
    assert (span.lower, span.upper) == (pytest.approx(low), pytest.approx(high))
    assert (span.df, span.n, span.n_blocks) == (pytest.approx(19), 400, 20)


def test_one_heavy_day_leaves_few_degrees_of_freedom() -> None:
    blocks = np.r_[np.zeros(1_000), np.arange(1, 11)]
    span = block_interval(0.0, RNG.standard_normal(1_010), blocks)
    assert span.df == 1.0


def test_seven_days_are_too_few() -> None:
    with pytest.raises(CannotJudge, match="7 blocks"):
        paired(Y, FAIR, GOOD, BLOCKS % 7, "roc_auc")


def test_a_confidence_outside_0_to_1_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.95"):
        block_interval(0.0, [0.0], [0], confidence=95)


# --- paired ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n, m in METRICS.items() if "binary" in m.tasks and n != "recall"])
def test_the_better_challenger_gains_whatever_the_metrics_direction(name: str) -> None:
    result = paired(Y, FAIR, GOOD, BLOCKS, name)
    assert result.gain > 0
    assert result.lower < result.gain < result.upper
    assert abs(result.gain) == pytest.approx(abs(metric(name).score(Y, GOOD) - metric(name).score(Y, FAIR)))
    back = paired(Y, GOOD, FAIR, BLOCKS, name)
    assert (back.gain, back.upper) == (pytest.approx(-result.gain), pytest.approx(-result.lower))


def test_a_model_against_itself_gains_exactly_nothing() -> None:
    result = paired(Y, GOOD, GOOD, BLOCKS, "roc_auc")
    assert (result.gain, result.se) == (0.0, 0.0)
    assert not verdict(GatePolicy(), result).promote


def test_multiclass_and_regression_are_paired_too() -> None:
    classes = RNG.integers(0, 3, N)
    sure = np.full((N, 3), 0.1) + 0.7 * np.eye(3)[classes]
    assert paired(classes, np.full((N, 3), 1 / 3), sure, BLOCKS, "log_loss").lower > 0
    assert paired(SIGNAL, np.zeros(N), SIGNAL / 2, BLOCKS, "rmse").lower > 0


def test_lucky_promotions_under_the_null_with_day_effects_stay_under_3_5_percent() -> None:
    """A/A: equal models whose differences share a day effect; 2,000 seeds of 1,000 rows on 14 uneven days."""
    lucky = {"rmse": 0, "roc_auc": 0}
    seeds = 2_000
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        days = np.sort(rng.choice(14, 1_000, p=np.arange(10, 24) / np.arange(10, 24).sum()))
        truth = rng.standard_normal(1_000)
        effect = rng.normal(0, 0.5, (2, 14))[:, days]
        champion, challenger = 0.5 * truth + effect + 0.5 * rng.standard_normal((2, 1_000))
        for name, y in (("rmse", truth), ("roc_auc", (truth > 0.5).astype(float))):
            # Day effects in the scores' order as well as in their level.
            a, b = (champion, challenger) if name == "rmse" else (champion + truth * effect[0], 0)
            b = challenger if name == "rmse" else challenger + truth * effect[1]
            lucky[name] += paired(y, a, b, days, name).lower > 0
    assert lucky["rmse"] / seeds <= 0.035
    assert lucky["roc_auc"] / seeds <= 0.035
    assert min(lucky.values()) / seeds >= 0.003  # and the interval is not merely wide: 14 days pay for their memory


def test_treating_rows_as_independent_would_promote_by_luck_far_more_often() -> None:
    naive = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        days = np.repeat(np.arange(14), 70)
        difference = rng.normal(0, 0.5, 14)[days] + rng.standard_normal(980)
        psi = difference - difference.mean()
        naive += block_interval(difference.mean(), psi, np.arange(980)).lower > 0
    assert naive / 300 > 0.15


# --- baselines and slices ------------------------------------------------------------------------------------


def test_baselines_are_worked_from_known_labels_only() -> None:
    assert against_baseline([0, 1, 1, np.nan], 2, "binary").tolist() == pytest.approx([2 / 3, 2 / 3])
    assert against_baseline([1.0, 3.0], 1, "regression").tolist() == [2.0]
    assert against_baseline([0, 0, 2, 2], 1, "multiclass", n_classes=4).tolist() == [[0.5, 0.0, 0.5, 0.0]]
    with pytest.raises(CannotJudge, match="no known label"):
        against_baseline([np.nan], 1, "binary")


def test_slices_are_cut_by_value_and_missing_values_form_none() -> None:
    column = np.array(["b", None, "a", "b"], dtype=object)
    cut = {name: rows.tolist() for name, rows in slice_rows({"x": column})}
    assert cut == {"x=a": [2], "x=b": [0, 3]}


def test_slices_say_why_one_is_not_judged() -> None:
    column = np.where(np.arange(N) < 100, "few", "many")
    result = judge_slices({"x": column}, lambda of: paired(Y[of], FAIR[of], GOOD[of], BLOCKS[of], "roc_auc"))
    assert isinstance(result["x=few"], CannotJudge)
    assert isinstance(result["x=many"], Paired)
