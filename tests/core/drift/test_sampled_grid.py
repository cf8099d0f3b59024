from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.drift.feature_drift import compare
from mlops_assets.core.drift.grid import CategoryGrid, Grid, NumericGrid, Unjudged
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.drift.sampled_grid import GridBuilder
from mlops_assets.core.stats.intervals import CannotJudge

RANDOM = np.random.default_rng(3)
N = 9_000
FRAME = pd.DataFrame(
    {
        "x": np.where(RANDOM.random(N) < 0.1, np.nan, RANDOM.standard_normal(N)),
        "zeros": np.where(RANDOM.random(N) < 0.4, 0.0, RANDOM.standard_normal(N)),
        "c": RANDOM.choice(["a", "b", "c"], N),
        "id": np.arange(N).astype(str),
    }
)
KINDS = {"x": "numeric", "zeros": "numeric", "c": "categorical", "id": "categorical"}


def built(frame: pd.DataFrame, *, batch: int, **options: int) -> Grid:
    builder = GridBuilder(KINDS, **options)
    for start in range(0, len(frame), batch):
        builder.add(frame.iloc[start : start + batch])
    return builder.grid()


def test_a_reference_that_fits_the_sample_gets_the_grid_of_memory() -> None:
    whole = Grid.from_reference(FRAME, KINDS)
    assert built(FRAME, batch=1_000).fingerprint == whole.fingerprint
    assert built(FRAME, batch=777, sample_rows=N).fingerprint == whole.fingerprint


def test_a_sample_does_not_depend_on_the_batches_and_is_uniform() -> None:
    grids = [built(FRAME, batch=batch, sample_rows=1_000) for batch in (500, 1_234, N)]
    assert len({grid.fingerprint for grid in grids}) == 1
    builder = GridBuilder({"x": "numeric"}, sample_rows=3_000)
    for start in range(0, N, 100):
        builder.add(pd.DataFrame({"x": np.arange(start, start + 100.0)}))
    builder.grid()
    held = builder._held["x"]
    assert held.size == 3_000
    # A third of each third of the rows, give or take four standard deviations of a hypergeometric count.
    thirds = np.histogram(held, [0, 3_000, 6_000, 9_000])[0]
    assert np.abs(thirds - 1_000).max() < 4 * np.sqrt(3_000 * (1 / 3) * (2 / 3) * (2 / 3))


def test_range_and_categories_are_those_of_all_rows() -> None:
    frame = FRAME.copy()
    frame.loc[17, "x"], frame.loc[4_321, "x"] = -50.0, 60.0
    frame.loc[8_000, "c"] = "rare"
    grid = built(frame, batch=500, sample_rows=500)
    x, c = grid.features["x"], grid.features["c"]
    assert isinstance(x, NumericGrid)
    assert isinstance(c, CategoryGrid)
    assert (x.edges[0], x.edges[-1]) == (-50.0, pytest.approx(60.0))
    assert c.categories == ("a", "b", "c", "rare")
    profile = Profile.of(grid, frame)
    assert all(d.psi in (0.0, None) and not d.outside_share and not d.new_share for d in compare(profile, profile))


def test_identifiers_and_small_references_are_refused() -> None:
    with pytest.raises(CannotJudge, match="99 rows"):
        built(FRAME.iloc[:99], batch=50)
    ids = pd.DataFrame({"id": np.arange(10_500).astype(str)})
    builder = GridBuilder({"id": "categorical"})
    builder.add(ids)
    found = builder.grid().features["id"]
    assert isinstance(found, Unjudged)
    assert "identifiers" in found.why
