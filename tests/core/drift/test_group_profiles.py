"""Profiles of many groups in one pass: the same as each group's own, whatever the grid."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.drift.grid import Grid
from mlops_assets.core.drift.group_profiles import from_arrays, profiles_by, to_arrays
from mlops_assets.core.drift.local import slice_grid
from mlops_assets.core.drift.profile import Profile

N, GROUPS = 6_000, 7


def frame(seed: int, n: int = N) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(n)
    return pd.DataFrame(
        {
            "normal": values,
            "gaps": np.where(rng.random(n) < 0.1, np.nan, np.where(rng.random(n) < 0.01, np.inf, values)),
            "heavy": np.exp(3 * rng.standard_normal(n)),
            "half_zero": np.where(rng.random(n) < 0.5, 0.0, values),
            "single": rng.standard_normal(n).astype(np.float32),
            "count": rng.poisson(3, n),
            "constant": 1.0,
            "text": rng.choice(np.array(["a", "b", f"c{seed}", None], dtype=object), n),
            "flag": rng.random(n) < 0.3,
        }
    )


@pytest.mark.parametrize("lay", [Grid.from_reference, lambda rows: slice_grid(rows, dict.fromkeys(rows, "numeric"))])
def test_each_groups_profile_is_its_own(lay) -> None:
    reference, rows = frame(1), frame(2)
    if lay is not Grid.from_reference:
        reference, rows = (one.drop(columns=["text", "flag"]) for one in (reference, rows))
    rows.loc[rows.index[:50], "normal"] += 9.0  # beyond the reference's range
    grid, groups = lay(reference), np.random.default_rng(3).integers(-1, GROUPS - 1, N)
    found = profiles_by(grid, rows, groups, GROUPS)
    assert found[-1].rows == 0
    for group, mine in enumerate(found):
        own = Profile.of(grid, rows[groups == group])
        assert mine.rows == own.rows
        for name in own.counts:
            np.testing.assert_array_equal(mine.counts[name], own.counts[name], err_msg=name)
            np.testing.assert_allclose(mine.extra[name], own.extra[name], rtol=1e-6, atol=1e-6, err_msg=name)


def test_a_window_is_the_sum_of_its_days_also_when_they_were_kept() -> None:
    grid, rows = Grid.from_reference(frame(1)), frame(2)
    days = np.arange(N) // 1_000
    kept = from_arrays(grid, to_arrays(profiles_by(grid, rows, days, 6)))
    whole, summed = Profile.of(grid, rows), sum(kept[1:], start=kept[0])
    assert summed.rows == whole.rows
    for name in whole.counts:
        np.testing.assert_array_equal(summed.counts[name], whole.counts[name])
        np.testing.assert_allclose(summed.extra[name], whole.extra[name], rtol=1e-6, atol=1e-6)


def test_no_rows_are_the_empty_profile() -> None:
    grid = Grid.from_reference(frame(1))
    (found,) = profiles_by(grid, frame(2).head(0), np.empty(0, dtype=int), 1)
    assert found.rows == 0
    assert all(not counts.any() for counts in found.counts.values())
