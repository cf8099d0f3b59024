"""Whose row it is, where a fleet is asked by its own name.

Here: the value of the fleet's column in a row, and the member that stands for it. Not here: which members there are
(`models.contracts`), whether one can answer (`scoring`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops_assets.serving.log.records import LoggedRow


@dataclass(frozen=True)
class Members:
    """The members of a fleet.

    Attributes:
        per: the column whose values they stand for.
        features: of that name in the fleet's feature views, `<view>__<column>`.
        by_value: value -> name of the member.
        is_key: whether the column is an entity key; else it may stand among the entities all the same.
    """

    per: str
    features: Sequence[str]
    by_value: Mapping[str, str]
    is_key: bool

    def of(self, row: LoggedRow) -> str | None:
        """The member whose row it is; None where the row has no value, or one that no member stands for."""
        value = row.entities.get(self.per)
        if value is None:
            value = next((row.features[name] for name in self.features if row.features.get(name) is not None), None)
        return None if value is None else self.by_value.get(_as_text(value))

    def without(self, row: LoggedRow) -> LoggedRow:
        """The row without the column, where that is no key of the model: it has said whose it is."""
        if self.is_key or self.per not in row.entities:
            return row
        entities = {name: value for name, value in row.entities.items() if name != self.per}
        return LoggedRow(entities, row.features, row.event_time)


def _as_text(value: Any) -> str:
    """A value as the lake has it as a text."""
    return str(value).lower() if isinstance(value, bool) else str(value)
