"""Has the data moved: profiles on a fixed grid, their statistics, and a verdict by an agreed policy.

Here: the grid laid over a reference, profiles that add up, drift per feature, presets and verdict. Prediction
drift is the same code on the score column. Not here: whether the drift matters to the model (`performance`,
`policy`), drawing.

The grid. A numeric feature gets about 2,048 bins of equal reference mass, one more below the reference's
range and one above. Values that many rows share (zero, an integer) have a bin of their own. Where 65,536
equal cells over the range resolve those bins, rows are counted by arithmetic, about 10 ms per million; where
they don't (long tails), by sorting. A profile is nothing but counts, so a day's rows are read once and a
window is the sum of its days.

The error. Within a bin the grid can't see: a binned Kolmogorov-Smirnov distance is below the exact one by at
most the largest bin's mass (about 0.0005; `ks_error` states it), Wasserstein is off by at most the
mass-weighted bin width (`wasserstein_error`), and a decile of the PSI is misplaced by at most one bin.

Empty bins. A share of zero makes PSI infinite; it is replaced by 0.0001, the credit-scoring convention that
Evidently follows too, or by half a row where the sample is too small to know such a share.

p-values. At a million rows a shift of 0.006 standard deviations has p < 0.05, and nobody cares about it.
p-values are therefore computed as if each side had at most 1,000 rows: the classic "KS on a sample of 1,000"
without the sampling.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlops_assets.core.judging import Array, CannotJudge

Kind = Literal["numeric", "categorical"]

BINS = 2048
CELLS = 65_536
CHUNK = 65_536
MIN_REFERENCE_ROWS = 100
EFFECTIVE_ROWS = 1_000
PSI_BINS = 10
MAX_CATEGORIES = 10_000
EMPTY_SHARE = 0.0001

# Positions in a feature's `extra` array.
_MISSING, _INFINITE, _SUM, _SQUARES, _UNDER, _OVER = range(6)


@dataclass(frozen=True, eq=False)
class NumericGrid:
    """Bins [edges[j], edges[j + 1]) of one feature, m of them.

    Attributes:
        edges: shape (m + 1,), ascending; the first is the reference's minimum.
        cuts: the edges as cell numbers if the feature is counted by cells, else None.
        low: the reference's minimum.
        scale: cells per unit (0 for a constant).
        points: shape (m,), the reference's mean in each bin; where its mass sits for Wasserstein.
        atoms: shape (m,), bins in which the reference has one value only; they are exact.
    """

    edges: Array
    cuts: NDArray[np.int64] | None
    low: float
    scale: float
    points: Array
    atoms: NDArray[np.bool_]


@dataclass(frozen=True)
class CategoryGrid:
    """The reference's categories, as text, sorted."""

    categories: tuple[str, ...]


@dataclass(frozen=True)
class Unjudged:
    """A feature over which no grid can be laid, and why."""

    why: str
    remedy: str


FeatureGrid = NumericGrid | CategoryGrid | Unjudged


