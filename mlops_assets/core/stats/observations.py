"""What counts as one observation where a comparison is asked for on few days: a stretch of hours in place of a day.

Here: when that is so. Not here: the interval (`intervals`), who may ask for it (`world.blocks`, `core.simulate.life`),
what is one observation elsewhere (`world.blocks`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlops_assets.core.stats.intervals import DAY, HOURS, MIN_BLOCKS, MIN_DAYS_BY_HOURS


def finer_where_few(blocks: Any, by: str, stretches: Callable[[], Any]) -> tuple[Any, str]:
    """The blocks, or stretches of hours where these are days and too few of them for an interval.

    Args:
        blocks: shape (n,), of each row.
        by: what they are: `day`, or the name of a column.
        stretches: gives those of the same rows, shape (n,).

    Returns:
        Blocks and what they are; days where hours say no more, such as where all times of a day are the same.
    """
    if by != DAY or not MIN_DAYS_BY_HOURS <= len(np.unique(blocks)) < MIN_BLOCKS:
        return blocks, by
    finer = stretches()
    return (finer, HOURS) if len(np.unique(finer)) >= MIN_BLOCKS else (blocks, by)


def fewest_days(days: int, stretches: int) -> int:
    """How many days a comparison by hours needs, three at least, where so many had so many stretches."""
    if not stretches:
        return MIN_BLOCKS
    return min(max(-(-MIN_BLOCKS * days // stretches), MIN_DAYS_BY_HOURS), MIN_BLOCKS)
