"""Faults of a window's features: what no world does by itself, and what looks like it and is none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.drift.day_counts import DayCounts
from mlops_assets.core.drift.feature_drift import compare
from mlops_assets.core.drift.feature_faults import TOLD, faults_in_words, faults_of
from mlops_assets.core.drift.grid import Grid
from mlops_assets.core.drift.profile import Profile

DAYS, A_DAY = 60, 50
KINDS = {"x": "numeric", "code": "categorical", "month": "numeric", "season": "categorical", "campaign": "categorical"}


def rows(n_days: int = DAYS, a_day: int = A_DAY, *, seed: int = 5) -> pd.DataFrame:
    """`month` and `season` hold still all day, `campaign` lasts ten days and three run at a time."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(n_days), a_day)
    return pd.DataFrame(
        {
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(day, unit="D"),
            "x": rng.normal(100.0, 15.0, day.size),
            "code": rng.choice(["AA", "B6", "UA"], day.size),
            "month": 1.0 + day // 30,
            "season": "winter",
            "campaign": [f"c{d // 10}{k}" for d, k in zip(day, rng.integers(0, 3, day.size), strict=True)],
        }
    )


def faults(reference: pd.DataFrame, *, kept: bool = True, **window: object) -> dict[str, list[str]]:
    """Those of a week in which some columns have been replaced."""
    grid = Grid.from_reference(reference, KINDS)
    current = Profile.of(grid, rows(7, seed=6).assign(**{"campaign": ["c50", "c51"] * 175, "month": 2.0, **window}))
    days = DayCounts.of(reference, KINDS, reference["day"]) if kept else None
    return faults_of(compare(Profile.of(grid, reference), current), current, days)


def test_drift_is_none() -> None:
    assert faults(rows()) == {}
    assert faults(rows(), x=rows(7)["x"] * 1000.0, code=["AA"] * 349 + ["ZZ"]) == {}


@pytest.mark.parametrize(
    ("kind", "feature", "value"),
    [
        ("missing", "x", np.nan),
        ("missing", "code", None),
        ("infinite", "x", [np.inf] + [100.0] * 349),
        ("infinite", "x", -np.inf),
        ("constant", "x", 103.4),
        ("constant", "x", 7.3e9),
        ("constant", "x", [np.nan, 103.4] * 175),
        ("constant", "code", "AA"),
        ("unseen", "code", "ZZ"),
        ("unseen", "code", ["aa", "b6"] * 175),
    ],
)
def test_each_kind(kind: str, feature: str, value: object) -> None:
    assert faults(rows(), **{feature: value}) == {kind: [feature]}


def test_what_holds_still_all_day_may_hold_still_all_week_and_may_be_new() -> None:
    assert faults(rows(), month=3.0, season="spring") == {}


def test_what_comes_and_goes_may_be_new() -> None:
    assert faults(rows(), campaign=["c60", "c61"] * 175) == {}
    # Where all of them run through the reference, new ones alone are a fault.
    assert faults(rows().assign(campaign=["c1", "c2"] * (DAYS * A_DAY // 2)), campaign=["c60", "c61"] * 175) == {
        "unseen": ["campaign"]
    }


@pytest.mark.parametrize(
    "reference",
    [
        pytest.param(rows(27), id="too few days to know what varies"),
        pytest.param(rows(a_day=29), id="too few rows a day"),
        pytest.param(rows(a_day=400), id="days with more rows than the window has"),
        pytest.param(rows().assign(x=lambda r: r["x"].where(r["day"] != "2024-02-01", 100.0)), id="one still day"),
    ],
)
def test_a_constant_is_a_fault_only_where_it_never_was(reference: pd.DataFrame) -> None:
    assert faults(reference, x=103.4) == {}


def test_without_days_only_what_needs_none_is_told() -> None:
    assert faults(rows(), kept=False, x=103.4, code="ZZ") == {}
    assert faults(rows(), kept=False, x=np.inf, code=None) == {"infinite": ["x"], "missing": ["code"]}


def test_a_sentence_a_kind_with_its_remedy() -> None:
    constant, missing = faults_in_words({"constant": list("abcdefg"), "unseen": [], "missing": ["h"]}, "the first week")
    assert constant.startswith("a, b, c, d, e and 2 more has one value throughout the first week, ")
    assert missing.startswith("No value of h is known in the first week, ")
    assert all(sentence.endswith("is retired (meta.retired).") for sentence in (constant, missing))
    assert all(" again" in remedy for remedy in TOLD.values())
