"""The chain that runs through a record: each entry holds the hash of the one before, so a change is found.

Here: the hashes, the head of a record, and the check of a whole record in words. Not here: reading and writing the
entries (`record`).

An entry's hash is the SHA-256 of its canonical JSON without the hash itself; `previous_hash` is the hash of the entry
before. A line that was edited no longer has its hash; one that was removed, added or moved breaks the link of the line
after it. What a chain cannot show is a missing end, so the head (how many entries, and the hash of the last) stands in
a small file beside the record. Who can write to the folder can also make chain and head anew from some line on: the
head's hash, noted elsewhere, shows that (Schneier and Kelsey 1999, Secure audit logs to support computer forensics).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from mlops_assets.core.record.plain_values import counted
from mlops_assets.world.atomic import json_object, write_text

HASH = "hash"
PREVIOUS_HASH = "previous_hash"
"""Not `previous`: a promotion's `previous` is the version it replaced."""
FIRST_START = "0" * 64
"""`previous_hash` of the first entry of a record from before it held the model's name."""

Fault = Literal["edited", "removed", "reordered", "unreadable", "foreign"]
REMEDY = (
    "Restore {file} and its .head from a backup and compare; nothing was changed by looking. The entries before that "
    "line are whole. What to do without a backup: docs/record.md."
)


class DamagedRecord(ValueError):
    """A model's record cannot be read; the message names file, line and remedy. Other models are not touched."""


def start_of(model: str) -> str:
    """`previous_hash` of the first entry of a model's record: under another name the chain has no beginning."""
    return hashlib.sha256(f"record of {model}".encode()).hexdigest()


