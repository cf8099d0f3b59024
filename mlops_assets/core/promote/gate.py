"""The gate: is the challenger better than the champion, by how much, and how sure is that.

Here: the verdict with every rule's number. Not here: the policy (`gate_policy`), the comparison of two models on the
same rows (`comparison`), moving aliases (`world`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from mlops_assets.core.promote.gate_policy import SHIPS_UNJUDGED, GatePolicy
from mlops_assets.core.stats.comparison import Paired, TwinCheck
from mlops_assets.core.stats.intervals import DAY, HOURS, MIN_BLOCKS, CannotJudge, t_cdf, told_block, told_blocks
from mlops_assets.core.stats.metrics import metric

WIDE = 1.05
"""From this factor on a person is told that the memory of days widens the interval."""
FEW_DEGREES = 4.0
"""Under so many degrees of freedom, t is above 2.8 in place of 2: hardly a gain is sure."""


@dataclass(frozen=True)
class RuleResult:
    """One rule of the gate: whether it passed, the number, the limit it was held against, and a sentence."""

    name: str
    passed: bool
    value: float | None
    limit: float | None
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """What the gate says.

    Where it could not judge, `judged` is False: `promote` is False, too, and nothing changes, unless a challenger ships
    by an agreed rule then.
    """

    promote: bool
    judged: bool
    rules: tuple[RuleResult, ...]
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the ledger, tags and check metadata."""
        return asdict(self)


def verdict(
    policy: GatePolicy,
    champion: Paired | CannotJudge | None,
    *,
    slices: Mapping[str, Paired | CannotJudge] | None = None,
    baseline: Paired | CannotJudge | None = None,
    further: Sequence[RuleResult] = (),
    twin: TwinCheck | None = None,
) -> Verdict:
    """Promote or not, with every rule's number.

    Args:
        policy: the agreed rules.
        champion: the challenger against the champion; None if there is no champion yet.
        slices: the same by slice (`paired_slices`).
        baseline: the challenger against the baseline; required for a first model, which must beat it by the
            same rule.
        further: results of further rules (`limits`, `golden`).
        twin: the refit against its judged twin, if a refit ships.

    Returns:
        `promote` only if every rule passed. A comparison that could not be made gives `judged=False` with its
        remedy; the champion stays, or what holds all other rules ships (`when_unjudgeable`).

    Raises:
        ValueError: neither a champion nor a baseline was given.
    """
    mains = _mains(policy, champion, baseline)
    stops = {name: stop for name, comparison in mains if (stop := _stop(comparison, policy))}
    if stops and (champion is None or policy.when_unjudgeable == "keep"):
        name, stop = next(iter(stops.items()))
        why = f"{name}: {stop}"
        return Verdict(False, False, (RuleResult(name, False, None, None, why),), why)
    rules = [_unjudged(name, stops[name]) for name in stops]
    rules += [_beats(name, pair, policy) for name, pair in mains if isinstance(pair, Paired) and name not in stops]
    if policy.min_value is not None:
        rules.append(_reaches([pair for _, pair in mains if isinstance(pair, Paired)], policy.min_value))
    if isinstance(champion, Paired) and isinstance(baseline, Paired):
        behind = champion.gain - baseline.gain
        rules = [_excused(rule, behind) if rule.name == "beats_baseline" else rule for rule in rules]
    if slices:
        rules.append(_slices_hold(slices, policy))
    rules.extend(further)
    if twin is not None:
        rules.append(RuleResult("twin_agrees", twin.agrees, twin.correlation, policy.twin_correlation, twin.sentence))
    failed = [rule for rule in rules if not rule.passed]
    reason = "; ".join(rule.sentence for rule in (failed or rules))
    return Verdict(not failed, bool(failed) or not stops, tuple(rules), reason)


def _mains(
    policy: GatePolicy, champion: Paired | CannotJudge | None, baseline: Paired | CannotJudge | None
) -> list[tuple[str, Paired | CannotJudge]]:
    """The comparisons that a challenger must win, by the name of their rule."""
    if champion is None and baseline is None:
        msg = "a first model has no champion to beat: pass the comparison with `against_baseline`"
        raise ValueError(msg)
    mains: list[tuple[str, Paired | CannotJudge]] = []
    if champion is not None:
        mains.append(("beats_champion", champion))
    if baseline is not None and (champion is None or policy.beat_baseline):
        mains.append(("beats_baseline", baseline))
    return mains


def _unjudged(name: str, why: CannotJudge) -> RuleResult:
    """What stands for a comparison that could not be made where a challenger ships without it."""
    is_champion = name == "beats_champion"
    sentence = f"not judged against the {'champion' if is_champion else 'baseline'}, because {why.why}"
    return RuleResult(name, True, None, None, f"{sentence}: {SHIPS_UNJUDGED}" if is_champion else sentence)


