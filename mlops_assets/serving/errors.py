"""What keeps a row from being answered, and is the caller's to correct.

Here: the two errors. Not here: how HTTP tells them (`http.bodies`), what is the service's to correct (`arms`, `lookup`,
`spool`).
"""

from __future__ import annotations


class Refused(ValueError):
    """A row is not what the model takes.

    Attributes:
        place: where in the request, e.g. ("rows", 0, "features", "x").
        why: what is wrong there.
    """

    def __init__(self, place: tuple[str | int, ...], why: str) -> None:
        super().__init__(f"{'.'.join(map(str, place))}: {why}")
        self.place, self.why = place, why


class NoModel(LookupError):
    """No such model, or version of it in service."""
