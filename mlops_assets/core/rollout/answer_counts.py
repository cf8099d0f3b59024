"""How long answers took and how many failed, from counts that fit into a few lines.

Here: the buckets of answering times, and what is read from counts in them. Not here: counting
(`serving.engine.request_counts`), the limits that a candidate is held to (`moves`).

A bucket is 5 % wider than the one below it, so a percentile is known to 5 % and counts of any number of requests, hours
or processes add up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

SHORTEST = 1e-4
"""Seconds; whatever is shorter is in bucket 0."""
WIDER = 1.05
LAST = 400
"""Bucket of everything from eight hours on."""


@dataclass(frozen=True)
class Answering:
    """What one version did with the requests that it was asked.

    Attributes:
        times: bucket -> answers in it.
        errors: requests that failed by its fault.
    """

    times: Mapping[int, int]
    errors: int = 0

    @property
    def answers(self) -> int:
        """Requests that it answered."""
        return sum(self.times.values())

    def percentile_ms(self, share: float = 0.99) -> float | None:
        """The time within which that share of the answers was given, at most 5 % too long; None without any."""
        wanted, seen = math.ceil(share * self.answers), 0
        for bucket in sorted(self.times):
            seen += self.times[bucket]
            if seen >= wanted:
                return upper_ms(bucket)
        return None

    def slower_than(self, limit_ms: float) -> int:
        """Answers that surely took longer than a limit: those of the limit's own bucket are given the benefit."""
        return sum(count for bucket, count in self.times.items() if bucket > 0 and upper_ms(bucket - 1) >= limit_ms)


def bucket_of(seconds: float) -> int:
    """The bucket of an answering time."""
    if seconds <= SHORTEST:
        return 0
    return min(LAST, math.ceil(math.log(seconds / SHORTEST) / math.log(WIDER) - 1e-9))


def upper_ms(bucket: int) -> float:
    """The longest time of a bucket, milliseconds."""
    return 1_000.0 * SHORTEST * WIDER**bucket
