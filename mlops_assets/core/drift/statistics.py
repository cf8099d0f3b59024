"""The statistics of drift, from two vectors of counts over the same bins.

Here: PSI, Kullback-Leibler, Jensen-Shannon, Kolmogorov-Smirnov's p-value, chi-squared, and the largest error
that binning can have made. Not here: which bins (`grid`), all statistics of a feature (`feature_drift`),
limits (`policy`).

Empty bins. A share of zero makes PSI and Kullback-Leibler infinite; it is replaced by 0.0001, the
credit-scoring convention that Evidently follows too, or by half a row where the sample is too small to know
such a share.

p-values. At a million rows a shift of 0.006 standard deviations has p < 0.05, and nobody cares about it.
p-values are therefore computed as if each side had at most 1,000 rows: the classic "KS on a sample of 1,000"
without the sampling.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_assets.core.stats.intervals import Array

PSI_BINS = 10
MOST_SPIKES = 2 / 3
"""Share of the rows in values that many share, from which the deciles would leave the rest three groups or fewer."""
LEAST_GROUP = 0.01
"""Share of the reference in a group beside a spike, at least."""

EFFECTIVE_ROWS = 1_000
EMPTY_SHARE = 0.0001
LARGEST_KL = math.log(1e9)
"""Of a bin with all rows of the reference and one of a billion on the other side; PSI is that in both directions."""
LARGEST_PSI = 2 * LARGEST_KL
LARGEST_JS = math.sqrt(math.log(2))
CHI_ROWS, PSI_ROWS = 5.0, 20.0
"""Rows that either side must expect of a category, for chi-squared (Cochran 1954) and for PSI."""
RARE_ROWS = np.array([[5.0], [1.0]])
"""Rows that the reference and the current side must expect of a category where all together are judged."""
SEEN = 0.5
"""Share of the reference in categories that are compared each by itself, without which no change is no answer."""
FEW_ROWS = 4
"""So many rows without a value, or with a new category, are no share yet."""
CHANCE = 0.001
"""Share of features without a change of which chance may make more than a limit."""

Term = Callable[[Array, Array], Array]


def figure(value: float) -> str:
    """A statistic as all tables, pages and sentences have it, in five characters."""
    return f"{value:.3f}" if value < 10.0 else f"{value:.1f}" if value < 1000.0 else f"{value:.0e}"


def p_figure(value: float) -> str:
    """A p-value likewise; it is never nothing."""
    return "<0.001" if value < 0.001 else figure(value)


def psi(reference: Any, current: Any) -> float:
    """Population stability index of two vectors of counts over the same bins (Siddiqi 2006).

    The sum over the bins of (current - reference) * ln(current / reference), in shares. Bins empty on both
    sides count nothing; for those empty on one see the module.
    """
    return _divergence(psi_term, reference, current)


def kullback_leibler(reference: Any, current: Any) -> float:
    """Kullback-Leibler divergence of the current shares from the reference's, natural logarithm.

    The sum of p ln(p / q) - p + q with p the reference: the last two sum to zero, except where an empty bin
    was filled, and keep the divergence from going below zero there (`scipy.special.kl_div`).
    """
    return _divergence(kl_term, reference, current)


def _divergence(term: Term, reference: Any, current: Any) -> float:
    ref, cur = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    used = (ref + cur) > 0
    return float(term(_floored(ref[used]), _floored(cur[used])).sum())


def psi_term(p: Array, q: Array) -> Array:
    """What each bin adds to the PSI."""
    out: Array = (q - p) * np.log(q / p)
    return out


def kl_term(p: Array, q: Array) -> Array:
    """What each bin adds to the Kullback-Leibler divergence."""
    from scipy.special import kl_div

    out: Array = kl_div(p, q)
    return out


def js_term(p: Array, q: Array) -> Array:
    """What each bin adds to the Jensen-Shannon divergence, the square of the distance."""
    from scipy.special import rel_entr

    middle = (p + q) / 2.0
    out: Array = (rel_entr(p, middle) + rel_entr(q, middle)) / 2.0
    return out


def _floored(counts: Array) -> Array:
    n = counts.sum()
    shares: Array = counts / n
    return np.where(counts == 0, _floor(n), shares)


def _floor(n: float) -> float:
    return max(EMPTY_SHARE, 0.5 / n)


def jensen_shannon(reference: Any, current: Any) -> float:
    """Jensen-Shannon distance of two vectors of counts, natural logarithm, as scipy's: 0 to 0.83."""
    p, q = (np.asarray(c, dtype=np.float64) for c in (reference, current))
    return math.sqrt(max(float(js_term(p / p.sum(), q / q.sum()).sum()), 0.0))


