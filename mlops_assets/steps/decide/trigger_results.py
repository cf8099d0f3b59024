"""What has become of the triggers that people have agreed on, by what the reports and the record say.

Here: reading each trigger's windows, or its moment, as results. Not here: the triggers (`core.decide.agreed`),
what follows where one asks (`core.decide.triggers`), the reports (`steps.watch`).

Nothing is measured anew: a trigger that is written into the YAML today is held against the windows that were judged
before, as far back as the champion's training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from mlops_assets.core.decide.agreed.results import (
    InWindow,
    Since,
    drift_result,
    files_result,
    freshness_result,
    rows_result,
    schedule_result,
)
from mlops_assets.core.decide.agreed.triggers import (
    OnData,
    OnDrift,
    OnFreshness,
    OnImportance,
    OnNovelty,
    OnPerformance,
    OnSchedule,
    Trigger,
)
from mlops_assets.core.decide.evidence import CheckResult
from mlops_assets.core.drift.attribution import PredictionShift
from mlops_assets.core.drift.feature_drift import FeatureDrift
from mlops_assets.core.drift.multivariate import Support
from mlops_assets.core.performance.policy import performance_holds
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.time.events import is_evidence
from mlops_assets.steps.decide.looks import counts_since
from mlops_assets.steps.decide.trigger_reach import out_of_reach
from mlops_assets.steps.predict.references import SCORE, gate_value
from mlops_assets.steps.watch.windows.drift_summary import DriftSummary
from mlops_assets.steps.watch.windows.performance_summary import PerformanceSummary
from mlops_assets.steps.watch.windows.summaries import (
    SLIDING,
    WindowSummary,
    answer_of,
    judged_folders,
    read_summary,
    within,
)
from mlops_assets.world.landed.landed_files import WHOLE
from mlops_assets.world.platform import GATE_VALUE, Platform

_FIELDS = tuple(field.name for field in fields(FeatureDrift))


def trigger_results(
    platform: Platform, model: ModelSettings, triggers: Sequence[Trigger], since: Since, now: datetime
) -> tuple[CheckResult, ...]:
    """What each trigger with limits of its own says of every window, or of this moment; and which cannot fire."""
    results = out_of_reach(platform, model, triggers, since, now)
    silent = {result.name for result in results}
    watched = [trigger for trigger in triggers if trigger.is_checked and trigger.name not in silent]
    if on_drift := [t for t in watched if isinstance(t, OnDrift | OnImportance | OnNovelty)]:
        for folder, seen in _windows(platform, model, "drift", DriftSummary, since.fitted):
            if counts_since(model, seen.span, fitted=since.fitted, trained=since.trained):
                results += _of_window(on_drift, folder, seen)
    if on_performance := [t for t in watched if isinstance(t, OnPerformance)]:
        for judged in _performances(platform, model, since):
            results += [_of_performance(platform, model, trigger, judged) for trigger in on_performance]
    if on_arrival := [t for t in watched if isinstance(t, OnData | OnFreshness)]:
        ends = sorted(_arrivals(platform, model, now))
        results += [_of_arrivals(trigger, ends, since) for trigger in on_arrival if ends]
    schedules = (trigger for trigger in watched if isinstance(trigger, OnSchedule))
    return (*results, *(schedule_result(trigger, since, now, model.timezone) for trigger in schedules))


def _performances(platform: Platform, model: ModelSettings, since: Since) -> Iterator[PerformanceSummary]:
    """The windows of labels: days, weeks or months, or 24 hours that slide."""
    slides = model.monitoring.rhythm.every is not None
    report = SLIDING if slides else "performance"
    for _, judged in _windows(platform, model, report, PerformanceSummary, since.fitted):
        if not slides or counts_since(model, judged.span, fitted=since.fitted, trained=since.trained):
            yield judged


def _windows(
    platform: Platform, model: ModelSettings, report: str, kind: Any, since: datetime
) -> Iterator[tuple[Path, Any]]:
    """The windows that count as evidence and ended after the champion's training, oldest first."""
    for folder in judged_folders(platform.lake, model.name, report, since=within(model, since)):
        summary: WindowSummary = read_summary(folder, kind)
        if summary.end > since and is_evidence(model.events, summary.span, model.timezone):
            yield folder, summary


