"""What keeps a row from being answered, and is the caller's to correct.

Here: the two errors. Not here: how HTTP tells them (`http.bodies`), what is the service's to correct (`arms`, `lookup`,
`spool`).
"""

from __future__ import annotations

from collections.abc import Sequence


class Refused(ValueError):
    """A row is not what the model takes.

    Attributes:
        place: where in the request, e.g. ("rows", 0, "features", "x").
        why: what is wrong there.
    """

    def __init__(self, place: tuple[str | int, ...], why: str) -> None:
        super().__init__(f"{'.'.join(map(str, place))}: {why}")
        self.place, self.why = place, why

    def at(self, places: Sequence[int]) -> Refused:
        """The same of a row by its place in the request, where these are the places of the rows that were looked at."""
        kind, index, *inside = self.place
        return Refused((kind, places[index], *inside), self.why) if isinstance(index, int) else self


class NoModel(LookupError):
    """No such model, or version of it in service."""
