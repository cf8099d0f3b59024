"""When performance no longer holds: the policy, limits on further metrics, and the verdict on a window.

Here: limits relative to what the gate saw, and absolute ones. Not here: the report's rows (`window_metrics`), what
follows from a verdict (`policy`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Self

from mlops_assets.core.limits.ranges import COUNT, ROW_COUNT, refuse_outside
from mlops_assets.core.stats.metric_limits import DROP, LIMIT
from mlops_assets.core.stats.metrics import metric

if TYPE_CHECKING:
    from mlops_assets.core.performance.window_metrics import Estimate, PerformanceRow


@dataclass(frozen=True)
class PerformancePolicy:
    """When performance no longer holds. Every field may be set under `monitoring.performance`.

    Attributes:
        max_drop: largest relative worsening against the reference value, 0.05 by default: recall or AUC under 95 %
            of it, RMSE over 105 %.
        max_drop_from_previous: the same against what the version before reached on the rows on which the gate compared
            the two, 0.05 by default. The gate lets a champion through that is better there, so with `max_drop` as
            strict this limit is the wider one.
        sure: also ask that the whole interval is on the worse side of the reference, True by default, so that noise
            doesn't ring. Where there is no interval the value alone decides, and the sentence says so.
        min_rows: fewest labelled rows, 200 by default.
        floor: an absolute limit in the metric's unit (accuracy 0.9, RMSE 20), off by default.
        floor_windows: windows in a row that must break the floor, 1 by default.
        blocks: what is one observation in the intervals of report, gate, probe, rollout, backtest and card: `day`
            (default), or a column of the label model or a feature, such as an entity key, where rows of one customer
            resemble each other more than rows of one day.
    """

    max_drop: Annotated[float | None, DROP] = 0.05
    max_drop_from_previous: Annotated[float | None, DROP] = 0.05
    sure: bool = True
    min_rows: Annotated[int, ROW_COUNT] = 200
    floor: Annotated[float | None, LIMIT] = None
    floor_windows: Annotated[int, COUNT] = 1
    blocks: str = "day"

    def __post_init__(self) -> None:
        refuse_outside(PerformancePolicy, vars(self), "monitoring.performance")

    def of(self, limit: MetricLimit) -> Self:
        """The same policy with the limits of a further metric in place of the main one's."""
        return replace(self, max_drop_from_previous=None, **asdict(limit))


@dataclass(frozen=True)
class MetricLimit:
    """When a metric beside the main one no longer holds, under `monitoring.limits`; each as in `PerformancePolicy`.

    Attributes:
        max_drop: largest relative worsening against what the gate saw, off by default; 0.05: recall under 95 % of it.
        floor: an absolute limit in the metric's unit, off by default.
        floor_windows: windows in a row that must break the floor, 1 by default.
    """

    max_drop: Annotated[float | None, DROP] = None
    floor: Annotated[float | None, LIMIT] = None
    floor_windows: Annotated[int, COUNT] = 1

    def __post_init__(self) -> None:
        if self.max_drop is None and self.floor is None:
            raise ValueError("monitoring.limits: a metric has neither max_drop nor floor: set one, or remove it")
        refuse_outside(MetricLimit, vars(self), "monitoring.limits")


@dataclass(frozen=True)
class PerformanceVerdict:
    """`passed` is None if it cannot be judged yet; the sentence says why and what to do."""

    passed: bool | None
    value: float | None
    limit: float | None
    sentence: str


