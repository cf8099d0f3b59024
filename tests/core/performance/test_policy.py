"""Whether performance holds: relative to the gate, to the version before, and absolute, several windows in a row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mlops_assets.core.performance.policy import MetricLimit, PerformancePolicy, performance_holds, together
from mlops_assets.core.performance.window_metrics import Estimate, PerformanceRow


def window(value: float | None, lower: float | None, upper: float | None, name: str = "roc_auc") -> PerformanceRow:
    found = Estimate(name, value, lower, upper, 0.01, 900, 30, None if value is not None else "one class")
    start = datetime(2013, 1, 1, tzinfo=UTC)
    return PerformanceRow(
        "2013-01", start, start + timedelta(days=31), 920, 900, 0.0, 0.3, True, "labels are in", {name: found}
    )


@pytest.mark.parametrize(
    ("row", "reference", "passed"),
    [
        (window(0.72, 0.70, 0.74), 0.75, True),  # 4 % under is within 5 %
        (window(0.70, 0.68, 0.72), 0.75, False),  # 6.7 % under and surely under
        (window(0.70, 0.62, 0.78), 0.75, True),  # 6.7 % under, but may be noise
        (window(0.70, None, None), 0.75, False),  # no interval: the value decides
        (window(10.4, 10.2, 10.6, "rmse"), 10.0, True),
        (window(10.6, 10.4, 10.8, "rmse"), 10.0, False),
        (window(10.6, 9.4, 11.8, "rmse"), 10.0, True),
        (window(-0.2, -0.25, -0.15, "r2"), -0.1, False),
    ],
)
def test_relative_limits(row: PerformanceRow, reference: float, passed: bool) -> None:
    name = next(iter(row.metrics))
    verdict = performance_holds(row, name, reference, PerformancePolicy())
    assert verdict.passed is passed
    assert ("keeps" if passed else "breaks") in verdict.sentence


def test_without_sureness_the_value_alone_decides() -> None:
    row = window(0.70, 0.62, 0.78)
    assert performance_holds(row, "roc_auc", 0.75, PerformancePolicy(sure=False)).passed is False


def test_a_floor_is_absolute() -> None:
    policy = PerformancePolicy(floor=0.9)
    assert performance_holds(window(0.88, 0.87, 0.89, "accuracy"), "accuracy", None, policy).passed is False
    assert performance_holds(window(0.91, 0.90, 0.92, "accuracy"), "accuracy", None, policy).passed is True


@pytest.mark.parametrize(
    ("row", "reference", "why"),
    [
        (replace(window(0.7, 0.6, 0.8), mature=False, reason="too early"), 0.75, "not mature: too early"),
        (replace(window(0.7, 0.6, 0.8), labelled=199), 0.75, "199 labels and 200 are needed"),
        (window(None, None, None), 0.75, "one class"),
        (window(0.7, 0.6, 0.8), None, "nothing to hold"),
    ],
)
def test_what_cannot_be_judged_yet_says_why(row: PerformanceRow, reference: float | None, why: str) -> None:
    verdict = performance_holds(row, "roc_auc", reference, PerformancePolicy())
    assert verdict.passed is None
    assert why in verdict.sentence


def test_a_wrong_policy_names_the_remedy() -> None:
    with pytest.raises(ValueError, match="from 0 to 100"):
        PerformancePolicy(max_drop=-0.1)


def test_a_verdict_states_the_share_without_a_label() -> None:
    row = replace(window(0.72, 0.70, 0.74), share_unlabelled=0.025)
    assert performance_holds(row, "roc_auc", 0.75, PerformancePolicy()).sentence.endswith("2.5% of the rows have none")
    assert "have none" not in performance_holds(window(0.72, 0.70, 0.74), "roc_auc", 0.75, PerformancePolicy()).sentence


# --- the version before ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "previous", "passed"),
    [
        (window(0.70, 0.68, 0.715), 0.72, True),  # 2.8 % under
        (window(0.68, 0.66, 0.70), 0.72, False),  # 5.6 % under and surely under
        (window(0.68, 0.60, 0.76), 0.72, True),  # may be noise
        (window(10.6, 10.4, 10.8, "rmse"), 10.0, False),
        (window(0.50, 0.49, 0.51), None, None),  # the first version
    ],
)
def test_the_previous_version_is_a_reference_of_its_own(
    row: PerformanceRow, previous: float | None, passed: bool | None
) -> None:
    name = next(iter(row.metrics))
    policy = PerformancePolicy(max_drop=None)
    verdict = performance_holds(row, name, 0.9, policy, previous=previous)
    assert verdict.passed is passed
    if passed is False:
        assert "under the previous version" in verdict.sentence


def test_both_relative_limits_are_on_by_default_and_the_stricter_one_bites_first() -> None:
    row = window(0.70, 0.69, 0.71)  # 6.7 % under 0.75, 2.8 % under 0.72
    verdict = performance_holds(row, "roc_auc", 0.75, PerformancePolicy(), previous=0.72)
    assert (verdict.passed, verdict.limit) == (False, pytest.approx(0.7125))
    lenient = PerformancePolicy(max_drop=0.2)
    assert performance_holds(row, "roc_auc", 0.75, lenient, previous=0.72).passed is True
    assert performance_holds(row, "roc_auc", 0.75, lenient, previous=0.74).passed is False


# --- several windows in a row, and several metrics -----------------------------------------------------------------

OFF = PerformancePolicy(max_drop=None, max_drop_from_previous=None)
LOW, FINE = (Estimate("f1", value, value - 0.01, value + 0.01, 0.005, 900, 30) for value in (0.80, 0.90))


@pytest.mark.parametrize(
    ("before", "passed"),
    [([], True), ([LOW], True), ([LOW, FINE], True), ([FINE, LOW, LOW], False), ([LOW, LOW, FINE, LOW], True)],
)
def test_f1_must_be_low_three_times_in_a_row(before: list[Estimate], passed: bool) -> None:
    policy = OFF.of(MetricLimit(floor=0.85, floor_windows=3))
    verdict = performance_holds(window(0.80, 0.79, 0.81, "f1"), "f1", None, policy, before=before)
    assert (verdict.passed, verdict.limit) == (passed, 0.85)
    assert "in 3 windows in a row" in verdict.sentence
    good = performance_holds(window(0.90, 0.89, 0.91, "f1"), "f1", None, policy, before=[LOW, LOW])
    assert good.passed is True


@pytest.mark.parametrize(
    ("limit", "name", "fails"),
    [(MetricLimit(max_drop=0.05), "recall", 0.75), (MetricLimit(floor=0.90), "accuracy", 0.88)],
)
def test_customary_limits(limit: MetricLimit, name: str, fails: float) -> None:
    policy = OFF.of(limit)
    assert performance_holds(window(fails, fails - 0.01, fails + 0.01, name), name, 0.80, policy).passed is False
    assert performance_holds(window(0.91, 0.90, 0.92, name), name, 0.80, policy).passed is True


def test_one_verdict_on_several_metrics_names_what_is_broken_first() -> None:
    policy = PerformancePolicy()
    main = performance_holds(window(0.75, 0.74, 0.76), "roc_auc", 0.75, policy)
    low = performance_holds(window(0.70, 0.69, 0.71, "recall"), "recall", 0.80, OFF.of(MetricLimit(max_drop=0.05)))
    unknown = performance_holds(window(None, None, None, "f1"), "f1", 0.80, OFF.of(MetricLimit(max_drop=0.05)))
    both = together(main, [unknown, low])
    assert (both.passed, both.value, both.limit) == (False, 0.70, pytest.approx(0.76))
    assert both.sentence.startswith("recall 0.7000 in window 2013-01")
    assert "roc_auc 0.7500" in both.sentence
    assert "one class" in both.sentence
    assert together(main, []) == main
    assert together(main, [unknown]).passed is True


def test_a_limit_that_limits_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="neither max_drop nor floor: set one"):
        MetricLimit()
    with pytest.raises(ValueError, match="from 0 to 100"):
        MetricLimit(max_drop=-0.1)


def test_no_windows_in_a_row_is_refused() -> None:
    with pytest.raises(ValueError, match="from 1 to"):
        PerformancePolicy(floor=0.9, floor_windows=0)
