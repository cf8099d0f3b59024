"""The probe: would another model have done better on the newest rows, and how sure is that?

Here: the folds that no candidate was fitted on, looking at one window, and adding several looks up. Not here: how to
look (`probe_policy`), what a look and a gain are on record (`looks`), fitting and scoring candidates
(`resources.probing`, `life`), what follows from the gain (`policy`), the comparison that lets a challenger through
(`gate`).

A fit before the judged window has not seen a change that came with it, so a window is judged fold by fold, going
forward in time (prequential evaluation, Dawid 1984): each fold's candidates are fitted on events before the fold, its
older neighbours in the same window among them. No row is both fitted on and judged. Whose label is known when the
look is made may be fitted on, not only whose label was known when the fold began: with labels that come late, the
latter has not seen a change until a second delay has passed, and what is decided is what to fit from now on.

One series is tested, not the best of many: in each fold it follows the first candidate, or one that had clearly less
loss in the folds before (`leader`), discounted so that recent folds count more. Which one that is depends on the past
alone, so the selection needs no correction. What is tested is what the platform would have served.

The gain over the champion is pooled over the newest 1, 2 and 4 windows of the champion's life: a loud change shows in
one window, a faint one adds up. All three together keep the level (`nested`). By default it is spent at every look, so
it bounds the rate of false alarms per look, as control charts do, and not their chance over a whole life: a bound on
that (`spending: whole_life`) grows deaf with age, and a change may come late. `alpha_spent` says what a champion's life
has cost so far.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np

from mlops_assets.core.classes import alike
from mlops_assets.core.judging import (
    DAY,
    MIN_BLOCKS,
    Array,
    CannotJudge,
    Interval,
    block_sums,
    sums_interval,
    told_blocks,
)
from mlops_assets.core.looks import Candidate, FoldLoss, Gain, Look, Probed, ProfitGain, Series
from mlops_assets.core.metrics import Metric, metric
from mlops_assets.core.nested import level_of_each
from mlops_assets.core.probe_policy import ProbePolicy
from mlops_assets.core.windows import Window, midnight

__all__ = [
    "SPANS",
    "Candidate",
    "FoldLoss",
    "Gain",
    "Look",
    "Probed",
    "Series",
    "add_up",
    "fold_windows",
    "leader",
    "look",
]

SPANS = (1, 2, 4)
"""Numbers of newest windows that gains are pooled over."""
NEW_SHARE = 0.01
"""Share of new rows below which a model stands for its own refit."""


def fold_windows(window: Window, folds: int, timezone: str) -> list[Window]:
    """The window in `folds` parts of whole days, in order; fewer where it has fewer days.

    Args:
        window: what is judged.
        folds: how many parts.
        timezone: of the days.
    """
    days = window.days(timezone)
    parts = np.array_split(np.arange(len(days)), min(folds, len(days)))
    cuts = [window.start, *(midnight(days[int(part[0])], timezone) for part in parts[1:]), window.end]
    return [Window(start, end) for start, end in pairwise(cuts)]


def hardly_more(rows: np.ndarray, seen: np.ndarray) -> bool:
    """Whether a fit on `rows` would tell nothing new of one on `seen`: another seed would make more difference.

    Args:
        rows: positions that would be fitted on.
        seen: positions that were.
    """
    new = np.setdiff1d(rows, seen, assume_unique=True).size
    gone = np.setdiff1d(seen, rows, assume_unique=True).size
    return bool(new + gone <= NEW_SHARE * seen.size)


def leader(folds: Sequence[FoldLoss], candidates: Sequence[str], *, length: timedelta, policy: ProbePolicy) -> str:
    """The candidate with the least discounted loss in these folds; the first named unless that is clearly less.

    Only folds in which all candidates were judged are compared, so that none looks good by having missed a hard one.

    Args:
        folds: earlier folds, in any order.
        candidates: names, the one to begin with first.
        length: of a monitoring window.
        policy: its `half_life` and `lead` say how fast losses are forgotten, and what is clearly less.
    """
    known = [fold for fold in folds if all(name in fold.loss for name in candidates)]
    if not known:
        return candidates[0]
    newest = max(fold.end for fold in known)
    weights = np.array([fold.rows * 0.5 ** ((newest - fold.end) / (length * policy.half_life)) for fold in known])
    losses = np.array([[fold.loss[name] for name in candidates] for fold in known])
    lost = (weights[:, None] * losses).sum(axis=0)
    best = int(np.argmin(lost))
    return candidates[best if lost[best] < (1.0 - policy.lead) * lost[0] else 0]


def look(
    window: Window,
    folds: Sequence[Window],
    *,
    label: str,
    at: datetime,
    champion: str,
    y: Array,
    times: Any,
    blocks: Any,
    kept: Array,
    scores: Mapping[str, Array],
    metric_name: str,
    earlier: Sequence[FoldLoss],
    policy: ProbePolicy,
    twin: Array | None = None,
    profit: Metric | None = None,
    costs: Mapping[str, float] | None = None,
    labelled: int | None = None,
    by: str = DAY,
) -> Look:
    """Judge one window fold by fold.

    Args:
        window: the window; its length is the unit of the half-life.
        folds: its parts (`fold_windows`).
        label: the window's name.
        at: the model's clock.
        champion: the champion's version.
        y: labels, shape (n,), all known.
        times: event times, shape (n,).
        blocks: the block of each row, shape (n,): its local day; or the number of its entity, the same in all windows.
        kept: the champion's scores, shape (n,) or (n, k).
        scores: candidate name -> scores of the same rows, each row by the model fitted before its fold; NaN in folds
            where the candidate could not be fitted.
        metric_name: what the model is judged by.
        earlier: folds of earlier looks, which say who leads at first.
        policy: how to look.
        twin: what refits are held against where they are fitted on samples: scores of the champion's recipe fitted on
            an equal sample of its own rows. Beside the champion itself all of them would look worse than they are.
        profit: by which gains are measured in money too, and `costs`, its table.
        costs: see `profit`.
        labelled: labelled rows of the window, of which these may be a sample.
        by: what a block is: `day`, or the name of a column.

    Raises:
        CannotJudge: no rows, or the metric is undefined on them.
    """
    judge = metric(metric_name)
    kept, *others = alike(kept, *scores.values(), *([] if twin is None else [twin]))
    scores, twin = dict(zip(scores, others, strict=False)), None if twin is None else others[-1]
    refits = [name for name in scores if Candidate.parse(name).action == "refit"]
    against = kept if twin is None else twin
    seen, followed, led = list(earlier), [], np.array(against, dtype=np.float64)
    found: list[FoldLoss] = []
    for fold in folds:
        rows = np.flatnonzero(fold.contains(times))
        able = [name for name in refits if np.isfinite(scores[name][rows]).all()]
        if not rows.size or not able:
            continue
        chosen = leader(seen, able, length=window.end - window.start, policy=policy)
        led[rows] = scores[chosen][rows]
        followed.append(chosen)
        losses = {"keep": _loss(judge, y[rows], kept[rows])}
        for name, values in scores.items():
            if np.isfinite(values[rows]).all():
                losses[name] = _loss(judge, y[rows], values[rows])
        # A fold of one class has no value by which to rank, and still counts in the window as a whole.
        if all(math.isfinite(value) for value in losses.values()):
            found.append(FoldLoss(fold.start, fold.end, int(rows.size), losses))
            seen.append(found[-1])
    value = judge.score(y, kept)
    ways = {"leader": led} if followed else {}
    ways |= {name: values for name, values in scores.items() if Candidate.parse(name).action == "revert"}
    pairs = {name: (against if name == "leader" else kept, values) for name, values in ways.items()}
    series = {name: _series(judge, y, *pair, blocks, by) for name, pair in pairs.items()}
    profits = {name: _series(profit, y, *pair, blocks, by) for name, pair in pairs.items()} if profit else {}
    return Look(
        label,
        window.end,
        at,
        champion,
        judge.loss(value, y),
        tuple(found),
        tuple(followed),
        series,
        profit=profits,
        costs=dict(costs or {}),
        labelled=labelled,
        blocks=by,
    )


def add_up(
    looks: Sequence[Look],
    policy: ProbePolicy,
    *,
    champion: str,
    since: datetime,
    length: timedelta,
    costs: Mapping[str, float] | None = None,
) -> Probed:
    """What all looks at one champion say together.

    Args:
        looks: in any order; those at another champion only help to choose the leader.
        policy: how to look.
        champion: the version in production.
        since: when it came into production: what was seen before has been answered by that.
        length: of a monitoring window.
        costs: today's cost table; with one, gains are told in money too.

    Raises:
        CannotJudge: there is no look at this champion yet.
    """
    ordered = sorted(looks, key=lambda one: one.end)
    mine = [one for one in ordered if one.champion == champion and one.at > since]
    if not mine:
        raise CannotJudge("the probe has not looked at the champion yet", "Wait until a window of labels has matured")
    names = [f"refit:{of}" for of in policy.refits]
    lead = leader([f for one in ordered for f in one.folds], names, length=length, policy=policy)
    money: Any = {"length": length, "costs": costs or {}}
    level = policy.level_of(len(mine))
    refit = _gain("leader", lead, mine, level, **money)
    versions = [name for name in mine[-1].series if name != "leader"]
    reverts = [gain for name in versions if (gain := _gain(name, name, mine, level / len(versions), **money))]
    revert = max(reverts, key=lambda gain: gain.lower, default=None)
    best = max((g for g in (refit, revert) if g is not None), key=lambda g: g.lower, default=None)
    sentence = (
        f"The probe cannot say: fewer than {told_blocks(MIN_BLOCKS, mine[-1].blocks)} of labels were judged."
        if best is None
        else f"{best.told}."
    )
    return Probed(refit, revert, lead, len(mine), policy.spent(len(mine)), sentence[0].upper() + sentence[1:])


def _gain(
    name: str,
    candidate: str,
    looks: Sequence[Look],
    level: float,
    *,
    length: timedelta,
    costs: Mapping[str, float],
) -> Gain | None:
    """The best lower bound over the spans that there are, all at one level; None where no span can be judged."""
    spans = [span for span in SPANS if span <= len(looks)] or [1]
    level = level_of_each(level, tuple(spans))
    found = []
    for span in spans:
        newest = [one for one in looks[-span:] if name in one.series]
        pooled = _pooled([one.series[name] for one in newest], level) if len(newest) == span else None
        if pooled is None:
            continue
        mean, interval = pooled
        rows = [sum(one.series[name].sizes) for one in newest]
        loss = sum(one.champion_loss * n for one, n in zip(newest, rows, strict=True)) / sum(rows)
        if loss > 0.0:
            shares = (interval.lower / loss, mean / loss)
            found.append(Gain(candidate, *shares, span, interval.n, interval.n_blocks, blocks=looks[-1].blocks))
    best = max(found, key=lambda gain: gain.lower, default=None)
    if best is None or not costs:
        return best
    return replace(best, profit=_profit_gain(name, looks, spans, level, length=length, costs=costs))


def _profit_gain(
    name: str,
    looks: Sequence[Look],
    spans: Sequence[int],
    level: float,
    *,
    length: timedelta,
    costs: Mapping[str, float],
) -> ProfitGain | None:
    """The same in money; only looks that were made with this cost table count."""
    found = []
    for span in spans:
        newest = [one for one in looks[-span:] if name in one.profit and one.labelled and one.costs == costs]
        pooled = _pooled([one.profit[name] for one in newest], level) if len(newest) == span else None
        if pooled is not None:
            rows = sum(one.labelled or 0 for one in newest) / (span * length / timedelta(days=1))
            found.append(ProfitGain(pooled[1].lower, pooled[0], rows))
    return max(found, key=lambda gain: gain.lower * gain.rows_per_day, default=None)


def _pooled(parts: Sequence[Series], level: float) -> tuple[float, Interval] | None:
    """The mean gain of several windows, and its interval at a one-sided level.

    None on too few blocks, and where the windows were not judged by the same ones.
    """
    if len({bool(part.blocks) for part in parts}) > 1:
        return None
    rows = [sum(part.sizes) for part in parts]
    mean = sum(part.gain * n for part, n in zip(parts, rows, strict=True)) / sum(rows)
    sums = np.concatenate([np.asarray(part.sums) for part in parts])
    sizes = np.concatenate([np.asarray(part.sizes) for part in parts])
    if parts[0].blocks:
        # An entity of several windows is one observation.
        _, block = np.unique(np.concatenate([part.blocks for part in parts]), return_inverse=True)
        sums, sizes = np.bincount(block, weights=sums), np.bincount(block, weights=sizes)
    if len(sums) < MIN_BLOCKS:
        return None
    return mean, sums_interval(mean, sums, sizes, confidence=1.0 - 2.0 * level)


def _series(judge: Metric, y: Array, before: Array, after: Array, blocks: Any, by: str) -> Series:
    """The gain of one way of acting over what there is, by a metric."""
    direction = 1.0 if judge.greater_is_better else -1.0
    mine, psi = judge.evaluate(y, before)
    other, psi_other = judge.evaluate(y, after)
    sums, sizes = block_sums(direction * (psi_other - psi), blocks)
    lasting = () if by == DAY else tuple(np.unique(blocks).tolist())
    return Series(judge.gain(mine, other), tuple(sums.tolist()), tuple(sizes.tolist()), lasting)


def _loss(judge: Any, y: Array, s: Array) -> float:
    try:
        return float(judge.loss(judge.score(y, s), y))
    except CannotJudge:
        return math.nan
