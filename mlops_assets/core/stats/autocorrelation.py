"""How long days remember: how much wider an interval must be because a day's gain resembles that of the day before.

Here: the memory that ordered block sums show, and the factor by which it widens a block-t interval. Not here: the
interval (`intervals`); the simulation behind `LIMITS` (benchmarks/days_remember.py) and its figures
(benchmarks/README.md).

A storm, a strike or a price lasts for days, so the daily gains of two equal models are a series with memory: day
effects of an AR(1) process with persistence rho, under the independent noise of the day's rows. A t interval that
takes days as independent is then too narrow, by up to sqrt((1 + rho) / (1 - rho)). The factor here is

    min(1 + CURVE * max(0, G - limit)^2, 2.4 + 11 / n)    with G = sum_ij u_i u_j DECAY^|t_i - t_j| / sum_i u_i^2

u_i being the sum of day i about the mean and t_i its date: G is the long-run variance over the variance, with the
exponential weights of a kernel estimate (Newey and West 1987 have linear ones), 1 where neighbours are unlike each
other. In short series G is too noisy to be plugged in. Therefore `limit` is calibrated, as critical values are in
fixed-b asymptotics (Kiefer and Vogelsang 2005): it is the largest one at which a one-sided test of the level alpha
rejects in at most 1.28 alpha of simulated series (3.2 % where 2.5 % are stated), the worst of all rho from 0 to 0.7 and
of all shares of row noise. That a critical value may rise with an estimate of the nuisance parameter, and how near to
the best possible test this comes, is from Elliott, Mueller and Watson (2015). More than n days need at rho = 0.7 the
factor never is (2.38 where they are many): to G, a gain that begins in the middle of the window is an endless memory.
Days with gaps between them need less, and get it in proportion (`nearness`).

The worst shares lie in the middle: row noise hides a memory that still counts. Where rows are so many that they
explain little of what days differ by (`day_share`), the memory shows, and a higher limit holds the same level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_Array = NDArray[np.float64]

DECAY = 0.5
"""Weight of a pair of days per day between them."""
_LONGEST = 0.7
"""The longest memory that the levels hold for."""
CURVE = 12.0
"""How steeply the interval widens; from 5 to 20 the power hardly differs."""
LAGS = 12
"""Pairs further apart weigh less than 0.0003 (0.7 ^ 12 is 0.014) and are left out."""
MOST, MOST_OF_FEW = 2.4, 11.0
"""The largest factor: of many days, and what is added divided by their number."""
HIDDEN, SHOWN = 0.25, 0.6
"""Day shares up to which the lower limit holds, and from which the higher one does; between them a line."""
LEVELS = (0.1, 0.025, 0.005, 0.0005)
"""One-sided levels of the columns of `LIMITS`."""
LIMITS: dict[int, tuple[tuple[float, ...], tuple[float, ...]]] = {
    8: ((0.627, 0.424, 0.306, 0.23), (0.648, 0.439, 0.321, 0.245)),
    9: ((0.671, 0.469, 0.344, 0.245), (0.691, 0.486, 0.359, 0.26)),
    10: ((0.709, 0.505, 0.366, 0.262), (0.735, 0.524, 0.381, 0.277)),
    12: ((0.769, 0.57, 0.441, 0.321), (0.801, 0.603, 0.456, 0.336)),
    14: ((0.826, 0.626, 0.492, 0.369), (0.856, 0.655, 0.509, 0.39)),
    17: ((0.881, 0.686, 0.552, 0.417), (0.931, 0.73, 0.59, 0.432)),
    20: ((0.921, 0.732, 0.606, 0.475), (0.977, 0.792, 0.644, 0.494)),
    24: ((0.956, 0.779, 0.652, 0.515), (1.028, 0.841, 0.7, 0.561)),
    28: ((0.985, 0.813, 0.693, 0.573), (1.055, 0.905, 0.771, 0.608)),
    35: ((1.014, 0.856, 0.749, 0.638), (1.107, 0.979, 0.845, 0.705)),
    42: ((1.024, 0.881, 0.785, 0.68), (1.161, 1.025, 0.912, 0.772)),
    60: ((1.041, 0.922, 0.839, 0.753), (1.184, 1.051, 0.973, 0.889)),
    90: ((1.048, 0.948, 0.88, 0.818), (1.179, 1.063, 0.995, 0.934)),
    150: ((1.053, 0.969, 0.927, 0.876), (1.158, 1.066, 1.019, 0.973)),
}
"""Days -> limits of G at each of `LEVELS`: with a hidden memory, with one that shows."""


MIN_STRETCH = 14
"""Fewest days of a stretch that memory is measured on."""
MARGIN = 0.35
"""Standard errors by which a measured correlation is taken to be larger."""
ALMOST = 0.95
"""Largest correlation, and largest share of the days' variance that their mean has."""


def memory(sums: _Array, at: _Array) -> float:
    """G: 1 where days know nothing of each other, above where neighbours are alike, below where they alternate.

    Args:
        sums: of days, in order, about the mean; shape (n,).
        at: when each day was, in days, ascending; shape (n,).
    """
    squares = float(sums @ sums)
    return 1.0 + 2.0 * _pairs(sums, at, DECAY) / squares if squares > 0.0 else 1.0


