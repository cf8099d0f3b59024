"""The gate: is the challenger better than the champion, by how much, and how sure is that.

Here: the paired comparison on the same rows, the policy with its presets, the verdict with every rule's
number, the baseline a first model must beat, and the sanity check of a refit against its judged twin. Not
here: choosing the rows (`windows`, and the caller: rows neither model was fitted on), loading models, moving
aliases (`resources`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np
import pandas as pd

from mlops_assets.core.judging import Array, CannotJudge, block_interval, t_cdf
from mlops_assets.core.metrics import Task, metric

Rule = Literal["better", "relative", "absolute"]


@dataclass(frozen=True)
class Paired:
    """Two models on the same rows. `gain` is oriented: positive means that the challenger is better.

    `lower` and `upper` bound the gain at `confidence` (two-sided); `se` is its standard error by blocks, `df`
    the degrees of freedom behind it; `champion` and `challenger` are the metric's values.
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


@dataclass(frozen=True)
class GatePolicy:
    """What a challenger must show. Every field may be set under `gate:` in a model's YAML.

    Attributes:
        rule: `better` (default): the lower bound of the gain is above zero. `relative`: the gain is at least
            `min_gain` times the champion's value (F1 + 2 %, RMSE - 5 %). `absolute`: at least `min_gain` in
            the metric's own unit (accuracy + 1 point). Positive is better whatever the metric.
        min_gain: for `relative` and `absolute`; 0 by default. With `better` it must stay 0.
        significant: for `relative` and `absolute`: also ask for a lower bound above zero. True by default; a
            point estimate alone promotes noise.
        confidence: two-sided confidence of the interval, 0.95 by default: a challenger that is no better
        passes in
            at most 2.5 % of trials.
        min_rows: fewest labelled rows of the gate window, 200 by default.
        slice_margin: a slice may be worse by this share of the champion's value in it, 0.02 by default. A
            slice fails when it is worse by more than that with confidence, Holm-corrected over the slices, so
            that many small slices don't veto by chance.
        slice_min_rows: slices with fewer labelled rows are named but not judged, 200 by default.
        beat_baseline: a challenger must also beat the stated baseline where one is given, True by default.
            Without a champion the baseline is what it must beat.
        twin_correlation: smallest correlation between the refit's scores and its judged twin's on the same rows,
            0.5 by default (a refit on shuffled labels or columns has about 0).
    """

    rule: Rule = "better"
    min_gain: float = 0.0
    significant: bool = True
    confidence: float = 0.95
    min_rows: int = 200
    slice_margin: float = 0.02
    slice_min_rows: int = 200
    beat_baseline: bool = True
    twin_correlation: float = 0.5

    def __post_init__(self) -> None:
        if self.rule not in ("better", "relative", "absolute"):
            msg = f"gate.rule is {self.rule!r}: set better, relative or absolute"
            raise ValueError(msg)
        if self.rule == "better" and self.min_gain != 0.0:
            msg = f"gate.min_gain is {self.min_gain}, but rule better takes none: set relative or absolute"
            raise ValueError(msg)
        if not 0.5 < self.confidence < 1.0:
            msg = f"gate.confidence is {self.confidence}: set it between 0.5 and 1, for example 0.95"
            raise ValueError(msg)
        if min(self.min_gain, self.slice_margin, self.twin_correlation, self.min_rows, self.slice_min_rows) < 0:
            msg = "a limit of the gate is negative: set all limits of `gate:` to zero or more"
            raise ValueError(msg)

    @classmethod
    def preset(cls, name: str) -> Self:
        """A named policy: `better`, `f1_2_percent`, `accuracy_1_point`, `rmse_5_percent`."""
        presets: dict[str, dict[str, Any]] = {
            "better": {},
            "f1_2_percent": {"rule": "relative", "min_gain": 0.02},
            "accuracy_1_point": {"rule": "absolute", "min_gain": 0.01},
            "rmse_5_percent": {"rule": "relative", "min_gain": 0.05},
        }
        if name not in presets:
            msg = f"there is no gate preset {name!r}: choose one of {', '.join(presets)}"
            raise ValueError(msg)
        return cls(**presets[name])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the ledger and for YAML."""
        return asdict(self)


@dataclass(frozen=True)
class RuleResult:
    """One rule of the gate: whether it passed, the number, the limit it was held against, and a sentence."""

    name: str
    passed: bool
    value: float | None
    limit: float | None
    sentence: str


@dataclass(frozen=True)
class TwinCheck:
    """Whether the refit that ships scores like the model that was judged.

    `correlation` is Pearson's, of the two models' scores on the same rows.
    """

    agrees: bool
    correlation: float
    n: int
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """What the gate says; if it could not judge, `judged` and `promote` are False and nothing changes."""

    promote: bool
    judged: bool
    rules: tuple[RuleResult, ...]
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the ledger, tags and check metadata."""
        return asdict(self)


