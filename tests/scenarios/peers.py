"""Rules of thumb as tutorials have them: when to train, whatever a training would gain.

What lives here: the rules, in the textbook's form. What does not: those of the product's backtest
(`mlops_assets.core.simulate.rules_of_thumb`, which read profiles), living by them (`lives`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import kolmogorov

from mlops_assets.core.simulate.rules_of_thumb import KS_LEVEL, PSI_LIMIT, Rule
from mlops_assets.core.simulate.shared_fits import Positions, Rows

BINS = 10
EMPTY = 1e-4
"""Share that stands for an empty bin's."""


def psi_on_any_feature(rows: Rows) -> Rule:
    """When the population stability index of any feature, in ten bins of the reference's quantiles, is over 0.2."""
    return _on_any_feature(rows, lambda reference, newest: psi(reference, newest) > PSI_LIMIT)


def ks_on_any_feature(rows: Rows) -> Rule:
    """When any feature's two-sample Kolmogorov-Smirnov test has p < 0.05, uncorrected for their number."""
    return _on_any_feature(rows, lambda reference, newest: ks_p(reference, newest) < KS_LEVEL)


def psi(reference: np.ndarray, newest: np.ndarray) -> float:
    """From sorted values of both sides."""
    edges = reference[(np.arange(1, BINS) * len(reference)) // BINS]
    before, now = (
        np.diff(np.searchsorted(side, edges), prepend=0, append=len(side)) / len(side) for side in (reference, newest)
    )
    before, now = np.maximum(before, EMPTY), np.maximum(now, EMPTY)
    return float(((now - before) * np.log(now / before)).sum())


def ks_p(reference: np.ndarray, newest: np.ndarray) -> float:
    """Asymptotic p-value, from sorted values of both sides."""
    share = np.searchsorted(reference, newest, side="right") / len(reference)
    steps = np.arange(1, len(newest) + 1) / len(newest)
    distance = max(np.max(steps - share), np.max(share - steps + 1 / len(newest)))
    size = len(reference) * len(newest) / (len(reference) + len(newest))
    return float(kolmogorov(np.sqrt(size) * distance))


def _on_any_feature(rows: Rows, alarms: Callable[[np.ndarray, np.ndarray], bool]) -> Rule:
    def due(number: int, fitted: Positions, newest: Positions) -> bool:
        return any(alarms(_sorted(rows.x[fitted, k]), _sorted(rows.x[newest, k])) for k in range(rows.x.shape[1]))

    return Rule(due)


def _sorted(values: np.ndarray) -> np.ndarray:
    return np.sort(values[~np.isnan(values)])
