"""What a performance report says besides the metric: estimates before labels, late labels, restated labels, profit.

Here: the estimates of a model's windows, the comparison with the labels a window was judged on last, and the tables
and plots of both. Not here: which windows are judged, and the verdict (`performance_report`), the formulas
(`core.performance.estimation`, `core.performance.label_maturity`).

No estimate is part of a verdict.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from mlops_assets.core.drift.labels import label_drift
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
from mlops_assets.core.record.entries import Restatement
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.time.windows import Window, local_days, parse_duration
from mlops_assets.pages.markdown import markdown_table
from mlops_assets.steps.predict.references import BOUNDS, read_estimator, read_labels, score_matrix
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


def restatement(folder: Path, before: Mapping[str, Any] | None, known: pd.DataFrame, keys: Sequence[str]) -> Restated:
    """How the labels of a window differ from those of its report `before`; not at all without one.

    Args:
        folder: of the window's report.
        before: the summary that stands there.
        known: the labels known now: `keys` and the label.
        keys: what identifies a row.
    """
    file = labels_file(folder, before["state"]) if before else None
    if file is None or not file.exists():
        return Restated(0, 0, 0)
    return restated(read_exact(file), known, keys=keys, label=LABEL)


def put_on_record(
    platform: Platform, model: ModelSettings, label_change: Restated, before: dict[str, Any], after: dict[str, Any]
) -> dict[str, Any]:
    """Say in the record that a window was judged again because its labels changed; returns what was said."""
    verdicts = [{name: s["checks"][0][name] for name in ("passed", "value", "sentence")} for s in (before, after)]
    reason = (
        f"{label_change.sentence} since window {after['window']} was judged, so it was judged again: it "
        f"{_holds(verdicts[0])} and now {_holds(verdicts[1])}."
    )
    values = {"window": after["window"], "reason": reason, "before": verdicts[0], "after": verdicts[1]}
    platform.ledger.record.note(
        model.name,
        Restatement,
        at=datetime.fromisoformat(after["judged_at"]),
        # Of the data alone: a run that was killed after this line says the same again.
        id=f"restatement-{model.name}-{after['start']}-{after['state'][:16]}",
        **values,
    )
    return {"at": after["judged_at"], **asdict(label_change), **values}


def _holds(verdict: Mapping[str, Any]) -> str:
    said = {True: "held", False: "did not hold", None: "could not be judged"}[verdict["passed"]]
    return said if verdict["value"] is None else f"{said} ({verdict['value']:.4f})"


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


def label_drift_markdown(model: ModelSettings, summaries: Sequence[dict[str, Any]]) -> str:
    """The newest judged window's sentence, and what the labels were by window."""
    known = [s for s in summaries if s.get("label_drift", {}).get("sentence")]
    if not known:
        cannot = summaries[-1].get("label_drift", {}).get("cannot", {})
        return f"Cannot judge, because {cannot['why']}. {cannot['remedy']}." if cannot else "No window was judged yet."
    header = ["window", "of", "value", "lower", "upper", "in the reference", "PSI", "moved"]
    rows = [
        (
            s["window"],
            d["what"],
            d["value"],
            d["lower"],
            d["upper"],
            d["reference"],
            round(d["psi"], 4),
            _MOVED[d["moved"]],
        )
        for s in known[-_SHOWN:]
        for d in (s["label_drift"],)
    ]
    sentence = model.label.noted(known[-1]["label_drift"]["sentence"])
    return "\n\n".join([f"Window {known[-1]['window']}. {sentence}", markdown_table(rows, header=header)])


# --- maturity ----------------------------------------------------------------------------------------------


def label_maturity(
    platform: Platform, model: ModelSettings, windows: Sequence[Window], now: datetime
) -> dict[str, Any]:
    """The label-maturity curve of the newest windows and of what came after them, and how early labels differ.

    Returns:
        `sentence`, and where there are labels `curve` (hours, share) and `early`: of the label's mean, or of the
        share of the class that `early_of` names.
    """
    since = windows[-CURVE_WINDOWS:][0].start
    events = platform.data(model).events(since.astimezone(model.zone).date(), as_of=now, only_times=True)
    try:
        curve = maturity_curve(events[EVENT_TIME], events[AVAILABLE_AT], now=now)
    except CannotJudge as why:
        return {"sentence": str(why)}
    maturity = {"sentence": curve.sentence, "curve": curve.sampled(), "early": []}
    closed = events[EVENT_TIME] <= pd.Timestamp(now - parse_duration(model.label.max_delay))
    known = events[closed & events[LABEL].notna()]
    if known.empty:
        return maturity
    hours = (known[AVAILABLE_AT] - known[EVENT_TIME]).dt.total_seconds() / 3600.0
    ages = [age for share in MILESTONES if (age := curve.age_of(share)) is not None]
    days = local_days(known[EVENT_TIME], model.timezone)
    if model.task != "multiclass":
        return {**maturity, "early": [asdict(e) for e in early_labels(known[LABEL], hours, days, ages)]}
    code, early = early_classes(known[LABEL], hours, days, ages)
    return {**maturity, "early_of": f"share of class {code:g}", "early": [asdict(e) for e in early]}


