"""The accepted partitions of a source, as what a new one is held against.

Here: their shapes, kept in the footer of each partition's file, with those of partitions in quarantine for their unit,
and a look at new partitions by them, in their order. Not here: what a shape is (`core.sources.partition_profile`),
which change of it is a fault (`core.sources.partition_faults`).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq

from mlops_assets.core.sources.contract import ContractResult, Failure
from mlops_assets.core.sources.partition_faults import LONG, changes, refused_shape
from mlops_assets.core.sources.partition_profile import Shape, shape_of
from mlops_assets.world.landed.intake import ROWS, SHAPE, Intake
from mlops_assets.world.landed.landed_files import WHOLE


class AcceptedDays:
    """What the lake holds of a source, before and during one run."""

    def __init__(self, intake: Intake) -> None:
        """Nothing is read yet but the footers of what is in quarantine.

        Args:
            intake: the source.
        """
        self.intake = intake
        self._shapes: dict[str, Shape | None] = dict.fromkeys(intake.good())
        self._refused: dict[str, Shape] = {}
        for partition in intake.record.quarantined():
            self.refuse(partition, _footer(intake.quarantine(partition) / ROWS))

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
        refused = {key: shape for key, shape in self._refused.items() if key not in shapes}
        failures: dict[str, list[Failure]] = {}
        for partition, shape in sorted(shapes.items()):
            failures[partition] = self._changes(partition, shape, coming, refused)
            if partition not in released and failures[partition]:
                refused |= {partition: kept} if (kept := refused_shape(shape, failures[partition])) else {}
            elif partition in standing:
                coming[partition] = shape.let_in() if partition in released else shape
        return failures

    def accept(self, partition: str, shape: Shape | None) -> None:
        """Count a partition among the accepted ones."""
        self._shapes[partition] = shape
        self._refused.pop(partition, None)

    def refuse(self, partition: str, shape: Shape | None) -> None:
        """Remember what stays of a partition that was refused (`refused_shape`)."""
        self._refused.pop(partition, None)
        if shape is not None:
            self._refused[partition] = shape

    def _changes(
        self, partition: str, shape: Shape, coming: Mapping[str, Shape], refused: Mapping[str, Shape]
    ) -> list[Failure]:
        if partition == WHOLE:
            return []
        accepted = _before(partition, self._shapes.keys() | coming.keys())[-LONG:]
        # Of one day rows may stand in the lake, and their correction may have been refused.
        days = [(key, coming.get(key) or self._shape(key)) for key in accepted]
        days += [(key, refused[key]) for key in _before(partition, refused.keys()) if accepted and key >= accepted[0]]
        past = [past_shape for _, past_shape in sorted(days, key=lambda day: day[0]) if past_shape is not None]
        return changes(shape, past, date.fromisoformat(partition[:10]))

    def _shape(self, partition: str) -> Shape | None:
        """The shape of an accepted partition, from its file's footer; made from its rows where that has none."""
        if self._shapes[partition] is None:
            path, rules = self.intake.raw_file(partition), self.intake.source.rules
            shape = _footer(path) or shape_of(rules, pq.ParquetFile(path).read().to_pandas())
            self._shapes[partition] = shape
        return self._shapes[partition]


def _before(partition: str, keys: Iterable[str]) -> list[str]:
    """Earlier partitions, in their order; of hours, those of the same hour."""
    return sorted(key for key in keys if key < partition and key[10:] == partition[10:])


def _footer(path: Path) -> Shape | None:
    """The shape that a file keeps; None where it keeps none."""
    kept = (pq.read_metadata(path).metadata or {}).get(SHAPE) if path.exists() else None
    return Shape.from_json(kept.decode()) if kept else None
