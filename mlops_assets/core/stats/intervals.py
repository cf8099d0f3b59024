"""How sure a number is: `CannotJudge`, and intervals for statistics whose rows are not independent.

Here: the error every judge raises when it has nothing to stand on, and the block-t interval that the gate and
the performance report share. Not here: the metrics and their influence values (`metrics`), the comparison of
two models (`comparison`), how long days remember (`autocorrelation`).

Rows of one day share weather, strikes and holidays, so a day is one observation and not a thousand. All
intervals therefore sum per-row influence values by block and let the blocks, not the rows, say how large the
noise is. Days in order may also resemble the day before: where they do, the interval is wider.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlops_assets.core.stats.autocorrelation import remembered, widening

MIN_BLOCKS = 8
"""Fewer blocks than this give no interval: a t interval on 6 degrees of freedom says more about luck than
models."""

Array = NDArray[np.float64]
DAY = "day"
"""What is one observation where the YAML names no column."""
HOURS = "6 hours"
"""What is one where too few days are there. Stretches so long hold their level where an hour resembles the one before
by up to 0.95, and where each day has an effect of its own (benchmarks/README.md); single hours do not."""
MIN_DAYS_BY_HOURS = 3
"""Of fewer days such stretches do not show what a whole day shares."""


class CannotJudge(Exception):
    """There is not enough, or not the right, data to give an honest number.

    Args:
        why: what is missing, with numbers.
        remedy: what a person can do about it.
    """

    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(why, remedy)
        self.why = why
        self.remedy = remedy

    def __str__(self) -> str:
        return f"cannot judge, because {self.why}. {self.remedy}"


@dataclass(frozen=True)
class Interval:
    """A two-sided interval: the bounds, the standard error, and what they rest on.

    `widened` is the factor by which the memory of days made `se`, and with it the interval, larger: 1 where blocks have
    no order, or show no memory. `largest` is the share of the rows that the largest block holds.
    """

    lower: float
    upper: float
    se: float
    df: float
    n: int
    n_blocks: int
    widened: float = 1.0
    largest: float = 0.0


def told_blocks(number: int, of: str = DAY) -> str:
    """How many observations there are, in words: 28 days; 412 blocks by the name of a column."""
    named = {DAY: "days", HOURS: f"stretches of {HOURS}"}
    return f"{number:,} {named.get(of, f'blocks by {of}')}"


def told_block(of: str = DAY) -> str:
    """What an observation is, in words: day; block by the name of a column."""
    return {DAY: DAY, HOURS: f"stretch of {HOURS}"}.get(of, f"block by {of}")


def t_quantile(probability: float, df: float) -> float:
    """The quantile of Student's t at `probability` with `df` degrees of freedom."""
    from scipy.special import stdtrit  # scipy.stats takes seconds to import, scipy.special does not

    return float(stdtrit(df, probability))


def t_cdf(value: float, df: float) -> float:
    """The distribution function of Student's t with `df` degrees of freedom."""
    from scipy.special import stdtr

    return float(stdtr(df, value))


def block_sums(influence: ArrayLike, blocks: ArrayLike) -> tuple[Array, Array]:
    """Sums of influence values and row counts by block, both of shape (n_blocks,), in the blocks' order."""
    values = np.asarray(influence, dtype=np.float64)
    labels = np.asarray(blocks)
    if values.shape[0] != labels.shape[0]:
        msg = f"{values.shape[0]} influence values and {labels.shape[0]} block labels: pass one block per row"
        raise ValueError(msg)
    _, codes = np.unique(labels, return_inverse=True)
    sums = np.bincount(codes, weights=values).astype(np.float64)
    return sums, np.bincount(codes).astype(np.float64)


def row_noise(influence: ArrayLike, blocks: ArrayLike) -> float | None:
    """The variance that the sum of all influence values has by the rows' own noise; None with one row a block.

    It is worked from what rows differ by within their blocks. What all rows of a block share is not in it.
    """
    values = np.asarray(influence, dtype=np.float64)
    _, codes = np.unique(np.asarray(blocks), return_inverse=True)
    sums, sizes = np.bincount(codes, weights=values), np.bincount(codes)
    spare = values.size - sizes.size
    if spare == 0:
        return None
    within = float(values @ values) - float(np.sum(sums**2 / sizes))
    return max(within, 0.0) * values.size / spare


