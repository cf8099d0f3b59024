"""What `training.params` may be called, and what an unknown name is answered with."""

from __future__ import annotations

from typing import Any

import pytest

from mlops_assets.core.limits.ranges import WrongSetting
from mlops_assets.core.models.training_settings import TrainingSettings


@pytest.mark.parametrize(
    ("family", "params", "remedy"),
    [
        ("xgboost", {"n_estimators": 300}, "the nearest is training.max_rounds, beside params; or set some of cols"),
        ("xgboost", {"early_stopping_rounds": 9}, "the nearest is training.early_stopping_rounds, beside params"),
        ("xgboost", {"eta": 0.1}, "the nearest is learning_rate; set some of colsample_bytree"),
        ("xgboost", {"gamma": 1}, "the nearest is min_child_weight; set"),
        ("xgboost", {"reg_alpha": 1}, "the nearest is reg_lambda; set"),
        ("xgboost", {"max_dept": 4}, "the nearest is max_depth; set"),
        ("random_forest", {"n_estimators": 200}, "has no search: set some of colsample_bynode"),
        ("river", {"optimiser": "adam"}, "the nearest is optimizer; set some of l2, optimizer, rate"),
        ("sgd", {"gamma": 1}, "has no search: set some of alpha, eta0"),
    ],
)
def test_an_unknown_parameter_is_answered_with_the_nearest(family: str, params: dict[str, Any], remedy: str) -> None:
    with pytest.raises(WrongSetting, match=remedy):
        TrainingSettings(families=(family,), params=params).check_task("binary", "roc_auc")
