"""The values of the metrics about models, sources, steps and alerts: read from a home's own files.

Here: one function a part, each yielding samples. Not here: names and meanings (`metric_names`), Dagster's runs
(`run_metrics`), exposing (`metrics`). A figure that is not known is left out, never zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from mlops_assets.core.decide.evidence import CheckResult
from mlops_assets.core.performance.decay import Age, Decay, decay_per_week
from mlops_assets.core.performance.estimation import Estimated
from mlops_assets.core.performance.window_metrics import Estimate
from mlops_assets.core.record.entries import Decision, OutcomeFound, only
from mlops_assets.core.record.incidents import SEVERITIES
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.steps.land.lags import lacking, source_lags, view_lags
from mlops_assets.steps.watch.skew import REPORT as SKEW
from mlops_assets.steps.watch.skew import SkewSummary
from mlops_assets.steps.watch.windows.performance_summary import PerformanceSummary
from mlops_assets.steps.watch.windows.summaries import (
    REPORTS,
    WindowSummary,
    failing_of,
    has_verdicts,
    judged_folders,
    newest_summary,
    read_summary,
    summaries,
)
from mlops_assets.world.alerts.incidents import Incidents
from mlops_assets.world.clock import NoDataYet
from mlops_assets.world.costs import Costs
from mlops_assets.world.platform import FITTED_UNTIL, Platform, fitted_until

_TOP_FEATURES = 20
"""The most drifted ones have a series each; the drift report has all."""
WEEK = timedelta(days=7)


class Sample(NamedTuple):
    """One value: the metric without its prefix, its labels' values in order, the number."""

    name: str
    labels: tuple[str, ...]
    value: float


def models(platform: Platform) -> Iterator[Sample]:
    """Declared models, their clocks and their champions, from YAML and the registry."""
    for name, model in platform.models().items():
        yield Sample("model_declared", (name, model.task), 1)
        now = _now(platform, model)
        if now is not None:
            yield Sample("model_clock_timestamp_seconds", (name,), now.timestamp())
        limit = model.retrain_policy.age_limit
        if limit is not None:
            yield Sample("champion_age_limit_seconds", (name,), limit.total_seconds())
        champion = platform.registry.champion(name)
        if champion is None:
            continue
        yield Sample("champion_version", (name,), champion.version)
        until = fitted_until(champion)
        if now is not None and until is not None:
            yield Sample("champion_age_seconds", (name,), (now - until).total_seconds())
        for measure, decay in _decays(platform, model):
            yield Sample("performance_decay_per_week", (name, measure), decay.per_week)
            if decay.se is not None:
                yield Sample("performance_decay_per_week_error", (name, measure), decay.se)


def record(platform: Platform) -> Iterator[Sample]:
    """Decisions and what became of them, from the record."""
    for name in platform.models():
        damage = platform.ledger.record.damage(name)
        yield Sample("record_readable", (name,), not damage)
        if damage:
            continue
        entries = platform.ledger.entries(name)
        yield Sample("model_paused", (name,), platform.ledger.record.paused(name) is not None)
        decided = Counter((record_entry.action, record_entry.rule) for record_entry in only(entries, Decision))
        for (action, rule), count in sorted(decided.items()):
            yield Sample("decisions_total", (name, action, rule), count)
        kinds = Counter(entry.kind for entry in entries)
        results = Counter(record_entry.result for record_entry in only(entries, OutcomeFound))
        # From zero on: Prometheus sees no increase in a counter that begins at one.
        for result in sorted({"promotion", "rejection", "rollback", "kept", "worse", *results}):
            yield Sample("outcomes_total", (name, result), kinds[result] + results[result])


def reports(platform: Platform) -> Iterator[Sample]:
    """Drift, performance and its estimate in the newest windows, from the reports."""
    for name, model in platform.models().items():
        if has_verdicts(platform, name):
            yield Sample("model_worse_than_baseline", (name,), failing_of(platform, model) is not None)
        for report in REPORTS:
            newest = newest_summary(platform.lake, name, report, WindowSummary)
            if newest is None:
                continue
            yield Sample("window_end_timestamp_seconds", (name, report), newest.end.timestamp())
            for check in newest.checks:
                yield from _check(name, check)
        if skewed := newest_summary(platform.lake, name, SKEW, SkewSummary):
            for check in skewed.checks:
                yield from _check(name, check)
            for feature, share in list(skewed.features.items())[:_TOP_FEATURES]:
                yield Sample("serving_skew_share", (name, feature), share)
        yield from _performance(name, summaries(platform.lake, name, "performance", PerformanceSummary))
        yield from _features(platform, name)


def sources(platform: Platform) -> Iterator[Sample]:
    """Partitions of the sources, how old the newest is, and how far feature views are behind them."""
    for name, intake in platform.sources.whole().items():
        state = intake.state()
        bad = sum(entry.status == "quarantined" for entry in state.taken.values())
        counts = {"good": len(state.good), "pending": len(state.pending), "quarantined": bad}
        for kind, count in counts.items():
            yield Sample("source_partitions", (name, kind), count)
    for name, lag in source_lags(platform).items():
        yield Sample("source_fresh", (name,), not lag.is_stale)
        if lag.end is not None and lag.age is not None:
            yield Sample("source_newest_timestamp_seconds", (name,), lag.end.timestamp())
            yield Sample("source_lag_seconds", (name,), lag.age.total_seconds())
            yield Sample("source_missed_seconds", (name,), lag.missed.total_seconds())
    for view, span in view_lags(platform).items():
        yield Sample("view_lag_seconds", (view,), lacking(span).total_seconds())


