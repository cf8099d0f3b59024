"""Calibration of probabilities: scores become chances that come true as often as they say.

Here: the map from scores to chances, and how it is fitted on rows that the model has not seen. Not here: how well
probabilities are calibrated (`metrics`: brier, calibration_error), the levels of drift (`calibration`).

Platt (1999): a logistic regression on the log-odds, two numbers. Isotonic (Zadrozny and Elkan 2002): any rising map, by
knots; it wants a thousand rows or more, and rows between two knots become ties. Several classes: each against the rest,
then scaled to sum to one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np

Method = Literal["none", "platt", "isotonic"]
_SMALLEST = 1e-7
"""Chances nearer to 0 or 1 are read as this near: float32 holds no more."""


@dataclass(frozen=True)
class Calibration:
    """A fitted map.

    Attributes:
        method: `platt` or `isotonic`.
        maps: one a class (binary: one in all): slope and intercept, or the knots' scores and chances.
    """

    method: str
    maps: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]

    @classmethod
    def fit(cls, method: Method, scores: np.ndarray, labels: np.ndarray) -> Self:
        """Fit on rows that the model which gave the scores was not fitted on.

        Args:
            method: `platt` or `isotonic`.
            scores: probabilities, shape (n,) of class 1, or (n, k).
            labels: shape (n,), 0 or 1, or class codes.
        """
        fitted = {"platt": _platt, "isotonic": _isotonic}[method]
        if scores.ndim == 1:
            return cls(method, (fitted(scores, labels),))
        return cls(method, tuple(fitted(scores[:, code], labels == code) for code in range(scores.shape[1])))

    def apply(self, scores: np.ndarray) -> np.ndarray:
        """Calibrated probabilities of the same shape, float32."""
        if scores.ndim == 1:
            return self._mapped(scores, 0).astype(np.float32)
        chances = np.column_stack([self._of_class(scores[:, code], code) for code in range(scores.shape[1])])
        total = chances.sum(axis=1, keepdims=True)
        # Where every class is mapped to zero nothing is known.
        even = np.full_like(chances, 1.0 / chances.shape[1])
        return np.divide(chances, total, out=even, where=total > 0).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(data["method"], tuple((tuple(first), tuple(second)) for first, second in data["maps"]))

    def _of_class(self, scores: np.ndarray, code: int) -> np.ndarray:
        """A class that came after the map was fitted is left as it is, and no chance stays none."""
        if code >= len(self.maps):
            return scores.astype(np.float64)
        return np.where(scores == 0.0, 0.0, self._mapped(scores, code))

    def _mapped(self, scores: np.ndarray, which: int) -> np.ndarray:
        first, second = self.maps[which]
        if self.method == "platt":
            (slope,), (intercept,) = first, second
            return np.asarray(1.0 / (1.0 + np.exp(-(slope * _log_odds(scores) + intercept))))
        return np.interp(scores.astype(np.float64), first, second)


def _log_odds(scores: np.ndarray) -> np.ndarray:
    p = np.clip(scores.astype(np.float64), _SMALLEST, 1.0 - _SMALLEST)
    return np.asarray(np.log(p / (1.0 - p)))


def _platt(scores: np.ndarray, labels: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    from sklearn.linear_model import LogisticRegression

    if np.unique(labels).size < 2:
        # A class that these rows do not have: its scores are left as they are.
        return (1.0,), (0.0,)
    regression = LogisticRegression(C=np.inf, tol=1e-8).fit(_log_odds(scores)[:, None], labels)
    return (float(regression.coef_[0, 0]),), (float(regression.intercept_[0]),)


def _isotonic(scores: np.ndarray, labels: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    from sklearn.isotonic import IsotonicRegression

    regression = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    regression.fit(scores.astype(np.float64), labels.astype(np.float64))
    return _floats(regression.X_thresholds_), _floats(regression.y_thresholds_)


def _floats(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
