"""The gate's rules with limits: fairness, calibration, the same season, size, latency, a golden set.

Here: each as a pure function from figures to `RuleResult`s, none where the rule is off. Not here: measuring and
reading the figures (`steps`), the comparison with the champion and the verdict (`gate`).

A rule that has nothing to judge on passes and says so: it was agreed as a limit, and nothing broke it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlops_assets.core.performance.fairness import Difference
from mlops_assets.core.performance.window_metrics import evaluate
from mlops_assets.core.promote.gate import RuleResult, p_worse
from mlops_assets.core.promote.gate_policy import GatePolicy
from mlops_assets.core.stats.comparison import Paired, paired
from mlops_assets.core.stats.intervals import DAY, CannotJudge

CALIBRATION = "calibration_error"
MEGABYTE = 1_000_000


def fairness_rule(
    challenger: Sequence[Difference], champion: Sequence[Difference] | None, limit: float
) -> list[RuleResult]:
    """No column's difference is surely above the limit; where the champion's is already, it must not grow.

    Args:
        challenger: a difference a column.
        champion: the champion's on the same rows, in the same order; None without one.
        limit: largest difference between two groups.
    """
    if not challenger:
        return []
    before: Sequence[Difference | None] = champion or [None] * len(challenger)
    sentences, failed = [], []
    for new, old in zip(challenger, before, strict=True):
        sentence, passed = new.sentence, not _breaks(new, limit)
        if old is not None and _breaks(old, limit) and new.value is not None and old.value is not None:
            passed = new.value <= old.value
            sentence += f"; the champion, with {old.value:.4f}, breaks the limit already, so it must not be more"
        sentences.append(sentence)
        if not passed:
            failed.append((new.value, sentence))
    value = failed[0][0] if failed else max((new.value for new in challenger if new.value is not None), default=None)
    said = "; ".join(sentence for _, sentence in failed) if failed else "; ".join(sentences)
    return [RuleResult("fairness_holds", not failed, value, limit, f"{said} (limit {limit:g})")]


def _breaks(difference: Difference, limit: float) -> bool:
    return difference.lower is not None and difference.lower > limit


def calibration_rules(
    policy: GatePolicy, y: Any, challenger: Any, champion: Any, blocks: Any, *, by: str = DAY
) -> list[RuleResult]:
    """The challenger's calibration error on the gate's rows, by itself and beside the champion's.

    Args:
        policy: the limits.
        y: labels, shape (n,).
        challenger: its scores, shape (n,) or (n, k).
        champion: the champion's; None without one.
        blocks: the block of each row.
        by: what a block is: `day`, or the name of a column.
    """
    rules = []
    if policy.max_calibration_error is not None:
        limit = policy.max_calibration_error
        error = evaluate(y, challenger, [CALIBRATION], blocks)[CALIBRATION]
        passed = error.value is None or error.value <= limit
        span = f" (interval {error.lower:.4f} to {error.upper:.4f})" if error.lower is not None else ""
        text = f"calibration error {error.value:.4f}{span}" if error.value is not None else f"not judged: {error.why}"
        rules.append(RuleResult("calibration_holds", passed, error.value, limit, f"{text}, at most {limit:g} agreed"))
    if policy.calibration_margin is not None and champion is not None:
        try:
            result = paired(y, champion, challenger, blocks, CALIBRATION, confidence=policy.confidence, by=by)
        except CannotJudge as why:
            return [*rules, RuleResult("calibration_not_worse", True, None, None, f"not judged: {why}")]
        # `gain` is positive when the error falls.
        passed = -result.upper <= policy.calibration_margin
        text = (
            f"calibration error {result.challenger:.4f} against {result.champion:.4f} of the champion: a change of "
            f"{-result.gain:+.4f} (interval {-result.upper:+.4f} to {-result.lower:+.4f}); it must not surely exceed "
            f"{policy.calibration_margin:+g}"
        )
        rules.append(RuleResult("calibration_not_worse", passed, -result.gain, policy.calibration_margin, text))
    return rules


def season_rule(policy: GatePolicy, season: Paired | CannotJudge, basis: str) -> list[RuleResult]:
    """On the rows of the same season a year ago the challenger is not surely worse by more than `slice_margin`.

    Args:
        policy: the margin and the confidence.
        season: the comparison on those rows.
        basis: what was compared: which rows, and what the two models had seen of them.
    """
    if isinstance(season, CannotJudge):
        return [RuleResult("same_season_holds", True, None, None, f"the same season last year: not judged: {season}")]
    share = season.gain / abs(season.champion) if season.champion else season.gain
    passed = p_worse(season, policy.slice_margin) > 1.0 - policy.confidence
    sentence = (
        f"{season.metric} {season.challenger:.4f} against {season.champion:.4f} of the champion {basis}: gain "
        f"{share:+.1%}, {'not ' if passed else ''}surely worse by more than {policy.slice_margin:.0%}"
    )
    return [RuleResult("same_season_holds", passed, share, -policy.slice_margin, sentence)]


def size_rule(policy: GatePolicy, n_bytes: int) -> list[RuleResult]:
    """The file that ships is at most `max_size_mb` megabytes (10^6 bytes)."""
    if policy.max_size_mb is None:
        return []
    size = n_bytes / MEGABYTE
    sentence = f"the model's file has {size:.3g} MB, at most {policy.max_size_mb:g} agreed"
    return [RuleResult("size_holds", size <= policy.max_size_mb, size, policy.max_size_mb, sentence)]


def latency_rule(policy: GatePolicy, p99_ms: float, n: int) -> list[RuleResult]:
    """The 99th percentile of single predictions, as measured, is at most `max_latency_ms`.

    Args:
        policy: the limit.
        p99_ms: milliseconds.
        n: predictions that were timed.
    """
    if policy.max_latency_ms is None:
        return []
    sentence = (
        f"measured once on this machine, one row at a time in process, {n:,} predictions: 99 % within {p99_ms:.2f} ms, "
        f"at most {policy.max_latency_ms:g} agreed"
    )
    return [RuleResult("latency_holds", p99_ms <= policy.max_latency_ms, p99_ms, policy.max_latency_ms, sentence)]
