"""Two models on the same rows: the paired gain, the same by slice, the baseline, and the sanity check of a refit.

Here: what the gate's rules are made of. Not here: the rules, the policy and the verdict (`gate`), choosing the rows
(`windows`, and the caller: rows neither model was fitted on), loading models (`world`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlops_assets.core.stats.classes import alike
from mlops_assets.core.stats.intervals import DAY, HOURS, Array, CannotJudge, Interval, block_interval, t_quantile
from mlops_assets.core.stats.metrics import Task, metric


@dataclass(frozen=True)
class Paired:
    """Two models on the same rows. `gain` is oriented: positive means that the challenger is better.

    `lower` and `upper` bound the gain at `confidence` (two-sided); `se` is its standard error by blocks, `df`
    the degrees of freedom behind it; `champion` and `challenger` are the metric's values; `blocks` is what one
    block is, `day`, `6 hours` or the name of a column. `widened` is the factor by which the memory of days made
    `se` larger, `largest` the share of the rows in the largest block.
    """

    metric: str
    gain: float
    lower: float
    upper: float
    se: float
    df: float
    n: int
    n_blocks: int
    champion: float
    challenger: float
    confidence: float
    blocks: str = DAY
    widened: float = 1.0
    largest: float = 0.0

    def smallest_found(self, power: float = 0.8) -> float:
        """The smallest true gain whose lower bound is above zero with this probability (Bloom 1995)."""
        return (t_quantile(0.5 + self.confidence / 2.0, self.df) + t_quantile(power, self.df)) * self.se


def mean_gain(parts: Sequence[tuple[Any, Any, Any, Any]], metric_name: str, *, confidence: float = 0.95) -> Interval:
    """An interval of what a model gains on another on average over some periods, each of which counts alike.

    The metric is computed in each period; its influence values there are divided by the period's share of all rows and
    by the number of periods, so that their mean is that of the average.

    Args:
        parts: for each period: labels, shape (n,); scores of the one and of the other model, shape (n,) or (n, k); and
            days, shape (n,).
        metric_name: a name of the registry.
        confidence: two-sided.

    Raises:
        CannotJudge: the metric is undefined in a period, or there are fewer than eight days in all.
    """
    judge, rows = metric(metric_name), sum(len(y) for y, *_ in parts)
    direction = 1.0 if judge.greater_is_better else -1.0
    gains, influence = [], []
    for y, s_first, s_second, _ in parts:
        (first, psi_first), (second, psi_second) = judge.evaluate(y, s_first), judge.evaluate(y, s_second)
        gains.append(judge.gain(first, second))
        influence.append(direction * (psi_second - psi_first) * rows / (len(parts) * len(y)))
    days = np.concatenate([days for *_, days in parts])
    return block_interval(float(np.mean(gains)), np.concatenate(influence), days, confidence=confidence, ordered=True)


@dataclass(frozen=True)
class TwinCheck:
    """Whether the refit that ships scores like the model that was judged.

    `correlation` is Pearson's, of the two models' scores on the same rows.
    """

    agrees: bool
    correlation: float
    n: int
    sentence: str


def paired(
    y: Any,
    s_champion: Any,
    s_challenger: Any,
    blocks: Any,
    metric_name: str,
    *,
    confidence: float = 0.95,
    by: str = DAY,
    lag_one: float | None = None,
) -> Paired:
    """Compare two models on the same rows, with a block-t interval of the gain.

    The difference of the two models' influence values is summed by block (day), so both the pairing and the
    dependence of a day's rows are in the interval; a row-wise interval promotes by luck up to 46 % of the
    time. Days whose gains resemble the day before's widen it (`memory`); blocks of a column have no order.

    Args:
        y: labels, shape (n,), all known.
        s_champion: scores of the champion, shape (n,) or (n, k).
        s_challenger: scores of the challenger, shape (n,) or (n, m): it may know other classes.
        blocks: shape (n,), the block of each row: its local calendar day (`windows.local_days`), or its entity.
        metric_name: a name of the registry.
        confidence: two-sided, 0.95 by default.
        by: what a block is: `day`, `6 hours`, or the name of a column.
        lag_one: how alike neighbouring days are, where more days than these have said so (`memory.measured`).

    Returns:
        The gain and all that it rests on.

    Raises:
        CannotJudge: the metric is undefined on these rows, or there are fewer than eight blocks.
    """
    judge = metric(metric_name)
    champion, psi_champion = judge.evaluate(y, s_champion)
    challenger, psi_challenger = judge.evaluate(y, s_challenger)
    direction = 1.0 if judge.greater_is_better else -1.0
    gain = judge.gain(champion, challenger)
    psi = direction * (psi_challenger - psi_champion)
    span = block_interval(gain, psi, blocks, confidence=confidence, ordered=by in (DAY, HOURS), lag_one=lag_one)
    return Paired(
        metric=judge.name,
        gain=gain,
        lower=span.lower,
        upper=span.upper,
        se=span.se,
        df=span.df,
        n=span.n,
        n_blocks=span.n_blocks,
        champion=champion,
        challenger=challenger,
        confidence=confidence,
        blocks=by,
        widened=span.widened,
        largest=span.largest,
    )


def judge_slices(
    slices: Mapping[str, Any], judge: Callable[[np.ndarray], Paired], *, min_rows: int = 200
) -> dict[str, Paired | CannotJudge]:
    """A comparison within each value of each slice column.

    Args:
        slices: column name -> values, shape (n,); missing values form no slice.
        judge: compares two models on some rows, by their positions; it may raise `CannotJudge`.
        min_rows: smaller slices are named and not judged (`gate.slice_min_rows`).

    Returns:
        `column=value` -> comparison, or why there is none; in sorted order.
    """
    out: dict[str, Paired | CannotJudge] = {}
    for name, rows in slice_rows(slices):
        if rows.size < min_rows:
            out[name] = CannotJudge(
                f"slice {name} has {rows.size:,} rows and {min_rows:,} are needed",
                "Judge it on a longer window, or lower gate.slice_min_rows",
            )
            continue
        try:
            out[name] = judge(rows)
        except CannotJudge as why:
            out[name] = why
    return out


def slice_rows(slices: Mapping[str, Any]) -> list[tuple[str, np.ndarray]]:
    """(`column=value`, row positions) of every slice, sorted; missing values form none."""
    import pandas as pd

    rows_by_slice: list[tuple[str, np.ndarray]] = []
    for column in sorted(slices):
        codes, values = pd.factorize(np.asarray(slices[column], dtype=object), sort=False)
        order = np.argsort(codes, kind="stable")
        edges = np.searchsorted(codes[order], np.arange(len(values) + 1))
        parts = [(f"{column}={v}", order[edges[i] : edges[i + 1]]) for i, v in enumerate(values)]
        rows_by_slice.extend(sorted(parts, key=lambda part: part[0]))
    return rows_by_slice


def against_baseline(y_fit: Any, n: int, task: Task, *, n_classes: int | None = None) -> Array:
    """Scores of the model that knows only the fit period's labels: the bar for a first model.

    Args:
        y_fit: labels of the fit period, shape (m,), unknown ones as NaN.
        n: rows to score.
        task: `binary`: the base rate; `regression`: the mean; `multiclass`: the class shares.
        n_classes: number of classes, for multiclass; by default the highest code plus one.

    Returns:
        Shape (n,), or (n, n_classes) for multiclass; every row the same, so that ROC AUC is 0.5.

    Raises:
        CannotJudge: no label of the fit period is known.
    """
    labels = np.asarray(y_fit, dtype=np.float64)
    labels = labels[np.isfinite(labels)]
    if labels.size == 0:
        raise CannotJudge("the fit period has no known label", "Wait until labels arrive; nothing was changed")
    if task == "multiclass":
        counts = np.bincount(labels.astype(np.int64), minlength=n_classes or 0)
        return np.tile(counts / counts.sum(), (n, 1))
    return np.full(n, labels.mean())


def twin_agrees(judged_scores: Any, shipped_scores: Any, correlation: float = 0.5) -> TwinCheck:
    """Whether the refit scores the same rows like its judged twin.

    The refit has seen more rows, these among them, so its scores spread further; the order of the rows stays much
    the same. A broken refit (wrong columns, labels or order) has a correlation near zero.

    Args:
        judged_scores: scores of the model the gate judged, shape (n,) or (n, k).
        shipped_scores: scores of the refit on the same rows; it may have seen a class that the judged one had not.
        correlation: smallest Pearson correlation of the two.

    Raises:
        CannotJudge: no rows, or judged scores that aren't finite.
    """
    judged, shipped = alike(*(np.asarray(s, dtype=np.float64) for s in (judged_scores, shipped_scores)))
    if judged.shape != shipped.shape:
        msg = f"judged scores {judged.shape} and shipped scores {shipped.shape} differ: score the same rows by both"
        raise ValueError(msg)
    if judged.size == 0 or not np.isfinite(judged).all():
        raise CannotJudge("the judged twin has no finite scores", "Score the gate window with it again")
    n = judged.shape[0]
    if not np.isfinite(shipped).all():
        return TwinCheck(False, float("nan"), n, "the refit returns missing or infinite scores")
    pearson = _correlation(judged, shipped)
    agrees = pearson >= correlation
    sentence = (
        f"the refit that ships scores {n:,} rows {'like' if agrees else 'unlike'} the judged model "
        f"(correlation {pearson:.3f}, at least {correlation:g} agreed)"
    )
    return TwinCheck(agrees, pearson, n, sentence)


def _correlation(scores: Array, other: Array) -> float:
    """Pearson's, over all columns, each about its own mean; two constants agree, a constant and another don't."""
    a, b = scores - scores.mean(axis=0), other - other.mean(axis=0)
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    if scale == 0.0:
        return 1.0 if np.allclose(scores, other) else 0.0
    return float((a * b).sum() / scale)
