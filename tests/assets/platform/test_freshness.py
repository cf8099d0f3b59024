"""How far sources and views are behind: told once, checked in Dagster, and what is behind is built again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from mlops_assets.assets.freshness_policies import SOURCE_CHECK, VIEW_CHECK, freshness_specs, source_policy
from mlops_assets.assets.jobs import landing_checks
from mlops_assets.assets.partitions import SPAN
from mlops_assets.assets.platform import freshness
from mlops_assets.core.time.spans import Span
from mlops_assets.definitions import build_definitions, by_clock
from mlops_assets.steps.keep.metric_values import sources as source_metrics
from mlops_assets.steps.land import lags as lags_module
from mlops_assets.steps.land.lags import SourceLag, source_lags
from mlops_assets.world.home import Home, HomeSettings
from tests.assets.platform.test_sensors import DAYS, VIEW, Floor, carry, names
from tests.landing_home import rows, source

RAW = dg.AssetKey(["raw", "orders"])


@pytest.fixture
def floor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Floor]:
    floor = Floor(tmp_path / "home", monkeypatch)
    with floor.instance:
        yield floor


def test_with_the_wall_clock_a_source_that_ended_long_ago_rings_once(floor: Floor) -> None:
    carry(floor, DAYS)
    for _ in range(2):
        requests, why = floor.tick(freshness.freshness_sensor)
        assert requests == []
        assert "Source orders is stale: its newest good partition ended 2024-03-04 00:00 UTC" in why
    (alert,) = floor.sent()
    assert alert.incident == "stale-orders-2024-03-04"
    assert str(floor.landing.home.landing / "orders") in alert.do


def test_a_source_that_is_over_is_stale_until_its_last_day_is_there(floor: Floor) -> None:
    floor.landing.sources = [source(end=str(DAYS[-1]))]
    floor.platform = replace(floor.platform, sources=floor.landing.all_sources())
    for days, is_stale in ((DAYS[:-1], True), (DAYS, False)):
        carry(floor, days)
        assert (list(freshness.stale_sources(floor.platform)) == ["orders"]) == is_stale


def test_with_the_data_clock_a_source_is_stale_against_the_others(floor: Floor) -> None:
    floor.landing.home.configure(HomeSettings(clock="data"))
    carry(floor, DAYS)
    assert floor.tick(freshness.freshness_sensor) == ([], "Every source and feature view is fresh.")
    floor.landing.sources = [source(), source(name="visits", required=False, freshness="24h")]
    floor.platform = replace(floor.platform, sources=floor.landing.all_sources())
    for day, is_stale in ((DAYS[0], True), (DAYS[1], False)):
        floor.landing.land(rows(day), f"orders_{day}.csv", source="visits")
        floor.landing.run(day, take_in=["visits"])
        stale = freshness.stale_sources(floor.platform)
        assert ("visits" in stale) == is_stale, "24 hours behind is allowed, 48 are not"


def test_a_stale_feature_view_is_built_again_once_a_state(floor: Floor) -> None:
    floor.landing.home.configure(HomeSettings(clock="data"))
    carry(floor, DAYS)
    floor.landing.lake.file("features", VIEW, partition=DAYS[2]).unlink()
    (request,), _ = floor.tick(freshness.freshness_sensor)
    assert names(request) == [VIEW], "nothing has to be taken in"
    assert request.tags[SPAN] == "2024-03-03/2024-03-04"
    assert floor.tick(freshness.freshness_sensor)[0][0].run_key == request.run_key
    assert (result := floor.execute(request)) and result.success
    assert floor.tick(freshness.freshness_sensor) == ([], "Every source and feature view is fresh.")
    assert floor.sent() == []


def test_a_view_that_stays_behind_rings_once(floor: Floor) -> None:
    floor.landing.home.configure(HomeSettings(clock="data"))
    floor.feature_helps = False
    carry(floor, DAYS)
    (request,), _ = floor.tick(freshness.freshness_sensor)
    assert (result := floor.execute(request)) and result.success
    for _ in range(2):
        requests, why = floor.tick(freshness.freshness_sensor)
        assert requests == []
        assert f"Still behind their sources, from 2024-03-01 on, after run {result.run_id[:8]}" in why
    (alert,) = floor.sent()
    assert VIEW in alert.happened
    carry(floor, [DAYS[2] + timedelta(days=1)])
    assert len(floor.tick(freshness.freshness_sensor)[0]) == 1, "another state, another try"


def test_several_stale_views_are_one_run(floor: Floor) -> None:
    context: Any = SimpleNamespace(repository_def=floor.definitions.get_repository_def())
    views = {"b": Span(DAYS[1], DAYS[2]), "a": Span(DAYS[0], DAYS[1])}
    (group,) = floor.platform.groups()
    request = freshness.freshness_request(context, floor.platform, group, views)
    assert request.tags[SPAN] == f"{DAYS[0]}/{DAYS[2]}"
    assert (
        request.run_key
        == freshness.freshness_request(context, floor.platform, group, dict(reversed(views.items()))).run_key
    )


def test_pending_files_come_first(floor: Floor) -> None:
    floor.landing.land_days(DAYS)
    requests, why = floor.tick(freshness.freshness_sensor)
    assert (requests, why) == ([], "Files are pending: the landing sensor carries them first.")


# --- in Dagster's words ------------------------------------------------------------------------------------


def checked(floor: Floor, name: str, key: dg.AssetKey) -> tuple[bool, Any]:
    """What Dagster has on record of a check, as its pages show it."""
    check = dg.AssetCheckKey(key, name)
    (record,) = floor.instance.event_log_storage.get_asset_check_execution_history(check, limit=1)
    evaluation = record.event.dagster_event.asset_check_evaluation_data
    return evaluation.passed, {name: value.value for name, value in evaluation.metadata.items()}


def test_a_check_is_reported_when_something_has_changed_and_not_at_each_tick(floor: Floor) -> None:
    floor.landing.home.configure(HomeSettings(clock="data"))
    carry(floor, DAYS[:2])
    floor.tick(freshness.freshness_sensor)
    assert {(event.check_name, event.passed) for event in floor.events} == {(SOURCE_CHECK, True), (VIEW_CHECK, True)}
    for _ in range(2):
        floor.tick(freshness.freshness_sensor)
        assert floor.events == []
    carry(floor, DAYS[2:])
    floor.tick(freshness.freshness_sensor)
    assert [event.check_name for event in floor.events] == [SOURCE_CHECK, VIEW_CHECK]


def test_a_check_is_reported_anew_for_each_materialization_that_pages_show(floor: Floor) -> None:
    floor.landing.home.configure(HomeSettings(clock="data"))
    carry(floor, DAYS)
    floor.tick(freshness.freshness_sensor)
    for key, check in ((dg.AssetKey(VIEW), VIEW_CHECK), (RAW, SOURCE_CHECK)):
        floor.instance.report_runless_asset_event(dg.AssetMaterialization(key))
        floor.tick(freshness.freshness_sensor)
        assert [event.check_name for event in floor.events] == [check]
        floor.tick(freshness.freshness_sensor)
        assert floor.events == []


def test_a_failed_check_is_on_record_and_what_is_behind_is_materialized(floor: Floor) -> None:
    floor.landing.home.configure(HomeSettings(clock="data"))
    carry(floor, DAYS)
    for day in DAYS[1:]:
        floor.landing.lake.file("features", VIEW, partition=day).unlink()
    (request,), _ = floor.tick(freshness.freshness_sensor)
    assert checked(floor, VIEW_CHECK, dg.AssetKey(VIEW)) == (False, {"lag_hours": 48.0})
    assert (result := floor.execute(request)) and result.success
    assert floor.tick(freshness.freshness_sensor)[0] == []
    assert checked(floor, VIEW_CHECK, dg.AssetKey(VIEW)) == (True, {"lag_hours": 0.0})


def test_hours_that_are_missed_are_a_number_of_the_check_and_a_metric(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The newest day ended on March 4 at midnight, and may be 36 hours old; 59 hours later it is 23 over.
    now = datetime(2024, 3, 6, 11, tzinfo=UTC)
    monkeypatch.setattr(lags_module, "datetime", SimpleNamespace(now=lambda _: now))
    carry(floor, DAYS)
    floor.tick(freshness.freshness_sensor)
    passed, shown = checked(floor, SOURCE_CHECK, RAW)
    assert (passed, shown["lag_hours"], shown["missed_hours"], shown["allowed"]) == (False, 59.0, 23.0, "36h")
    samples = {(sample.name, sample.labels): sample.value for sample in source_metrics(floor.platform)}
    assert samples["source_lag_seconds", ("orders",)] == 59 * 3600
    assert samples["source_missed_seconds", ("orders",)] == 23 * 3600
    assert samples["view_lag_seconds", (VIEW,)] == 0
    assert source_lags(floor.platform)["orders"].sentence("orders") == (
        "Source orders is stale: its newest good partition ended 2024-03-04 00:00 UTC, 59 hours ago, "
        "23 hours more than the 36h that are allowed."
    )


@pytest.mark.parametrize(
    ("end", "is_over", "missed", "is_stale"),
    [
        (datetime(2024, 3, 4, tzinfo=UTC), False, timedelta(hours=12), True),
        (datetime(2024, 3, 4, 12, tzinfo=UTC), False, timedelta(), False),
        (datetime(2024, 3, 4, tzinfo=UTC), True, timedelta(), False),
        (None, False, timedelta(), True),
    ],
    ids=["late", "just in time", "over", "never came"],
)
def test_what_is_missed_is_beyond_what_is_allowed(
    end: datetime | None, is_over: bool, missed: timedelta, is_stale: bool
) -> None:
    lag = SourceLag(end, datetime(2024, 3, 6, tzinfo=UTC), "36h", is_over)
    assert (lag.missed, lag.is_stale) == (missed, is_stale)


def test_a_check_can_be_executed_by_hand(floor: Floor) -> None:
    floor.landing.home.configure(HomeSettings(clock="data"))
    carry(floor, DAYS)
    result = dg.materialize(
        list(floor.definitions.assets or ()) + list(floor.definitions.asset_checks or ()),
        selection=dg.AssetSelection.checks(dg.AssetCheckKey(RAW, SOURCE_CHECK)),
        resources={"platform": floor.platform, "lake": floor.landing.lake},
        instance=floor.instance,
    )
    (evaluation,) = result.get_asset_check_evaluations()
    assert (evaluation.passed, evaluation.check_name) == (True, SOURCE_CHECK)


def test_sources_have_a_policy_unless_they_are_over_or_have_no_partitions() -> None:
    def window(**values: Any) -> timedelta | None:
        policy = source_policy(source(**values))
        return policy.fail_window.to_timedelta() if policy else None  # type: ignore[attr-defined]

    assert window() == timedelta(hours=36)
    assert window(freshness="3h") == timedelta(hours=3)
    assert window(end="2024-12-31") is None


def test_every_source_and_view_has_its_check_and_no_landing_run_does_them() -> None:
    definitions = build_definitions(Home.from_environment())
    graph = definitions.resolve_asset_graph()
    keys = {spec.key for spec in freshness_specs()}
    assert {key for key in graph.asset_check_keys if key.name in (SOURCE_CHECK, VIEW_CHECK)} == keys
    assert {key.asset_key.path[-1] for key in keys} >= {"flights", "weather", "feat_flight"}
    assets = [key.asset_key for key in keys]
    checks = landing_checks(graph, assets)
    ran = definitions.resolve_job_def("landing_flights").get_subset(
        asset_selection=frozenset(assets), asset_check_selection=frozenset(checks)
    )
    assert "contract_holds" in {key.name for key in checks}
    assert {"freshness_checks", "look_ahead_guard"} & {node.name for node in ran.nodes} == set()


def test_policies_stand_on_sources_and_views_where_the_clock_is_the_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36))
    declared = dg.Definitions(assets=[dg.AssetSpec("raw", freshness_policy=policy)])
    for clock, kept in (("wall", policy), ("data", None)):
        home = Home(tmp_path / clock)
        home.configure(HomeSettings(clock=clock))  # type: ignore[arg-type]
        graph = by_clock(declared, home).resolve_asset_graph()
        assert graph.get(dg.AssetKey("raw")).freshness_policy == kept