def divergence_error(term: Term, counts: tuple[Any, Any], slack: tuple[Array, Array], *, root: bool = False) -> float:
    """How far a divergence is at most from the one whose borders between groups lie a little further left.

    Each term is zero at p = q, grows away from there and is convex: over a rectangle of shares it is largest at a
    corner, and smallest at a corner too or zero. So the bounds hold whatever the rows do between the borders.

    Args:
        term: a group's part of the divergence.
        counts: reference and current rows by group, each of shape (k,).
        slack: reference and current rows that may lie beyond each border, each of shape (k - 1,).
        root: whether the statistic is the square root, as for Jensen-Shannon, whose empty groups aren't filled.
    """
    if not (slack[0].any() or slack[1].any()):
        return 0.0
    (p_low, p, p_high), (q_low, q, q_high) = (
        _ranges(side, beyond, filled=not root) for side, beyond in zip(counts, slack, strict=True)
    )
    corners = np.array([term(a, b) for a in (p_low, p_high) for b in (q_low, q_high)])
    apart = (p_low > q_high) | (q_low > p_high)
    low, value, high = corners.min(axis=0, where=apart, initial=np.inf), term(p, q).sum(), corners.max(axis=0).sum()
    low = np.where(apart, low, 0.0).sum()
    if root:
        low, value, high = math.sqrt(low), math.sqrt(max(value, 0.0)), math.sqrt(high)
    return float(max(high - value, value - low, 0.0))


def _ranges(counts: Array, slack: Array, *, filled: bool) -> tuple[Array, Array, Array]:
    """Smallest, stated and largest share of each group: it may lose rows on its right and win them on its left."""
    n = counts.sum()
    low = np.maximum(counts - np.append(slack, 0.0), 0.0) / n
    high = (counts + np.append(0.0, slack)) / n
    if not filled:
        return low, counts / n, high
    floor = _floor(n)
    low = np.where(low > 0.0, low, np.where(high > 0.0, min(floor, 1.0 / n), floor))
    return low, _floored(counts), np.where(counts - np.append(slack, 0.0) > 0.0, high, np.maximum(high, floor))


def ks_p_value(distance: float, n: int, m: int, *, effective: int = EFFECTIVE_ROWS) -> float:
    """Two-sided p-value of a Kolmogorov-Smirnov distance with at most `effective` rows a side.

    Kolmogorov's limit with the small-sample correction of Stephens (1970).
    """
    from scipy.special import kolmogorov

    a, b = min(n, effective), min(m, effective)
    root = math.sqrt(a * b / (a + b))
    return float(kolmogorov((root + 0.12 + 0.11 / root) * distance))


def psi_by_chance(groups: int, n: int, m: int, *, level: float = CHANCE) -> float:
    """The PSI that two samples of one distribution exceed with this probability.

    Without a change PSI is close to (1/n + 1/m) times chi-squared with one degree less than there are groups
    (Yurdakul 2018); its mean, that many degrees times (1/n + 1/m), is its bias at these sizes. Where a group has few
    rows its logarithm makes more of them: by simulation at most twice the groups a row, and never over 20 %.
    """
    from scipy.special import chdtri

    if groups < 2:
        return 0.0
    return float(chdtri(groups - 1, level)) * (1.0 / n + 1.0 / m) * (1.0 + min(0.2, 2.0 * groups / min(n, m)))


