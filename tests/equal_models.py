"""Two equal models under day effects: how often the gate promotes one of them by luck.

What lives here: the worlds and the count. What does not: assertions, and the sizes of the benchmark
(benchmarks/aa_gate.py).
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from mlops_assets.core.comparison import paired
from mlops_assets.core.gate import GatePolicy, verdict
from mlops_assets.core.metrics import METRICS

DAYS, EFFECT, SHARED = 28, 0.02, 0.8
SHARES = np.arange(14, 14 + DAYS) / np.arange(14, 14 + DAYS).sum()
"""The largest day has three times the rows of the smallest."""
ROW_WISE = 300
"""Worlds that are also judged with independent rows: that figure is large."""
NO_MINIMUM = GatePolicy(min_rows=0)

World = Callable[[np.random.Generator, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


def noise(rng: np.random.Generator, n: int) -> np.ndarray:
    """Two models' noise, shape (2, n): standard normal, correlated by what they share."""
    return SHARED**0.5 * rng.standard_normal(n) + (1.0 - SHARED) ** 0.5 * rng.standard_normal((2, n))


def rmse(rng: np.random.Generator, days: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors whose size is 2 % larger or smaller on a day."""
    size = 1.0 + rng.normal(0.0, EFFECT, (2, DAYS))[:, days]
    return np.zeros(days.size), *(size * noise(rng, days.size))


def accuracy(rng: np.random.Generator, days: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Calls that are right in 80 % of rows, on a day in 2 % of it more or less."""
    share = 0.8 * (1.0 + rng.normal(0.0, EFFECT, (2, DAYS)))
    # A call is right where its noise is under the day's quantile: equal noise makes for equal mistakes.
    cut = np.vectorize(NormalDist().inv_cdf)(share)[:, days]
    y = (rng.random(days.size) < 0.3).astype(float)
    return y, *np.where(noise(rng, days.size) < cut, y, 1.0 - y)


def roc_auc(rng: np.random.Generator, days: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normal scores with an AUC of 0.75, on a day 2 % of it more or less."""
    apart = 2.0**0.5 * np.vectorize(NormalDist().inv_cdf)(0.75 * (1.0 + rng.normal(0.0, EFFECT, (2, DAYS))))
    y = (rng.random(days.size) < 0.3).astype(float)
    return y, *(y * apart[:, days] + noise(rng, days.size))


WORLDS: dict[str, World] = {"rmse": rmse, "accuracy": accuracy, "roc_auc": roc_auc}


def lucky(metric: str, n: int, seeds: int) -> tuple[float, float]:
    """Share of seeds with a promotion: by days, and with every row a block of its own.

    Args:
        metric: a key of `WORLDS`.
        n: rows of the gate window.
        seeds: worlds.
    """
    by_day = by_row = 0
    for seed in range(seeds):
        rng = np.random.default_rng([seed, n])
        days = np.repeat(np.arange(DAYS), rng.multinomial(n, SHARES))
        y, champion, challenger = WORLDS[metric](rng, days)
        result = paired(y, champion, challenger, days, metric)
        by_day += verdict(NO_MINIMUM, result).promote
        if seed < ROW_WISE:
            by_row += row_wise(y, champion, challenger, metric) > 0.0
    return by_day / seeds, by_row / min(seeds, ROW_WISE)


def row_wise(y: np.ndarray, champion: np.ndarray, challenger: np.ndarray, metric: str) -> float:
    """Lower bound of the gain, rows taken as independent: the usual normal interval."""
    judge = METRICS[metric]
    (before, psi_before), (after, psi_after) = judge.evaluate(y, champion), judge.evaluate(y, challenger)
    return judge.gain(before, after) - 1.96 * float((psi_after - psi_before).std()) / y.size**0.5