def nearness(at: _Array) -> float:
    """How much of the widening such days need at the longest memory: 1 without gaps, near 0 where they are weeks apart.

    Args:
        at: when each day was, in days, ascending; shape (n,).
    """
    number = len(at)
    if at[-1] - at[0] == number - 1:
        return 1.0
    ones = np.ones(number)
    dates = (at, np.arange(number, dtype=np.float64))
    actual, full = (math.sqrt(1.0 + 2.0 * _pairs(ones, when, _LONGEST) / number) - 1.0 for when in dates)
    return min(actual / full, 1.0)


def _pairs(sums: _Array, at: _Array, weight: float) -> float:
    """Sum of the products of all pairs, each times `weight` for every day between its two."""
    total = 0.0
    for lag in range(1, min(LAGS, len(sums) - 1) + 1):
        total += float(np.sum(sums[lag:] * sums[:-lag] * weight ** (at[lag:] - at[:-lag])))
    return total


def limit(days: float, level: float, day_share: float | None) -> float:
    """The largest G that widens nothing, between the rows of `LIMITS` on a line in 1 / days and in the normal deviate.

    Args:
        days: how many; of unequal ones, how many equal days weigh as they do (Kish 1965).
        level: one-sided; above 0.1 the limit of 0.1 holds, which is on the safe side.
        day_share: share of the sums' variance that is not the rows' own noise; None where it is not known.
    """
    from scipy.special import ndtri

    part = 0.0 if day_share is None else min(max((day_share - HIDDEN) / (SHOWN - HIDDEN), 0.0), 1.0)
    by_days = _TABLE[:, 0] * (1.0 - part) + _TABLE[:, 1] * part
    place = min(max(1.0 / days, _INVERSE[0]), _INVERSE[-1])
    after = min(max(int(np.searchsorted(_INVERSE, place)), 1), len(_INVERSE) - 1)
    near = (_INVERSE[after] - place) / (_INVERSE[after] - _INVERSE[after - 1])
    return float(np.interp(-ndtri(level), -ndtri(LEVELS), by_days[after - 1] * near + by_days[after] * (1.0 - near)))


def widening(sums: _Array, at: _Array, *, days: float, level: float, day_share: float | None = None) -> float:
    """The factor, from 1 to about 3, by which the interval of independent days is to be widened.

    Args:
        sums: of days, in order, about the mean; shape (n,).
        at: when each day was, in days, ascending; shape (n,).
        days: as in `limit`.
        level: one-sided level of the interval's bound.
        day_share: as in `limit`.
    """
    return 1.0 + nearness(at) * (_factor(memory(sums, at) - limit(days, level, day_share), days) - 1.0)


def measured(blocks: Sequence[_Array]) -> float | None:
    """How alike neighbouring days are, from longer stretches than the one that is judged; None on too few days.

    The pooled lag-one correlation, each stretch about a line of its own: a gain that grows is no memory. What the lines
    take from it is made good (of the form of Marriott and Pope 1954, with constants by simulation), and it is moved up
    by `MARGIN` standard errors, so that an interval holds its level also where it came out small by chance. Measured on
    two windows of 28 days and more, 10 to 28 days promote an equal model in 0.9 to 3.9 % where 2.5 % are stated, at
    correlations of day effects from 0 to 0.7 and whatever share of the days' variance these have (one window: 1.2 to
    4.7 %); of the gains that are found in 80 % where days are known to be independent, 79 to 92 % are found.

    Args:
        blocks: for each stretch, its days' influence sums over the root of their rows, in order.
    """
    long = [_about_a_line(block) for block in blocks if len(block) >= MIN_STRETCH]
    days = sum(map(len, long))
    squares = sum(float(block @ block) for block in long)
    if not long or squares == 0.0:
        return None
    width = days / len(long)
    correlation = sum(float(block[1:] @ block[:-1]) for block in long) / squares * width / (width - 1.0)
    return correlation + (2.0 + 8.0 * max(correlation, 0.0)) / width + MARGIN / math.sqrt(days)


def _about_a_line(values: _Array) -> _Array:
    time = np.arange(len(values)) - (len(values) - 1.0) / 2.0
    rest = values - values.mean()
    return np.asarray(rest - time * (float(rest @ time) / float(time @ time)))


def remembered(days: int, lag_one: float) -> float:
    """The factor by which the interval of so many days is to be widened where neighbours are so alike.

    The correlation is taken to fade as slowly as the longest memory (`_LONGEST`): of a shorter one the interval is too
    wide. That few days also vary less about their own mean than about the true one is made good.

    Args:
        days: how many are judged.
        lag_one: by `measured`.
    """
    lags = np.arange(1, days)
    alike = min(max(lag_one, 0.0), ALMOST) * _LONGEST ** (lags - 1.0)
    mean = 1.0 + 2.0 * float(np.sum((1.0 - lags / days) * alike))
    own = max((1.0 - min(mean / days, ALMOST)) / (1.0 - 1.0 / days), 1.0 - ALMOST)
    return max(1.0, math.sqrt(mean / own))


def _factor(over: float, days: float) -> float:
    return min(1.0 + CURVE * max(0.0, over) ** 2, MOST + MOST_OF_FEW / days)


_INVERSE: _Array = 1.0 / np.array(list(LIMITS)[::-1], dtype=np.float64)
_TABLE: _Array = np.array(list(LIMITS.values())[::-1], dtype=np.float64)
