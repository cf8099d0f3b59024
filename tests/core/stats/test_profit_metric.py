"""Profit as what a model is judged by: its table goes along, and what is lost is held against a faultless model."""

from __future__ import annotations

import json
import pickle
from datetime import date
from typing import Any

import numpy as np
import pytest

from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.comparison import paired
from mlops_assets.core.stats.metrics import CannotJudge, ProfitName, metric, profit

COSTS = {"true_positive": 40.0, "false_positive": -4.0, "false_negative": -60.0, "true_negative": 0.5}
Y = np.array([1.0, 1.0, 0.0, 0.0, 0.0])
S = np.array([0.9, 0.2, 0.6, 0.1, 0.0])


def model(**changes: Any) -> ModelSettings:
    values = {
        "name": "fraud",
        "description": "A chance.",
        "task": "binary",
        "label": {"model": "lbl", "column": "y"},
        "features": ["feat"],
        "metric": "profit",
        "start": date(2024, 1, 1),
        "monitoring": {"costs": COSTS},
    }
    return ModelSettings.model_validate({**values, **changes})


def test_a_call_begins_at_the_threshold_of_the_table() -> None:
    """By hand: one caught, one missed, one called for nothing, two left alone; from 0.15 on both are caught."""
    assert profit("binary", COSTS).score(Y, S) == pytest.approx((40 - 60 - 4 + 0.5 + 0.5) / 5)
    assert profit("binary", {**COSTS, "threshold": 0.15}).score(Y, S) == pytest.approx((40 + 40 - 4 + 0.5 + 0.5) / 5)


def test_what_is_lost_is_what_a_faultless_model_would_have_brought_more() -> None:
    judge = profit("binary", COSTS)
    assert judge.loss(judge.score(Y, S), Y) == pytest.approx((60 + 40 + 4.5) / 5)
    assert judge.loss(judge.score(Y, Y), Y) == pytest.approx(0)
    # Where it pays to be wrong, that is faultless.
    odd = profit("binary", {**COSTS, "false_positive": 2.0})
    assert odd.loss(odd.score(Y, np.ones(5)), Y) == pytest.approx(0)
    assert metric("roc_auc").loss(0.8, Y) == pytest.approx(0.2)


def test_the_name_brings_its_table_along() -> None:
    name = model().metric
    assert name == "profit"
    assert metric(name).score(Y, S) == profit("binary", COSTS).score(Y, S)
    assert isinstance(pickle.loads(pickle.dumps(name)), ProfitName)  # noqa: S301 - our own bytes
    assert [m.name for m in model().reported_metrics] == ["profit"]
    days = np.repeat(np.arange(10), 5)
    better = paired(np.tile(Y, 10), np.tile(S, 10), np.tile(Y, 10), days, name)
    assert better.gain == pytest.approx((60 + 40 + 4.5) / 5)
    # A plain name has a direction and no value.
    assert metric("profit").greater_is_better
    with pytest.raises(CannotJudge):
        metric("profit").score(Y, S)


LIMITS: list[dict[str, Any]] = [
    {"monitoring": {"performance": {"floor": 0}}},
    {"monitoring": {"limits": {"profit": {"floor": 0}}}, "metric": ""},
    {"gate": {"min_value": 0}},
    {"training": {"floor": 0}},
    {"retrain": {"on": [{"performance": {"floor": 0}}]}},
    {"retrain": {"on": [{"performance": {"metric": "profit", "floor": 0}}]}, "metric": ""},
]
TABLES: list[tuple[str, dict[str, float], list[float], list[float], str]] = [
    # A row brings one of the entries, so their mean lies between the least and the greatest; the threshold is none.
    ("binary", {**COSTS, "threshold": 0.2}, [-59.0, 0.0, 39.0], [-60.0, 40.0, 200.0], "lies between -60 and 40"),
    ("multiclass", {"right": 1, "wrong": -1, "0 as 2": -5}, [-4.9, 0.9], [-5, 1, 3], "lies between -5 and 1"),
    # A cost per unit of an error is zero or more, and an error has no end.
    ("regression", {"under_prediction": 3, "over_prediction": 1}, [-1e6, -0.01], [0, 5], "is never above 0"),
]


@pytest.mark.parametrize("fields", LIMITS, ids=str)
@pytest.mark.parametrize(("task", "costs", "right", "wrong", "why"), TABLES, ids=[table[0] for table in TABLES])
def test_a_limit_of_profit_can_be_reached_by_its_table(
    fields: dict[str, Any], task: str, costs: dict[str, float], right: list[float], wrong: list[float], why: str
) -> None:
    def limited(value: float) -> ModelSettings:
        changes = json.loads(json.dumps(fields).replace(": 0", f": {value}"))
        if changes.get("metric") == "":
            changes["metric"] = {"binary": "roc_auc", "multiclass": "accuracy", "regression": "rmse"}[task]
        monitoring = {**changes.pop("monitoring", {}), "costs": costs}
        return model(task=task, monitoring=monitoring, **changes)

    for value in right:
        limited(value)
    for value in wrong:
        with pytest.raises(ValueError, match=f"as profit by monitoring.costs {why}") as refused:
            limited(value)
        assert "for example" in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"monitoring": {}}, "metric: profit needs a cost table"),
        ({"monitoring": {"costs": {**COSTS, "threshold": 1.0}}}, "set a score between 0 and 1"),
        ({"monitoring": {"costs": {**COSTS, "treshold": 0.1}}}, "needs a finite number for each of"),
        ({"task": "multiclass"}, "needs a finite number for each of right, wrong"),
    ],
)
def test_what_profit_needs(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        model(**changes)
