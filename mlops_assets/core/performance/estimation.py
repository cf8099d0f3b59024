"""How well a model is probably doing before the labels come: what every such estimate shares.

Here: the reference that estimates are made from and its checks, the interval, and the check of estimates against
what labels later say. Not here: the estimators (`cbpe` for classes, `dle` for regressions), performance on known
labels (`window_metrics`), where the reference is kept (`steps.predict.references`).

Both estimators see a change of the inputs, and NEITHER sees a change of the relation of inputs and label: if that
moves, they go on saying what was true before. An estimate is therefore never a verdict, and nothing is decided by it.

The interval says where the value will lie that the labels of these very rows show, if the relation has not changed:
the labels' noise (as the estimator expects it, times how much rows of one day went together in the reference, by
days as in `stats.intervals.block_interval`), the finite reference, and what the reference's own windows (four
consecutive parts, each estimated from the other three) differ by beyond that. It does not cover a changed relation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import pandas as pd

from mlops_assets.core.stats.classes import codes_of, widened
from mlops_assets.core.stats.intervals import MIN_BLOCKS, Array, CannotJudge, block_interval, t_quantile
from mlops_assets.core.stats.metrics import Metric

OWN_WINDOWS = 4
"""Consecutive parts of the reference, each estimated from the others."""
ASSUMES = "assumes that inputs and label relate as in its reference and cannot see a change of that"


@dataclass(frozen=True)
class Outcomes:
    """The reference: out-of-sample scores and the labels that came.

    Attributes:
        labels: shape (n,): 0 or 1, class codes, or numbers.
        scores: shape (n,) or (n, k), by a model that was not fitted on these rows.
        days: the calendar day of each row, shape (n,).
        losses: of a regression: `mae` and `rmse` -> the absolute and the squared error of each row as the error
            models of the other parts predict it, shape (n,).
    """

    labels: Array
    scores: Array
    days: Any
    losses: Mapping[str, Array] | None = None


@dataclass(frozen=True)
class Estimated:
    """What a metric probably is: an estimate and not a measurement.

    `value` is None if it cannot be estimated; `why` then says so and ends in the remedy.
    """

    metric: str
    value: float | None
    lower: float | None
    upper: float | None
    se: float | None
    n: int
    why: str | None = None

    @classmethod
    def none(cls, metric: str, n: int, why: CannotJudge) -> Self:
        """Why there is no estimate on these n rows."""
        return cls(metric, None, None, None, None, n, f"cannot estimate, because {why.why}. {why.remedy}")

    @property
    def sentence(self) -> str:
        """What people read."""
        if self.value is None:
            return f"{self.metric}: {self.why}."
        return (
            f"Estimated, not measured: {self.metric} {self.value:.4f} (interval {self.lower:.4f} to {self.upper:.4f}) "
            f"on {self.n:,} rows; it {ASSUMES}."
        )


@dataclass(frozen=True)
class Noise:
    """How far realised values were from estimates on the reference.

    Attributes:
        se: standard error of realised - estimated on the whole reference, by days.
        df: degrees of freedom behind it.
        correlation: intraclass correlation of the rows of a day: labels of a day go together.
        between: variance between windows beyond what days explain.
        windows: realised - estimated in each of the reference's own windows that could be judged.
    """

    se: float
    df: float
    correlation: float
    between: float
    windows: tuple[float, ...]

    def half_width(self, variance: float, days: Any, confidence: float) -> tuple[float, float]:
        """Standard error and half width on rows whose labels, were they independent, had this variance."""
        total = variance * _together(self.correlation, days) + self.se**2 + self.between
        se = math.sqrt(total)
        return se, t_quantile(0.5 + confidence / 2.0, self.df) * se


class Estimator(Protocol):
    """What a version's performance is estimated by."""

    def estimate(
        self, scores: Any, days: Any, metrics: Sequence[str | Metric], *, features: pd.DataFrame | None = None
    ) -> dict[str, Estimated]:
        """The metrics of these rows; what cannot be estimated says why instead of raising.

        Args:
            scores: shape (n,) or (n, k).
            days: the calendar day of each row.
            metrics: names of the registry, or metrics.
            features: of the rows; read by DLE.
        """
        ...


