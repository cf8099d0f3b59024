"""What each family's parameters may be: what its library can be fitted with, and nothing else."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mlops_assets.core.limits.ranges import LARGEST, Choice, Range, WrongSetting
from mlops_assets.core.models.families import FAMILIES, Rows, family_called
from mlops_assets.core.models.matrix import FeatureColumn
from mlops_assets.core.models.recipe import Recipe
from mlops_assets.core.models.training import TrainingSettings

PLAIN = [name for name in FAMILIES if not name.endswith("_continued")]
VALUES = [(name, parameter) for name in PLAIN for parameter in family_called(name).defaults]


def fitted(family: str, params: dict[str, Any]) -> np.ndarray:
    """Scores of a model of two classes, fitted on 80 rows."""
    draw = np.random.default_rng(5)
    matrix = draw.normal(size=(80, 2)).astype(np.float32)
    rows = Rows(matrix, (matrix[:, 0] > 0).astype(np.float32))
    kind = family_called(family)
    columns = (FeatureColumn("a", "numeric"), FeatureColumn("b", "numeric"))
    fixed = kind.fixed("binary", "log_loss", rows.y)
    recipe = Recipe(family=family, task="binary", params={**fixed, **params}, rounds=1, columns=columns, categories={})
    return kind.read(kind.fit(recipe, rows, None)).predict(matrix)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_has_a_range_that_holds_its_default(family: str) -> None:
    kind = family_called(family)
    assert kind.ranges.keys() == kind.defaults.keys()
    assert [name for name, value in kind.defaults.items() if kind.ranges[name].fault(value)] == []


@pytest.mark.parametrize(("family", "name"), VALUES)
def test_a_family_can_be_fitted_at_the_ends_of_a_range(family: str, name: str) -> None:
    kind = family_called(family)
    allowed = kind.ranges[name]
    if isinstance(allowed, Choice):
        ends: list[Any] = list(allowed.names)
    else:
        assert isinstance(allowed, Range)
        least = 1e-6 if allowed.above else allowed.least
        ends = [least, min(allowed.most, 1e3) if name != "max_depth" else 12]
        ends = [int(end) for end in ends] if allowed.whole else ends
    for end in ends:
        assert np.isfinite(fitted(family, {**kind.defaults, name: end})).all()


@pytest.mark.parametrize(
    ("family", "name", "value"),
    [
        ("xgboost", "learning_rate", -0.1),
        ("xgboost", "max_depth", -1),
        ("xgboost", "min_child_weight", -1.0),
        ("xgboost", "subsample", 1.5),
        ("xgboost", "colsample_bytree", 1.5),
        ("xgboost", "reg_lambda", -1.0),
        ("random_forest", "colsample_bynode", 1.5),
        ("linear", "C", 0.0),
        ("sgd", "eta0", 0.0),
        ("sgd", "alpha", -1.0),
    ],
)
def test_what_the_library_refuses_is_refused_before(family: str, name: str, value: float) -> None:
    with pytest.raises(Exception, match=r"."):
        fitted(family, {**family_called(family).defaults, name: value})
    with pytest.raises(WrongSetting, match=rf"training\.params\.{name} is {value}: write a .*, for example"):
        TrainingSettings(families=(family,), params={name: value}).check_task("binary", "roc_auc")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"params": {"max_depth": 4.0}}, "max_depth is 4.0: write it as 4, a whole number"),
        ({"params": {"max_depth": [4, 60]}, "search": "grid"}, "max_depth is 60: write a whole number from 1 to 30"),
        ({"params": {"subsample": "most"}}, "subsample is 'most', which is no number"),
        ({"params": {"subsample": True}}, "params has True for subsample: write a number or a text"),
        ({"params": {"subsample": math.nan}}, "params has nan for subsample"),
        ({"params": {"reg_lambda": LARGEST * 10}}, "params has .* for reg_lambda"),
        ({"params": {"optimizer": "lion"}, "families": ("river",)}, "optimizer is 'lion': write adam or sgd"),
        ({"params": {"subsample": 2.0, "C": 1.0}, "families": ("linear", "xgboost")}, "subsample is 2.0: write"),
    ],
)
def test_a_value_that_no_fit_takes_names_the_remedy(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(WrongSetting, match=message):
        replace(TrainingSettings(), **fields).check_task("binary", "roc_auc")
