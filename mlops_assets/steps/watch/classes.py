"""Watching the classes of a label: which have come since the champion was trained, which have gone, and their shares.

Here: reading labels and champion, the check, the file and the record of what was found, the table of shares by window.
Not here: what counts as new or gone (`core.stats.classes`), how far the labels moved (`core.drift.labels`).

Days are watched and not windows: a new class is said on the first day that a label of it is known.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from mlops_assets.core.decide.policy import CheckResult
from mlops_assets.core.drift.grid import CategoryGrid
from mlops_assets.core.drift.labels import LABEL as PROFILED
from mlops_assets.core.record.entries import ClassCame, ClassWent
from mlops_assets.core.record.entry import kind_of
from mlops_assets.core.record.plain_values import as_plain
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.classes import ClassChanges, GoneClass, NewClass, Uncoded, class_changes
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.time.windows import local_days, parse_duration
from mlops_assets.pages.markdown import markdown_table
from mlops_assets.steps.predict.references import read_labels
from mlops_assets.steps.watch.windows.performance_summary import PerformanceSummary
from mlops_assets.world.atomic import write_text
from mlops_assets.world.files.state_files import read_state
from mlops_assets.world.mlflow.registry import ModelVersion
from mlops_assets.world.model_data import AVAILABLE_AT, EVENT_TIME, LABEL
from mlops_assets.world.platform import Platform, fitted_until

CLASSES_CHECK = "classes_are_known"
REPORT = "classes"
_SHOWN = 20
"""Windows in a table."""


class ClassesWatched(msgspec.Struct, frozen=True):
    """What was found last; see `ClassChanges`.

    Attributes:
        version: the champion.
        check: whether it knows all classes.
        new: classes that it does not know.
        gone: classes that come no more.
        uncoded: rows whose label has no code.
    """

    version: int
    check: CheckResult
    new: tuple[NewClass, ...] = ()
    gone: tuple[GoneClass, ...] = ()
    uncoded: Uncoded | None = None


def watch_classes(platform: Platform, model: ModelSettings) -> CheckResult | None:
    """Hold the labels that became known since the champion was fitted against its classes.

    On record stands once that a class has gone, and once for each champion that a class is new to it.

    Returns:
        The check; None for another task, without champion or labels, and where all was well and still is.
    """
    champion = platform.registry.champion(model.name)
    since = fitted_until(champion)
    if model.task != "multiclass" or champion is None or since is None:
        return None
    now = platform.now(model)
    changes = _changes(platform, model, champion, since=since, now=now)
    if changes is None:
        return None
    before = newest(platform, model.name)
    was_well = before is not None and before.version == champion.version and before.check.passed
    if not changes and was_well:
        return None
    day = now.astimezone(model.zone).date().isoformat()
    check = CheckResult(
        CLASSES_CHECK, "performance", day, now, passed=not changes, value=float(changes.rows), limit=0.0,
        sentence=changes.sentence,
    )  # fmt: skip
    # A class that is gone stays gone for the champions to come; one that is new may be so to several of them.
    news: list[tuple[type[ClassCame] | type[ClassWent], NewClass | GoneClass, object]]
    news = [(ClassCame, change, champion.version) for change in changes.new]
    news += [(ClassWent, change, change.last) for change in changes.gone]
    for kind, change, of in news:
        identity = f"{kind_of(kind)}-{model.name}-{change.code}-{of}"
        values = {"version": champion.version, "code": change.code, "reason": change.sentence}
        platform.ledger.record.note(model.name, kind, at=now, id=identity, **values)
    kept = ClassesWatched(champion.version, check, changes.new, changes.gone, changes.uncoded)
    write_text(_file(platform, model.name), json.dumps(as_plain(kept), indent=1))
    return check


def newest(platform: Platform, model: str) -> ClassesWatched | None:
    """What was found last; None where nothing was watched yet."""
    return read_state(_file(platform, model), ClassesWatched, lost="the next run watches the classes anew")


def class_counts(rows: pd.DataFrame) -> dict[str, int]:
    """Rows of each class among those with a label, by code."""
    codes, counts = np.unique(rows[LABEL].dropna().to_numpy(), return_counts=True)
    return {f"{code:g}": int(count) for code, count in zip(codes, counts, strict=True)}


def classes_markdown(platform: Platform, model: str, summaries: Sequence[PerformanceSummary]) -> str:
    """What has come and gone, and the share of each class by window."""
    known = [(summary.window, summary.classes) for summary in summaries if summary.classes][-_SHOWN:]
    codes = sorted({code for _, classes in known for code in classes}, key=float)
    rows = []
    for window, classes in known:
        total = sum(classes.values())
        rows.append((window, total, *(round(classes.get(code, 0) / total, 4) for code in codes)))
    changes = newest(platform, model)
    intro = [changes.check.sentence] if changes else []
    table = markdown_table(rows, header=["window", "labels", *(f"share of class {code}" for code in codes)])
    return "\n\n".join([*intro, table]) if rows else "\n\n".join(intro) or "No label is known yet."


def _changes(
    platform: Platform, model: ModelSettings, champion: ModelVersion, *, since: datetime, now: datetime
) -> ClassChanges | None:
    data = platform.data(model)
    delay = parse_duration(model.label.max_delay)
    # From earlier on: some of the events before the fit got their label after it.
    rows = data.events(data.day(since - delay - timedelta(days=1)), as_of=now, only_times=True)
    rows = rows[rows[AVAILABLE_AT] >= pd.Timestamp(since)]
    if rows.empty:
        return None
    known = _known(platform, model, champion)

    def changes(rows: pd.DataFrame) -> ClassChanges:
        settled = rows[EVENT_TIME] <= pd.Timestamp(now - delay)
        return class_changes(rows[LABEL], local_days(rows[EVENT_TIME], model.timezone), known, settled=settled)

    changed = changes(rows)
    if all(gone.last for gone in changed.gone):
        return changed
    # Its last row lies before the fit: all labels say when that was.
    everything = data.events(as_of=now, only_times=True)
    return replace(changed, gone=changes(everything[everything[AVAILABLE_AT].notna()]).gone)


def _known(platform: Platform, model: ModelSettings, champion: ModelVersion) -> dict[int, float]:
    """The champion's classes, and the share of its training rows; of one that came without them, no share."""
    try:
        profile, _ = read_labels(platform.lake, model, champion.version)
        grid = profile.grid.features[PROFILED]
    except CannotJudge:
        grid = None
    if not isinstance(grid, CategoryGrid):
        return dict.fromkeys(range(platform.registry.load(model.name, champion.version).recipe.classes), 0.0)
    counts = profile.counts[PROFILED][:-1]
    return {int(float(code)): float(n) / float(counts.sum()) for code, n in zip(grid.categories, counts, strict=True)}


def _file(platform: Platform, model: str) -> Any:
    return platform.lake.folder("reports", model, REPORT) / "summary.json"
