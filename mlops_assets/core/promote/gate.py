"""The gate: is the challenger better than the champion, by how much, and how sure is that.

Here: the policy with its presets, and the verdict with every rule's number. Not here: the comparison of two models
on the same rows (`comparison`), moving aliases (`world`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self, get_args

from mlops_assets.core.stats.comparison import Paired, TwinCheck
from mlops_assets.core.stats.intervals import DAY, CannotJudge, t_cdf, told_blocks
from mlops_assets.core.stats.metrics import metric

Rule = Literal["better", "relative", "absolute", "non_inferior"]

WIDE = 1.05
"""From this factor on a person is told that the memory of days widens the interval."""
FEW_DEGREES = 4.0
"""Under so many degrees of freedom, t is above 2.8 in place of 2: hardly a gain is sure."""

GATE_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "better": {},
    "f1_2_percent": {"rule": "relative", "min_gain": 0.02},
    "accuracy_1_point": {"rule": "absolute", "min_gain": 0.01},
    "rmse_5_percent": {"rule": "relative", "min_gain": 0.05},
}
"""Named policies: the fields that differ from the defaults. Each begins with the metric it is meant for."""


def preset_fields(name: str) -> dict[str, Any]:
    """The fields of a named policy.

    Raises:
        ValueError: there is none of this name; the message lists all.
    """
    if name not in GATE_PRESETS:
        msg = f"there is no gate preset {name!r}: choose one of {', '.join(GATE_PRESETS)}"
        raise ValueError(msg)
    return dict(GATE_PRESETS[name])


@dataclass(frozen=True)
class GatePolicy:
    """What a challenger must show. Every field may be set under `gate:` in a model's YAML.

    Attributes:
        rule: `better` (default): the lower bound of the gain is above zero. `relative`: the gain is at least
            `min_gain` times the champion's value (F1 + 2 %, RMSE - 5 %). `absolute`: at least `min_gain` in
            the metric's own unit (accuracy + 1 point). `non_inferior`: the lower bound is above minus `margin`
            times the champion's value (deploy if performance holds). Positive is better whatever the metric.
        min_gain: for `relative` and `absolute`; 0 by default. With the others it must stay 0.
        margin: for `non_inferior`: by what share of the champion's value a challenger may be worse; 0 by default, and
            it must stay 0 with the others. A chain of such champions may fall by it each time: set `min_value`, too.
        min_value: what the challenger's metric must reach on the gate's rows, at most where less is better (accuracy
            0.95, RMSE 20); off by default.
        significant: for `relative` and `absolute`: also ask for a lower bound above zero. True by default; a
            point estimate alone promotes noise.
        confidence: two-sided confidence of the interval, 0.95 by default: a challenger that is no better passes
            in about 2.5 % of trials. Those without a found gain share that level (`core.decide.probe.gate_confidence`).
        min_rows: fewest labelled rows that are judged on, 50 by default.
        slice_margin: a slice may be worse by this share of the champion's value in it, 0.02 by default. A
            slice fails when it is worse by more than that with confidence, Holm-corrected over the slices, so
            that many small slices don't veto by chance.
        slice_min_rows: slices with fewer labelled rows are named but not judged, 200 by default.
        beat_baseline: a challenger must also beat the stated baseline where one is given, True by default. Not
            where the champion itself is behind it: then whatever is better than the champion is an improvement.
            Without a champion the baseline is what it must beat.
        twin_correlation: smallest correlation between the refit's scores and its judged twin's on the same rows,
            0.5 by default (a refit on shuffled labels or columns has about 0).
        max_calibration_error: largest calibration error of the challenger on the gate's rows, off by default.
        calibration_margin: largest rise of the calibration error over the champion's; it fails when the rise is
            above that with confidence. Off by default; 0 means: not surely worse.
        max_size_mb: largest file of the model that ships, in megabytes (10^6 bytes), off by default.
        max_latency_ms: largest 99th percentile of the time that a single prediction takes in process, off by default.
            It is measured, so two runs differ.
        same_season: also compare on the same days of the week a year (52 weeks) before, by models that are fitted
            without those rows; worse by more than `slice_margin` with confidence fails. Off by default.
        golden_set: file with rows whose predictions are agreed (`core.promote.golden`), beside the model's YAML or in
        the
            home's `golden/`. None by default.
    """

    rule: Rule = "better"
    min_gain: float = 0.0
    margin: float = 0.0
    min_value: float | None = None
    significant: bool = True
    confidence: float = 0.95
    min_rows: int = 50
    slice_margin: float = 0.02
    slice_min_rows: int = 200
    beat_baseline: bool = True
    twin_correlation: float = 0.5
    max_calibration_error: float | None = None
    calibration_margin: float | None = None
    max_size_mb: float | None = None
    max_latency_ms: float | None = None
    same_season: bool = False
    golden_set: str | None = None

    def __post_init__(self) -> None:
        if self.rule not in get_args(Rule):
            msg = f"gate.rule is {self.rule!r}: set better, relative, absolute or non_inferior"
            raise ValueError(msg)
        if self.rule not in ("relative", "absolute") and self.min_gain != 0.0:
            msg = f"gate.min_gain is {self.min_gain}, but rule {self.rule} takes none: set relative or absolute"
            raise ValueError(msg)
        if (self.rule == "non_inferior") != (self.margin > 0.0):
            other = "set it above zero, such as 0.02" if self.rule == "non_inferior" else "set rule: non_inferior"
            raise ValueError(f"gate.margin is {self.margin} with rule {self.rule}: {other}")
        if not 0.5 < self.confidence < 1.0:
            msg = f"gate.confidence is {self.confidence}: set it between 0.5 and 1, for example 0.95"
            raise ValueError(msg)
        limits = (
            self.min_gain,
            self.margin,
            self.slice_margin,
            self.twin_correlation,
            self.min_rows,
            self.slice_min_rows,
            self.max_calibration_error,
            self.calibration_margin,
            self.max_size_mb,
            self.max_latency_ms,
        )
        if any(limit is not None and limit < 0 for limit in limits):
            msg = "a limit of the gate is negative: set all limits of `gate:` to zero or more"
            raise ValueError(msg)

    @classmethod
    def of_preset(cls, name: str) -> Self:
        """A named policy, one of `GATE_PRESETS`."""
        return cls(**preset_fields(name))

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
class Verdict:
    """What the gate says; if it could not judge, `judged` and `promote` are False and nothing changes."""

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
    if policy.min_value is not None and isinstance(first := mains[0][1], Paired):
        rules.append(_reaches(first, policy.min_value))
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
    return Verdict(not failed, True, tuple(rules), reason)


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
        f"{result.n:,} rows on {told_blocks(result.n_blocks, result.blocks)}{_why_wide(result)}); needed {needed}"
    )
    return RuleResult(name, passed, value, limit, sentence)


def _reaches(result: Paired, limit: float) -> RuleResult:
    """The challenger's own value on the gate's rows."""
    judge = metric(result.metric)
    passed = judge.gain(limit, result.challenger) >= 0.0
    needed = f"{'at least' if judge.greater_is_better else 'at most'} {limit:.4g}"
    sentence = f"{result.metric} {result.challenger:.4f} of the challenger; needed {needed}"
    return RuleResult("value_holds", passed, result.challenger, limit, sentence)


def _why_wide(result: Paired) -> str:
    """What makes the interval wide, where something does."""
    reasons = ""
    if result.widened >= WIDE:
        reasons += f", {result.widened:.1f} times as wide because days resemble the day before"
    if result.df < FEW_DEGREES and result.largest > 0.0:
        block = "one day" if result.blocks == DAY else f"one block by {result.blocks}"
        reasons += (
            f"; {block} holds {result.largest:.0%} of the rows, which leaves {result.df:.1f} degrees of freedom: set a "
            "longer gate.window"
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