@dataclass(frozen=True)
class Head:
    """The end of a record: how many entries it has, and the hash of the last."""

    entries: int
    hash: str

    @classmethod
    def read(cls, path: Path) -> Head | None:
        """The head beside a record; None for a record from before the chain.

        Raises:
            DamagedRecord: the file was edited.
        """
        try:
            values = json_object(path.read_bytes())
            return cls(int(values["entries"]), str(values["hash"]))
        except FileNotFoundError:
            return None
        except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
            raise DamagedRecord(
                f"{path} cannot be read ({error!r}). Restore it from a backup, or delete it: it is written anew with "
                "the next entry, and until then a missing end of the record is not noticed."
            ) from error

    def write(self, path: Path) -> None:
        """Put it beside the record, atomically."""
        write_text(path, json.dumps(asdict(self)) + "\n")

    def proves(self, line: bytes, place: int) -> bool:
        """Whether it names this line, although that has no end: what is named here was written whole.

        Args:
            line: the last line.
            place: which one it is, from 1.
        """
        try:
            return self.entries == place and digest(parsed(line)) == self.hash
        except ValueError:
            return False

    def fits(self, entries: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the entry that it names stands where it says."""
        return 0 < self.entries <= len(entries) and digest(entries[self.entries - 1]) == self.hash


@dataclass(frozen=True)
class Checked:
    """What a check of one record found.

    Attributes:
        model: whose record.
        file: where it is.
        entries: how many entries it has.
        older: how many of them are from before the chain; nothing protects those but the last.
        head: hash of the last entry that is whole; None where there is no chain yet.
        fault: what is wrong; None if it is whole.
        line: the first line that does not fit, from 1.
        sentence: what that means, ending in the remedy.
    """

    model: str
    file: str
    entries: int
    older: int
    head: str | None
    fault: Fault | None
    line: int | None
    sentence: str

    @property
    def whole(self) -> bool:
        """Whether every line fits."""
        return self.fault is None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "whole": self.whole}


def digest(entry: Mapping[str, Any]) -> str:
    """SHA-256 of an entry in canonical JSON (sorted keys, no spaces), without its own hash."""
    values = {key: value for key, value in entry.items() if key != HASH}
    return hashlib.sha256(canonical(values)).hexdigest()


def chained(model: str, entry: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The entry with its place in the chain of a model, behind these.

    Raises:
        ValueError: the entry holds half of a surrogate pair, which no file can.
    """
    linked = {**entry, PREVIOUS_HASH: digest(entries[-1]) if entries else start_of(model)}
    # As a reader will get it: a tuple is written as a list, and a number as key becomes a text.
    linked = parsed(json.dumps(linked).encode())
    return {**linked, HASH: digest(linked)}


def parsed(line: bytes) -> dict[str, Any]:
    """A line of a record as its entry.

    Raises:
        ValueError: it is none.
    """
    entry = json_object(line)
    for name in ("id", "kind"):
        if not isinstance(entry.get(name), str):
            raise ValueError(f"its {name} is no text")
    return entry


def canonical(values: Mapping[str, Any]) -> bytes:
    """Canonical JSON: sorted keys, no spaces, UTF-8."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def lines_of(file: Path, head: Head | None) -> list[bytes]:
    """The lines of a record; none where there is no file.

    A kill in the middle of a write leaves an unfinished last line: it was never on record. One that the head names was,
    and lacks its line break alone.

    Raises:
        DamagedRecord: the file cannot be read.
    """
    try:
        *lines, last = file.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DamagedRecord(f"{file} cannot be read ({error}). Restore it, or correct its rights.") from error
    return [*lines, last] if last and head is not None and head.proves(last, len(lines) + 1) else lines


def check(model: str, file: Path, head_file: Path) -> Checked:
    """Walk a record from its first line to its head.

    Args:
        model: whose record.
        file: the record; an unfinished last line was never on record and is not looked at.
        head_file: what stands beside it.
    """
    try:
        head = Head.read(head_file)
        lines = lines_of(file, head)
    except DamagedRecord as error:
        return Checked(model, str(file), 0, 0, None, "unreadable", None, str(error))
    entries: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        try:
            entries.append(parsed(line))
        except ValueError:
            why = "it is not a whole entry: the line was edited, or the disk is damaged"
            return _checked(model, file, entries, "unreadable", number, why, total=len(lines))
        if (of := entries[-1].get("model", model)) != model:
            why = f"it is of {of!r}: the record of another model was put here"
            return _checked(model, file, entries[:-1], "foreign", number, why, total=len(lines))
    older = _older(entries)
    hashes = [digest(entry) for entry in entries]
    for index in range(older, len(entries)):
        fault = _fault(model, index, entries, hashes)
        if fault:
            return _checked(model, file, entries[:index], fault[0], index + 1, fault[1], total=len(entries))
    if head is not None and not head.fits(entries):
        if head.entries > len(entries):
            missing = f"missing at the end: {head.entries - len(entries):,} of {counted(head.entries, 'entry')}"
            return _checked(model, file, entries, "removed", len(entries) + 1, missing)
        why = "another entry stood there: the record was written anew from this line or an earlier one on"
        return _checked(model, file, entries[: head.entries - 1], "edited", head.entries, why, total=len(entries))
    note = f", {older:,} of them older than the chain" if older else ""
    last = hashes[-1] if older < len(entries) else None
    return Checked(
        model, str(file), len(entries), older, last, None, None, f"{counted(len(entries), 'entry')}, whole{note}"
    )


def _older(entries: Sequence[Mapping[str, Any]]) -> int:
    """How many entries stand before the first that is in the chain."""
    return next((i for i, entry in enumerate(entries) if HASH in entry or PREVIOUS_HASH in entry), len(entries))


def _fault(
    model: str, index: int, entries: Sequence[Mapping[str, Any]], hashes: Sequence[str]
) -> tuple[Fault, str] | None:
    """What is wrong with an entry of the chain and its link to the one before."""
    entry = entries[index]
    if HASH not in entry or PREVIOUS_HASH not in entry:
        return (
            "edited",
            "it has no hash where its neighbours have one: it was put in by hand, or its hash was taken out",
        )
    if entry[HASH] != hashes[index]:
        return "edited", "its content no longer has the hash that it was written with: it was edited"
    starts = (start_of(model), FIRST_START)
    if entry[PREVIOUS_HASH] in ((hashes[index - 1],) if index else starts):
        return None
    where = [i for i, known in enumerate(hashes) if known == entry[PREVIOUS_HASH]]
    if where or entry[PREVIOUS_HASH] in starts:
        after = f"line {where[0] + 1}" if where else "the beginning"
        return "reordered", f"it was written right after {after}: lines were moved or repeated"
    return "removed", "the entry that it was written after is not there: one was removed before this line, or edited"


def _checked(
    model: str,
    file: Path,
    good: Sequence[Mapping[str, Any]],
    fault: Fault,
    line: int,
    why: str,
    *,
    total: int | None = None,
) -> Checked:
    older = _older(good)
    head = digest(good[-1]) if older < len(good) else None
    sentence = f"line {line}: {why}. {REMEDY.format(file=file)}"
    return Checked(model, str(file), len(good) if total is None else total, older, head, fault, line, sentence)
