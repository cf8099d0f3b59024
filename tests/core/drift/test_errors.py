"""Every binned statistic lies within its stated error of the exact one, on a full grid and on a sampled one."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from mlops_assets.core.drift.feature_drift import FeatureDrift, compare
from mlops_assets.core.drift.grid import BINS, Grid, NumericGrid
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.drift.sampled_grid import GridBuilder
from mlops_assets.core.drift.statistics import chi_squared, kullback_leibler, psi

N = 20_000
RANDOM = np.random.default_rng(11)
SHAPES = {
    "normal": lambda n: RANDOM.standard_normal(n),
    "far": lambda n: 1e6 + 0.01 * RANDOM.standard_normal(n),
    "long tail": lambda n: np.exp(2 * RANDOM.standard_normal(n)),
    "two tails": lambda n: RANDOM.standard_cauchy(n),
    "counts": lambda n: RANDOM.poisson(3, n).astype(float),
    "half zero": lambda n: np.where(RANDOM.random(n) < 0.5, 0.0, RANDOM.standard_normal(n)),
    "cents": lambda n: np.round(RANDOM.gamma(2, 10, n), 2),
    "huge": lambda n: 10.0 ** RANDOM.uniform(-200, 200, n),
}


def spread(values: np.ndarray) -> float:
    return float(np.quantile(values, 0.75) - np.quantile(values, 0.25))


MOVES = {
    "same": lambda x, ref: x,
    "shifted": lambda x, ref: x + 0.3 * spread(ref),
    "wider": lambda x, ref: np.median(ref) + 1.5 * (x - np.median(ref)),
    # Less than any bin can see: the grid cannot tell it, its error must.
    "a hair": lambda x, ref: x + 1e-9 * spread(ref),
}


def on_grid(grid: Grid, ref: np.ndarray, cur: np.ndarray) -> FeatureDrift:
    profiles = [Profile.of(grid, pd.DataFrame({"x": side})) for side in (ref, cur)]
    return compare(*profiles)[0]


def full_grid(ref: np.ndarray) -> Grid:
    return Grid.from_reference(pd.DataFrame({"x": ref}))


def sampled_grid(ref: np.ndarray) -> Grid:
    builder = GridBuilder({"x": "numeric"}, sample_rows=3_000)
    for start in range(0, ref.size, 1_700):
        builder.add(pd.DataFrame({"x": ref[start : start + 1_700]}))
    return builder.grid()


def by_exact_deciles(ref: np.ndarray, cur: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows in the groups between the reference's deciles; each group has its upper decile."""
    deciles = np.unique(np.quantile(ref, np.arange(1, 10) / 10, method="inverted_cdf"))
    deciles = deciles[deciles < ref.max()]
    counts = [np.bincount(np.searchsorted(deciles, side), minlength=deciles.size + 1) for side in (ref, cur)]
    return counts[0], counts[1]