def maturity_markdown(maturity: Mapping[str, Any]) -> str:
    """The curve as a picture and what early labels do, with its sentence."""
    from mlops_assets.pages.svg import markdown_lines

    if "curve" not in maturity:
        return str(maturity["sentence"])
    # Without the last age, which is far to the right of the others.
    points = maturity["curve"][:-1]
    picture = markdown_lines(
        [age_told(age) for age, _ in points],
        {"share known": [share for _, share in points]},
        title="Share of the labels known, by age of the event",
    )
    parts = [maturity["sentence"], picture]
    if maturity["early"]:
        of = maturity.get("early_of", "mean")
        header = ["known by", "share", f"{of} of these", f"{of} of all", "difference", "lower", "upper"]
        rows = [(age_told(e["hours"]), *list(e.values())[1:]) for e in maturity["early"]]
        parts += ["Early labels against all labels of closed days:", markdown_table(rows, header=header)]
    return "\n\n".join(parts)


# --- estimates ---------------------------------------------------------------------------------------------


def held(model: ModelSettings, summaries: Sequence[dict[str, Any]]) -> Held | CannotJudge:
    """The estimates of the main metric against matured labels, over all windows."""
    pairs = [(estimate_in(s, model.metric), s["performance"]) for s in summaries if "estimated" in s]
    try:
        return estimate_held(
            [estimate for estimate, _ in pairs],
            [row["metrics"].get(model.metric, {}).get("value") if row["mature"] else None for _, row in pairs],
        )
    except CannotJudge as why:
        return why


def estimate_in(summary: Mapping[str, Any], name: str) -> Estimated:
    """A metric's estimate in a summary; summaries of older releases have none."""
    estimate = summary.get("estimated", {}).get(name)
    if estimate is None:
        why = CannotJudge("this window was judged before there were estimates", "It is made at its next judgement")
        return Estimated.none(name, summary["rows"], why)
    return Estimated(**estimate)


def estimates_markdown(model: ModelSettings, summaries: Sequence[dict[str, Any]]) -> str:
    """Estimate and realised value of every reported metric in the newest window, and how estimates did so far."""
    newest, checked = summaries[-1], held(model, summaries)
    realised = newest["performance"]["metrics"]
    rows = []
    for name in newest.get("estimated", {}):
        figure = estimate_in(newest, name)
        rows.append((name, figure.value, figure.lower, figure.upper, realised.get(name, {}).get("value"), figure.why))
    header = ["metric", "ESTIMATE, not measured", "lower", "upper", "on known labels", "why there is none"]
    return "\n\n".join(
        [
            f"Window {newest['window']}. {model.label.noted(estimate_in(newest, model.metric).sentence)}",
            markdown_table(rows, header=header, without_empty=True),
            checked.sentence if isinstance(checked, Held) else f"How estimates did so far: {checked}.",
        ]
    )


def metric_plot(
    name: str, summaries: Sequence[dict[str, Any]], *, title: str, limits: Sequence[float | None] = ()
) -> str:
    """A metric by window with its interval, the limits it was held against, and its estimate where there is one."""
    from mlops_assets.pages.svg import markdown_lines

    values = [s["performance"]["metrics"].get(name, {}) for s in summaries]
    estimates = [estimate_in(s, name).value for s in summaries]
    series = {name: [value.get("value") for value in values]}
    if any(value.get("lower") is not None for value in values):
        title = f"{title}, 95 % interval"
    held_against = any(limit is not None for limit in limits)
    if held_against:
        title = f"{title}, limit dotted"
    if any(estimate is not None for estimate in estimates):
        series["estimate"] = estimates
        title = f"{title}; estimate: before labels, if the relation holds"
    return markdown_lines(
        [s["window"] for s in summaries],
        series,
        bounds=([value.get("lower") for value in values], [value.get("upper") for value in values]),
        title=title,
        limits=limits if held_against else None,
    )


# --- the report --------------------------------------------------------------------------------------------

_HEADER = ["window", "version", "rows", "unlabelled share", "label mean"]
_ESTIMATE_HEADER = ["ESTIMATE before labels", "lower", "upper", "profit per row"]


def by_window_markdown(model: ModelSettings, summaries: Sequence[dict[str, Any]]) -> str:
    """One row per window: what labels say, whether it holds, and what was estimated before them."""
    header = [*_HEADER, model.metric, "lower", "upper", "holds", *_ESTIMATE_HEADER]
    return markdown_table([_row(model, summary) for summary in summaries], header=header, without_empty=True)


def _row(model: ModelSettings, summary: dict[str, Any]) -> tuple[Any, ...]:
    row, check = summary["performance"], summary["checks"][0]
    measured, estimate = row["metrics"].get(model.metric, {}), estimate_in(summary, model.metric)
    holds = {True: "yes", False: "no", None: "not judged yet"}[check["passed"]]
    return (
        row["window"], summary["version"], row["rows"], row["share_unlabelled"], row["label_rate"],
        measured.get("value"), measured.get("lower"), measured.get("upper"), holds,
        estimate.value, estimate.lower, estimate.upper, row["metrics"].get(PROFIT, {}).get("value"),
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


def settings_digest(model: ModelSettings) -> str:
    """What identifies the settings that a report is made by: with others its windows are judged again."""
    watched = model.monitoring
    parts: list[Any] = [model.metric, watched.metrics, watched.costs, watched.slices, model.label.only_for_accepted]
    # Since windows are held against guessing: those from before it are judged again.
    parts += ["guessing"]
    # Only where they are set: without them nothing has to be judged again.
    parts += [asdict(watched.fairness)] if watched.fairness.by else []
    parts += [sorted(watched.limits)] if watched.limits else []
    parts += [watched.performance.blocks] if watched.performance.blocks != "day" else []
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:8]
