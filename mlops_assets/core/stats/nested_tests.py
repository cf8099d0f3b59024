"""The level of each of several nested tests, so that all together keep the level that was agreed.

Here: tests of the same mean over the newest 1, 2, 4 ... stretches of data. Not here: what is tested (`probe`).

The same newest windows are part of every span, so the tests ring together more often than not, and Bonferroni's equal
parts of the level are too strict. Their joint law is known: the statistics of nested sums are those of a group
sequential trial with looks at these sizes (Armitage, McPherson and Rowe 1969), and one critical value for all of them
is Pocock's (1977). Windows are taken as equally informative.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from statistics import NormalDist

import numpy as np

from mlops_assets.core.stats.intervals import Array

NODES = 200
"""Of the trapezoid rule: the level is right to four digits."""
HALVINGS = 25
_FAR = 8.0
"""Standard deviations below which nothing is."""


@lru_cache(maxsize=64)
def level_of_each(level: float, sizes: tuple[int, ...]) -> float:
    """The one-sided level of each test at which any of them rings with `level`, where nothing has changed.

    Args:
        level: of all together, between 0 and 0.5.
        sizes: how many stretches each test is over, ascending; the newest ones in each.
    """
    # All equal: the level itself. All independent: hardly more than an equal part.
    low, high = _critical(level), _critical(level / len(sizes))
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if 1.0 - _none_rings(middle, sizes) > level else (low, middle)
    return NormalDist().cdf(-high)


def level_of_all(least: float, sizes: tuple[int, ...]) -> float:
    """The level of all together at which the smallest of their p-values is the level of each: the way back.

    The chance that the first rings, and for each later one that it is the first to. Each is summed by itself, so that a
    small chance has its digits too.

    Args:
        least: the smallest p-value, above 0; from 0.5 on it says nothing, and all together have 1.
        sizes: as of `level_of_each`.
    """
    if least >= 0.5:
        return 1.0
    critical, chance = -NormalDist().inv_cdf(least), least
    at, weight = _nodes(critical, sizes[0])
    density = _normal(at, sizes[0])
    for before, now in pairwise(sizes):
        beyond = (critical * np.sqrt(now) - at) / np.sqrt(now - before)
        chance += float(np.sum(density * weight * _above(beyond)))
        reached, next_weight = _nodes(critical, now)
        density = _normal(reached[:, None] - at[None, :], now - before) @ (density * weight)
        at, weight = reached, next_weight
    return min(1.0, chance)


def _critical(level: float) -> float:
    return NormalDist().inv_cdf(1.0 - level)


def _none_rings(critical: float, sizes: Sequence[int]) -> float:
    """The chance that no standardized nested sum exceeds a value: its density carried from span to span."""
    at, weight = _nodes(critical, sizes[0])
    density = _normal(at, sizes[0])
    for before, now in pairwise(sizes):
        beyond, next_weight = _nodes(critical, now)
        density = _normal(beyond[:, None] - at[None, :], now - before) @ (density * weight)
        at, weight = beyond, next_weight
    return float(np.sum(density * weight))


def _nodes(critical: float, size: int) -> tuple[Array, Array]:
    """Where a sum of `size` steps may be without ringing, and the trapezoid rule's weights there."""
    scale = np.sqrt(size)
    at = np.linspace(-_FAR * scale, critical * scale, NODES)
    weight = np.full(NODES, at[1] - at[0])
    weight[[0, -1]] /= 2.0
    return at, weight


def _normal(value: Array, variance: int) -> Array:
    return np.exp(-(value**2) / (2.0 * variance)) / np.sqrt(2.0 * np.pi * variance)


def _above(value: Array) -> Array:
    """The chance of a standard normal value above each of these."""
    from scipy.special import ndtr  # scipy.stats takes seconds to import, scipy.special does not

    return np.asarray(ndtr(-value))
