"""How a challenger that passed the gate becomes champion: step by step, and back when it turns bad.

Here: the states, the policy with its presets, the guardrails, and the next move as a pure function of what was seen.
Not here: measuring (`steps.rollout.moves`), who answers which request (`serving`), the gate that comes before
(`gate`), the decision to train at all (`policy`).

    shadow ──► canary 5 % ──► canary 25 % ──► watch ──► champion
       │            │              │            │
       ▼            └──────┬───────┴────────────┘
    rejected           rolled back

In shadow the candidate scores what the champion answers, and answers nothing. In a canary it answers a sticky share of
the entities. In the watch it answers all, and the champion before it goes on scoring in shadow, so that going back is
judged on the same rows. Guardrails are looked at first, at every look; time passes only while they hold, and an
interval that contains no difference stops nothing: only what is surely worse does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from mlops_assets.core.drift.policy import PSI
from mlops_assets.core.limits.ranges import PART, ROW_COUNT, Range, refuse_outside
from mlops_assets.core.record.entries import OnRecord, Rollback, RolloutMove
from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.stats.comparison import Paired
from mlops_assets.core.stats.intervals import CannotJudge, told_blocks
from mlops_assets.core.stats.metric_limits import DROP

_State = Literal["shadow", "canary", "watch", "champion", "rejected", "rolled_back"]
_HOURS = Range(0, 10 * 8760, 24, note=" hours")
_PERCENT = Range(0, 100, 5, above=True, below=True)
OPEN: tuple[_State, ...] = ("shadow", "canary", "watch")
"""States that something follows."""


@dataclass(frozen=True)
class RolloutPolicy:
    """How far and how fast a candidate goes. Every field may be set under `rollout:` in a model's YAML.

    Attributes:
        shadow: how long it only scores beside the champion, in hours of the model's clock; 24 by default, 0 skips it.
        canary: percent of the entities that it answers, step by step; (5, 25) by default, () skips it.
        step: how long each canary lasts, in hours, 24 by default.
        watch: how long the champion before it goes on scoring after the promotion, in hours, 168 by default.
        min_rows: scored rows that each step needs besides its time, 200 by default.
        max_drop: largest share by which its metric may lie under the champion's on matured labels, 0.05 by default; it
            stops when it does and is surely worse.
        max_error_rate: largest share of failed requests, 0.01 by default; it stops when it is surely above.
        max_p99_ms: largest 99th percentile of the answering time in milliseconds, 200 by default; it stops when surely
            more than one answer in a hundred took longer.
        max_psi: largest distance of its scores from the champion's on the same rows, 0.5 by default: another model may
            well score otherwise, and half a unit is another world.
        max_calibration_rise: by how much its calibration error on matured labels may exceed the other version's on the
            same rows, 0.05 by default: a base rate that moves takes the calibration of both.
        pause: how long no training starts by itself after the platform went back, in hours, 168 by default; 0 for none.
    """

    shadow: Annotated[float, _HOURS] = 24.0
    canary: tuple[Annotated[float, _PERCENT], ...] = (5.0, 25.0)
    step: Annotated[float, _HOURS] = 24.0
    watch: Annotated[float, _HOURS] = 168.0
    min_rows: Annotated[int, ROW_COUNT] = 200
    max_drop: Annotated[float | None, DROP] = 0.05
    max_error_rate: Annotated[float | None, PART] = 0.01
    max_p99_ms: Annotated[float | None, Range(0, 1e6, 200, above=True)] = 200.0
    max_psi: Annotated[float | None, PSI] = 0.5
    max_calibration_rise: Annotated[float | None, PART] = 0.05
    pause: Annotated[float, _HOURS] = 168.0

    def __post_init__(self) -> None:
        refuse_outside(RolloutPolicy, vars(self), "rollout")
        object.__setattr__(self, "canary", tuple(float(share) for share in self.canary))
        if any(not 0.0 < share < 100.0 for share in self.canary) or list(self.canary) != sorted(set(self.canary)):
            msg = f"rollout.canary is {list(self.canary)}: write growing percentages between 0 and 100, such as [5, 25]"
            raise ValueError(msg)

    @classmethod
    def of_preset(cls, name: str) -> Self:
        """`careful` (the default), `quick` (an hour each), `direct` (no shadow, no canary, no watch)."""
        presets: dict[str, dict[str, Any]] = {
            "careful": {},
            "quick": {"shadow": 1.0, "step": 1.0, "watch": 24.0},
            "direct": {"shadow": 0.0, "canary": (), "watch": 0.0},
        }
        if name not in presets:
            msg = f"there is no rollout preset {name!r}: choose one of {', '.join(presets)}"
            raise ValueError(msg)
        return cls(**presets[name])


@dataclass(frozen=True)
class Rollout:
    """Where a candidate stands.

    Attributes:
        version: the candidate.
        champion: the version that it is to follow, or has followed; None for a first model.
        state: see the module.
        step: number of the canary, from 0.
        since: when it entered this state or step, by the model's clock.
        decision: id of the decision that asked for it.
    """

    version: int
    champion: int | None
    state: _State
    step: int
    since: datetime
    decision: str

    @property
    def is_open(self) -> bool:
        """Whether something follows."""
        return self.state in OPEN

    def share(self, policy: RolloutPolicy) -> float:
        """Share of the entities that the candidate answers, 0 to 1."""
        if self.state == "canary":
            # A canary that has been taken out of the policy meanwhile answers nothing more.
            return policy.canary[self.step] / 100.0 if self.step < len(policy.canary) else 0.0
        return 1.0 if self.state in ("watch", "champion") else 0.0

    @property
    def answers(self) -> bool:
        """Whether the candidate is champion."""
        return self.state in ("watch", "champion")


@dataclass(frozen=True)
class Seen:
    """What was measured of a candidate since it entered its step. None is what nobody measured; it stops nothing.

    Attributes:
        rows: rows that it scored.
        answers: requests that it answered online.
        errors: requests that failed by its fault.
        slow: answers that took longer than the policy's `max_p99_ms`.
        loaded: whether it could be loaded and its hash agrees.
        gain: it against the other version (the champion; in the watch the one before) on matured labels of the same
            rows since the rollout began; positive is better.
        p99_ms: of the time of an answer, milliseconds.
        psi: of its scores against the other's on the same rows.
        calibration_rise: its calibration error on matured labels less the other's on the same rows (binary).
    """

    rows: int
    answers: int = 0
    errors: int = 0
    slow: int = 0
    loaded: bool = True
    gain: Paired | CannotJudge | None = None
    p99_ms: float | None = None
    psi: float | None = None
    calibration_rise: float | None = None


@dataclass(frozen=True)
class Guardrail:
    """One limit: its number, whether it holds, and a sentence."""

    name: str
    holds: bool
    value: float | None
    limit: float | None
    sentence: str


@dataclass(frozen=True)
class Move:
    """What follows: the rollout as it is from now on, whether that is a change, and why."""

    rollout: Rollout
    moved: bool
    reason: str
    guardrails: tuple[Guardrail, ...]


def begin(version: int, champion: int | None, policy: RolloutPolicy, *, decision: str, now: datetime) -> Rollout:
    """A candidate's first state. A first model has nobody to be compared with and answers at once."""
    start = Rollout(version, champion, "shadow", 0, now, decision)
    if champion is None:
        return replace(start, state="champion")
    return start if policy.shadow > 0 else _next(start, policy, now)


