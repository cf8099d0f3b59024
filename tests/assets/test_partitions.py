"""The calendar that sources and models of one grain share, because a job of Dagster has one set of partitions."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import yaml

from mlops_assets.assets.landing_source import build_raw_asset
from mlops_assets.assets.monitoring_assets import _by_partition, _days
from mlops_assets.assets.partitions import PartitionCalendar, declared_calendar
from mlops_assets.core.sources.settings import SourceSettings
from tests.checkout import CHECKOUT
from tests.landing_home import ORDERS, LandingHome, source

NOON = datetime(2024, 3, 5, 12, tzinfo=UTC)


def keys(calendar: PartitionCalendar, at: datetime = NOON) -> list[str]:
    return list(calendar.partitions().get_partition_keys(current_time=at))


def test_it_runs_from_the_first_day_of_any_to_the_last_of_any() -> None:
    one = PartitionCalendar.of_source(source(start="2024-03-02", end="2024-03-03"))
    other = PartitionCalendar.of_source(source(start="2024-03-01", end="2024-03-02"))
    assert keys(PartitionCalendar.shared([one, other])) == ["2024-03-01", "2024-03-02", "2024-03-03"]
    going_on = PartitionCalendar.of_source(source(start="2024-03-02"))
    assert keys(PartitionCalendar.shared([one, other, going_on])) == [f"2024-03-0{day}" for day in (1, 2, 3, 4)]


def test_a_day_that_is_over_anywhere_has_its_partition() -> None:
    zones = [PartitionCalendar.of_source(source(timezone=zone)) for zone in ("Asia/Tokyo", "America/New_York")]
    in_tokyo = datetime(2024, 3, 4, 15, 30, tzinfo=UTC)  # half past midnight of March 5
    assert keys(zones[0], in_tokyo)[-1] == "2024-03-04"
    assert keys(zones[1], in_tokyo)[-1] == "2024-03-03"
    assert keys(PartitionCalendar.shared(zones), in_tokyo)[-1] == "2024-03-04"


def test_a_source_of_another_start_and_zone_goes_into_the_same_job(tmp_path: Path) -> None:
    """The example of the README beside the sources that are there."""
    text = next(
        block for block in (CHECKOUT / "README.md").read_text().split("```yaml")[1:] if "LandingSource" in block
    ).split("```")[0]
    folder = tmp_path / "orders"
    folder.mkdir()
    (folder / "defs.yaml").write_text(text)
    flights = CHECKOUT / "mlops_assets" / "defs" / "flights" / "defs.yaml"
    (tmp_path / "defs.yaml").write_text(flights.read_text())
    calendar = declared_calendar("day", tmp_path)
    declared = [yaml.safe_load(words)["attributes"] for words in (text, flights.read_text())]
    assets = [build_raw_asset(SourceSettings.model_validate(one), calendar) for one in declared]
    job = dg.define_asset_job("landing_day", selection="*", executor_def=dg.in_process_executor)
    lake = LandingHome.at(tmp_path / "home").lake
    found = dg.Definitions(assets=assets, jobs=[job], resources={"lake": lake}).resolve_job_def("landing_day")
    assert {key.path[-1] for key in found.asset_layer.executable_asset_keys} == {"flights", "orders"}
    assert calendar.start == date(2013, 1, 1)
    assert ORDERS["name"] == declared[0]["name"]


def test_a_months_predictions_are_those_of_its_days() -> None:
    assert len(_days(["2024-02-01"], "month")) == 29
    assert _days(["2024-01-29"], "week") == [date(2024, 1, 29 + n) if n < 3 else date(2024, 2, n - 2) for n in range(7)]
    rows = {date(2024, 2, 1): 3, date(2024, 2, 29): 4, date(2024, 3, 1): 5}
    assert _by_partition(rows, "month") == {"2024-02-01": 7, "2024-03-01": 5}
    assert _by_partition(rows, "day") == {"2024-02-01": 3, "2024-02-29": 4, "2024-03-01": 5}
