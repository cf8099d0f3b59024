"""The accepted partitions of a source, as what a new one is held against.

Here: their shapes, kept in the footer of each partition's file, and a look at new partitions by them, one after the
other. Not here: what a shape is (`core.day_shape`), which change of it is a fault (`core.day_changes`).
"""

from __future__ import annotations

from datetime import date

import pyarrow.parquet as pq

from mlops_assets.core.contract import ContractResult, Failure
from mlops_assets.core.day_changes import PAST, changes
from mlops_assets.core.day_shape import Shape, shape_of
from mlops_assets.resources.intake import SHAPE, WHOLE, Intake


class AcceptedDays:
    """What the lake holds of a source, before and during one run."""

    def __init__(self, intake: Intake) -> None:
        """Nothing is read yet.

        Args:
            intake: the source.
        """
        self.intake = intake
        self._shapes: dict[str, Shape | None] = dict.fromkeys(intake.good())

    def look(self, partition: str, result: ContractResult, failures: list[Failure]) -> str:
        """Add to the failures what has changed since the accepted partitions before; of hours, the same hour of days.

        Returns:
            The partition's shape, as text.
        """
        shape = shape_of(self.intake.source.rules, result.frame)
        if partition != WHOLE:
            before = sorted(key for key in self._shapes if key < partition and key[10:] == partition[10:])
            past = [found for key in before[-PAST:] if (found := self._shape(key)) is not None]
            failures += changes(shape, past, date.fromisoformat(partition[:10]))
        return shape.to_json()

    def accept(self, partition: str, shape: str) -> None:
        """Count a partition among the accepted ones."""
        self._shapes[partition] = Shape.from_json(shape)

    def _shape(self, partition: str) -> Shape | None:
        """The shape of an accepted partition, from its file's footer; made from its rows where that has none."""
        if self._shapes[partition] is None:
            path, rules = self.intake.raw_file(partition), self.intake.source.rules
            kept = (pq.read_metadata(path).metadata or {}).get(SHAPE)
            shape = Shape.from_json(kept.decode()) if kept else None
            self._shapes[partition] = shape or shape_of(rules, pq.ParquetFile(path).read().to_pandas())
        return self._shapes[partition]
