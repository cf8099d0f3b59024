"""Whether a day's values lie on the decimals of the accepted days once a change of unit is taken back.

Here: `on_grid`, which proves or refutes a unit. Not here: how large values are (`partition_units`).

Miles with one decimal that were made kilometres have more decimals, and lose them when they are divided by 1.609344: no
other day does so by chance, however its level moved. Decimals that the day has and the accepted ones had not refute
each unit that does not explain them. Values without a grid, as logarithms are, say nothing, nor do those that have no
more decimals than before: they may have been rounded after the change.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CHANCE = 1e-6
"""That all values of an ordinary day would lie on the grid by chance, below which they do not by chance."""
ODD = 0.005
"""Share of accepted values that may lie off their grid."""
FINEST = 6
"""Decimals beyond those of the accepted days that are told apart."""
PLACES = range(-3, 7)
SINGLE = 1.2e-7
"""Relative error of numbers that went through 32 bits."""
AROUND = np.linspace(-np.pi, np.pi, 100)
"""Steps of the old grid to the neighbours of a value, which lie on that grid as often as chance has it."""

_Array = NDArray[np.float64]


def on_grid(today: _Array, past: _Array, units: Sequence[Sequence[tuple[float, float]]]) -> NDArray[np.int64]:
    """For each unit 1 where the day lies on the grid of the past once it is taken back, and hardly by chance.

    Args:
        today: shape (n,), values of the day.
        past: shape (m,), values of accepted days.
        units: of each unit factor and offset, exact first and then as people round them.

    Returns:
        Shape (units,); -1 where not half of them, or no more than by chance, lie on it, and 0 where it cannot be told.
    """
    values = np.unique(today[today != 0.0])
    places = _places(past, ODD)
    if places is None or not values.size or not len(units):
        return np.zeros(len(units), dtype=np.int64)
    own = _places(values, 0.0)
    fine = places + FINEST if own is None else min(own, places + FINEST)
    if own is not None and own <= places:
        # Without new decimals a rounded factor is as good as any other: nothing but the exact one is asked.
        verdicts = [max(_verdict(values, unit[0], places, fine, simple=0.0), 0) for unit in units]
    else:
        simple = _part(values, 10.0**-places, 10.0**-fine)
        verdicts = [max(_verdict(values, pair, places, fine, simple=simple) for pair in unit) for unit in units]
    return np.array(verdicts, dtype=np.int64)


def _verdict(values: _Array, unit: tuple[float, float], places: int, fine: int, *, simple: float) -> int:
    """Of one factor and offset, as `on_grid` has it."""
    factor, offset = abs(unit[0]), unit[1]
    # What was rounded to the day's own decimals comes back as near to the grid as those allow.
    step, slack = factor * 10.0**-places, 0.5 * 10.0 ** (places - fine) / factor
    off, within = _off((values - offset) / step, slack)
    off_around, within_around = _off((_around(values, step, fine) - offset) / step, slack)
    chance = min(1.0, max(2.0 * float(within.mean()), float((off_around <= within_around).mean())))
    n, fit = values.size, int((off <= within).sum())
    if fit == n and chance**n < CHANCE and factor >= simple:
        # Thirds are multiples of a sixtieth too, and were divided by three.
        return 1
    # Thirds of tenths are on the grid of tenths once in five when 3.6 is taken back: that explains no more.
    is_chance = fit < max(n / 2, min(n, n * chance + 2.0 * np.sqrt(n * chance * (1.0 - chance)) + 1e-9))
    return -1 if is_chance else 0


def _part(values: _Array, step: float, fine: float) -> float:
    """The largest simple part of a step that all values are multiples of, as means of few are; 0: there is none."""
    for parts in range(2, 13):
        slack = 0.5 * fine / step * parts
        off, within = _off(values / step * parts, slack)
        if 2.0 * slack < 0.5 and (off <= within).all():
            return 1.0 / parts
    return 0.0


def _off(steps: _Array, slack: float) -> tuple[_Array, _Array]:
    """How far each is from a whole number of steps, and how far it may be."""
    return np.abs(steps - np.rint(steps)), slack * (1 + 1e-6) + SINGLE * np.abs(steps) + 1e-9


def _around(values: _Array, step: float, decimals: int) -> _Array:
    """Neighbours of the values, written with as many decimals."""
    return np.round(values[:, None] + AROUND * step, decimals)


def _places(values: _Array, odd: float) -> int | None:
    """The fewest decimals that write all but a share of the values; None if there are too many."""
    for places in PLACES:
        apart = values * 10.0**places
        if (np.abs(apart - np.rint(apart)) <= 1e-9 * (1.0 + np.abs(apart))).mean() >= 1.0 - odd:
            return places
    return None
