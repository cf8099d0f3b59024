"""A model's limits and a source's moments in YAML: what is read, and what does not fit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from mlops_assets.core.features.look_ahead import WHOLE_ROW, hidden_parts, moments_among
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.sources.settings import SourceSettings


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
    ("preset", "limits"),
    [
        ("high_stakes", {"psi": 0.1}),
        ("low_stakes", {"psi": 0.3}),
        ("ks", {"psi": None, "ks_p": 0.05, "chi2_p": 0.05}),
        ("kl", {"psi": None, "kl": 0.15}),
        ("any_feature", {"max_share": 0.0}),
    ],
)
def test_a_drift_preset_is_named_in_the_yaml_and_fields_beside_it_win(preset: str, limits: dict) -> None:
    usual = model().monitoring.drift
    found = model(monitoring={"drift": {"preset": preset}}).monitoring.drift
    assert found == replace(usual, preset=preset, **limits)
    own = model(monitoring={"drift": {"preset": preset, "psi": 0.25, "reference": "season"}}).monitoring.drift
    assert (own.psi, own.reference, own.max_share) == (0.25, "season", found.max_share)


def test_limits_of_further_metrics_are_read_and_their_metrics_reported() -> None:
    found = model(
        "monitoring: {metrics: [brier], limits: {recall: {max_drop: 0.05}, f1: {floor: 0.85, floor_windows: 3}}}"
    )
    assert [metric.name for metric in found.reported_metrics] == ["roc_auc", "brier", "recall", "f1"]
    assert (found.limits["recall"].max_drop, found.limits["recall"].floor) == (0.05, None)
    assert (found.limits["f1"].floor, found.limits["f1"].floor_windows) == (0.85, 3)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        (
            "monitoring: {drift: {preset: strict}}",
            "no drift preset 'strict': choose one of default, high_stakes",
        ),
        (
            "monitoring: {limits: {roc_auc: {floor: 0.9}}}",
            "the metric's own are under monitoring.performance",
        ),
        ("monitoring: {limits: {rmse: {floor: 0.9}}}", "names rmse, and it has no such: name some of pr_auc, log_loss"),
        ("monitoring: {limits: {profit: {floor: 0.9}}}", "names profit, and it has no such"),
        ("monitoring: {limits: {f1: {}}}", "neither max_drop nor floor: set one, or remove it"),
        ("monitoring: {limits: {f1: {flor: 0.9}}}", "flor"),
        ("monitoring: {interval: 0.9}", "is for a regression, and the task is binary: remove it"),
        ("{task: regression, metric: mae, monitoring: {interval: 0.99}}", "above 0 and at most 0.98, for example 0.9"),
        (
            "{task: regression, metric: mae, monitoring: {limits: {interval_coverage: {floor: 0.8}}}}",
            "monitoring.limits.interval_coverage is without effect.*set monitoring.interval, for example 0.9",
        ),
        (
            "{task: regression, metric: mae, retrain: {on: [performance: {metric: interval_coverage, floor: 0.8}]}}",
            "interval_coverage is measured on bounds .*set monitoring.interval, for example 0.9",
        ),
        (
            "{task: regression, metric: mae, monitoring: {metrics: [interval_coverage]}}",
            "monitoring.metrics names interval_coverage without effect.*set monitoring.interval, for example 0.9",
        ),
        (
            "{task: regression, metric: interval_coverage, monitoring: {interval: 0.9}}",
            "measured on bounds, and trainings and the gate score predictions: set metric: rmse, for example, and hold",
        ),
        (
            "{monitoring: {drift: {max_share: 1}}, retrain: {on: [drift]}}",
            "drift can never ask, as monitoring.drift.max_share is 1",
        ),
        ("monitoring: {fairness: {by: [a], measure: parity}}", "set one of equalized_odds"),
        ("monitoring: {fairness: {by: [a], group: b}}", "group"),
        ("{task: regression, metric: mae, monitoring: {fairness: {by: [a]}}}", "set it in its unit"),
        ("{task: regression, metric: mae, gate: {calibration_margin: 0}}", "need probabilities: remove them"),
        ("gate: {max_size_mb: -1}", "is -1: write a number above 0"),
        ("gate: {window: a month}", "is not a duration"),
        ("gate: {window: 0d}", "write a length of time above 0d"),
        ("gate: {preset: f1_5_percent}", "choose one of better, f1_2_percent"),
        ("gate: {preset: f1_2_percent}", "is for f1 and the metric is roc_auc"),
        ("metric: rmse", "rmse is no metric of a binary model: set one of roc_auc"),
        ("{task: multiclass, monitoring: {metrics: [mae]}}", "mae is no metric of a multiclass model"),
        ("label: {model: lbl, column: y, max_delay: soon}", "is not a duration"),
        ("end: 2012-12-31", r"end \(2012-12-31\) is before start"),
    ],
)
def test_what_does_not_fit_names_the_remedy(text: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        model(text)


@pytest.mark.parametrize(
    "text",
    [
        """{task: regression, metric: mae, monitoring: {interval: 0.9, limits: {interval_coverage: {floor: 0.8}}},
            retrain: {on: [performance: {metric: interval_coverage, floor: 0.8}]}}""",
        "{monitoring: {drift: {max_share: 1, levels: calibrated}}, retrain: {on: [drift]}}",
        "{monitoring: {drift: {max_share: 1, levels: auto}}, retrain: {on: [drift]}}",
        "{monitoring: {drift: {max_share: 1}}}",
    ],
)
def test_limits_that_can_be_reached_are_taken(text: str) -> None:
    model(text)


@pytest.mark.parametrize(
    ("text", "rule", "min_gain"),
    [
        ("gate: {preset: better}", "better", 0.0),
        ("{metric: f1, gate: {preset: f1_2_percent}}", "relative", 0.02),
        ("{task: multiclass, metric: f1, gate: {preset: f1_2_percent, min_gain: 0.03}}", "relative", 0.03),
        ("{metric: accuracy, gate: {preset: accuracy_1_point}}", "absolute", 0.01),
        ("{task: regression, metric: rmse, gate: {preset: rmse_5_percent, window: 14d}}", "relative", 0.05),
    ],
)
def test_a_preset_of_the_gate_is_what_is_left_out(text: str, rule: str, min_gain: float) -> None:
    gate = model(text).gate
    assert (gate.rule, gate.min_gain, gate.significant) == (rule, min_gain, True)


def source(**fields: Any) -> SourceSettings:
    columns = {"sold_at": {"type": "timestamp"}, "day": {"type": "date"}, "paid": {"type": "number", "known_at": "pay"}}
    base = {"name": "s", "description": "One row.", "files": "s_{partition}*", "event_time": "sold_at"}
    return SourceSettings.model_validate(
        {**base, "start": "2013-01-01", "contract": {"columns": columns}, "moments": {"pay": "sold_at + 1"}, **fields}
    )


def test_a_moment_is_a_name_a_column_or_a_time_after_the_event() -> None:
    found = source(known_at="day", timezone="Europe/Berlin")
    assert found.moment_sql("pay") == "sold_at + 1"
    assert found.moment_sql("sold_at") == found.event_sql == '"sold_at"'
    assert found.moment_sql("day") == "(\"day\" + 1)::timestamp at time zone 'Europe/Berlin'", "over when the day is"
    assert found.moment_sql("2h later") == '"sold_at" + to_microseconds(7200000000)'
    parts = [(part.column, part.known_at) for part in hidden_parts(found)]
    assert parts == [(WHOLE_ROW, found.moment_sql("day")), ("paid", "sold_at + 1")]
    assert hidden_parts(source())[0].known_at == '"sold_at"', "rows are known at their event"


@pytest.mark.parametrize("wrong", ["arrival", "paid", "soon later"])
def test_a_moment_that_means_nothing_is_told(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"known_at is .*`moments`|not a duration"):
        source(known_at=wrong)
    with pytest.raises(ValueError, match="paid: known_at is 'pay'"):
        source(moments={})


def test_of_many_times_some_are_taken_evenly_and_the_newest() -> None:
    times = [datetime(2013, 1, day, tzinfo=UTC) for day in range(1, 12)]
    assert [moment.day for moment in moments_among(times, 2)] == [6, 11]
    assert moments_among(times[:1], 3) == (times[0],)
    assert moments_among([], 3) == ()


@pytest.mark.parametrize("field", ["trials", "batch", "max_rounds", "min_rows", "trial_rows", "threads"])
@pytest.mark.parametrize("count", [0, -100])
def test_a_count_of_a_training_is_one_or_more(field: str, count: int) -> None:
    with pytest.raises(ValueError, match=rf"(?s)training.{field}.*is {count}: write a whole number from 1 to"):
        model(training={field: count})
    assert getattr(model(training={field: 1}).training, field) == 1