@dataclass(frozen=True, eq=False)
class Grid:
    """The grid of every feature. Profiles can be added and compared only on the same grid."""

    features: Mapping[str, FeatureGrid]
    fingerprint: str

    @classmethod
    def from_reference(cls, frame: pd.DataFrame, schema: Mapping[str, Kind] | None = None, *, bins: int = BINS) -> Self:
        """Lay the grid over a reference.

        Args:
            frame: the reference's rows.
            schema: column -> numeric or categorical; by default all columns by their dtype (`infer_schema`).
            bins: bins of equal mass per numeric feature.

        Raises:
            CannotJudge: fewer than 100 rows.
        """
        if len(frame) < MIN_REFERENCE_ROWS:
            raise CannotJudge(
                f"the reference has {len(frame)} rows and at least {MIN_REFERENCE_ROWS} are needed",
                "Use a longer reference window",
            )
        kinds = schema if schema is not None else infer_schema(frame)
        _require(frame, kinds)
        made: dict[str, FeatureGrid] = {
            name: _category_grid(frame[name]) if kind == "categorical" else _numeric_grid(frame[name], bins)
            for name, kind in kinds.items()
        }
        return cls(made, _fingerprint(made))

    def to_json(self) -> str:
        """The grid as JSON, to be kept with the model version."""
        return json.dumps({name: _grid_plain(g) for name, g in self.features.items()}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`."""
        made = {name: _grid_back(plain) for name, plain in json.loads(text).items()}
        return cls(made, _fingerprint(made))


@dataclass(frozen=True, eq=False)
class Profile:
    """Counts of some rows on a grid. `profile + profile` is the profile of both sets of rows.

    Attributes:
        grid: the grid.
        rows: number of rows.
        counts: feature -> numeric: [below, bins …, above]; categorical: [categories …, new]; int64.
        extra: feature -> [missing, infinite, sum, sum of squares (in cells from the minimum), sum of the
            values below, and above]; float64.
    """

    grid: Grid
    rows: int
    counts: Mapping[str, NDArray[np.int64]]
    extra: Mapping[str, Array]

    @classmethod
    def of(cls, grid: Grid, frame: pd.DataFrame) -> Self:
        """Count the rows of a frame; a frame without rows gives the empty profile.

        Raises:
            ValueError: a feature of the grid is not a column of the frame.
        """
        _require(frame, grid.features)
        counts: dict[str, NDArray[np.int64]] = {}
        extra: dict[str, Array] = {}
        for name, feature in grid.features.items():
            if isinstance(feature, NumericGrid):
                counts[name], extra[name] = _count_numbers(feature, frame[name])
            elif isinstance(feature, CategoryGrid):
                counts[name], extra[name] = _count_categories(feature, frame[name])
        return cls(grid, len(frame), counts, extra)

    def __add__(self, other: Profile) -> Profile:
        _same_grid(self, other)
        return Profile(
            self.grid,
            self.rows + other.rows,
            {name: self.counts[name] + other.counts[name] for name in self.counts},
            {name: self.extra[name] + other.extra[name] for name in self.extra},
        )

    def to_json(self) -> str:
        """Counts as JSON; of the grid only the fingerprint."""
        features = {n: {"counts": self.counts[n].tolist(), "extra": self.extra[n].tolist()} for n in self.counts}
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
            {n: np.asarray(f["counts"], dtype=np.int64) for n, f in features.items()},
            {n: np.asarray(f["extra"], dtype=np.float64) for n, f in features.items()},
        )


@dataclass(frozen=True)
class FeatureDrift:
    """How far one feature has moved. A statistic that isn't defined for the feature is None.

    Attributes:
        feature: its name.
        kind: numeric or categorical; None if the feature could not be judged at all.
        n_reference: reference rows with a finite value.
        n_current: current rows with a finite value.
        psi: population stability index; ten quantile bins of the reference, or the categories.
        ks: Kolmogorov-Smirnov distance.
        ks_p: its p-value at an effective sample of at most 1,000 rows a side.
        ks_error: the exact distance is at most this much larger.
        wasserstein: earth mover's distance in standard deviations of the reference.
        wasserstein_error: it is off by at most this much.
        js: Jensen-Shannon distance (square root of the divergence, natural logarithm), on the bins of the
            PSI.
        chi2: chi-squared of homogeneity at the effective sample; categories with expected counts under 5
        pooled. chi2_p: its p-value.
        new_share: share of current values whose category the reference doesn't have.
        outside_share: share of current values outside the reference's range.
        missing_change: missing or infinite share, current less reference.
        infinite_share: share of current rows that are infinite.
        mean_change: difference of means in standard deviations of the reference.
        why: why the feature, or the rest of it, could not be judged; ends in the remedy.
    """

    feature: str
    kind: Kind | None
    n_reference: int = 0
    n_current: int = 0
    psi: float | None = None
    ks: float | None = None
    ks_p: float | None = None
    ks_error: float | None = None
    wasserstein: float | None = None
    wasserstein_error: float | None = None
    js: float | None = None
    chi2: float | None = None
    chi2_p: float | None = None
    new_share: float | None = None
    outside_share: float | None = None
    missing_change: float | None = None
    infinite_share: float | None = None
    mean_change: float | None = None
    why: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class DriftPolicy:
    """When a feature counts as drifted, and when that is too much. None switches a limit off.

    Attributes:
        psi: a feature has drifted above it. 0.2 by default; 0.1 for high stakes, 0.3 for low.
        ks_p: numeric features have drifted below this p-value (effective sample of 1,000). Off by default: on
            50 stable features it rings in 93 % of checks.
        chi2_p: the same for categorical features, off by default.
        js: Jensen-Shannon distance, off by default.
        wasserstein: in standard deviations, off by default.
        new_category_share: largest share of unseen categories, 0.05 by default.
        missing_change: largest rise of the missing share, 0.1 by default.
        max_share: largest share of drifted features among those judged, 0.05 by default.
    """

    psi: float | None = 0.2
    ks_p: float | None = None
    chi2_p: float | None = None
    js: float | None = None
    wasserstein: float | None = None
    new_category_share: float | None = 0.05
    missing_change: float | None = 0.1
    max_share: float = 0.05

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if value is not None and value < 0:
                msg = f"drift.{f.name} is {value}: set it to zero or more, or leave it out"
                raise ValueError(msg)

    @classmethod
    def preset(cls, name: str) -> Self:
        """`default` (PSI 0.2), `high_stakes` (0.1), `low_stakes` (0.3), `ks` (p < 0.05), `any_feature`."""
        presets: dict[str, dict[str, Any]] = {
            "default": {},
            "high_stakes": {"psi": 0.1},
            "low_stakes": {"psi": 0.3},
            "ks": {"psi": None, "ks_p": 0.05, "chi2_p": 0.05},
            "any_feature": {"max_share": 0.0},
        }
        if name not in presets:
            msg = f"there is no drift preset {name!r}: choose one of {', '.join(presets)}"
            raise ValueError(msg)
        return cls(**presets[name])

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class DriftVerdict:
    """`passed` is None if no feature could be judged; `share`: drifted among judged features."""

    passed: bool | None
    drifted: tuple[str, ...]
    share: float | None
    limit: float
    reason: str
    findings: Mapping[str, str]


def infer_schema(frame: pd.DataFrame) -> dict[str, Kind]:
    """Numeric for numbers, categorical for text, booleans, categories; other columns (times) are left out."""
    out: dict[str, Kind] = {}
    for name in frame.columns:
        dtype = frame[name].dtype
        if pd.api.types.is_bool_dtype(dtype) or isinstance(dtype, pd.CategoricalDtype | pd.StringDtype):
            out[str(name)] = "categorical"
        elif pd.api.types.is_numeric_dtype(dtype):
            out[str(name)] = "numeric"
        elif pd.api.types.is_object_dtype(dtype):
            out[str(name)] = "categorical"
    return out


# --- laying the grid ---------------------------------------------------------------------------------------


def _require(frame: pd.DataFrame, names: Mapping[str, Any]) -> None:
    absent = [name for name in names if name not in frame.columns]
    if absent:
        msg = f"the frame has no column {absent[0]!r}: profile the same features as the reference"
        raise ValueError(msg)


def _numbers(series: pd.Series) -> Array:
    return series.to_numpy(dtype=np.float64, na_value=np.nan)


def _numeric_grid(series: pd.Series, bins: int) -> FeatureGrid:
    values = _numbers(series)
    ordered = np.sort(values[np.isfinite(values)])
    if ordered.size < MIN_REFERENCE_ROWS:
        return _too_few_values(ordered.size)
    low, high = float(ordered[0]), float(ordered[-1])
    # A hair under CELLS, so that the maximum falls into the last cell.
    scale = CELLS * (1.0 - 1e-12) / (high - low) if high > low else 0.0
    cuts = _cell_cuts(ordered, low, scale, bins) if 0.0 < scale < math.inf else None
    if cuts is not None:
        edges = low + cuts / scale
        starts = np.searchsorted(((ordered - low) * scale).astype(np.int64), cuts)
    else:
        scale = scale if math.isfinite(scale) else 0.0
        edges = _value_edges(ordered, bins)
        starts = np.searchsorted(ordered, edges)
    sizes = np.diff(starts)
    sums = np.diff(np.concatenate([[0.0], np.cumsum(ordered)])[starts])
    middle = (edges[:-1] + edges[1:]) / 2.0
    first, last = ordered[np.minimum(starts[:-1], ordered.size - 1)], ordered[np.maximum(starts[1:] - 1, 0)]
    atoms = (sizes > 0) & (first == last)
    points = np.where(atoms, first, np.where(sizes > 0, sums / np.maximum(sizes, 1), middle))
    return NumericGrid(edges, cuts, low, scale, np.clip(points, edges[:-1], edges[1:]), atoms)


def _cell_cuts(ordered: Array, low: float, scale: float, bins: int) -> NDArray[np.int64] | None:
    """Bins of equal mass as whole cells; None if a cell holds too much mass of more than one value."""
    cells = ((ordered - low) * scale).astype(np.int64)
    counts = np.bincount(cells, minlength=CELLS)
    ends = np.cumsum(counts)
    heavy = np.flatnonzero(counts > 2 * ordered.size / bins)
    if np.any(ordered[ends[heavy] - 1] != ordered[ends[heavy] - counts[heavy]]):
        return None
    crossed = np.searchsorted(ends, np.arange(1, bins) * ordered.size / bins) + 1
    return np.unique(np.concatenate([[0, CELLS], crossed, heavy, heavy + 1])).astype(np.int64)


def _value_edges(ordered: Array, bins: int) -> Array:
    """Edges at quantiles of the reference; values that fill a bin alone are fenced on both sides."""
    at = (np.arange(1, bins) * ordered.size) // bins
    quantiles, repeats = np.unique(ordered[at], return_counts=True)
    fence = np.nextafter(quantiles[repeats > 1], np.inf)
    ends = [ordered[0], np.nextafter(ordered[-1], np.inf)]
    return np.unique(np.concatenate([ends, quantiles, fence]))


def _category_grid(series: pd.Series) -> FeatureGrid:
    _, labels, n = _label_counts(series)
    if n < MIN_REFERENCE_ROWS:
        return _too_few_values(n)
    if len(labels) > MAX_CATEGORIES:
        return Unjudged(
            f"the reference has {len(labels):,} categories, and over {MAX_CATEGORIES:,} are identifiers",
            "Leave the column out of monitoring, or group its values",
        )
    return CategoryGrid(tuple(sorted(set(labels))))


def _too_few_values(n: int) -> Unjudged:
    what = "no values" if n == 0 else f"only {n} values"
    return Unjudged(
        f"the reference has {what} and at least {MIN_REFERENCE_ROWS} are needed",
        "Use a longer reference, or leave the column out of monitoring",
    )


def _fingerprint(features: Mapping[str, FeatureGrid]) -> str:
    plain = json.dumps({name: _grid_plain(g) for name, g in features.items()}, sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()


def _grid_plain(grid: FeatureGrid) -> dict[str, Any]:
    if isinstance(grid, NumericGrid):
        plain = {f.name: getattr(grid, f.name) for f in fields(grid)}
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in plain.items()}
    return asdict(grid)


def _grid_back(plain: Mapping[str, Any]) -> FeatureGrid:
    if "why" in plain:
        return Unjudged(**plain)
    if "categories" in plain:
        return CategoryGrid(tuple(plain["categories"]))
    return NumericGrid(
        np.asarray(plain["edges"], dtype=np.float64),
        None if plain["cuts"] is None else np.asarray(plain["cuts"], dtype=np.int64),
        plain["low"],
        plain["scale"],
        np.asarray(plain["points"], dtype=np.float64),
        np.asarray(plain["atoms"], dtype=np.bool_),
    )


# --- counting ----------------------------------------------------------------------------------------------


def _count_numbers(grid: NumericGrid, series: pd.Series) -> tuple[NDArray[np.int64], Array]:
    raw = series.to_numpy() if isinstance(series.dtype, np.dtype) else _numbers(series)
    return _count_by_cells(grid, raw) if grid.cuts is not None else _count_by_sorting(grid, raw)


def _count_by_cells(grid: NumericGrid, raw: np.ndarray) -> tuple[NDArray[np.int64], Array]:
    """In chunks over one buffer: the page faults of fresh arrays cost more than the arithmetic."""
    assert grid.cuts is not None
    cells = np.zeros(CELLS + 2, dtype=np.int64)
    extra = np.zeros(6)
    buffer = np.empty(min(CHUNK, max(raw.size, 1)))
    places = np.empty(buffer.size, dtype=np.int64)
    for start in range(0, raw.size, CHUNK):
        part = buffer[: min(CHUNK, raw.size - start)]
        part[:] = raw[start : start + part.size]
        part = _finite(part, extra)
        part -= grid.low
        part *= grid.scale
        extra[_SUM] += part.sum()
        # Not np.dot: BLAS threads take longer to wake than a chunk takes to sum.
        extra[_SQUARES] += np.einsum("i,i->", part, part)
        # The tails have no bins, so their place is kept as a sum.
        for tail, outside in ((_UNDER, part < 0.0), (_OVER, part >= CELLS)):
            if outside.any():
                extra[tail] += grid.low * np.count_nonzero(outside) + part[outside].sum() / grid.scale
        np.clip(part, -1.0, CELLS, out=part)
        # Truncation rounds towards zero; floor keeps what is just below the minimum out of cell 0.
        np.floor(part, out=part)
        part += 1.0
        places[: part.size] = part
        cells += np.bincount(places[: part.size], minlength=CELLS + 2)
    inner = np.add.reduceat(cells[1:-1], grid.cuts[:-1])
    return np.concatenate([cells[:1], inner, cells[-1:]]).astype(np.int64), extra


def _count_by_sorting(grid: NumericGrid, raw: np.ndarray) -> tuple[NDArray[np.int64], Array]:
    extra = np.zeros(6)
    values = _finite(raw.astype(np.float64), extra)
    ordered = np.sort(values)
    ends = np.searchsorted(ordered, grid.edges)
    counts = np.diff(np.concatenate([[0], ends, [values.size]])).astype(np.int64)
    extra[_UNDER], extra[_OVER] = ordered[: ends[0]].sum(), ordered[ends[-1] :].sum()
    ordered -= grid.low
    ordered *= grid.scale or 1.0
    extra[_SUM], extra[_SQUARES] = ordered.sum(), np.einsum("i,i->", ordered, ordered)
    return counts, extra


def _finite(values: Array, extra: Array) -> Array:
    """The finite values; the others are added to the missing and infinite counts."""
    finite = np.isfinite(values)
    if finite.all():
        return values
    missing = np.count_nonzero(np.isnan(values))
    extra[_MISSING] += missing
    extra[_INFINITE] += values.size - np.count_nonzero(finite) - missing
    return values[finite]


def _label_counts(series: pd.Series) -> tuple[NDArray[np.int64], list[str], int]:
    """Counts by label, the labels as text (1 and 1.0 are the same), and the number of rows with a value."""
    codes, uniques = pd.factorize(series, use_na_sentinel=True)
    counts = np.bincount(codes[codes >= 0], minlength=len(uniques)).astype(np.int64)
    labels = [str(int(u)) if isinstance(u, float | np.floating) and float(u).is_integer() else str(u) for u in uniques]
    return counts, labels, int(counts.sum())


def _count_categories(grid: CategoryGrid, series: pd.Series) -> tuple[NDArray[np.int64], Array]:
    found, labels, n = _label_counts(series)
    place = {label: i for i, label in enumerate(grid.categories)}
    counts = np.zeros(len(place) + 1, dtype=np.int64)
    np.add.at(counts, [place.get(label, len(place)) for label in labels], found)
    extra = np.zeros(6)
    extra[_MISSING] = len(series) - n
    return counts, extra


# --- comparing ---------------------------------------------------------------------------------------------


def _same_grid(one: Profile, other: Profile) -> None:
    if one.grid.fingerprint != other.grid.fingerprint:
        msg = "the profiles were counted on different grids: profile both on the reference's grid"
        raise ValueError(msg)


def compare(reference: Profile, current: Profile) -> list[FeatureDrift]:
    """All statistics of every feature, in the order of the grid.

    Args:
        reference: profile of the reference.
        current: profile of the current window, on the same grid.

    Raises:
        CannotJudge: the window has no rows, or the reference fewer than 100.
    """
    _same_grid(reference, current)
    if reference.rows < MIN_REFERENCE_ROWS:
        raise CannotJudge(
            f"the reference has {reference.rows} rows and at least {MIN_REFERENCE_ROWS} are needed",
            "Use a longer reference window",
        )
    if current.rows == 0:
        raise CannotJudge("the window has no rows", "Wait until its data has landed, or look at the source")
    return [_feature(name, grid, reference, current) for name, grid in reference.grid.features.items()]


def _feature(name: str, grid: FeatureGrid, reference: Profile, current: Profile) -> FeatureDrift:
    if isinstance(grid, Unjudged):
        return FeatureDrift(name, None, why=f"{grid.why}. {grid.remedy}.")
    ref, cur = reference.counts[name], current.counts[name]
    old, new = reference.extra[name], current.extra[name]
    n_ref, n_cur = int(ref.sum()), int(cur.sum())
    gone = (new[_MISSING] + new[_INFINITE]) / current.rows - (old[_MISSING] + old[_INFINITE]) / reference.rows
    kind: Kind = "numeric" if isinstance(grid, NumericGrid) else "categorical"
    base = FeatureDrift(
        name,
        kind,
        n_ref,
        n_cur,
        missing_change=float(gone),
        infinite_share=float(new[_INFINITE] / current.rows) if kind == "numeric" else None,
    )
    if n_cur == 0:
        return replace(base, why="no value of the window is known. Look at the source of the column.")
    if n_ref < MIN_REFERENCE_ROWS:
        return replace(base, why=f"the reference has {n_ref} values. Use a longer reference.")
    if isinstance(grid, NumericGrid):
        return replace(base, **_numeric_statistics(grid, (ref, cur), (old, new)))
    return replace(base, **_category_statistics(ref, cur))


def _numeric_statistics(
    grid: NumericGrid, counts: tuple[NDArray[np.int64], NDArray[np.int64]], extra: tuple[Array, Array]
) -> dict[str, Any]:
    ref, cur = counts
    p, q = ref / ref.sum(), cur / cur.sum()
    ks = float(np.abs(np.cumsum(p) - np.cumsum(q)).max())
    unseen = np.concatenate([[False], ~grid.atoms, [False]])
    groups = _deciles(p)
    grouped = np.add.reduceat(ref, groups), np.add.reduceat(cur, groups)
    means, sd = _moments(grid, counts, extra)
    distance, error = _wasserstein(grid, (p, q), counts, extra)
    return {
        "psi": psi(*grouped),
        "ks": min(ks, 1.0),
        "ks_p": ks_p_value(ks, int(ref.sum()), int(cur.sum())),
        "ks_error": float((np.minimum(p, q) * unseen).max()),
        "js": jensen_shannon(*grouped),
        "wasserstein": distance / sd if sd > 0 else (0.0 if distance == 0.0 else None),
        "wasserstein_error": error / sd if sd > 0 else None,
        "mean_change": (means[1] - means[0]) / sd if sd > 0 else None,
        "outside_share": float(q[0] + q[-1]),
    }


def _category_statistics(ref: NDArray[np.int64], cur: NDArray[np.int64]) -> dict[str, Any]:
    chi2, chi2_p = chi_squared(ref, cur)
    return {
        "psi": psi(ref, cur),
        "js": jensen_shannon(ref, cur),
        "chi2": chi2,
        "chi2_p": chi2_p,
        "new_share": float(cur[-1] / cur.sum()),
    }


def _deciles(p: Array) -> NDArray[np.int64]:
    """First bin of each of ten groups of equal reference mass.

    Values outside the range join the outer groups. A constant reference has one group only; then below, equal
    and above are the groups.
    """
    ends = np.cumsum(p)
    # A hair is taken off, so that a sum of 0.30000000000000004 still closes the third decile.
    cuts = np.searchsorted(ends, np.arange(1, PSI_BINS) / PSI_BINS - 1e-9) + 1
    inner = np.unique(cuts[(cuts > 0) & (ends[np.minimum(cuts, p.size) - 1] < 1.0 - 1e-9)])
    if inner.size == 0:
        filled = int(np.flatnonzero(p)[0])
        inner = np.array([i for i in (filled, filled + 1) if 0 < i < p.size], dtype=np.int64)
    return np.concatenate([[0], inner]).astype(np.int64)


def psi(reference: Any, current: Any) -> float:
    """Population stability index of two vectors of counts over the same bins (Siddiqi 2006).

    The sum over the bins of (current - reference) * ln(current / reference), in shares. Bins empty on both
    sides count nothing; for those empty on one see the module.
    """
    ref, cur = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    used = (ref + cur) > 0
    p, q = _floored(ref[used]), _floored(cur[used])
    return float(np.sum((q - p) * np.log(q / p)))


def _floored(counts: Array) -> Array:
    n = counts.sum()
    shares: Array = counts / n
    return np.where(counts == 0, max(EMPTY_SHARE, 0.5 / n), shares)


def jensen_shannon(reference: Any, current: Any) -> float:
    """Jensen-Shannon distance of two vectors of counts, natural logarithm, as scipy's: 0 to 0.83."""
    from scipy.special import rel_entr

    p, q = (np.asarray(c, dtype=np.float64) for c in (reference, current))
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2.0
    divergence = float((rel_entr(p, middle) + rel_entr(q, middle)).sum()) / 2.0
    return math.sqrt(max(divergence, 0.0))


def ks_p_value(distance: float, n: int, m: int, *, effective: int = EFFECTIVE_ROWS) -> float:
    """Two-sided p-value of a Kolmogorov-Smirnov distance with at most `effective` rows a side.

    Kolmogorov's limit with the small-sample correction of Stephens (1970).
    """
    from scipy.special import kolmogorov

    a, b = min(n, effective), min(m, effective)
    root = math.sqrt(a * b / (a + b))
    return float(kolmogorov((root + 0.12 + 0.11 / root) * distance))


def chi_squared(reference: Any, current: Any, *, effective: int = EFFECTIVE_ROWS) -> tuple[float | None, float | None]:
    """Chi-squared of homogeneity and its p-value, with at most `effective` rows a side.

    Categories in which either side expects fewer than five are pooled (Cochran 1954).

    Returns:
        (None, None) if one category remains: there is nothing to compare.
    """
    from scipy.special import chdtrc

    table = np.array([reference, current], dtype=np.float64)
    table = table[:, table.sum(axis=0) > 0]
    totals = table.sum(axis=1)
    table *= (np.minimum(totals, effective) / totals)[:, None]
    table = table[:, np.argsort(table.sum(axis=0), kind="stable")]
    least = _expected(table).min(axis=0)
    if least[0] < 5.0:
        # The smallest categories together, as many as it takes to expect five.
        k = min(max(int(np.sum(least < 5.0)), int(np.searchsorted(np.cumsum(least), 5.0)) + 1), least.size)
        table = np.concatenate([table[:, :k].sum(axis=1, keepdims=True), table[:, k:]], axis=1)
    if table.shape[1] < 2:
        return None, None
    expected = _expected(table)
    value = float(((table - expected) ** 2 / expected).sum())
    return value, float(chdtrc(table.shape[1] - 1, value))


def _expected(table: Array) -> Array:
    return table.sum(axis=0) * (table.sum(axis=1) / table.sum())[:, None]


def _moments(
    grid: NumericGrid, counts: tuple[NDArray[np.int64], NDArray[np.int64]], extra: tuple[Array, Array]
) -> tuple[tuple[float, float], float]:
    """Means of both sides and the reference's standard deviation, in the feature's unit."""
    unit = 1.0 / grid.scale if grid.scale > 0.0 else 1.0
    n_ref, n_cur = int(counts[0].sum()), int(counts[1].sum())
    ref, cur = float(extra[0][_SUM]) / n_ref, float(extra[1][_SUM]) / n_cur
    variance = max(float(extra[0][_SQUARES]) / n_ref - ref**2, 0.0)
    # Rounding of the sums leaves a trace of variance on a constant.
    sd = math.sqrt(variance) * unit if bool((counts[0][1:-1] > 0).sum() > 1) else 0.0
    return (grid.low + ref * unit, grid.low + cur * unit), sd


def _wasserstein(
    grid: NumericGrid,
    shares: tuple[Array, Array],
    counts: tuple[NDArray[np.int64], NDArray[np.int64]],
    extra: tuple[Array, Array],
) -> tuple[float, float]:
    """Earth mover's distance and its largest error, in the feature's unit.

    Each bin's mass sits at the reference's mean in it, the tails' at their own means.
    """
    p, q = shares
    places, weights = [grid.points], [p[1:-1] - q[1:-1]]
    for side, share, sign in ((0, p, 1.0), (1, q, -1.0)):
        for end, tail in ((0, _UNDER), (-1, _OVER)):
            if counts[side][end]:
                places.append(np.array([extra[side][tail] / counts[side][end]]))
                weights.append(np.array([sign * share[end]]))
    x, w = np.concatenate(places), np.concatenate(weights)
    order = np.argsort(x, kind="stable")
    distance = float(np.sum(np.abs(np.cumsum(w[order]))[:-1] * np.diff(x[order])))
    width = np.where(grid.atoms, 0.0, np.diff(grid.edges))
    error = float(np.sum((p[1:-1] + q[1:-1]) * width))
    return distance, error


# --- the verdict -------------------------------------------------------------------------------------------


def drift_verdict(drifts: Sequence[FeatureDrift], policy: DriftPolicy) -> DriftVerdict:
    """Whether so many features have drifted that the policy calls it drift.

    Args:
        drifts: what `compare` returned.
        policy: the limits.

    Returns:
        `findings` has a sentence for every drifted feature; features that could not be judged are named in
        the reason and count neither way, unless their missing share alone is over its limit.
    """
    findings = {d.feature: told for d in drifts if (told := _finding(d, policy))}
    judged = [d for d in drifts if d.why is None or d.feature in findings]
    unjudged = [d for d in drifts if d.why is not None and d.feature not in findings]
    note = "".join(f" {d.feature} cannot be judged: {d.why}" for d in unjudged)
    if not judged:
        return DriftVerdict(None, (), None, policy.max_share, f"No feature could be judged.{note}", findings)
    share = len(findings) / len(judged)
    passed = share <= policy.max_share
    head = f"{len(findings)} of {len(judged)} features have drifted"
    head = f"{head} ({share:.0%}, at most {policy.max_share:.0%})"
    names = sorted(findings, key=lambda n: -(next(d.psi for d in drifts if d.feature == n) or 0.0))
    told = "; ".join(findings[n] for n in names[:5]) + ("; …" if len(names) > 5 else "")
    reason = f"{head}{': ' + told if told else ''}.{note}"
    return DriftVerdict(passed, tuple(names), share, policy.max_share, reason, findings)


def _finding(drift: FeatureDrift, policy: DriftPolicy) -> str:
    """Every limit that the feature breaks, as one sentence; empty if none."""
    above = (
        ("PSI", drift.psi, policy.psi),
        ("JS", drift.js, policy.js),
        ("Wasserstein", drift.wasserstein, policy.wasserstein),
        ("new categories", drift.new_share, policy.new_category_share),
        ("missing share up by", drift.missing_change, policy.missing_change),
    )
    below = (("KS p", drift.ks_p, policy.ks_p), ("chi-squared p", drift.chi2_p, policy.chi2_p))
    told = [f"{name} {v:.3g} over {lim:g}" for name, v, lim in above if None not in (v, lim) and v > lim]  # type: ignore[operator]
    told += [f"{name} {v:.2g} under {lim:g}" for name, v, lim in below if None not in (v, lim) and v < lim]  # type: ignore[operator]
    return f"{drift.feature} {', '.join(told)}" if told else ""
