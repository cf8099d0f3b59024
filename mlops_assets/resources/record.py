"""The record of a model in plain files: what was decided, asked for, paused, promoted and rejected.

Here: appending an entry once, reading back, and what the entries say together (an open request, a pause).
Not here: deciding (`core.policy`), the same record as a Dagster resource (`ledger`).

Imports nothing heavy: the commands that only read or write the record answer at once.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Record:
    """One append-only JSON-lines file a model.

    Attributes:
        folder: where the files are.
    """

    folder: Path

    def file(self, model: str) -> Path:
        """The record of one model."""
        return self.folder / f"{model}.jsonl"

    def entries(self, model: str) -> list[dict[str, Any]]:
        """Everything on record for a model, oldest first.

        Raises:
            ValueError: a line that is not whole JSON stands before the last one; the file was edited.
        """
        path = self.file(model)
        if not path.exists():
            return []
        lines = path.read_text(encoding="utf-8").split("\n")
        # A kill in the middle of a write leaves an unfinished last line: it was never on record.
        entries = []
        for number, line in enumerate(lines[:-1], start=1):
            try:
                entries.append(json.loads(line))
            except ValueError as error:
                raise ValueError(
                    f"{path}, line {number}: not a whole entry. Restore the file from a backup; "
                    "the platform makes no decision for this model until its record can be read."
                ) from error
        return entries

    def append(self, model: str, entry: dict[str, Any]) -> bool:
        """Put an entry on record unless one with the same `id` stands there; says whether it was written.

        Safe with several processes, and after a kill: an unfinished last line is cut off first.
        """
        with self._locked(model) as path:
            if any(known.get("id") == entry["id"] for known in self.entries(model)):
                return False
            line = (json.dumps(entry, sort_keys=True, ensure_ascii=False) + "\n").encode()
            with path.open("r+b" if path.exists() else "w+b") as file:
                content_end = file.seek(0, os.SEEK_END)
                whole = path.read_bytes().rfind(b"\n") + 1 if content_end else 0
                file.truncate(whole)
                file.seek(whole)
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        return True

    def note(self, model: str, kind: str, *, at: datetime | None = None, **values: Any) -> dict[str, Any]:
        """Put something else than a decision on record: a request, a pause, a promotion, a rejection.

        `at` is a moment of the model's clock; a person's word has the time it was given.
        """
        moment = (at or datetime.now(UTC)).isoformat()
        identity = values.pop("id", None) or f"{kind}-{moment}"
        entry = {"kind": kind, "id": identity, "model": model, "at": moment, **values}
        self.append(model, entry)
        return entry

    def open_request(self, model: str) -> str | None:
        """A person's reason to retrain that no decision has answered yet."""
        reason = None
        for entry in self.entries(model):
            if entry["kind"] == "request":
                reason = f"{entry['reason']} [{entry['id']}]"
            elif entry["kind"] == "decision" and entry["action"] == "retrain":
                reason = None
        return reason

    def paused(self, model: str) -> str | None:
        """Why the model is paused and who said so; None if it isn't."""
        state = None
        for entry in self.entries(model):
            if entry["kind"] == "pause":
                state = f"{entry['reason']} ({entry['by']})"
            elif entry["kind"] == "resume":
                state = None
        return state

    @contextmanager
    def _locked(self, model: str) -> Iterator[Path]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f".{model}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.file(model)
