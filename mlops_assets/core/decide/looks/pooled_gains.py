"""The gains of several windows as one series, and which spans of newest windows a candidate is tested over.

Here: what is tested, on which parts, and the days of several windows put together. Not here: at which level each is
tested and what follows (`probe`), the p-value of it (`p_values`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from mlops_assets.core.decide.judged_window import KEEP, fell_back
from mlops_assets.core.decide.probe_result import Look, Part, Series
from mlops_assets.core.stats.intervals import MIN_BLOCKS, Array, Interval, sums_interval

SPANS = (1, 2, 4)
"""Numbers of newest windows that gains are pooled over."""


@dataclass(frozen=True)
class JoinedSeries:
    """Gains by block, of one window or several.

    Attributes:
        mean: of all rows, in the metric's unit.
        sums: influence values of the mean, summed by block.
        sizes: rows of each block.
        at: when each block was; None where blocks have no order.
        noise: of the rows, as `sums_interval` has it.
    """

    mean: float
    sums: Array
    sizes: Array
    at: Array | None
    noise: float | None

    def interval(self, level: float, lag_one: float | None) -> Interval:
        """The interval of the mean at a one-sided level, by how alike neighbouring days are."""
        return sums_interval(
            self.mean,
            self.sums,
            self.sizes,
            confidence=1.0 - 2.0 * level,
            at=self.at,
            noise=self.noise,
            lag_one=lag_one,
        )


def joined_series(parts: Sequence[Series]) -> JoinedSeries | None:
    """The gains of several windows, the oldest first, as one series.

    Each window's sums are about its own mean. Days are taken about the mean of all: a lasting effect moves whole
    windows, and what they differ by is a part of the memory. None on too few blocks, and where the windows were not
    judged by the same ones.
    """
    if len({bool(part.blocks) for part in parts}) > 1:
        return None
    rows = [sum(part.sizes) for part in parts]
    mean = sum(part.gain * n for part, n in zip(parts, rows, strict=True)) / sum(rows)
    sums = np.concatenate([np.asarray(part.sums) for part in parts])
    sizes = np.concatenate([np.asarray(part.sizes) for part in parts])
    at = noise = None
    if parts[0].blocks:
        # An entity of several windows is one observation.
        _, block = np.unique(np.concatenate([part.blocks for part in parts]), return_inverse=True)
        sums, sizes = np.bincount(block, weights=sums), np.bincount(block, weights=sizes)
    else:
        sums += sizes * np.repeat([part.gain - mean for part in parts], [len(part.sums) for part in parts])
        # Windows are adjacent, but for those that were left out: their days count as neighbours.
        at = np.arange(len(sums), dtype=np.float64)
        known = [part.noise for part in parts if part.noise is not None]
        noise = sum(known) if len(known) == len(parts) else None
    if len(sums) < MIN_BLOCKS:
        return None
    return JoinedSeries(mean, sums, sizes, at, noise)


def tests_of(
    name: str, looks: Sequence[Look], change_level: float
) -> tuple[tuple[int, ...], list[tuple[int, list[Part]]]]:
    """The spans that there are, and what is tested of a candidate: each with its parts, 0 being the newest days."""
    spans = tuple(span for span in SPANS if span <= len(looks)) or (1,)
    tests = [(span, [look.whole for look in looks[-span:] if name in look.whole.series]) for span in spans]
    fresh = looks[-1].newest
    if fresh is not None and name in fresh.series:
        tests.insert(0, (0, [fresh]))
    return spans, [
        (span, parts)
        for span, parts in tests
        if len(parts) == max(1, span) and not (span and _is_over(name, looks[-span:], change_level))
    ]


def champion_loss(parts: Sequence[Part]) -> float:
    """What the champion loses on some stretches."""
    rows = [part.rows for part in parts]
    return sum(part.loss[KEEP] * n for part, n in zip(parts, rows, strict=True)) / sum(rows)


def gains_in_money(
    name: str, looks: Sequence[Look], spans: Sequence[int], *, length: timedelta, costs: Mapping[str, float]
) -> Iterator[tuple[int, list[Series], float]]:
    """For each span that was looked at with this cost table: it, the gains in profit, and labelled rows a day."""
    known = [look for look in looks if look.labelled and look.costs == costs]
    for span in spans:
        newest = [look for look in looks[-max(1, span) :] if look in known]
        parts = [part for look in newest if (part := look.whole if span else look.newest) and name in part.profit]
        if len(parts) == max(1, span):
            rows = sum(look.labelled or 0 for look in newest) / (max(1, span) * length / timedelta(days=1))
            yield span, [part.profit[name] for part in parts], rows


def _is_over(name: str, looks: Sequence[Look], change_level: float) -> bool:
    """Whether what a candidate gained in some windows is over: the champion recovered, and the newest days show none.

    Args:
        name: the candidate.
        looks: at these windows, oldest first.
        change_level: of the test for the day of the recovery; 0: there is none.
    """
    fresh = looks[-1].newest
    if not change_level or fresh is None or name not in fresh.series or fresh.series[name].gain > 0.0:
        return False
    return any(fell_back(look.daily, change_level) for look in looks)
