"""Alarm levels from how much the reference moves by itself.

Here: the level of every statistic, by the policy or at an agreed rate of false alarms, and what is above its level.
Not here: the reference's days (`day_counts`), the statistics of a window (`drift`), what a breach means
(`attribution`).

The question a level answers: had nothing changed, how large would the largest of all these statistics be? The
reference itself is asked. Every stretch of it that is as long as the current window (Künsch 1989, moving blocks)
is compared with the rest of the reference, so that days that resemble their neighbours do so in the blocks too;
days are never drawn one by one. A block is left out of what it is compared with, as the current window is no part
of the reference.

Statistics differ in size, so each is standardised by its mean and standard deviation over the blocks that share no
day with it (with itself among them a block could never stand out far, and 50 features would ring twice too often).
The maximum over all features and statistics of a block keeps whatever ties them together (Westfall and Young 1993),
and its quantile over the blocks gives the levels. The rank is that of conformal prediction, (m + 1)(1 - alpha) of m
(Vovk et al. 2005); blocks that overlap are worth half as many again as the n that do not (Lahiri 1999).
No rate under 1 / (n + 1) can be held, that of the largest of n + 1 alike; there the level is the largest block's.

A tenth of the policy's level is added to each standard deviation, as in the significance analysis of microarrays
(Tusher, Tibshirani and Chu 2001): else a feature that moves next to nothing, and once a bit more, would take all
the room and no other could ring. PSI is a sum of squares: its square root is standardised, and the level is squared
again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlops_assets.core.drift.day_counts import (
    DayCounts,
    Statistic,
    missing_change_of,
    new_share_of,
    pseudo_values,
    psi_of,
)
from mlops_assets.core.drift.feature_drift import FeatureDrift
from mlops_assets.core.drift.grid import Kind
from mlops_assets.core.drift.policy import DriftPolicy, DriftVerdict, is_beyond_chance
from mlops_assets.core.stats.intervals import Array, CannotJudge
from mlops_assets.core.values.display import some

ALPHA = 0.05
"""Share of windows in which anything may ring although nothing has changed."""
SEASON_DAYS = 365
FULL_WINDOWS = 52
"""From so many reference windows on calibrated levels are trusted unasked: benchmarks/calibration.py finds the rate
of false alarms between 2.5 and 10 % where 5 % are asked for."""
MIN_WINDOWS = 8
"""Fewer reference windows give no levels: the largest of seven says nothing about a rate."""
OVERLAP = 1.5
"""What a block is worth when all that overlap are used, in blocks that do not: the variance is a third less."""
LEAST = 0.1
"""Share of the policy's level that is added to each standard deviation."""
WIDE = 1.0
"""A PSI level above it is no watch: it is that of a normal distribution moved by its whole standard deviation."""
MAX_UNKNOWN = 0.1
"""A statistic that is unknown in a larger share of the blocks is not calibrated."""
MAX_EXCESS = 100.0
"""A level near zero makes no finding infinitely bad."""
_TINY = float(np.finfo(np.float64).tiny)

_Column = tuple[str, str]
"""A feature and the name of a statistic."""

STATISTICS: Mapping[Kind, Mapping[str, Statistic]] = {
    "numeric": {"psi": psi_of, "missing_change": missing_change_of},
    "categorical": {"psi": psi_of, "missing_change": missing_change_of, "new_share": new_share_of},
}
"""What is calibrated by default, under the names that `FeatureDrift` has for them."""
_RENAMED = {"new_category_share": "new_share"}
"""Limits of `DriftPolicy` that are not called as their statistic."""


@dataclass(frozen=True)
class Levels:
    """Above which value each statistic rings, and how sure that is.

    Attributes:
        level: feature -> statistic -> level, in the statistic's own unit. A p-value rings below it.
        calibrated: whether levels come from the reference; else all are the policy's.
        achievable_alpha: the rate of false alarms that is held, over all features together: the one asked for, or
            1 / (n_windows + 1) if that is larger. None where nothing is known about it.
        n_windows: windows that fit into the reference without overlap.
        season_seen: whether the reference is as long as a season; None where nobody looked.
        sentence: all of it for people.
    """

    level: Mapping[str, Mapping[str, float]]
    calibrated: bool
    achievable_alpha: float | None
    n_windows: int
    season_seen: bool | None
    sentence: str

    def to_json(self) -> str:
        """As JSON, to be kept beside a report."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Breach:
    """One statistic beyond its level; `excess` is value / level (of their logarithms for a p-value), 1 to 100."""

    feature: str
    statistic: str
    value: float
    level: float
    excess: float


def preset_levels(features: Iterable[str], policy: DriftPolicy) -> Levels:
    """The policy's own limits, the same for every feature."""
    known = {f.name for f in fields(FeatureDrift)}
    limits = {_RENAMED.get(name, name): value for name, value in policy.to_dict().items() if value is not None}
    level = {name: float(value) for name, value in limits.items() if name in known}
    sentence = "The policy's levels hold, with no known rate of false alarms."
    return Levels(dict.fromkeys(features, level), False, None, 0, None, sentence)


