"""Whether a window's performance holds against what the gate saw of its version.

Here: the references on the version's tags, the windows before, the check. Not here: the limits
(`core.performance_policy`), the report (`performance_steps`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from mlops_assets.core.performance import Estimate, PerformanceRow
from mlops_assets.core.performance_policy import performance_holds
from mlops_assets.core.policy import CheckResult
from mlops_assets.core.settings import ModelSettings
from mlops_assets.resources.platform import Platform
from mlops_assets.resources.training_steps import GATE_PREVIOUS, GATE_VALUE


def performance_check(
    platform: Platform,
    model: ModelSettings,
    row: PerformanceRow,
    version: int,
    summaries: Sequence[Mapping[str, Any]],
) -> CheckResult:
    """The check of a window.

    Args:
        platform: the home.
        model: the monitored model.
        row: the window's performance.
        version: that served in it.
        summaries: of all windows that were judged before, oldest first.
    """
    found = platform.registry.find(model.name, version)
    reference, previous = (
        float(found.tags[tag]) if found and tag in found.tags else None for tag in (GATE_VALUE, GATE_PREVIOUS)
    )
    verdict = performance_holds(
        row,
        model.metric,
        reference,
        model.monitoring.performance,
        previous=previous,
        before=_mature_before(model, summaries, row.start),
    )
    return CheckResult(
        name="performance_holds",
        kind="performance",
        window=row.window,
        window_end=row.end,
        passed=verdict.passed,
        value=verdict.value,
        limit=verdict.limit,
        sentence=model.label.noted(verdict.sentence),
    )


def _mature_before(model: ModelSettings, summaries: Sequence[Mapping[str, Any]], start: datetime) -> list[Estimate]:
    """The main metric in the mature windows that began before this moment."""
    rows = [s["performance"] for s in summaries if datetime.fromisoformat(s["start"]) < start]
    return [
        Estimate(**row["metrics"][model.metric])
        for row in rows
        if row["mature"] and row["labelled"] >= model.monitoring.performance.min_rows and model.metric in row["metrics"]
    ]
