"""What a performance report says besides the metric: estimates before labels, late labels, restated labels, profit.

Here: the estimates of a model's windows, the comparison with the labels a window was judged on last, and the tables
and plots of both. Not here: which windows are judged, and the verdict (`performance_report`), the formulas
(`core.performance.estimation`, `core.performance.label_maturity`).

No estimate is part of a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from msgspec import UNSET

from mlops_assets.core.drift.labels import LabelDrift, label_drift
from mlops_assets.core.performance.estimation import Estimated, Estimator, Held, estimate_held
from mlops_assets.core.performance.label_maturity import (
    MILESTONES,
    Restated,
    age_told,
    early_classes,
    early_labels,
    maturity_curve,
    restated,
)
from mlops_assets.core.performance.window_metrics import PerformanceRow, evaluate
from mlops_assets.core.record.entries import Restatement, WindowVerdict
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.time.windows import Window, local_days, parse_duration
from mlops_assets.pages.markdown import markdown_table
from mlops_assets.steps.predict.references import BOUNDS, read_estimator, read_labels, score_matrix
from mlops_assets.steps.watch.windows.performance_summary import LabelAges, PerformanceSummary, Restating
from mlops_assets.world.blocks import blocks_of
from mlops_assets.world.lake import Lake
from mlops_assets.world.model_data import AVAILABLE_AT, EVENT_TIME, LABEL
from mlops_assets.world.parquet import read_exact
from mlops_assets.world.platform import Platform

CURVE_WINDOWS = 4
"""Windows whose events make the label-maturity curve, besides what came after them."""
PROFIT = "profit"
_SHOWN = 20
"""Windows in a table."""
_MOVED = {True: "yes", False: "no", None: "not mature"}


@dataclass
class Estimates:
    """Estimates of one model's windows; what a version is estimated by is made once."""

    lake: Lake
    model: ModelSettings
    _made: dict[int, Estimator | CannotJudge] = field(default_factory=dict)

    def of(self, version: int, rows: pd.DataFrame) -> dict[str, Estimated]:
        """Metric -> estimate on the predictions of a window, all of them taken for those of this version."""
        metrics = self.model.reported_metrics
        estimator = self._estimator(version)
        if isinstance(estimator, CannotJudge):
            return {judge.name: Estimated.none(judge.name, len(rows), estimator) for judge in metrics}
        days = local_days(rows[EVENT_TIME], self.model.timezone)
        return estimator.estimate(score_matrix(rows), days, metrics, features=rows)

    def _estimator(self, version: int) -> Estimator | CannotJudge:
        if version not in self._made:
            try:
                self._made[version] = read_estimator(self.lake, self.model, version)
            except CannotJudge as why:
                self._made[version] = why
        return self._made[version]


# --- restated labels ---------------------------------------------------------------------------------------


def labels_file(folder: Path, state: str) -> Path:
    """The labels that a window was judged on in this state of its data."""
    return folder / f"labels-{state[:16]}.parquet"


def forget_other_labels(folder: Path, state: str) -> None:
    """Remove the labels of earlier states of a window's data."""
    for old in folder.glob("labels-*.parquet"):
        if old != labels_file(folder, state):
            old.unlink()


def restatement(folder: Path, before: PerformanceSummary | None, known: pd.DataFrame, keys: Sequence[str]) -> Restated:
    """How the labels of a window differ from those of its report `before`; not at all without one.

    Args:
        folder: of the window's report.
        before: the summary that stands there.
        known: the labels known now: `keys` and the label.
        keys: what identifies a row.
    """
    file = labels_file(folder, before.state) if before else None
    if file is None or not file.exists():
        return Restated(0, 0, 0)
    return restated(read_exact(file), known, keys=keys, label=LABEL)


def put_on_record(
    platform: Platform,
    model: ModelSettings,
    label_change: Restated,
    before: PerformanceSummary,
    after: PerformanceSummary,
    now: datetime,
) -> Restating:
    """Say in the record that a window was judged again because its labels changed; returns what was said."""
    reason = (
        f"{label_change.sentence} since window {after.window} was judged, so it was judged again: it "
        f"{_holds(before.verdict)} and now {_holds(after.verdict)}."
    )
    said: dict[str, Any] = {"window": after.window, "reason": reason, "before": before.verdict, "after": after.verdict}
    # Of the data alone: a run that was killed after this line says the same again.
    identity = f"restatement-{model.name}-{after.start.isoformat()}-{after.state[:16]}"
    platform.ledger.record.note(model.name, Restatement, at=now, id=identity, **said)
    return Restating(at=now, **asdict(label_change), **said)