def calibrate(
    days: DayCounts,
    window_days: int,
    *,
    preset: Levels,
    alpha: float = ALPHA,
    season_days: int = SEASON_DAYS,
    statistics: Mapping[Kind, Mapping[str, Statistic]] = STATISTICS,
) -> Levels:
    """Levels at which a window rings, by any feature, at a rate of `alpha` although nothing has changed.

    Args:
        days: the reference.
        window_days: length of the current window.
        preset: the levels of statistics that cannot be calibrated: those that never move in the reference, those
            without a formula in `statistics`, all where the reference has fewer than eight windows. Statistics of
            a feature that it does not name are left alone.
        alpha: the rate asked for.
        season_days: a reference shorter than this has not seen a whole season.
        statistics: formulas by kind of feature; the default are those that `DriftPolicy` switches on.

    Raises:
        CannotJudge: there is no statistic to calibrate.
    """
    columns: list[_Column] = []
    values: list[Array] = []
    for name, table in days.counts.items():
        for statistic, formula in statistics[days.kinds[name]].items():
            if statistic in preset.level.get(name, {}):
                columns.append((name, statistic))
                values.append(pseudo_values(table, window_days, formula))
    if not columns:
        raise CannotJudge(
            "no statistic of the reference can be calibrated",
            "Set a limit on PSI, on the missing share or on new categories, or set levels: preset",
        )
    return levels_from(
        np.column_stack(values),
        columns,
        n_days=days.n_days,
        window_days=window_days,
        preset=preset,
        alpha=alpha,
        season_days=season_days,
    )


def levels_from(
    values: ArrayLike,
    columns: Sequence[_Column],
    *,
    n_days: int,
    window_days: int,
    preset: Levels,
    alpha: float = ALPHA,
    season_days: int = SEASON_DAYS,
) -> Levels:
    """The same from any statistics of the reference's blocks.

    Args:
        values: shape (n_days - window_days + 1, len(columns)); larger is worse; NaN where there is none.
        columns: feature and statistic of each column of `values`.
        n_days: days of the reference.
        window_days: length of a block.
        preset: see `calibrate`.
        alpha: see `calibrate`.
        season_days: see `calibrate`.
    """
    if not 0.0 < alpha < 1.0:
        msg = f"alpha is {alpha}: set it between 0 and 1, for example 0.05"
        raise ValueError(msg)
    n_windows = n_days // window_days
    achievable = max(alpha, 1.0 / (n_windows + 1))
    levels = np.full(len(columns), np.nan)
    if n_windows >= MIN_WINDOWS:
        worth = OVERLAP * n_windows if achievable == alpha else n_windows
        rank = min((worth + 1) * (1.0 - achievable) / worth, 1.0)
        levels = _levels(np.asarray(values, dtype=np.float64), columns, window_days, rank, preset)
    level = {name: dict(known) for name, known in preset.level.items()}
    for (feature, statistic), value in zip(columns, levels, strict=True):
        if not math.isnan(value):
            level.setdefault(feature, {})[statistic] = float(value)
    calibrated = not bool(np.isnan(levels).all())
    text = _how(levels, n_windows, alpha, achievable)
    wide = {
        name for (name, statistic), value in zip(columns, levels, strict=True) if statistic == "psi" and value > WIDE
    }
    if wide:
        text += f" {len(wide)} of {len(level)} features wander so far within the reference that their PSI level is over"
        text += f" {WIDE:g}: they are hardly watched."
    if n_days < season_days:
        text += f" Season not yet seen: the reference has {n_days} of {season_days} days; what it never saw may ring."
    return Levels(level, calibrated, achievable if calibrated else None, n_windows, n_days >= season_days, text)


def breaches(drift: FeatureDrift, levels: Levels) -> list[Breach]:
    """Everything about a feature that is beyond its level, the worst first."""
    beyond = []
    limits = levels.level.get(drift.feature, {})
    for statistic, level in limits.items():
        value = getattr(drift, statistic)
        small_is_bad = statistic.endswith("_p")
        if value is None or (value >= level if small_is_bad else value <= level):
            continue
        # A calibrated level knows what chance makes: it comes from windows of the reference.
        if not levels.calibrated and not is_beyond_chance(drift, statistic, level, limits.get("psi")):
            continue
        above, allowed = (-math.log(max(value, _TINY)), -math.log(level)) if small_is_bad else (value, level)
        excess = min(above / allowed, MAX_EXCESS) if allowed > 0.0 else MAX_EXCESS
        beyond.append(Breach(drift.feature, statistic, value, level, excess))
    return sorted(beyond, key=lambda breach: -breach.excess)


