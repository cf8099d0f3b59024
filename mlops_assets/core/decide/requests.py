"""A person's word on a model, as far as decisions must know it.

Here: holding a model for a time (freeze, snooze), answering a proposal (approve, reject), what exactly a proposal asks,
and what became of a request. Not here: where it is written down (`world.record.record`), what it holds back (`rules`).
Imports nothing heavy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mlops_assets.core.record.entries import JUDGED, Decision, OnRecord, Promotion, Rejection, Request


@dataclass(frozen=True)
class Hold:
    """A freeze or a snooze.

    Attributes:
        by: its owner.
        reason: why.
        until: when it is over, by the model's clock, aware.
    """

    by: str
    reason: str
    until: datetime

    def holds(self, now: datetime) -> bool:
        """Whether it is not over yet."""
        return now < self.until

    @property
    def in_words(self) -> str:
        """In words."""
        return f"until {self.until:%Y-%m-%d %H:%M} UTC by {self.by}: {self.reason.rstrip('.')}."


@dataclass(frozen=True)
class Answer:
    """What a person said to a proposal.

    Attributes:
        decision: the proposal's id.
        question: what was proposed, see `question`.
        approved: or rejected.
        by: who.
        at: when, aware.
        reason: why; empty where none was given.
    """

    decision: str
    question: str
    approved: bool
    by: str
    at: datetime
    reason: str = ""

    @property
    def in_words(self) -> str:
        """In words."""
        what = "approved" if self.approved else "rejected"
        why = f": {self.reason.rstrip('.')}" if self.reason else ""
        return f"{self.by} {what} it (decision {self.decision}){why}."


@dataclass(frozen=True)
class PersonsRequest:
    """A person's request for a training, and what became of it.

    Attributes:
        by: who asked.
        at: when, by the wall's clock, aware.
        reason: why.
        decision: the id of the decision to train; None while there is none.
        outcome: the entry of the gate's answer; None while there is none.
    """

    by: str
    at: datetime
    reason: str
    decision: str | None = None
    outcome: Promotion | Rejection | None = None

    @property
    def in_words(self) -> str:
        """In words: `2013-06-01 10:00 UTC by ada (new feature): version 2 was rejected, because ...`."""
        head = f"{self.at:%Y-%m-%d %H:%M} UTC by {self.by} ({self.reason.rstrip('.')})"
        if self.decision is None:
            return f"{head}: it waits."
        if self.outcome is None:
            return f"{head}: its training has not been judged yet (decision {self.decision[:8]})."
        what = "promoted" if isinstance(self.outcome, Promotion) else "rejected"
        return f"{head}: version {self.outcome.version} was {what}, because {self.outcome.reason.rstrip('.')}."


def last_asked(entries: Sequence[OnRecord]) -> PersonsRequest | None:
    """The newest request of a person, as long as no later training has taken its place; None where there is none.

    Entries follow each other in the order of the record: a person's word has the wall's time, a decision the model's.
    """
    request: PersonsRequest | None = None
    for entry in entries:
        if isinstance(entry, Request):
            request = PersonsRequest(entry.by, entry.at, entry.reason)
        elif request and isinstance(entry, Decision) and entry.action == "retrain":
            request = replace(request, decision=entry.id) if request.decision is None else None
        elif request and isinstance(entry, JUDGED) and entry.decision == request.decision:
            request = replace(request, outcome=entry)
    return request


def question(evidence: Mapping[str, Any], action: str, rule: str, candidate: str | None) -> str:
    """What a proposal asks, as 16 hex digits: an answer holds for it, and for nothing else.

    The same change by the same rule, for the same champion, on the same newest window and looks of the probe. Labels
    that trickle in do not make it another question; a window that closes does.

    Args:
        evidence: plain, as it stands on record.
        action: what is proposed.
        rule: by which rule.
        candidate: what it acts by.
    """
    looks = (evidence.get("probe") or {}).get("looks")
    asked = [evidence.get("model"), evidence.get("champion_version"), evidence.get("window"), looks]
    text = json.dumps([*asked, action, rule, candidate], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
