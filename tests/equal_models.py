"""Two equal models under effects of days or hours: how often the gate promotes one of them by luck.

What lives here: the worlds, whose days (or hours) are independent or resemble the one before, and the count. What does
not: assertions, and the sizes of the benchmark (benchmarks/aa_gate.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from mlops_assets.core.promote.gate import verdict
from mlops_assets.core.promote.gate_policy import GatePolicy
from mlops_assets.core.stats.comparison import paired
from mlops_assets.core.stats.intervals import DAY, HOURS, t_quantile
from mlops_assets.core.stats.metrics import METRICS
from mlops_assets.core.time.windows import local_stretches

DAYS, EFFECT, SHARED = 28, 0.02, 0.8
ROW_WISE = 300
"""Worlds that are also judged with independent rows: that figure is large."""
MIDNIGHT = np.datetime64("2024-03-04T00", "ns")
NO_MINIMUM = GatePolicy(min_rows=0)

World = Callable[[np.random.Generator, np.ndarray, float], tuple[np.ndarray, np.ndarray, np.ndarray]]


def shares(days: int) -> np.ndarray:
    """Of the rows, by day: the largest day has three times those of the smallest."""
    sizes = np.linspace(14, 41, days)
    return sizes / sizes.sum()


def hourly_shares(days: int) -> np.ndarray:
    """Of the rows, by hour: nights have a fifth of what working hours have, evenings more than half."""
    sizes = np.tile(np.repeat([0.2, 1.0, 0.6], [6, 12, 6]), days)
    return sizes / sizes.sum()


def effects(rng: np.random.Generator, days: np.ndarray, rho: float) -> np.ndarray:
    """Two models' day effects, shape (2, days): each an AR(1) series with persistence `rho` and the same spread."""
    found = rng.normal(0.0, EFFECT, (2, int(days[-1]) + 1))
    for day in range(1, found.shape[1]):
        found[:, day] = rho * found[:, day - 1] + (1.0 - rho**2) ** 0.5 * found[:, day]
    return found


def noise(rng: np.random.Generator, n: int) -> np.ndarray:
    """Two models' noise, shape (2, n): standard normal, correlated by what they share."""
    return SHARED**0.5 * rng.standard_normal(n) + (1.0 - SHARED) ** 0.5 * rng.standard_normal((2, n))


def rmse(rng: np.random.Generator, days: np.ndarray, rho: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors whose size is 2 % larger or smaller on a day."""
    size = 1.0 + effects(rng, days, rho)[:, days]
    return np.zeros(days.size), *(size * noise(rng, days.size))


def accuracy(rng: np.random.Generator, days: np.ndarray, rho: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Calls that are right in 80 % of rows, on a day in 2 % of it more or less."""
    share = 0.8 * (1.0 + effects(rng, days, rho))
    # A call is right where its noise is under the day's quantile: equal noise makes for equal mistakes.
    cut = np.vectorize(NormalDist().inv_cdf)(share)[:, days]
    y = (rng.random(days.size) < 0.3).astype(float)
    return y, *np.where(noise(rng, days.size) < cut, y, 1.0 - y)


def roc_auc(rng: np.random.Generator, days: np.ndarray, rho: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normal scores with an AUC of 0.75, on a day 2 % of it more or less."""
    apart = 2.0**0.5 * np.vectorize(NormalDist().inv_cdf)(0.75 * (1.0 + effects(rng, days, rho)))
    y = (rng.random(days.size) < 0.3).astype(float)
    return y, *(y * apart[:, days] + noise(rng, days.size))


WORLDS: dict[str, World] = {"rmse": rmse, "accuracy": accuracy, "roc_auc": roc_auc}


@dataclass(frozen=True)
class Luck:
    """How often one of two equal models was promoted, and what is found of a true gain.

    Attributes:
        by_day: share of worlds with a promotion.
        forgetful: the same where days are taken as independent.
        by_row: the same where rows are.
        power: share of worlds in which a gain is found that is found in 50 and in 80 % where days are taken as
            independent, divided by these.
    """

    by_day: float
    forgetful: float
    by_row: float
    power: tuple[float, float]


def lucky(metric: str, n: int, seeds: int, *, rho: float = 0.0, days: int = DAYS, hours: bool = False) -> Luck:
    """Play the worlds.

    Args:
        metric: a key of `WORLDS`.
        n: rows of the gate window.
        seeds: worlds.
        rho: how much of a day's (or an hour's) effect is left on the next.
        days: of the window.
        hours: whether each hour has an effect, and stretches of hours are judged by; else days.
    """
    promoted = by_row = 0
    found = []
    for seed in range(seeds):
        rng = np.random.default_rng([seed, n])
        of_rows = hourly_shares(days) if hours else shares(days)
        moment = np.repeat(np.arange(of_rows.size), rng.multinomial(n, of_rows))
        y, champion, challenger = WORLDS[metric](rng, moment, rho)
        blocks = local_stretches(MIDNIGHT + moment * np.timedelta64(1, "h"), "UTC") if hours else moment
        result = paired(y, champion, challenger, blocks, metric, by=HOURS if hours else DAY)
        promoted += verdict(NO_MINIMUM, result).promote
        half = t_quantile(0.5 + result.confidence / 2.0, result.df) * result.se
        found.append((result.gain, half, half / result.widened))
        if seed < ROW_WISE:
            by_row += row_wise(y, champion, challenger, metric) > 0.0
    gain, half, narrow = np.array(found).T
    needed = np.quantile(narrow - gain, (0.5, 0.8))
    power = tuple(float(np.mean(gain + more > half)) / p for more, p in zip(needed, (0.5, 0.8), strict=True))
    return Luck(promoted / seeds, float(np.mean(gain > narrow)), by_row / min(seeds, ROW_WISE), power)


def row_wise(y: np.ndarray, champion: np.ndarray, challenger: np.ndarray, metric: str) -> float:
    """Lower bound of the gain, rows taken as independent: the usual normal interval."""
    judge = METRICS[metric]
    (before, psi_before), (after, psi_after) = judge.evaluate(y, champion), judge.evaluate(y, challenger)
    return judge.gain(before, after) - 1.96 * float((psi_after - psi_before).std()) / y.size**0.5
