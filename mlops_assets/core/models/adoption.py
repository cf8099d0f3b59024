"""A model that was made elsewhere as a model of this platform: its columns found, its recipe written down.

Here: XGBoost boosters and scikit-learn estimators as `Model`, and why one cannot be. Not here: reading files and
registries (`steps.promote.adoption`), scoring and promoting it.

The recipe is what a refit starts from. A booster's is its own; an estimator is refitted as the `linear` family's,
because only that one writes skops files.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mlops_assets.core.models.families.skops_file import dumps
from mlops_assets.core.models.families.xgboost import ATTRIBUTE
from mlops_assets.core.models.matrix import FeatureColumn
from mlops_assets.core.models.model import Model
from mlops_assets.core.models.recipe import Recipe
from mlops_assets.core.stats.metrics import Task

OBJECTIVES: dict[str, tuple[str, ...]] = {
    "binary": ("binary:logistic",),
    "multiclass": ("multi:softprob",),
    "regression": (
        *("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:squaredlogerror"),
        *("reg:tweedie", "reg:gamma", "count:poisson"),
    ),
}
"""Objectives whose predictions are what the platform takes for scores."""
_PARAMS = ("learning_rate", "max_depth", "min_child_weight", "subsample", "colsample_bytree", "reg_lambda")


class CannotAdopt(ValueError):
    """The model cannot stand in for one of this platform; the message ends in the remedy."""


def matched(names: Sequence[str], columns: Sequence[FeatureColumn]) -> list[FeatureColumn]:
    """The platform's feature of each column that a model was fitted on, by full or bare name, in the model's order.

    Raises:
        CannotAdopt: one is not there, is there in two views, or is a category, whose codes nobody knows.
    """
    if not names:
        raise CannotAdopt("The model does not say what its columns are called. Fit it on a frame with named columns.")
    features: list[FeatureColumn] = []
    for name in names:
        fitting = [c for c in columns if name in (c.name, c.name.partition("__")[2])]
        if not fitting:
            known = ", ".join(column.name for column in columns)
            raise CannotAdopt(f"The model reads {name!r}, and no feature is called so: {known}. Add it in dbt.")
        if len(fitting) > 1:
            fits = ", ".join(column.name for column in fitting)
            raise CannotAdopt(f"The model reads {name!r}, and there are {fits}. Name its columns <view>__<feature>.")
        if fitting[0].kind == "categorical":
            raise CannotAdopt(
                f"The model reads {name!r}, which is a category here: its codes would be others than the model's. "
                "Give it the number that the model was fitted on as a feature."
            )
        features.append(fitting[0])
    return features


def adopted_booster(booster: Any, columns: Sequence[FeatureColumn], task: Task) -> Model:
    """An `xgboost.Booster` as a model.

    Raises:
        CannotAdopt: its objective gives no scores for the task, or its columns are not there.
    """
    learner = json.loads(booster.save_config())["learner"]
    objective = learner["objective"]["name"]
    if objective not in OBJECTIVES[task]:
        raise CannotAdopt(
            f"The booster's objective is {objective}, and a {task} model here has {' or '.join(OBJECTIVES[task])}. Fit "
            "it with that, or train one here."
        )
    mine = matched(booster.feature_names or [], columns)
    params: dict[str, Any] = {"objective": objective, **_tree_params(learner)}
    if task == "multiclass":
        params["num_class"] = int(learner["learner_model_param"]["num_class"])
    recipe = Recipe("xgboost", task, params, booster.num_boosted_rounds(), tuple(mine))
    own = booster.copy()
    own.feature_names = list(recipe.names)
    own.feature_types = ["q"] * len(mine)
    own.set_attr(**{ATTRIBUTE: recipe.to_json()})
    return Model.from_bytes(bytes(own.save_raw("ubj")))


def _tree_params(learner: dict[str, Any]) -> dict[str, Any]:
    """What the trees were grown by, as far as the booster tells."""
    tree_params = learner.get("gradient_booster", {}).get("tree_train_param", {})
    names = {"learning_rate": "eta", "reg_lambda": "lambda"}
    params = {name: tree_params.get(name, tree_params.get(names.get(name, name))) for name in _PARAMS}
    return {n: int(v) if n == "max_depth" else float(v) for n, v in params.items() if v is not None}


def adopted_estimator(estimator: Any, columns: Sequence[FeatureColumn], task: Task) -> Model:
    """A fitted scikit-learn estimator or pipeline as a model.

    Raises:
        CannotAdopt: it gives no chances where they are needed, its columns are not there, or skops does not trust it.
    """
    if task != "regression" and not hasattr(estimator, "predict_proba"):
        raise CannotAdopt(
            f"{type(estimator).__name__} has no predict_proba, and a {task} model is judged by chances. Wrap it in "
            "sklearn.calibration.CalibratedClassifierCV, fit it and save it again."
        )
    if task != "regression" and list(estimator.classes_) != list(range(len(estimator.classes_))):
        raise CannotAdopt(
            f"Its classes are {list(estimator.classes_)}, and the label model gives 0, 1, ... Fit it on those."
        )
    mine = matched(list(getattr(estimator, "feature_names_in_", [])), columns)
    params: dict[str, Any] = {"C": 1.0}
    if task == "multiclass":
        params["num_class"] = len(estimator.classes_)
    try:
        return Model.from_bytes(dumps(estimator, Recipe("linear", task, params, 1, tuple(mine))))
    except ValueError as error:
        raise CannotAdopt(
            f"{type(estimator).__name__} holds types that could run code or read beyond its memory, such as "
            "scikit-learn's trees. Take a linear model, or boosted trees by XGBoost."
        ) from error
