"""Writing files so that a reader, or a kill at any moment, sees the old file or the new one and nothing between.

Here: the one temporary-file-and-rename. Not here: what is written.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; move it onto `path` when the block ends well.

    The name begins with a dot and ends in `.tmp`, so no glob of the lake ever matches it; what a killed
    process leaves behind is swept by the next write to the same path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for rubbish in path.parent.glob(f".{path.name}.*.tmp"):
        if not is_running(rubbish.name.rsplit(".", 3)[-3]):
            rubbish.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.{os.getpid()}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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


def is_running(pid: str) -> bool:
    """Whether the process of this number, part of a temporary file's name, still runs."""
    return pid.isdigit() and Path(f"/proc/{pid}").exists()
