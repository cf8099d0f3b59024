"""Agreed triggers that a model can never answer are refused, with the remedy."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.decide.agreed.fitting import Watched, no_limit_applies, refuse_unfit
from mlops_assets.core.decide.agreed.reading import PRESETS, read_triggers
from mlops_assets.core.drift.feature_drift import compare
from mlops_assets.core.drift.grid import Grid
from mlops_assets.core.drift.policy import DriftPolicy, drift_verdict
from mlops_assets.core.drift.profile import Profile

MODEL = Watched("binary", "roc_auc", ["feat_flight"], exclude=["tailnum", "feat_flight__seats"])
LIMITS = ("psi", "ks_p", "chi2_p", "kl", "js", "wasserstein", "new_category_share", "missing_change", "outside_share")
OFF = DriftPolicy(**dict.fromkeys(LIMITS))

UNFIT: dict[str, tuple[Any, dict[str, Any], str]] = {
    "another task": ({"performance": {"metric": "rmse", "floor": 9.0}}, {}, "rmse is not measured here: name one of"),
    "no such metric": ({"performance": {"metric": "acuracy", "floor": 0.9}}, {}, "acuracy is not measured here"),
    "percent": (
        {"performance": {"metric": "accuracy", "floor": 85}},
        {},
        "floor is 85.0: write a number between 0 and 1",
    ),
    "no loss": ({"performance": {"metric": "log_loss", "floor": 0.0}}, {}, "floor is 0.0: write a number above 0"),
    "no costs": ({"performance": {"metric": "profit", "floor": 1.0}}, {}, "profit is not measured here"),
    "another view": ({"drift": {"psi": 0.2, "features": ["feat_card__amount"]}}, {}, "feat_card__amount is of no view"),
    "excluded": (
        {"drift": {"psi": 0.2, "features": ["feat_flight__tailnum"]}},
        {},
        "feat_flight__tailnum is under excl",
    ),
    "excluded in full": (
        {"drift": {"psi": 0.2, "features": ["feat_flight__seats"]}},
        {},
        "is under exclude, and its drift",
    ),
    "drift is off": ("drift", {"drift": OFF}, r"monitoring.drift has every limit off: set one there, or here"),
    "performance is off": ("performance", {"holds_performance": False}, "monitoring.performance has no limit: set its"),
    "no share is larger": (
        "drift",
        {"drift": DriftPolicy(max_share=1)},
        "max_share is 1, .* set a smaller share there",
    ),
    "no bounds": (
        {"performance": {"metric": "interval_coverage", "floor": 0.8}},
        {"task": "regression", "metric": "rmse"},
        "interval_coverage is measured on bounds .* set monitoring.interval",
    ),
    "scores are numbers": ({"drift": {"of": "scores", "chi2_p": 0.05}}, {}, "chi2_p says nothing of numbers: set psi"),
    "scores by hours": (
        {"drift": {"of": "scores", "psi": 0.2}},
        {"by_hours": True},
        "not compared in windows of hours",
    ),
}


@pytest.mark.parametrize("name", UNFIT)
def test_what_can_never_ask_is_refused(name: str) -> None:
    entry, changes, why = UNFIT[name]
    with pytest.raises(ValueError, match=f"(?s)^retrain.on: .*{why}"):
        refuse_unfit(read_triggers([entry]), replace(MODEL, **changes))


FIT: dict[str, tuple[Any, dict[str, Any]]] = {
    "one limit is on": ("drift", {"drift": replace(OFF, missing_change=0.2)}),
    "its own limit": ({"drift": {"psi": 0.2}}, {"drift": OFF}),
    "its own share": ({"drift": {"psi": 0.2}}, {"drift": DriftPolicy(max_share=1)}),
    "levels of its own": ("drift", {"drift": DriftPolicy(max_share=1), "is_calibrated": True}),
    "almost all": ("drift", {"drift": DriftPolicy(max_share=0.99)}),
    "with bounds": (
        {"performance": {"metric": "interval_coverage", "floor": 0.8}},
        {"task": "regression", "metric": "rmse", "has_bounds": True},
    ),
    "its own floor": ({"performance": {"floor": 0.8}}, {"holds_performance": False}),
    "classes are categories": ({"drift": {"of": "scores", "chi2_p": 0.05}}, {"task": "multiclass", "metric": "f1"}),
    "inputs by hours": ({"drift": {"psi": 0.2}}, {"by_hours": True}),
    "another feature": ({"drift": {"psi": 0.2, "features": ["feat_flight__hour"]}}, {}),
}


@pytest.mark.parametrize("name", FIT)
def test_what_can_ask_is_taken(name: str) -> None:
    entry, changes = FIT[name]
    refuse_unfit(read_triggers([entry]), replace(MODEL, **changes))


def test_every_preset_fits_a_model_of_two_classes() -> None:
    for triggers in PRESETS.values():
        refuse_unfit(triggers, MODEL)


def test_a_distance_has_the_limit_that_is_told() -> None:
    """Jensen-Shannon of two distributions without a common value: the root of ln 2 (Lin 1991)."""
    from scipy.spatial.distance import jensenshannon

    assert math.isclose(jensenshannon([1.0, 0.0], [0.0, 1.0]), math.sqrt(math.log(2.0)))


def test_a_limit_says_nothing_of_the_other_kind() -> None:
    assert no_limit_applies(replace(OFF, ks_p=0.05), ["categorical"]) == "ks_p says nothing of categories"
    assert no_limit_applies(replace(OFF, chi2_p=0.05), ["numeric"]) == "chi2_p says nothing of numbers"
    assert no_limit_applies(replace(OFF, chi2_p=0.05), ["numeric", "categorical"]) == ""
    assert no_limit_applies(replace(OFF, psi=0.2), ["categorical"]) == ""


@pytest.mark.parametrize(
    ("limits", "head"),
    [
        ({"ks_p": 0.05}, "1 of 1 features has drifted (100%; limit 5%)"),
        ({"chi2_p": 0.05}, "0 of 2 features have drifted (0%; limit 5%)"),
        ({"psi": 0.2}, "1 of 3 features has drifted (33%; limit 5%)"),
    ],
)
def test_counted_is_what_a_limit_is_about(limits: dict[str, float], head: str) -> None:
    """A number that moved by a standard deviation, and two categories that did not."""
    rng = np.random.default_rng(1)
    then, now = (
        pd.DataFrame(
            {
                "view__x": rng.normal(at, 1, 2000),
                "view__y": rng.choice(list("ab"), 2000),
                "view__z": rng.choice(list("cd"), 2000),
            }
        )
        for at in (0.0, 1.0)
    )
    grid = Grid.from_reference(then)
    verdict = drift_verdict(compare(Profile.of(grid, then), Profile.of(grid, now)), replace(OFF, **limits))
    assert verdict.reason.startswith(head)
    beside = {
        "ks_p": "No limit is about categories, which are not judged.",
        "chi2_p": "No limit is about numbers, which",
    }
    assert beside.get(next(iter(limits)), "") in verdict.reason
    assert ("No limit is about" in verdict.reason) is (next(iter(limits)) != "psi")


def test_where_no_limit_is_about_any_feature_nothing_is_judged() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"view__x": rng.normal(size=500)})
    profile = Profile.of(Grid.from_reference(frame), frame)
    verdict = drift_verdict(compare(profile, profile), replace(OFF, chi2_p=0.05))
    assert (verdict.passed, verdict.share) == (None, None)
    assert verdict.reason == "No feature could be judged. No limit is about numbers, which are not judged."
