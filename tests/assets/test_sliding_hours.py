"""24 hours that slide by hours, lived: inputs, scores and slices at each step, performance as labels mature."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import dagster as dg
import pandas as pd

from mlops_assets.core.time.windows import midnight
from mlops_assets.steps.watch.windows.drift_summary import DriftSummary
from mlops_assets.steps.watch.windows.performance_summary import PerformanceSummary
from mlops_assets.steps.watch.windows.summaries import SLIDING, summaries
from tests.assets.test_agreed_triggers import agreed, decided
from tests.real_slice import COLD_START, World

DAY, NEXT = COLD_START, COLD_START + timedelta(days=1)
FLOOR = {"performance": {"floor": 0.99}}
STEPS = [f"{DAY}T06..{NEXT}T06", f"{DAY}T12..{NEXT}T12"]


def watched(world: World, hour: int, *entries: Any, **monitoring: Any) -> World:
    """The first days in production, up to so many hours after the first midnight."""
    sliding = world.with_settings(
        monitoring={"window": "24h every 6h", **monitoring}, retrain=agreed(*(entries or (FLOOR,)))
    )
    until = midnight(DAY, sliding.model.timezone) + timedelta(hours=hour)
    world.home.configure(replace(world.home.settings, until=until))
    sliding.watch(DAY, NEXT + timedelta(days=1))
    return sliding


def judged(world: World) -> list[PerformanceSummary]:
    return summaries(world.platform.lake, world.model.name, SLIDING, PerformanceSummary)


def test_performance_of_24_hours_is_known_as_its_labels_mature(world: World) -> None:
    """A flight's label is known when it has landed: of those of the last hours some are still in the air."""
    sliding = watched(world, 30)
    assert [summary.window for summary in judged(sliding)] == [f"{DAY}", STEPS[0]]
    before = {summary.window: summary for summary in judged(sliding)}
    sliding = watched(world, 36)
    assert [summary.window for summary in judged(sliding)] == [f"{DAY}", STEPS[0]], "not all have landed"
    sliding = watched(world, 42)
    windows = [summary.window for summary in judged(sliding)]
    assert windows == [f"{DAY}", *STEPS]
    # Judged again is what has got labels since.
    assert judged(sliding)[0] == before[f"{DAY}"]
    assert judged(sliding)[1].performance.labelled > before[STEPS[0]].performance.labelled
    (check,) = judged(sliding)[1].checks
    row = judged(sliding)[1].performance
    assert (check.name, check.value) == ("performance_holds_over_24h", row.metrics["roc_auc"].value)
    assert row.labelled >= 0.95 * row.rows > 0
    # What is pooled over windows goes by whole days.
    assert [s.window for s in summaries(sliding.platform.lake, "flight_delay", "performance", PerformanceSummary)] == [
        f"{DAY}"
    ]
    key = dg.AssetKey(["flight_delay", "performance_report"])
    (newest,) = sliding.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(key, "performance_holds_over_24h"), limit=1
    )
    assert newest.evaluation is not None
    assert newest.evaluation.metadata["window"].value == windows[-1]


def test_a_label_that_is_another_one_judges_its_windows_again(world: World) -> None:
    sliding = watched(world, 42)
    before = {summary.window: summary.state for summary in judged(sliding)}
    label, lake = sliding.model.label, sliding.platform.lake
    path = lake.partitions("labels", label.model)[NEXT]
    rows = pd.read_parquet(path)
    first = rows["event_timestamp"] == rows["event_timestamp"].min()
    lake.write(rows.assign(**{label.column: rows[label.column].where(~first, 1 - rows[label.column])}), path)
    after = {summary.window: summary.state for summary in judged(watched(world, 42))}
    assert after.keys() == before.keys()
    assert {window for window in before if before[window] != after[window]} == set(before) - {f"{DAY}"}


def test_a_trigger_asks_within_the_day(world: World) -> None:
    sliding = watched(world, 42)
    sliding = sliding.with_settings(
        monitoring={"window": "24h every 6h"},
        retrain=agreed(FLOOR),
        gate={"window": "14d", "when_unjudgeable": "ship"},
    )
    (request,) = sliding.engine.requests(sliding.sensor)[0]
    newest = judged(sliding)[-1].window
    assert request.tags["mlops/rule"] == "performance"
    assert "(floor 0.99) asks for a training: roc_auc 0." in decided(sliding).reasons[0]
    assert f"in window {newest}" in decided(sliding).reasons[0]


def test_inputs_scores_and_slices_are_compared_at_each_step(world: World) -> None:
    sliding = watched(world, 42, {"drift": {"of": "scores", "psi": 0.2}}, slices=["origin"])
    drifts = summaries(sliding.platform.lake, sliding.model.name, "drift", DriftSummary)
    assert [summary.window for summary in drifts] == [f"{DAY}", *STEPS, f"{DAY}T18..{NEXT}T18"]
    for summary in drifts:
        inputs, scores = summary.checks
        assert None not in (inputs.passed, scores.passed)
        assert "feat_flight__scheduled_weekday cannot be judged: it goes by the calendar" in inputs.sentence
        assert isinstance(summary.local_drift, dict)
        assert summary.local_drift["judged"] + len(summary.local_drift["too_small"]) == 3
