import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from mlops_assets.assets.freshness_policies import SOURCE_CHECK, VIEW_CHECK
from mlops_assets.assets.landing_source import build_raw_asset
from mlops_assets.assets.partitions import SPAN
from mlops_assets.assets.platform import freshness, sensors
from mlops_assets.assets.platform.failed_runs import failed_run_sensor
from mlops_assets.core.time.spans import Span
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.platform import Platform
from tests.checkout import CHECKOUT
from tests.landing_home import DAY, QUIET, LandingHome, rows, source
from tests.sent_alerts import SentAlert, sent_alerts

DAYS = [DAY + timedelta(days=i) for i in range(3)]
VIEW = "feat_orders"
FRESHNESS = [
    dg.AssetCheckSpec(SOURCE_CHECK, asset=dg.AssetKey(["raw", "orders"])),
    dg.AssetCheckSpec(VIEW_CHECK, asset=dg.AssetKey(VIEW)),
]


class Floor:
    """A home with one source, one feature view in its place and an instance; ticks sensors as the daemon does."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.landing = LandingHome.at(folder, source())
        self.instance = dg.DagsterInstance.ephemeral()
        self.alerts = Alerts(root=str(folder))
        self.feature_fails = False
        self.feature_helps = True
        self.cursors: dict[str, str | None] = {}
        self.events: list[Any] = []
        sources = self.landing.all_sources()
        platform = Platform.of(self.landing.home)
        self.platform = replace(platform, sources=sources)
        monkeypatch.setattr(Platform, "catalogue", property(lambda _: self.catalogue()))
        self.definitions = dg.Definitions(
            assets=[build_raw_asset(source()), self.features()],
            asset_checks=[freshness.build_freshness_checks(FRESHNESS)],
            jobs=[dg.define_asset_job("landing_orders", selection="*", executor_def=dg.in_process_executor)],
            resources={"lake": self.landing.lake, "platform": platform},
        )

    def catalogue(self) -> SimpleNamespace:
        """One view over all sources."""
        read = tuple(one.name for one in self.landing.sources)
        view = SimpleNamespace(name=VIEW, sources=read)
        return SimpleNamespace(views=[view], labels=[], sources_of=lambda names: frozenset(read))

    def features(self) -> dg.AssetsDefinition:
        """What dbt is to the platform: builds the view for the days of the run, and marks them as built."""

        @dg.asset(
            name=VIEW,
            retry_policy=dg.RetryPolicy(max_retries=1, delay=0),
            deps=[dg.AssetKey(["raw", "orders"])],
            group_name="features",
        )
        def build(context: dg.AssetExecutionContext) -> None:
            if self.feature_fails:
                raise RuntimeError("Binder Error: no column price. Correct feat_orders.sql.")
            start, end = (date.fromisoformat(day) for day in context.run.tags[SPAN].split("/"))
            if self.feature_helps:
                for key in self.landing.intake().good():
                    if start <= date.fromisoformat(key) < end:
                        self.landing.lake.write(
                            pd.DataFrame({"id": [1]}), self.landing.lake.file("features", VIEW, partition=key)
                        )
            sources = self.platform.sources
            sources.mark_built(sources.good(), Span(start, end))

        return build

    def tick(self, sensor: dg.SensorDefinition) -> tuple[list[dg.RunRequest], str]:
        with dg.build_sensor_context(
            instance=self.instance,
            repository_def=self.definitions.get_repository_def(),
            resources={"platform": self.platform, "alerts": self.alerts},
            cursor=self.cursors.get(sensor.name),
        ) as context:
            data = sensor(context)
        if isinstance(data, dg.SkipReason):
            return [], data.skip_message or ""
        self.cursors[sensor.name], self.events = data.cursor, list(data.asset_events)
        for event in self.events:
            self.instance.report_runless_asset_event(event)
        return list(data.run_requests or ()), data.skip_reason.skip_message or "" if data.skip_reason else ""

    def execute(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult | None:
        """As the daemon would: a key that has a run gets no second one."""
        tags = {**request.tags, "dagster/run_key": str(request.run_key)}
        known = dg.RunsFilter(tags={"dagster/run_key": str(request.run_key)})
        if self.instance.get_runs(filters=known):
            return None
        job = self.definitions.resolve_job_def("landing_orders").get_subset(
            asset_selection=frozenset(request.asset_selection or ()),
            asset_check_selection=frozenset(request.asset_check_keys or ()),
        )
        return job.execute_in_process(
            instance=self.instance,
            tags=tags,
            run_config=QUIET,
            raise_on_error=False,
        )

    def sent(self) -> list[SentAlert]:
        return sent_alerts(self.alerts.file)

    def built(self) -> list[str]:
        return [str(day) for day in self.landing.lake.partitions("features", VIEW)]


@pytest.fixture
def floor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Floor]:
    floor = Floor(tmp_path / "home", monkeypatch)
    with floor.instance:
        yield floor


def names(request: dg.RunRequest) -> list[str]:
    return [key.to_user_string() for key in request.asset_selection or ()]


# --- landing -----------------------------------------------------------------------------------------------


def test_new_files_are_one_run_from_raw_to_features(floor: Floor) -> None:
    floor.landing.land_days(DAYS)
    (request,), _ = floor.tick(sensors.landing_sensor)
    assert names(request) == [VIEW, "raw/orders"]
    assert request.tags[SPAN] == "2024-03-01/2024-03-04"
    assert [key.name for key in request.asset_check_keys or ()] == ["contract_holds"], "no guard, no freshness"
    assert [r.run_key for r in floor.tick(sensors.landing_sensor)[0]] == [request.run_key], "same tick, same key"
    assert (result := floor.execute(request)) and result.success
    assert floor.built() == [str(day) for day in DAYS]
    assert floor.tick(sensors.landing_sensor) == (
        [],
        "No new file: all that landed is in the lake and in the features, or in quarantine.",
    )


def test_after_a_bad_day_the_next_tick_carries_the_good_ones(floor: Floor) -> None:
    floor.landing.land_days(DAYS)
    floor.landing.land(rows(DAYS[1], n=9), f"orders_{DAYS[1]}.csv")
    (request,), _ = floor.tick(sensors.landing_sensor)
    result = floor.execute(request)
    assert result and not result.success
    assert floor.built() == []
    again, _ = floor.tick(sensors.landing_sensor)
    assert [(names(r), r.tags[SPAN]) for r in again] == [
        ([VIEW], "2024-03-01/2024-03-02"),
        ([VIEW], "2024-03-03/2024-03-04"),
    ]
    for request in again:
        assert (result := floor.execute(request)) and result.success
    assert floor.built() == [str(DAYS[0]), str(DAYS[2])]
    assert floor.tick(sensors.landing_sensor)[0] == []


def test_a_failed_build_is_not_asked_for_again(floor: Floor) -> None:
    floor.feature_fails = True
    floor.landing.land_days(DAYS)
    (request,), _ = floor.tick(sensors.landing_sensor)
    assert (result := floor.execute(request)) and not result.success
    (again,), _ = floor.tick(sensors.landing_sensor)
    assert again.run_key == request.run_key, "the daemon drops it"
    assert floor.execute(again) is None


def test_a_crashed_run_is_asked_for_again_but_not_forever(floor: Floor) -> None:
    floor.landing.land_days(DAYS)
    keys = []
    for _ in range(5):
        (request,), _ = floor.tick(sensors.landing_sensor)
        keys.append(request.run_key)
        known = dg.RunsFilter(tags={"dagster/run_key": str(request.run_key)})
        if floor.instance.get_runs(filters=known):
            continue
        run = floor.instance.create_run_for_job(
            floor.definitions.resolve_job_def("landing_orders"),
            tags={**request.tags, "dagster/run_key": str(request.run_key)},
        )
        unanswered, _ = floor.tick(sensors.landing_sensor)
        assert unanswered[0].run_key == request.run_key, "it may still be under way"
        floor.instance.report_run_failed(run, message="the process is gone")
    assert len(set(keys)) == 1 + sensors.TRIES
    assert keys[-1] == keys[-2], "then a person is asked"


def test_features_that_were_lost_are_built_by_a_new_run(floor: Floor) -> None:
    carry(floor, DAYS)
    (floor.landing.home.lake / "_built.json").unlink()
    (request,), _ = floor.tick(sensors.landing_sensor)
    assert (result := floor.execute(request)) and result.success
    assert floor.tick(sensors.landing_sensor)[0] == []


def test_a_day_that_waits_says_for_what(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    floor.landing.sources = [source(), source(name="refunds")]
    floor.platform = replace(floor.platform, sources=floor.landing.all_sources())
    floor.landing.land_days(DAYS[:1])
    requests, why = floor.tick(sensors.landing_sensor)
    assert requests == []
    assert why.startswith(f"2024-03-01 waits for files of refunds in {floor.landing.home.landing / 'refunds'}.")


def test_misnamed_files_ring_once_when_they_have_settled(floor: Floor) -> None:
    file = floor.landing.land(rows(DAY), "order_2024-03-01.csv")
    now = datetime.now(UTC).timestamp()
    os.utime(file, (now, now))
    floor.tick(sensors.landing_sensor)
    assert floor.sent() == []
    os.utime(file, (now - 3600, now - 3600))
    for _ in range(2):
        floor.tick(sensors.landing_sensor)
    (alert,) = floor.sent()
    assert "landing/orders: no partition claims 1 file: order_2024-03-01.csv." in alert.happened
    assert "Rename to match orders_{partition}*.csv (the partition's first day" in alert.do


def carry(floor: Floor, days: list[date]) -> None:
    floor.landing.land_days(days)
    for request in floor.tick(sensors.landing_sensor)[0]:
        floor.execute(request)


# --- failed runs -------------------------------------------------------------------------------------------


def failed(floor: Floor, result: dg.ExecuteInProcessResult) -> None:
    run = floor.instance.get_run_by_id(result.run_id)
    context = dg.build_run_status_sensor_context(
        sensor_name="failed_run_sensor",
        dagster_event=next(e for e in result.all_events if e.is_run_failure),
        dagster_instance=floor.instance,
        dagster_run=run or result.dagster_run,
        resources={"alerts": floor.alerts},
    ).for_run_failure()
    failed_run_sensor(context)


def test_a_failed_run_rings_once_with_the_step_and_its_error(floor: Floor) -> None:
    floor.feature_fails = True
    floor.landing.land_days(DAYS)
    result = floor.execute(floor.tick(sensors.landing_sensor)[0][0])
    assert result
    for _ in range(2):
        failed(floor, result)
    (alert,) = floor.sent()
    assert alert.happened == (
        f"Run {result.run_id[:8]} of landing_orders failed in {VIEW}: "
        "RuntimeError: Binder Error: no column price. Correct feat_orders.sql."
    )
    assert "re-execute it from failure" in alert.do
    assert alert.runbook == "docs/runbook.md#failed-run"


def test_a_broken_contract_rings_with_what_the_check_found(floor: Floor) -> None:
    floor.landing.land(rows(DAY, n=9))
    result = floor.execute(floor.tick(sensors.landing_sensor)[0][0])
    assert result
    failed(floor, result)
    (alert,) = floor.sent()
    assert "raw/orders: 1 bad, 0 good. 2024-03-01: The file has 9 rows and 2 to 6 are expected" in alert.happened
    assert "quarantine release orders 2024-03-01" in alert.happened
    assert alert.runbook == "docs/runbook.md#quarantine"


def test_a_run_that_dagster_runs_again_by_itself_does_not_ring(floor: Floor) -> None:
    floor.feature_fails = True
    floor.landing.land_days(DAYS)
    result = floor.execute(floor.tick(sensors.landing_sensor)[0][0])
    assert result
    floor.instance.add_run_tags(result.run_id, {"dagster/will_retry": "true"})
    failed(floor, result)
    assert floor.sent() == []


# --- the platform's own definitions ------------------------------------------------------------------------


def test_the_sensors_are_on_and_named_as_documented() -> None:
    found = [sensors.landing_sensor, freshness.freshness_sensor, failed_run_sensor]
    assert [sensor.name for sensor in found] == ["landing_sensor", "freshness_sensor", "failed_run_sensor"]
    assert {sensor.default_status for sensor in found} == {dg.DefaultSensorStatus.RUNNING}


YAML = """type: mlops_assets.components.LandingSource
attributes:
  name: orders
  description: One row per order.
  files: orders*.csv
  grain: none
  freshnes: 36h
  contract:
    columns:
      id: {type: integer}
"""


def test_a_broken_yaml_field_is_told_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "shop"\nversion = "1"\n[tool.dg]\ndirectory_type = "project"\n'
        '[tool.dg.project]\nroot_module = "shop"\nregistry_modules = ["mlops_assets.components"]\n'
    )
    (tmp_path / "shop" / "defs" / "orders").mkdir(parents=True)
    (tmp_path / "shop" / "__init__.py").write_text("")
    (tmp_path / "shop" / "defs" / "orders" / "defs.yaml").write_text(YAML)
    found = subprocess.run(
        [str(Path(sys.executable).with_name("dg")), "check", "yaml"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{CHECKOUT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = found.stdout + found.stderr
    assert found.returncode != 0, said
    assert "defs.yaml:7" in said, said
    assert "freshnes" in said
