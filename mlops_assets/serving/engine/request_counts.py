"""Counting what each version answers, how long it takes and what fails by its fault.

Here: the counts of this process, publishing them and writing them into the lake. Not here: the files
(`steps.predict.answer_counts`), when (`publishing`), what follows from them (`core.rollout.moves`), Prometheus'
metrics.

Counting costs a request about a microsecond. What was counted since they were last published, half a second at most, is
lost with a process that is killed; the answers themselves are not.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from threading import Lock

from mlops_assets.core.rollout.answer_counts import bucket_of
from mlops_assets.core.settings import ModelSettings
from mlops_assets.serving.engine.arms import Arm, Contract
from mlops_assets.steps.predict import answer_counts
from mlops_assets.world.clock import NoDataYet
from mlops_assets.world.lake import Lake

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
        self._unwritten: dict[Place, set[Minute]] = {}
        self._is_published = True
        self._books = Lock()
        """Held by the one of two threads that publishes or writes; `_lock` alone is what a request may wait for."""

    def note(self, model: str, arm: Arm, seconds: float, *, failed: bool = False, requests: int = 1) -> None:
        """Count requests of a version, each of so many seconds, in which it answered or failed."""
        key = (model, arm.version, arm.name, failed, bucket_of(seconds))
        with self._lock:
            self._new[key] += requests

    def publish(self, lake: Lake) -> None:
        """Let whoever leads a rollout see what is new, within a millisecond or two; nothing where nothing is.

        Raises:
            OSError: the disk is full or gone; the counts are kept for the next time.
        """
        with self._books:
            if self._collect() or not self._is_published:
                self._publish(lake)

    def write(self, lake: Lake, *, most: int | None = None) -> bool:
        """Write what is new into the lake, at the present minute of each model's clock; whether anything is left.

        Args:
            lake: of the home.
            most: files that are written; by default all. What is left is in the live file meanwhile.

        Raises:
            OSError: the disk is full or gone; the counts are kept for the next time.
        """
        with self._books:
            self._collect()
            # Oldest first, so that no model waits for ever.
            for place in list(self._unwritten)[:most]:
                model, day = place
                rows = [(*minute, count) for minute, count in sorted(self._days[place].items())]
                answer_counts.write(lake, model, day, self._writer, rows)
                del self._unwritten[place]
                self._is_published = False
            if not self._is_published:
                self._publish(lake)
            # A day that is over is not written again, unless the clock is set back by a day or two.
            for place in sorted(self._days, key=lambda each: each[1])[: -KEPT_DAYS * len(self._contracts)]:
                del self._days[place]
            return bool(self._unwritten)

    def _collect(self) -> bool:
        """Put what was counted since the last time into the books; whether anything was."""
        with self._lock:
            new, self._new = self._new, Counter()
        minutes = {model: self._minute(model) for model in {key[0] for key in new}}
        for key, count in new.items():
            model = key[0]
            at = minutes[model]
            if at is None:  # what has no time yet waits for one
                with self._lock:
                    self._new[key] += count
                continue
            place, minute = (model, at.astimezone(self._contracts[model].settings.zone).date()), (at, *key[1:])
            self._days.setdefault(place, Counter())[minute] += count
            self._unwritten.setdefault(place, set()).add(minute)
            self._is_published = False
        return not self._is_published

    def _publish(self, lake: Lake) -> None:
        """Put what the lake does not have into the live file, after the lake has got the rest."""
        rows: dict[str, list[answer_counts.Row]] = {}
        for place, minutes in self._unwritten.items():
            rows.setdefault(place[0], []).extend((*minute, self._days[place][minute]) for minute in sorted(minutes))
        answer_counts.publish(lake, self._writer, rows)
        self._is_published = True

    def _minute(self, model: str) -> datetime | None:
        """The present minute of a model's clock; None while its data clock stands."""
        try:
            return self._clock(self._contracts[model].settings).astimezone(UTC).replace(second=0, microsecond=0)
        except NoDataYet:
            return None
