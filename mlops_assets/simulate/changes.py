"""What was changed in a simulated history, and when the platform found it.

Here: known changes held against the periods of a replay. Not here: making the changes (`landing`), drawing
(`pages.replay`).

A change counts as found when it is first known that a check failed on a period of its that had not failed just before
it. What only labels show is known when they have come, one delay after the period.
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


def when_noticed(changes: Sequence[KnownChange], periods: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """When each change was found, and when a model that knows of it was promoted.

    Args:
        changes: in any order; until the next one begins, what is found is laid to this one.
        periods: of `replay.json`: `start`, `end` (ISO days, half-open), `checks`, `failed_at` (check -> the day on
            it was known to have failed), `promoted`.

    Returns:
        For each change its `name`, `story`, `first`, `last`; `found` (a day, None: never) and by which `checks`; `days`
        from its first day to that; and `promoted`, the end of the first period from then on after which a retrained
        model was promoted.
    """
    ordered = sorted(changes, key=lambda change: change.first)
    findings = []
    for change, following in zip(ordered, [*ordered[1:], None], strict=True):
        first, until = change.first.isoformat(), following.first.isoformat() if following else "9999"
        before = next((p for p in reversed(periods) if p["end"] <= first), None)
        mine = [p for p in periods if p["end"] > first and p["start"] < until]
        usual = {name for _, name in _failed(before)} if before else set[str]()
        known = [(day, name) for p in mine for day, name in _failed(p) if name not in usual]
        at = min((day for day, _ in known), default=None)
        promoted = next((p["end"] for p in periods if at and p["end"] >= at and p.get("promoted")), None)
        findings.append(
            {
                "name": change.name,
                "story": change.story,
                "first": first,
                "last": change.last and change.last.isoformat(),
                "found": at,
                "checks": sorted({name for day, name in known if day == at}),
                "days": (date.fromisoformat(at) - change.first).days if at else None,
                "promoted": promoted,
            }
        )
    return findings


def _failed(period: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The checks that failed on a period, each with the day on which that was known."""
    known = period.get("failed_at", {})
    return [(known[name], name) for name, passed in period["checks"].items() if passed is False and name in known]
