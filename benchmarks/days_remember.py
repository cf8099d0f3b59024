"""Where `core.stats.autocorrelation.LIMITS` comes from: `python benchmarks/days_remember.py [limits|figures|best]`.

Series of daily gains of equal models: an AR(1) day effect with persistence rho, and independent noise of the rows, as
shares of the variance of a day's gain (`day_share` is that of the effect). Both are normal, days are equally large.

limits: the table, calibrated until a one-sided test of level alpha rejects in 1.28 alpha of series at the worst rho and
day share. figures: levels and power of the interval with memory and without, on fresh series. best: the power of the
best test there is (Neyman and Pearson against the least favourable mixture: Elliott, Mueller and Watson 2015), which
bounds what any interval could do that keeps 3.5 % at rho up to 0.7. Power is relative: a gain that the interval without
memory finds with 50 or 80 %, on independent days. A few minutes on one core; --quick has a tenth of the series.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy import stats
from scipy.special import stdtrit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mlops_assets.core.stats.autocorrelation import CURVE, DECAY, HIDDEN, LEVELS, MOST, MOST_OF_FEW, SHOWN, limit

DAYS = (8, 9, 10, 12, 14, 17, 20, 24, 28, 35, 42, 60, 90, 150)
ALLOWED = 1.28
"""Times the level: 3.2 % at 2.5 %."""
WORLDS = (
    (0.0, 1.0), (0.1, 1.0), (0.2, 1.0), (0.3, 1.0), (0.4, 1.0), (0.5, 1.0), (0.6, 1.0), (0.7, 1.0), (0.2, 0.7),
    (0.4, 0.7), (0.6, 0.7), (0.7, 0.85), (0.7, 0.7), (0.3, 0.6), (0.7, 0.6), (0.4, 0.5), (0.7, 0.5), (0.7, 0.4),
    (0.7, 0.3), (0.5, 0.3), (0.7, 0.2), (0.7, 0.1), (0.7, 0.05),
)  # fmt: skip
"""Persistence and day share."""
UNKNOWN_LESS = 0.015
"""By how much the lower limit is below the one that holds whatever the day share: it makes room for the higher."""
AT_ONCE = 20_000

Array = np.ndarray


def covariance(days: int, rho: float, share: float) -> Array:
    """Of daily gains with a variance of 1."""
    apart = np.abs(np.subtract.outer(np.arange(days), np.arange(days)))
    same = (apart == 0).astype(float)
    return share * (np.power(rho, apart) if rho else same) + (1.0 - share) * same


def series(days: int, rho: float, share: float, count: int, rng: np.random.Generator) -> tuple[Array, ...]:
    """Means, their standard errors by independent days, G, and the estimated day share, each of shape (count,)."""
    kernel, root = covariance(days, DECAY, 1.0), np.linalg.cholesky(covariance(days, rho, share)).T
    parts = []
    for begin in range(0, count, AT_ONCE):
        x = rng.standard_normal((min(AT_ONCE, count - begin), days)) @ root
        mean = x.mean(axis=1)
        rest = x - mean[:, None]
        squares = (rest * rest).sum(axis=1)
        variance = squares / (days - 1)
        g = ((rest @ kernel) * rest).sum(axis=1) / squares
        parts.append((mean, np.sqrt(variance / days), g, 1.0 - (1.0 - share) / variance))
    return tuple(np.concatenate(one) for one in zip(*parts, strict=True))


def widened(days: int, g: Array, low: float, high: float, share: Array) -> Array:
    """`core.stats.autocorrelation.widening` of many series."""
    shown = np.clip((share - HIDDEN) / (SHOWN - HIDDEN), 0.0, 1.0)
    factors = 1.0 + CURVE * np.maximum(0.0, g - (low + (high - low) * shown)) ** 2
    return np.minimum(factors, MOST + MOST_OF_FEW / days)


def highest(holds: Callable[[float], bool], low: float, high: float) -> float:
    """The largest value that holds."""
    for _ in range(16):
        middle = (low + high) / 2.0
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def limits(days: int, count: int) -> tuple[list[float], list[float]]:
    """One row of the table."""
    rng = np.random.default_rng([days, 1])
    drawn = [series(days, *world, count, rng) for world in WORLDS]
    lows, highs = [], []
    for level in LEVELS:
        quantile = stdtrit(days - 1, 1.0 - level)
        # By symmetry both tails count; a factor of at least 1 leaves what is not over the quantile where it is.
        tails = []
        for mean, se, g, share in drawn:
            over = np.abs(mean) > quantile * se
            tails.append((np.abs(mean[over]) / (quantile * se[over]), g[over], share[over]))

        def worst(low: float, high: float, tails: Sequence[tuple[Array, ...]] = tuple(tails)) -> float:
            return max(float(np.sum(t > widened(days, g, low, high, share))) for t, g, share in tails) / (2.0 * count)

        allowed = ALLOWED * level
        low = highest(lambda x, w=worst, a=allowed: w(x, x) <= a, -1.5, 1.8) - UNKNOWN_LESS
        lows.append(round(low, 3))
        highs.append(round(highest(lambda x, w=worst, a=allowed, low=low: w(low, x) <= a, low, 1.8), 3))
    return lows, highs


def figures(days: int, count: int) -> None:
    """Levels and relative power at 2.5 %, with the day share known and not."""
    quantile = stdtrit(days - 1, 0.975)
    low, high = limit(days, 0.025, 0.0), limit(days, 0.025, 1.0)
    rng = np.random.default_rng([days, 2])
    for share in (0.05, 0.3, 0.6, 1.0):
        told = []
        for rho in (0.0, 0.3, 0.5, 0.7):
            mean, se, g, found = series(days, rho, share, count, rng)
            factors = (np.ones(count), widened(days, g, low, low, found), widened(days, g, low, high, found))
            told.append([round(float(np.mean(np.abs(mean) > quantile * se * f) / 2.0), 4) for f in factors])
            if rho == 0.0:
                need = np.sort(quantile * se - mean)
                power = {
                    p: [round(float(np.mean(mean + need[int(p * count)] > quantile * se * f)) / p, 2) for f in factors]
                    for p in (0.5, 0.8)
                }
        print(json.dumps({"days": days, "day_share": share, "levels": told, "power": power}), flush=True)


def best(days: int, count: int) -> None:
    """Relative power of the best test, whatever the day share is, and where it is known."""
    for share in (None, 0.1, 0.3, 0.7, 1.0):
        shares = (0.15, 0.3, 0.5, 0.7, 1.0) if share is None else (share,)
        worlds = [(0.0, 1.0), *((rho, one) for one in shares for rho in (0.3, 0.5, 0.6, 0.7))]
        rng = np.random.default_rng([days, 3])
        inverse = [np.linalg.inv(covariance(days, *world)) for world in worlds]

        def ratios(x: Array, inverse: Sequence[Array] = tuple(inverse)) -> Array:
            """Log densities of the series up to its scale, less that of independent days."""
            of = [0.5 * np.linalg.slogdet(p)[1] - days / 2.0 * np.log(((x @ p) * x).sum(axis=1)) for p in inverse]
            return np.array(of).T - of[0][:, None]

        drawn = [rng.standard_normal((count, days)) @ np.linalg.cholesky(covariance(days, *w)).T for w in worlds]
        null = [ratios(x) for x in drawn]
        told = []
        for power in (0.5, 0.8):
            quantile = stdtrit(days - 1, 0.975)
            found = highest(lambda d, p=power, q=quantile: stats.nct.sf(q, days - 1, d) <= p, 0.1, 10.0)

            def gain(x: Array, found: float = found) -> Array:
                t = np.clip(x.mean(axis=1) / x.std(axis=1, ddof=1) * np.sqrt(days), -8.0, 40.0)
                return stats.nct.logpdf(t, days - 1, found) - stats.t.logpdf(t, days - 1)

            gains = [gain(x) for x in drawn]
            weights = np.full(len(worlds), -2.0)
            for step in range(150):
                bars = [np.log(np.exp(one + weights).sum(axis=1)) for one in null]
                rejected = np.array([np.mean(g > bar) for g, bar in zip(gains, bars, strict=True)])
                weights = np.clip(weights + 60.0 / (1.0 + step / 20.0) * (np.clip(rejected, 0, 0.07) - 0.035), -12, 12)
            moved = drawn[0] + found / np.sqrt(days)
            bar = np.log(np.exp(ratios(moved) + weights).sum(axis=1))
            told.append(round(float(np.mean(gain(moved) > bar)) / power, 2))
        print(json.dumps({"days": days, "day_share": share, "best_power": told}), flush=True)


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=("limits", "figures", "best"), default="figures")
    parser.add_argument("--quick", action="store_true", help="a tenth of the series")
    asked = parser.parse_args()
    less = 10 if asked.quick else 1
    for days in DAYS:
        if asked.what == "limits":
            low, high = limits(days, 100_000 // less)
            print(f"    {days}: ({tuple(low)}, {tuple(high)}),", flush=True)
        elif asked.what == "figures":
            figures(days, 40_000 // less)
        elif days <= 60:
            best(days, 20_000 // less)


if __name__ == "__main__":
    main()
