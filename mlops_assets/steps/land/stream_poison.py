"""Messages in quarantine, counted by reason.

Here: reading them, for the asset check, the metrics and people. Not here: putting them there (`stream_landing`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow.parquet as pq

from mlops_assets.steps.land.stream_log import StreamLog
from mlops_assets.world.home import Home

POISON = "messages"
"""The folder in a source's quarantine."""


@dataclass(frozen=True)
class Poison:
    """How many messages are in quarantine.

    Attributes:
        messages: so many.
        of: of so many that were read.
        reasons: the most frequent, with their counts.
    """

    messages: int
    of: int
    reasons: Mapping[str, int]

    def sentence(self, source: str) -> str:
        """In words, with what to do."""
        if not self.messages:
            return f"All {self.of:,} messages could be read."
        often = "; ".join(f"{count:,}: {reason}" for reason, count in self.reasons.items())
        return (
            f"{self.messages:,} of {self.of:,} messages are in quarantine ({often}). The others have landed. "
            f"Where the YAML has to follow, change it, then: mlops stream retry {source}"
        )


def poison_count(home: Home, source: str, *, most: int = 5) -> Poison:
    """Count a stream's messages, and those in quarantine."""
    reasons: Counter[str] = Counter()
    for file in (home.lake / "quarantine" / source / POISON).glob("*.parquet"):
        reasons.update(pq.read_table(file, columns=["reason"])["reason"].to_pylist())
    segments = StreamLog(home.landing / source / "messages").segments()
    read = sum(segment.next - segment.first for segment in segments)
    return Poison(reasons.total(), read, dict(reasons.most_common(most)))
