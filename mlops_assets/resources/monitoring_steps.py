"""Watching a champion: drift and performance of every closed window, kept as small files.

Here: what the two report assets do between reading and reporting. Not here: the assets (`components`), the
statistics (`core.drift`, `core.performance`), what follows from them (`core.policy`).

A window is judged once for each state of its data: a corrected day or a restated label judges it again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from mlops_assets.core.drift import DriftVerdict, FeatureDrift, Profile, compare, drift_verdict
from mlops_assets.core.events import named
from mlops_assets.core.performance import PerformanceRow, performance_report
from mlops_assets.core.policy import CheckResult
from mlops_assets.core.reporting import answered, markdown_table
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.windows import Window, closed_windows, parse_duration
from mlops_assets.resources.atomic import write_text
from mlops_assets.resources.blocks import blocks_of
from mlops_assets.resources.drift_findings import Explained, explain, levels_of, verdict_of
from mlops_assets.resources.fairness_report import fairness_markdown, fairness_of
from mlops_assets.resources.gating import slice_columns
from mlops_assets.resources.label_steps import (
    PROFIT,
    Estimates,
    by_window_markdown,
    estimates_markdown,
    label_drift_markdown,
    label_maturity,
    label_shift,
    labels_file,
    maturity_markdown,
    metric_plot,
    put_on_record,
    restatement,
    settings_digest,
    with_coverage,
)
from mlops_assets.resources.lake import Lake
from mlops_assets.resources.model_data import AVAILABLE_AT, EVENT_TIME, LABEL
from mlops_assets.resources.performance_check import performance_check
from mlops_assets.resources.platform import Platform
from mlops_assets.resources.prediction_steps import BATCH, ONLINE, SCORE, VERSION, predicted_days, read_scores
from mlops_assets.resources.references import Reference, score_matrix
from mlops_assets.resources.window_references import reference_of

SHOWN = 20
"""Features in a table and in the report that people look at: the most drifted ones."""
SEED = 13


@dataclass(frozen=True)
class Watched:
    """What a report asset shows.

    Attributes:
        windows: those that were judged now.
        newest: the checks of the newest of them.
        table: Markdown.
        plot: Markdown image.
        reason: a sentence.
        html: the report that people look at; None where there is none.
        more: further Markdown by name.
    """

    windows: list[str]
    newest: list[CheckResult]
    table: str
    plot: str
    reason: str
    html: Path | None = None
    more: Mapping[str, str] = field(default_factory=dict)


def predicted_windows(platform: Platform, model: ModelSettings, now: datetime) -> list[Window]:
    """Closed windows that have predictions, oldest first."""
    days = predicted_days(platform.lake, model.name)
    if not days:
        return []
    windows = closed_windows(model.start, now, model.monitoring.window, model.timezone)
    return [window for window in windows if not set(window.days(model.timezone)).isdisjoint(days)]


def watch_drift(platform: Platform, model: ModelSettings) -> Watched | None:
    """Compare every window that closed or changed since the last time with its champion's reference."""
    judged: list[tuple[Window, dict[str, Any], list[FeatureDrift], pd.DataFrame, Reference, Explained]] = []
    for window in predicted_windows(platform, model, platform.now(model)):
        state = _state(platform.lake, model, window, ("predictions",))
        folder = _folder(platform.lake, model.name, "drift", window)
        if _is_known(folder, state):
            continue
        rows = _rows(platform, model, window)
        version = int(rows[VERSION].mode().iloc[0])
        against = reference_of(platform, model, window, version)
        reference = against.reference
        drifts = _compare(reference.features, rows)
        scores = _compare(reference.scores, rows[[SCORE]])
        levels = levels_of(platform, model, version, [drift.feature for drift in drifts])
        inputs = verdict_of(model, drifts, levels)
        if against.warming_up:
            inputs = replace(inputs, passed=None, reason=f"{against.warming_up} {inputs.reason}")
        verdicts = {
            "inputs_match_reference": inputs,
            "predictions_match_reference": _scores_verdict(scores[0], model),
        }
        checks = [_drift_check(name, window, model, verdict) for name, verdict in verdicts.items()]
        table = pd.DataFrame([drift.to_dict() for drift in (*drifts, *scores)])
        platform.lake.write(table, folder / "features.parquet")
        explained = explain(platform, model, version, against=against, rows=rows, drifts=drifts, levels=levels)
        summary = {**_summary(window, model, state, checks, version=version, rows=len(rows)), **explained.to_dict()}
        judged.append((window, summary, drifts, rows, reference, explained))
    if not judged:
        return None
    window, summary, drifts, rows, reference, explained = judged[-1]
    top = sorted(drifts, key=lambda drift: -(drift.psi or 0.0))[:SHOWN]
    html = _folder(platform.lake, model.name, "drift", window) / "report.html"
    page = _evidently(reference, rows, [drift for drift in top if drift.kind])
    write_text(html, page.replace("<body>", f"<body>{explained.html()}", 1))
    # Last of all: a window with a summary is never looked at again.
    for known, told, *_ in judged:
        write_text(_folder(platform.lake, model.name, "drift", known) / "summary.json", json.dumps(told, indent=1))
    checks = [CheckResult.from_dict(check) for check in summary["checks"]]
    return Watched(
        windows=[w.label(model.timezone) for w, *_ in judged],
        newest=checks,
        table=markdown_table(
            [(d.feature, d.psi, d.ks, d.missing_change, d.mean_change) for d in top],
            header=["feature", "PSI", "KS", "missing share, change", "mean, change in sd"],
        ),
        plot=_drift_plot(top, model, window),
        reason=" ".join([*(check.sentence for check in checks), *named(model.events, [window], model.timezone)]),
        html=html,
        more={"findings": explained.markdown()},
    )


