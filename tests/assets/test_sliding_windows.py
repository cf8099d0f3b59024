"""Windows that slide, lived: drift by the day over a week, labels by whole weeks, a trigger once for each training."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import dagster as dg

from mlops_assets.assets.retrain_sensor import DECISION_TAG
from mlops_assets.core.record.entries import Rejection
from mlops_assets.core.time.windows import midnight
from mlops_assets.steps.decide.evidence import consider
from mlops_assets.steps.decide.upcoming import upcoming
from mlops_assets.steps.keep.standing import _known
from mlops_assets.steps.watch.windows.summaries import WindowSummary, summaries
from tests.assets.test_agreed_triggers import agreed, decided
from tests.real_slice import COLD_START, World

SLIDING = {"window": "7d every 1d"}
END = date(2013, 2, 27)


def labels(world: World, report: str) -> list[str]:
    kept = summaries(world.platform.lake, world.model.name, report, WindowSummary)
    return [summary.window for summary in kept]


def watched(world: World, end: date = END, *entries: Any) -> World:
    """Nine days in production, day by day, as they land."""
    sliding = world.with_settings(monitoring=SLIDING, retrain=agreed(*(entries or ("psi_0_2",))))
    day = COLD_START
    while day < end:
        sliding.at(day + timedelta(days=1))
        sliding.watch(day, day + timedelta(days=1))
        day += timedelta(days=1)
    return sliding


def test_drift_is_judged_each_day_over_a_week_and_labels_week_by_week(world: World, mlops: Callable[..., Any]) -> None:
    sliding = watched(world)
    windows = [f"2013-02-{first:02}..2013-02-{first + 6:02}" for first in range(18, 21)]
    assert labels(sliding, "drift") == windows
    assert labels(sliding, "performance") == ["2013-02-18..2013-02-24"]
    # One materialization a day, each with its window.
    key = dg.AssetKey([sliding.model.name, "drift_report"])
    events = sliding.instance.fetch_materializations(key, limit=20).records
    told = [record.asset_materialization.metadata["windows"].value for record in reversed(events)]
    assert told == windows
    checks = sliding.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(key, "inputs_match_reference"), limit=20
    )
    assert sum(check.status.value != "PLANNED" for check in checks) == len(windows)
    status = " ".join(mlops("status").output.split())
    assert "2013-02-20..2013-02-26" in status
    known = _known(sliding.platform, sliding.model, sliding.platform.now(sliding.model))
    told_next = upcoming(sliding.platform, sliding.model, known)
    assert "Window 2013-02-21..2013-02-27 closes at 2013-02-28 05:00 UTC" in told_next


def test_a_trigger_asks_on_the_first_window_that_came_after_the_training_and_not_again_until_the_next(
    world: World,
) -> None:
    """Windows before share rows with what the last training knew, however far they have moved."""
    sliding = watched(world, date(2013, 2, 24))
    assert labels(sliding, "drift") == []
    assert sliding.engine.requests(sliding.sensor)[0] == []
    assert decided(sliding).evidence.get("triggers") is None
    sliding = watched(world, date(2013, 2, 25))
    (request,) = sliding.engine.requests(sliding.sensor)[0]
    decision = decided(sliding)
    assert (decision.rule, decision.window) == ("drift", "2013-02-18..2013-02-24")
    assert "in window 2013-02-18..2013-02-24" in decision.reasons[0]
    # It was trained and rejected: the windows of the next six days hold rows that it knew.
    sliding.instance.add_run(
        dg.DagsterRun(
            job_name="retrain",
            run_id="3" * 32,
            tags={**request.tags, DECISION_TAG: decision.id, "dagster/run_key": decision.id},
            status=dg.DagsterRunStatus.SUCCESS,
        )
    )
    said = {"decision": decision.id, "version": 2, "reason": "It is no better."}
    sliding.platform.ledger.record.note("flight_delay", Rejection, **said)
    for day, asks in ((date(2013, 3, 1), False), (date(2013, 3, 4), True)):
        sliding.at(day)
        sliding.watch(date(2013, 2, 25), day)
        evidence = consider(sliding.platform, sliding.model)[1]
        assert [result.window for result in evidence.triggers] == (["2013-02-25..2013-03-03"] if asks else [])
        assert bool(sliding.engine.requests(sliding.sensor)[0]) is asks


def test_what_slides_looks_and_backtests_by_whole_windows(world: World) -> None:
    sliding = world.with_settings(monitoring=SLIDING)
    weekly = world.with_settings(monitoring={"window": "7d"})
    assert sliding.model.retrain_policy == weekly.model.retrain_policy
    assert sliding.model.monitoring.rhythm.length.approximately == timedelta(days=7)
    end = midnight(END, sliding.model.timezone)
    assert sliding.model.monitoring.rhythm.ending(end, sliding.model.timezone).start == midnight(
        END - timedelta(days=7), sliding.model.timezone
    )
