"""What stands on record of a model: one type a kind of entry, with one codec.

Here: the kinds of entries, and plain values to and from them. Not here: what all of them have (`entry`), the file and
the hashes that link its lines (`world.record`), how a decision is reached (`core.decide`), an entry in words
(`commands.decisions`).

A field that some entries of a kind have and others have not is `UNSET` where it is missing: it is not written. Fields
have defaults, so that records of earlier versions are read; an entry of a kind that this version does not know is an
`OtherEntry`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from mlops_assets.core.record.entry import Entry, OtherEntry
from mlops_assets.core.record.shapes import check_shapes

Action = Literal["wait", "retrain", "revert", "propose_retrain", "propose_revert", "quarantine", "cannot_judge"]

PROPOSALS = ("propose_retrain", "propose_revert")
"""Actions that wait for a person's approval."""
ACTED = ("retrain", "revert")
"""Actions that are carried out."""


class Counterfactual(msgspec.Struct, frozen=True):
    """A change that would have led to another action; `decide.counterfactuals.replay` proves it.

    Attributes:
        sentence: the change and what would have followed.
        action: what would have followed.
        evidence: fields of the evidence, plain, as they would have been.
        checks: check -> whether it would have passed in every window of the evidence.
        policy: fields of the policy, plain, as they would have been.
    """

    sentence: str
    action: Action
    evidence: Mapping[str, Any] = {}
    checks: Mapping[str, bool] = {}
    policy: Mapping[str, Any] = {}


class Decision(Entry, frozen=True, kw_only=True, tag="decision"):
    """What follows from the evidence, with everything needed to understand and to replay it.

    Its `at` is the model's clock; where that stood still, because no good data came, the time that has gone by since.

    Attributes:
        action: what to do.
        rule: which of `decide.rules.RULES` decided.
        reasons: sentences a person reads, the deciding one first.
        counterfactuals: what would have changed the action.
        evidence: the evidence itself, plain.
        evidence_fingerprint: its SHA-256.
        policy: the policy in force, plain.
        window: label of the newest closed window.
        window_end: the end of the newest window that a check has looked at.
        candidate: what to act by, as the probe names it: `refit:<window>` or `revert:<version>`; None where it has
            not looked.
        question: what a proposal asks (`decide.requests.question`); None where nothing is proposed.
        id: the first 16 hex digits of the SHA-256 of model, evidence, policy, action and rule. An unchanged
            tick has the same id: use it as run key.
    """

    action: Action
    rule: str
    reasons: tuple[str, ...] = ()
    counterfactuals: tuple[Counterfactual, ...] = ()
    evidence: Mapping[str, Any] = {}
    evidence_fingerprint: str = ""
    policy: Mapping[str, Any] = {}
    window: str | None = None
    window_end: datetime | None = None
    candidate: str | None = None
    question: str | None = None

    @property
    def reason(self) -> str:
        """All reasons as one text."""
        return " ".join(self.reasons)


# --- a person's word ---------------------------------------------------------------------------------------


class Said(Entry, frozen=True, kw_only=True):
    """What a person said, who and why."""

    by: str = ""
    reason: str = ""


class Request(Said, frozen=True, kw_only=True, tag="request"):
    """Train the model; `force`: although it is frozen; `parameters`: fields of `training:` for this candidate alone."""

    force: bool | UnsetType = UNSET
    parameters: Mapping[str, Any] | UnsetType = UNSET


class Pause(Said, frozen=True, kw_only=True, tag="pause"):
    """Train nothing by yourself."""


class Resume(Said, frozen=True, kw_only=True, tag="resume"):
    """The pause is over."""


class Freeze(Said, frozen=True, kw_only=True, tag="freeze"):
    """No other version becomes champion until then."""

    until: datetime


class Unfreeze(Said, frozen=True, kw_only=True, tag="unfreeze"):
    """The freeze is over."""


class Snooze(Said, frozen=True, kw_only=True, tag="snooze"):
    """Train nothing by yourself until then; the platform says so too, when it has gone back."""

    until: datetime


class Wake(Said, frozen=True, kw_only=True, tag="wake"):
    """The snooze is over."""


class Approval(Said, frozen=True, kw_only=True, tag="approval"):
    """Do what was proposed: the decision that did, and its question."""

    decision: str
    question: str


class Refusal(Said, frozen=True, kw_only=True, tag="refusal"):
    """Do not; see `Approval`."""

    decision: str
    question: str


# --- what the platform did ---------------------------------------------------------------------------------


class QueueMove(Entry, frozen=True, kw_only=True, tag="queue"):
    """A training that was decided on left the queue (`left`) or came back to it (`back`), and no decision says so.

    Attributes:
        decision: that it was decided by.
        move: which of the two.
        reason: why.
    """

    decision: str
    move: Literal["left", "back"]
    reason: str = ""


POOL_DECISION = "pool-"
"""How the decision of a promotion begins by which a member of a fleet follows its pool."""


class Promotion(Entry, frozen=True, kw_only=True, tag="promotion"):
    """A version became champion.

    Attributes:
        version: which.
        decision: that led to it.
        previous: the champion before; None where there was none.
        promised: the gain that the gate found, plain; None where it compared nothing.
        fitted_until: labels known from then on were not seen by it.
        reason: why.
        by: who adopted it, of a model that was trained elsewhere.
    """

    version: int
    decision: str | None = None
    previous: int | None = None
    promised: dict[str, Any] | UnsetType | None = UNSET
    fitted_until: str | UnsetType | None = UNSET
    reason: str = ""
    by: str | UnsetType = UNSET

    @property
    def follows_pool(self) -> bool:
        """Whether a member of a fleet took over a champion of its pool: no training of its own was answered by that."""
        return (self.decision or "").startswith(POOL_DECISION)


