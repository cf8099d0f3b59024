"""Counting what each version answers, how long it takes and what fails by its fault.

Here: the counts of this process, and writing them into the lake. Not here: the files (`resources.answer_counts`), what
follows from them (`core.rollout`), Prometheus' metrics.

Counting costs a request about a microsecond. What was counted since the last round of the drain is lost with a process
that is killed; the answers themselves are not.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from threading import Lock

from mlops_assets.core.answering import bucket_of
from mlops_assets.core.settings import ModelSettings
from mlops_assets.resources import answer_counts
from mlops_assets.resources.clock import NoDataYet
from mlops_assets.resources.lake import Lake
from mlops_assets.serving.arms import Arm, Contract

KEPT_DAYS = 7
Place = tuple[str, date]
Minute = tuple[datetime, int, str, bool, int]
Key = tuple[str, int, str, bool, int]
"""Model, version, arm, whether it failed, bucket of time."""


class Tally:
    """Counts by model, version, arm, outcome and time. Safe between threads."""

    def __init__(self, contracts: Mapping[str, Contract], clock: Callable[[ModelSettings], datetime]) -> None:
        self._contracts, self._clock = contracts, clock
        self._writer = f"service-{uuid.uuid4().hex[:12]}"
        self._lock = Lock()
        self._new: Counter[Key] = Counter()
        self._days: dict[Place, Counter[Minute]] = {}
        self._unwritten: set[Place] = set()

    def note(self, model: str, arm: Arm, seconds: float, *, failed: bool = False, requests: int = 1) -> None:
        """Count requests of a version, each of so many seconds, in which it answered or failed."""
        key = (model, arm.version, arm.name, failed, bucket_of(seconds))
        with self._lock:
            self._new[key] += requests

    def write(self, lake: Lake) -> None:
        """Write what is new into the lake, at the present minute of each model's clock.

        Raises:
            OSError: the disk is full or gone; the counts are kept for the next time.
        """
        with self._lock:
            new, self._new = self._new, Counter()
        minutes = {model: self._minute(model) for model in {key[0] for key in new}}
        for key, count in new.items():
            model, version, arm, failed, bucket = key
            at = minutes[model]
            if at is None:  # what has no time yet waits for one
                with self._lock:
                    self._new[key] += count
                continue
            place = (model, at.astimezone(self._contracts[model].settings.zone).date())
            self._days.setdefault(place, Counter())[at, version, arm, failed, bucket] += count
            self._unwritten.add(place)
        for place in sorted(self._unwritten):
            model, day = place
            rows = [(*minute, count) for minute, count in sorted(self._days[place].items())]
            answer_counts.write(lake, model, day, self._writer, rows)
            self._unwritten.discard(place)
        # A day that is over is not written again, unless the clock is set back by a day or two.
        for place in sorted(self._days, key=lambda each: each[1])[: -KEPT_DAYS * len(self._contracts)]:
            del self._days[place]

    def _minute(self, model: str) -> datetime | None:
        """The present minute of a model's clock; None while its data clock stands."""
        try:
            return self._clock(self._contracts[model].settings).astimezone(UTC).replace(second=0, microsecond=0)
        except NoDataYet:
            return None
