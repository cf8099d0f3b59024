"""Whether a window's performance holds against what the gate saw of its version.

Here: the references on the version's tags, the windows before, the check. Not here: the limits
(`core.performance.policy`), the report (`performance_report`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mlops_assets.core.decide.policy import CheckResult
from mlops_assets.core.performance.policy import PerformanceVerdict, performance_holds, together
from mlops_assets.core.performance.window_metrics import Estimate, PerformanceRow
from mlops_assets.core.settings import ModelSettings
from mlops_assets.steps.predict.references import gate_value
from mlops_assets.steps.watch.windows.performance_summary import PerformanceSummary
from mlops_assets.world.platform import GATE_PREVIOUS, GATE_VALUE, Platform


def looks_back(model: ModelSettings) -> bool:
    """Whether a check needs the windows before: several in a row must break a floor."""
    further = [limit.floor_windows for limit in model.limits.values()]
    return max([model.monitoring.performance.floor_windows, *further]) > 1


def performance_check(
    platform: Platform,
    model: ModelSettings,
    row: PerformanceRow,
    version: int,
    summaries: Sequence[PerformanceSummary],
) -> CheckResult:
    """The check of a window.

    Args:
        platform: the home.
        model: the monitored model.
        row: the window's performance.
        version: that served in it.
        summaries: of all windows that were judged before, oldest first.
    """
    policy = model.monitoring.performance
    served = platform.registry.find(model.name, version)
    reference, previous = (
        float(served.tags[tag]) if served and tag in served.tags else None for tag in (GATE_VALUE, GATE_PREVIOUS)
    )
    before = _mature_before(model, summaries, row.start, model.metric)
    verdict = performance_holds(row, model.metric, reference, policy, previous=previous, before=before)
    if row.mature and row.labelled >= policy.min_rows:
        verdict = together(verdict, [_further(platform, model, row, version, summaries, name) for name in model.limits])
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


def _further(
    platform: Platform,
    model: ModelSettings,
    row: PerformanceRow,
    version: int,
    summaries: Sequence[PerformanceSummary],
    name: str,
) -> PerformanceVerdict:
    """Whether a metric of `monitoring.limits` holds, against its value on the rows that the gate saw."""
    limit = model.limits[name]
    judge = next(metric for metric in model.reported_metrics if metric.name == name)
    reference = None if limit.max_drop is None else gate_value(platform.lake, model, version, judge)
    before = _mature_before(model, summaries, row.start, name)
    return performance_holds(row, name, reference, model.monitoring.performance.of(limit), before=before)


def _mature_before(
    model: ModelSettings, summaries: Sequence[PerformanceSummary], start: datetime, name: str
) -> list[Estimate]:
    """A metric in the mature windows that began before this moment."""
    rows = [summary.performance for summary in summaries if summary.start < start]
    return [
        row.metrics[name]
        for row in rows
        if row.mature and row.labelled >= model.monitoring.performance.min_rows and name in row.metrics
    ]
