"""All statistics of drift of every feature, from two profiles on one grid.

Here: `FeatureDrift` and `compare`. Not here: the formulas (`statistics`), limits (`policy`).

The error. Within a bin the grid can't see. A binned Kolmogorov-Smirnov distance is below the exact one by at
most the largest mass that both sides have in one bin (about 0.0005); Wasserstein is off by at most the
mass-weighted bin width; a border between two of the ten groups of PSI, Kullback-Leibler and Jensen-Shannon
lies at most one bin beyond the exact decile. All are stated with the statistic, computed from the counts, so
they also hold on a grid that was laid over a sample.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_assets.core.drift.grid import MIN_REFERENCE_ROWS, FeatureGrid, Kind, NumericGrid, Unjudged, require_rows
from mlops_assets.core.drift.profile import INFINITE, MISSING, OVER, SQUARES, STRANGERS, SUM, UNDER, Profile, same_grid
from mlops_assets.core.drift.statistics import (
    CHANCE,
    FEW_ROWS,
    MOST_SPIKES,
    _frequent,
    are_rare,
    chi_squared,
    deciles,
    divergence_error,
    jensen_shannon,
    js_term,
    kl_term,
    ks_p_value,
    kullback_leibler,
    new_by_chance,
    psi,
    psi_by_chance,
    psi_excess,
    psi_term,
)
from mlops_assets.core.stats.intervals import Array, CannotJudge
from mlops_assets.core.values.identifiers import ID_NAMES

LEAST_REST = 20
"""Rows beside a spike, on either side, of which anything is said."""

Counts = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Of the reference and of the current rows."""
Pair = tuple[Array, Array]


@dataclass(frozen=True)
class FeatureDrift:
    """How far one feature has moved. A statistic that isn't defined for the feature is None.

    Attributes:
        feature: its name.
        kind: numeric or categorical; None if the feature could not be judged at all.
        n_reference: reference rows with a finite value.
        n_current: current rows with a finite value.
        psi: population stability index; ten quantile groups of the reference, or the categories.
        psi_error: it is off by at most this much from that of the exact deciles; zero for categories.
        kl: Kullback-Leibler divergence of the current from the reference, on the same groups.
        kl_error: it is off by at most this much.
        js: Jensen-Shannon distance (square root of the divergence, natural logarithm), on the same groups.
        js_error: it is off by at most this much.
        ks: Kolmogorov-Smirnov distance.
        ks_p: its p-value at an effective sample of at most 1,000 rows a side.
        ks_error: the exact distance is at most this much larger, and never smaller.
        wasserstein: earth mover's distance in standard deviations of the reference.
        wasserstein_error: it is off by at most this much.
        chi2: chi-squared of homogeneity at the effective sample; categories with expected counts under 5
            pooled.
        chi2_p: its p-value.
        new_share: share of current values whose category the reference doesn't have.
        outside_share: share of current values outside the reference's range.
        missing_change: missing or infinite share, current less reference.
        infinite_share: share of current rows that are infinite.
        mean_change: difference of means in standard deviations of the reference.
        why: why the feature, or the rest of it, could not be judged; ends in the remedy.
        psi_excess: of categories, their PSI less what it is without a change, or where they are rare what stands
            for it (`statistics.psi_excess`).
        psi_chance: what that exceeds without a change in one feature of a thousand.
        psi_rest: PSI of numbers beside values that most rows share, in ten groups of their own: of all rows they are
            so few that the PSI of all hardly shows what becomes of them.
        psi_rest_chance: what that exceeds without a change in one feature of a thousand.
        new_chance: the same of `new_share`.
        missing_chance: the same of `missing_change`.
    """

    feature: str
    kind: Kind | None
    n_reference: int = 0
    n_current: int = 0
    psi: float | None = None
    psi_error: float | None = None
    kl: float | None = None
    kl_error: float | None = None
    js: float | None = None
    js_error: float | None = None
    ks: float | None = None
    ks_p: float | None = None
    ks_error: float | None = None
    wasserstein: float | None = None
    wasserstein_error: float | None = None
    chi2: float | None = None
    chi2_p: float | None = None
    new_share: float | None = None
    outside_share: float | None = None
    missing_change: float | None = None
    infinite_share: float | None = None
    mean_change: float | None = None
    why: str | None = None
    psi_excess: float | None = None
    psi_chance: float | None = None
    psi_rest: float | None = None
    psi_rest_chance: float | None = None
    new_chance: float | None = None
    missing_chance: float | None = None


def compare(reference: Profile, current: Profile, *, features: Collection[str] | None = None) -> list[FeatureDrift]:
    """All statistics of every feature, in the order of the grid.

    Args:
        reference: profile of the reference.
        current: profile of the current window, on the same grid.
        features: only these; all by default.

    Raises:
        CannotJudge: the window has no rows, or the reference fewer than 100.
    """
    same_grid(reference, current)
    require_rows(reference.rows)
    if current.rows == 0:
        raise CannotJudge("the window has no rows", "Wait until its data has landed, or look at the source")
    return [
        _feature(name, grid, reference, current)
        for name, grid in reference.grid.features.items()
        if features is None or name in features
    ]


