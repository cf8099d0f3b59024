"""What a model's record says to the other models: the training that waits, and the gain that was tested last.

Here: reading a record from its end, once for each change of its file, so that a tick over a thousand models with
nothing new opens none. Not here: the queue (`waiting`), the test (`discoveries`), whether a record is sound: a line
that cannot be read says nothing here, and is that model's own incident.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from mlops_assets.core.decide.fleet.false_discoveries import AmongLooks
from mlops_assets.core.decide.requests import Hold
from mlops_assets.core.record.entries import (
    CONCLUDED,
    Decision,
    Freeze,
    OnRecord,
    Promotion,
    QueueMove,
    Rollback,
    Snooze,
)
from mlops_assets.core.record.plain_values import from_plain, moment
from mlops_assets.world.record.chain import DamagedRecord
from mlops_assets.world.record.record import Record, RecordLine

HELD = "many_looks"
"""The rule by which a gain that is not certain enough among others waits."""
_ANSWERS = tuple(f'"kind": "{kind}"' for kind in ("promotion", "rejection", "rollback", "rollout"))


@dataclass(frozen=True)
class TestedGain:
    """A gain that asked for a training, by the look that measured it.

    Attributes:
        day: of the look, in UTC by the model's clock.
        p: its p-value.
        among: how sure it had to be; None where that was not asked.
        is_held: whether it is the newest decision, and waits since it was not sure enough.
    """

    day: date
    p: float
    among: AmongLooks | None
    is_held: bool


@dataclass(frozen=True)
class OnFile:
    """What a record says.

    Attributes:
        waiting: the decision to train that has led to no verdict, and that nothing has taken out of the queue.
        since: when the first of the decisions was made that it continues; of a person's request, of itself.
        tested: the newest gain that asked for a training; None where none did.
        moves: how often a training of the model has left the queue or come back.
        frozen: the newest freeze that nobody has lifted, where a training waits; whether it holds follows from the
            clock.
        snoozed: the same for a snooze.
    """

    waiting: Decision | None = None
    since: datetime | None = None
    tested: TestedGain | None = None
    moves: int = 0
    frozen: Hold | None = None
    snoozed: Hold | None = None


def on_file(record: Record, model: str) -> OnFile:
    """What the record of a model says now; nothing without a record, and of one that cannot be read."""
    folder = os.fspath(record.folder)
    try:
        known = os.stat(f"{folder}/{model}.jsonl")  # noqa: PTH116  a thousand models at every tick: a Path costs more
    except FileNotFoundError:
        return OnFile()
    return _read(folder, model, known.st_mtime_ns, known.st_size, known.st_ino)


def is_asked(decision: Decision) -> bool:
    """Whether a person asked for what was decided, or approved it: then a later decision does not take it back."""
    return decision.rule == "request" or bool((decision.evidence.get("answer") or {}).get("approved"))


def asks_by_gain(decision: Decision) -> bool:
    """Whether the probe alone asks: of what people have agreed on, asked for or approved nobody says it was found.

    A champion that is worse than guessing is trained anew whatever its gain is.
    """
    agreed, evidence = decision.policy.get("on"), decision.evidence
    is_gain = decision.rule in ("gain", HELD)
    return is_gain and not agreed and not is_asked(decision) and not evidence.get("failing")


@lru_cache(maxsize=16_384)
def _read(folder: str, model: str, *stamp: int) -> OnFile:
    del stamp
    record = Record(Path(folder))
    try:
        known = _from_the_end(record, model)
        if known.waiting is None:
            return known
        freeze, snooze = record.standing(model, Freeze), record.standing(model, Snooze)
        return replace(known, frozen=_hold(freeze), snoozed=_hold(snooze))
    except (DamagedRecord, ValueError):
        # The model's own alert says so, and nothing is decided on it.
        return OnFile()


def _from_the_end(record: Record, model: str) -> OnFile:
    reading = _Reading()
    for line in record.newest(model):
        if reading.is_done:
            break
        if line.says('"kind": "queue"'):
            reading.move(line.entry)
        elif line.says(*_ANSWERS):
            if not reading.is_closed:
                reading.answer(line.entry)
        elif line.says('"kind": "decision"') and reading.needs(line):
            reading.decision(line.entry)
    return OnFile(reading.waiting, reading.since, reading.tested, reading.moves)


def _hold(entry: Freeze | Snooze | None) -> Hold | None:
    return Hold(entry.by, entry.reason, entry.until) if entry else None


@dataclass
class _Reading:
    """How far a record was read from its end.

    Attributes:
        waiting: see `OnFile`, and so are the next ones.
        is_closed: whether nothing that stands before can wait any more, or be continued by what does.
        is_newest: whether no decision was read yet.
        back: the id of a decision that has come back to the queue, and was not read yet.
    """

    waiting: Decision | None = None
    since: datetime | None = None
    tested: TestedGain | None = None
    moves: int = 0
    is_closed: bool = False
    is_newest: bool = True
    back: str = ""

    @property
    def is_done(self) -> bool:
        return self.is_closed and self.tested is not None

    def move(self, entry: OnRecord) -> None:
        """One into the queue or out of it; before a newer decision it counts no more."""
        self.moves += 1
        if isinstance(entry, QueueMove) and self.is_newest and not self.back and not self.is_closed:
            self.back, self.is_closed = (entry.decision, False) if entry.move == "back" else ("", True)

    def answer(self, entry: OnRecord) -> None:
        """What was decided before a verdict has had it."""
        follows_pool = isinstance(entry, Promotion) and entry.follows_pool
        self.is_closed = isinstance(entry, (*CONCLUDED, Rollback)) and not follows_pool

    def needs(self, line: RecordLine) -> bool:
        """Whether a decision's line is to be read; one that waits ends what was decided before it without that."""
        trains = line.begins('{"action": "retrain"')
        if self.waiting is not None and not trains:
            self.is_closed = True
        asks = self.tested is None and line.says('"rule": "gain"', f'"rule": "{HELD}"')
        is_tested = asks and line.says('"looked_at": ')
        return self.is_newest or is_tested or (trains and not self.is_closed)

    def decision(self, entry: OnRecord) -> None:
        """One of them."""
        if not isinstance(entry, Decision):
            return
        self.tested = self.tested or _tested(entry, is_newest=self.is_newest)
        if not self.is_closed and entry.action == "retrain":
            if self.waiting is not None:
                self._continued(self.waiting, entry)
            elif self.back:
                self._waits(entry, counts=entry.id == self.back)
            else:
                # After another decision only a person's word stands.
                self._waits(entry, counts=self.is_newest or is_asked(entry))
                self.is_closed = self.waiting is None
        self.is_newest = False

    def _waits(self, entry: Decision, *, counts: bool) -> None:
        if counts:
            self.waiting, self.since = entry, entry.at

    def _continued(self, waiting: Decision, entry: Decision) -> None:
        """Whether a training waited before by another decision on the same champion."""
        versions = (each.evidence.get("champion_version") for each in (waiting, entry))
        if is_asked(waiting) or len({*versions}) > 1:
            self.is_closed = True
        else:
            self.since = entry.at


def _tested(decision: Decision, *, is_newest: bool) -> TestedGain | None:
    if not asks_by_gain(decision):
        return None
    probe: dict[str, Any] = decision.evidence.get("probe") or {}
    p, at, among = (probe.get("refit") or {}).get("p"), probe.get("looked_at"), decision.evidence.get("among")
    if p is None or at is None:
        return None
    known = from_plain(AmongLooks, among) if among else None
    return TestedGain(moment(at).astimezone(UTC).date(), float(p), known, is_newest and decision.rule == HELD)
