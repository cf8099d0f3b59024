"""Which trainings were let start, and when: what a location's budget is counted by.

Here: one small file a home, under a lock, so that two ticks at once start no more than one would. Not here: who starts
(`core.decide.fleet.training_queue`), what became of a training (`training_runs`), the queue, which is no file: it is
what stands on record.

It is written before Dagster is asked for the run. Killed between the two, the next tick asks again under the same key,
and counts it once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from pathlib import Path

import msgspec

from mlops_assets.core.record.plain_values import Moment, as_plain
from mlops_assets.world.atomic import write_text
from mlops_assets.world.files.locks import alone
from mlops_assets.world.files.state_files import read_state

_KEPT = timedelta(days=30)


class TrainingStart(msgspec.Struct, frozen=True):
    """A training that was let start.

    Attributes:
        model: which.
        decision: its id.
        at: when, by the location's clock.
        cpu_hours: that it was expected to take.
    """

    model: str
    decision: str
    at: Moment
    cpu_hours: float = 0.0


@dataclass(frozen=True)
class TrainingStarts:
    """The starts of a home.

    Attributes:
        root: the home.
    """

    root: Path

    @property
    def file(self) -> Path:
        """Where they are."""
        return self.root / "training_starts.json"

    def all(self) -> list[TrainingStart]:
        """Those that are remembered, oldest first.

        Raises:
            DamagedFile: the file cannot be read.
        """
        lost = "what has started today is then not counted, and so many trainings more may start"
        return read_state(self.file, list[TrainingStart], lost=lost) or []

    def on(self, day: date) -> list[TrainingStart]:
        """Those of one day, in UTC."""
        return [start for start in self.all() if start.at.astimezone(UTC).date() == day]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else lets a training start within it."""
        with alone(self.file.with_name(".training_starts.lock")):
            yield

    def note(self, starts: Sequence[TrainingStart]) -> None:
        """Remember more; a decision that is known is not counted again. Call it `alone`."""
        known = self.all()
        new = [start for start in starts if start.decision not in {before.decision for before in known}]
        if new:
            newest = max(start.at for start in new)
            kept = [start for start in known if newest - start.at < _KEPT]
            write_text(self.file, json.dumps(as_plain([*kept, *new]), indent=1))