def watch_performance(platform: Platform, model: ModelSettings) -> Watched | None:
    """Judge every window whose predictions or labels changed since the last time, and those still waiting."""
    now = platform.now(model)
    windows = predicted_windows(platform, model, now)
    waiting = []
    for window in windows:
        final = now >= window.end + parse_duration(model.label.max_delay)
        data = _state(platform.lake, model, window, ("predictions", "labels"))
        state = f"{data}-{settings_digest(model)}-{'final' if final else now.isoformat()}"
        if not _is_known(_folder(platform.lake, model.name, "performance", window), state):
            waiting.append((window, state))
    if not waiting:
        return None
    estimates, maturity = Estimates(platform.lake, model), label_maturity(platform, model, windows, now)
    judged = [
        _judge_performance(platform, model, window, now=now, state=state, estimates=estimates, maturity=maturity)
        for window, state in waiting
    ]
    summaries = _summaries(platform.lake, model.name, "performance")
    newest = [CheckResult.from_dict(check) for summary in summaries for check in summary["checks"]]
    restated = [summary["restated"][-1]["reason"] for summary in judged if summary["restated_now"]]
    more = {
        "estimates": estimates_markdown(model, summaries),
        "label_maturity": maturity_markdown(maturity),
        "label_drift": label_drift_markdown(model, summaries),
    }
    if model.monitoring.costs:
        more[PROFIT] = metric_plot(PROFIT, summaries, title="Profit per row by window")
    if model.monitoring.fairness.by:
        more["fairness"] = fairness_markdown(judged[-1])
    told = [check.sentence for check in newest if check.window_end == newest[-1].window_end]
    return Watched(
        windows=[summary["window"] for summary in judged],
        newest=newest,
        table=by_window_markdown(model, summaries[-SHOWN:]),
        plot=metric_plot(model.metric, summaries, title=f"{model.metric} by window"),
        reason=" ".join([*told, *restated, *named(model.events, windows[-1:], model.timezone)]),
        more=more,
    )


def _judge_performance(
    platform: Platform,
    model: ModelSettings,
    window: Window,
    *,
    now: datetime,
    state: str,
    estimates: Estimates,
    maturity: Mapping[str, Any],
) -> dict[str, Any]:
    """Judge one window and keep its report; returns the summary.

    The labels it was judged on are written first and the summary last: it names them, and a window with a summary
    of this state is not looked at again.
    """
    folder = _folder(platform.lake, model.name, "performance", window)
    before = _known(folder)
    row, version, rows = _performance(platform, model, window, now)
    keys = [*platform.data(model).keys, EVENT_TIME]
    known = rows.loc[rows[LABEL].notna(), [*keys, LABEL]]
    found = restatement(folder, before, known, keys)
    # Other windows are looked at only where several in a row must break a floor.
    in_a_row = model.monitoring.performance.floor_windows > 1
    earlier = _summaries(platform.lake, model.name, "performance") if in_a_row else []
    check = performance_check(platform, model, row, version, earlier)
    groups, fairness = fairness_of(platform, model, window, row, now)
    summary = {
        **_summary(window, model, state, [check, *fairness], version=version, rows=row.rows),
        "judged_at": now.isoformat(),
        "performance": row.to_dict(),
        "fairness": groups,
        "estimated": {name: estimate.to_dict() for name, estimate in estimates.of(version, rows).items()},
        "label_maturity": maturity,
        "label_drift": answered(label_shift(platform, model, version, rows, row)),
        "restated": before.get("restated", []) if before else [],
        "restated_now": bool(found),
    }
    if before and found:
        summary["restated"] = [*summary["restated"], put_on_record(platform, model, found, before, summary)]
    platform.lake.write(known, labels_file(folder, state))
    write_text(folder / "summary.json", json.dumps(summary, indent=1))
    _forget_other_labels(folder, state)
    return summary


def _forget_other_labels(folder: Path, state: str) -> None:
    for old in folder.glob("labels-*.parquet"):
        if old != labels_file(folder, state):
            old.unlink()


