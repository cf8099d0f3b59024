"""The recipe: all it takes, besides rows, to make a model again.

Here: `Recipe` and its text. Not here: how a family follows it (`families`), the search for one (`training`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops_assets.core.matrix import FeatureColumn
from mlops_assets.core.metrics import Task


@dataclass(frozen=True)
class Recipe:
    """All it takes, besides rows, to make a model.

    Attributes:
        family: which module of `core.families` makes it, e.g. `xgboost`.
        task: `binary`, `regression` or `multiclass`.
        params: the family's parameters, without seed and threads.
        rounds: number of boosting rounds, or of passes over the rows; 1 where a fit has none.
        columns: the features, in the order of the matrix.
        categories: the known values of each categorical column, as texts; the position is the code. `fit`
            adds values that are new in its rows behind the known ones.
        seed: seeds the sampling of rows and columns.
    """

    family: str
    task: Task
    params: Mapping[str, Any]
    rounds: int
    columns: tuple[FeatureColumn, ...]
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seed: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features, in order."""
        return tuple(column.name for column in self.columns)

    def to_json(self) -> str:
        """One line, keys sorted: equal recipes give equal text."""
        values = {
            "family": self.family,
            "task": self.task,
            "params": dict(self.params),
            "rounds": self.rounds,
            "columns": [[column.name, column.kind] for column in self.columns],
            "categories": {name: list(values) for name, values in self.categories.items()},
            "seed": self.seed,
        }
        return json.dumps(values, sort_keys=True, ensure_ascii=True)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read a recipe back; `Recipe.from_json(r.to_json()) == r`.

        Raises:
            ValueError: the text is no recipe.
        """
        try:
            values = json.loads(text)
            return cls(
                family=values["family"],
                task=values["task"],
                params=values["params"],
                rounds=int(values["rounds"]),
                columns=tuple(FeatureColumn(name, kind) for name, kind in values["columns"]),
                categories={name: tuple(known) for name, known in values["categories"].items()},
                seed=int(values["seed"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"this is no recipe ({error!r}). Train again, or pass what Recipe.to_json() wrote."
            ) from error