def paired(
    y: Any,
    s_champion: Any,
    s_challenger: Any,
    blocks: Any,
    metric_name: str,
    *,
    confidence: float = 0.95,
) -> Paired:
    """Compare two models on the same rows, with a block-t interval of the gain.

    The difference of the two models' influence values is summed by block (day), so both the pairing and the
    dependence of a day's rows are in the interval; a row-wise interval promotes by luck up to 46 % of the
    time.

    Args:
        y: labels, shape (n,), all known.
        s_champion: scores of the champion, shape (n,) or (n, k).
        s_challenger: scores of the challenger, same shape.
        blocks: shape (n,), the local calendar day of each row (`windows.local_days`).
        metric_name: a name of the registry.
        confidence: two-sided, 0.95 by default.

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
    span = block_interval(gain, direction * (psi_challenger - psi_champion), blocks, confidence=confidence)
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
    )


def paired_slices(
    y: Any,
    s_champion: Any,
    s_challenger: Any,
    blocks: Any,
    metric_name: str,
    *,
    slices: Mapping[str, Any],
    policy: GatePolicy,
) -> dict[str, Paired | CannotJudge]:
    """`paired` within each value of each slice column.

    Args:
        y: labels, shape (n,).
        s_champion: scores of the champion.
        s_challenger: scores of the challenger.
        blocks: the day of each row.
        metric_name: a name of the registry.
        slices: column name -> values, shape (n,); missing values form no slice.
        policy: gives the confidence and the fewest rows of a slice.

    Returns:
        `column=value` -> comparison, or why there is none; in sorted order.
    """
    labels, old, new, days = (np.asarray(a) for a in (y, s_champion, s_challenger, blocks))
    out: dict[str, Paired | CannotJudge] = {}
    for name, rows in slice_rows(slices):
        if rows.size < policy.slice_min_rows:
            out[name] = CannotJudge(
                f"slice {name} has {rows.size:,} rows and {policy.slice_min_rows:,} are needed",
                "Judge it on a longer window, or lower gate.slice_min_rows",
            )
            continue
        try:
            out[name] = paired(
                labels[rows], old[rows], new[rows], days[rows], metric_name, confidence=policy.confidence
            )
        except CannotJudge as why:
            out[name] = why
    return out


def slice_rows(slices: Mapping[str, Any]) -> list[tuple[str, np.ndarray]]:
    """(`column=value`, row positions) of every slice, sorted; missing values form none."""
    found: list[tuple[str, np.ndarray]] = []
    for column in sorted(slices):
        codes, values = pd.factorize(np.asarray(slices[column], dtype=object), sort=False)
        order = np.argsort(codes, kind="stable")
        edges = np.searchsorted(codes[order], np.arange(len(values) + 1))
        parts = [(f"{column}={v}", order[edges[i] : edges[i + 1]]) for i, v in enumerate(values)]
        found.extend(sorted(parts, key=lambda part: part[0]))
    return found


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
        shipped_scores: scores of the refit on the same rows.
        correlation: smallest Pearson correlation of the two.

    Raises:
        CannotJudge: no rows, or judged scores that aren't finite.
    """
    judged = np.asarray(judged_scores, dtype=np.float64)
    shipped = np.asarray(shipped_scores, dtype=np.float64)
    if judged.shape != shipped.shape:
        msg = f"judged scores {judged.shape} and shipped scores {shipped.shape} differ: score the same rows by both"
        raise ValueError(msg)
    if judged.size == 0 or not np.isfinite(judged).all():
        raise CannotJudge("the judged twin has no finite scores", "Score the gate window with it again")
    n = judged.shape[0]
    if not np.isfinite(shipped).all():
        return TwinCheck(False, float("nan"), n, "the refit returns missing or infinite scores")
    found = _correlation(judged, shipped)
    agrees = found >= correlation
    sentence = (
        f"on {n:,} rows the refit's scores have a correlation of {found:.3f} with its judged twin's "
        f"({'at least' if agrees else 'under'} the agreed {correlation:g})"
    )
    return TwinCheck(agrees, found, n, sentence)


def _correlation(one: Array, other: Array) -> float:
    """Pearson's, over all columns, each about its own mean; two constants agree, a constant and another don't."""
    a, b = one - one.mean(axis=0), other - other.mean(axis=0)
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    if scale == 0.0:
        return 1.0 if np.allclose(one, other) else 0.0
    return float((a * b).sum() / scale)


