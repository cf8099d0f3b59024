"""The earlier decisions on a model, as far as the next one must know them.

Here: `History`. Not here: a decision itself (`core.record.entries`), how it is reached (`rules`), reading them from the
record (`steps.decide.evidence`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from mlops_assets.core.record.entries import CONCLUDED, PROPOSALS, Action, Decision, OnRecord, only
from mlops_assets.core.record.plain_values import moment

_PUT_OFF = ("quiet_hours",)
"""Rules by which what is asked for is done later, unless the evidence has changed by then."""


@dataclass(frozen=True)
class Past:
    """An earlier decision, as far as the next one must know it.

    `judged` holds for each check, and `triggered` for each agreed trigger, the end of the newest window it had looked
    at; `labels`: how many were known.
    """

    at: datetime
    action: Action
    evidence_fingerprint: str
    rule: str = ""
    judged: Mapping[str, datetime] = field(default_factory=dict)
    labels: int = 0
    triggered: Mapping[str, datetime] = field(default_factory=dict)


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

    @classmethod
    def of_record(cls, entries: Sequence[OnRecord]) -> Self:
        """The history in a record, without retrainings that broke before the gate: they answered nothing."""
        concluded = {entry.decision for entry in entries if isinstance(entry, CONCLUDED)}
        decisions = only(entries, Decision)
        return cls.of(decision for decision in decisions if decision.action != "retrain" or decision.id in concluded)

    @property
    def retrains(self) -> tuple[Past, ...]:
        """The decisions that started a retraining."""
        return tuple(p for p in self.decisions if p.action == "retrain")

    def judged_until(self, check: str) -> datetime | None:
        """The end of the newest window that any earlier decision knew this check's answer on.

        Where what it asked for was proposed or put off, it has not been answered.
        """
        return _newest(check, (p.judged for p in self._settled))

    @property
    def _settled(self) -> Iterable[Past]:
        return (p for p in self.decisions if p.action not in PROPOSALS and p.rule not in _PUT_OFF)

    def trigger_judged(self, name: str) -> datetime | None:
        """The end of the newest window that any earlier decision knew an agreed trigger's answer on."""
        return _newest(name, (p.triggered for p in self._settled))

    def trigger_answered(self, name: str) -> datetime | None:
        """The end of its newest window that the last retraining has answered."""
        return _newest(name, (p.triggered for p in self.retrains))

    @property
    def answered_until(self) -> datetime | None:
        """The end of the newest window that the last retraining has answered."""
        return max((end for p in self.retrains for end in p.judged.values()), default=None)


def _newest(name: str, ends: Iterable[Mapping[str, datetime]]) -> datetime | None:
    return max((each[name] for each in ends if name in each), default=None)


def _judged(checks: Iterable[Mapping[str, Any]]) -> dict[str, datetime]:
    judged: dict[str, datetime] = {}
    for check in (c for c in checks if c["passed"] is not None):
        end = moment(check["window_end"])
        judged[check["name"]] = max(end, judged.get(check["name"], end))
    return judged


def _past(decision: Decision) -> Past:
    checks, triggers = (decision.evidence.get(field, ()) for field in ("checks", "triggers"))
    at_fit = decision.evidence.get("labels_at_fit", 0)
    labels = at_fit + decision.evidence.get("matured_labels", 0) if at_fit else 0
    return Past(
        decision.at,
        decision.action,
        decision.evidence_fingerprint,
        decision.rule,
        judged=_judged(checks),
        labels=labels,
        triggered=_judged(triggers),
    )
