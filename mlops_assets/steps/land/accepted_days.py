"""The accepted partitions of a source, as what a new one is held against.

Here: their shapes, kept in the footer of each partition's file, and a look at new partitions by them, in their
order. Not here: what a shape is (`core.sources.partition_profile`), which change of it is a fault
(`core.sources.partition_faults`).
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from datetime import date

import pyarrow.parquet as pq

from mlops_assets.core.sources.contract import ContractResult, Failure
from mlops_assets.core.sources.partition_faults import LONG, changes
from mlops_assets.core.sources.partition_profile import Shape, shape_of
from mlops_assets.world.landed.intake import SHAPE, WHOLE, Intake


class AcceptedDays:
    """What the lake holds of a source, before and during one run."""

    def __init__(self, intake: Intake) -> None:
        """Nothing is read yet.

        Args:
            intake: the source.
        """
        self.intake = intake
        self._shapes: dict[str, Shape | None] = dict.fromkeys(intake.good())

    def shape(self, result: ContractResult) -> Shape:
        """The shape of a partition that was held against its contract."""
        return shape_of(self.intake.source.rules, result.frame)

    def changes(
        self, shapes: Mapping[str, Shape], standing: Container[str], released: Container[str]
    ) -> dict[str, list[Failure]]:
        """What has changed in each partition since the accepted ones before it; of hours, the same hour of days.

        Args:
            shapes: of the partitions that are judged, by key.
            standing: those that nothing else speaks against: unless they have changed, they are accepted ones for
                those after them.
            released: those that a person lets in, changed or not.
        """
        coming: dict[str, Shape] = {}
        found: dict[str, list[Failure]] = {}
        for partition, shape in sorted(shapes.items()):
            found[partition] = self._changes(partition, shape, coming)
            if partition in standing and (partition in released or not found[partition]):
                coming[partition] = shape
        return found

    def accept(self, partition: str, shape: Shape | None) -> None:
        """Count a partition among the accepted ones."""
        self._shapes[partition] = shape

    def _changes(self, partition: str, shape: Shape, coming: Mapping[str, Shape]) -> list[Failure]:
        if partition == WHOLE:
            return []
        known = self._shapes.keys() | coming.keys()
        before = sorted(key for key in known if key < partition and key[10:] == partition[10:])
        past = [found for key in before[-LONG:] if (found := coming.get(key) or self._shape(key)) is not None]
        return changes(shape, past, date.fromisoformat(partition[:10]))

    def _shape(self, partition: str) -> Shape | None:
        """The shape of an accepted partition, from its file's footer; made from its rows where that has none."""
        if self._shapes[partition] is None:
            path, rules = self.intake.raw_file(partition), self.intake.source.rules
            kept = (pq.read_metadata(path).metadata or {}).get(SHAPE)
            shape = Shape.from_json(kept.decode()) if kept else None
            self._shapes[partition] = shape or shape_of(rules, pq.ParquetFile(path).read().to_pandas())
        return self._shapes[partition]