class Rejection(Entry, frozen=True, kw_only=True, tag="rejection"):
    """A version did not become champion; see `Promotion`."""

    version: int
    decision: str | None = None
    fitted_until: str | UnsetType | None = UNSET
    reason: str = ""


class Rollback(Entry, frozen=True, kw_only=True, tag="rollback"):
    """A version became champion again; see `Promotion`. `by`: the person who said so."""

    version: int
    decision: str | None = None
    previous: int | None = None
    fitted_until: str | UnsetType | None = UNSET
    reason: str = ""
    by: str | UnsetType = UNSET


class RolloutMove(Entry, frozen=True, kw_only=True, tag="rollout"):
    """A candidate moved in its rollout, or left it.

    Attributes:
        version: the candidate.
        champion: whom it stands beside.
        decision: that started its training.
        state: where it is now.
        step: of a canary.
        since: from when on.
        share: of the entities that it answers.
        before: the state that it was in; None where the rollout began.
        reason: why.
        guardrails: what was looked at, plain.
        seen: what was measured, plain.
        promised: as of `Promotion`.
        fitted_until: as of `Promotion`.
        by: the person who said so.
    """

    version: int
    state: str
    champion: int | None = None
    decision: str = ""
    step: int = 0
    since: datetime
    share: float = 0.0
    before: str | None = None
    reason: str = ""
    guardrails: list[Mapping[str, Any]] = msgspec.field(default_factory=list)
    seen: dict[str, Any] | None = None
    promised: dict[str, Any] | UnsetType | None = UNSET
    fitted_until: str | UnsetType | None = UNSET
    by: str | UnsetType = UNSET


class OutcomeFound(Entry, frozen=True, kw_only=True, tag="outcome"):
    """What became of a promotion: the gain that was promised against the one that came, both plain."""

    version: int
    promotion: str
    decision: str | None = None
    against: int | None = None
    window: str = ""
    result: str
    promised: dict[str, Any] | None = None
    realised: dict[str, Any] | None = None
    reason: str = ""


class WorseThanGuessing(Entry, frozen=True, kw_only=True, tag="failing"):
    """A champion began to be worse than guessing, or is so no more (`result`), and what was done (`did`)."""

    version: int
    result: str
    on_failing: str = ""
    did: str = ""
    reason: str = ""


class ClassCame(Entry, frozen=True, kw_only=True, tag="new_class"):
    """Labels of a class have come that the champion cannot say."""

    version: int
    code: Any = msgspec.field(name="class", default=None)
    reason: str = ""


class ClassWent(Entry, frozen=True, kw_only=True, tag="gone_class"):
    """A class that the champion knows comes no more."""

    version: int
    code: Any = msgspec.field(name="class", default=None)
    reason: str = ""


class WindowVerdict(msgspec.Struct, frozen=True):
    """Whether the performance of a window held, by which number, in words."""

    passed: bool | None
    value: float | None
    sentence: str


class Restatement(Entry, frozen=True, kw_only=True, tag="restatement"):
    """A window was judged again since its labels had changed: the verdict before and after."""

    window: str = ""
    reason: str = ""
    before: WindowVerdict | UnsetType = UNSET
    after: WindowVerdict | UnsetType = UNSET


OnRecord = Entry | OtherEntry
REIGN_BEGINS = (Promotion, Rollback)
"""A `version` becomes champion."""
JUDGED = (Promotion, Rejection)
"""What a retraining ends in."""
CONCLUDED = (*JUDGED, RolloutMove)
"""What says that a retraining has been through the gate."""
ENDED_BY: Mapping[type[Said], type[Said]] = {Pause: Resume, Freeze: Unfreeze, Snooze: Wake}
"""What a person holds a model back by, and what ends it."""

_KINDS: Mapping[str, type[Entry]] = {
    kind.__struct_config__.tag: kind  # type: ignore[misc]
    for kind in (
        Decision, Request, Pause, Resume, Freeze, Unfreeze, Snooze, Wake, Approval, Refusal, Promotion, Rejection,
        Rollback, RolloutMove, QueueMove, OutcomeFound, WorseThanGuessing, ClassCame, ClassWent, Restatement,
    )
}  # fmt: skip
E = TypeVar("E", bound=Entry)
R = TypeVar("R", Entry, OtherEntry)


def entry_of(values: Mapping[str, Any]) -> OnRecord:
    """The entry that plain values are; fields that its kind does not have are left out.

    Raises:
        ValueError: they are none.
    """
    kind = _KINDS.get(values["kind"])
    if kind is None:
        return _in_utc(msgspec.convert({**values, "values": dict(values)}, OtherEntry))
    check_shapes(values)
    return _in_utc(msgspec.convert(values, kind))


def _in_utc(entry: R) -> R:
    """The same entry with all its moments in UTC, which a record of before may have left out.

    Raises:
        ValueError: a moment is outside the calendar.
    """
    fields = msgspec.structs.asdict(entry)
    moments = {name: value for name, value in fields.items() if isinstance(value, datetime) and value.tzinfo is not UTC}
    try:
        moments = {n: m.astimezone(UTC) if m.tzinfo else m.replace(tzinfo=UTC) for n, m in moments.items()}
    except OverflowError as error:
        raise ValueError(f"a moment is outside the calendar: {error}") from error
    return msgspec.structs.replace(entry, **moments) if moments else entry


def only(entries: Iterable[OnRecord], kind: type[E]) -> list[E]:
    """The entries of one kind, in their order."""
    return [entry for entry in entries if isinstance(entry, kind)]
