"""Writing files so that a reader, or a kill at any moment, sees the old file or the new one and nothing between.

Here: the one temporary-file-and-rename, and reading what others may have put there or changed. Not here: what is
written.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PARTS = ("partition=", "window=", "version=")
"""How the folders begin in which the parts of a table lie."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; move it onto `path` when the block ends well.

    The name begins with a dot and ends in `.tmp`, so no glob of the lake ever matches it; what a killed
    process leaves behind is swept by the next write to the same path. Who may read the file says the umask.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # With number and ending the name of a file of 255 bytes, the longest there may be, would be too long.
    begins = os.fsdecode(os.fsencode(f".{path.name}")[:200]) + "."
    for rubbish in path.parent.iterdir():
        is_ours = rubbish.name.startswith(begins) and rubbish.name.endswith(".tmp")
        if is_ours and not is_running(rubbish.name.rsplit(".", 3)[-3]):
            rubbish.unlink(missing_ok=True)
    temporary = path.with_name(f"{begins}{os.getpid()}.{secrets.token_hex(4)}.tmp")
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        temporary.replace(path)
        touch_table(path)
    finally:
        temporary.unlink(missing_ok=True)


def touch_table(path: Path) -> None:
    """Give the folder of a table the time of what was just written or removed in one of its partitions.

    So one look at that folder says whether anything in the table has changed, however many partitions it has. Of a file
    that lies in the folder itself the system sees to that.
    """
    folder = path.parent
    if not _is_part(folder):
        return
    while _is_part(folder):
        folder = folder.parent
    # To the nanosecond; by itself the system takes the time of its last tick, some milliseconds ago.
    moment = time.time_ns()
    os.utime(folder, ns=(moment, moment))


def _is_part(folder: Path) -> bool:
    return folder.name.startswith(_PARTS)


def keep_time(path: Path, temporary: Path) -> None:
    """Give a new file the time of the one that it replaces, whose content it has: nothing has happened to it."""
    times = path.stat()
    os.utime(temporary, ns=(times.st_atime_ns, times.st_mtime_ns))


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a binary file atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def read_regular(path: Path) -> bytes:
    """The bytes of a file that others put there: no link to another place, no pipe that never ends.

    Raises:
        OSError: it is none of its own, or cannot be read.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(f"{path} is not a regular file. Put the file itself there.")
        return file.read()


def json_object(text: bytes) -> dict[str, Any]:
    """A JSON object out of a file that people and disks may have changed.

    Raises:
        ValueError: it is none; or as `json_value`.
    """
    parsed = json_value(text)
    if not isinstance(parsed, dict):
        raise ValueError("it is no JSON object")
    return parsed


def json_value(text: bytes) -> Any:
    """A value in JSON out of such a file.

    Raises:
        ValueError: it is none, or nested so deeply that nothing reads it, or with half of a surrogate pair, or it says
            something twice, of which readers would take one.
    """
    try:
        parsed = json.loads(text, object_pairs_hook=_once)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if b"\\ud" in text.lower():
        json.dumps(parsed, ensure_ascii=False).encode()
    return parsed


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it says {next(name for name in names if names.count(name) > 1)!r} twice")
    return fields


def is_running(pid: str) -> bool:
    """Whether the process of this number, part of a temporary file's name, still runs."""
    try:
        os.kill(int(pid), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True
