"""The record of decisions as a Dagster resource.

Here: which home's record it is. Not here: the files (`record`), deciding (`core.decide.policy`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlops_assets.core.record.entries import OnRecord
from mlops_assets.world.home import Home
from mlops_assets.world.record.chain import Checked
from mlops_assets.world.record.record import Record


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Decisions of one home, each with its evidence, policy and reason.

    Attributes:
        root: the home; empty means `$MLOPS_HOME`.
    """

    root: str = ""

    @property
    def record(self) -> Record:
        """The files themselves."""
        return Record((Home(Path(self.root)) if self.root else Home.from_environment()).ledger)

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self.record.folder

    def file(self, model: str) -> Path:
        """The record of one model."""
        return self.record.file(model)

    def entries(self, model: str) -> list[OnRecord]:
        """Everything on record for a model, oldest first; see `Record.entries`."""
        return self.record.entries(model)

    def append(self, model: str, entry: OnRecord) -> bool:
        """Put an entry on record unless one with the same `id` stands there; says whether it was written."""
        return self.record.append(model, entry)

    def verify(self, model: str) -> Checked:
        """Whether every entry is as it was written and at its place; see `Record.verify`."""
        return self.record.verify(model)
