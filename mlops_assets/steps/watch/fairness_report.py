"""How groups were treated up to a window's end: the report's part on fairness, and its check.

Here: the rows it is made of, the check, the table. Not here: the measures and how sure they are
(`core.performance.fairness`), the rest of the performance report (`performance_report`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from mlops_assets.core.decide.policy import CheckResult
from mlops_assets.core.performance.fairness import Difference, difference, fairness_holds
from mlops_assets.core.performance.fairness_policy import measures_for
from mlops_assets.core.performance.window_metrics import PerformanceRow
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.time.windows import Window, parse_duration
from mlops_assets.pages.markdown import markdown_table
from mlops_assets.steps.predict.predictions import read_scores
from mlops_assets.steps.predict.references import score_matrix
from mlops_assets.steps.watch.windows.performance_summary import PerformanceSummary
from mlops_assets.world.blocks import blocks_of
from mlops_assets.world.columns import columns_named
from mlops_assets.world.model_data import EVENT_TIME, LABEL
from mlops_assets.world.platform import Platform


def differences(model: ModelSettings, rows: pd.DataFrame, scores: Any, measure: str | None = None) -> list[Difference]:
    """The difference of the fairness measure, one a column of `monitoring.fairness.by`.

    Args:
        model: the monitored model.
        rows: with the label, NaN where unknown, the event time and the columns.
        scores: shape (n,) or (n, k).
        measure: by default the one that is agreed.
    """
    policy = model.monitoring.fairness
    blocks = blocks_of(model, rows)
    return [
        difference(
            rows[LABEL],
            scores,
            blocks,
            rows[column],
            by=name,
            measure=measure or policy.measure_of(model.task),
            min_rows=policy.min_rows,
            confidence=policy.confidence,
        )
        for name, column in zip(
            policy.by, columns_named(model, rows, policy.by, by="monitoring.fairness.by"), strict=True
        )
    ]


_CHECK = "fairness_holds"
_TOLD = {"binary": 2, "multiclass": 1, "regression": 1}
"""How many of a task's measures are reported beside the main metric and the one that is judged."""


def fairness_of(
    platform: Platform, model: ModelSettings, window: Window, row: PerformanceRow, now: datetime
) -> tuple[list[Difference], list[CheckResult]]:
    """The differences of a window, the agreed measure first, and the check; both empty where no groups are named.

    The rows are those of `monitoring.fairness.window` up to the window's end, with the labels known now, scored by
    whichever versions served then: groups met what was served.

    Args:
        platform: the home.
        model: the monitored model.
        window: the window that is judged.
        row: its performance: the check waits until it is mature.
        now: the model's clock.
    """
    policy = model.monitoring.fairness
    if not policy.by:
        return [], []
    data = platform.data(model)
    end = data.day(window.end)
    days = end - parse_duration(policy.window), end
    identity = [*data.keys, EVENT_TIME]
    known = data.events(*days, as_of=now)[[*identity, LABEL]]
    rows = read_scores(platform, model, *days).merge(known, on=identity, how="left", validate="one_to_one")
    agreed = policy.measure_of(model.task)
    shown = [agreed, *measures_for(model.task)[: _TOLD[model.task]]]
    shown += [model.metric] if model.metric in measures_for(model.task) else []
    by_measure = {measure: differences(model, rows, score_matrix(rows), measure) for measure in dict.fromkeys(shown)}
    check = _check(model, row, by_measure[agreed])
    return [gap for several in by_measure.values() for gap in several], [check]


def _check(model: ModelSettings, row: PerformanceRow, gaps: Sequence[Difference]) -> CheckResult:
    limit = model.monitoring.fairness.limit(model.task)
    verdict = fairness_holds(gaps, limit)
    sentence = f"{model.monitoring.fairness.window} up to the end of window {row.window}: {verdict.sentence}"
    if not row.mature:
        sentence = f"Window {row.window} is not mature: {row.reason}."
    return CheckResult(
        name=_CHECK,
        kind="fairness",
        window=row.window,
        window_end=row.end,
        passed=verdict.passed if row.mature else None,
        value=verdict.value,
        limit=limit,
        sentence=model.label.noted(sentence),
    )


def fairness_markdown(summary: PerformanceSummary) -> str:
    """The differences of a window and the values of each group, for people."""
    gaps = summary.fairness if isinstance(summary.fairness, tuple) else ()
    rows = [(d.measure, d.by, d.value, d.lower, d.upper, d.highest, d.lowest, d.why) for d in gaps]
    parts = [
        summary.checks[-1].sentence,
        markdown_table(
            rows, header=["measure", "by", "difference", "lower", "upper", "highest", "lowest", "why not judged"]
        ),
    ]
    for by in dict.fromkeys(gap.by for gap in gaps):
        values: dict[str, dict[str, float]] = {}
        small: dict[str, int] = {}
        for gap in (gap for gap in gaps if gap.by == by):
            small |= gap.small
            for group, numbers in gap.groups.items():
                values.setdefault(group, {}).update(numbers)
        table = pd.DataFrame.from_dict(values, orient="index")
        if not table.empty:
            body = [(group, *(None if pd.isna(v) else v for v in line)) for group, *line in table.itertuples()]
            parts.append(markdown_table(body, header=["group", *table.columns]))
        if small:
            small_groups = ", ".join(f"{name} ({rows:,})" for name, rows in small.items())
            parts.append(f"Too few rows to be judged: {small_groups}.")
    return "\n\n".join(parts)