def psi_excess(reference: Any, current: Any) -> tuple[float, float]:
    """PSI of categories less its mean under no change, and what chance leaves of that at most (`psi_by_chance`).

    Over categories in which either side expects `PSI_ROWS`; the rare ones are one group, and what the reference does
    not have (the last count) is rare: as a group of its own it would be empty on one side by construction. Where all
    of them are rare, or the rare ones have surely changed more than that shows, by `rare_excess`. NaN where neither has
    two groups to compare, or nothing is beyond chance and fewer than `SEEN` of the reference's rows are in categories
    that have the few rows which `rare_excess` takes: what moves among the others nobody would see.
    """
    both = np.array([reference, current], dtype=np.float64)
    rare, table = rare_excess(reference, current), _pooled(both, PSI_ROWS)
    excess, chance = rare
    if table.shape[1] >= 2:
        n, m = table.sum(axis=1)
        bias = (table.shape[1] - 1) * (1.0 / n + 1.0 / m)
        excess, chance = psi(*table) - bias, psi_by_chance(table.shape[1], int(n), int(m)) - bias
        if rare[0] > max(excess, rare[1]):
            return rare
    return (excess, chance) if excess > chance or _share_seen(both) >= SEEN else (math.nan, math.nan)


def _share_seen(both: Array) -> float:
    """Share of the reference's rows in categories that stand by themselves where all are judged together."""
    table = _pooled(both, RARE_ROWS)
    is_whole = table.shape[1] == np.count_nonzero(both.sum(axis=0))
    return 1.0 if is_whole else 1.0 - float(table[0, 0] / both[0].sum())


def are_rare(reference: Any, current: Any) -> bool:
    """Whether none of the categories has the `PSI_ROWS` that PSI takes."""
    return _pooled(np.array([reference, current], dtype=np.float64), PSI_ROWS).shape[1] < 2


def rare_excess(reference: Any, current: Any, *, level: float = CHANCE) -> tuple[float, float]:
    """Divergence of categories of few rows each, less its mean under no change, and what chance leaves of that at most.

    Chi-squared times (1/n + 1/m), which estimates the sum of (q - p)^2 by the share in both, where PSI has a logarithm
    that a few rows blow up. The two are close for small changes; a category that grows manyfold in the smaller sample
    counts for more than in PSI, one that vanishes for less. Mean and variance are those of all tables with these
    margins (Dawson 1954), which hold however few rows a category has; the tail is that of chi-squared with both.
    """
    from scipy.special import chdtri

    table = _pooled(np.array([reference, current], dtype=np.float64), RARE_ROWS)
    if table.shape[1] < 2:
        return math.nan, math.nan
    expected = _expected(table)
    value = float(((table - expected) ** 2 / expected).sum())
    mean, variance = _moments_of_chi_squared(table)
    most = variance / (2.0 * mean) * float(chdtri(2.0 * mean**2 / variance, level))
    scale = float((1.0 / table.sum(axis=1)).sum())
    return scale * (value - mean), scale * (most - mean)


def _moments_of_chi_squared(table: Array) -> tuple[float, float]:
    """Mean and variance of chi-squared over all tables with these margins, as likely as chance makes them."""
    total = table.sum()
    v, w = [], []
    for margin in (table.sum(axis=1), table.sum(axis=0)):
        k = margin.size
        v.append((k - 1) * (total - k) / (total - 1))
        w.append((total * (1.0 / margin).sum() - k**2) / (total - 2))
    mean = total / (total - 1) * (table.shape[0] - 1) * (table.shape[1] - 1)
    spread = 2 * total / (total - 3) * (v[0] - w[0]) * (v[1] - w[1]) + total**2 / (total - 1) * w[0] * w[1]
    return float(mean), float(spread)


def new_by_chance(reference: Any, m: int, *, level: float = CHANCE) -> float:
    """Share of unseen categories that m rows of the reference's own distribution exceed with about this probability.

    The chance of an unseen category is the share of those seen once (Good 1953); its variance is his too.
    """
    from scipy.special import ndtri
    from scipy.stats import binom

    counts = np.asarray(reference)
    n = counts.sum()
    once, twice = np.count_nonzero(counts == 1), np.count_nonzero(counts == 2)
    rate = min(1.0, (once + float(-ndtri(level)) * math.sqrt(once + 2.0 * twice + 1.0)) / n)
    return max(float(binom.isf(level, m, rate)), FEW_ROWS) / m


def chi_squared(reference: Any, current: Any, *, effective: int = EFFECTIVE_ROWS) -> tuple[float | None, float | None]:
    """Chi-squared of homogeneity and its p-value, with at most `effective` rows a side.

    Categories in which either side expects fewer than five are pooled (Cochran 1954), and with them what the
    reference does not have, the last count.

    Returns:
        (None, None) if one category remains: there is nothing to compare.
    """
    from scipy.special import chdtrc

    table = np.array([reference, current], dtype=np.float64)
    totals = table.sum(axis=1)
    table = _pooled(table * (np.minimum(totals, effective) / totals)[:, None], CHI_ROWS)
    if table.shape[1] < 2:
        return None, None
    expected = _expected(table)
    value = float(((table - expected) ** 2 / expected).sum())
    return value, float(chdtrc(table.shape[1] - 1, value))


