"""A decision as it stands on record.

Here: the actions, the decision with its evidence, policy and reasons, a change that would have led to another, and
the earlier decisions as far as the next one must know them (`History`). Not here: how it is reached (`rules`), which
changes are tried and replayed (`counterfactuals`), reading them from the record (`steps.decide.evidence`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal, Self

from mlops_assets.core.record.plain_values import moment, plain

Action = Literal["wait", "retrain", "revert", "propose_retrain", "propose_revert", "quarantine", "cannot_judge"]


PROPOSALS = ("propose_retrain", "propose_revert")
"""What waits for a person's approval."""
_PUT_OFF = ("quiet_hours",)
"""Rules by which what is asked for is done later, unless the evidence has changed by then."""


@dataclass(frozen=True)
class Past:
    """An earlier decision, as far as the next one must know it.

    `judged` holds for each check the end of the newest window it had looked at; `labels`: how many were known.
    """

    at: datetime
    action: Action
    evidence_fingerprint: str
    rule: str = ""
    judged: Mapping[str, datetime] = field(default_factory=dict)
    labels: int = 0


@dataclass(frozen=True)
class History:
    """The earlier decisions on one model, oldest first.

    Leave out retrainings whose run broke before the gate: they have answered nothing and cost no budget.
    """

    decisions: tuple[Past, ...] = ()

    @classmethod
    def of(cls, decisions: Iterable[Decision]) -> Self:
        """The history that these decisions (in any order) make."""
        return cls(tuple(sorted((_past(d) for d in decisions), key=lambda p: p.at)))

    @property
    def retrains(self) -> tuple[Past, ...]:
        """The decisions that started a retraining."""
        return tuple(p for p in self.decisions if p.action == "retrain")

    def judged_until(self, check: str) -> datetime | None:
        """The end of the newest window that any earlier decision knew this check's answer on.

        Where what it asked for was proposed or put off, it has not been answered.
        """
        seen = (p for p in self.decisions if p.action not in PROPOSALS and p.rule not in _PUT_OFF)
        return max((p.judged[check] for p in seen if check in p.judged), default=None)

    @property
    def answered_until(self) -> datetime | None:
        """The end of the newest window that the last retraining has answered."""
        return max((end for p in self.retrains for end in p.judged.values()), default=None)


def _past(decision: Decision) -> Past:
    judged: dict[str, datetime] = {}
    for check in (c for c in decision.evidence["checks"] if c["passed"] is not None):
        end = moment(check["window_end"])
        judged[check["name"]] = max(end, judged.get(check["name"], end))
    at_fit = decision.evidence.get("labels_at_fit", 0)
    labels = at_fit + decision.evidence["matured_labels"] if at_fit else 0
    return Past(decision.at, decision.action, decision.evidence_fingerprint, decision.rule, judged, labels)


@dataclass(frozen=True)
class Counterfactual:
    """A change that would have led to another action; `counterfactuals.replay` proves it.

    Attributes:
        sentence: the change and what would have followed.
        action: what would have followed.
        evidence: fields of the evidence, plain, as they would have been.
        checks: check -> whether it would have passed in every window of the evidence.
        policy: fields of the policy, plain, as they would have been.
    """

    sentence: str
    action: Action
    evidence: Mapping[str, Any] = field(default_factory=dict)
    checks: Mapping[str, bool] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """What follows from the evidence, with everything needed to understand and to replay it.

    Attributes:
        action: what to do.
        model: the monitored model.
        at: the clock; where it stood still, because no good data came, the time that has gone by since.
        rule: which of `RULES` decided.
        reasons: sentences a person reads, the deciding one first.
        counterfactuals: what would have changed the action.
        evidence: the evidence itself, plain.
        evidence_fingerprint: its SHA-256.
        policy: the policy in force, plain.
        window: label of the newest closed window.
        window_end: the end of the newest window that a check has looked at.
        candidate: what to act by, as the probe names it: `refit:<window>` or `revert:<version>`; None where it has
            not looked.
        question: what a proposal asks (`words.question`); None where nothing is proposed.
        id: the first 16 hex digits of the SHA-256 of model, evidence, policy, action and rule. An unchanged
            tick has the same id: use it as run key.
    """

    action: Action
    model: str
    at: datetime
    rule: str
    reasons: tuple[str, ...]
    counterfactuals: tuple[Counterfactual, ...]
    evidence: Mapping[str, Any]
    evidence_fingerprint: str
    policy: Mapping[str, Any]
    window: str | None
    window_end: datetime | None
    candidate: str | None
    question: str | None
    id: str

    @property
    def reason(self) -> str:
        """All reasons as one text."""
        return " ".join(self.reasons)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the ledger."""
        values = {f.name: plain(getattr(self, f.name)) for f in fields(self)}
        changes = [{f.name: plain(getattr(c, f.name)) for f in fields(c)} for c in self.counterfactuals]
        return {**values, "counterfactuals": changes}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; keys of the ledger that are not the decision's are left out."""
        # Decisions from before the probe name no candidate, and from before proposals no question.
        known = {"candidate": None, "question": None, **{f.name: data[f.name] for f in fields(cls) if f.name in data}}
        end = known["window_end"]
        return cls(
            **{
                **known,
                "at": moment(known["at"]),
                "window_end": None if end is None else moment(end),
                "reasons": tuple(known["reasons"]),
                "counterfactuals": tuple(Counterfactual(**c) for c in known["counterfactuals"]),
            }
        )
