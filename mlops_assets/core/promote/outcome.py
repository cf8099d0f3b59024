"""What became of a promotion: the gain that the gate promised, against the one that came.

Here: the verdict on a promotion from two paired comparisons. Not here: which rows it is judged on and scoring the
version that was replaced on them (`steps.promote.outcomes`), the gate itself (`gate`).

A gate that promotes the best of many, or whose intervals are too narrow, promises more than comes (the winner's
curse). Each promotion scores the policy that let it through: many that turn out worse than promised say that the
gate is too bold, whatever each single one did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from mlops_assets.core.record.gain import Gain
from mlops_assets.core.stats.comparison import Paired
from mlops_assets.core.stats.intervals import CannotJudge, told_blocks

Result = Literal["kept", "worse", "cannot_judge"]


def gain_of(pair: Paired) -> Gain:
    """The gain of a paired comparison."""
    return Gain(pair.gain, pair.lower, pair.upper, pair.confidence, pair.n, pair.n_blocks, pair.blocks)


def gain_in_words(gain: Gain) -> str:
    """A gain as a person reads it: +0.0120 (95% interval +0.0040 to +0.0200, 9,120 rows on 14 days)."""
    return (
        f"{gain.gain:+.4f} ({gain.confidence:.0%} interval {gain.lower:+.4f} to {gain.upper:+.4f}, "
        f"{gain.rows:,} rows on {told_blocks(gain.days, gain.blocks)})"
    )


@dataclass(frozen=True)
class Outcome:
    """What became of a promotion.

    Attributes:
        result: `kept`, `worse` or `cannot_judge`.
        promised: the gain by which the gate promoted; None where it is not on record.
        realised: the gain on later rows; None where it could not be measured.
        reason: a sentence.
    """

    result: Result
    promised: Gain | None
    realised: Gain | None
    reason: str


def promise(champion: Paired | CannotJudge | None, baseline: Paired | CannotJudge | None) -> dict[str, Any] | None:
    """What a gate promises, plain: the gain over the champion, or over the baseline where there is no champion."""
    comparison = champion if champion is not None else baseline
    return gain_of(comparison).to_dict() if isinstance(comparison, Paired) else None


def outcome(
    promised: Gain | None, realised: Paired | CannotJudge, *, opponent: str = "the version before it"
) -> Outcome:
    """Hold a promotion to its promise.

    The promise is the lower bound of the gate's interval: at least so much was said to be sure.

    - kept: surely better than the opponent; or on the better side, and not surely below the promise.
    - worse: surely worse than the opponent; or not surely better, and surely below the promise.
    - cannot judge: anything else. The noise of these rows covers both no gain and the promised one.

    "Surely" means with the whole interval. If the promise holds, a promotion is called worse in at most half of
    1 - confidence of cases.

    Args:
        promised: what the gate found; None where it is not on record (then the promise is zero).
        realised: the promoted version against the opponent, on rows that neither was fitted on.
        opponent: in words.
    """
    if isinstance(realised, CannotJudge):
        return Outcome("cannot_judge", promised, None, f"Cannot judge, because {realised.why}. {realised.remedy}")
    gain = gain_of(realised)
    least = promised.lower if promised else 0.0
    if gain.lower > 0.0:
        result: Result = "kept"
        verdict = "surely better" if gain.upper >= least else "surely better, though by less than promised"
    elif gain.upper < 0.0:
        result, verdict = "worse", "surely worse"
    elif gain.upper < least:
        result, verdict = "worse", "not surely better, and surely less than the least that was promised"
    elif gain.gain > 0.0:
        result, verdict = "kept", "better by the estimate, and the promise lies within the noise"
    else:
        result, verdict = "cannot_judge", "the noise covers both no gain and the promised one"
    against = f"{realised.metric} {realised.challenger:.4f} against {realised.champion:.4f} of {opponent}"
    before = f"promised was {gain_in_words(promised)}" if promised else "what was promised is not on record"
    return Outcome(result, promised, gain, f"{_upper(verdict)}: {against}, gain {gain_in_words(gain)}; {before}.")


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