def performance_holds(
    row: PerformanceRow,
    metric_name: str,
    reference: float | None,
    policy: PerformancePolicy,
    *,
    previous: float | None = None,
    before: Sequence[Estimate] = (),
) -> PerformanceVerdict:
    """Whether a window's metric is within the agreed distance of its reference.

    Args:
        row: the window.
        metric_name: the metric to hold.
        reference: the champion's value when it was promoted; None if there is none to compare with.
        policy: the limits.
        previous: what the version before it reached on the same rows; None if there was none.
        before: the metric in the mature windows before this one, oldest first; only `floor_windows` looks at them.
    """
    estimate = row.metrics[metric_name]
    if not row.mature:
        return PerformanceVerdict(None, estimate.value, None, f"Window {row.window} is not mature: {row.reason}.")
    if row.labelled < policy.min_rows:
        shortage = f"Window {row.window} has {row.labelled:,} labels and {policy.min_rows:,} are needed"
        return PerformanceVerdict(None, estimate.value, None, f"{shortage}: use longer windows.")
    if estimate.value is None:
        return PerformanceVerdict(None, None, None, f"Window {row.window}: {estimate.why}.")
    limits = _limits(metric_name, reference, previous, policy)
    if not limits:
        return PerformanceVerdict(None, estimate.value, None, f"There is nothing to hold {metric_name} against yet.")
    broken = [limit for limit in limits if _breaks(estimate, limit, policy, before)]
    limit = broken[0] if broken else limits[0]
    return PerformanceVerdict(
        not broken, estimate.value, limit.value, _row_in_words(row, estimate, limit, reference, bool(broken))
    )


def together(main: PerformanceVerdict, further: Sequence[PerformanceVerdict]) -> PerformanceVerdict:
    """One verdict on several metrics: it holds if all do, and one that is broken is told first, with its numbers."""
    broken = [verdict for verdict in (main, *further) if verdict.passed is False]
    rest = [verdict for verdict in (main, *further) if verdict.passed is not False]
    first = broken[0] if broken else main
    return replace(first, sentence=". ".join(verdict.sentence.rstrip(".") for verdict in (*broken, *rest)))


@dataclass(frozen=True)
class _Limit:
    """A limit in the metric's unit, what the whole interval must be worse than, and in how many windows."""

    value: float
    sure_beyond: float
    windows: int
    of: str


def _limits(name: str, reference: float | None, previous: float | None, policy: PerformancePolicy) -> list[_Limit]:
    """The limits in force; the sign of the reference decides what 5 % worse means."""
    limits = []
    for value, drop, of in (
        (reference, policy.max_drop, ""),
        (previous, policy.max_drop_from_previous, " under the previous version"),
    ):
        if value is not None and drop is not None and math.isfinite(value):
            step = drop * abs(value)
            limits.append(_Limit(value - step if metric(name).greater_is_better else value + step, value, 1, of))
    if policy.floor is not None:
        limits.append(_Limit(policy.floor, policy.floor, policy.floor_windows, ""))
    return limits


def _breaks(estimate: Estimate, limit: _Limit, policy: PerformancePolicy, before: Sequence[Estimate]) -> bool:
    windows = [*before, estimate][-limit.windows :]
    return len(windows) == limit.windows and all(_is_under(window, limit, policy) for window in windows)


def _is_under(estimate: Estimate, limit: _Limit, policy: PerformancePolicy) -> bool:
    judge = metric(estimate.metric)
    if estimate.value is None or judge.gain(limit.value, estimate.value) >= 0.0:
        return False
    best = estimate.upper if judge.greater_is_better else estimate.lower
    return not policy.sure or best is None or judge.gain(limit.sure_beyond, best) < 0.0


def _row_in_words(
    row: PerformanceRow,
    estimate: Estimate,
    limit: _Limit,
    reference: float | None,
    broken: bool,
) -> str:
    span = (
        f"interval {estimate.lower:.4f} to {estimate.upper:.4f}"
        if estimate.lower is not None
        else "without an interval: fewer than 8 days"
    )
    against = "" if reference is None else f", reference {reference:.4f}"
    in_a_row = f" in {limit.windows} windows in a row" if limit.windows > 1 else ""
    return (
        f"{estimate.metric} {estimate.value:.4f} in window {row.window} ({span}{against}) "
        f"{'breaks' if broken else 'keeps'} the limit of {limit.value:.4f}{limit.of}{in_a_row} "
        f"on {row.labelled:,} labels"
        f"{f'; {row.share_unlabelled:.1%} of the rows have none' if row.share_unlabelled else ''}"
    )
