"""CBPE: what the metrics of a classifier probably are, from its scores alone.

Here: isotonic calibration where it helps, the chances of the labels, and the estimator made from one reference. Not
here: the interval, the checks and the caveats (`estimation`), the metrics' formulas (`stats.metric_formulas`).

A calibrated probability says how likely each label is, so it says what a metric will be on average (NannyML's
"Confidence-based Performance Estimation"; "We don't need no labels", arXiv 2401.08348).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.performance.estimation import (
    Estimated,
    Gap,
    Noise,
    Outcomes,
    check_scores,
    checked,
    held_out,
    noise_of,
)
from mlops_assets.core.performance.window_metrics import as_metrics
from mlops_assets.core.stats.classes import alike
from mlops_assets.core.stats.intervals import Array, CannotJudge
from mlops_assets.core.stats.metric_formulas import probabilities
from mlops_assets.core.stats.metrics import Metric

ECE_BINS = 10
"""Bins of equal size in the test whether calibration helps, as in NannyML."""


@dataclass(frozen=True)
class Calibration:
    """An isotonic curve from score to probability: knots, straight lines between them, flat beyond the ends."""

    scores: Array
    probabilities: Array

    @classmethod
    def of(cls, s: Array, hit: Array) -> Calibration:
        """The non-decreasing curve with the least squared error (Zadrozny and Elkan 2002), scores (n,), hit 0/1."""
        from scipy.optimize import isotonic_regression

        knots, codes, counts = np.unique(s, return_inverse=True, return_counts=True)
        means = np.bincount(codes, weights=hit) / counts
        return cls(knots, isotonic_regression(means, weights=counts.astype(np.float64)).x)

    def __call__(self, s: Array) -> Array:
        """Probabilities, shape (n,)."""
        return np.interp(s, self.scores, self.probabilities)


class ConfidenceEstimator:
    """CBPE of one reference, for binary and multiclass scores.

    Raises:
        CannotJudge: the reference has no rows, unknown labels, scores that are no probabilities, one class only, or
            fewer than eight days.
    """

    def __init__(self, outcomes: Outcomes, *, confidence: float = 0.95) -> None:
        self._outcomes = checked(outcomes, classes=True)
        self._confidence = confidence
        self._noise: dict[str, Noise | CannotJudge] = {}
        self.calibrations = self._fit()

    def chances(self, scores: Any) -> Array:
        """The chance of each label, shape (n, k); k is 2 for scores of shape (n,)."""
        s, _ = alike(np.asarray(scores, dtype=np.float64), self._outcomes.scores)
        return _chances(s, self.calibrations)

    def estimate(
        self, scores: Any, days: Any, metrics: Sequence[str | Metric], *, features: pd.DataFrame | None = None
    ) -> dict[str, Estimated]:
        """See `Estimator`; `features` are not read."""
        del features
        s = np.asarray(scores, dtype=np.float64)
        return {m.name: self._estimate(m, s, days) for m in as_metrics(metrics)}

    def _estimate(self, judge: Metric, s: Array, days: Any) -> Estimated:
        try:
            if judge.name == "calibration_error":
                raise CannotJudge("the estimate takes the calibration for given", "Wait for the labels")
            s, like = alike(s, self._outcomes.scores)
            check_scores(s, like=like)
            probabilities(s)
            value, variance, _ = _expected(judge, self.chances(s), s)
            noise = self._noise_of(judge)
        except CannotJudge as why:
            return Estimated.none(judge.name, len(s), why)
        se, half = noise.half_width(variance, days, self._confidence)
        return Estimated(judge.name, value, value - half, value + half, se, len(s))

    def _noise_of(self, judge: Metric) -> Noise:
        if judge.name not in self._noise:
            try:
                self._noise[judge.name] = noise_of(partial(self._gap, judge), self._outcomes.days)
            except CannotJudge as why:
                self._noise[judge.name] = why
        noise = self._noise[judge.name]
        if isinstance(noise, CannotJudge):
            raise noise
        return noise

    def _gap(self, judge: Metric, rows: Any) -> Gap:
        y, s, chances = self._outcomes.labels[rows], self._outcomes.scores[rows], self._held_out[rows]
        value, variance, branches = _expected(judge, chances, s)
        expected = (chances * branches).sum(axis=1)
        return Gap(judge.score(y, s) - value, branches[np.arange(len(y)), y.astype(np.int64)] - expected, variance)

    def _fit(self) -> tuple[Calibration | None, ...]:
        """The calibration of each class where it helps on days it has not seen, and held-out chances."""
        y, s = self._outcomes.labels, self._outcomes.scores
        columns = [(s, y)] if s.ndim == 1 else [(s[:, c], (y == c).astype(np.float64)) for c in range(s.shape[1])]
        fresh = [held_out(partial(_calibrated_elsewhere, score, hit), self._outcomes.days) for score, hit in columns]
        helps = [
            calibration_gap(hit, p) < calibration_gap(hit, score)
            for (score, hit), p in zip(columns, fresh, strict=True)
        ]
        best = [p if h else score for (score, _), p, h in zip(columns, fresh, helps, strict=True)]
        self._held_out = _normalised(np.column_stack(best) if s.ndim == 2 else best[0])
        return tuple(Calibration.of(*column) if h else None for column, h in zip(columns, helps, strict=True))


def _calibrated_elsewhere(score: Array, hit: Array, rows: Any, others: Any) -> Array:
    return Calibration.of(score[others], hit[others])(score[rows])


def calibration_gap(hit: Array, probability: Array) -> float:
    """Expected calibration error over ten bins of equal size, in the order of the probability.

    Args:
        hit: 0 or 1, shape (n,).
        probability: shape (n,).
    """
    order = np.argsort(probability, kind="stable")
    gaps = [abs(float((hit[part] - probability[part]).sum())) for part in np.array_split(order, ECE_BINS)]
    return sum(gaps) / len(order)


def _chances(s: Array, calibrations: Sequence[Calibration | None]) -> Array:
    if s.ndim == 1:
        return _normalised(calibrations[0](s) if calibrations[0] else s)
    of = [*calibrations, *[None] * (s.shape[1] - len(calibrations))]
    return _normalised(np.column_stack([c(s[:, i]) if c else s[:, i] for i, c in enumerate(of)]))


def _normalised(p: Array) -> Array:
    """Chances (n, k) that add up to one; a row of zeros is undecided."""
    if p.ndim == 1:
        return np.column_stack([1.0 - p, p])
    total = p.sum(axis=1, keepdims=True)
    return np.divide(p, total, out=np.full_like(p, 1.0 / p.shape[1]), where=total > 0.0)


def _expected(judge: Metric, chances: Array, s: Array) -> tuple[float, float, Array]:
    """The expected value, the variance it has from independent labels, and the influence by label (n, k)."""
    value, branches = judge.expected(chances, s)
    mean = (chances * branches).sum(axis=1)
    variance = float(((chances * branches**2).sum(axis=1) - mean**2).sum()) / len(s) ** 2
    return value, max(0.0, variance), branches
