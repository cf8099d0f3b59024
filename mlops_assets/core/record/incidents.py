"""Incidents: one a thing that is wrong, from the first report through its updates to the all-clear.

Here: the state of all incidents of a home as plain values, what a report, an end or a day's digest changes in it, and
the messages that follow. Not here: the file it is kept in (`world.alerts.incidents`), where messages go
(`world.alerts.channels`), noticing (`assets.platform.sensors`).

Every function is pure: the same state and report give the same new state, and a report that is known changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any, Literal, NotRequired, Self, TypedDict

from mlops_assets.core.record.plain_values import Moment, as_plain, counted, from_plain

Severity = Literal["page", "notify", "digest"]
"""A person now, a person today, a line among others once a day."""
SEVERITIES: tuple[Severity, ...] = ("page", "notify", "digest")
MessageKind = Literal["opened", "updated", "closed", "digest"]
KEPT = timedelta(days=30)
"""How long an incident that is over is remembered, so that a late report of the same fact does not open it again."""
GIVE_UP = timedelta(days=1)
"""A message that no channel took for so long is dropped; it counts as undelivered."""


@dataclass(frozen=True)
class Report:
    """What a person is told about an incident.

    Attributes:
        fact: identity of what was seen; the same fact is told once.
        happened: what happened.
        did: what the platform did about it.
        do: what a person can do.
        runbook: anchor in docs/runbook.md.
        severity: how much it hurries.
        run: the run in question, if there is one.
    """

    fact: str
    happened: str
    did: str
    do: str
    runbook: str
    severity: Severity = "notify"
    run: str | None = None

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            msg = f"severity is {self.severity!r}: use one of {', '.join(SEVERITIES)}"
            raise ValueError(msg)


class Alert(TypedDict):
    """One thing to tell a person.

    Attributes:
        incident: identity of what was seen, for example the run or the stale source and since when.
        happened: what happened.
        did: what the platform did about it.
        do: what a person can do.
        runbook: anchor in docs/runbook.md.
        key: what it is about. While that lasts, another `incident` of the same key is an update of it and no alert of
            its own. By default the incident itself.
        severity: its route, `notify` by default; a `digest` is a line in the next digest.
        run: the run in question.
    """

    incident: str
    happened: str
    did: str
    do: str
    runbook: str
    key: NotRequired[str]
    severity: NotRequired[Severity]
    run: NotRequired[str | None]


@dataclass(frozen=True)
class Incident:
    """One thing that is wrong, or was.

    Attributes:
        key: what it is about: a kind and a subject, as `performance/flight_delay`.
        report: what was last told.
        opened_at: when it was first reported.
        updated_at: when it was last reported.
        severity: the highest that it had; the all-clear goes where the alarm went.
        facts: what was told so far.
        closed_at: when it was over; None while it lasts.
    """

    key: str
    report: Report
    opened_at: Moment
    updated_at: Moment
    severity: Severity
    facts: tuple[str, ...]
    closed_at: Moment | None = None

    @property
    def is_open(self) -> bool:
        """Whether it lasts."""
        return self.closed_at is None


@dataclass(frozen=True)
class Message:
    """Something to send, and how far that has come.

    Attributes:
        number: its place in the order of messages.
        kind: opened, updated, closed or digest.
        severity: its route.
        title: one line.
        report: what it tells; None for a digest.
        text: a digest's lines, or why an incident is over.
        at: when it was made.
        delivered: the channels that took it.
        sending: the channel that it was being sent to when the state was last written.
    """

    number: int
    kind: MessageKind
    severity: Severity
    title: str
    report: Report | None
    text: str
    at: Moment
    delivered: tuple[str, ...] = ()
    sending: str | None = None


@dataclass(frozen=True)
class State:
    """All incidents of a home, the messages that wait to be sent, and the lines of the next digest.

    Attributes:
        incidents: by key.
        outbox: oldest first.
        digest: lines that wait for the digest.
        digest_at: when the last digest was made, or the first line came.
        number: of the last message.
        undelivered: messages that were given up.
    """

    incidents: Mapping[str, Incident] = field(default_factory=dict)
    outbox: tuple[Message, ...] = ()
    digest: tuple[str, ...] = ()
    digest_at: Moment | None = None
    number: int = 0
    undelivered: int = 0

    @property
    def open(self) -> tuple[Incident, ...]:
        """Those that last, oldest first."""
        return tuple(sorted((i for i in self.incidents.values() if i.is_open), key=lambda i: (i.opened_at, i.key)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        values: dict[str, Any] = as_plain(replace(self, incidents=dict(sorted(self.incidents.items()))))
        return values

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises:
            ValueError: the values are no state.
        """
        state = from_plain(cls, data)
        if absent := [each.name for each in fields(cls) if each.name not in data]:
            raise ValueError(f"it says nothing of {', '.join(absent)}")
        return state


