"""The record of decisions: one append-only JSON-lines file a model.

Here: appending once per evidence, reading back. Not here: deciding (`core.policy`).
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from mlops_assets.resources.home import Home


class Ledger(dg.ConfigurableResource):
    """Decisions of one home, each with its evidence, policy and reason.

    Attributes:
        root: the home; empty means `$MLOPS_HOME`.
    """

    root: str = ""

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return (Home(Path(self.root)) if self.root else Home.from_environment()).ledger

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

    @contextmanager
    def _locked(self, model: str) -> Iterator[Path]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f".{model}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.file(model)
