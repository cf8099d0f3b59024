"""Drift in one slice: found where the whole is silent, and silent where it is noise, size or everywhere."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.drift.calibration import preset_levels
from mlops_assets.core.drift.feature_drift import compare
from mlops_assets.core.drift.local import LocalDrift, local_drift, slice_grid, slice_profiles, slice_references
from mlops_assets.core.drift.policy import DriftPolicy
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.drift.statistics import psi
from mlops_assets.core.record.plain_values import as_plain

KINDS = {"x": "numeric", "c": "categorical", "calm": "numeric"}


def rows(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "calm": rng.normal(size=n),
            "c": rng.choice(list("abc"), n),
            "carrier": rng.choice(["AA", "UA", "B6", "EV", "DL"], n, p=[0.5, 0.3, 0.1, 0.09, 0.01]),
        }
    )


REFERENCE, SAME = rows(20_000, 1), rows(20_000, 2)
GRID = slice_grid(REFERENCE, KINDS)  # type: ignore[arg-type]


def look(current: pd.DataFrame, policy: DriftPolicy | None = None, **importance: float) -> LocalDrift:
    before = slice_references(GRID, REFERENCE, {"carrier": REFERENCE["carrier"].to_numpy()})
    now = slice_profiles(GRID, current, {"carrier": current["carrier"].to_numpy()})
    whole = compare(Profile.of(GRID, REFERENCE), Profile.of(GRID, current))
    levels = preset_levels(list(KINDS), policy or DriftPolicy())
    return local_drift(before, now, whole=whole, levels=levels, importance=importance)


def in_slice(frame: pd.DataFrame, carrier: str, **changes: object) -> pd.DataFrame:
    out = frame.copy()
    for name, value in changes.items():
        out.loc[out["carrier"] == carrier, name] = value
    return out


def test_a_shift_of_one_carrier_is_found_though_the_whole_shows_none() -> None:
    moved = SAME.copy()
    moved.loc[moved["carrier"] == "B6", "x"] += 1.0
    found = look(moved, x=0.5)
    (only,) = found.findings
    assert (only.slice, only.feature, only.statistic) == ("carrier=B6", "x", "psi")
    assert only.whole is not None
    assert only.whole < 0.2 < only.level < only.value
    assert only.matters == pytest.approx(0.5 * only.value / only.level)
    assert "In 1 of 4 slices features moved that did not move over all rows: carrier=B6: x has moved" in found.sentence
    json.dumps(as_plain(found))


def test_the_psi_is_that_of_the_slices_own_tenths() -> None:
    moved = SAME.copy()
    moved.loc[moved["carrier"] == "EV", "x"] += 1.0
    (only,) = look(moved).findings
    before, now = (f.loc[f["carrier"] == "EV", "x"].to_numpy() for f in (REFERENCE, moved))
    cuts = np.quantile(before, np.arange(1, 10) / 10)
    exact = psi(*(np.bincount(np.searchsorted(cuts, side), minlength=10) for side in (before, now)))
    assert only.value == pytest.approx(exact, rel=0.05)
    assert only.level == pytest.approx(0.2 + 9 * (1 / len(before) + 1 / len(now)))


def test_nothing_is_found_where_nothing_moved() -> None:
    found = look(SAME)
    assert found.findings == ()
    assert found.sentence == (
        "Of 4 slices, none shows drift that all rows together do not. "
        "1 have fewer than 500 rows on a side and were not compared."
    )
    assert found.too_small == ("carrier=DL",)


def test_what_moved_everywhere_is_not_told_again_slice_by_slice() -> None:
    assert look(SAME.assign(x=SAME["x"] + 1.0)).findings == ()


def test_values_that_go_missing_and_new_categories_in_one_slice_are_findings() -> None:
    gone = look(in_slice(SAME, "EV", x=np.nan))
    assert [(f.feature, f.statistic, f.value) for f in gone.findings] == [("x", "missing_change", 1.0)]
    third = SAME.index % 3 == 0
    new = look(SAME.assign(c=SAME["c"].where((SAME["carrier"] != "EV") | ~third, "never seen")))
    ((name, feature),) = {(f.slice, f.feature) for f in new.findings}
    assert (name, feature) == ("carrier=EV", "c")


def test_what_moved_as_far_within_the_reference_is_usual() -> None:
    """The airline's `x` went up by 1 half-way through the reference: as far in the window is nothing new."""
    wandering = REFERENCE.copy()
    wandering.loc[(wandering["carrier"] == "B6") & (wandering.index >= len(wandering) / 2), "x"] += 1.0
    grid = slice_grid(wandering, KINDS)  # type: ignore[arg-type]
    before = slice_references(grid, wandering, {"carrier": wandering["carrier"].to_numpy()})
    assert before["carrier=B6"].usual["x"]["psi"] > 0.5
    assert before["carrier=B6"].profile.rows == (wandering["carrier"] == "B6").sum()
    for shift, found in ((1.0, 0), (3.0, 1)):
        moved = SAME.copy()
        moved.loc[moved["carrier"] == "B6", "x"] += shift
        now = slice_profiles(grid, moved, {"carrier": moved["carrier"].to_numpy()})
        whole = compare(Profile.of(grid, wandering), Profile.of(grid, moved))
        levels = preset_levels(list(KINDS), DriftPolicy())
        assert len(local_drift(before, now, whole=whole, levels=levels, importance={}).findings) == found


def test_a_p_value_is_a_level_too() -> None:
    moved = SAME.copy()
    moved.loc[moved["carrier"] == "B6", "x"] += 0.5
    found = look(moved, DriftPolicy.of_preset("ks"))
    assert [(f.slice, f.feature, f.statistic) for f in found.findings][:1] == [("carrier=B6", "x", "ks_p")]


def test_equal_carriers_rarely_ring() -> None:
    """40 windows of 500 to 3,000 rows a slice in which nothing changed, some 12 pairs of slice and feature each."""
    assert sum(len(look(rows(5_600, 100 + seed)).findings) for seed in range(40)) == 0


def test_the_largest_slices_are_kept() -> None:
    many = pd.DataFrame({"x": np.zeros(3_000), "c": "a", "calm": 0.0, "id": np.repeat(np.arange(150), 20)})
    assert len(slice_profiles(GRID, many, {"id": many["id"].to_numpy()})) == 100
