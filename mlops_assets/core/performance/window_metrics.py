"""How well a model did: metrics with intervals by window and slice, on labels that come late.

Here: evaluation of scores against the labels known so far, and the report's rows. Not here: the metrics (`metrics`),
whether performance holds (`policy`), the comparison of two models (`comparison`), reading predictions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.stats.comparison import slice_rows
from mlops_assets.core.stats.intervals import CannotJudge, block_interval
from mlops_assets.core.stats.metrics import Metric, metric
from mlops_assets.core.time.windows import Window, local_days, maturity, utc_index


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

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


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

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        plain = asdict(self)
        return {**plain, "start": self.start.isoformat(), "end": self.end.isoformat()}


@dataclass(frozen=True)
class PerformanceReport:
    """The windows of a model, oldest first."""

    rows: tuple[PerformanceRow, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row per window; each metric as `<metric>`, `<metric>_lower` and `<metric>_upper`."""
        return pd.DataFrame([_flat(row) for row in self.rows])


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


def performance_report(
    windows: Sequence[Window],
    *,
    event_times: Any,
    labels: Any,
    scores: Any,
    label_available_at: Any,
    metrics: Sequence[str | Metric],
    now: datetime,
    tz: str,
    share: float = 0.95,
    max_delay: timedelta | None = None,
    slices: Mapping[str, Any] | None = None,
    blocks: Any = None,
    min_slice_rows: int = 200,
    confidence: float = 0.95,
) -> PerformanceReport:
    """One row per window, from the predictions whose labels were known at `now`.

    Args:
        windows: the windows, oldest first.
        event_times: prediction times, shape (n,).
        labels: shape (n,), anything where the label isn't known.
        scores: shape (n,) or (n, k), of whichever version predicted.
        label_available_at: when each label became known, NaT if not yet or never.
        metrics: names of the registry, or metrics.
        now: the model's clock.
        tz: time zone of the days and of the windows' names.
        share: see `windows.maturity`.
        max_delay: see `windows.maturity`.
        slices: column -> values, shape (n,).
        blocks: the block of each row, shape (n,); its local day by default.
        min_slice_rows: smaller slices are left out.
        confidence: of the intervals.

    Returns:
        The report; a window without rows or labels has a row that says so.
    """
    times, known_at = utc_index(event_times), utc_index(label_available_at)
    y = pd.to_numeric(pd.Series(np.asarray(labels)), errors="coerce").to_numpy(dtype=np.float64)
    s = np.asarray(scores)
    days = local_days(times, tz) if blocks is None else np.asarray(blocks)
    known = np.asarray(known_at <= pd.Timestamp(now)) & np.isfinite(y)
    columns = {name: np.asarray(values, dtype=object) for name, values in (slices or {}).items()}
    rows = []
    for window in windows:
        inside = window.contains(times)
        use = inside & known
        ripe = maturity(window, times, known_at, now=now, share=share, max_delay=max_delay)
        n, labelled = int(inside.sum()), int(use.sum())
        rows.append(
            PerformanceRow(
                window=window.label(tz),
                start=window.start,
                end=window.end,
                rows=n,
                labelled=labelled,
                share_unlabelled=1.0 - labelled / n if n else None,
                label_rate=float(y[use].mean()) if labelled and s.ndim == 1 else None,
                mature=ripe.mature,
                reason=ripe.reason,
                metrics=evaluate(y[use], s[use], metrics, days[use], confidence=confidence),
                slices=evaluate_slices(
                    y[use],
                    s[use],
                    metrics,
                    days[use],
                    slices={name: values[use] for name, values in columns.items()},
                    min_rows=min_slice_rows,
                    confidence=confidence,
                ),
            )
        )
    return PerformanceReport(tuple(rows))


def _flat(row: PerformanceRow) -> dict[str, Any]:
    flat = {
        k: getattr(row, k)
        for k in (
            "window",
            "start",
            "end",
            "rows",
            "labelled",
            "share_unlabelled",
            "label_rate",
            "mature",
            "reason",
        )
    }
    for name, found in row.metrics.items():
        flat |= {name: found.value, f"{name}_lower": found.lower, f"{name}_upper": found.upper}
    return flat
