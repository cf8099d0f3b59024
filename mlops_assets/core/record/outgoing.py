"""What other systems are told of a model: entries of its record and failed drift checks, as events.

Here: which there are, and what each says. Not here: sending them (`world.alerts.webhooks`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from mlops_assets.core.record.entries import Decision, OnRecord, Promotion, Rejection, Rollback, RolloutMove

EventKind = Literal["decision", "promotion", "rejection", "rollback", "rollout", "drift"]
EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)


@dataclass(frozen=True)
class Outgoing:
    """One event.

    Attributes:
        id: of it; the same event has the same id, however often it is sent.
        kind: what happened.
        model: the monitored model, or the drift profile.
        at: when, aware.
        data: what is said of it, plain.
        about: which of the two.
    """

    id: str
    kind: EventKind
    model: str
    at: datetime
    data: dict[str, Any]
    about: Literal["model", "profile"] = "model"


def of_entry(entry: OnRecord, number: int) -> Outgoing | None:
    """The event of an entry of a model's record; None where it is nobody's business outside.

    Args:
        entry: the entry.
        number: its place in the record, from 1.
    """
    data: dict[str, Any]
    kind: EventKind
    if isinstance(entry, Decision):
        kind, data = "decision", {"decision": entry.id, "action": entry.action, "rule": entry.rule}
        data |= {"reasons": list(entry.reasons), "window": entry.window}
    elif isinstance(entry, Promotion | Rejection | Rollback | RolloutMove):
        kind = _KINDS[type(entry)]
        data = {"version": entry.version, "decision": entry.decision, "reason": entry.reason}
    else:
        return None
    if isinstance(entry, RolloutMove):
        data |= {"state": entry.state, "before": entry.before, "share": entry.share}
    return Outgoing(f"{entry.model}/{number}/{entry.id}", kind, entry.model, entry.at, data)


_KINDS: dict[type[OnRecord], EventKind] = {
    Promotion: "promotion",
    Rejection: "rejection",
    Rollback: "rollback",
    RolloutMove: "rollout",
}


def of_drift(
    model: str, check: str, window: str, at: datetime, *, value: float | None, limit: float | None, reason: str
) -> Outgoing:
    """The event of a drift check that failed in a window, which ended at a moment."""
    data = {"check": check, "window": window, "value": value, "limit": limit, "reason": reason}
    return Outgoing(f"{model}/{check}/{at.isoformat()}", "drift", model, at, data)


def of_profile(name: str, at: datetime, *, began: bool, since: datetime, reason: str) -> Outgoing:
    """The event of batches of a drift profile that have begun to drift, or match its reference again."""
    data = {"drift": began, "since": since.isoformat(), "reason": reason}
    id = f"drift/{name}/{since.isoformat()}/{'began' if began else 'ended'}"
    return Outgoing(id, "drift", name, at, data, about="profile")
