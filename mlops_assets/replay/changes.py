"""What was changed in a simulated history, and when the platform found it.

Here: known changes held against the periods of a replay. Not here: making the changes (`landing`), drawing (`report`).

A change counts as found in the first period that begins with it or later in which a check failed. The label's delay is
in there: a change that only labels show cannot be found sooner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any


@dataclass(frozen=True)
class KnownChange:
    """Something that was done to the data on purpose.

    Attributes:
        name: what people call it.
        story: what happens, in a sentence without its full stop.
        first: its first day.
        last: its last day; None: it stays.
    """

    name: str
    story: str
    first: date
    last: date | None = None


def found(changes: Sequence[KnownChange], periods: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """When each change was found, and when a model that knows of it was promoted.

    Args:
        changes: in any order; until the next one begins, what is found is laid to this one.
        periods: of `replay.json`: `start`, `end` (ISO days, half-open), `checks`, `promoted`.

    Returns:
        For each change its `name`, `story`, `first`, `last`; `found` (the end of the period, None: never) and by which
        `checks`; `days` from its first day to that; and `promoted`, the end of the first period from then on after
        which a retrained model was promoted.
    """
    ordered = sorted(changes, key=lambda change: change.first)
    told = []
    for change, following in zip(ordered, [*ordered[1:], None], strict=True):
        until = following.first.isoformat() if following else "9999"
        mine = [p for p in periods if p["end"] > change.first.isoformat() and p["start"] < until]
        failing = next((p for p in mine if False in p["checks"].values()), None)
        later = [p for p in mine if failing and p["end"] >= failing["end"]]
        promoted = next((p["end"] for p in later if p.get("promoted")), None)
        told.append(
            {
                "name": change.name,
                "story": change.story,
                "first": change.first.isoformat(),
                "last": change.last and change.last.isoformat(),
                "found": failing and failing["end"],
                "checks": sorted(name for name, passed in failing["checks"].items() if passed is False)
                if failing
                else [],
                "days": (date.fromisoformat(failing["end"]) - change.first).days if failing else None,
                "promoted": promoted,
            }
        )
    return told
