"""The record of a model in plain files: what was decided, asked for, paused, promoted and rejected.

Here: appending an entry once, reading back, and what the entries say together (an open request, a pause, who was
champion when). Not here: what an entry is (`core.record.entries`), deciding (`core.decide.policy`), the hashes that
link the entries (`chain`), the same record as a Dagster resource (`ledger`).

Imports nothing heavy: the commands that only read or write the record answer at once.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from mlops_assets.core.record.entries import (
    ACTED,
    ENDED_BY,
    Approval,
    Decision,
    E,
    Freeze,
    OnRecord,
    Pause,
    Promotion,
    Refusal,
    Request,
    Rollback,
    Snooze,
    entry_of,
)
from mlops_assets.core.record.entry import kind_of
from mlops_assets.world.files.locks import alone
from mlops_assets.world.record.chain import HASH, Checked, DamagedRecord, Head, chained, check, lines_of, parsed

_KEPT = 8
"""Records that a process keeps as it read them: one look at a model asks for its record a dozen times."""
_SETTLED_NS = 100_000_000
Holding = TypeVar("Holding", bound=Pause | Freeze | Snooze)


@dataclass(frozen=True)
class Reign:
    """A version's time as champion, by the model's clock.

    Attributes:
        version: the version.
        since: when it became champion.
        until: when another one did; None while it is.
        kind: by a promotion or a rollback.
        decision: the decision that led to it; None where a person did it without one.
        reason: why.
        followed_by: the next champion; None while it is.
    """

    version: int
    since: datetime
    until: datetime | None
    kind: str
    decision: str | None
    reason: str
    followed_by: int | None


@dataclass(frozen=True)
class RecordLine:
    """A line of a record, as it is in the file."""

    line: bytes

    def says(self, *texts: str) -> bool:
        """Whether one of these stands somewhere in it, in the form in which the record is written."""
        return any(text.encode() in self.line for text in texts)

    def begins(self, text: str) -> bool:
        """Whether it begins so: its fields stand in the order of their names."""
        return self.line.startswith(text.encode())

    @property
    def entry(self) -> OnRecord:
        """What it says.

        Raises:
            ValueError: it is no entry.
        """
        return entry_of(parsed(self.line))


@dataclass(frozen=True)
class Record:
    """One append-only JSON-lines file a model, its entries linked by hashes.

    Attributes:
        folder: where the files are.
    """

    folder: Path

    def file(self, model: str) -> Path:
        """The record of one model."""
        return self.folder / f"{model}.jsonl"

    def head_file(self, model: str) -> Path:
        """How many entries the record of a model has, and the hash of the last."""
        return self.folder / f"{model}.head"

    def models(self) -> list[str]:
        """The models that have a record here, or had one."""
        return sorted({path.stem for ending in ("jsonl", "head") for path in self.folder.glob(f"[!.]*.{ending}")})

    def entries(self, model: str) -> list[OnRecord]:
        """Everything on record for a model, oldest first. No hash but the last one's is looked at: that is `verify`.

        Raises:
            DamagedRecord: a line is no entry, or the end is missing; the file was edited.
        """
        entries, damage = self._entries(model)
        if damage:
            raise DamagedRecord(damage)
        return entries

    def newest(self, model: str) -> Iterator[RecordLine]:
        """The lines of a record, the newest first; each is read when its entry is asked for.

        Raises:
            DamagedRecord: the file cannot be read. Whether lines are missing is not looked at.
        """
        for line in reversed(lines_of(self.file(model), self._head(model))):
            yield RecordLine(line)

    def damage(self, model: str) -> str:
        """Why the record of a model cannot be read, as `entries` says it; empty if it can."""
        try:
            return self._entries(model)[1]
        except DamagedRecord as error:
            return str(error)

    def _entries(self, model: str) -> tuple[list[OnRecord], str]:
        """The entries that can be read of a record, and what is wrong with it; empty if nothing is."""
        stamp = self._stamp(model)
        entries, damage = self._parsed(model) if stamp is None else _kept(self, model, stamp)
        return [*entries], damage

    def _stamp(self, model: str) -> tuple[int, ...] | None:
        """Changes when the files of a record do; None where they may change again without a trace in their times."""
        stats = []
        for file in (self.file(model), self.head_file(model)):
            try:
                stats.append(file.stat())
            except OSError:
                return None
        # What is written twice within one tick of the system's clock has the same time.
        if time.time_ns() - max(stat.st_ctime_ns for stat in stats) < _SETTLED_NS:
            return None
        return tuple(part for stat in stats for part in (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino))

    def _parsed(self, model: str) -> tuple[list[OnRecord], str]:
        entries, (lines, damage) = list[OnRecord](), self._read(model)
        for number, values in enumerate(lines, start=1):
            try:
                entries.append(entry_of(values))
            except ValueError as error:
                damage = damage or self._unreadable(model, number, f"no {values['kind']} ({error})")
            if (of := values.get("model", model)) != model:
                damage = damage or self._unreadable(model, number, f"of {of!r}, the record of another model")
        return entries, damage

    def _unreadable(self, model: str, number: int, why: str) -> str:
        return (
            f"{self.file(model)}, line {number}: {why}. Restore the file from a backup; "
            "the platform makes no decision for this model until its record can be read."
        )

    def _read(self, model: str) -> tuple[list[dict[str, Any]], str]:
        """The lines of a record as plain values, and what is wrong with it (a line, or its end); empty if nothing."""
        entries, damage = [], ""
        head = self._head(model)
        for number, line in enumerate(lines_of(self.file(model), head), start=1):
            try:
                entries.append(parsed(line))
            except ValueError:
                damage = damage or self._unreadable(model, number, "not a whole entry")
        if not damage and head is not None and not head.fits(entries):
            damage = (
                f"{self.file(model)}: entry {head.entries:,}, its last by {self.head_file(model).name}, is not there "
                "as it was written, and nobody knows what else is missing (a pause, say). Restore the file from a "
                f"backup, or delete {self.head_file(model)} to go on with what is left; until then the platform "
                "makes no decision for this model."
            )
        return entries, damage

    def _head(self, model: str) -> Head | None:
        """The head of a record; a damaged one proves nothing, and `verify` names it."""
        try:
            return Head.read(self.head_file(model))
        except DamagedRecord:
            return None

    def append(self, model: str, entry: OnRecord) -> bool:
        """Put an entry on record unless one with the same `id` stands there; says whether it was written.

        Safe with several processes, and after a kill: an unfinished last line is cut off first. The head is written
        after the entry; killed between the two, it names the entry before, which is as true. A damaged record takes
        what a person has to say about it, too: its damage stays found.
        """
        with self._locked(model) as path:
            (known, damage), head = self._read(model), self._head(model)
            if any(other["id"] == entry.id for other in known):
                return False
            linked = chained(model, entry.to_dict(), known)
            line = (json.dumps(linked, sort_keys=True, ensure_ascii=False) + "\n").encode()
            with path.open("r+b" if path.exists() else "w+b") as file:
                there = file.seek(0, os.SEEK_END)
                whole = sum(len(kept) + 1 for kept in lines_of(path, head))
                file.truncate(min(whole, there))
                file.seek(0, os.SEEK_END)
                # A last line that was whole may lack its line break.
                file.write(b"\n" * max(whole - there, 0) + line)
                file.flush()
                os.fsync(file.fileno())
            # A head that no longer fits is left as it is: what is missing stays found.
            is_new = head is None and not self.head_file(model).exists()
            if not damage and (is_new or (head is not None and head.fits([*known, linked]))):
                Head(len(known) + 1, linked[HASH]).write(self.head_file(model))
        return True

    def verify(self, model: str) -> Checked:
        """Walk the whole record of a model: is every entry as it was written, and at its place?"""
        if not self.folder.exists():
            return check(model, self.file(model), self.head_file(model))
        with self._locked(model) as path:
            return check(model, path, self.head_file(model))

    def reigns(self, model: str) -> list[Reign]:
        """Who was champion from when to when, in the order of the record."""
        reigns: list[Reign] = []
        for entry in self.entries(model):
            if not isinstance(entry, Promotion | Rollback) or (reigns and reigns[-1].version == entry.version):
                continue
            if reigns:
                reigns[-1] = replace(reigns[-1], until=entry.at, followed_by=entry.version)
            reigns.append(Reign(entry.version, entry.at, None, entry.kind, entry.decision, entry.reason, None))
        return reigns

    def champion_at(self, model: str, moment: datetime) -> Reign | None:
        """Who was champion at a moment (aware) of the model's clock; None before the first."""
        return next((reign for reign in reversed(self.reigns(model)) if reign.since <= moment), None)

    def note(self, model: str, kind: type[E], *, at: datetime | None = None, id: str = "", **values: Any) -> E:
        """Put something else than a decision on record: a request, a pause, a promotion, a rejection.

        Args:
            model: whose record.
            kind: of the entry.
            at: a moment of the model's clock; a person's word has the time it was given.
            id: of the entry; by default its kind and moment.
            values: its other fields.
        """
        moment = (at or datetime.now(UTC)).astimezone(UTC)
        entry = kind(id=id or f"{kind_of(kind)}-{moment.isoformat()}", model=model, at=moment, **values)
        self.append(model, entry)
        return entry

    def open_request(self, model: str) -> str | None:
        """A person's reason to retrain that no decision has answered yet."""
        entry = self._request(model)
        return f"{entry.reason} [{entry.id}]" if entry else None

    def request_is_forced(self, model: str) -> bool:
        """Whether whoever made the open request insists on it while the model is frozen."""
        entry = self._request(model)
        return bool(entry and entry.force)

    def answer(self, model: str) -> Approval | Refusal | None:
        """The newest approval or refusal that no later decision has acted on, and no other proposal has followed."""
        answer: Approval | Refusal | None = None
        for entry in self.entries(model):
            if isinstance(entry, Approval | Refusal):
                answer = entry
            elif answer and isinstance(entry, Decision):
                is_over = entry.action in ACTED or entry.question not in (None, answer.question)
                answer = None if is_over else answer
        return answer

    def standing(self, model: str, kind: type[Holding]) -> Holding | None:
        """The newest pause, freeze or snooze (`kind`) that nobody has ended; its time may be over by the clock."""
        holding = None
        for entry in self.entries(model):
            if isinstance(entry, kind):
                holding = entry
            elif isinstance(entry, ENDED_BY[kind]):
                holding = None
        return holding

    def paused(self, model: str) -> str | None:
        """Why the model is paused and who said so; None if it isn't."""
        entry = self.standing(model, Pause)
        return f"{entry.reason} ({entry.by})" if entry else None

    def _request(self, model: str) -> Request | None:
        request = None
        for entry in self.entries(model):
            if isinstance(entry, Request):
                request = entry
            elif isinstance(entry, Decision) and entry.action == "retrain":
                request = None
        return request

    @contextmanager
    def _locked(self, model: str) -> Iterator[Path]:
        with alone(self.folder / f".{model}.lock"):
            yield self.file(model)


@lru_cache(maxsize=_KEPT)
def _kept(record: Record, model: str, stamp: tuple[int, ...]) -> tuple[list[OnRecord], str]:
    del stamp
    return record._parsed(model)
