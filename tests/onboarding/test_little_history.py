"""With little history a window is proposed that can judge, or it is said how many rows are missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.drift.grid import MIN_REFERENCE_ROWS
from mlops_assets.onboarding.asked import Asked
from mlops_assets.onboarding.plan import Plan, make_plan


def planned(folder: Path, rows: int, days: int) -> Plan:
    at = pd.date_range("2024-01-01", periods=rows, freq=pd.Timedelta(days=days) / rows)
    pd.DataFrame({"at": at, "x": np.arange(rows) % 11, "y": np.arange(rows) % 2}).to_csv(folder / "t.csv", index=False)
    return make_plan(Asked("t", str(folder / "t.csv")))


@pytest.mark.parametrize(("rows", "days"), [(220, 40), (300, 40), (450, 60), (700, 100), (2_000, 400), (5_000, 50)])
def test_the_window_holds_enough_rows(rows: int, days: int, tmp_path: Path) -> None:
    plan = planned(tmp_path, rows, days)
    window = int(plan.gate_window.removesuffix("d"))
    assert window * rows / days >= MIN_REFERENCE_ROWS
    assert window <= days / 2
    assert not [said for said in plan.warnings if "needed for a first model" in said]


@pytest.mark.parametrize("rows", [60, 150, 219])
def test_what_is_missing_is_said(rows: int, tmp_path: Path) -> None:
    (said,) = [one for one in planned(tmp_path, rows, 40).warnings if "needed for a first model" in one]
    assert said.startswith(f"{rows} rows have a y, and {220 - rows} more are needed for a first model: it is judged")
