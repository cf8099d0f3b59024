"""The whole project on five weeks of real flights: what is built, by range, again, and after corrections."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from mlops_assets.core.settings import ModelSettings
from mlops_assets.world.catalogue import exposures_of
from mlops_assets.world.landed.sources import DEFS
from mlops_assets.world.settings_files import read_settings
from tests.dbt.conftest import PROJECT, Dbt, files, rows

FEATURE_MODELS = {
    "feat_flight",
    "feat_carrier_history",
    "feat_origin_history",
    "feat_route_history",
    "feat_plane_history",
    "feat_origin_weather",
}


def test_everything_is_built_and_every_test_passes(built: tuple[Dbt, dict[str, str]]) -> None:
    _, statuses = built
    assert set(statuses.values()) == {"success", "pass"}
    assert set(statuses) > FEATURE_MODELS
    assert {"carrier_windows_end_at_the_landing", "feat_carrier_history_invariants_hold"} < set(statuses)


def test_no_scheduled_flight_is_dropped_from_the_labels(built: tuple[Dbt, dict[str, str]]) -> None:
    home = built[0].home
    with duckdb.connect() as connection:
        raw = connection.execute(
            "select count(*), count(*) filter (dep_time is null), count(*) filter (arr_delay is null), "
            f"count(*) filter (arr_delay > 15) from '{home}/lake/raw/flights/*/data.parquet'"
        ).fetchall()
    counts = "count(*), count(*) filter (outcome = 'cancelled'), count(*) filter (outcome != 'landed')"
    for model, late in (
        ("lbl_flight_delay", "is_late = 1"),
        ("lbl_arrival_delay", "arrival_delay_minutes > 15"),
    ):
        assert rows(home, model, f"select {counts}, count(*) filter ({late}) from model") == raw


def test_files_are_whole_sorted_and_without_the_hive_key(built: tuple[Dbt, dict[str, str]]) -> None:
    import pyarrow.parquet as pq

    home = built[0].home
    for layer, model in (("features", "feat_plane_history"), ("labels", "lbl_flight_delay")):
        parts = sorted((home / "lake" / layer / model).iterdir())
        assert [part.name for part in parts][::35] == ["partition=2013-01-01", "partition=2013-02-05"]
        for part in parts:
            assert [path.name for path in part.iterdir()] == ["data.parquet"]
            table = pq.ParquetFile(part / "data.parquet").read()
            assert "partition" not in table.column_names
            assert str(table.schema.field("event_timestamp").type) == "timestamp[us, tz=UTC]"
            times = table.column("event_timestamp").to_pylist()
            assert times == sorted(times)
    assert not list((home / "lake").rglob("*.building"))


def test_history_equals_a_direct_count_over_the_raw_flights(built: tuple[Dbt, dict[str, str]]) -> None:
    """One landing of a carrier recomputed from the raw table with nothing but a filter."""
    home = built[0].home
    (carrier, at, flights, rate) = rows(
        home,
        "feat_carrier_history",
        "select carrier, event_timestamp, carrier_flights_7d, carrier_late_rate_7d from model "
        "where carrier = 'UA' and event_timestamp < '2013-02-03 18:00+00' "
        "order by event_timestamp desc limit 1",
    )[0]
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        direct = connection.execute(
            "with f as (select arr_delay, time_hour + to_minutes(minute + dep_delay + air_time) as landed "
            f"from '{home}/lake/raw/flights/*/data.parquet' where carrier = $1 and arr_delay is not null) "
            "select count(*), avg((arr_delay > 15)::int) from f where landed between $2 - to_days(7) and $2",
            [carrier, at],
        ).fetchall()[0]
    assert flights == direct[0]
    assert rate == pytest.approx(direct[1], rel=1e-12)


@pytest.mark.slow
def test_day_by_day_gives_the_files_of_one_pass_then_a_correction_those_of_a_rebuild(
    built: tuple[Dbt, dict[str, str]], new_home: Callable[[], Path]
) -> None:
    dbt = Dbt(new_home())
    dbt.ok("run", end="2013-02-04")
    january = files(dbt.home)
    dbt.ok("run", start="2013-02-04", end="2013-02-05")
    statuses = dbt.ok("build", start="2013-02-05", end="2013-02-06")
    assert statuses["feat_plane_history_keys_are_unique"] == "pass"
    daily = files(dbt.home)
    assert {name: daily[name] for name in january} == january
    assert daily == files(built[0].home)

    # A corrected file for February 1 lacks every second flight: rebuilding from there equals rebuilding all.
    _halve(dbt.home / "lake/raw/flights/partition=2013-02-01/data.parquet")
    dbt.ok("run", start="2013-02-01", end="2013-02-06")
    corrected = files(dbt.home)
    assert corrected != daily
    shutil.rmtree(dbt.home / "lake" / "features")
    (dbt.home / "warehouse.duckdb").unlink()
    dbt.ok("run", end="2013-02-06")
    assert files(dbt.home) == corrected


def test_nothing_landed_gives_typed_empty_views_and_no_files(tmp_path: Path) -> None:
    dbt = Dbt(tmp_path)
    dbt.ok("build")
    assert files(tmp_path) == {}
    assert not list(tmp_path.rglob("*HIVE_DEFAULT*"))
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as warehouse:
        for model in FEATURE_MODELS:
            view = warehouse.execute(f"from {model}")
            types = {name: str(kind) for name, kind, *_ in view.description}
            assert view.fetchall() == []
            assert types["event_timestamp"] == "TIMESTAMP WITH TIME ZONE"
            assert types["partition"] == "DATE"


def test_the_lineage_ends_in_the_models() -> None:
    models = read_settings(DEFS, ModelSettings)
    reads = {name: {model.label.model, *model.features} for name, model in models.items()}
    assert exposures_of(PROJECT) == reads, "hold models/exposures.yml to the models' YAML"


MUTATIONS = {
    "macros/rolling_delays.sql": [
        # The windows see the next landing too.
        ("rows unbounded preceding)", "rows between unbounded preceding and 1 following)"),
    ],
    "models/features/feat_plane_history.sql": [
        # The last leg is the next one.
        (
            "max_by(arrival_delay_minutes, (scheduled_departure_at, flight_id)) as last_leg_arrival_delay",
            "lead(max(arrival_delay_minutes)) over (order by landed_minute) as last_leg_arrival_delay",
        ),
    ],
    "models/intermediate/int_flights.sql": [
        # The label is known at the scheduled departure plus flight time, and also without minutes in the air.
        ("coalesce(departure_delay_minutes, arrival_delay_minutes)", "least(departure_delay_minutes, 0)"),
    ],
    "models/labels/lbl_flight_delay.sql": [
        # Cancelled flights are dropped.
        ("where {{ in_range('partition') }}", "where outcome = 'landed'"),
    ],
    "models/features/feat_origin_weather.sql": [
        # The weather is known before it was read.
        ("observed_hour_at + to_hours(1) as created", "observed_hour_at as created"),
    ],
}


def test_unit_tests_fail_when_a_model_looks_ahead(built: tuple[Dbt, dict[str, str]], tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(built[0].home / "warehouse.duckdb", home)
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    for name, changes in MUTATIONS.items():
        text = (project / name).read_text()
        for old, new in changes:
            assert old in text, f"{name} has changed, change the mutation too: {old}"
            text = text.replace(old, new)
        (project / name).write_text(text)
    statuses = Dbt(home, project)("test", "--select", "test_type:unit")
    failed = {name for name, status in statuses.items() if status == "fail"}
    assert failed == {
        "carrier_windows_end_at_the_landing",
        "carrier_history_of_a_range_reads_back_and_writes_the_range_only",
        "origin_short_window_is_three_hours",
        "last_leg_is_the_one_that_just_landed",
        "landing_time_and_its_fallback",
        "flight_delay_is_known_at_landing",
        "weather_is_known_when_its_hour_is_over",
    }


def _halve(path: Path) -> None:
    """Keep every second row of a Parquet file."""
    import pyarrow.parquet as pq

    table = pq.ParquetFile(path).read()
    pq.write_table(table.take(list(range(0, len(table), 2))), path)