# --- the interval ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gap:
    """Realised less estimated value on some rows, the row's part in it (n,), and its variance if independent."""

    error: float
    residual: Array
    variance: float


def noise_of(gap: Callable[[Any], Gap], days: Any) -> Noise:
    """Measure on the reference how far realised values are from estimates.

    Args:
        gap: row positions -> what estimate and labels say there; the estimate must not have seen these labels.
        days: the day of each row of the reference, shape (n,).

    Raises:
        CannotJudge: fewer than eight days, or the metric is undefined on the reference.
    """
    whole = gap(np.arange(len(days)))
    span = block_interval(0.0, whole.residual, days)
    ratio = span.se**2 / whole.variance if whole.variance else 1.0
    together = _rows_a_day(days)
    correlation = max(0.0, (ratio - 1.0) / (together - 1.0)) if together > 1.0 else 0.0
    errors, excess = [], []
    for rows in own_windows(days):
        try:
            part = gap(rows)
        except CannotJudge:
            continue  # one class only in this part: it says nothing, the others do
        errors.append(part.error)
        excess.append(part.error**2 - part.variance * _together(correlation, days[rows]) - span.se**2)
    between = max(0.0, float(np.mean(excess))) if excess else 0.0
    return Noise(span.se, span.df, correlation, between, tuple(errors))


def own_windows(days: Any) -> list[np.ndarray]:
    """Row positions of the reference's consecutive parts, of equally many days each.

    Args:
        days: shape (n,).
    """
    distinct, codes = np.unique(np.asarray(days), return_inverse=True)
    return [np.flatnonzero(np.isin(codes, part)) for part in np.array_split(np.arange(len(distinct)), OWN_WINDOWS)]


def held_out(predict: Callable[[Any, Any], Array], days: Any) -> Array:
    """What each part of the reference gets from the other parts, shape (n,).

    Args:
        predict: (positions of the part, positions of the others) -> one number a row of the part.
        days: shape (n,).
    """
    fresh = np.empty(len(days), dtype=np.float64)
    for rows in own_windows(days):
        fresh[rows] = predict(rows, np.setdiff1d(np.arange(len(days)), rows, assume_unique=True))
    return fresh


def _rows_a_day(days: Any) -> float:
    """Rows that a row shares its day with, itself among them, on average."""
    counts = np.unique(np.asarray(days), return_counts=True)[1].astype(np.float64)
    return float(np.sum(counts**2) / np.sum(counts))


def _together(correlation: float, days: Any) -> float:
    """By how much the variance of a mean grows because rows of a day go together (the design effect)."""
    return 1.0 + (_rows_a_day(days) - 1.0) * correlation


# --- checks ------------------------------------------------------------------------------------------------

_REMEDY = "Promote a version that was judged on more, or other, rows; the labels will say how it does"


def checked(outcomes: Outcomes, *, classes: bool) -> Outcomes:
    """The reference as arrays, if something can be estimated from it.

    Raises:
        CannotJudge: no rows; labels or scores that are unknown or infinite; for classes, scores outside 0 to 1 or
            one class only; fewer than eight days.
    """
    y, s = np.asarray(outcomes.labels, dtype=np.float64), np.asarray(outcomes.scores, dtype=np.float64)
    days = np.asarray(outcomes.days)
    if not len(y):
        raise CannotJudge("the reference has no rows", _REMEDY)
    if len(s) != len(y) or len(days) != len(y):
        msg = f"{len(y)} labels, {len(s)} scores and {len(days)} days: pass one of each per row"
        raise ValueError(msg)
    odd = int(np.sum(~np.isfinite(y))) + int(np.sum(~np.isfinite(s)))
    if odd:
        raise CannotJudge(f"{odd:,} labels or scores of the reference are missing or infinite", _REMEDY)
    if classes and (s.min() < 0.0 or s.max() > 1.0):
        raise CannotJudge(
            f"scores of the reference run from {s.min():.4g} to {s.max():.4g} and are no probabilities", _REMEDY
        )
    if classes and len(np.unique(y)) < 2:
        raise CannotJudge(f"all {len(y):,} labels of the reference are {y[0]:g}", _REMEDY)
    n_days = len(np.unique(days))
    if n_days < MIN_BLOCKS:
        raise CannotJudge(f"the reference has {n_days} days and an interval needs at least {MIN_BLOCKS}", _REMEDY)
    if classes and s.ndim == 2:
        s = widened(s, int(codes_of(y, s.shape[1]).max()) + 1)
    return Outcomes(y, s, days, outcomes.losses)


