"""Levels from the reference's own windows: formulas, simulations, and what is said where they cannot be held."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.drift.calibration import (
    MAX_EXCESS,
    Levels,
    breaches,
    calibrate,
    calibrated_verdict,
    levels_from,
    preset_levels,
)
from mlops_assets.core.drift.day_counts import DayCounts, missing_change_of, new_share_of, pseudo_values, psi_of
from mlops_assets.core.drift.feature_drift import FeatureDrift, compare
from mlops_assets.core.drift.grid import Grid
from mlops_assets.core.drift.policy import DriftPolicy, drift_verdict
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.drift.statistics import psi
from mlops_assets.core.stats.intervals import CannotJudge
from tests.simulated_days import rates, rings, tenths

PRESET = preset_levels(["x"], DriftPolicy())


def reference(n_days: int = 84, rows: int = 40, seed: int = 3) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    n = n_days * rows
    frame = pd.DataFrame({"x": rng.normal(size=n), "c": rng.choice(list("abc"), size=n)})
    frame.loc[rng.random(n) < 0.1, "x"] = np.nan
    return frame, np.repeat(pd.date_range("2013-01-01", periods=n_days).to_numpy(), rows)


KINDS = {"x": "numeric", "c": "categorical"}


# --- the days ----------------------------------------------------------------------------------------------


def test_days_are_counted_in_the_tenths_that_drift_compares() -> None:
    frame, days = reference()
    counts = DayCounts.of(frame, KINDS, days)
    is_window = days >= np.datetime64("2013-03-20")
    rest, window = (
        {name: table[rows].sum(axis=0, keepdims=True) for name, table in counts.counts.items()}
        for rows in (slice(0, 78), slice(78, 84))
    )
    # On the grid of the whole reference, as the counts are, of the days before the window.
    grid = Grid.from_reference(frame, KINDS)
    found = {d.feature: d for d in compare(Profile.of(grid, frame), Profile.of(grid, frame[is_window]))}
    both = {name: rest[name] + window[name] for name in rest}
    for name in KINDS:
        assert psi_of(both[name], window[name])[0] == pytest.approx(found[name].psi, abs=2 * 0.002)
        assert missing_change_of(both[name], window[name])[0] == pytest.approx(found[name].missing_change)


def test_psi_of_rows_is_psi() -> None:
    rng = np.random.default_rng(1)
    left, right = rng.integers(0, 5, (20, 9)), rng.integers(0, 5, (20, 9))
    assert psi_of(left, right) == pytest.approx([psi(a[:-1], b[:-1]) for a, b in zip(left, right, strict=True)])


def test_a_category_of_one_week_only_is_new_to_the_rest() -> None:
    table = np.zeros((28, 3), dtype=np.int64)
    table[:, 0] = 10
    table[10, 1] = 5
    values = pseudo_values(table, 7, new_share_of)
    assert len(values) == 22
    assert values[10] == pytest.approx(5 / 75)
    assert values[0] == values[21] == 0.0


def test_days_without_rows_are_days_too() -> None:
    frame = pd.DataFrame({"x": np.arange(200.0)})
    days = np.repeat(np.array(["2013-01-01", "2013-01-20"], dtype="datetime64[D]"), 100)
    counts = DayCounts.of(frame, {"x": "numeric"}, days)
    assert counts.n_days == 20
    assert np.isnan(pseudo_values(counts.counts["x"], 7, psi_of)[5])


def test_counts_come_back_from_their_table() -> None:
    frame, days = reference()
    counts = DayCounts.of(frame, KINDS, days)
    back = DayCounts.from_frame(counts.to_frame())
    assert (back.first, back.n_days, back.kinds) == (date(2013, 1, 1), 84, KINDS)
    assert all(np.array_equal(back.counts[name], counts.counts[name]) for name in KINDS)


def test_infinite_values_count_as_missing_and_what_has_no_value_is_left_out() -> None:
    frame = pd.DataFrame({"x": [np.inf, -np.inf, np.nan, *np.arange(117.0)], "gone": np.nan, "same": 1.0})
    counts = DayCounts.of(frame, dict.fromkeys(frame.columns, "numeric"), np.repeat(np.datetime64("2013-01-01"), 120))
    assert set(counts.counts) == {"x", "same"}
    assert counts.counts["x"][0, -1] == 3
    assert counts.counts["same"].tolist() == [[120, 0]]


def test_too_few_rows_or_no_feature_cannot_be_counted() -> None:
    few = pd.DataFrame({"x": np.arange(99.0)})
    with pytest.raises(CannotJudge, match=r"99 rows.*longer reference"):
        DayCounts.of(few, {"x": "numeric"}, np.repeat(np.datetime64("2013-01-01"), 99))
    gone = pd.DataFrame({"x": np.full(100, np.nan)})
    with pytest.raises(CannotJudge, match="no feature of the reference has values"):
        DayCounts.of(gone, {"x": "numeric"}, np.repeat(np.datetime64("2013-01-01"), 100))


# --- levels ------------------------------------------------------------------------------------------------


def test_one_statistic_has_the_level_of_its_leave_out_scores() -> None:
    """Windows of one day: each is standardised by the others, and the level is a quantile of that."""
    values = np.random.default_rng(4).normal(size=99)
    z = [(v - np.delete(values, i).mean()) / np.delete(values, i).std(ddof=1) for i, v in enumerate(values)]
    rank = (1.5 * 99 + 1) * 0.95 / (1.5 * 99)
    expected = values.mean() + np.quantile(z, rank) * values.std(ddof=1)
    found = levels_from(values[:, None], [("x", "js")], n_days=99, window_days=1, preset=PRESET)
    assert found.level["x"]["js"] == pytest.approx(expected)
    assert (found.achievable_alpha, found.n_windows) == (0.05, 99)


def test_windows_that_share_a_day_do_not_standardise_each_other() -> None:
    values = np.random.default_rng(5).normal(size=(70 - 7 + 1))
    z = []
    for i, value in enumerate(values):
        others = values[np.abs(np.arange(len(values)) - i) >= 7]
        z.append((value - others.mean()) / others.std(ddof=1))
    found = levels_from(values[:, None], [("x", "js")], n_days=70, window_days=7, preset=PRESET)
    assert found.achievable_alpha == pytest.approx(1 / 11)
    assert found.level["x"]["js"] == pytest.approx(values.mean() + max(z) * values.std(ddof=1))


def test_features_that_move_together_cost_nothing() -> None:
    values = np.random.default_rng(6).normal(size=(358, 1))
    one = levels_from(values, [("x", "js")], n_days=364, window_days=7, preset=PRESET)
    columns = [(f"x{k}", "js") for k in range(20)]
    same = levels_from(np.repeat(values, 20, axis=1), columns, n_days=364, window_days=7, preset=PRESET)
    assert same.level["x7"]["js"] == pytest.approx(one.level["x"]["js"])
    apart = np.random.default_rng(7).normal(size=(358, 20))
    different = levels_from(apart, columns, n_days=364, window_days=7, preset=PRESET)
    assert different.level["x7"]["js"] > one.level["x"]["js"]


@pytest.mark.simulates
def test_the_rate_is_held_where_days_resemble_their_neighbours() -> None:
    """A small version of benchmarks/calibration.py: 300 worlds of eight features."""
    calibrated, preset = rates(300, 11, windows=52, features=8, phi=0.8)
    assert 0.025 <= calibrated <= 0.1
    assert preset > 0.15  # PSI 0.2 has no rate: here the days alone move it


def test_a_real_shift_rings() -> None:
    rng = np.random.default_rng(12)
    counts = tenths(rng, 371, 5, 0.7)
    days = DayCounts(date(2013, 1, 1), 364, {"x": "numeric"}, {"x": counts[:364, 0]})
    levels = calibrate(days, 7, preset=PRESET)
    usual = counts[:364, 0, :10].sum(axis=0)
    assert psi(usual, usual * ([1] * 5 + [5] * 5)) > levels.level["x"]["psi"]  # five of six rows above the median
    assert rings(rng, windows=52, features=3, phi=0.5) == (False, False)


# --- what cannot be held -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_days", "achievable", "told"),
    [(7 * 52, 0.05, "5.0% of windows"), (7 * 12, 1 / 13, "only 1/13"), (7 * 7, None, "needs 8 (1/8 is the smallest")],
)
def test_fewer_windows_hold_less(n_days: int, achievable: float | None, told: str) -> None:
    counts = tenths(np.random.default_rng(8), n_days, 1, 0.5)
    levels = calibrate(DayCounts(date(2013, 1, 1), n_days, {"x": "numeric"}, {"x": counts[:, 0]}), 7, preset=PRESET)
    assert levels.achievable_alpha == (achievable if achievable is None else pytest.approx(achievable))
    assert levels.calibrated is (achievable is not None)
    assert told in levels.sentence
    assert (levels.level["x"]["psi"] == 0.2) is (achievable is None)
    assert levels.level["x"]["new_share"] == 0.05


def test_a_reference_shorter_than_a_season_says_so() -> None:
    values = np.random.default_rng(9).normal(size=(358, 1))
    args = {"n_days": 364, "window_days": 7, "preset": PRESET}
    young = levels_from(values, [("x", "js")], **args)
    assert not young.season_seen
    assert "Season not yet seen: the reference has 364 of 365 days" in young.sentence
    weekly = levels_from(values, [("x", "js")], **args, season_days=7)
    assert weekly.season_seen
    assert "Season" not in weekly.sentence


def test_a_tenth_of_the_policys_level_is_added_to_what_hardly_moves() -> None:
    values = np.random.default_rng(10).normal(size=(358, 2))
    values[:, 1] = 0.0
    columns = [("x", "js"), ("x", "missing_change")]
    level = levels_from(values, columns, n_days=364, window_days=7, preset=PRESET).level["x"]
    times = (level["js"] - values[:, 0].mean()) / values[:, 0].std(ddof=1)
    assert level["missing_change"] == pytest.approx(times * 0.1 * 0.1)
    assert 0.01 < level["missing_change"] < 0.1


def test_a_reference_that_wanders_is_told_to_be_hardly_watched() -> None:
    """A PSI of d squared is that of a normal distribution moved by d standard deviations."""
    values = np.random.default_rng(16).normal(size=(200, 2)) ** 2 * [2.0, 0.01]
    columns = [("x", "psi"), ("y", "psi")]
    levels = levels_from(values, columns, n_days=200, window_days=1, preset=preset_levels("xy", DriftPolicy()))
    assert levels.level["y"]["psi"] < 1.0 < levels.level["x"]["psi"]
    assert "1 of 2 features wander so far within the reference that their PSI level is over 1" in levels.sentence
    quiet = levels_from(values[:, 1:], columns[1:], n_days=200, window_days=1, preset=PRESET)
    assert "wander" not in quiet.sentence


def test_what_stands_still_and_has_no_level_in_the_policy_has_none() -> None:
    values = np.random.default_rng(10).normal(size=(358, 2))
    values[:, 1] = 0.0
    values[5, 1] = 0.3
    columns = [("x", "js"), ("y", "js")]
    levels = levels_from(values, columns, n_days=364, window_days=7, preset=PRESET)
    assert "y" not in levels.level
    assert "1 of 2 statistics hardly move" in levels.sentence
    still = levels_from(values[:, 1:], columns[1:], n_days=364, window_days=7, preset=PRESET)
    assert not still.calibrated
    assert "No statistic moves" in still.sentence


def test_one_noisy_week_of_a_quiet_feature_leaves_room_for_the_others() -> None:
    """A feature that moves by a thousandth, and six times in a hundred by a hundredth, is no reason for silence."""
    rng = np.random.default_rng(15)
    values = np.abs(rng.normal(size=(200, 2))) * [0.05, 1e-6]
    values[::16, 1] = 1e-4
    loud = levels_from(values[:, :1], [("x", "psi")], n_days=200, window_days=1, preset=PRESET).level["x"]["psi"]
    preset = preset_levels("xy", DriftPolicy())
    both = levels_from(values, [("x", "psi"), ("y", "psi")], n_days=200, window_days=1, preset=preset)
    assert both.level["x"]["psi"] == pytest.approx(loud, rel=0.05)


def test_weeks_without_values_are_left_out() -> None:
    values = np.random.default_rng(13).normal(size=(358, 2))
    few, many = values.copy(), values.copy()
    few[:20, 0], many[:100, 0] = np.nan, np.nan
    columns = [("x", "js"), ("y", "js")]
    preset = Levels({}, False, None, 0, None, "")
    assert set(levels_from(few, columns, n_days=364, window_days=7, preset=preset).level) == {"x", "y"}
    assert set(levels_from(many, columns, n_days=364, window_days=7, preset=preset).level) == {"y"}


def test_nothing_to_calibrate_is_told() -> None:
    counts = tenths(np.random.default_rng(8), 84, 1, 0.5)
    days = DayCounts(date(2013, 1, 1), 84, {"x": "numeric"}, {"x": counts[:, 0]})
    off = preset_levels(["x"], DriftPolicy(psi=None, missing_change=None, new_category_share=None, js=0.1))
    with pytest.raises(CannotJudge, match=r"no statistic .* set levels: preset"):
        calibrate(days, 7, preset=off)
    with pytest.raises(ValueError, match="alpha is 5"):
        calibrate(days, 7, preset=PRESET, alpha=5)


# --- what is beyond its level ------------------------------------------------------------------------------


def test_breaches_of_the_preset_are_what_the_policy_finds() -> None:
    rng = np.random.default_rng(14)
    frame = pd.DataFrame({f"x{k}": rng.normal(size=500) for k in range(6)}).assign(c=rng.choice(list("ab"), 500))
    moved = frame.sample(300, random_state=1).assign(x0=frame["x0"] + 2, c="z")
    moved.loc[moved.index[:100], "x1"] = np.nan
    grid = Grid.from_reference(frame)
    drifts = compare(Profile.of(grid, frame), Profile.of(grid, moved))
    for policy in (
        *(DriftPolicy.of_preset(name) for name in ("default", "ks", "kl")),
        DriftPolicy(js=0.1, wasserstein=1.0),
    ):
        levels = preset_levels([d.feature for d in drifts], policy)
        assert {d.feature for d in drifts if breaches(d, levels)} == set(drift_verdict(drifts, policy).drifted)


def test_excess_is_comparable_and_finite() -> None:
    drift = FeatureDrift("x", "numeric", psi=0.6, ks_p=1e-6, missing_change=0.01, js=0.1)
    levels = replace(PRESET, level={"x": {"psi": 0.2, "ks_p": 1e-3, "missing_change": 0.0, "js": 0.2}})
    found = {b.statistic: b.excess for b in breaches(drift, levels)}
    assert found == {"missing_change": MAX_EXCESS, "psi": pytest.approx(3.0), "ks_p": pytest.approx(2.0)}
    zero = breaches(replace(drift, ks_p=0.0), replace(PRESET, level={"x": {"ks_p": 1e-3}}))
    assert np.isfinite(zero[0].excess)


def test_a_calibrated_verdict_passes_fails_and_cannot() -> None:
    quiet, loud = FeatureDrift("x", "numeric", psi=0.1), FeatureDrift("y", "numeric", psi=0.9)
    levels = replace(PRESET, level={"x": {"psi": 0.2}, "y": {"psi": 0.2}}, sentence="As agreed.")
    assert calibrated_verdict([quiet], levels).passed is True
    failed = calibrated_verdict([quiet, loud], levels)
    assert (failed.passed, failed.drifted, failed.share, failed.limit) == (False, ("y",), 0.5, 0.0)
    assert failed.reason == "1 of 2 features are beyond their level: y psi 0.9 beyond 0.2. As agreed."
    silent = calibrated_verdict([FeatureDrift("x", None, why="no value. Look at the source.")], levels)
    assert silent.passed is None
    assert "Look at the source" in silent.reason


def test_levels_come_back_from_json() -> None:
    counts = tenths(np.random.default_rng(8), 84, 1, 0.5)
    levels = calibrate(DayCounts(date(2013, 1, 1), 84, {"x": "numeric"}, {"x": counts[:, 0]}), 7, preset=PRESET)
    assert Levels.from_json(levels.to_json()) == levels
