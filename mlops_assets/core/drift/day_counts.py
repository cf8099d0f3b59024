"""The days of a reference as counts, and its pseudo windows.

Here: `DayCounts`, its table, and a statistic of every stretch of the reference against the rest of it. Not here:
the levels made of them (`calibration`), the statistics of a real window (`drift`).

The tenths of a numeric feature are the reference's, as in `drift.compare`: a value there is known to a bin, here
exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Self, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlops_assets.core.drift.grid import MAX_CATEGORIES, MIN_REFERENCE_ROWS, Kind
from mlops_assets.core.drift.statistics import EMPTY_SHARE, PSI_BINS
from mlops_assets.core.stats.intervals import Array, CannotJudge

Counts = NDArray[np.int64]
Statistic = Callable[[Counts, Counts], Array]
"""Counts of m references and of m windows, both (m, k + 1) with the missing last, to m values."""


@dataclass(frozen=True, eq=False)
class DayCounts:
    """What each day of the reference holds.

    Attributes:
        first: the first calendar day.
        n_days: calendar days to the last one; days without rows count too.
        kinds: feature -> numeric or categorical.
        counts: feature -> (n_days, k + 1): rows in each tenth of the reference (or category), then those missing
            or infinite.
    """

    first: date
    n_days: int
    kinds: Mapping[str, Kind]
    counts: Mapping[str, Counts]

    @classmethod
    def of(cls, frame: pd.DataFrame, kinds: Mapping[str, Kind], days: Any) -> Self:
        """Count the reference's rows by day.

        Args:
            frame: the reference's rows, n of them.
            kinds: its features; one without a value, or with over 10,000 categories, is left out, as in `drift`.
            days: shape (n,), the local calendar day of each row (anything pandas reads as a time).

        Raises:
            CannotJudge: fewer than 100 rows, or no feature that can be counted.
        """
        if len(frame) < MIN_REFERENCE_ROWS:
            raise CannotJudge(
                f"the reference has {len(frame)} rows and at least {MIN_REFERENCE_ROWS} are needed",
                "Use a longer reference window",
            )
        stamps = pd.DatetimeIndex(pd.to_datetime(np.asarray(days))).normalize()
        first = stamps.min()
        places = np.asarray((stamps - first).days, dtype=np.int64)
        n_days = int(places.max()) + 1
        counts: dict[str, Counts] = {}
        for name, kind in kinds.items():
            bins, k = _bins(frame[name], kind)
            if 0 < k <= MAX_CATEGORIES:
                flat = np.bincount(places * (k + 1) + bins, minlength=n_days * (k + 1))
                counts[name] = flat.reshape(n_days, k + 1).astype(np.int64)
        if not counts:
            raise CannotJudge(
                "no feature of the reference has values, or few enough categories, to be counted",
                "Look at the sources of its columns, or use a longer reference",
            )
        return cls(first.date(), n_days, {name: kinds[name] for name in counts}, counts)

    def to_frame(self) -> pd.DataFrame:
        """One row per feature, day and bin with rows: what `from_frame` reads back."""
        parts = []
        for name, table in self.counts.items():
            day, bins = np.nonzero(table)
            part = pd.DataFrame({"day": day, "bin": bins, "rows": table[day, bins]})
            parts.append(part.assign(feature=name, kind=self.kinds[name], bins=table.shape[1]))
        return pd.concat(parts, ignore_index=True).assign(first=self.first.isoformat(), days=self.n_days)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> Self:
        """The inverse of `to_frame`."""
        n_days = int(frame["days"].iloc[0])
        kinds: dict[str, Kind] = {}
        counts: dict[str, Counts] = {}
        for name, part in frame.groupby("feature", sort=False):
            table = np.zeros((n_days, int(part["bins"].iloc[0])), dtype=np.int64)
            table[part["day"].to_numpy(), part["bin"].to_numpy()] = part["rows"].to_numpy()
            kinds[str(name)] = cast(Kind, part["kind"].iloc[0])
            counts[str(name)] = table
        return cls(date.fromisoformat(frame["first"].iloc[0]), n_days, kinds, counts)


def pseudo_values(table: Counts, window_days: int, statistic: Statistic) -> Array:
    """A statistic of every block of `window_days` days against the rest of the reference.

    Args:
        table: shape (n_days, k + 1), counts a day.
        window_days: length of a block.
        statistic: see `Statistic`.

    Returns:
        Shape (n_days - window_days + 1,); NaN where a block, or its rest, has no values. Empty if no block leaves
        a rest.
    """
    if len(table) <= window_days:
        return np.empty(0)
    sums = np.concatenate([np.zeros((1, table.shape[1]), dtype=np.int64), np.cumsum(table, axis=0)])
    window = sums[window_days:] - sums[:-window_days]
    rest = sums[-1] - window
    judged = (window[:, :-1].sum(axis=1) > 0) & (rest[:, :-1].sum(axis=1) > 0)
    values = np.full(len(window), np.nan)
    values[judged] = statistic(rest[judged], window[judged])
    return values


def psi_of(reference: Counts, window: Counts) -> Array:
    """Population stability index row by row; see `drift.psi`."""
    ref, cur = reference[:, :-1], window[:, :-1]
    p, q = _floored(ref), _floored(cur)
    return np.where((ref + cur) > 0, (q - p) * np.log(q / p), 0.0).sum(axis=1)


def new_share_of(reference: Counts, window: Counts) -> Array:
    """Share of a window's values in categories that its reference does not have."""
    known = window[:, :-1]
    return np.where(reference[:, :-1] == 0, known, 0).sum(axis=1) / known.sum(axis=1)


def missing_change_of(reference: Counts, window: Counts) -> Array:
    """Share of missing values, the window's less its reference's."""
    return window[:, -1] / window.sum(axis=1) - reference[:, -1] / reference.sum(axis=1)


def _bins(series: pd.Series, kind: Kind) -> tuple[Counts, int]:
    """The bin of each row, 0 to k - 1, and k; missing and infinite values have bin k."""
    if kind == "categorical":
        codes, categories = pd.factorize(series)
        return np.where(codes < 0, len(categories), codes).astype(np.int64), len(categories)
    values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(len(values), dtype=np.int64), 0
    known = values[finite]
    cuts = np.unique(np.quantile(known, np.arange(1, PSI_BINS) / PSI_BINS, method="inverted_cdf"))
    cuts = cuts[cuts < known.max()]
    bins = np.full(len(values), len(cuts) + 1, dtype=np.int64)
    bins[finite] = np.searchsorted(cuts, known, side="left")
    return bins, len(cuts) + 1


def _floored(counts: Counts) -> Array:
    n = counts.sum(axis=1, keepdims=True)
    return np.where(counts == 0, np.maximum(EMPTY_SHARE, 0.5 / n), counts / n)
