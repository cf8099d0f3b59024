"""A file of which some days are in another unit: named with days and factor, and no range is drawn from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.onboarding.asked import Asked
from mlops_assets.onboarding.plan import Plan, make_plan

DAYS, ROWS = 60, 30


def planned(folder: Path, *, cents: list[int], zone: str = "UTC", label: str = "y") -> Plan:
    """Seed 4: an amount, in cents on some days, beside a distance and a temperature."""
    rng = np.random.default_rng(4)
    day = np.repeat(np.arange(DAYS), ROWS)
    at = pd.Timestamp("2024-01-01 12:00") + pd.to_timedelta(day, unit="D")
    amount = rng.gamma(4, 5, day.size).round(2)
    frame = pd.DataFrame(
        {
            "at": at,
            "amount": np.where(np.isin(day, cents), amount * 100, amount),
            "km": rng.normal(12, 3, day.size).round(1),
            "y": rng.integers(0, 2, day.size),
        }
    )
    frame.to_csv(folder / "t.csv", index=False)
    return make_plan(Asked("t", str(folder / "t.csv"), label=label, timezone=zone))


@pytest.mark.parametrize("label", ["y", "amount"])
def test_days_are_told_with_column_and_factor(label: str, tmp_path: Path) -> None:
    told = [said for said in planned(tmp_path, cents=[5, 6, 7, 40], label=label).warnings if "unit" in said]
    assert len(told) == 1
    assert told[0].startswith(
        "amount seems to be in another unit (by a factor of 100 (cents, or per cent)) on 2024-01-06 to 2024-01-08, "
        "2024-02-10 (4 of 60 days with values; median "
    )
    assert "Correct these rows and call new-model again" in told[0]


def test_the_days_are_those_of_the_zone(tmp_path: Path) -> None:
    told = " ".join(planned(tmp_path, cents=[5], zone="Pacific/Kiritimati").warnings)
    assert "on 2024-01-06 (1 of 60 days" in told, "local times are local days in each zone"


def test_the_range_is_drawn_without_them(tmp_path: Path) -> None:
    plain, odd = planned(tmp_path, cents=[]), planned(tmp_path, cents=[25, 26, 27, 28])
    assert not any("unit" in said for said in plain.warnings)
    assert plain.usual["amount"].high == pytest.approx(odd.usual["amount"].high, rel=0.2)
    assert odd.usual["amount"].share < 0.1
    assert odd.usual["km"] == plain.usual["km"]
