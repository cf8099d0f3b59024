"""Whether labels exist for some scores only, as where a case that is refused never gets one.

Here: the shares of rows with a label by score, and whether they are too far apart for chance. Not here: the warning of
a model that says so itself (`settings.LabelSettings`), when labels come (`label_maturity`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mlops_assets.core.stats.intervals import MIN_BLOCKS, block_interval

_PART = 0.2
"""The rows with the highest and the lowest scores, as a share of all."""
_FAR = 0.2
"""Shares of known labels that lie further apart are told."""
_MIN_ROWS = 50
"""In each part."""


def labels_follow_scores(scores: Any, is_known: Any, days: Any) -> str:
    """A sentence where labels are known for the one end of the scores and not for the other; else an empty one.

    Where there are eight days or more, the difference must also be sure by them.

    Args:
        scores: of a window that waits for no more labels, shape (n,); of classes, that of the likeliest.
        is_known: whether each row has a label, shape (n,).
        days: of each row, shape (n,).
    """
    s, known = np.asarray(scores, dtype=np.float64), np.asarray(is_known, dtype=np.float64)
    if s.size * _PART < _MIN_ROWS or np.ptp(s) == 0.0:
        return ""
    low, high = np.quantile(s, [_PART, 1.0 - _PART])
    ends = s <= low, s >= high
    shares = [float(known[end].mean()) for end in ends]
    difference = shares[1] - shares[0]
    if abs(difference) <= _FAR:
        return ""
    first, last = (end * (known - share) / end.mean() for end, share in zip(ends, shares, strict=True))
    # So large a difference in a week, which has no interval, is told by itself.
    if np.unique(days).size >= MIN_BLOCKS:
        span = block_interval(difference, last - first, days, ordered=True)
        if span.lower <= 0.0 <= span.upper:
            return ""
    return (
        f"Labels are known for {shares[1]:.0%} of the rows with the highest scores and for {shares[0]:.0%} of those "
        "with the lowest: where only accepted cases get one, set label.only_for_accepted."
    )
