"""Moments at which a process dies by `kill -9`. Imports nothing heavy: short-lived processes load it, too.

What lives here: arming a process. What does not: the processes that are armed (`killing.py`, `rollout_location.py`).
"""

from __future__ import annotations

import fnmatch
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Moment:
    """When a process dies.

    Attributes:
        what: the end of the path of a file that is about to get its name (a pattern), or a function that is about
            to be called, as `module:Class.name`.
        nth: at which time.
        with_all: whether its group dies with it, as when a machine loses power.
    """

    what: str
    nth: int = 1
    with_all: bool = False

    def arm(self) -> None:
        """Let this process die there."""
        module, _, name = self.what.partition(":")
        if not name:
            os.replace = self._dying(os.replace, lambda _, target: fnmatch.fnmatch(str(target), f"*{self.what}"))
            return
        owner: Any = __import__(module, fromlist=["_"])
        *path, last = name.split(".")
        for part in path:
            owner = getattr(owner, part)
        setattr(owner, last, self._dying(getattr(owner, last), lambda *_, **__: True))

    def _dying(self, function: Any, is_it: Callable[..., bool]) -> Any:
        seen = 0

        def wrapper(*arguments: Any, **options: Any) -> Any:
            nonlocal seen
            seen += is_it(*arguments, **options)
            if seen == self.nth:
                os.killpg(os.getpgrp(), signal.SIGKILL) if self.with_all else os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return wrapper
