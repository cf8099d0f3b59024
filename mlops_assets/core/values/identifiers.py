"""Whether a column names rows and measures nothing: ids, counters, keys.

Here: the rules, for a new model's columns and for drift between files. Not here: counting (`onboarding.table`,
`drift.sampled_grid`), which columns of a new model they are asked of (`onboarding.row_names`).
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

ID_NAMES = re.compile(
    r"(^|[^a-z])(id|ids|uid|key|uuid|guid|index|no|nr|number|rowid)$|(?-i:(?<=[a-z])(Id|Ids|ID|Key|No|Nr|Number))$|^(id|unnamed)",
    re.IGNORECASE,
)
"""Names of columns that name rows or things."""
FEWEST = 20
"""Values below which nothing is said."""
NEARLY_ALL = 0.95
"""Share of the rows with a value of their own, at least."""
GAPS = 1.2
"""Whole numbers of a counter span so many times their number at most."""
CROWDED = 12
"""Pairs of equal values that chance would make, from which on it says something that there are hardly any: of 12 one at
most is there once in 12,000 times (Poisson)."""
NEVER = 0.1
"""So large a share of those pairs an identifier may have: a few rows are there twice."""
SORTED = 0.999
"""Rank correlation with time from which on values are a clock, up or down."""
_BLOCK = 20
"""Neighbouring values over which their density counts as even."""
_EVEN_ROWS = 200
"""Values from which on their spread says something."""
_EVEN = (0.03, 1.22)
"""Kolmogorov-Smirnov distance to an even spread: so much, and so much over the root of the rows (its 10 % level)."""


def names_rows(name: str, *, distinct: int, known: int, span: float | None = None) -> bool:
    """Whether (nearly) every value is there once, and is text, or a whole number without gaps or of a name like id.

    Args:
        name: of the column.
        distinct: different values.
        known: rows with a value.
        span: of whole numbers the largest less the smallest, plus one; None for texts.
    """
    if distinct < max(FEWEST, NEARLY_ALL * known):
        return False
    return span is None or bool(ID_NAMES.search(name)) or span <= GAPS * distinct


def repeats(values: NDArray[Any]) -> tuple[int, float]:
    """Pairs of equal whole numbers: how many there are, and how many chance would make.

    Measurements fall on the same number by chance, the more often the closer they lie: of n in a stretch of w possible
    numbers about n (n - 1) / 2w pairs do (the birthday problem). Identifiers never do, however close they lie.

    Args:
        values: whole numbers, shape (n,), sorted.
    """
    _, counts = np.unique(values, return_counts=True)
    steps = np.diff(values)
    step = max(int(np.gcd.reduce(steps)), 1) if steps.size else 1
    starts = np.arange(0, values.size, _BLOCK)
    ends = np.minimum(starts + _BLOCK, values.size)
    sizes = ends - starts
    possible = (values[ends - 1] - values[starts]) // step + 1
    expected = float((sizes * (sizes - 1) / 2 / possible).sum())
    return int((counts * (counts - 1) // 2).sum()), expected


def never_repeats(values: NDArray[Any]) -> bool:
    """Whether sorted whole numbers lie so close together that measurements would repeat, and hardly any does."""
    there, expected = repeats(values)
    return expected >= CROWDED and there <= NEVER * expected


def is_spread_evenly(values: NDArray[Any]) -> bool:
    """Whether sorted whole numbers lie as evenly between their ends as numbers that were drawn as names.

    Amounts, lengths and lasting times crowd together somewhere. Those that repeat as often as chance has it are
    measurements, too, however they are spread.
    """
    there, expected = repeats(values)
    if values.size < _EVEN_ROWS or max(1.0, expected / 2) <= there <= 2 * expected + 3:
        return False
    low, high = float(values[0]), float(values[-1])
    place = (values.astype(np.float64) - low) / max(high - low, 1.0)
    distance = np.abs(place - (np.arange(values.size) + 0.5) / values.size).max()
    return bool(distance <= _EVEN[0] + _EVEN[1] / np.sqrt(values.size))


def is_clock(values: NDArray[Any], times: NDArray[Any]) -> bool:
    """Whether values go up, or down, with time; among those of one moment any order will do.

    Args:
        values: shape (n,).
        times: of their rows, shape (n,).
    """
    if values.size < FEWEST:
        return False
    order = np.arange(values.size)
    for signed in (values, -values):
        rank = np.empty(values.size)
        rank[np.argsort(signed, kind="stable")] = order
        if np.corrcoef(order, rank[np.lexsort((signed, times))])[0, 1] >= SORTED:
            return True
    return False
