from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from mlops_assets.core.drift.calibration import preset_levels
from mlops_assets.core.drift.feature_drift import FeatureDrift, compare
from mlops_assets.core.drift.grid import BINS, Grid, NumericGrid, infer_schema
from mlops_assets.core.drift.policy import DriftPolicy, drift_verdict
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.drift.statistics import chi_squared, jensen_shannon, ks_p_value, psi
from mlops_assets.core.record.plain_values import as_plain
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.values.arrays import unpacked

RNG = np.random.default_rng(5)
N = 20_000
SHAPES = {
    "normal": lambda n: RNG.standard_normal(n),
    "shifted": lambda n: 1_000.0 + 0.01 * RNG.standard_normal(n),
    "uniform": lambda n: RNG.random(n),
    "lognormal": lambda n: np.exp(2 * RNG.standard_normal(n)),
    "counts": lambda n: RNG.poisson(3, n).astype(float),
    "half_zero": lambda n: np.where(RNG.random(n) < 0.5, 0.0, RNG.standard_normal(n)),
    "float32": lambda n: RNG.standard_normal(n).astype(np.float32),
}


def drift(reference: object, current: object, **kwargs: object) -> FeatureDrift:
    ref, cur = pd.DataFrame({"x": reference}), pd.DataFrame({"x": current})
    grid = Grid.from_reference(ref, **kwargs)
    return compare(Profile.of(grid, ref), Profile.of(grid, cur))[0]


# --- by hand and by a second library -----------------------------------------------------------------------


def test_psi_by_hand() -> None:
    # Shares 50/30/20 against 30/30/40: (0.3-0.5)ln(0.3/0.5) + 0 + (0.4-0.2)ln(0.4/0.2) = 0.10217 + 0.13863
    assert psi([50, 30, 20], [30, 30, 40]) == pytest.approx(0.2407946, abs=1e-7)
    result = drift(["a"] * 500 + ["b"] * 300 + ["c"] * 200, ["a"] * 30 + ["b"] * 30 + ["c"] * 40)
    assert result.psi == pytest.approx(0.2407946, abs=1e-7)


def test_psi_of_an_empty_bin_uses_half_a_row_and_at_least_a_ten_thousandth() -> None:
    small = (0.5 - 0.5 / 100) * math.log(0.5 / (0.5 / 100)) + (1 - 0.5) * math.log(2)
    assert psi([50, 50], [0, 100]) == pytest.approx(small)
    large = (0.5 - 0.0001) * math.log(0.5 / 0.0001) + 0.5 * math.log(2)
    assert psi([5, 5], [0, 100_000]) == pytest.approx(large)
    assert psi([5, 0, 5], [5, 0, 5]) == 0.0


def test_numeric_psi_is_that_of_the_references_deciles() -> None:
    ref, cur = SHAPES["normal"](N), 0.4 + 1.2 * SHAPES["normal"](N)
    edges = np.r_[-np.inf, np.quantile(ref, np.arange(1, 10) / 10), np.inf]
    exact = psi(np.histogram(ref, edges)[0], np.histogram(cur, edges)[0])
    assert drift(ref, cur).psi == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize("shape", sorted(SHAPES))
