"""Which Dagster run answers a decision to train, and whether it broke.

Here: one small file a model, for whoever asks without Dagster, with the CPU that each run has taken. Not here: the
decisions (`record`), what becomes of a run (`assets`), what is told of a broken one (`alerts`).
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import structs

from mlops_assets.core.record.plain_values import as_plain
from mlops_assets.world.atomic import write_text
from mlops_assets.world.files.locks import alone
from mlops_assets.world.files.state_files import read_state

_KEPT = 200
"""Runs of a model that are remembered; what they led to stands in its record."""


class TrainingRun(msgspec.Struct, frozen=True):
    """A run of a decision.

    Attributes:
        run: Dagster's id of it.
        broke: why it ended before its verdict; empty if it did not.
        cpu_seconds: that its steps have taken so far, children included.
    """

    run: str
    broke: str = ""
    cpu_seconds: float = 0.0


@dataclass(frozen=True)
class TrainingRuns:
    """The runs of a home's decisions.

    Attributes:
        root: the home.
    """

    root: Path

    def of(self, model: str) -> dict[str, TrainingRun]:
        """The newest run of each decision on a model, by the decision's id."""
        lost = "runs from before are not named where one asks for what became of a request"
        return read_state(self.file(model), dict[str, TrainingRun], lost=lost) or {}

    def note(self, model: str, decision: str, run: TrainingRun) -> None:
        """Remember the run of a decision, or that it broke; what is known of its CPU stays."""
        with self._alone(model):
            before = self.of(model).get(decision)
            known = before.cpu_seconds if before and before.run == run.run else run.cpu_seconds
            self._put(model, decision, structs.replace(run, cpu_seconds=known))

    def add_cpu(self, model: str, decision: str, run: str, cpu_seconds: float) -> None:
        """Remember what a step has taken of a run that is known."""
        with self._alone(model):
            known = self.of(model).get(decision)
            if known and known.run == run:
                self._put(model, decision, structs.replace(known, cpu_seconds=known.cpu_seconds + cpu_seconds))

    def _put(self, model: str, decision: str, run: TrainingRun) -> None:
        others = {known: other for known, other in self.of(model).items() if known != decision}
        newest = dict([*others.items(), (decision, run)][-_KEPT:])
        write_text(self.file(model), json.dumps(as_plain(newest), indent=1))

    def _alone(self, model: str) -> AbstractContextManager[bool]:
        return alone(self.file(model).with_name(f".{model}.lock"))

    def file(self, model: str) -> Path:
        """Where the runs of one model are noted."""
        return self.root / "training_runs" / f"{model}.json"
