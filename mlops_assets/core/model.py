"""A model as a value: the recipe it is made by, the fit, predictions and its one file.

Here: `Recipe`, `fit`, `Model` and its bytes. Not here: frame to matrix (`matrix`), the search for a recipe
(`training`), where models are kept (`resources.registry`), metrics.

The file is XGBoost's own UBJSON with the recipe in the booster's attributes: one file is the whole model, and
nothing in it can run code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import pandas as pd

from mlops_assets.core.matrix import (
    MIN_ROWS,
    FeatureColumn,
    FloatMatrix,
    all_constant,
    categories_of,
    check_finite,
    check_labels,
    constant_columns,
    encode,
    types_of,
)
from mlops_assets.core.metrics import Task

LARGE_FIT = 4_000_000
"""Cells (rows x columns) from which several threads pay for a single fit: 20,000 x 15 is slower with two
threads than with one (1.6 s against 0.6 s on a busy machine), 240,000 x 45 is faster (1.7 s, not 3.1 s)."""
LARGE_FIT_THREADS = 2
"""Not more: on a machine with fewer cores than threads they wait for each other, spinning."""
MAX_BIN = 256
"""Bins of a numeric feature: one byte each."""

_ATTRIBUTE = "mlops_recipe"


@dataclass(frozen=True)
class Recipe:
    """All it takes, besides rows, to make a model.

    Attributes:
        family: only `xgboost` so far.
        task: `binary`, `regression` or `multiclass`.
        params: XGBoost's parameters, without seed and threads.
        rounds: number of boosting rounds.
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


@dataclass(frozen=True)
class Model:
    """A fitted model. Predicting is safe from several threads at once.

    Attributes:
        recipe: what it was made by, with the categories its rows had.
        content: the model's one file, XGBoost's UBJSON.
    """

    recipe: Recipe
    content: bytes = field(repr=False)

    @classmethod
    def from_bytes(cls, content: bytes) -> Model:
        """Read a model from the bytes of its file.

        Raises:
            ValueError: the bytes are no model of this platform.
        """
        import xgboost

        try:
            booster = xgboost.Booster(model_file=bytearray(content))
        except xgboost.core.XGBoostError as error:
            raise ValueError(
                "these bytes are no XGBoost model in UBJSON; the file is damaged or another one. "
                "Restore it from a backup, or promote the previous version."
            ) from error
        recipe = booster.attr(_ATTRIBUTE)
        if recipe is None:
            raise ValueError(
                "this XGBoost model carries no recipe, so its columns are unknown. Only models written by "
                "Model.to_bytes() can be read; train it again here."
            )
        return cls(recipe=Recipe.from_json(recipe), content=bytes(content))

    def to_bytes(self) -> bytes:
        """The model's file. Equal rows, recipe and seed give equal bytes."""
        return self.content

    @cached_property
    def sha256(self) -> str:
        """Hex digest of the file: the identity of the model."""
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def booster(self) -> Any:
        """The `xgboost.Booster`."""
        import xgboost

        return xgboost.Booster(model_file=bytearray(self.content))

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Score rows; the frame may have more columns, in any order.

        Unseen categories, missing and infinite values are read as missing.

        Returns:
            float32; binary: probability of class 1, shape (n,); regression: value, (n,); multiclass:
            probabilities, (n, k).

        Raises:
            WrongColumns: a column is missing or not of its kind.
        """
        recipe = self.recipe
        matrix = encode(frame, recipe.columns, recipe.categories)
        matrix[np.isinf(matrix)] = np.nan
        if not len(matrix):
            shape = (0, int(recipe.params["num_class"])) if recipe.task == "multiclass" else (0,)
            return np.empty(shape, dtype=np.float32)
        return cast(np.ndarray, self.booster.inplace_predict(matrix, validate_features=False))

    def importance(self) -> dict[str, float]:
        """Share of each feature in the total gain of all splits, the largest first; they sum to 1.

        Total gain and not XGBoost's `gain`, which is the mean of a split and flatters features used once.
        """
        gains = self.booster.get_score(importance_type="total_gain")
        total = sum(gains.values()) or 1.0
        shares = {name: float(gains.get(name, 0.0)) / total for name in self.recipe.names}
        return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))

    def contributions(self, frame: pd.DataFrame) -> pd.DataFrame:
        """TreeSHAP: what each feature adds to a row's raw score (log-odds; in a regression the label's unit).

        Returns:
            The frame's index, a column per feature and `bias`; they add up to the raw score. Multiclass: the
            columns are (class, feature) pairs.
        """
        import xgboost

        recipe = self.recipe
        matrix = encode(frame, recipe.columns, recipe.categories)
        matrix[np.isinf(matrix)] = np.nan
        rows = xgboost.DMatrix(matrix, feature_names=list(recipe.names), feature_types=types_of(recipe.columns))
        values = self.booster.predict(rows, pred_contribs=True)
        names: list[str] = [*recipe.names, "bias"]
        if recipe.task != "multiclass":
            return pd.DataFrame(values, index=frame.index, columns=pd.Index(names))
        pairs = pd.MultiIndex.from_product([range(values.shape[1]), names], names=["class", "feature"])
        return pd.DataFrame(values.reshape(len(frame), -1), index=frame.index, columns=pairs)


def fit(recipe: Recipe, frame: pd.DataFrame, y: Any, *, min_rows: int = MIN_ROWS) -> Model:
    """Fit the recipe on rows, in their order.

    Args:
        recipe: what to make.
        frame: the features, at least the recipe's columns; n rows.
        y: labels, shape (n,): 0 or 1, finite numbers, or class codes 0..k-1.
        min_rows: fewer rows are not trained on.

    Raises:
        CannotTrain: too few rows, one class only, constant features, labels or features that are not finite.
        WrongColumns: a column is missing or not of its kind.
    """
    import xgboost

    labels = check_labels(y, recipe.task, rows=len(frame), min_rows=min_rows)
    complete = replace(recipe, categories=categories_of(frame, recipe.columns, known=recipe.categories))
    matrix = encode(frame, complete.columns, complete.categories)
    check_finite(matrix, complete.columns)
    if constant_columns(matrix, complete.columns) == complete.names:
        raise all_constant(complete.names)
    threads = fit_threads(matrix)
    data = xgboost.QuantileDMatrix(
        matrix,
        labels,
        feature_names=list(complete.names),
        feature_types=types_of(complete.columns),
        enable_categorical=True,
        max_bin=MAX_BIN,
        nthread=threads,
    )
    booster = xgboost.train(booster_params(complete, threads=threads), data, num_boost_round=complete.rounds)
    booster.set_attr(**{_ATTRIBUTE: complete.to_json()})
    return Model(recipe=complete, content=bytes(booster.save_raw("ubj")))


def fit_threads(matrix: FloatMatrix) -> int:
    """Threads of a single fit: by the size of the data and not by the machine.

    A histogram is a sum of floats, and the order of adding must not depend on the number of cores.
    """
    return LARGE_FIT_THREADS if matrix.size >= LARGE_FIT else 1


def booster_params(recipe: Recipe, *, threads: int) -> dict[str, Any]:
    """What `xgboost.train` is given for a recipe."""
    if recipe.family != "xgboost":
        raise ValueError(f"there is no family {recipe.family!r}: set training.family to xgboost")
    fixed = {
        "tree_method": "hist",
        "max_bin": MAX_BIN,
        "seed": recipe.seed,
        "nthread": threads,
        "verbosity": 1,
    }
    return {**recipe.params, **fixed}