@pytest.mark.parametrize("move", [0.0, 0.1, 1.0])
def test_ks_and_wasserstein_agree_with_scipy_within_the_stated_error(shape: str, move: float) -> None:
    ref = SHAPES[shape](N)
    cur = SHAPES[shape](N // 2) + move * ref.std()
    result = drift(ref, cur)
    exact = stats.ks_2samp(ref, cur).statistic
    assert result.ks - 1e-12 <= exact <= result.ks + result.ks_error + 1e-12
    assert result.ks_error <= 3 / BINS
    distance = stats.wasserstein_distance(ref, cur) / ref.astype(float).std()
    assert abs(result.wasserstein - distance) <= result.wasserstein_error + 1e-9
    assert result.mean_change == pytest.approx((cur.mean() - ref.mean()) / ref.std(), abs=1e-3)


def test_ks_p_value_agrees_with_scipy_on_samples_of_1000() -> None:
    for shift in (0.02, 0.06, 0.1):
        a, b = RNG.standard_normal(1_000), RNG.standard_normal(1_000) + shift
        exact = stats.ks_2samp(a, b, method="exact")
        assert ks_p_value(exact.statistic, 1_000, 1_000) == pytest.approx(exact.pvalue, rel=0.05, abs=0.002)


def test_p_values_do_not_ring_on_a_shift_nobody_cares_about() -> None:
    n = 200_000
    ref, cur = RNG.standard_normal(n), RNG.standard_normal(n) + 0.02
    assert stats.ks_2samp(ref, cur).pvalue < 0.001
    assert drift(ref, cur).ks_p > 0.5


def test_the_example_of_a_clear_shift_rings_at_1000_rows() -> None:
    result = drift(RNG.normal(100, 20, 1_000), RNG.normal(130, 25, 1_000))
    assert result.ks_p < 1e-10
    assert result.psi > 0.3


def test_jensen_shannon_agrees_with_scipy() -> None:
    a, b = RNG.integers(0, 50, 12), RNG.integers(0, 50, 12)
    assert jensen_shannon(a, b) == pytest.approx(jensenshannon(a, b))
    assert jensen_shannon([1, 0], [0, 1]) == pytest.approx(math.sqrt(math.log(2)))


def test_chi_squared_agrees_with_scipy_and_pools_the_rare() -> None:
    a, b = [300, 400, 200], [250, 420, 230]
    exact = stats.chi2_contingency([a, b], correction=False)
    assert chi_squared(a, b) == (pytest.approx(exact.statistic), pytest.approx(exact.pvalue))
    pooled = stats.chi2_contingency([[300, 400, 203], [250, 420, 231]], correction=False)
    assert chi_squared([*a, 2, 1], [*b, 1, 0])[0] == pytest.approx(pooled.statistic)
    assert chi_squared([100, 0], [90, 0]) == (None, None)


def test_chi_squared_counts_at_most_1000_rows_a_side() -> None:
    a, b = np.array([300, 400, 300]), np.array([330, 370, 300])
    assert chi_squared(a * 1_000, b * 1_000) == chi_squared(a, b)


# --- profiles ----------------------------------------------------------------------------------------------


def frame(n: int) -> pd.DataFrame:
    data = {name: make(n) for name, make in SHAPES.items()}
    data["carrier"] = RNG.choice(["AA", "UA", None], n)
    data["flag"] = RNG.random(n) < 0.3
    out = pd.DataFrame(data)
    out.loc[: n // 10, "normal"] = np.nan
    out.loc[0, "uniform"] = np.inf
    return out


def test_profiles_of_days_add_up_to_the_profile_of_the_window() -> None:
    ref, cur = frame(5_000), frame(3_000)
    cur["normal"] += 1.0
    grid = Grid.from_reference(ref)
    whole = Profile.of(grid, cur)
    days = [Profile.of(grid, cur.iloc[i : i + 700]) for i in range(0, 3_000, 700)]
    summed = sum(days[1:], days[0])
    assert summed.rows == 3_000
    for name in whole.counts:
        assert np.array_equal(summed.counts[name], whole.counts[name])
        assert summed.extra[name] == pytest.approx(whole.extra[name], rel=1e-9)
        assert whole.counts[name].sum() + whole.extra[name][:2].sum() == 3_000
    empty = Profile.of(grid, cur.iloc[:0])
    assert (whole + empty).counts["normal"].tolist() == whole.counts["normal"].tolist()


def test_grid_and_profile_survive_json() -> None:
    ref = frame(3_000)
    grid = Grid.from_reference(ref)
    again = Grid.from_json(grid.to_json())
    assert again.fingerprint == grid.fingerprint
    profile = Profile.of(grid, ref)
    back = Profile.from_json(profile.to_json(), again)
    assert compare(back, Profile.of(again, frame(100))) is not None
    assert [d.psi for d in compare(back, profile)] == [0.0] * len(grid.features)
    json.dumps([as_plain(d) for d in compare(back, profile)], allow_nan=False)


def test_profiles_on_different_grids_do_not_mix() -> None:
    a, b = (Grid.from_reference(frame(500)) for _ in range(2))
    with pytest.raises(ValueError, match="different grids"):
        Profile.of(a, frame(200)) + Profile.of(b, frame(200))
    with pytest.raises(ValueError, match="another grid"):
        Profile.from_json(Profile.of(a, frame(200)).to_json(), b)


def test_the_grid_has_equal_mass_and_shared_values_stand_alone() -> None:
    grid = Grid.from_reference(pd.DataFrame({"x": SHAPES["half_zero"](N), "y": SHAPES["lognormal"](N)}))
    x, y = grid.features["x"], grid.features["y"]
    assert isinstance(x, NumericGrid)
    assert isinstance(y, NumericGrid)
    assert (x.first, y.first > 0) == (0, True)  # the long tail is left out of the cells
    assert x.cuts is not None
    assert y.cuts is not None
    assert x.atoms[np.searchsorted(x.edges, 0.0, side="right") - 1]
    assert len(y.edges) > BINS * 0.9


def test_a_chunked_count_equals_a_count_by_hand() -> None:
    values = np.r_[RNG.random(150_000), -5.0, 7.0, 8.0, np.nan, -np.inf]
    grid = Grid.from_reference(pd.DataFrame({"x": RNG.random(1_000)}))
    profile = Profile.of(grid, pd.DataFrame({"x": values}))
    edges = grid.features["x"].edges
    expected = np.histogram(values[np.isfinite(values)], np.r_[-np.inf, edges, np.inf])[0]
    assert np.abs(profile.counts["x"] - expected).max() <= 1  # an edge is exact to one unit in the last place
    assert profile.extra["x"][0] == 1
    assert profile.extra["x"][1] == 1
    outside = values[np.isfinite(values) & (values > edges[-1])]
    assert profile.extra["x"][5] == pytest.approx(outside.sum())


def test_nullable_integers_booleans_and_text_are_understood() -> None:
    data = pd.DataFrame(
        {
            "i": pd.array([1, 2, None, 4] * 100, dtype="Int64"),
            "b": pd.array([True, None, False, True] * 100, dtype="boolean"),
            "s": pd.array(["x", "y", None, "x"] * 100, dtype="string"),
            "c": pd.Categorical(["x", "y", "x", "z"] * 100),
            "t": pd.date_range("2013", periods=400, tz="UTC"),
        }
    )
    assert infer_schema(data) == {"i": "numeric", "b": "categorical", "s": "categorical", "c": "categorical"}
    grid = Grid.from_reference(data)
    profile = Profile.of(grid, data)
    assert profile.extra["i"][0] == 100
    assert all(d.psi == 0.0 and d.missing_change == 0.0 for d in compare(profile, profile))


def test_codes_as_floats_are_the_same_category_as_codes_as_integers() -> None:
    ref, cur = pd.DataFrame({"x": [1, 2] * 100}), pd.DataFrame({"x": [1.0, 2.0, np.nan] * 50})
    grid = Grid.from_reference(ref, {"x": "categorical"})
    assert compare(Profile.of(grid, ref), Profile.of(grid, cur))[0].new_share == 0.0


# --- what can't be judged ----------------------------------------------------------------------------------


def test_a_small_reference_and_an_empty_window_cannot_be_judged() -> None:
    with pytest.raises(CannotJudge, match="99 rows"):
        Grid.from_reference(frame(99))
    grid = Grid.from_reference(frame(500))
    profile = Profile.of(grid, frame(500))
    with pytest.raises(CannotJudge, match="no rows"):
        compare(profile, Profile.of(grid, frame(500).iloc[:0]))
    with pytest.raises(CannotJudge, match="99 rows"):
        compare(Profile.of(grid, frame(99)), profile)


def test_all_missing_is_said_for_the_reference_and_for_the_window() -> None:
    nothing, values = np.full(500, np.nan), RNG.random(500)
    before = drift(nothing, values)
    assert (before.kind, before.psi) == (None, None)
    assert "the reference has no values" in before.why
    after = drift(values, nothing)
    assert (after.psi, after.missing_change) == (None, 1.0)
    assert "no value of the window is known" in after.why


def test_a_constant_reference_gives_stated_values() -> None:
    same = drift(np.full(500, 3.0), np.full(200, 3.0))
    assert (same.psi, same.ks, same.wasserstein) == (0.0, 0.0, 0.0)
    assert "same value in every row" in same.why
    assert "same value in every row" in drift(["a"] * 500, ["a"] * 200).why
    moved = drift(np.full(500, 3.0), np.r_[np.full(100, 3.0), np.full(100, 4.0)])
    assert moved.ks == pytest.approx(0.5)
    assert moved.outside_share == pytest.approx(0.5)
    assert (moved.psi > 0.3, moved.why) == (True, None)
    assert moved.wasserstein is None  # no standard deviation to scale by


def test_infinities_are_counted_apart_and_not_binned() -> None:
    values = RNG.random(1_000)
    result = drift(values, np.r_[values, [np.inf] * 200, [-np.inf] * 50])
    assert result.psi == pytest.approx(0.0, abs=1e-9)
    assert result.infinite_share == pytest.approx(0.2)
    assert result.missing_change == pytest.approx(0.2)


def test_unseen_categories_are_counted() -> None:
    result = drift(["a", "b"] * 200, ["a", "b", "zz", "yy"] * 50)
    assert result.new_share == pytest.approx(0.5)
    assert result.psi > 0.3


@pytest.mark.parametrize(("distinct", "rows"), [(10_001, 40_000), (900, 900), (451, 900)])
def test_identifiers_are_refused_by_name(distinct: int, rows: int) -> None:
    """A text column that names each row is no distribution, also where a file is small."""
    ids = [f"id{i % distinct}" for i in range(rows)]
    assert "identifiers" in drift(ids, ids).why
    assert drift([f"id{i % 450}" for i in range(900)], ids).why is None


def test_a_column_that_is_gone_is_a_fault() -> None:
    grid = Grid.from_reference(frame(200))
    with pytest.raises(ValueError, match="no column 'carrier'"):
        Profile.of(grid, frame(200).drop(columns="carrier"))


# --- the verdict -------------------------------------------------------------------------------------------


def found(name: str, **numbers: float) -> FeatureDrift:
    return replace(FeatureDrift(name, "numeric", psi=0.0, missing_change=0.0), **numbers)


def test_the_verdict_passes_fails_and_abstains() -> None:
    quiet = [found(f"f{i}") for i in range(19)]
    one = drift_verdict([*quiet, found("x", psi=0.5)], DriftPolicy())
    assert (one.passed, one.share, one.drifted) == (True, 0.05, ("x",))
    two = drift_verdict([*quiet[:18], found("x", psi=0.5), found("z", psi=0.9)], DriftPolicy())
    assert (two.passed, two.drifted) == (False, ("z", "x"))
    assert "2 of 20 features have drifted (10%; limit 5%): z PSI 0.900 over 0.2" in two.reason
    none = drift_verdict([FeatureDrift("x", None, why="no values. Wait.")], DriftPolicy())
    assert (none.passed, none.share) == (None, None)
    assert "x cannot be judged: no values. Wait." in none.reason


def test_a_column_gone_missing_counts_as_drift_even_if_nothing_else_can_be_judged() -> None:
    gone = FeatureDrift("x", "numeric", missing_change=1.0, why="no value of the window is known.")
    assert drift_verdict([gone], DriftPolicy()).passed is False


@pytest.mark.parametrize(
    ("preset", "numbers", "passed"),
    [
        ("high_stakes", {"psi": 0.15}, False),
        ("default", {"psi": 0.15}, True),
        ("default", {"psi": 0.25}, False),
        ("low_stakes", {"psi": 0.25}, True),
        ("kl", {"psi": 9.0, "kl": 0.14}, True),
        ("kl", {"psi": 0.0, "kl": 0.16}, False),
        ("ks", {"psi": 9.0, "ks_p": 0.06}, True),
        ("ks", {"psi": 0.0, "ks_p": 0.04}, False),
        ("default", {"new_share": 0.06}, False),
        ("default", {"missing_change": 0.11}, False),
        ("default", {"missing_change": -0.5}, True),
    ],
)
def test_presets(preset: str, numbers: dict, passed: bool) -> None:
    assert drift_verdict([found("x", **numbers)], DriftPolicy.of_preset(preset)).passed is passed


def test_the_range_is_a_limit_where_it_is_agreed() -> None:
    beyond = [found("x", outside_share=0.02)]
    assert drift_verdict(beyond, DriftPolicy()).passed is True
    assert drift_verdict(beyond, DriftPolicy(outside_share=0.05)).passed is True
    broken = drift_verdict(beyond, DriftPolicy(outside_share=0.01))
    assert (broken.passed, broken.findings["x"]) == (False, "x outside the range 2.0% over 1.0%")
    assert preset_levels(["x"], DriftPolicy(outside_share=0.01)).level["x"]["outside_share"] == 0.01


def test_a_wrong_drift_policy_names_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"monitoring.drift.psi is -1: write a number from 0"):
        DriftPolicy(psi=-1)
    with pytest.raises(ValueError, match="high_stakes"):
        DriftPolicy.of_preset("strict")


def test_grids_and_profiles_kept_as_lists_are_still_read() -> None:
    ref = frame(1_000)
    grid = Grid.from_reference(ref)
    profile = Profile.of(grid, ref)
    old_grid = json.loads(grid.to_json())
    for plain in old_grid.values():
        plain.update({k: unpacked(v).tolist() for k, v in plain.items() if isinstance(v, dict)})
    text = json.dumps(old_grid)
    again = Grid.from_json(text)
    old = json.loads(profile.to_json())
    for name, feature in old["features"].items():
        feature["counts"] = profile.counts[name].tolist()
        feature["extra"] = feature["extra"][:6]
    back = Profile.from_json(json.dumps({**old, "grid": again.fingerprint}), again)
    assert [d.psi for d in compare(back, Profile.of(again, ref))] == [0.0] * len(grid.features)


def test_a_row_beyond_the_cells_is_counted_where_its_edges_are() -> None:
    # The long tails are left out of the cells: below, in the lower tail, core, upper tail, above.
    ref = np.exp(1.5 * np.random.default_rng(1).standard_normal(200_000))
    grid = Grid.from_reference(pd.DataFrame({"x": ref}))
    x = grid.features["x"]
    assert x.first > 0
    values = np.r_[-1.0, ref.min(), np.quantile(ref, [0.0001, 0.3, 0.9999]), ref.max(), 2 * ref.max(), np.nan]
    profile = Profile.of(grid, pd.DataFrame({"x": values}))
    expected = np.histogram(values[:-1], np.r_[-np.inf, x.edges, np.inf])[0]
    assert profile.counts["x"].tolist() == expected.tolist()
    assert profile.extra["x"][[0, 4, 5]].tolist() == [1.0, -1.0, 2 * ref.max()]
