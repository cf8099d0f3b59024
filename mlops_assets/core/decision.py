"""A decision as it stands on record.

Here: the decision with its evidence, policy and reasons, and a change that would have led to another. Not here: how
it is reached (`rules`), which changes are tried (`counterfactuals`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Self

from mlops_assets.core.evidence import Evidence
from mlops_assets.core.history import Action, History
from mlops_assets.core.plain import moment, plain
from mlops_assets.core.retrain_policy import RetrainPolicy
from mlops_assets.core.rules import conclude


@dataclass(frozen=True)
class Counterfactual:
    """A change that would have led to another action; `replay` proves it.

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

    def replay(self, evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime) -> Action:
        """The action that `decide` takes with this change made to what it was given."""
        checks = [{**c.to_dict(), "passed": self.checks.get(c.name, c.passed)} for c in evidence.checks]
        changed = Evidence.from_dict({**evidence.to_dict(), "checks": checks, **self.evidence})
        agreed = RetrainPolicy.from_dict({**policy.to_dict(), **self.policy})
        return conclude(changed, agreed, history, now)[0]


@dataclass(frozen=True)
class Decision:
    """What follows from the evidence, with everything needed to understand and to replay it.

    Attributes:
        action: what to do.
        model: the monitored model.
        at: the clock.
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
