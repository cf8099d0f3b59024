"""A small home whose figures are known, and a drift that can be injected into it, for the tests of the metrics.

What lives here: builders. What does not: fixtures and assertions.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.decide.policy import CheckResult
from mlops_assets.core.drift.feature_drift import compare
from mlops_assets.core.drift.grid import Grid
from mlops_assets.core.drift.policy import DriftPolicy, drift_verdict
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.performance.estimation import Estimated
from mlops_assets.core.performance.window_metrics import Estimate, PerformanceRow
from mlops_assets.core.record.entries import Decision, Pause, Promotion
from mlops_assets.steps.keep.metrics import PARTS, MetricsPart
from mlops_assets.steps.watch.windows.performance_summary import PerformanceSummary
from mlops_assets.steps.watch.windows.summaries import WindowSummary, folder_of, write_summary
from mlops_assets.world.costs import Cost, Costs
from mlops_assets.world.platform import Platform

MODEL = "flight_delay"
START, END = datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 8, tzinfo=UTC)
WINDOW = "2024-03-01..2024-03-07"


def without_registry() -> dict[str, MetricsPart]:
    """The parts that need no MLflow, whose first store takes seconds to make."""
    return {name: part for name, part in PARTS.items() if name != "registry"}


def fill(platform: Platform) -> None:
    """A performance report, four entries of the record, three steps and a retraining."""
    known = Estimate("roc_auc", 0.71, 0.69, 0.73, 0.01, 95, 7)
    row = PerformanceRow(WINDOW, START, END, 100, 95, 0.05, 0.5, True, "all known", {"roc_auc": known})
    estimates = {
        "roc_auc": Estimated("roc_auc", 0.73, 0.70, 0.76, 0.01, 100),
        "calibration_error": Estimated("calibration_error", None, None, None, None, 100, "nobody knows"),
    }
    check = CheckResult("performance_holds", "performance", WINDOW, END, True, 0.71, 0.68, "holds")
    _keep(platform, "performance", PerformanceSummary(**_parts(check), performance=row, estimated=estimates))
    note = platform.ledger.record.note
    for number in (1, 2):
        note(MODEL, Decision, at=END, id=f"d{number}", action="wait", rule="nothing")
    note(MODEL, Promotion, at=END, decision="d0", version=1, reason="better")
    note(MODEL, Pause, reason="a test", by="ada")
    costs = Costs(platform.home.root)
    for cpu in (3.0, 4.0):
        costs.step(Cost(9.0, cpu, 7, "step"), run="r", job="j", step="c", assets=["m/challenger"], outcome="succeeded")
    costs.step(Cost(1.0, 1.0, 5, "step"), run="r", job="j", step="dbt_models", assets=["a", "b"], outcome="failed")
    costs.append("retrain", {"model": MODEL, "version": 1, "seconds": 42.0})


def judge_drift(platform: Platform, *, shift: float) -> None:
    """The drift report of a window in which the price has moved by so many standard deviations; the size has not."""
    rng = np.random.default_rng(7)
    reference = pd.DataFrame({"price": rng.normal(size=4000), "size": rng.normal(size=4000)})
    current = pd.DataFrame({"price": rng.normal(shift, size=4000), "size": rng.normal(size=4000)})
    grid = Grid.from_reference(reference)
    drifts = compare(Profile.of(grid, reference), Profile.of(grid, current))
    verdict = drift_verdict(drifts, DriftPolicy())
    check = CheckResult(
        "inputs_match_reference", "drift", WINDOW, END, verdict.passed, verdict.share, verdict.limit, verdict.reason
    )
    folder = keep_check(platform, "drift", check)
    platform.lake.write(pd.DataFrame([asdict(drift) for drift in drifts]), folder / "features.parquet")


def _parts(check: CheckResult) -> dict[str, Any]:
    return {"window": WINDOW, "start": START, "end": END, "state": "", "version": 1, "rows": 100, "checks": (check,)}


def keep_check(platform: Platform, report: str, check: CheckResult) -> Path:
    """A window's summary with one check."""
    return _keep(platform, report, WindowSummary(**_parts(check)))


def _keep(platform: Platform, report: str, summary: WindowSummary) -> Path:
    folder = folder_of(platform.lake, MODEL, report, summary.span)
    write_summary(folder, summary)
    return folder