def verdict(
    policy: GatePolicy,
    champion: Paired | CannotJudge | None,
    *,
    slices: Mapping[str, Paired | CannotJudge] | None = None,
    baseline: Paired | CannotJudge | None = None,
    twin: TwinCheck | None = None,
) -> Verdict:
    """Promote or not, with every rule's number.

    Args:
        policy: the agreed rules.
        champion: the challenger against the champion; None if there is no champion yet.
        slices: the same by slice (`paired_slices`).
        baseline: the challenger against the baseline; required for a first model, which must beat it by the
            same rule.
        twin: the refit against its judged twin, if a refit ships.

    Returns:
        `promote` only if every rule passed. A comparison that could not be made gives `judged=False` with its
        remedy; the champion stays.

    Raises:
        ValueError: neither a champion nor a baseline was given.
    """
    if champion is None and baseline is None:
        msg = "a first model has no champion to beat: pass the comparison with `against_baseline`"
        raise ValueError(msg)
    mains: list[tuple[str, Paired | CannotJudge]] = []
    if champion is not None:
        mains.append(("beats_champion", champion))
    if baseline is not None and (champion is None or policy.beat_baseline):
        mains.append(("beats_baseline", baseline))
    for name, comparison in mains:
        stop = comparison if isinstance(comparison, CannotJudge) else _too_few(comparison, policy)
        if stop is not None:
            why = f"{name}: {stop}"
            return Verdict(False, False, (RuleResult(name, False, None, None, why),), why)
    rules = [_beats(name, comparison, policy) for name, comparison in mains if isinstance(comparison, Paired)]
    if slices:
        rules.append(_slices_hold(slices, policy))
    if twin is not None:
        rules.append(RuleResult("twin_agrees", twin.agrees, twin.correlation, policy.twin_correlation, twin.sentence))
    failed = [rule for rule in rules if not rule.passed]
    reason = "; ".join(rule.sentence for rule in (failed or rules))
    return Verdict(not failed, True, tuple(rules), f"{'promoted' if not failed else 'rejected'}: {reason}")


def _too_few(comparison: Paired, policy: GatePolicy) -> CannotJudge | None:
    if comparison.n >= policy.min_rows:
        return None
    return CannotJudge(
        f"the gate window has {comparison.n:,} labelled rows and {policy.min_rows:,} are needed",
        "Wait for more labels, or lower gate.min_rows",
    )


def _beats(name: str, result: Paired, policy: GatePolicy) -> RuleResult:
    """The main rule; against the baseline, `result.champion` is the baseline's value."""
    opponent = "the champion" if name == "beats_champion" else "the baseline"
    if policy.rule == "better":
        limit, value, needed = 0.0, result.lower, "a lower bound above 0"
        passed = result.lower > 0.0
    else:
        limit = policy.min_gain * (abs(result.champion) if policy.rule == "relative" else 1.0)
        value, needed = result.gain, f"a gain of at least {limit:.4g}"
        passed = result.gain >= limit and (result.lower > 0.0 or not policy.significant)
        needed += " and a lower bound above 0" if policy.significant else ""
    sentence = (
        f"{result.metric} {result.challenger:.4f} against {result.champion:.4f} of {opponent}: gain "
        f"{result.gain:+.4f} ({result.confidence:.0%} interval {result.lower:+.4f} to {result.upper:+.4f}, "
        f"{result.n:,} rows on {result.n_blocks} days); needed {needed}"
    )
    return RuleResult(name, passed, value, limit, sentence)


def _slices_hold(slices: Mapping[str, Paired | CannotJudge], policy: GatePolicy) -> RuleResult:
    """No slice is worse than the margin with confidence, Holm (1979) over all judged slices."""
    judged = {k: v for k, v in slices.items() if isinstance(v, Paired) and v.n >= policy.slice_min_rows}
    skipped = len(slices) - len(judged)
    note = f" ({skipped} of {len(slices)} slices too small or not judgeable)" if skipped else ""
    if not judged:
        return RuleResult("slices_hold", True, None, None, f"no slice could be judged{note}")
    names = list(judged)
    p_values = [_p_worse(judged[name], policy.slice_margin) for name in names]
    bad = [name for name, worse in zip(names, holm(p_values, 1.0 - policy.confidence), strict=True) if worse]
    worst = min(names, key=lambda name: _relative(judged[name]))
    value = _relative(judged[worst])
    if bad:
        told = ", ".join(f"{name} ({_relative(judged[name]):+.1%})" for name in bad)
        sentence = f"worse by more than {policy.slice_margin:.0%} with confidence in {told}{note}"
    else:
        sentence = (
            f"none of {len(judged)} slices is worse by more than {policy.slice_margin:.0%} with confidence; "
            f"lowest {worst} ({value:+.1%}){note}"
        )
    return RuleResult("slices_hold", not bad, value, -policy.slice_margin, sentence)


def _relative(result: Paired) -> float:
    return result.gain / abs(result.champion) if result.champion else result.gain


def _p_worse(result: Paired, margin: float) -> float:
    """One-sided p-value of `the slice is not worse by more than the margin`."""
    distance = result.gain + margin * abs(result.champion)
    if result.se == 0.0:
        return 0.0 if distance < 0.0 else 1.0
    return t_cdf(distance / result.se, result.df)


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Which hypotheses Holm's step-down procedure (1979) rejects at family-wise level `alpha`."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    rejected = [False] * len(p_values)
    for rank, i in enumerate(order):
        if p_values[i] > alpha / (len(order) - rank):
            break
        rejected[i] = True
    return rejected
