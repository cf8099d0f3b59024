"""Since when a model has been worse: the day on which its own loss rose.

Here: a test for one rise in the mean of a series of days, with its level, and the day it is located on. Not here: what
is fitted on rows since then (`models.refit_rows`), where the daily losses come from (`probe`).

The statistic is the largest of the standardised differences between the mean before and after each day (the likelihood
ratio of one change in a mean; Csorgo and Horvath 1997), over days that leave `MARGIN` on both sides. Its level is that
of the Bonferroni bound over those days, which holds whatever their dependence across cuts; days that remember the day
before widen the error by (1 + r) / (1 - r), r being the lag-one correlation of what is left after the change. In short
series that is less than the days' own: where half of a day is left a day later, a level of 1 % is one of 4 % at 28
days, of 2 % at 56, and holds at 112. That costs a fit; whether a refit on the rows since then gains is tested by itself
(`probe`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mlops_assets.core.stats.intervals import t_quantile

MARGIN = 3
"""Fewest days on either side of a change."""
MIN_DAYS = 12
MOST_MEMORY = 0.8
"""A stronger correlation than this cannot be told from a change."""


def rise(means: Sequence[float], rows: Sequence[float], *, level: float) -> int | None:
    """The first day of a higher mean, as a position in the series; None where no rise is sure.

    Args:
        means: of the days, shape (n,), oldest first; days without rows are left out.
        rows: of the days, shape (n,): a day weighs as its rows.
        level: chance of finding one where there is none.

    Returns:
        Where the mean after it exceeds the mean before it most surely.
    """
    values, weights = np.asarray(means, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    n = len(values)
    if n < MIN_DAYS:
        return None
    total, mass = np.cumsum(values * weights), np.cumsum(weights)
    cuts = np.arange(MARGIN, n - MARGIN + 1)
    before, after = total[cuts - 1] / mass[cuts - 1], (total[-1] - total[cuts - 1]) / (mass[-1] - mass[cuts - 1])
    share = 1.0 / mass[cuts - 1] + 1.0 / (mass[-1] - mass[cuts - 1])
    # What a day weighs, in days, so that the error is that of days and not of rows.
    gain = (after - before) / np.sqrt(share * mass[-1] / n)
    best = int(cuts[int(np.argmax(gain))])
    left = values - np.where(np.arange(n) < best, before[best - MARGIN], after[best - MARGIN])
    spread = float(np.sum(weights * left**2) / mass[-1] * n / (n - 2))
    if spread == 0.0:
        return best if gain.max() > 0.0 else None
    memory = min(MOST_MEMORY, max(0.0, float(np.sum(left[1:] * left[:-1]) / np.sum(left**2))))
    error = math.sqrt(spread * (1.0 + memory) / (1.0 - memory))
    df = max(2.0, (n - 2) * (1.0 - memory) / (1.0 + memory))
    return best if float(gain.max()) / error > t_quantile(1.0 - level / len(cuts), df) else None
