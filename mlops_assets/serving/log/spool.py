"""The spool: every answer on disk before it is sent.

Here: appending records, closing files, finding those that a killed process left. Not here: what a record says
(`records`), moving them into the lake (`drain`).

A record is one JSON line, written with one system call: what was written outlives a kill of the process at once, and
a loss of power once it is in the lake. Nothing here waits for the disk: `fsync` of what ten seconds log took half a
second on a busy one, in which no answer could be written down. A file belongs to the process that holds its lock
(`flock`), which the system takes from a dead one; whoever drains may then have it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from mlops_assets.world.atomic import write_text

OTHERS = 700
"""Files that a service has open beside those of the log: connections, databases, libraries."""
FEWEST_OPEN = 64


class LogUnavailable(RuntimeError):
    """An answer cannot be written down, so it is not given."""


class Segment:
    """One open file of one model, and the SQL types of its columns in a file beside it."""

    def __init__(self, folder: Path, types: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.types = dict(types)
        self.path = folder / f"{uuid.uuid4().hex}.jsonl"
        write_text(types_file(self.path), json.dumps(self.types))
        hidden = self.path.with_suffix(".new")
        self._file = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        # Locked before it can be found.
        fcntl.flock(self._file, fcntl.LOCK_EX)
        hidden.rename(self.path)
        self.size = 0

    def write(self, content: bytes) -> None:
        """Append whole lines, or nothing.

        Raises:
            OSError: the disk is full or gone.
        """
        written = 0
        try:
            while written < len(content):
                written += os.write(self._file, content[written:])
        except OSError:
            os.ftruncate(self._file, self.size)
            raise
        self.size += written

    def close(self) -> None:
        """Hand the file over to whoever drains."""
        os.close(self._file)


class Spool:
    """The open files of this process, one a model. Safe between threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._types: dict[str, dict[str, str]] = {}
        self._open: dict[str, Segment] = {}
        self._lock = Lock()

    def declare(self, model: str, types: Mapping[str, str]) -> None:
        """Say what columns a model's records have from now on, with their SQL types."""
        with self._lock:
            if self._types.get(model) != dict(types):
                self._types[model] = dict(types)
                if model in self._open:
                    self._open.pop(model).close()

    def append(self, model: str, lines: bytes) -> None:
        """Write records down.

        Args:
            model: whose.
            lines: JSON objects, each ended by a line break.

        Raises:
            LogUnavailable: the disk is full or gone; nothing of them was kept.
        """
        with self._lock:
            try:
                segment = self._open.get(model)
                if segment is None:
                    if len(self._open) >= most_open():
                        self._open.pop(next(iter(self._open))).close()
                    segment = self._open[model] = Segment(self.folder / model, self._types[model])
                segment.write(lines)
            except OSError as error:
                raise LogUnavailable(
                    f"the prediction can't be logged ({error.strerror}), so it is not given: make room in {self.folder}"
                ) from error

    def rotate(self) -> None:
        """Close the files that hold something; the next record opens a new one."""
        with self._lock:
            full = [self._open.pop(name) for name, segment in list(self._open.items()) if segment.size]
        for segment in full:
            segment.close()

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            for segment in self._open.values():
                segment.close()
            self._open.clear()


def most_open() -> int:
    """Files of the log that this process may have open at once; beyond it the oldest is closed for a new one."""
    return max(FEWEST_OPEN, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - OTHERS)


def types_file(segment: Path) -> Path:
    """Where the SQL types of a segment's columns stand."""
    return segment.with_suffix(".types.json")


def closed_segments(folder: Path) -> dict[str, list[Path]]:
    """Files that nobody writes any more, by model, oldest first."""
    by_model: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*/*.jsonl"), key=lambda path: path.stat().st_mtime_ns):
        with _taken(path) as mine:
            if mine:
                by_model.setdefault(path.parent.name, []).append(path)
    return by_model


def waiting(folder: Path) -> int:
    """Bytes that are not in the lake yet, those of open files included."""
    total = 0
    for path in folder.glob("*/*.jsonl"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


@contextmanager
def _taken(path: Path) -> Iterator[bool]:
    """Whether the file can be had; an unfinished last line, never answered, is cut off."""
    with path.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        content = file.read()
        if not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)
        yield True