def reported(state: State, key: str, report: Report, now: datetime) -> State:
    """The state after a report: an incident opened, or updated, or nothing new.

    Args:
        state: as it was.
        key: what it is about.
        report: what was seen.
        now: aware.
    """
    known = state.incidents.get(key)
    if known is not None and report.fact in known.facts:
        return state
    if known is None or not known.is_open:
        incident = Incident(key, report, now, now, report.severity, (report.fact,))
        return _announced(_with(state, incident), incident, "opened", report.severity, now)
    incident = replace(
        known,
        report=report,
        updated_at=now,
        severity=min(known.severity, report.severity, key=SEVERITIES.index),
        facts=(*known.facts, report.fact),
    )
    return _announced(_with(state, incident), incident, "updated", report.severity, now)


def ended(state: State, key: str, now: datetime, why: str) -> State:
    """The state after the end of an incident, with its all-clear; nothing changes if it is not open."""
    known = state.incidents.get(key)
    if known is None or not known.is_open:
        return state
    incident = replace(known, closed_at=now)
    kept = {k: i for k, i in state.incidents.items() if i.closed_at is None or now - i.closed_at < KEPT}
    return _announced(_with(replace(state, incidents=kept), incident), incident, "closed", known.severity, now, why)


def digested(state: State, now: datetime, *, hour: int) -> State:
    """The state with the waiting lines made one message, once a day from `hour` (UTC) on; else as it was.

    Open incidents are named too; a day without a line has no digest.
    """
    if not state.digest or state.digest_at is None:
        return state
    due = state.digest_at.replace(hour=hour, minute=0, second=0, microsecond=0)
    if due <= state.digest_at:
        due += timedelta(days=1)
    return digest_now(state, now) if now >= due else state


def digest_now(state: State, now: datetime) -> State:
    """The state with the waiting lines made one message; as it was where nothing waits."""
    if not state.digest:
        return state
    still = [f"{i.key} since {i.opened_at:%Y-%m-%d %H:%M} UTC: {i.report.happened}" for i in state.open]
    lines = [*state.digest, *(["", "Open now:", *still] if still else [])]
    made = Message(
        number=state.number + 1,
        kind="digest",
        severity="digest",
        title=f"Digest: {counted(len(state.digest), 'thing')} that can wait",
        report=None,
        text="\n".join(lines),
        at=now,
    )
    return replace(state, outbox=(*state.outbox, made), digest=(), digest_at=now, number=made.number)


def marked(state: State, message: Message) -> State:
    """The state with a message of the outbox as it is now."""
    return replace(state, outbox=tuple(message if m.number == message.number else m for m in state.outbox))


def removed(state: State, number: int, *, undelivered: bool = False) -> State:
    """The state without a message: every channel has it, or it was given up."""
    left = tuple(m for m in state.outbox if m.number != number)
    return replace(state, outbox=left, undelivered=state.undelivered + undelivered)


def _with(state: State, incident: Incident) -> State:
    return replace(state, incidents={**state.incidents, incident.key: incident})


def _announced(
    state: State, incident: Incident, kind: MessageKind, severity: Severity, now: datetime, why: str = ""
) -> State:
    """A message for it, or a line of the digest where it can wait."""
    words = {"opened": "", "updated": "Update: ", "closed": "All clear: "}[kind]
    if severity == "digest":
        text = why if kind == "closed" else f"{incident.report.happened} {incident.report.did}"
        line = f"{words}{incident.key}: {text}"
        return replace(state, digest=(*state.digest, line), digest_at=state.digest_at if state.digest else now)
    made = Message(
        number=state.number + 1,
        kind=kind,
        severity=severity,
        title=f"{words}{incident.key}",
        report=incident.report,
        text=why,
        at=now,
    )
    return replace(state, outbox=(*state.outbox, made), number=made.number)
