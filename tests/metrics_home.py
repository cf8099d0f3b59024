"""A small home whose figures are known, and a drift that can be injected into it, for the tests of the metrics.

What lives here: builders. What does not: fixtures and assertions.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.decide.policy import CheckResult
from mlops_assets.core.drift.feature_drift import compare
from mlops_assets.core.drift.grid import Grid
from mlops_assets.core.drift.policy import DriftPolicy, drift_verdict
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.record.entries import Decision, Pause, Promotion
from mlops_assets.steps.keep.metrics import PARTS, MetricsPart
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
    known = {"value": 0.71, "lower": 0.69, "upper": 0.73}
    estimated = {"value": 0.73, "lower": 0.70, "upper": 0.76}
    unknown = dict.fromkeys(known)
    check = CheckResult("performance_holds", "performance", WINDOW, END, True, 0.71, 0.68, "holds")
    _write(
        platform,
        "performance",
        check,
        rows=100,
        performance={"labelled": 95, "mature": True, "share_unlabelled": 0.05, "metrics": {"roc_auc": known}},
        estimated={"roc_auc": estimated, "calibration_error": unknown},
    )
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
    folder = _write(platform, "drift", check)
    platform.lake.write(pd.DataFrame([drift.to_dict() for drift in drifts]), folder / "features.parquet")


def _write(platform: Platform, report: str, check: CheckResult, **values: Any) -> Any:
    folder = platform.lake.folder("reports", MODEL, report, "window=2024-03-01T0000")
    folder.mkdir(parents=True, exist_ok=True)
    summary = {"window": WINDOW, "start": START.isoformat(), "end": END.isoformat(), "version": 1, **values}
    (folder / "summary.json").write_text(json.dumps({**summary, "checks": [check.to_dict()]}))
    return folder
