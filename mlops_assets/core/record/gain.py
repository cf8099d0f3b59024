"""A gain with its interval, as a promotion puts it on record.

Here: the values. Not here: measuring one (`core.stats.comparison`), its words and what became of it
(`core.promote.outcome`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Gain:
    """A gain with its interval, in the metric's unit; positive means that the promoted version is better.

    `days` counts the blocks that the interval rests on: days, or what the column `blocks` holds.
    """

    gain: float
    lower: float
    upper: float
    confidence: float
    rows: int
    days: int
    blocks: str = "day"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the record."""
        return asdict(self)
