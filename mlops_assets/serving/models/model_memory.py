"""What is kept in a memory of so many bytes: what was asked for last, of it.

Here: the order and the sums. Not here: what is kept (`served_models`), how large it is (`arms`).

Whoever has got something from it goes on holding it: what is let go of while a request is answered with it is freed
when the request is.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")
Parts = Mapping[int, int]
"""Bytes of each part by its id. What several have in common is counted once."""


class ModelMemory(Generic[T]):
    """Values by name, within a limit. Safe between threads."""

    def __init__(self, limit: int) -> None:
        """Begin with nothing.

        Args:
            limit: bytes. What is put in last stays, even if it is larger by itself.
        """
        self.limit = limit
        self._kept: OrderedDict[str, tuple[T, Parts]] = OrderedDict()
        self._held: set[str] = set()
        self._holders: Counter[int] = Counter()
        self._used = 0
        self._lock = Lock()

    @property
    def used(self) -> int:
        """Bytes of what is kept."""
        return self._used

    @property
    def names(self) -> list[str]:
        """Of what is kept; what was asked for longest ago is first, and goes first."""
        with self._lock:
            return list(self._kept)

    def ask(self, name: str) -> T | None:
        """What is kept under a name, and from now on the last to go."""
        with self._lock:
            if (kept := self._kept.get(name)) is None:
                return None
            self._kept.move_to_end(name)
            return kept[0]

    def look(self, name: str) -> T | None:
        """What is kept under a name; its place stays as it is."""
        kept = self._kept.get(name)
        return kept[0] if kept else None

    def hold(self, name: str, is_held: bool) -> None:
        """Say that what is kept under a name must not be let go of, or may be again."""
        with self._lock:
            (self._held.add if is_held else self._held.discard)(name)

    def fits(self, name: str, parts: Parts) -> bool:
        """Whether it can be put in without letting go of anything."""
        with self._lock:
            known = self._kept[name][1] if name in self._kept else {}
            more = sum(size for part, size in parts.items() if part not in self._holders)
            less = sum(size for part, size in known.items() if part not in parts and self._holders[part] == 1)
            return self._used + more - less <= self.limit

    def put(self, name: str, value: T, parts: Parts, *, asked: bool) -> list[str]:
        """Keep something, and let go of what was asked for longest ago until the rest fits.

        Args:
            name: under which; what is there already is replaced.
            value: what.
            parts: of it; no id is that of another part that is kept.
            asked: whether somebody asks for it now. Else what is new is the first to go, and what is replaced stays
                where it was.

        Returns:
            The names of what was let go of.
        """
        with self._lock:
            is_new = name not in self._kept
            if not is_new:
                self._forget_parts(name)
            self._kept[name] = value, parts
            for part, size in parts.items():
                self._used += 0 if part in self._holders else size
                self._holders[part] += 1
            if asked or is_new:
                self._kept.move_to_end(name, last=asked)
            gone: list[str] = []
            while self._used > self.limit:
                oldest = next((each for each in self._kept if each != name and each not in self._held), None)
                if oldest is None:
                    break
                self._forget_parts(oldest)
                del self._kept[oldest]
                gone.append(oldest)
            return gone

    def _forget_parts(self, name: str) -> None:
        for part, size in self._kept[name][1].items():
            self._holders[part] -= 1
            if not self._holders[part]:
                del self._holders[part]
                self._used -= size
