"""What chance makes of drift, and what it may not hide: few rows, many categories, spikes, very large numbers.

Rates are those of seeded samples of one distribution; distances beside scipy's on the exact values.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, chi2_contingency, wasserstein_distance

from mlops_assets.core.drift.feature_drift import FeatureDrift, compare
from mlops_assets.core.drift.grid import Grid
from mlops_assets.core.drift.policy import DriftPolicy, DriftVerdict, drift_verdict
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.drift.statistics import (
    CHANCE,
    _moments_of_chi_squared,
    psi,
    psi_by_chance,
    psi_excess,
    rare_excess,
)

SEED = 12
REFERENCE = 5_000


def apart(reference: pd.DataFrame, current: pd.DataFrame) -> list[FeatureDrift]:
    grid = Grid.from_reference(reference)
    return compare(Profile.of(grid, reference), Profile.of(grid, current))


def verdict(reference: pd.DataFrame, current: pd.DataFrame, **limits: float | None) -> DriftVerdict:
    return drift_verdict(apart(reference, current), DriftPolicy(**limits))


def normals(rng: np.random.Generator, n: int, *, shift: float = 0.0) -> pd.DataFrame:
    return pd.DataFrame(rng.normal(shift, 1, (n, 10)), columns=[f"x{i}" for i in range(10)])


# --- few rows ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 5, 20, 50, 100])
def test_a_few_rows_of_the_same_cannot_be_judged(n: int) -> None:
    rng = np.random.default_rng(SEED)
    reference = normals(rng, REFERENCE)
    found = [verdict(reference, normals(rng, n)) for _ in range(10)]
    assert [one.passed for one in found] == [None] * 10
    assert "rows against 5,000 chance alone makes a PSI of" in found[0].reason
    assert "Give more rows:" in found[0].reason


def test_a_few_rows_that_are_far_off_are_drift() -> None:
    rng = np.random.default_rng(SEED)
    assert verdict(normals(rng, REFERENCE), normals(rng, 30, shift=5.0)).passed is False


def test_the_rows_that_are_asked_for_are_enough() -> None:
    rng = np.random.default_rng(SEED)
    told = verdict(normals(rng, 100), normals(rng, 100)).reason
    asked = int(told.split("Give more rows: ")[1].split(" ")[0].replace(",", ""))
    assert verdict(normals(rng, asked), normals(rng, asked)).passed is True
    assert verdict(normals(rng, asked), normals(rng, asked // 2)).passed is None


@pytest.mark.parametrize("n", [20, 50, 100, 200, 1_000])
def test_chance_makes_more_in_one_of_a_thousand(n: int) -> None:
    rng = np.random.default_rng(SEED)
    share = [0.1] * 10
    values = [psi(rng.multinomial(REFERENCE, share), rng.multinomial(n, share)) for _ in range(4_000)]
    # Four thousand draws see 1 in 1,000 as 4 of them; 12 would be more than chance.
    assert np.sum(np.array(values) > psi_by_chance(10, REFERENCE, n)) < 12


def test_chance_is_chi_squared_where_each_group_has_many_rows() -> None:
    expected = chi2.isf(CHANCE, 9) * 2 / 1_000_000
    assert psi_by_chance(10, 1_000_000, 1_000_000) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("missing", [0, 1])
def test_one_missing_or_new_value_is_no_rise_of_its_share(missing: int) -> None:
    rng = np.random.default_rng(SEED)
    reference = pd.DataFrame({"x": rng.normal(size=REFERENCE), "c": rng.choice(["a", "b"], REFERENCE)})
    current = pd.DataFrame({"x": [np.nan] * missing + [0.1] * 3, "c": ["a", "b", "a", "b"][: 3 + missing]})
    assert verdict(reference, current).passed is None


# --- many categories ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("categories", [50, 200, 1_000, 5_000])
@pytest.mark.parametrize(("n", "m"), [(5_000, 5_000), (20_000, 2_000), (20_000, 20_000)])
@pytest.mark.parametrize("tail", [0.0, 1.0])
def test_two_samples_of_many_categories_do_not_ring(categories: int, n: int, m: int, tail: float) -> None:
    rng = np.random.default_rng([SEED, categories, n, m])
    shares = 1.0 / np.arange(1, categories + 1) ** tail
    shares /= shares.sum()
    said = beyond = rare = 0
    for _ in range(25):
        old, new = rng.multinomial(n, shares), rng.multinomial(m, shares)
        seen = old > 0
        counts = np.append(old[seen], 0), np.append(new[seen], new[~seen].sum())
        excess, chance = psi_excess(*counts)
        beyond += bool(excess > chance)  # NaN, where all are rare, is not
    for _ in range(2):
        old, new = (pd.DataFrame({"c": rng.choice(categories, k, p=shares).astype(str)}) for k in (n, m))
        (found,) = apart(old, new)
        said += bool(drift_verdict([found], DriftPolicy()).findings)
        rare += found.chi2_p is not None and found.chi2_p < 0.001
    assert beyond <= 1
    assert said == rare == 0


@pytest.mark.parametrize(
    ("categories", "n", "m"), [(1_000, 20_000, 5_000), (1_000, 5_000, 5_000), (3_000, 20_000, 9_000)]
)
def test_half_of_many_rare_categories_vanish(categories: int, n: int, m: int) -> None:
    """Of none of them either side expects 20 rows; at n = 4 m the sum is (1/1.2 + 1/0.8) / 2."""
    rng = np.random.default_rng([SEED, categories])
    old = pd.DataFrame({"c": rng.integers(0, categories, n).astype(str)})
    new = pd.DataFrame({"c": rng.integers(0, categories // 2, m).astype(str)})
    assert "PSI" in verdict(old, new).findings["c"]
    if n == 4 * m:
        assert rare_excess(
            *(np.append(np.bincount(side.c.astype(int), minlength=categories), 0) for side in (old, new))
        )[0] == pytest.approx((1 / 1.2 + 1 / 0.8) / 2, rel=0.1)


def test_rare_categories_that_vanish_beside_frequent_ones() -> None:
    """Half of the rows are in three categories, and stay; of a thousand others half are gone."""
    rng = np.random.default_rng(SEED)

    def side(n: int, rare: int) -> pd.DataFrame:
        values = np.where(rng.random(n) < 0.5, rng.integers(-3, 0, n), rng.integers(0, rare, n))
        return pd.DataFrame({"c": values.astype(str)})

    assert "PSI" in verdict(side(20_000, 1_000), side(5_000, 500)).findings["c"]
    assert verdict(side(20_000, 1_000), side(5_000, 1_000)).passed


def test_moments_of_chi_squared_over_tables_of_one_margin() -> None:
    """Dawson (1954) beside 4,000 permutations of the rows; 50 categories of one to forty rows."""
    rng = np.random.default_rng(SEED)
    rows = rng.choice(50, 260, p=(1 / np.arange(1, 51)) / (1 / np.arange(1, 51)).sum())
    values = []
    for _ in range(4000):
        rng.shuffle(rows)
        table = np.array([np.bincount(rows[:200], minlength=50), np.bincount(rows[200:], minlength=50)], dtype=float)
        table = table[:, table.sum(axis=0) > 0]
        values.append(chi2_contingency(table, correction=False).statistic)
    mean, variance = _moments_of_chi_squared(table)
    assert np.mean(values) == pytest.approx(mean, abs=4 * np.sqrt(variance / 4000))
    assert np.var(values) == pytest.approx(variance, rel=0.15)


def test_many_categories_that_change_ring() -> None:
    rng = np.random.default_rng(SEED)
    old = pd.DataFrame({"c": rng.integers(0, 500, 20_000).astype(str)})
    new = pd.DataFrame({"c": (rng.integers(0, 500, 20_000) ** 2 // 500).astype(str)})
    assert "PSI" in verdict(old, new).findings["c"]


def test_new_categories_ring_where_chance_brings_none() -> None:
    rng = np.random.default_rng(SEED)
    old = pd.DataFrame({"c": rng.choice(list("abcde"), REFERENCE)})
    new = pd.DataFrame({"c": rng.choice(list("abcdeX"), 1_000)})
    assert "new categories" in verdict(old, new).findings["c"]


# --- spikes ------------------------------------------------------------------------------------------------


def spiked(rng: np.random.Generator, share: float, *, times: float = 1.0, at: float = 0.0) -> pd.DataFrame:
    values = np.where(rng.random(REFERENCE) < share, at, at + rng.lognormal(3, 1, REFERENCE) * times)
    return pd.DataFrame({"x": values})


@pytest.mark.parametrize("share", [0.7, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("at", [0.0, -1.0, 1_000.0])
def test_what_lies_beside_a_spike_cannot_move_unseen(share: float, at: float) -> None:
    rng = np.random.default_rng(SEED)
    reference = spiked(rng, share, at=at)
    assert verdict(reference, spiked(rng, share, at=at)).passed is True
    assert "PSI" in verdict(reference, spiked(rng, share, times=100.0, at=at)).findings["x"]


def test_beside_a_spike_the_groups_are_its_own_and_the_deciles_of_the_rest() -> None:
    rng = np.random.default_rng(SEED)
    reference, current = spiked(rng, 0.8), spiked(rng, 0.8, times=1.5)
    (found,) = apart(reference, current)
    edges = np.quantile(reference.x[reference.x > 0], np.arange(1, 10) / 10)
    table = [
        [np.sum(side.x == 0), *np.histogram(side.x[side.x > 0], [1e-12, *edges, np.inf])[0]]
        for side in (reference, current)
    ]
    assert found.psi == pytest.approx(psi(*table), abs=0.02)
    assert abs(found.psi - psi(*table)) <= found.psi_error + 1e-9


# --- numbers as large as an id -----------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 10**6, 2**53, 2**60, -(2**55)])
@pytest.mark.parametrize("shift", [0, 2, 40])
def test_means_and_distances_of_very_large_integers(at: int, shift: int) -> None:
    rng = np.random.default_rng(SEED)
    old, new = (rng.normal(mean, 20, REFERENCE).round().astype(np.int64) for mean in (0, shift))
    scale = max(1, abs(at) // 2**53)
    (found,) = apart(pd.DataFrame({"x": at + old * scale}), pd.DataFrame({"x": at + new * scale}))
    assert found.mean_change == pytest.approx((new.mean() - old.mean()) / old.std(), abs=1e-3)
    exact = wasserstein_distance(old, new) / old.std()
    assert abs(found.wasserstein - exact) <= found.wasserstein_error + 1e-9
