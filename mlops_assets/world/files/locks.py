"""Sections of a home that one process, and one thread, is in at a time.

Here: the lock. Not here: what it guards.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(lock: Path, *, wait: bool = True) -> Iterator[bool]:
    """Be the only one to hold a lock's file; the system releases it when the process dies.

    Args:
        lock: the file, made where it is missing.
        wait: until it is free; else say whether it was.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