def block_interval(
    value: float,
    influence: ArrayLike,
    blocks: ArrayLike,
    *,
    confidence: float = 0.95,
    ordered: bool = False,
    lag_one: float | None = None,
) -> Interval:
    """Two-sided block-t interval of an estimate from its per-row influence values.

    The variance is the cluster-robust one with the CR2 correction of Bell and McCaffrey (2002): each block's
    sum is divided by sqrt(1 - n_block / n), which makes it unbiased for equal and for unequal blocks. The
    degrees of freedom are Satterthwaite's for blocks that weigh as much as they have rows, (sum n_b^2)^2 /
    sum n_b^4 - 1: equal to blocks - 1 when all are equal, fewer when a few large days carry the window.

    Args:
        value: the estimate, in its own unit.
        influence: shape (n,), mean zero, so that estimate - truth is about the mean of the influence values.
        blocks: shape (n,), the block (the calendar day) of each row; any sortable dtype.
        confidence: two-sided coverage, 0.95 by default.
        ordered: whether the blocks are days, or stretches of a day, whose labels sort in time: then one may resemble
            the one before, and the interval is widened by as much as they do (`memory`). Dates (datetime64) may have
            gaps; labels of any other kind are taken as days without one.
        lag_one: as in `sums_interval`; read where they are ordered.

    Returns:
        The interval around `value`.

    Raises:
        CannotJudge: fewer than eight blocks.
    """
    sums, sizes = block_sums(influence, blocks)
    if not ordered:
        return sums_interval(value, sums, sizes, confidence=confidence)
    at, noise = _when(np.unique(np.asarray(blocks))), row_noise(influence, blocks)
    return sums_interval(value, sums, sizes, confidence=confidence, at=at, noise=noise, lag_one=lag_one)


def _when(labels: NDArray[Any]) -> Array:
    """When each block was, in days, or in stretches of so many hours as the labels count."""
    if labels.dtype.kind == "M" and np.datetime_data(labels.dtype)[0] == "h":
        return labels.astype(np.int64).astype(np.float64)
    if labels.dtype.kind == "M":
        return labels.astype("datetime64[D]").astype(np.float64)
    return np.arange(len(labels), dtype=np.float64)


def sums_interval(
    value: float,
    sums: Array,
    sizes: Array,
    *,
    confidence: float = 0.95,
    at: Array | None = None,
    noise: float | None = None,
    lag_one: float | None = None,
) -> Interval:
    """`block_interval` from what is known of each block: its influence values summed, and its rows.

    Args:
        value: the estimate, in its own unit.
        sums: shape (n_blocks,).
        sizes: shape (n_blocks,).
        confidence: two-sided coverage.
        at: when each block was, in days and ascending, where a block may resemble the one before; None where blocks
            have no order.
        noise: what `row_noise` says; None where it is not known. Only read beside `at`.
        lag_one: how alike neighbouring days are, where that was measured on more days than these (`memory.measured`);
            None: it is to be seen on these. Only read beside `at`.

    Raises:
        CannotJudge: fewer than eight blocks.
    """
    if not 0.0 < confidence < 1.0:
        msg = f"confidence is {confidence}: set it between 0 and 1, for example 0.95"
        raise ValueError(msg)
    n_blocks = len(sums)
    if n_blocks < MIN_BLOCKS:
        raise CannotJudge(
            f"the rows fall into {n_blocks} blocks (days) and an interval needs at least {MIN_BLOCKS}",
            "Judge on a longer window, or on several windows together; nothing was changed",
        )
    n = float(sizes.sum())
    spread = float(np.sum(sums**2 / (1.0 - sizes / n)))
    df = max(1.0, float(np.sum(sizes**2) ** 2 / np.sum(sizes**4)) - 1.0)
    level = 0.5 - confidence / 2.0
    factor = 1.0
    if at is not None and spread > 0.0:
        day_share = None if noise is None else 1.0 - noise / spread
        # So many equal days weigh as these do (Kish 1965).
        days = n**2 / float(np.sum(sizes**2))
        if lag_one is None:
            factor = widening(sums, at, days=days, level=level, day_share=day_share)
        else:
            factor = remembered(n_blocks, lag_one)
    se = factor * math.sqrt(spread) / n
    half = t_quantile(1.0 - level, df) * se
    return Interval(value - half, value + half, se, df, int(n), n_blocks, factor, float(sizes.max()) / n)
