"""The parts of a window that are judged together, each by fits on other rows.

Here: folds going forward in time and in turns, the newest days of a window, when one fit stands for another. Not here:
judging (`judged_window`), which rows a calendar holds (`core.models.refit_rows`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mlops_assets.core.stats.intervals import MIN_BLOCKS
from mlops_assets.core.time.windows import Window, microseconds, midnight

NEW_SHARE = 0.01
"""Share of new rows below which a model stands for its own refit."""
MIN_FIT = 20
"""Fewest rows that a candidate is fitted on."""
TURNS = 3
"""Parts of newest days that are judged in turns."""


@dataclass(frozen=True)
class Fold:
    """Rows that are judged together, by a fit on others.

    Going forward in time it is fitted on what happened before them; in turns, on all that is known but them: what has
    only just changed is known to no fit on what happened before (cross-fitting).

    Attributes:
        judged: when they happened.
        end: what windows are counted back from; in turns, where what is known ends.
        in_turns: which of the two.
    """

    judged: Window
    end: datetime
    in_turns: bool = False

    def before(self, gap: timedelta) -> datetime:
        """Rows from here on are not fitted on.

        Args:
            gap: between what is fitted on and what is judged.
        """
        return self.end if self.in_turns else self.judged.start - gap

    def outside(self, times: NDArray[np.int64], gap: timedelta) -> NDArray[np.bool_]:
        """Which rows are not judged, nor nearer to those that are than the gap.

        Args:
            times: of the rows, shape (n,), in microseconds since 1970.
            gap: see `before`.
        """
        start, end = microseconds(self.judged.start - gap), microseconds(self.judged.end + gap)
        return (times < start) | (times >= end)


def newest_folds(newest: Window, *, in_turns: bool, timezone: str) -> list[Fold]:
    """How newest days are judged: in one part by what happened before them, or in turns.

    Args:
        newest: these days.
        in_turns: which of the two.
        timezone: of the days.
    """
    parts = fold_windows(newest, TURNS, timezone) if in_turns else [newest]
    return [Fold(part, newest.end, in_turns) for part in parts]


def fold_windows(window: Window, folds: int, timezone: str) -> list[Window]:
    """The window in `folds` parts of whole days, in order; fewer where it has fewer days.

    Args:
        window: what is judged.
        folds: how many parts.
        timezone: of the days.
    """
    days = window.days(timezone)
    parts = np.array_split(np.arange(len(days)), min(folds, len(days)))
    cuts = [window.start, *(midnight(days[int(part[0])], timezone) for part in parts[1:]), window.end]
    return [Window(start, end) for start, end in pairwise(cuts)]


def newest_days(window: Window, timezone: str) -> Window:
    """The newest third of a window, and no less than an interval needs, even if that begins before the window.

    Args:
        window: what is looked at.
        timezone: of the days.
    """
    days = window.days(timezone)
    count = max(MIN_BLOCKS, len(days) - len(days) * 2 // 3)
    return Window(midnight(days[-1] - timedelta(days=count - 1), timezone), window.end)


def hardly_more(rows: np.ndarray, seen: np.ndarray) -> bool:
    """Whether a fit on `rows` would tell nothing new of one on `seen`: another seed would make more difference.

    Args:
        rows: positions that would be fitted on.
        seen: positions that were.
    """
    new = np.setdiff1d(rows, seen, assume_unique=True).size
    gone = np.setdiff1d(seen, rows, assume_unique=True).size
    return bool(new + gone <= NEW_SHARE * seen.size)


def shift_of(ends: Sequence[datetime], is_mature: Callable[[datetime], bool]) -> datetime | None:
    """The latest of some moments up to which a window's labels are mature; None where it is none of them.

    Args:
        ends: moments, ascending; labels mature from the oldest on.
        is_mature: whether the window that ends then is.
    """
    low, high = 0, len(ends)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if is_mature(ends[middle]) else (low, middle)
    return ends[low - 1] if low else None
