"""The files of a model's window reports: which windows there are, where each stands, and in which state of its data.

Here: finding, reading and naming them. Not here: what stands in them (`drift_report`, `performance_report`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from mlops_assets.core.decide.evidence import CheckKind, CheckResult
from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.time.windows import Window, closed_windows, midnight, parse_duration
from mlops_assets.steps.predict.predictions import BATCH, ONLINE, VERSION, WITHHELD, predicted_days, read_scores
from mlops_assets.steps.watch.windows.summaries import WindowSummary, known_summary
from mlops_assets.world.lake import Lake
from mlops_assets.world.model_data import EVENT_TIME
from mlops_assets.world.platform import Platform


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
        numbers: of the newest window, by name: Dagster draws them over the materializations. What is not known is
            left out.
    """

    windows: list[str]
    newest: list[CheckResult]
    table: str
    plot: str
    reason: str
    html: Path | None = None
    more: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)


def closed_by(model: ModelSettings, moment: datetime, *, sliding: bool) -> list[Window]:
    """The windows that have closed by a moment, oldest first.

    Where `monitoring.window` slides, so do those of inputs and scores alone: a label counts in one window.
    """
    rhythm = model.monitoring.rhythm
    if sliding:
        return rhythm.closed(model.start, moment, model.timezone)
    return closed_windows(model.start, moment, rhythm.length, model.timezone)


def predicted_windows(
    platform: Platform, model: ModelSettings, now: datetime, *, sliding: bool = False
) -> list[Window]:
    """Closed windows that have predictions, oldest first; `sliding` as in `closed_by`."""
    days = predicted_days(platform.lake, model.name)
    if not days:
        return []
    windows = closed_by(model, now, sliding=sliding)
    if sliding and model.monitoring.rhythm.slides:
        # The first of them would be a day, or two, of a week.
        windows = [window for window in windows if window.start >= midnight(days[0], model.timezone)]
    return [window for window in windows if not set(window.days(model.timezone)).isdisjoint(days)]


def silent_windows(platform: Platform, model: ModelSettings, now: datetime, *, sliding: bool = False) -> list[Window]:
    """Closed windows after the first prediction that have none and whose labels' longest delay has passed.

    Before that the rows may be on their way: with a clock of the wall, a window ends before its data land.
    """
    days = predicted_days(platform.lake, model.name)
    if not days:
        return []
    late = now - parse_duration(model.label.max_delay)
    windows = closed_by(model, late, sliding=sliding)
    return [
        window for window in windows if (of := window.days(model.timezone))[0] > days[0] and set(of).isdisjoint(days)
    ]


def days_of_window(model: ModelSettings, window: Window) -> tuple[Any, Any]:
    """The local days [start, end) of a window, or that it is a part of."""
    days = window.days(model.timezone)
    return days[0], days[-1] + timedelta(days=1)


def judged_rows(platform: Platform, model: ModelSettings, window: Window) -> tuple[pd.DataFrame, int, str]:
    """A window's predictions by versions that the registry knows, the version of most, and what was left out.

    Raises:
        CannotJudge: it has none.
    """
    rows = read_scores(platform, model, *days_of_window(model, window))
    if len(rows) and model.monitoring.rhythm.hours:
        rows = rows[window.contains(rows[EVENT_TIME])].reset_index(drop=True)
    if rows.empty:
        raise no_rows(model)
    known = rows[VERSION].isin([version.version for version in platform.registry.versions(model.name)])
    unknown = int((~known).sum())
    if unknown == len(rows):
        raise no_version(model, unknown)
    rows = rows if known.all() else rows[known].reset_index(drop=True)
    return rows, int(rows[VERSION].mode().iloc[0]), left_out_in_words(unknown)


def no_rows(model: ModelSettings) -> CannotJudge:
    """Why a window without predictions cannot be judged."""
    return CannotJudge(
        "the window has no rows",
        f"Look whether its data has landed and {model.name}/predictions was materialized for its days",
    )


def no_version(model: ModelSettings, unknown: int) -> CannotJudge:
    """Why a window of which the registry knows no version cannot be judged."""
    return CannotJudge(
        f"none of its {unknown:,} predictions names a version of {model.name} that the registry knows",
        "Write model_version with each prediction, or register the version that made them",
    )


def left_out_in_words(unknown: int) -> str:
    """What is said of predictions that were left out; nothing where none were."""
    were = "was" if unknown == 1 else "were"
    return f"{counted(unknown, 'prediction')} without a known version {were} left out." if unknown else ""


def common_parts(
    window: Window, model: ModelSettings, state: str, checks: Sequence[CheckResult], *, version: int, rows: int
) -> dict[str, Any]:
    """The fields that every summary has (`WindowSummary`)."""
    return {
        "window": window.label(model.timezone),
        "start": window.start,
        "end": window.end,
        "state": state,
        "version": version,
        "rows": rows,
        "checks": tuple(checks),
    }


def is_known(folder: Path, state: str) -> bool:
    """Whether the window was judged in this state of its data."""
    known = known_summary(folder, WindowSummary)
    return known is not None and known.state == state


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


def state_of(lake: Lake, model: ModelSettings, window: Window, layers: Sequence[str]) -> str:
    """What identifies the data of a window: its files' sizes and times."""
    start, end = days_of_window(model, window)
    digest = hashlib.sha256()
    writers = [(model.name, writer) for writer in (BATCH, WITHHELD, ONLINE)]
    files = {"predictions": writers, "labels": [(model.label.model, "data")]}
    for layer, name, writer in [(each, *file) for each in layers for file in files[each]]:
        for day, path in lake.partitions(layer, name, name=writer).items():
            if start <= day < end:
                stat = path.stat()
                digest.update(f"{layer}/{day}/{stat.st_size}/{stat.st_mtime_ns};".encode())
    return digest.hexdigest()[:32]


def day_states(lake: Lake, model: ModelSettings, window: Window) -> dict[date, str]:
    """What identifies the predictions of each day of a window that has some."""
    start, end = days_of_window(model, window)
    stamps: dict[date, list[str]] = {}
    for writer in (BATCH, WITHHELD, ONLINE):
        for day, path in lake.partitions("predictions", model.name, name=writer).items():
            if start <= day < end:
                stat = path.stat()
                stamps.setdefault(day, []).append(f"{writer}/{stat.st_size}/{stat.st_mtime_ns}")
    return {day: ";".join(parts) for day, parts in sorted(stamps.items())}


def cannot(name: str, kind: CheckKind, window: Window, model: ModelSettings, why: CannotJudge) -> CheckResult:
    """A check that gives no answer."""
    sentence = f"{window.label(model.timezone)}: {why}."
    return CheckResult(name, kind, window.label(model.timezone), window.end, passed=None, sentence=sentence)
