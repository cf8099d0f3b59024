"""What cannot be judged is told as that everywhere, and no number beside it says otherwise."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.drift.attribution import findings
from mlops_assets.core.drift.calibration import breaches, preset_levels
from mlops_assets.core.drift.feature_drift import FeatureDrift, compare
from mlops_assets.core.drift.grid import Grid, Kind
from mlops_assets.core.drift.local import local_drift, slice_profiles, slice_references
from mlops_assets.core.drift.policy import DriftPolicy, as_judged, drift_verdict
from mlops_assets.core.drift.profile import Profile

KINDS: dict[str, Kind] = {"view__customer_id": "categorical", "view__town": "categorical", "view__usage": "numeric"}
POLICY = DriftPolicy(psi=0.2)
STAY = {"feature", "kind", "n_reference", "n_current", "missing_change", "missing_chance", "infinite_share", "why"}


def rows(n: int, seed: int) -> pd.DataFrame:
    """Customers and towns come back some four times in the reference: an id, and a text of as many values."""
    rng = np.random.default_rng(seed)
    made = {
        name: [f"c{number}" for number in rng.integers(0, k, n)] for name, k in zip(KINDS, (500, 700), strict=False)
    }
    return pd.DataFrame(
        {**made, "view__usage": rng.normal(2.0 * (seed == 14), 1.0, n), "plan": rng.choice(["a", "b"], n)}
    )


@pytest.fixture(scope="module")
def sides() -> tuple[pd.DataFrame, pd.DataFrame]:
    return rows(2_000, 13), rows(300, 14)


def test_an_identifier_is_not_judged_and_no_number_of_it_is_left(sides: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    grid = Grid.from_reference(sides[0], KINDS)
    measured = compare(*(Profile.of(grid, side) for side in sides))
    assert all((one.psi or 0.0) > 0.2 for one in measured), "each would be a number over its limit"
    verdict = drift_verdict(measured, POLICY)
    told = {one.feature: one for one in as_judged(measured, verdict.unjudged)}
    assert set(verdict.unjudged) == {"view__customer_id", "view__town"}
    assert "it names things, and identifiers are not judged for drift" in verdict.reason
    assert "view__town cannot be judged: of 300 rows against 2,000 too few are in each" in verdict.reason
    for name in verdict.unjudged:
        left = {f.name for f in fields(FeatureDrift) if getattr(told[name], f.name) is not None}
        assert left <= STAY
        assert told[name].why == verdict.unjudged[name]
    assert told["view__usage"] in measured


def test_a_text_of_which_no_value_has_enough_rows_is_not_judged(sides: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    grid = Grid.from_reference(sides[0], KINDS)
    measured = compare(*(Profile.of(grid, side) for side in (sides[0], sides[1][:60])))
    reason = drift_verdict(measured, POLICY).unjudged["view__town"]
    assert reason.startswith("of 60 rows against 2,000 too few are in each of its categories. Group its values")


def test_nor_is_it_a_finding_of_the_rows_or_of_a_slice(sides: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    grid = Grid.from_reference(sides[0], KINDS)
    measured = compare(*(Profile.of(grid, side) for side in sides))
    levels = preset_levels(list(KINDS), POLICY)
    told = as_judged(measured, drift_verdict(measured, POLICY).unjudged)
    assert {one.feature for one in told if breaches(one, levels)} == {"view__usage"}
    found = findings(told, levels, importance={}, sources={}, shift=None)
    assert [one.features for one in found] == [("view__usage",)]
    references = slice_references(grid, sides[0], {"plan": sides[0]["plan"]})
    profiles = slice_profiles(grid, sides[1], {"plan": sides[1]["plan"]})
    wide = replace(levels, level={name: {"psi": 0.2} for name in KINDS})
    local = local_drift(references, profiles, whole=told, levels=wide, importance={})
    assert [one.feature for one in local.findings] == []