def advance(
    rollout: Rollout, seen: Seen, policy: RolloutPolicy, now: datetime, *, in_leaps: bool = False, frozen: str = ""
) -> Move:
    """The next move.

    The same rollout, measurements and time give the same move; an ended rollout stays as it is.

    Args:
        rollout: where it stands.
        seen: what was measured since it entered this step.
        policy: what was agreed.
        now: the model's clock.
        in_leaps: whether the clock leaps from the end of one batch to that of the next, as a data clock does. A canary
            then begins when the step before it was over, so that a month of data is passed in one look; the watch
            always begins now, because nobody was served by the candidate before.
        frozen: why nothing goes forward, if so. What stops a candidate does so all the same.
    """
    if not rollout.is_open:
        return Move(
            rollout, False, f"The rollout of version {rollout.version} has ended: {_state_in_words(rollout.state)}.", ()
        )
    rails = tuple(guardrails(rollout, seen, policy))
    broken = [rail for rail in rails if not rail.holds]
    if broken:
        return Move(stopped(rollout, now), True, " ".join(rail.sentence for rail in broken), rails)
    lasts = duration(rollout, policy)
    if now - rollout.since < lasts:
        left = f"until {rollout.since + lasts:%Y-%m-%d %H:%M} UTC"
        return Move(rollout, False, f"Version {rollout.version} is in {where(rollout, policy)} {left}.", rails)
    if seen.rows < policy.min_rows and rollout.state != "watch":
        progress = f"{seen.rows:,} of {policy.min_rows:,} rows were scored"
        return Move(rollout, False, f"Version {rollout.version} is in {where(rollout, policy)}: {progress}.", rails)
    if frozen:
        return Move(rollout, False, frozen, rails)
    following = _next(rollout, policy, now)
    if in_leaps and following.state == "canary":
        following = replace(following, since=min(now, rollout.since + lasts))
    held = " ".join(rail.sentence for rail in rails) or "Nothing was measured that could stop it."
    return Move(following, True, f"{where(rollout, policy).capitalize()} is over. {held}", rails)


def stopped(rollout: Rollout, now: datetime) -> Rollout:
    """The end of a candidate that goes no further: rejected before it has answered anything, rolled back after."""
    return replace(rollout, state="rejected" if rollout.state == "shadow" else "rolled_back", since=now)


