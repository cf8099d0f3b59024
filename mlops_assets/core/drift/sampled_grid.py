"""A grid for a reference too large to hold: laid over a sample, with exact ranges and categories.

Here: one pass over the reference in batches, in which the grid is made. Not here: the second pass, which
counts all rows on it (`profile`).

A reference of no more rows than the sample gets the same grid as in memory. Of a larger one, bins have the
same mass only up to sampling: with 2,048 bins and a sample of n rows, a bin's mass varies by sqrt(2048 / n)
of itself (11 % at 160,000). The statistics don't inherit that: they are computed from counts of all rows, the
minimum, the maximum and the categories are those of all rows, and each statistic's error is that of the bins as they
came out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlops_assets.core.drift.grid import (
    MAX_CATEGORIES,
    FeatureGrid,
    Grid,
    Kind,
    category_grid,
    numeric_grid,
    require_columns,
    require_rows,
)
from mlops_assets.core.stats.intervals import Array
from mlops_assets.core.values.arrays import label_counts, numbers
from mlops_assets.core.values.exact import FLOAT_WHOLE
from mlops_assets.core.values.identifiers import ID_NAMES, names_rows

SAMPLE_VALUES = 8_000_000
"""Values held in all, 64 MB: 160,000 rows of 50 numeric features."""
MIN_SAMPLE = 20_000
_SEED = 13


class GridBuilder:
    """Takes a reference batch by batch, then gives its grid.

    The sample is of rows, uniform and without replacement: each row draws a number, and the rows with the
    smallest are kept. It depends on the rows and their order, not on how they are cut into batches.

    Args:
        schema: column -> numeric or categorical.
        sample_rows: rows held; by default as many as make 8,000,000 values, at least 20,000.
        seed: of the sample.
    """

    def __init__(self, schema: Mapping[str, Kind], *, sample_rows: int | None = None, seed: int = _SEED) -> None:
        self.rows = 0
        self._schema = dict(schema)
        self._numeric = [name for name, kind in self._schema.items() if kind == "numeric"]
        self._keep = sample_rows or max(MIN_SAMPLE, SAMPLE_VALUES // max(len(self._numeric), 1))
        self._random = np.random.default_rng(seed)
        self._draws: NDArray[np.float64] = np.empty(0)
        self._held: dict[str, Array] = {name: np.empty(0) for name in self._numeric}
        self._waiting: list[tuple[NDArray[np.float64], dict[str, Array]]] = []
        self._counted: dict[str, int] = dict.fromkeys(self._schema, 0)
        self._low: dict[str, float] = dict.fromkeys(self._numeric, np.inf)
        self._high: dict[str, float] = dict.fromkeys(self._numeric, -np.inf)
        self._ids: dict[str, set[object]] = {name: set() for name in self._numeric if ID_NAMES.search(name)}
        self._labels: dict[str, set[str]] = {name: set() for name in self._schema if name not in self._held}

    def add(self, frame: pd.DataFrame) -> None:
        """Take a batch of rows."""
        require_columns(frame, self._schema)
        self.rows += len(frame)
        draws = self._random.random(len(frame))
        threshold = self._draws.max() if self._draws.size == self._keep else np.inf
        kept = np.flatnonzero(draws < threshold)
        batch = {}
        for name in self._numeric:
            values = numbers(frame[name])
            finite = values[np.isfinite(values)]
            self._counted[name] += finite.size
            if finite.size:
                self._low[name] = min(self._low[name], float(finite.min()))
                self._high[name] = max(self._high[name], float(finite.max()))
            batch[name] = values[kept]
        for name, ids in self._ids.items():
            if len(ids) <= MAX_CATEGORIES:
                ids.update(frame[name].dropna().unique().tolist())
        for name, labels in self._labels.items():
            if len(labels) <= MAX_CATEGORIES:
                _, seen_labels, n = label_counts(frame[name])
                labels.update(seen_labels)
                self._counted[name] += n
        self._waiting.append((draws[kept], batch))
        if sum(waiting.size for waiting, _ in self._waiting) > self._keep // 4:
            self._merge()

    def grid(self, *, without: Collection[str] = ()) -> Grid:
        """The grid of the rows taken so far, `without` some of the columns.

        Raises:
            CannotJudge: fewer than 100 rows.
        """
        require_rows(self.rows)
        self._merge()
        made: dict[str, FeatureGrid] = {}
        for name, kind in self._schema.items():
            if name in without:
                continue
            if kind == "categorical":
                made[name] = category_grid(self._labels[name], self._counted[name])
            else:
                values = self._held[name][np.isfinite(self._held[name])]
                if values.size < self._counted[name]:
                    values = np.append(values, [self._low[name], self._high[name]])
                made[name] = numeric_grid(values, self._counted[name])
        return Grid.of(made)

    def identifiers(self) -> dict[str, str]:
        """Columns that name rows, and why: of more rows than the sample holds, by the sample."""
        reasons = {}
        self._merge()
        for name in self._schema:
            span, known = None, self._counted[name]
            if name in self._held:
                values = self._held[name][np.isfinite(self._held[name])]
                # Beyond 2^53 neighbours are one float: ids are counted as they came, as long as they are few.
                exact = self._ids.get(name, set())
                is_long = bool(exact) and self._high[name] > FLOAT_WHOLE
                distinct, held = len(exact) if is_long else np.unique(values).size, values.size
                if is_long and distinct > MAX_CATEGORIES:
                    distinct = held
                if not held or (values != np.floor(values)).any():
                    continue
                # The sample's values are as far apart as all of them, and as many times fewer as its rows.
                span = (self._high[name] - self._low[name] + 1.0) * held / known
            else:
                # Past the most categories no label is kept: it is nothing but different values so far.
                distinct, held = len(self._labels[name]), known
            if names_rows(name, distinct=distinct, known=held, span=span):
                reasons[name] = f"an identifier: {distinct:,} different values in {held:,} rows; --columns compares it"
        return reasons

    def _merge(self) -> None:
        """Take what waits into the sample; too many rows go, the largest draws first."""
        draws = np.concatenate([self._draws, *(waiting for waiting, _ in self._waiting)])
        kept = slice(None) if draws.size <= self._keep else np.sort(np.argpartition(draws, self._keep)[: self._keep])
        self._draws = draws[kept]
        for name in self._numeric:
            self._held[name] = np.concatenate([self._held[name], *(batch[name] for _, batch in self._waiting)])[kept]
        self._waiting = []