def _performance(
    platform: Platform, model: ModelSettings, window: Window, now: datetime
) -> tuple[PerformanceRow, int, pd.DataFrame]:
    """The window's report, its version, and its predictions with the labels known now."""
    data = platform.data(model)
    rows = _rows(platform, model, window)
    identity = [*data.keys, EVENT_TIME]
    known = data.events(*_days(model, window), as_of=now)[[*identity, LABEL, AVAILABLE_AT]]
    rows = rows.merge(known, on=identity, how="left", validate="one_to_one")
    report = performance_report(
        [window],
        event_times=rows[EVENT_TIME],
        labels=rows[LABEL],
        scores=score_matrix(rows),
        label_available_at=rows[AVAILABLE_AT],
        metrics=model.reported_metrics,
        now=now,
        tz=model.timezone,
        share=model.label.mature_share,
        max_delay=parse_duration(model.label.max_delay),
        slices={name: rows[name] for name in slice_columns(model, rows)},
        blocks=blocks_of(model, rows),
    )
    return with_coverage(report.rows[0], rows, model), int(rows[VERSION].mode().iloc[0]), rows


def _rows(platform: Platform, model: ModelSettings, window: Window) -> pd.DataFrame:
    return read_scores(platform, model, *_days(model, window))


def _days(model: ModelSettings, window: Window) -> tuple[Any, Any]:
    return window.start.astimezone(model.zone).date(), window.end.astimezone(model.zone).date()


def _compare(reference: Profile, rows: pd.DataFrame) -> list[FeatureDrift]:
    return compare(reference, Profile.of(reference.grid, rows))


def _scores_verdict(scores: FeatureDrift, model: ModelSettings) -> DriftVerdict:
    """The verdict on the champion's scores, told as that of one distribution and not of one feature among many."""
    verdict = drift_verdict([scores], model.monitoring.drift)
    if scores.psi is None or model.monitoring.drift.psi is None:
        return verdict
    told = f"The scores' PSI is {scores.psi:.3g} (limit {model.monitoring.drift.psi:g})."
    return replace(verdict, reason=told)


def _drift_check(name: str, window: Window, model: ModelSettings, verdict: DriftVerdict) -> CheckResult:
    return CheckResult(
        name=name,
        kind="drift",
        window=window.label(model.timezone),
        window_end=window.end,
        passed=verdict.passed,
        value=verdict.share,
        limit=verdict.limit,
        sentence=verdict.reason,
    )


def _summary(
    window: Window, model: ModelSettings, state: str, checks: Sequence[CheckResult], *, version: int, rows: int
) -> dict[str, Any]:
    return {
        "window": window.label(model.timezone),
        "start": window.start.isoformat(),
        "end": window.end.isoformat(),
        "state": state,
        "version": version,
        "rows": rows,
        "checks": [check.to_dict() for check in checks],
    }


def _summaries(lake: Lake, model: str, report: str) -> list[dict[str, Any]]:
    paths = sorted(lake.folder("reports", model, report).glob("window=*/summary.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def _folder(lake: Lake, model: str, report: str, window: Window) -> Path:
    return lake.folder("reports", model, report, f"window={window.start:%Y-%m-%dT%H%M}")


def _is_known(folder: Path, state: str) -> bool:
    known = _known(folder)
    return known is not None and known["state"] == state


def _known(folder: Path) -> dict[str, Any] | None:
    """The summary of a window that was judged before."""
    path = folder / "summary.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _state(lake: Lake, model: ModelSettings, window: Window, layers: Sequence[str]) -> str:
    """What identifies the data of a window: its files' sizes and times."""
    start, end = _days(model, window)
    digest = hashlib.sha256()
    files = {"predictions": [(model.name, BATCH), (model.name, ONLINE)], "labels": [(model.label.model, "data")]}
    for layer, name, writer in [(each, *file) for each in layers for file in files[each]]:
        for day, path in lake.partitions(layer, name, name=writer).items():
            if start <= day < end:
                stat = path.stat()
                digest.update(f"{layer}/{day}/{stat.st_size}/{stat.st_mtime_ns};".encode())
    return digest.hexdigest()[:32]


def _evidently(reference: Reference, rows: pd.DataFrame, drifts: Sequence[FeatureDrift]) -> str:
    from mlops_assets.core.evidently_report import drift_report_html

    return drift_report_html(
        reference.sample,
        rows,
        numeric=[drift.feature for drift in drifts if drift.kind == "numeric"],
        categorical=[drift.feature for drift in drifts if drift.kind == "categorical"],
        seed=SEED,
    )


def _drift_plot(top: Sequence[FeatureDrift], model: ModelSettings, window: Window) -> str:
    from mlops_assets.core.svg import markdown_bars

    # Without the view's name in front: it is in the table, and the picture has little room.
    bars = [(drift.feature.split("__", 1)[-1], drift.psi or 0.0) for drift in top]
    return markdown_bars(bars, limit=model.monitoring.drift.psi, title=f"PSI in {window.label(model.timezone)}")