def _feature(name: str, grid: FeatureGrid, reference: Profile, current: Profile) -> FeatureDrift:
    if isinstance(grid, Unjudged):
        return FeatureDrift(name, None, why=f"{grid.why}. {grid.remedy}.")
    ref, cur = reference.counts[name], current.counts[name]
    old, new = reference.extra[name], current.extra[name]
    n_ref, n_cur = int(ref.sum()), int(cur.sum())
    gone = (new[MISSING] + new[INFINITE]) / current.rows - (old[MISSING] + old[INFINITE]) / reference.rows
    kind: Kind = "numeric" if isinstance(grid, NumericGrid) else "categorical"
    base = FeatureDrift(
        name,
        kind,
        n_ref,
        n_cur,
        missing_change=float(gone),
        missing_chance=_missing_by_chance(old[MISSING] + old[INFINITE], reference.rows, current.rows),
        infinite_share=float(new[INFINITE] / current.rows) if kind == "numeric" else None,
    )
    if n_cur == 0:
        return replace(base, why="no value of the window is known. Look at the source of the column.")
    if n_ref < MIN_REFERENCE_ROWS:
        return replace(base, why=f"the reference has {n_ref} values. Use a longer reference.")
    if isinstance(grid, NumericGrid):
        stats = _numeric_statistics(grid, (ref, cur), (old, new))
        one_value = grid.atoms.size == 1
    else:
        stats = _category_statistics(ref, cur)
        one_value = ref.size == 2
        if ID_NAMES.search(name) and are_rare(ref, cur):
            stats["why"] = (
                "it names things, and identifiers are not judged for drift. Leave it out (exclude, or --ignore)."
            )
    if one_value and stats["psi"] == 0.0:
        stats["why"] = "it has the same value in every row of both. Leave the column out: it can tell nothing."
    # None for what floats cannot hold, such as the mean of values near the largest float.
    known: dict[str, Any] = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in stats.items()}
    return replace(base, **known)


def _numeric_statistics(grid: NumericGrid, counts: Counts, extra: Pair) -> dict[str, Any]:
    ref, cur = counts
    p, q = ref / ref.sum(), cur / cur.sum()
    ks = min(float(np.abs(np.cumsum(p) - np.cumsum(q)).max()), 1.0)
    groups, targets = deciles(p, grid.atoms)
    grouped = np.add.reduceat(ref, groups), np.add.reduceat(cur, groups)
    change, sd = _moments(grid, counts, extra)
    unseen = _unseen(grid, counts, extra)
    distance, error = _wasserstein(grid, (p, q), counts, extra, unseen)
    # Inside a bin the distance exceeds that at its ends by what the side with fewer rows has there, at most; in
    # an atom's bin only rows with another value can be apart.
    apart = np.minimum(np.minimum(p, q), np.maximum(unseen[0] / ref.sum(), unseen[1] / cur.sum()))
    return {
        **_group_statistics(grouped, _slack(groups, targets, counts, unseen)),
        "psi_excess": psi(*grouped),
        "psi_chance": psi_by_chance(int(((grouped[0] + grouped[1]) > 0).sum()), int(ref.sum()), int(cur.sum())),
        **_rest_statistics(p, grid.atoms, counts),
        "ks": ks,
        "ks_p": ks_p_value(ks, int(ref.sum()), int(cur.sum())),
        "ks_error": float(apart.max()),
        "wasserstein": distance / sd if sd > 0 else (0.0 if distance == 0.0 else None),
        "wasserstein_error": error / sd if sd > 0 else None,
        "mean_change": change / sd if sd > 0 else None,
        "outside_share": float(q[0] + q[-1]),
    }


def _rest_statistics(p: Array, atoms: NDArray[np.bool_], counts: Counts) -> dict[str, float]:
    """Of the rows beside values that most rows share, on either side, as if there were no others."""
    spikes = _frequent(p, atoms)
    rest = tuple(np.delete(side, spikes) for side in counts)
    n, m = (int(side.sum()) for side in rest)
    if p[spikes].sum() < MOST_SPIKES or min(n, m) < LEAST_REST:
        return {}
    groups, _ = deciles(rest[0] / n, np.delete(atoms, spikes - 1))
    grouped = np.add.reduceat(rest[0], groups), np.add.reduceat(rest[1], groups)
    filled = int(((grouped[0] + grouped[1]) > 0).sum())
    return {"psi_rest": psi(*grouped), "psi_rest_chance": psi_by_chance(filled, n, m)}


