"""A broken model and a failing data test: the run says what to mend, data and champion stay, nothing is trained."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.assets.partitions import span_tags
from mlops_assets.core.time.spans import Span
from mlops_assets.definitions import build_definitions
from mlops_assets.simulate.engine import Engine, RunFailed
from mlops_assets.world.dbt_runs import Dbt
from mlops_assets.world.platform import DBT_PROJECT
from tests.real_slice import LAST_DAY, World, ring

MODELS = ("stg_flights", "stg_planes", "stg_weather", "feat_flight", "feat_origin_weather")


@pytest.fixture
def broken_project(tmp_path: Path) -> Path:
    """A copy of the dbt project: one model's SQL is wrong, another's values are."""
    project = tmp_path / "dbt_project"
    shutil.copytree(DBT_PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    weather = project / "models" / "features" / "feat_origin_weather.sql"
    weather.write_text(weather.read_text() + "\nwhere no_such_column = 1\n")
    flight = project / "models" / "features" / "feat_flight.sql"
    flight.write_text(
        flight.read_text().replace("flights.distance_miles,", "-flights.distance_miles as distance_miles,")
    )
    return project


@pytest.mark.slow
def test_a_broken_model_and_a_failing_test(drifting: World, broken_project: Path) -> None:
    dbt = Dbt(broken_project, drifting.home)
    whole = build_definitions(drifting.home)
    engine = Engine(
        dg.Definitions.merge(
            dg.Definitions(assets=whole.assets, asset_checks=whole.asset_checks, jobs=whole.jobs),
            dg.Definitions(resources={**(whole.resources or {}), "dbt": dbt}),
        ),
        drifting.instance,
    )
    lake = drifting.home.lake
    weather = {path: path.read_bytes() for path in (lake / "features" / "feat_origin_weather").rglob("*.parquet")}
    built = (lake / "_built.json").read_bytes()
    request = dg.RunRequest(job_name="landing_flights", tags=span_tags(Span(LAST_DAY, LAST_DAY + timedelta(days=1))))
    with pytest.raises(RunFailed, match="failed in dbt_models") as why:
        engine.execute(request, only=[dg.AssetKey(model) for model in MODELS])
    assert "no_such_column" in str(why.value)

    (alert,) = ring(drifting.home, drifting.instance)
    assert "feat_flight.feat_flight_invariants_hold failed" in alert.happened
    assert "no_such_column" in alert.happened
    assert "models and the champion are as they were" in alert.happened
    assert "Correct the model, or the data that the test names" in alert.happened
    assert {path: path.read_bytes() for path in weather} == weather
    assert (lake / "_built.json").read_bytes() == built

    before = drifting.files()
    with pytest.raises(RunFailed):
        drifting.tick()
    told = drifting.alerts()[-1].happened
    assert "data_tests_pass failed. Failing: feat_flight.feat_flight_invariants_hold" in told
    assert (drifting.files(), drifting.aliases()) == (before, {"champion": 1})