def _pooled(table: Array, enough: float | Array) -> Array:
    """The table with rare categories in one: those of which either side expects too few rows, and unseen ones.

    Args:
        table: shape (2, categories), the last of which the reference may lack.
        enough: rows of either side, or shape (2, 1) of each.
    """
    used = table.sum(axis=0) > 0
    is_new = (np.arange(table.shape[1]) == table.shape[1] - 1) & (table[0] == 0.0)
    table, is_new = table[:, used], is_new[used]
    # The unseen first, then the smallest, as many as it takes to expect enough.
    order = np.lexsort((table.sum(axis=0), ~is_new))
    table, is_new = table[:, order], is_new[order]
    least = (_expected(table) / enough).min(axis=0)
    if is_new[0] or least[0] < 1.0:
        rare = int(np.sum((least < 1.0) | is_new))
        k = min(max(rare, int(np.searchsorted(np.cumsum(least), 1.0)) + 1), least.size)
        table = np.concatenate([table[:, :k].sum(axis=1, keepdims=True), table[:, k:]], axis=1)
    return table


def _expected(table: Array) -> Array:
    return table.sum(axis=0) * (table.sum(axis=1) / table.sum())[:, None]


def deciles(p: Array, atoms: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Array]:
    """First bin of each group, and the share of the reference that should lie before it; NaN where that is no decile.

    Ten groups of equal reference mass; a value that many rows share closes its group. Where such values hold most of
    the rows (`_spikes`), each is a group of its own, and the rest has its own deciles (fewer, where a tenth of the
    rest is under `LEAST_GROUP` of all): beside nine tenths of zeros everything else would be one group, in which
    nothing can be seen to move. Values outside the range join the outer groups. A constant reference has one group
    only; then below, equal and above are the groups.
    """
    spikes = _spikes(p, atoms)
    rest = p.copy()
    rest[spikes] = 0.0
    mass = float(rest.sum())
    parts = min(PSI_BINS, max(1, int(mass / LEAST_GROUP + 1e-9)))
    wanted = np.arange(1, parts) * mass / parts
    # A hair is taken off, so that a sum of 0.30000000000000004 still closes the third decile.
    cuts = np.searchsorted(np.cumsum(rest), wanted - 1e-9) + 1
    before = np.concatenate([[0.0], np.cumsum(p)])
    # Of all rows, those of the spikes before the cut are there too.
    shares = wanted + np.array([p[spikes[spikes < cut]].sum() for cut in cuts])
    targets = dict.fromkeys([*spikes.tolist(), *(spikes + 1).tolist()], np.nan)
    for cut, share in zip(cuts.tolist(), shares.tolist(), strict=True):
        # Of several deciles that end in one bin, the last: so it was laid.
        targets[cut] = np.nan if cut in targets and np.isnan(targets[cut]) else share
    inner = np.array(sorted(cut for cut in targets if 0 < cut < p.size and 1e-9 < before[cut] < 1.0 - 1e-9), dtype=int)
    expected = np.array([targets[cut] for cut in inner.tolist()])
    if inner.size == 0:
        filled = int(np.flatnonzero(p)[0])
        inner = np.array([i for i in (filled, filled + 1) if 0 < i < p.size], dtype=np.int64)
        expected = np.full(inner.size, np.nan)
    return np.concatenate([[0], inner]).astype(np.int64), expected


def _spikes(p: Array, atoms: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Bins of values that a tenth of the rows share, where they hold most rows and the rest is many values."""
    spikes = _frequent(p, atoms)
    others = np.count_nonzero(p) - spikes.size
    return spikes if p[spikes].sum() >= MOST_SPIKES and others >= 2 * PSI_BINS else spikes[:0]


def _frequent(p: Array, atoms: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Bins of values that a tenth of the rows share."""
    return np.flatnonzero(atoms & (p[1:-1] >= 1.0 / PSI_BINS - 1e-9)) + 1