def check_scores(s: Array, *, like: Array) -> None:
    """Whether the scores of a window, shape (n,) or (n, k), are of the reference's kind.

    Raises:
        CannotJudge: no rows, scores that are missing or infinite, or another number of classes.
    """
    if not len(s):
        raise CannotJudge("the window has no predictions", "Wait for rows, or widen monitoring.window")
    odd = int(np.sum(~np.isfinite(s)))
    if odd:
        raise CannotJudge(
            f"{odd:,} of {s.size:,} scores are missing or infinite", "Repair the predictions of the window"
        )
    if s.shape[1:] != like.shape[1:]:
        raise CannotJudge(
            f"scores of the window have {s.shape[1:]} classes and the reference {like.shape[1:]}",
            "Predict the window again with the version that is named in its report",
        )


# --- held? -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Held:
    """Estimates against what labels later said, over the windows that have both.

    Attributes:
        metric: its name.
        errors: estimated - realised, oldest first; None where either is missing.
        windows: how many have both.
        bias: mean error; positive: the estimate is too high.
        size: mean absolute error.
        coverage: share of intervals that held the realised value.
        sentence: what people read.
    """

    metric: str
    errors: tuple[float | None, ...]
    windows: int
    bias: float
    size: float
    coverage: float
    sentence: str


def estimate_held(
    estimated: Sequence[Estimated], realised: Sequence[float | None], *, confidence: float = 0.95
) -> Held:
    """Check estimates against the labels.

    Args:
        estimated: one a window, of one metric, oldest first.
        realised: the values on matured labels, as many; None where labels are not there yet.
        confidence: of the intervals.

    Raises:
        CannotJudge: no window has both yet.
        ValueError: not as many of one as of the other.
    """
    if len(estimated) != len(realised):
        msg = f"{len(estimated)} estimates and {len(realised)} realised values: pass one of each per window"
        raise ValueError(msg)
    errors = [None if e.value is None or r is None else e.value - r for e, r in zip(estimated, realised, strict=True)]
    inside = [
        e.lower <= r <= e.upper
        for e, r in zip(estimated, realised, strict=True)
        if r is not None and e.lower is not None and e.upper is not None
    ]
    known = [error for error in errors if error is not None]
    if not known:
        raise CannotJudge("no window has both an estimate and matured labels", "Wait for labels")
    bias, size = float(np.mean(known)), float(np.mean(np.abs(known)))
    sentence = (
        f"In {len(known)} windows with labels the estimate of {estimated[0].metric} was off by {size:.4f} on average "
        f"(bias {bias:+.4f}), and {sum(inside)} of {len(inside)} intervals held the realised value"
    )
    if _surely_less(sum(inside), len(inside), confidence):
        sentence += f": fewer than {confidence:.0%} by more than chance, so do not rely on it; the relation has changed"
    coverage = sum(inside) / len(inside)
    return Held(estimated[0].metric, tuple(errors), len(known), bias, size, coverage, f"{sentence}.")


def _surely_less(hits: int, n: int, confidence: float) -> bool:
    """Whether so few hits have a chance under 5 % if each had the chance `confidence` (binomial)."""
    chance = sum(math.comb(n, k) * confidence**k * (1.0 - confidence) ** (n - k) for k in range(hits + 1))
    return chance < 0.05
