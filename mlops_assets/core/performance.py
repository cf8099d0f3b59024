"""How well a model did: metrics with intervals by window and slice, on labels that come late.

Here: evaluation of scores against the labels known so far, the report's rows, and the rule that says whether
performance holds. Not here: the metrics (`metrics`), the comparison of two models (`gate`), reading
predictions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.comparison import slice_rows
from mlops_assets.core.judging import CannotJudge, block_interval
from mlops_assets.core.metrics import Metric, metric
from mlops_assets.core.windows import Window, local_days, maturity, utc_index


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

    @property
    def newest_mature(self) -> PerformanceRow | None:
        """The newest window that can be judged on; None if there is none yet."""
        return next((row for row in reversed(self.rows) if row.mature), None)

    def to_frame(self) -> pd.DataFrame:
        """One row per window; each metric as `<metric>`, `<metric>_lower` and `<metric>_upper`."""
        return pd.DataFrame([_flat(row) for row in self.rows])


@dataclass(frozen=True)
class PerformancePolicy:
    """When performance no longer holds. Every field may be set under `monitoring:`.

    Attributes:
        max_drop: largest relative worsening against the reference value, 0.05 by default: recall or AUC under
        95 %
            of it, RMSE over 105 %.
        sure: also ask that the whole interval is on the worse side of the reference, True by default, so that
        noise
            doesn't ring. Where there is no interval the value alone decides, and the sentence says so.
        min_rows: fewest labelled rows, 200 by default.
        floor: an absolute limit in the metric's unit (accuracy 0.9, RMSE 20), off by default.
    """

    max_drop: float = 0.05
    sure: bool = True
    min_rows: int = 200
    floor: float | None = None

    def __post_init__(self) -> None:
        if self.max_drop < 0 or self.min_rows < 0:
            msg = "monitoring.max_drop and min_rows must not be negative: set them to zero or more"
            raise ValueError(msg)


@dataclass(frozen=True)
class PerformanceVerdict:
    """`passed` is None if it cannot be judged yet; the sentence says why and what to do."""

    passed: bool | None
    value: float | None
    limit: float | None
    sentence: str


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
        tz: time zone of the day blocks and labels.
        share: see `windows.maturity`.
        max_delay: see `windows.maturity`.
        slices: column -> values, shape (n,).
        min_slice_rows: smaller slices are left out.
        confidence: of the intervals.

    Returns:
        The report; a window without rows or labels has a row that says so.
    """
    times, known_at = utc_index(event_times), utc_index(label_available_at)
    y = pd.to_numeric(pd.Series(np.asarray(labels)), errors="coerce").to_numpy(dtype=np.float64)
    s, days = np.asarray(scores), local_days(times, tz)
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


def performance_holds(
    row: PerformanceRow, metric_name: str, reference: float | None, policy: PerformancePolicy
) -> PerformanceVerdict:
    """Whether a window's metric is within the agreed distance of its reference.

    Args:
        row: the window.
        metric_name: the metric to hold.
        reference: the champion's value when it was promoted; None if there is none to compare with.
        policy: the limits.
    """
    found = row.metrics[metric_name]
    if not row.mature:
        return PerformanceVerdict(None, found.value, None, f"Window {row.window} is not mature: {row.reason}.")
    if row.labelled < policy.min_rows:
        told = f"Window {row.window} has {row.labelled:,} labels and {policy.min_rows:,} are needed"
        return PerformanceVerdict(None, found.value, None, f"{told}: use longer windows.")
    if found.value is None:
        return PerformanceVerdict(None, None, None, f"Window {row.window}: {found.why}.")
    limits = _limits(metric_name, reference, policy)
    if not limits:
        return PerformanceVerdict(None, found.value, None, f"There is nothing to hold {metric_name} against yet.")
    broken = [limit for name, limit in limits.items() if _breaks(name, found, limit, reference, policy)]
    limit = broken[0] if broken else next(iter(limits.values()))
    return PerformanceVerdict(not broken, found.value, limit, _told(row, found, limit, reference, bool(broken)))


def _limits(name: str, reference: float | None, policy: PerformancePolicy) -> dict[str, float]:
    """The limits in force, in the metric's unit; the sign of the reference decides what 5 % worse means."""
    limits: dict[str, float] = {}
    if reference is not None and math.isfinite(reference):
        step = policy.max_drop * abs(reference)
        limits["relative"] = reference - step if metric(name).greater_is_better else reference + step
    if policy.floor is not None:
        limits["floor"] = policy.floor
    return limits


def _breaks(kind: str, found: Estimate, limit: float, reference: float | None, policy: PerformancePolicy) -> bool:
    judge = metric(found.metric)
    if found.value is None or judge.gain(limit, found.value) >= 0.0:
        return False
    best = found.upper if judge.greater_is_better else found.lower
    if not policy.sure or best is None:
        return True
    return judge.gain(reference if kind == "relative" and reference is not None else limit, best) < 0.0


def _told(row: PerformanceRow, found: Estimate, limit: float, reference: float | None, broken: bool) -> str:
    span = (
        f"interval {found.lower:.4f} to {found.upper:.4f}"
        if found.lower is not None
        else "without an interval: fewer than 8 days"
    )
    against = "" if reference is None else f", reference {reference:.4f}"
    return (
        f"{found.metric} {found.value:.4f} in window {row.window} ({span}{against}) "
        f"{'breaks' if broken else 'keeps'} the limit of {limit:.4f} on {row.labelled:,} labels"
        f"{f'; {row.share_unlabelled:.1%} of the rows have none' if row.share_unlabelled else ''}"
    )


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