def calibrated_verdict(drifts: Sequence[FeatureDrift], levels: Levels) -> DriftVerdict:
    """Whether a window rings at calibrated levels: one breach is enough, the rate is that of any.

    Args:
        drifts: what `drift.compare` returned.
        levels: what `calibrate` returned.

    Returns:
        A verdict as `drift.drift_verdict` gives it, with a limit of 0.
    """
    worst = {drift.feature: ranked for drift in drifts if (ranked := breaches(drift, levels))}
    names = tuple(sorted(worst, key=lambda name: -worst[name][0].excess))
    findings = {
        name: f"{name} " + ", ".join(f"{b.statistic} {b.value:.3g} beyond {b.level:.3g}" for b in worst[name])
        for name in names
    }
    unjudged = {d.feature: d.why for d in drifts if d.why is not None and d.feature not in worst}
    note = "".join(f" {feature} cannot be judged: {why}" for feature, why in unjudged.items())
    n = len(drifts) - len(unjudged)
    if n == 0:
        return DriftVerdict(None, (), None, 0.0, f"No feature could be judged.{note}", {}, unjudged)
    summary = some([findings[name] for name in names], 5, between="; ")
    head = f"{len(names)} of {n} features are beyond their level{': ' + summary if summary else ''}."
    return DriftVerdict(not names, names, len(names) / n, 0.0, f"{head} {levels.sentence}{note}", findings, unjudged)


def _levels(values: Array, columns: Sequence[_Column], window_days: int, rank: float, preset: Levels) -> Array:
    """A level per column; NaN for one that stands still, or is unknown in over a tenth of the blocks."""
    out = np.full(len(columns), np.nan)
    missing = np.isnan(values)
    squared = np.array([statistic == "psi" for _, statistic in columns])
    limits = np.array([preset.level.get(feature, {}).get(statistic, 0.0) for feature, statistic in columns])
    least = LEAST * np.where(squared, np.sqrt(limits), limits)
    used = missing.mean(axis=0) <= MAX_UNKNOWN
    # Without a least spread, any movement of what stands still in most blocks would be infinitely large.
    used[used] = (least[used] > 0) | (np.mean(values[:, used] == np.nanmedian(values[:, used], axis=0), axis=0) < 0.5)
    places = np.flatnonzero(~missing[:, used].any(axis=1))
    if not used.any() or len(places) <= (MIN_WINDOWS - 1) * window_days:
        return out
    moving, squared, least = values[places][:, used], squared[used], least[used]
    moving[:, squared] = np.sqrt(np.maximum(moving[:, squared], 0.0))
    limit = float(np.quantile(_without_neighbours(moving, places, window_days, least).max(axis=1), rank))
    level = moving.mean(axis=0) + limit * (moving.std(axis=0, ddof=1) + least)
    out[used] = np.where(squared, level**2, level)
    return out


def _without_neighbours(values: Array, places: NDArray[np.int64], window_days: int, least: Array) -> Array:
    """Each row standardised by the mean and standard deviation of the rows that share no day with it."""
    centred = values - values.mean(axis=0)
    zero = np.zeros((1, values.shape[1]))
    sums = np.concatenate([zero, np.cumsum(centred, axis=0)])
    squares = np.concatenate([zero, np.cumsum(centred**2, axis=0)])
    start = np.searchsorted(places, places - window_days, side="right")
    end = np.searchsorted(places, places + window_days, side="left")
    left = (len(values) - (end - start))[:, None]
    mean = (sums[-1] - (sums[end] - sums[start])) / left
    variance = (squares[-1] - (squares[end] - squares[start]) - left * mean**2) / (left - 1)
    return (centred - mean) / (np.sqrt(np.maximum(variance, _TINY)) + least)


def _how(levels: Array, n_windows: int, alpha: float, achievable: float) -> str:
    still = int(np.isnan(levels).sum())
    if n_windows < MIN_WINDOWS:
        return (
            f"The reference holds {n_windows} windows and calibration needs {MIN_WINDOWS} (1/{n_windows + 1} is the "
            "smallest rate it could hold): the policy's levels hold, with no known rate of false alarms."
        )
    if still == len(levels):
        return f"No statistic moves between the reference's {n_windows} windows: the policy's levels hold."
    text = f"Levels are calibrated on {n_windows} reference windows: a false alarm in {achievable:.1%} of windows"
    text += ", over all features together."
    if achievable > alpha:
        text += f" So few windows cannot hold the {alpha:.1%} asked for, only 1/{n_windows + 1}."
    if still:
        text += f" {still} of {len(levels)} statistics hardly move or are often unknown: they keep the policy's level."
    return text
