"""The recipe: all it takes, besides rows, to make a model again.

Here: `Recipe` and its text. Not here: how a family follows it (`families`), the search for one (`training`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from mlops_assets.core.models.matrix import FeatureColumn
from mlops_assets.core.models.probabilities import Calibration
from mlops_assets.core.stats.classes import class_count
from mlops_assets.core.stats.metrics import Task

CONTINUED = "_continued"
"""How families end that go on from a champion; what is before it is the family of that champion."""


@dataclass(frozen=True)
class Base:
    """The model that a recipe goes on from.

    Attributes:
        sha256: of its file, as models that go on from it hold it.
        rounds: how many it has.
        until: labels known before this moment were known to it, ISO 8601; only later ones are learnt from.
    """

    sha256: str
    rounds: int
    until: str


@dataclass(frozen=True)
class Recipe:
    """All it takes, besides rows, to make a model.

    Attributes:
        family: which module of `core.models.families` makes it, e.g. `xgboost`.
        task: `binary`, `regression` or `multiclass`.
        params: the family's parameters, without seed and threads.
        rounds: number of boosting rounds, or of passes over the rows; 1 where a fit has none.
        columns: the features, in the order of the matrix.
        categories: the known values of each categorical column, as texts; the position is the code. `fit`
            adds values that are new in its rows behind the known ones.
        seed: seeds the sampling of rows and columns.
        half_life_days: rows count half with each so many days of age (`weights`); None: all the same.
        balanced: every class has the same total weight.
        calibration: what is applied to the scores; fitted on the validation days, kept in refits.
        base: the model that is gone on from; None: it is made from nothing.
        device: what XGBoost fits on, `cpu` or `cuda`. Part of the recipe, for sums in another order give other bytes;
            what was fitted scores on any machine.
        transformer: what rows go through before the family sees them, not fitted, as `families.transformed` writes it.
    """

    family: str
    task: Task
    params: Mapping[str, Any]
    rounds: int
    columns: tuple[FeatureColumn, ...]
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seed: int = 0
    half_life_days: float | None = None
    balanced: bool = False
    calibration: Calibration | None = None
    base: Base | None = None
    device: str = "cpu"
    transformer: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def from_nothing(self) -> Recipe:
        """A recipe as large that needs no other model: itself, unless it goes on from one."""
        if self.base is None:
            return self
        family = self.family.removesuffix(CONTINUED)
        return replace(self, family=family, rounds=self.base.rounds + self.rounds, base=None)

    @property
    def on_cpu(self) -> Recipe:
        """The same for a machine without a GPU, where nobody will serve what is fitted."""
        return replace(self, device="cpu")

    @property
    def classes(self) -> int:
        """Columns of its scores, of several classes; else 0."""
        return int(self.params.get("num_class", 0)) if self.task == "multiclass" else 0

    def to_json(self) -> str:
        """One line, keys sorted: equal recipes give equal text."""
        values: dict[str, Any] = {
            "family": self.family,
            "task": self.task,
            "params": dict(self.params),
            "rounds": self.rounds,
            "columns": [[column.name, column.kind] for column in self.columns],
            "categories": {name: list(values) for name, values in self.categories.items()},
            "seed": self.seed,
        }
        # Left out where they say nothing: recipes without them read as they always did.
        if self.half_life_days is not None:
            values["half_life_days"] = self.half_life_days
        if self.balanced:
            values["balanced"] = True
        if self.calibration is not None:
            values["calibration"] = self.calibration.to_dict()
        if self.base is not None:
            values["base"] = asdict(self.base)
        if self.device != "cpu":
            values["device"] = self.device
        if self.transformer is not None:
            values["transformer"] = self.transformer
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
                half_life_days=values.get("half_life_days"),
                balanced=bool(values.get("balanced", False)),
                calibration=Calibration.from_dict(values["calibration"]) if "calibration" in values else None,
                base=Base(**values["base"]) if "base" in values else None,
                device=values.get("device", "cpu"),
                transformer=values.get("transformer"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"this is no recipe ({error!r}). Train again, or pass what Recipe.to_json() wrote."
            ) from error


def of_classes(recipe: Recipe, labels: np.ndarray) -> Recipe:
    """The recipe for rows with these labels: as many classes as they have.

    A model that goes on from another keeps the classes of that one; with labels of others it is made from nothing,
    for what was fitted without a class cannot be given it.

    Args:
        recipe: of any task.
        labels: shape (n,), n > 0; class codes where the task has several.
    """
    if recipe.task != "multiclass":
        return recipe
    if recipe.base is not None and class_count(labels) <= recipe.classes:
        return recipe
    return replace(recipe.from_nothing, params={**recipe.params, "num_class": class_count(labels)})
