"""A thread that does its work in rounds.

Here: starting it, the pause between two rounds, ending it. Not here: the work (`drain`, `shadow`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Rounds:
    """Work of one thread, time and again until it is stopped."""

    def __init__(self, name: str, work: Callable[[], float], *, pause: float = 0.0) -> None:
        """Prepare, without starting.

        Args:
            name: of the thread.
            work: one round; gives the seconds until the next. It raises nothing, for the thread must outlive it.
            pause: seconds before the first.
        """
        self._work, self._pause = work, pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, when the round that is under way is over."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._pause):
            self._pause = self._work()
