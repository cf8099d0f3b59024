"""How well a model did: metrics with intervals by window and slice, on labels that come late.

Here: evaluation of scores against the labels known so far, and a window's row of the report. Not here: the metrics
(`metrics`), whether performance holds (`policy`), the comparison of two models (`comparison`), reading predictions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.stats.comparison import slice_rows
from mlops_assets.core.stats.intervals import CannotJudge, block_interval
from mlops_assets.core.stats.metrics import Metric, metric
from mlops_assets.core.time.windows import Maturity, Window, local_days, utc_index


@dataclass(frozen=True)
class Estimate:
    """A metric with its interval by blocks.

    `value` is None if the metric is undefined on the rows, `lower`, `upper` and `se` are None if there are
    too few blocks; `why` then says so and ends in the remedy.
    """

    metric: str
    value: float | None
    lower: float | None
    upper: float | None
    se: float | None
    n: int
    n_blocks: int
    why: str | None = None


@dataclass(frozen=True)
class PerformanceRow:
    """One window of the report.

    Attributes:
        window: its label.
        start: its start, UTC.
        end: its end, UTC.
        rows: predictions in it.
        labelled: those whose label is known.
        share_unlabelled: 1 - labelled / rows; None without rows. Early labels may be biased towards fast
            ones.
        label_rate: mean of the known labels (the base rate of a binary task); None without labels or for
        classes.
        mature: enough labels to judge on.
        reason: why, or why not.
        metrics: metric -> estimate.
        slices: `column=value` -> metric -> estimate.
    """

    window: str
    start: datetime
    end: datetime
    rows: int
    labelled: int
    share_unlabelled: float | None
    label_rate: float | None
    mature: bool
    reason: str
    metrics: Mapping[str, Estimate]
    slices: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Predicted:
    """Predictions with their labels as far as they have come.

    Attributes:
        event_times: shape (n,).
        labels: shape (n,), anything where the label isn't known.
        scores: shape (n,) or (n, k), of whichever version predicted.
        label_available_at: when each label became known, NaT if not yet or never.
        slices: column -> values, shape (n,).
        blocks: the block of each row, shape (n,); its local day by default.
    """

    event_times: Any
    labels: Any
    scores: Any
    label_available_at: Any
    slices: Mapping[str, Any] = field(default_factory=dict)
    blocks: Any = None


def as_metrics(metrics: Sequence[str | Metric]) -> list[Metric]:
    """Names and metrics as metrics, each once, in their order."""
    return list({m.name: m for m in map(metric, metrics)}.values())


def evaluate(
    y: Any, s: Any, metrics: Sequence[str | Metric], blocks: Any, *, confidence: float = 0.95
) -> dict[str, Estimate]:
    """Each metric with its block-t interval.

    Args:
        y: known labels, shape (n,).
        s: scores, shape (n,) or (n, k).
        metrics: names of the registry, or metrics.
        blocks: the day of each row, shape (n,).
        confidence: of the two-sided interval.

    Returns:
        metric -> estimate; what can't be judged says why instead of raising.
    """
    return {m.name: _estimate(m, y, s, blocks, confidence) for m in as_metrics(metrics)}


def _estimate(judge: Metric, y: Any, s: Any, blocks: Any, confidence: float) -> Estimate:
    days = np.asarray(blocks)
    n, n_blocks, name = int(days.size), int(np.unique(days).size), judge.name
    try:
        value, psi = judge.evaluate(y, s)
    except CannotJudge as why:
        return Estimate(name, None, None, None, None, n, n_blocks, str(why))
    try:
        span = block_interval(value, psi, days, confidence=confidence)
    except CannotJudge as why:
        return Estimate(name, value, None, None, None, n, n_blocks, str(why))
    return Estimate(name, value, span.lower, span.upper, span.se, n, n_blocks)


def evaluate_slices(
    y: Any,
    s: Any,
    metrics: Sequence[str | Metric],
    blocks: Any,
    *,
    slices: Mapping[str, Any],
    min_rows: int = 200,
    confidence: float = 0.95,
) -> dict[str, dict[str, Estimate]]:
    """`evaluate` for every value of every slice column with at least `min_rows` rows.

    Args:
        y: known labels, shape (n,).
        s: scores.
        metrics: names of the registry, or metrics.
        blocks: the day of each row.
        slices: column -> values, shape (n,); missing values form no slice.
        min_rows: smaller slices are left out.
        confidence: of the two-sided interval.

    Returns:
        `column=value` -> metric -> estimate, sorted.
    """
    labels, scores, days = np.asarray(y), np.asarray(s), np.asarray(blocks)
    return {
        name: evaluate(labels[rows], scores[rows], metrics, days[rows], confidence=confidence)
        for name, rows in slice_rows(slices)
        if rows.size >= min_rows
    }


def performance_row(
    window: Window, given: Predicted, metrics: Sequence[str | Metric], state: Maturity, *, now: datetime, tz: str
) -> PerformanceRow:
    """A window's row, from the predictions whose labels were known at `now`.

    Args:
        window: the window.
        given: predictions; those outside the window are not counted.
        metrics: names of the registry, or metrics.
        state: whether enough of the labels are known.
        now: the model's clock.
        tz: time zone of the days and of the window's name.

    Returns:
        The row; without rows or labels it says so.
    """
    times, known_at = utc_index(given.event_times), utc_index(given.label_available_at)
    y = pd.to_numeric(pd.Series(np.asarray(given.labels)), errors="coerce").to_numpy(dtype=np.float64)
    s = np.asarray(given.scores)
    blocks = local_days(times, tz) if given.blocks is None else np.asarray(given.blocks)
    inside = window.contains(times)
    use = inside & np.asarray(known_at <= pd.Timestamp(now)) & np.isfinite(y)
    n, labelled = int(inside.sum()), int(use.sum())
    slices = {name: np.asarray(values, dtype=object)[use] for name, values in given.slices.items()}
    return PerformanceRow(
        window=window.label(tz),
        start=window.start,
        end=window.end,
        rows=n,
        labelled=labelled,
        share_unlabelled=1.0 - labelled / n if n else None,
        label_rate=float(y[use].mean()) if labelled and s.ndim == 1 else None,
        mature=state.mature,
        reason=state.reason,
        metrics=evaluate(y[use], s[use], metrics, blocks[use]),
        slices=evaluate_slices(y[use], s[use], metrics, blocks[use], slices=slices),
    )