def guardrails(rollout: Rollout, seen: Seen, policy: RolloutPolicy) -> Iterator[Guardrail]:
    """Every limit that could be held against what was seen."""
    if not seen.loaded:
        yield Guardrail("loads", False, None, None, "It cannot be loaded, or its file is not the one registered.")
    if isinstance(seen.gain, Paired) and policy.max_drop is not None:
        yield _metric(rollout, seen.gain, policy.max_drop)
    if seen.answers + seen.errors and policy.max_error_rate is not None:
        yield _errors(seen, policy.max_error_rate)
    if seen.p99_ms is not None and policy.max_p99_ms is not None:
        yield _times(seen, seen.p99_ms, policy.max_p99_ms)
    for name, template, value, limit in (
        ("scores", "Its scores lie a PSI of {:.3g} from the other's (limit {:g})", seen.psi, policy.max_psi),
        ("calibration", "Its calibration error less the other's is {:.3g} (limit {:g})", seen.calibration_rise,
         policy.max_calibration_rise),
    ):  # fmt: skip
        if value is not None and limit is not None:
            yield Guardrail(name, value <= limit, value, limit, f"{template.format(value, limit)}.")


def _metric(rollout: Rollout, gain: Paired, max_drop: float) -> Guardrail:
    """In the watch going back costs nothing, so being surely worse is enough."""
    limit = 0.0 if rollout.state == "watch" else -max_drop * abs(gain.champion)
    worse = gain.upper < 0.0 and gain.gain < limit
    other = "the version before" if rollout.state == "watch" else "the champion"
    sentence = (
        f"On matured labels {gain.metric} is {gain.challenger:.4f} against {gain.champion:.4f} of {other}: gain "
        f"{gain.gain:+.4f} ({gain.confidence:.2%} interval {gain.lower:+.4f} to {gain.upper:+.4f}, {gain.n:,} rows on "
        f"{told_blocks(gain.n_blocks, gain.blocks)})."
    )
    return Guardrail("metric", not worse, gain.gain, limit, sentence)


def _errors(seen: Seen, limit: float) -> Guardrail:
    """Above the limit with 97.5 % confidence: one error in ten requests is chance."""
    asked = seen.answers + seen.errors
    surely = _surely(seen.errors, asked)
    sentence = f"{seen.errors:,} of {asked:,} requests failed, surely more than {surely:.2%} (limit {limit:.2%})."
    return Guardrail("errors", surely <= limit, seen.errors / asked, limit, sentence)


def _times(seen: Seen, p99_ms: float, limit: float) -> Guardrail:
    """The percentile of few answers is the slowest of them, so it is the share of slow ones that must be sure."""
    surely = _surely(seen.slow, seen.answers)
    most = f"99 % of its {seen.answers:,} answers" if seen.answers >= 100 else f"Its {counted(seen.answers, 'answer')}"
    sentence = (
        f"{most} took at most {p99_ms:.0f} ms (limit {limit:.0f}); surely more than "
        f"{surely:.2%} took longer than the limit (1 % may)."
    )
    return Guardrail("p99", surely <= 0.01, p99_ms, limit, sentence)


def _surely(count: int, of: int) -> float:
    """Lower end of a share's 95 % interval (Clopper and Pearson 1934)."""
    from scipy.stats import binomtest

    return float(binomtest(count, of).proportion_ci(0.95, method="exact").low)


def _next(rollout: Rollout, policy: RolloutPolicy, now: datetime) -> Rollout:
    """The state that follows when all went well."""
    if rollout.state == "shadow" and policy.canary:
        return replace(rollout, state="canary", step=0, since=now)
    if rollout.state == "canary" and rollout.step + 1 < len(policy.canary):
        return replace(rollout, step=rollout.step + 1, since=now)
    if rollout.state in ("shadow", "canary") and policy.watch > 0:
        return replace(rollout, state="watch", since=now)
    return replace(rollout, state="champion", since=now)


def duration(rollout: Rollout, policy: RolloutPolicy) -> timedelta:
    """How long a step lasts at least."""
    return timedelta(hours={"shadow": policy.shadow, "canary": policy.step, "watch": policy.watch}[rollout.state])


def where(rollout: Rollout, policy: RolloutPolicy) -> str:
    """An open rollout's step in words."""
    if rollout.state == "canary":
        return f"canary with {100.0 * rollout.share(policy):g} % of the entities"
    return rollout.state


def _state_in_words(state: _State) -> str:
    return {"champion": "it is champion", "rejected": "it was rejected", "rolled_back": "it was rolled back"}[state]


def rollbacks(entries: Iterable[OnRecord]) -> int:
    """How often a model went back: to a version from before, or out of a canary.

    Args:
        entries: its record.
    """
    return sum(
        isinstance(entry, Rollback)
        or (isinstance(entry, RolloutMove) and (entry.state, entry.before) == ("rolled_back", "canary"))
        for entry in entries
    )