def _stop(comparison: Paired | CannotJudge, policy: GatePolicy) -> CannotJudge | None:
    """Why a comparison says nothing."""
    return comparison if isinstance(comparison, CannotJudge) else _too_few(comparison, policy)


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
    # What is no worse than the champion may be so; a model that is no better than the baseline is no model.
    may_be_worse = policy.rule == "non_inferior" and name == "beats_champion"
    if may_be_worse or policy.rule in ("better", "non_inferior"):
        limit = -policy.margin * abs(result.champion) if may_be_worse else 0.0
        value, needed = result.lower, f"a lower bound above {limit:.4g}"
        passed = result.lower > limit
    else:
        limit = policy.min_gain * (abs(result.champion) if policy.rule == "relative" else 1.0)
        value, needed = result.gain, f"a gain of at least {limit:.4g}"
        passed = result.gain >= limit and (result.lower > 0.0 or not policy.significant)
        needed += " and a lower bound above 0" if policy.significant else ""
    sentence = (
        f"{result.metric} {result.challenger:.4f} against {result.champion:.4f} of {opponent}: gain "
        f"{result.gain:+.4f} ({100 * result.confidence:.4g}% interval {result.lower:+.4f} to {result.upper:+.4f}, "
        f"{result.n:,} rows on {_observed(result)}{_why_wide(result)}{_power(result)}); "
        f"needed {needed}"
    )
    return RuleResult(name, passed, value, limit, sentence)


def _reaches(comparisons: Sequence[Paired], limit: float) -> RuleResult:
    """The challenger's own value on the gate's rows, where anything could be compared on them."""
    if not comparisons:
        return RuleResult("value_holds", True, None, limit, "the challenger's own value was not judged either")
    result = comparisons[0]
    judge = metric(result.metric)
    passed = judge.gain(limit, result.challenger) >= 0.0
    needed = f"{'at least' if judge.greater_is_better else 'at most'} {limit:.4g}"
    sentence = f"{result.metric} {result.challenger:.4f} of the challenger; needed {needed}"
    return RuleResult("value_holds", passed, result.challenger, limit, sentence)


def _observed(result: Paired) -> str:
    """How many observations there are; why they are hours."""
    why = f", as there are fewer than {MIN_BLOCKS} days" if result.blocks == HOURS else ""
    return told_blocks(result.n_blocks, result.blocks) + why


def _power(result: Paired) -> str:
    """What a comparison by anything else than days finds; of models that differ in no block nothing can be said."""
    if result.blocks == DAY or not result.se:
        return ""
    return f"; a gain of {result.smallest_found():.4g} would be found with 80 % power"


def _why_wide(result: Paired) -> str:
    """What makes the interval wide, where something does."""
    reasons, block = "", told_block(result.blocks)
    if result.widened >= WIDE:
        before = "days resemble the day before" if result.blocks == DAY else f"a {block} resembles the one before"
        reasons += f", {result.widened:.1f} times as wide because {before}"
    if result.df < FEW_DEGREES and result.largest > 0.0:
        reasons += (
            f"; one {block} holds {result.largest:.0%} of the rows, which leaves {result.df:.1f} degrees of freedom: "
            "set a longer gate.window"
        )
    return reasons


def _excused(rule: RuleResult, behind: float) -> RuleResult:
    """The rule on the baseline, which holds nothing back where the champion is behind the baseline by so much."""
    if rule.passed or behind <= 0.0:
        return rule
    sentence = f"{rule.sentence}, but the champion itself is {behind:.4g} behind the baseline"
    return replace(rule, passed=True, sentence=sentence)


def _slices_hold(slices: Mapping[str, Paired | CannotJudge], policy: GatePolicy) -> RuleResult:
    """No slice is worse than the margin with confidence, Holm (1979) over all judged slices."""
    judged = {k: v for k, v in slices.items() if isinstance(v, Paired) and v.n >= policy.slice_min_rows}
    skipped = len(slices) - len(judged)
    note = f" ({skipped} of {len(slices)} slices too small or not judgeable)" if skipped else ""
    if not judged:
        return RuleResult("slices_hold", True, None, None, f"no slice could be judged{note}")
    names = list(judged)
    p_values = [p_worse(judged[name], policy.slice_margin) for name in names]
    bad = [name for name, worse in zip(names, holm(p_values, 1.0 - policy.confidence), strict=True) if worse]
    worst = min(names, key=lambda name: _relative(judged[name]))
    value = _relative(judged[worst])
    if bad:
        losses = ", ".join(f"{name} ({_relative(judged[name]):+.1%})" for name in bad)
        sentence = f"worse by more than {policy.slice_margin:.0%} with confidence in {losses}{note}"
    else:
        sentence = (
            f"none of {len(judged)} slices is worse by more than {policy.slice_margin:.0%} with confidence; "
            f"lowest {worst} ({value:+.1%}){note}"
        )
    return RuleResult("slices_hold", not bad, value, -policy.slice_margin, sentence)


def _relative(result: Paired) -> float:
    return result.gain / abs(result.champion) if result.champion else result.gain


def p_worse(result: Paired, margin: float) -> float:
    """One-sided p-value of `the challenger is not worse by more than this share of the champion's value`."""
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