@pytest.mark.simulates
@pytest.mark.parametrize("grid_of", [full_grid, sampled_grid])
@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("shape", SHAPES)
def test_statistics_lie_within_their_stated_error(shape: str, move: str, grid_of: object) -> None:
    ref = SHAPES[shape](N)
    cur = MOVES[move](SHAPES[shape](N // 2), ref)
    found = on_grid(grid_of(ref), ref, cur)
    exact = stats.ks_2samp(ref, cur, method="asymp").statistic
    assert found.ks - 1e-12 <= exact <= found.ks + found.ks_error + 1e-12
    groups = by_exact_deciles(ref, cur)
    assert abs(found.psi - psi(*groups)) <= found.psi_error + 1e-12
    assert abs(found.kl - kullback_leibler(*groups)) <= found.kl_error + 1e-12
    assert abs(found.js - jensenshannon(*groups)) <= found.js_error + 1e-9
    if shape != "huge":  # its standard deviation is that of one row
        distance = stats.wasserstein_distance(ref, cur) / ref.std()
        assert abs(found.wasserstein - distance) <= found.wasserstein_error + 1e-6
    outside = np.mean((cur < ref.min()) | (cur > ref.max()))
    assert found.outside_share == pytest.approx(outside, abs=1e-12)


def test_the_errors_are_small_where_bins_can_see() -> None:
    ref = SHAPES["normal"](100_000)
    found = on_grid(full_grid(ref), ref, SHAPES["normal"](50_000) + 0.3)
    assert found.ks_error < 3 / BINS
    assert found.psi_error < 0.05 * found.psi
    assert found.kl_error < 0.05 * found.kl
    assert found.js_error < 0.03 * found.js
    assert found.wasserstein_error < 0.02
    counts = on_grid(full_grid(SHAPES["counts"](N)), SHAPES["counts"](N), SHAPES["counts"](N))
    assert (counts.psi_error, counts.js_error) == (0.0, 0.0)


def test_long_tails_and_zeros_are_counted_by_cells() -> None:
    for shape in ("normal", "far", "long tail", "two tails", "counts", "half zero", "cents"):
        grid = full_grid(SHAPES[shape](N)).features["x"]
        assert isinstance(grid, NumericGrid)
        assert grid.cuts is not None, shape
    assert full_grid(SHAPES["huge"](N)).features["x"].cuts is None


def test_psi_is_the_sum_of_both_divergences_and_kl_is_scipys() -> None:
    a, b = np.array([30, 50, 20]), np.array([45, 25, 30])
    assert kullback_leibler(a, b) == pytest.approx(stats.entropy(a, b))
    assert psi(a, b) == pytest.approx(kullback_leibler(a, b) + kullback_leibler(b, a))
    # Shares 50/50 against 80/20: 0.5 ln(0.5 / 0.8) + 0.5 ln(0.5 / 0.2) = 0.2231436
    assert kullback_leibler([5, 5], [8, 2]) == pytest.approx(0.2231436, abs=1e-7)


def test_an_empty_group_does_not_make_kl_infinite() -> None:
    # The empty one counts as 0.0001: 0.5 ln(0.5 / 1) + 0.5 ln(0.5 / 0.0001) and the terms that else cancel out.
    by_hand = 0.5 * math.log(0.5) + 0.5 * math.log(5_000) + 0.0001
    assert kullback_leibler([5, 5], [100_000, 0]) == pytest.approx(by_hand)


def test_chi_squared_of_profiles_is_scipys_on_a_sample_of_1000() -> None:
    ref, cur = (RANDOM.choice(["a", "b", "c"], 1_000, p=p) for p in ([0.5, 0.3, 0.2], [0.4, 0.35, 0.25]))
    frames = [pd.DataFrame({"x": side}) for side in (ref, cur)]
    grid = Grid.from_reference(frames[0])
    found = compare(*(Profile.of(grid, frame) for frame in frames))[0]
    exact = stats.chi2_contingency(pd.crosstab(np.r_[ref, cur], np.repeat([0, 1], 1_000)), correction=False)
    assert found.chi2 == pytest.approx(exact.statistic)
    assert found.chi2_p == pytest.approx(exact.pvalue)
    large = np.array([40_000, 30_000]), np.array([39_500, 30_500])
    exact = stats.chi2_contingency(large, correction=False)
    assert chi_squared(*large, effective=10**9) == (pytest.approx(exact.statistic), pytest.approx(exact.pvalue))


@pytest.mark.slow  # the import
def test_where_definitions_agree_so_does_evidently() -> None:
    from evidently.legacy.calculations.stattests import (
        jensenshannon_stat_test,
        kl_div_stat_test,
        ks_stat_test,
        psi_stat_test,
        wasserstein_stat_test,
    )

    def theirs(test: object, pair: list[pd.Series], kind: str) -> float:
        from evidently.legacy.core import ColumnType

        return test(pair[0], pair[1], ColumnType(kind), None).drift_score

    texts = [pd.Series(RANDOM.choice(list("abcd"), 5_000, p=p)) for p in ([0.4, 0.3, 0.2, 0.1], [0.3, 0.3, 0.2, 0.2])]
    numbers = [pd.Series(RANDOM.normal(mean, 1, 1_000)) for mean in (0.0, 0.1)]
    grids = [Grid.from_reference(pd.DataFrame({"x": pair[0]})) for pair in (texts, numbers)]
    category, number = (
        compare(*(Profile.of(grid, pd.DataFrame({"x": side})) for side in pair))[0]
        for grid, pair in zip(grids, (texts, numbers), strict=True)
    )
    assert category.psi == pytest.approx(theirs(psi_stat_test, texts, "cat"))
    assert category.kl == pytest.approx(theirs(kl_div_stat_test, texts, "cat"))
    assert category.js == pytest.approx(theirs(jensenshannon_stat_test, texts, "cat"))
    distance = theirs(wasserstein_stat_test, numbers, "num")
    assert number.wasserstein == pytest.approx(distance, abs=number.wasserstein_error)
    assert number.ks_p == pytest.approx(theirs(ks_stat_test, numbers, "num"), rel=0.1)