def _holds(verdict: WindowVerdict) -> str:
    said = {True: "held", False: "did not hold", None: "could not be judged"}[verdict.passed]
    return said if verdict.value is None else f"{said} ({verdict.value:.4f})"


# --- label drift -------------------------------------------------------------------------------------------


def label_shift(platform: Platform, model: ModelSettings, version: int, rows: pd.DataFrame, row: PerformanceRow) -> Any:
    """How far a window's labels are from those its version was trained on; or why nobody knows."""
    known = rows[rows[LABEL].notna()]
    try:
        reference, mean = read_labels(platform.lake, model, version)
        return label_drift(
            reference,
            mean,
            known[LABEL],
            local_days(known[EVENT_TIME], model.timezone),
            task=model.task,
            limit=model.monitoring.drift.psi,
            share_unlabelled=row.share_unlabelled or 0.0,
            mature=row.mature,
        )
    except CannotJudge as why:
        return why


def label_drift_markdown(model: ModelSettings, summaries: Sequence[PerformanceSummary]) -> str:
    """The newest judged window's sentence, and what the labels were by window."""
    shifts = [(summary.window, summary.label_shift) for summary in summaries]
    known = [(window, shift) for window, shift in shifts if isinstance(shift, LabelDrift)]
    if not known:
        cannot = shifts[-1][1]
        if isinstance(cannot, CannotJudge):
            return f"Cannot judge, because {cannot.why}. {cannot.remedy}."
        return "No window was judged yet."
    header = ["window", "of", "value", "lower", "upper", "in the reference", "PSI", "moved"]
    rows = [
        (window, d.what, d.value, d.lower, d.upper, d.reference, round(d.psi, 4), _MOVED[d.moved])
        for window, d in known[-_SHOWN:]
    ]
    window, newest = known[-1]
    sentence = model.label.noted(newest.sentence)
    return "\n\n".join([f"Window {window}. {sentence}", markdown_table(rows, header=header)])


# --- maturity ----------------------------------------------------------------------------------------------


def label_maturity(platform: Platform, model: ModelSettings, windows: Sequence[Window], now: datetime) -> LabelAges:
    """The label-maturity curve of the newest windows and of what came after them, and how early labels differ."""
    since = windows[-CURVE_WINDOWS:][0].start
    events = platform.data(model).events(since.astimezone(model.zone).date(), as_of=now, only_times=True)
    try:
        curve = maturity_curve(events[EVENT_TIME], events[AVAILABLE_AT], now=now)
    except CannotJudge as why:
        return LabelAges(str(why))
    sampled = tuple(curve.sampled())
    closed = events[EVENT_TIME] <= pd.Timestamp(now - parse_duration(model.label.max_delay))
    known = events[closed & events[LABEL].notna()]
    if known.empty:
        return LabelAges(curve.sentence, sampled, ())
    hours = (known[AVAILABLE_AT] - known[EVENT_TIME]).dt.total_seconds() / 3600.0
    ages = [age for share in MILESTONES if (age := curve.age_of(share)) is not None]
    days = local_days(known[EVENT_TIME], model.timezone)
    if model.task != "multiclass":
        return LabelAges(curve.sentence, sampled, early_labels(known[LABEL], hours, days, ages))
    code, early = early_classes(known[LABEL], hours, days, ages)
    return LabelAges(curve.sentence, sampled, early, f"share of class {code:g}")


def maturity_markdown(maturity: LabelAges) -> str:
    """The curve as a picture and what early labels do, with its sentence."""
    from mlops_assets.pages.svg import markdown_lines

    if not maturity.curve:
        return maturity.sentence
    # Without the last age, which is far to the right of the others.
    points = maturity.curve[:-1]
    picture = markdown_lines(
        [age_told(age) for age, _ in points],
        {"share known": [share for _, share in points]},
        title="Share of the labels known, by age of the event",
    )
    parts = [maturity.sentence, picture]
    if maturity.early:
        of = maturity.early_of or "mean"
        header = ["known by", "share", f"{of} of these", f"{of} of all", "difference", "lower", "upper"]
        rows = [(age_told(early.hours), *astuple(early)[1:]) for early in maturity.early]
        parts += ["Early labels against all labels of closed days:", markdown_table(rows, header=header)]
    return "\n\n".join(parts)