def _category_statistics(ref: NDArray[np.int64], cur: NDArray[np.int64]) -> dict[str, Any]:
    chi2, chi2_p = chi_squared(ref, cur)
    exact = np.zeros(ref.size - 1)
    excess, chance = psi_excess(ref, cur)
    return {
        **_group_statistics((ref, cur), (exact, exact)),
        "chi2": chi2,
        "chi2_p": chi2_p,
        "new_share": float(cur[-1] / cur.sum()),
        "new_chance": new_by_chance(ref, int(cur.sum())),
        "psi_excess": excess,
        "psi_chance": chance,
    }


def _missing_by_chance(missing: float, n: int, m: int) -> float:
    """Rise of the missing share that m rows exceed in one feature of a thousand, where nothing has changed."""
    from scipy.stats import binom

    most = max(float(binom.isf(CHANCE, m, (missing + 1.0) / (n + 2.0))), FEW_ROWS)
    return float(most / m - missing / n)


def _group_statistics(counts: Counts, slack: Pair) -> dict[str, float]:
    return {
        "psi": psi(*counts),
        "psi_error": divergence_error(psi_term, counts, slack),
        "kl": kullback_leibler(*counts),
        "kl_error": divergence_error(kl_term, counts, slack),
        "js": jensen_shannon(*counts),
        "js_error": divergence_error(js_term, counts, slack, root=True),
    }


def _unseen(grid: NumericGrid, counts: Counts, extra: Pair) -> tuple[Array, Array]:
    """Rows of each side whose place in their bin isn't known, by bin; in an atom's bin all but its value's."""
    out = []
    for side, side_extra in zip(counts, extra, strict=True):
        rows = side.astype(np.float64)
        # How the strangers are spread over the atoms' bins isn't known: each may have them all.
        rows[1:-1] = np.where(grid.atoms, np.minimum(rows[1:-1], side_extra[STRANGERS]), rows[1:-1])
        out.append(rows)
    return out[0], out[1]


def _slack(groups: NDArray[np.int64], targets: Array, counts: Counts, unseen: Pair) -> Pair:
    """Rows between the exact decile and the end of the bin that stands for it, by border between groups."""
    last, n = groups[1:] - 1, counts[0].sum()
    ends = np.cumsum(counts[0])[last]
    inside = np.isfinite(targets)  # the borders of a constant or a spike are no deciles, and exact
    decile = np.where(inside, targets, 0.0) * n
    # Where the decile can only be the atom's value or beyond it, no more than strangers lie beyond.
    anywhere = ends - counts[0][last] + unseen[0][last] >= decile
    beyond = np.maximum(ends - decile, 0.0)
    ref = np.where(anywhere, beyond, np.minimum(beyond, unseen[0][last]))
    cur = np.where(anywhere, counts[1][last], unseen[1][last])
    return np.where(inside, ref, 0.0), np.where(inside, cur, 0.0)


def _moments(grid: NumericGrid, counts: Counts, extra: Pair) -> tuple[float, float]:
    """Difference of the means and the reference's standard deviation, in the feature's unit.

    From where the cells begin: two means near 2^53 would differ by what floats there can't say.
    """
    unit = 1.0 / grid.scale if grid.scale > 0.0 else 1.0
    n_ref, n_cur = int(counts[0].sum()), int(counts[1].sum())
    ref, cur = float(extra[0][SUM]) / n_ref, float(extra[1][SUM]) / n_cur
    variance = max(float(extra[0][SQUARES]) / n_ref - ref**2, 0.0)
    # Rounding of the sums leaves a trace of variance on a constant.
    sd = math.sqrt(variance) * unit if bool((counts[0][1:-1] > 0).sum() > 1) else 0.0
    return (cur - ref) * unit, sd


def _wasserstein(grid: NumericGrid, shares: Pair, counts: Counts, extra: Pair, unseen: Pair) -> tuple[float, float]:
    """Earth mover's distance and its largest error, in the feature's unit.

    Each bin's mass sits at the reference's mean in it, the tails' at their own means.
    """
    p, q = shares
    places, weights = [grid.points], [p[1:-1] - q[1:-1]]
    for side, share, sign in ((0, p, 1.0), (1, q, -1.0)):
        for end, tail in ((0, UNDER), (-1, OVER)):
            if counts[side][end]:
                places.append(np.array([extra[side][tail] / counts[side][end]]))
                weights.append(np.array([sign * share[end]]))
    x, w = np.concatenate(places), np.concatenate(weights)
    order = np.argsort(x, kind="stable")
    distance = float(np.sum(np.abs(np.cumsum(w[order]))[:-1] * np.diff(x[order])))
    moved = unseen[0] / counts[0].sum() + unseen[1] / counts[1].sum()
    # A place is a float: two of them are each off by half of what floats tell apart there; so is the mean of a tail,
    # whose sum is some 2 log2(n) roundings away from exact.
    step = float(np.spacing(np.abs(x).max()))
    tails = sum(share[end] for share in (p, q) for end in (0, -1)) * 2.0 * math.log2(2.0 + counts[0].sum())
    rounding = step * (1.0 + tails) if distance > 0.0 else 0.0
    return distance, float(np.sum(moved[1:-1] * np.diff(grid.edges))) + rounding