def costs(platform: Platform) -> Iterator[Sample]:
    """What steps took, and how long the last retraining of each model did."""
    lines = Costs(platform.home.root).lines()
    steps = [line for line in lines if line["kind"] == "step"]
    for name, last in sorted({_asset(line): line for line in steps}.items()):
        yield Sample("asset_seconds", (name,), last["seconds"])
        yield Sample("asset_cpu_seconds", (name,), last["cpu_seconds"])
        yield Sample("asset_peak_memory_bytes", (name,), last["peak_bytes"])
        yield Sample("asset_cpu_seconds_total", (name,), sum(x["cpu_seconds"] for x in steps if _asset(x) == name))
    for (name, outcome), count in sorted(Counter((_asset(line), line["outcome"]) for line in steps).items()):
        yield Sample("asset_steps_total", (name, outcome), count)
    for name, last in sorted({line["model"]: line for line in lines if line["kind"] == "retrain"}.items()):
        yield Sample("time_to_retrain_seconds", (name,), last["seconds"])


def alerts(platform: Platform) -> Iterator[Sample]:
    """Open incidents, and messages on their way."""
    state = Incidents(platform.home.root).state()
    for severity in SEVERITIES:
        yield Sample("incidents_open", (severity,), sum(i.severity == severity for i in state.open))
    yield Sample("alerts_waiting", (), len(state.outbox))
    yield Sample("alerts_undelivered_total", (), state.undelivered)


def _asset(line: Mapping[str, Any]) -> str:
    """The one asset of a step, else the step: what dbt builds in one process has one cost."""
    return line["assets"][0] if len(line["assets"]) == 1 else line["step"]


def _now(platform: Platform, model: ModelSettings) -> datetime | None:
    try:
        return platform.now(model)
    except NoDataYet:
        return None


def _check(model: str, check: CheckResult) -> Iterator[Sample]:
    labels = (model, check.name)
    if check.passed is not None:
        yield Sample("check_passed", labels, check.passed)
    for part, number in (("value", check.value), ("limit", check.limit)):
        if number is not None:
            yield Sample(f"check_{part}", labels, number)
    if check.name == "inputs_match_reference" and check.value is not None:
        yield Sample("drift_share", (model,), check.value)


def _performance(model: str, windows: Sequence[PerformanceSummary]) -> Iterator[Sample]:
    if not windows:
        return
    newest = windows[-1]
    yield Sample("window_rows", (model,), newest.rows)
    missing = newest.performance.share_unlabelled
    if missing is not None and missing == missing:  # NaN without a row
        yield Sample("labels_missing_share", (model,), missing)
    yield from _estimates(model, "estimated_performance", newest.estimated or {})
    labelled = [summary.performance for summary in windows if summary.performance.labelled]
    if labelled:
        yield from _estimates(model, "performance", labelled[-1].metrics)


def _estimates(model: str, name: str, values: Mapping[str, Estimate] | Mapping[str, Estimated]) -> Iterator[Sample]:
    for measure, estimate in values.items():
        for number, end in ((estimate.value, ""), (estimate.lower, "_lower"), (estimate.upper, "_upper")):
            if number is not None:
                yield Sample(f"{name}{end}", (model, measure), number)


def _features(platform: Platform, model: str) -> Iterator[Sample]:
    """PSI of the most drifted features; the scores are one of them."""
    files = sorted(platform.lake.folder("reports", model, "drift").glob("window=*/features.parquet"))
    if not files:
        return
    import pandas as pd

    table = pd.read_parquet(files[-1], columns=["feature", "psi"]).dropna()
    for feature, psi in table.nlargest(_TOP_FEATURES, "psi").itertuples(index=False):
        yield Sample("feature_psi", (model, str(feature)), float(psi))


def _decays(platform: Platform, model: ModelSettings) -> Iterator[tuple[str, Decay]]:
    """The decay of each metric over all mature windows; of none while no champion has two."""
    fitted = {
        version.version: datetime.fromisoformat(version.tags[FITTED_UNTIL])
        for version in platform.registry.versions(model.name)
        if FITTED_UNTIL in version.tags
    }
    windows = [
        summary
        for summary in summaries(platform.lake, model.name, "performance", PerformanceSummary)
        if summary.performance.mature and summary.version in fitted
    ]
    for measure in model.reported_metrics:
        ages = [
            Age(summary.version, _weeks(summary, fitted[summary.version]), value)
            for summary in windows
            if (value := summary.value(measure.name)) is not None
        ]
        with suppress(CannotJudge):  # nothing yet: the figure is absent
            yield measure.name, decay_per_week(ages, greater_is_better=measure.greater_is_better)


def _weeks(summary: WindowSummary, fitted: datetime) -> float:
    """From when a version was fitted to the middle of a window."""
    return (summary.start + (summary.end - summary.start) / 2 - fitted) / WEEK


def evidence_written_at(platform: Platform, model: str, window: str | None) -> datetime | None:
    """When the newest report on a window was written, by the machine's clock; None without one."""
    files = [
        folder / "summary.json"
        for report in REPORTS
        for folder in judged_folders(platform.lake, model, report)
        if read_summary(folder, WindowSummary).window == window
    ]
    return max((_written(path) for path in files), default=None)


def _written(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)
