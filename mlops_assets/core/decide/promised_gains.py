"""How much better a calendar is expected to be, from what its refits promised and what they kept.

Here: one expectation from a record of pairs. Not here: the losses that the pairs are made of (`probe`).

The newest part of a window tells at once what has changed, but it lies next to the rows that were fitted on: what a
season, a week of weather or a holiday teaches holds there and not in the next window. So a refit's advantage in the
newest part is a promise, and its advantage in the window after that says how it was kept. A promise inside the range of
earlier ones is believed as far as those were kept (a regression line, drawn towards one to one while there are few);
what goes beyond any earlier promise is believed in full, since a break has no precedent.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TRUST = 0.02
"""Sum of squares of promises that weighs as much as trust in them: two of a tenth."""


def expected(
    promised: float | None, record: Sequence[tuple[float, float]], kept: Sequence[tuple[float, float]]
) -> float | None:
    """The advantage over the first calendar to be expected in the next window, as a share of its loss.

    Args:
        promised: the advantage in the newest part; None where there was none to measure.
        record: earlier pairs, what was promised and what the next window then brought.
        kept: advantages in whole windows, by refits from before them, each with its weight.

    Returns:
        None where nothing is known.
    """
    usual = float(np.average([gain for gain, _ in kept], weights=[w for _, w in kept])) if kept else None
    if promised is None:
        return usual
    if usual is None:
        return promised
    if not record:
        return (usual + promised) / 2.0
    before, after = np.transpose(record)
    far = before - before.mean()
    slope = (float(np.sum(far * (after - after.mean()))) + TRUST) / (float(np.sum(far**2)) + TRUST)
    slope = min(1.0, max(0.0, slope))
    surprise = promised - float(before.mean())
    beyond = max(0.0, abs(surprise) - float(np.abs(far).max()))
    return usual + float(np.sign(surprise)) * (slope * (abs(surprise) - beyond) + beyond)