# --- estimates ---------------------------------------------------------------------------------------------


def held(model: ModelSettings, summaries: Sequence[PerformanceSummary]) -> Held | CannotJudge:
    """The estimates of the main metric against matured labels, over all windows."""
    known = [summary for summary in summaries if summary.estimated is not UNSET]
    try:
        return estimate_held(
            [summary.estimate(model.metric) for summary in known],
            [summary.value(model.metric) if summary.performance.mature else None for summary in known],
        )
    except CannotJudge as why:
        return why


def estimates_markdown(model: ModelSettings, summaries: Sequence[PerformanceSummary]) -> str:
    """Estimate and realised value of every reported metric in the newest window, and how estimates did so far."""
    newest, checked = summaries[-1], held(model, summaries)
    rows = [
        (name, figure.value, figure.lower, figure.upper, newest.value(name), figure.why)
        for name, figure in (newest.estimated or {}).items()
    ]
    header = ["metric", "ESTIMATE, not measured", "lower", "upper", "on known labels", "why there is none"]
    return "\n\n".join(
        [
            f"Window {newest.window}. {model.label.noted(newest.estimate(model.metric).sentence)}",
            markdown_table(rows, header=header, without_empty=True),
            checked.sentence if isinstance(checked, Held) else f"How estimates did so far: {checked}.",
        ]
    )


def metric_plot(
    name: str, summaries: Sequence[PerformanceSummary], *, title: str, limits: Sequence[float | None] = ()
) -> str:
    """A metric by window with its interval, the limits it was held against, and its estimate where there is one."""
    from mlops_assets.pages.svg import markdown_lines

    measured = [summary.measured(name) for summary in summaries]
    lower, upper = ([getattr(value, end, None) for value in measured] for end in ("lower", "upper"))
    estimates = [summary.estimate(name).value for summary in summaries]
    series = {name: [summary.value(name) for summary in summaries]}
    if any(bound is not None for bound in lower):
        title = f"{title}, 95 % interval"
    held_against = any(limit is not None for limit in limits)
    if held_against:
        title = f"{title}, limit dotted"
    if any(estimate is not None for estimate in estimates):
        series["estimate"] = estimates
        title = f"{title}; estimate: before labels, if the relation holds"
    return markdown_lines(
        [summary.window for summary in summaries],
        series,
        bounds=(lower, upper),
        title=title,
        limits=limits if held_against else None,
    )


# --- the report --------------------------------------------------------------------------------------------

_HEADER = ["window", "version", "rows", "unlabelled share", "label mean"]
_ESTIMATE_HEADER = ["ESTIMATE before labels", "lower", "upper", "profit per row"]


def by_window_markdown(model: ModelSettings, summaries: Sequence[PerformanceSummary]) -> str:
    """One row per window: what labels say, whether it holds, and what was estimated before them."""
    header = [*_HEADER, model.metric, "lower", "upper", "holds", *_ESTIMATE_HEADER]
    return markdown_table([_row(model, summary) for summary in summaries], header=header, without_empty=True)


def _row(model: ModelSettings, summary: PerformanceSummary) -> tuple[Any, ...]:
    row, measured, estimate = summary.performance, summary.measured(model.metric), summary.estimate(model.metric)
    bounds = (measured.value, measured.lower, measured.upper) if measured else (None, None, None)
    holds = {True: "yes", False: "no", None: "not judged yet"}[summary.verdict.passed]
    return (
        row.window, summary.version, row.rows, row.share_unlabelled, row.label_rate, *bounds, holds,
        estimate.value, estimate.lower, estimate.upper, summary.value(PROFIT),
    )  # fmt: skip


def with_coverage(row: PerformanceRow, rows: pd.DataFrame, model: ModelSettings) -> PerformanceRow:
    """The same row with the coverage of the predicted bounds, where predictions have any."""
    if not set(BOUNDS) <= set(rows.columns):
        return row
    known = rows[rows[[LABEL, *BOUNDS]].notna().all(axis=1)]
    coverage = evaluate(
        known[LABEL].to_numpy(), known[[*BOUNDS]].to_numpy(), ["interval_coverage"], blocks_of(model, known)
    )
    return replace(row, metrics={**row.metrics, **coverage})