def _of_window(triggers: Sequence[Trigger], folder: Path, seen: DriftSummary) -> Iterator[CheckResult]:
    drifts = _drifts(folder) if any(isinstance(trigger, OnDrift) for trigger in triggers) else []
    window = InWindow(seen.window, seen.end)
    for trigger in triggers:
        if isinstance(trigger, OnDrift):
            yield drift_result(trigger, _scores(drifts) if trigger.of == "scores" else _inputs(drifts), window)
        elif isinstance(trigger, OnImportance):
            shift = answer_of(seen.prediction_shift, PredictionShift)
            weights = shift.weights if isinstance(shift, PredictionShift) else None
            ndcg = weights.ndcg if weights else None
            why = (
                weights.in_words(f"limit {trigger.ndcg:g}")
                if weights
                else _why(shift, "the window has no weights of features")
            )
            yield window.said(trigger, None if ndcg is None else ndcg >= trigger.ndcg, ndcg, trigger.ndcg, why)
        elif isinstance(trigger, OnNovelty):
            support = seen.support
            share = support.outside_joint if isinstance(support, Support) else None
            why = _why(support, "no rows could be compared")
            if isinstance(support, Support):
                why = f"{support.sentence.rstrip('.')}; the limit of that is {100 * trigger.share:g}%"
            yield window.said(trigger, None if share is None else share <= trigger.share, share, trigger.share, why)


def _scores(drifts: Sequence[FeatureDrift]) -> list[FeatureDrift]:
    return [drift for drift in drifts if drift.feature.split("_")[0] == SCORE]


def _inputs(drifts: Sequence[FeatureDrift]) -> list[FeatureDrift]:
    # A feature bears the name of its view in front; the scores stand behind them in the same table.
    return [drift for drift in drifts if "__" in drift.feature]


def _drifts(folder: Path) -> list[FeatureDrift]:
    """A window's table, as it was compared; a statistic that earlier versions did not keep is unknown."""
    table = pd.read_parquet(folder / "features.parquet")
    known = [name for name in _FIELDS if name in table]
    rows = table[known].astype(object).where(table[known].notna(), None)
    return [FeatureDrift(**dict(zip(known, row, strict=True))) for row in rows.itertuples(index=False)]


def _of_performance(
    platform: Platform, model: ModelSettings, trigger: OnPerformance, judged: PerformanceSummary
) -> CheckResult:
    name, window = trigger.metric or model.metric, InWindow(judged.window, judged.end)
    if judged.measured(name) is None:
        return window.said(
            trigger, None, None, None, f"{name} was not measured; it is in windows that close from now on"
        )
    agreed = replace(
        model.monitoring.performance,
        max_drop=trigger.max_drop,
        max_drop_from_previous=None,
        floor=trigger.floor,
        floor_windows=1,
        sure=trigger.sure,
    )
    reference = None if trigger.max_drop is None else _reference(platform, model, judged.version, name)
    verdict = performance_holds(judged.performance, name, reference, agreed)
    return window.said(trigger, verdict.passed, verdict.value, verdict.limit, verdict.sentence)


def _reference(platform: Platform, model: ModelSettings, version: int, name: str) -> float | None:
    """What the gate saw of a version."""
    if name == model.metric:
        served = platform.registry.find(model.name, version)
        return float(served.tags[GATE_VALUE]) if served and GATE_VALUE in served.tags else None
    judge = next(metric for metric in model.reported_metrics if metric.name == name)
    return gate_value(platform.lake, model, version, judge)


def _why(answer: object, otherwise: str) -> str:
    return str(answer) if isinstance(answer, CannotJudge) else otherwise


# --- what has come, and when ------------------------------------------------------------------------------


def _arrivals(platform: Platform, model: ModelSettings, now: datetime) -> Iterator[datetime]:
    """The ends of the good partitions of the model's required sources."""
    intakes = platform.sources.intakes()
    for source in platform.sources_of(model):
        if source.grain != "none" and source.required:
            intake = intakes[source.name]
            yield from (end for key in intake.good() if key != WHOLE and (end := intake.end(key)) <= now)


def _of_arrivals(trigger: OnData | OnFreshness, ends: Sequence[datetime], since: Since) -> CheckResult:
    if isinstance(trigger, OnFreshness):
        return freshness_result(trigger, since, ends[-1])
    return rows_result(trigger, since, ends[-1]) if trigger.rows is not None else files_result(trigger, since, ends)
