"""A model's limits in YAML: what is read, and what does not fit the task."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from mlops_assets.core.settings import ModelSettings


def model(text: str = "", **fields: Any) -> ModelSettings:
    base = {
        "name": "m",
        "description": "One row.",
        "task": "binary",
        "label": {"model": "lbl", "column": "y"},
        "features": ["f"],
        "metric": "roc_auc",
        "start": "2013-01-01",
    }
    return ModelSettings.model_validate({**base, **(yaml.safe_load(text) or {}), **fields})


def test_fairness_and_limits_are_read_from_yaml() -> None:
    found = model(
        """
        monitoring: {fairness: {by: [carrier, origin], measure: demographic_parity, max_difference: 0.2}}
        gate: {max_calibration_error: 0.05, max_size_mb: 20, same_season: true, golden_set: a.csv}
        """
    )
    assert found.monitoring.fairness.by == ("carrier", "origin")
    assert found.monitoring.fairness.limit(found.task) == 0.2
    assert (found.gate.max_size_mb, found.gate.same_season, found.gate.golden_set) == (20.0, True, "a.csv")
    assert model().monitoring.fairness.by == ()


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("monitoring: {fairness: {by: [a], measure: parity}}", "set one of equalized_odds"),
        ("monitoring: {fairness: {by: [a], group: b}}", "group"),
        ("{task: regression, metric: mae, monitoring: {fairness: {by: [a]}}}", "set it in its unit"),
        ("{task: regression, metric: mae, gate: {calibration_margin: 0}}", "need probabilities: remove them"),
        ("gate: {max_size_mb: -1}", "zero or more"),
        ("end: 2012-12-31", r"end \(2012-12-31\) is before start"),
    ],
)
def test_what_does_not_fit_names_the_remedy(text: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        model(text)
