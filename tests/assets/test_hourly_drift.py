"""Windows of hours, lived: drift known before the day is over, beside the same hours of the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from mlops_assets.core.settings_sections import MonitoringSpec
from mlops_assets.core.time.windows import midnight
from mlops_assets.steps.decide.upcoming import upcoming
from mlops_assets.steps.keep.standing import _known
from mlops_assets.steps.predict.predictions import read_scores
from mlops_assets.steps.watch.windows.drift_summary import DriftSummary
from mlops_assets.steps.watch.windows.summaries import folder_of, summaries
from tests.assets.test_agreed_triggers import agreed, decided
from tests.real_slice import COLD_START, World

HOURLY = {"window": "6h"}
DAY = COLD_START
NEXT = DAY + timedelta(days=1)


def watched(world: World, hour: int, *entries: Any, **monitoring: Any) -> World:
    """The first day in production, up to an hour."""
    hourly = world.with_settings(
        monitoring={**HOURLY, **monitoring}, retrain=agreed(*(entries or ({"drift": {"psi": 0.2}},)))
    )
    until = midnight(DAY, hourly.model.timezone) + timedelta(hours=hour)
    world.home.configure(replace(world.home.settings, until=until))
    hourly.watch(DAY, NEXT)
    return hourly


def judged(world: World) -> list[DriftSummary]:
    return summaries(world.platform.lake, world.model.name, "drift", DriftSummary)


def test_drift_is_known_before_the_day_is_over(world: World, mlops: Callable[..., Any]) -> None:
    hourly = watched(world, 13)
    windows = [summary.window for summary in judged(hourly)]
    assert windows == [f"{DAY}T00..06", f"{DAY}T06..12"]
    key = dg.AssetKey([hourly.model.name, "drift_report"])
    (record,) = hourly.instance.fetch_materializations(key, limit=5).records
    assert record.asset_materialization.metadata["windows"].value == ", ".join(windows)
    assert f"{DAY}T06..12" in " ".join(mlops("status").output.split())
    told = upcoming(
        hourly.platform, hourly.model, _known(hourly.platform, hourly.model, hourly.platform.now(hourly.model))
    )
    assert f"Window {DAY}T12..18 closes at {DAY} 23:00 UTC" in told
    # What has been judged is not judged again while the day goes on, though its file is written anew.
    before = {summary.window: summary for summary in judged(hourly)}
    hourly = watched(world, 19)
    after = {summary.window: summary for summary in judged(hourly)}
    assert set(after) - set(before) == {f"{DAY}T12..18"}
    assert all(after[window] == summary for window, summary in before.items())
    assert len(hourly.instance.fetch_materializations(key, limit=5).records) == 2


def test_an_hour_is_held_against_the_same_hours(world: World) -> None:
    """The hour of the day itself would have drifted in each window beside all hours."""
    hourly = watched(world, 24)
    morning = judged(hourly)[1]
    table = pd.read_parquet(
        folder_of(hourly.platform.lake, hourly.model.name, "drift", morning.span) / "features.parquet"
    )
    hour = table[table["feature"] == "feat_flight__scheduled_hour"].iloc[0]
    assert hour["psi"] < 0.2
    rows = read_scores(hourly.platform, hourly.model, DAY, NEXT)
    inside = morning.span.contains(rows["event_timestamp"])
    assert (morning.rows, hour["n_current"]) == (int(inside.sum()), int(inside.sum()))
    inputs, scores = morning.checks
    assert inputs.passed is not None
    assert scores.passed is None
    assert "does not say at which hours" in scores.sentence


def test_a_trigger_asks_on_the_hour(world: World) -> None:
    """On the first day no label is there to judge on; what is agreed for that says whether it starts."""
    touchy = {"drift": {"psi": 0.0001}}
    hourly = watched(world, 13, touchy)
    assert hourly.engine.requests(hourly.sensor)[0] == []
    reason = f"The trigger drift (psi 0.0001) asks for a training: in window {DAY}T06..12"
    assert any(reason in told for told in decided(hourly).reasons)
    ships = world.with_settings(
        monitoring=HOURLY, retrain=agreed(touchy), gate={"window": "14d", "when_unjudgeable": "ship"}
    )
    (request,) = ships.engine.requests(ships.sensor)[0]
    assert (request.tags["mlops/rule"], decided(ships).window) == ("drift", f"{DAY}T06..12")
    assert reason in decided(ships).reasons[0]


def test_an_hour_with_few_rows_in_the_reference_cannot_be_judged(world: World) -> None:
    hourly = watched(world, 24, window="1h")
    by_window = {summary.window: summary for summary in judged(hourly)}
    night, day = by_window.get(f"{DAY}T05..06"), by_window[f"{DAY}T08..09"]
    assert day.checks[0].passed is not None
    if night is not None:
        assert night.checks[0].passed is None
        assert "rows of these hours, and 100 are needed" in night.checks[0].sentence
    assert f"{DAY}T03..04" not in by_window, "nothing flies at night"


def test_labels_go_by_days(world: World) -> None:
    hourly = watched(world, 24)
    assert hourly.model.retrain_policy.window == timedelta(days=1)


@pytest.mark.parametrize("drift", [{"reference": "season"}, {"levels": "calibrated"}])
def test_what_hours_cannot_be_held_against_is_refused(world: World, drift: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"remove drift\.reference and drift.levels, or set a window of days"):
        MonitoringSpec.model_validate({"window": "1h", "drift": drift})
