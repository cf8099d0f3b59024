"""Profiles of many groups of rows in one pass: the days of a window, the slices of a day.

Here: counting a frame by group, and profiles as plain arrays to be kept. Not here: profiles themselves
(`profile`), the grid (`grid`), which groups there are (`steps.watch.day_profiles`).

Counting each group for itself costs a pass over each feature's bins a group; here each row finds its bin once. The
counts are those of `Profile.of`, and the sums too, but for the order in which floats are added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlops_assets.core.drift.grid import CELLS, CategoryGrid, Grid, NumericGrid, require_columns
from mlops_assets.core.drift.profile import (
    INFINITE,
    MISSING,
    OVER,
    SQUARES,
    STRANGERS,
    SUM,
    UNDER,
    Profile,
    raw_numbers,
    scaled,
)
from mlops_assets.core.stats.intervals import Array
from mlops_assets.core.values.arrays import text_codes

EXTRAS = 7


def profiles_by(grid: Grid, frame: pd.DataFrame, groups: NDArray[np.integer[Any]], n_groups: int) -> list[Profile]:
    """The profile of each group of a frame's rows.

    Args:
        grid: of the reference.
        frame: n rows.
        groups: shape (n,), the group of each row, from 0; rows of group -1 are left out.
        n_groups: how many there are; those without rows give the empty profile.

    Raises:
        ValueError: a feature that can be judged is not a column of the frame.
    """
    require_columns(frame, grid.judged)
    if (groups < 0).any():
        frame, groups = frame[groups >= 0], groups[groups >= 0]
    rows = np.bincount(groups, minlength=n_groups)
    counts: dict[str, NDArray[np.int64]] = {}
    extra: dict[str, Array] = {}
    for name, feature in grid.features.items():
        if isinstance(feature, NumericGrid):
            counts[name], extra[name] = _numbers(feature, raw_numbers(frame[name]), groups, n_groups)
        elif isinstance(feature, CategoryGrid):
            counts[name], extra[name] = _categories(feature, frame[name], groups, n_groups)
    return [
        Profile(
            grid,
            int(rows[group]),
            {name: table[group] for name, table in counts.items()},
            {name: table[group] for name, table in extra.items()},
        )
        for group in range(n_groups)
    ]


def _numbers(
    grid: NumericGrid, raw: np.ndarray, groups: NDArray[Any], n_groups: int
) -> tuple[NDArray[np.int64], Array]:
    def total(where: Any, weights: Any = None) -> Array:
        return np.bincount(groups[where], weights=weights, minlength=n_groups).astype(np.float64)

    missing, finite = np.isnan(raw), np.isfinite(raw)
    extra = np.zeros((n_groups, EXTRAS))
    extra[:, MISSING], extra[:, INFINITE] = total(missing), total(~missing & ~finite)
    values, kept = raw[finite], np.flatnonzero(finite)
    if grid.cuts is None:
        values = values.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        cells = scaled(grid if grid.scale else replace(grid, scale=1.0), values, np.empty(values.size))
    extra[:, SUM], extra[:, SQUARES] = total(kept, cells), total(kept, cells**2)
    place = _places(grid, values, cells)
    below, above = place == 0, place == grid.edges.size
    extra[:, UNDER], extra[:, OVER] = total(kept[below], values[below]), total(kept[above], values[above])
    inside = ~below & ~above
    bins = place[inside] - 1
    strangers = grid.atoms[bins] & (grid.points[bins] != values[inside])
    extra[:, STRANGERS] = total(kept[inside][strangers])
    return _table(groups[kept], place, n_groups, grid.edges.size + 1), extra


def _places(grid: NumericGrid, values: np.ndarray, cells: Array) -> NDArray[np.int64]:
    """The place of each value among [below, bins ..., above]."""
    place = np.searchsorted(grid.edges, values, side="right")
    if grid.cuts is not None:
        # By the cells and not by the edges, so that a value on an edge falls where `Profile.of` counts it.
        inside = (cells >= 0.0) & (cells < CELLS)
        place[inside] = grid.first + np.searchsorted(grid.cuts, cells[inside].astype(np.int64), side="right")
    return place


def _categories(
    grid: CategoryGrid, series: pd.Series, groups: NDArray[Any], n_groups: int
) -> tuple[NDArray[np.int64], Array]:
    codes, labels = text_codes(series)
    extra = np.zeros((n_groups, EXTRAS))
    extra[:, MISSING] = np.bincount(groups[codes < 0], minlength=n_groups)
    known = np.array([grid.place_of(label) for label in labels], dtype=np.int64)
    with_value = codes >= 0
    place = known[codes[with_value]] if len(labels) else np.empty(0, dtype=np.int64)
    return _table(groups[with_value], place, n_groups, len(grid.categories) + 1), extra


def _table(groups: NDArray[Any], place: NDArray[Any], n_groups: int, width: int) -> NDArray[np.int64]:
    flat = np.bincount(groups.astype(np.int64) * width + place, minlength=n_groups * width)
    return flat.reshape(n_groups, width).astype(np.int64)


def to_arrays(profiles: Sequence[Profile]) -> dict[str, np.ndarray]:
    """Profiles on one grid as three plain arrays: rows (n,), counts (n, all bins) and extra (n, features, 7)."""
    return {
        "rows": np.array([group.rows for group in profiles], dtype=np.int64),
        "counts": np.array([np.concatenate([*group.counts.values(), np.empty(0, np.int64)]) for group in profiles]),
        "extra": np.array([list(group.extra.values()) for group in profiles], dtype=np.float64),
    }


def from_arrays(grid: Grid, arrays: Mapping[str, np.ndarray]) -> list[Profile]:
    """The inverse of `to_arrays`, on the same grid."""
    names = list(grid.judged)
    widths = [
        (feature.edges.size + 1) if isinstance(feature, NumericGrid) else len(feature.categories) + 1
        for feature in grid.judged.values()
        if isinstance(feature, NumericGrid | CategoryGrid)
    ]
    cuts = np.cumsum(widths)[:-1]
    return [
        Profile(
            grid,
            int(rows),
            dict(zip(names, np.split(counts.astype(np.int64), cuts), strict=True)) if names else {},
            dict(zip(names, extra, strict=True)) if names else {},
        )
        for rows, counts, extra in zip(arrays["rows"], arrays["counts"], arrays["extra"], strict=True)
    ]
