"""The guard as asset checks: a view that passes, one that peeks, one without rows, one that cannot be computed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from mlops_assets.assets.platform import look_ahead
from mlops_assets.core.features.look_ahead import CHECK, LookAhead
from mlops_assets.definitions import build_definitions
from mlops_assets.simulate.demo import come_to_rest
from mlops_assets.simulate.engine import Engine
from mlops_assets.steps.features import look_ahead as guarding
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.landed.sources import Sources
from tests.checkout import CHECKOUT
from tests.real_slice import World
from tests.sent_alerts import sent_alerts

PEEKING, SOUND, EMPTY = "feat_flight", "feat_origin_weather", "feat_payment"


def keys(*views: str) -> set[dg.AssetCheckKey]:
    return {dg.AssetCheckKey(dg.AssetKey(view), CHECK) for view in views}


def test_features_are_looked_at_in_a_job_of_their_own(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "dbt_project"
    shutil.copytree(CHECKOUT / "dbt_project", project, ignore=shutil.ignore_patterns("logs"))
    sql = project / "models" / "features" / f"{PEEKING}.sql"
    # Minutes in the air are known only after the landing.
    peek = "flights.distance_miles + flights.air_minutes as distance_miles,"
    sql.write_text(sql.read_text().replace("flights.distance_miles,", peek))
    monkeypatch.setattr(look_ahead, "DBT_PROJECT", project)
    job = build_definitions(world.home).resolve_job_def("look_ahead")
    ran = job.get_subset(asset_check_selection=keys(PEEKING, SOUND, EMPTY)).execute_in_process(instance=world.instance)
    assert ran.success, "it stops nothing"
    found = {evaluation.asset_key.path[-1]: evaluation for evaluation in ran.get_asset_check_evaluations()}
    assert {view: evaluation.passed for view, evaluation in found.items()} == {PEEKING: False, SOUND: True}
    assert found[SOUND].metadata["rows_compared"].value > 0
    told = found[PEEKING]
    assert "distance_miles" in str(told.description)
    assert "flights.air_time before it was known" in str(told.description)
    assert set(told.metadata) == {"rows_compared", "as_of", "distance_miles"}
    assert "known_then" in str(told.metadata["distance_miles"].value)
    (alert,) = [
        one for one in sent_alerts(Alerts(root=str(world.home.root)).file) if one.incident.startswith("look-ahead-")
    ]
    assert f"{PEEKING} looks ahead: distance_miles" in alert.happened


def test_a_view_that_cannot_be_computed_stops_none_of_the_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def guard(*_: Any, views: Sequence[str]) -> Iterator[LookAhead]:
        for view in views:
            if view == "b":
                raise guarding.CannotGuard("b is no SQL.")
            yield LookAhead(view, (), 3, ())

    monkeypatch.setattr(guarding, "guard", guard)
    found = dict(look_ahead._looks(world.platform, ["a", "b", "c"]))
    assert found["b"] == "b is no SQL."
    assert [found[view].passed for view in "ac"] == [True, True]  # type: ignore[union-attr]


def test_it_runs_once_for_each_code_and_week(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(build_definitions(world.home), world.instance)

    def asked() -> dg.RunRequest:
        (request,) = engine.requests("look_ahead_sensor")[0]
        return request

    first, again = asked(), asked()
    assert first.run_key == again.run_key
    checked = {key.asset_key.path[-1] for key in first.asset_check_keys or ()}
    assert {PEEKING, SOUND} <= checked, "they have data"
    assert EMPTY not in checked, "nothing has landed for it"
    newest = world.platform.sources.newest_end()
    assert newest is not None
    monkeypatch.setattr(Sources, "newest_end", lambda _: newest + timedelta(days=7))
    assert asked().run_key != first.run_key
    monkeypatch.undo()
    views = [SimpleNamespace(name=v.name, sources=v.sources, code="new") for v in world.platform.catalogue.views]
    monkeypatch.setattr(type(world.platform), "catalogue", SimpleNamespace(views=views))
    assert asked().run_key != first.run_key
    monkeypatch.setattr(Sources, "good", lambda _: {})
    assert engine.requests("look_ahead_sensor") == ([], "No feature view has data yet.")


def test_no_landing_run_carries_it(world: World) -> None:
    definitions = build_definitions(world.home)
    for name in ("landing_flights", "landing_card_confirmations"):
        carried = definitions.resolve_job_def(name).asset_layer.asset_graph.asset_check_keys
        assert carried
        assert not [key for key in carried if key.name == CHECK]


def test_after_a_demo_it_has_nothing_to_ask_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo has looked already, as the sensor; `mlops up` starts nothing then, and Dagster's pages say who asked."""
    monkeypatch.setattr(look_ahead, "_looks", lambda platform, views: iter(()))
    come_to_rest(world.home)
    (run,) = world.instance.get_runs(filters=dg.RunsFilter(job_name="look_ahead"))
    assert run.tags["dagster/sensor_name"] == "look_ahead_sensor"
    engine = Engine(build_definitions(world.home), world.instance)
    assert engine.requests("look_ahead_sensor")[0] == []
    assert world.home.settings.until is None
