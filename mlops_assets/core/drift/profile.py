"""Profiles: the counts of some rows on a grid, which add up.

Here: counting frames, adding and keeping profiles. Not here: the grid (`grid`), what counts say
(`statistics`).

A profile is nothing but counts and a few sums, so a file is read once, batch by batch, and a window is the
sum of its days.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlops_assets.core.drift.grid import CELLS, CategoryGrid, Grid, NumericGrid, require_columns
from mlops_assets.core.stats.intervals import Array
from mlops_assets.core.values.arrays import label_counts, numbers, packed, unpacked

_CHUNK = 65_536
EXACT = 2.0**52
"""Below it every integer is a float."""

# Positions in a feature's `extra` array.
MISSING, INFINITE, SUM, SQUARES, UNDER, OVER, STRANGERS = range(7)


@dataclass(frozen=True, eq=False)
class Profile:
    """Counts of some rows on a grid. `profile + profile` is the profile of both sets of rows.

    Attributes:
        grid: the grid.
        rows: number of rows.
        counts: feature -> numeric: [below, bins …, above]; categorical: [categories …, new]; int64.
        extra: feature -> [missing, infinite, sum, sum of squares (in cells from `low`), sum of the values
            below, and above, number of values in an atom's bin that differ from it]; float64.
    """

    grid: Grid
    rows: int
    counts: Mapping[str, NDArray[np.int64]]
    extra: Mapping[str, Array]

    @classmethod
    def of(cls, grid: Grid, frame: pd.DataFrame) -> Self:
        """Count the rows of a frame; a frame without rows gives the empty profile.

        Raises:
            ValueError: a feature that can be judged is not a column of the frame.
        """
        require_columns(frame, grid.judged)
        counts: dict[str, NDArray[np.int64]] = {}
        extra: dict[str, Array] = {}
        for name, feature in grid.features.items():
            if isinstance(feature, NumericGrid):
                counts[name], extra[name] = _count_numbers(feature, frame[name])
            elif isinstance(feature, CategoryGrid):
                counts[name], extra[name] = _count_categories(feature, frame[name])
        return cls(grid, len(frame), counts, extra)

    @classmethod
    def empty(cls, grid: Grid) -> Self:
        """The profile of no rows."""
        return cls.of(grid, pd.DataFrame({name: np.empty(0) for name in grid.features}))

    def __add__(self, other: Profile) -> Profile:
        same_grid(self, other)
        return Profile(
            self.grid,
            self.rows + other.rows,
            {name: self.counts[name] + other.counts[name] for name in self.counts},
            {name: self.extra[name] + other.extra[name] for name in self.extra},
        )

    def to_json(self) -> str:
        """The profile as JSON, counts packed; of the grid only the fingerprint."""
        features = {
            n: {"counts": packed(_narrow(self.counts[n])), "extra": self.extra[n].tolist()} for n in self.counts
        }
        return json.dumps({"grid": self.grid.fingerprint, "rows": self.rows, "features": features})

    @classmethod
    def from_json(cls, text: str, grid: Grid) -> Self:
        """The inverse of `to_json`.

        Raises:
            ValueError: the profile was counted on another grid.
        """
        plain = json.loads(text)
        if plain["grid"] != grid.fingerprint:
            msg = "the profile was counted on another grid: profile the day again on this reference's grid"
            raise ValueError(msg)
        features = plain["features"]
        return cls(
            grid,
            plain["rows"],
            {n: unpacked(f["counts"]).astype(np.int64) for n, f in features.items()},
            # Profiles once had no strangers; only references were kept, and those have none on their own grid.
            {n: np.array([*f["extra"], 0.0][:7]) for n, f in features.items()},
        )


def same_grid(profile: Profile, other: Profile) -> None:
    """Refuse two profiles on different grids.

    Raises:
        ValueError: they are.
    """
    if profile.grid.fingerprint != other.grid.fingerprint:
        msg = "the profiles were counted on different grids: profile both on the reference's grid"
        raise ValueError(msg)


def _narrow(counts: NDArray[np.int64]) -> np.ndarray:
    """In the smallest type that holds them: a day's counts take two bytes each."""
    return counts.astype(np.min_scalar_type(int(counts.max(initial=0))))


# --- counting ----------------------------------------------------------------------------------------------


def _count_numbers(grid: NumericGrid, series: pd.Series) -> tuple[NDArray[np.int64], Array]:
    raw = raw_numbers(series)
    # Infinities and their sums are looked for, not stumbled over.
    with np.errstate(invalid="ignore", over="ignore"):
        return _count_by_cells(grid, raw) if grid.cuts is not None else _count_by_sorting(grid, raw)


def raw_numbers(series: pd.Series) -> np.ndarray:
    """A column as the numbers it holds; only what is no plain array of them is made one of floats."""
    plain = isinstance(series.dtype, np.dtype) and series.dtype.kind in "iuf"
    return series.to_numpy() if plain else numbers(series)


def _count_by_cells(grid: NumericGrid, raw: np.ndarray) -> tuple[NDArray[np.int64], Array]:
    """In chunks over one buffer: the page faults of fresh arrays cost more than the arithmetic."""
    assert grid.cuts is not None
    cells, extra = np.zeros(CELLS, dtype=np.int64), np.zeros(7)
    counts = np.zeros(grid.edges.size + 1, dtype=np.int64)
    buffer = np.empty(min(_CHUNK, max(raw.size, 1)))
    places = np.empty(buffer.size, dtype=np.int64)
    atom_of_cell = _atom_of_cell(grid)
    for start in range(0, raw.size, _CHUNK):
        values = raw[start : start + _CHUNK]
        part = scaled(grid, values, buffer)
        total = part.sum()
        if not np.isfinite(total):  # cheaper than asking each value
            values = _finite(values, extra)
            part = scaled(grid, values, buffer)
            total = part.sum()
        extra[SUM] += total
        # Not np.dot: BLAS threads take longer to wake than a chunk takes to sum.
        extra[SQUARES] += np.einsum("i,i->", part, part)
        if part.size and (part.min() < 0.0 or part.max() >= CELLS):
            inside = (part >= 0.0) & (part < CELLS)
            _count_by_search(grid, values[~inside], counts, extra)
            values, part = values[inside], part[inside]
        place = places[: part.size]
        place[:] = part  # truncates
        cells += np.bincount(place, minlength=CELLS)
        if atom_of_cell is not None:
            known = atom_of_cell[place]
            # NaN, where there is no atom, differs from everything; those are taken off below.
            extra[STRANGERS] += np.count_nonzero(known != values) - np.count_nonzero(np.isnan(known))
    inner = np.add.reduceat(cells, grid.cuts[:-1])
    counts[grid.first + 1 : grid.first + 1 + inner.size] += inner
    return counts, extra


def scaled(grid: NumericGrid, values: np.ndarray, buffer: Array) -> Array:
    """Values as cells from where those begin, in the buffer."""
    part = buffer[: values.size]
    if values.dtype == np.int64 and EXACT <= abs(grid.low) < -float(np.iinfo(np.int64).min):
        # Such integers are no floats: what is left after the subtraction is.
        part[:] = values - np.int64(grid.low)
    else:
        np.subtract(values, grid.low, out=part)
    part *= grid.scale
    return part


def _atom_of_cell(grid: NumericGrid) -> Array | None:
    """The atom's value for every cell, NaN where there is none; None if there are no atoms."""
    assert grid.cuts is not None
    core = slice(grid.first, grid.first + grid.cuts.size - 1)
    if not grid.atoms[core].any():
        return None
    return np.repeat(np.where(grid.atoms[core], grid.points[core], np.nan), np.diff(grid.cuts))


def _count_by_search(grid: NumericGrid, values: np.ndarray, counts: NDArray[np.int64], extra: Array) -> None:
    """The few values that no cell holds: beyond the core, or beyond the range."""
    place = np.searchsorted(grid.edges, values, side="right")
    counts += np.bincount(place, minlength=counts.size)
    extra[UNDER] += values[place == 0].sum(dtype=np.float64)
    extra[OVER] += values[place == grid.edges.size].sum(dtype=np.float64)
    within = (place > 0) & (place < grid.edges.size)
    bins = place[within] - 1
    extra[STRANGERS] += np.count_nonzero(grid.atoms[bins] & (grid.points[bins] != values[within]))


def _count_by_sorting(grid: NumericGrid, raw: np.ndarray) -> tuple[NDArray[np.int64], Array]:
    extra = np.zeros(7)
    ordered = np.sort(_finite(raw.astype(np.float64), extra))
    ends = np.searchsorted(ordered, grid.edges)
    counts = np.diff(np.concatenate([[0], ends, [ordered.size]])).astype(np.int64)
    extra[UNDER], extra[OVER] = ordered[: ends[0]].sum(), ordered[ends[-1] :].sum()
    atoms = grid.points[grid.atoms]
    same = np.searchsorted(ordered, atoms, side="right") - np.searchsorted(ordered, atoms)
    extra[STRANGERS] = counts[1:-1][grid.atoms].sum() - same.sum()
    ordered -= grid.low
    ordered *= grid.scale or 1.0
    extra[SUM], extra[SQUARES] = ordered.sum(), np.einsum("i,i->", ordered, ordered)
    return counts, extra


def _finite(values: np.ndarray, extra: Array) -> np.ndarray:
    """The finite values; the others are added to the missing and infinite counts."""
    finite = np.isfinite(values)
    n_finite = np.count_nonzero(finite)
    missing = np.count_nonzero(np.isnan(values)) if n_finite < values.size else 0
    extra[MISSING] += missing
    extra[INFINITE] += values.size - n_finite - missing
    return values[finite]


def _count_categories(grid: CategoryGrid, series: pd.Series) -> tuple[NDArray[np.int64], Array]:
    frequencies, labels, n = label_counts(series)
    counts = np.zeros(len(grid.categories) + 1, dtype=np.int64)
    np.add.at(counts, [grid.place_of(label) for label in labels], frequencies)
    extra = np.zeros(7)
    extra[MISSING] = len(series) - n
    return counts, extra
