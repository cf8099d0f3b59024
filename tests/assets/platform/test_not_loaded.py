"""What somebody declares while definitions are loaded: left alone until they are loaded anew, and said."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from mlops_assets.assets.platform import freshness, sensors
from mlops_assets.core.settings import ModelSettings
from mlops_assets.steps.land import source_alarms
from mlops_assets.world.landed.loaded_definitions import not_loaded
from mlops_assets.world.platform import Platform
from mlops_assets.world.settings_files import read_settings
from tests.assets.platform.test_sensors import DAYS, VIEW, Floor, names
from tests.landing_home import source

RELOAD = "Declared and not loaded yet, so left alone: {}. Reload the definitions"


@pytest.fixture
def floor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Floor]:
    floor = Floor(tmp_path / "home", monkeypatch)
    with floor.instance:
        yield floor


def add(floor: Floor, name: str) -> None:
    """A source with a view over it and the old one, and files of it, as `mlops new-model` leaves them."""
    floor.landing.sources.append(source(name=name, files=f"{name}_{{partition}}*.csv"))
    floor.landing.all_sources()

    def catalogue() -> SimpleNamespace:
        both = SimpleNamespace(name=f"feat_{name}", sources=("orders", name))
        old = SimpleNamespace(name=VIEW, sources=("orders",))
        reads = {VIEW: {"orders"}, both.name: {"orders", name}}
        return SimpleNamespace(
            views=[old, both], labels=[], sources_of=lambda views: frozenset().union(*(reads[view] for view in views))
        )

    floor.catalogue = catalogue  # type: ignore[method-assign]
    floor.landing.land_days(DAYS, source=name)


@pytest.mark.parametrize("name", ["added", "zulu"], ids=["named before", "named after"])
def test_what_is_loaded_goes_on_beside_what_is_not(floor: Floor, name: str) -> None:
    add(floor, name)
    floor.landing.land_days(DAYS)
    (request,), _ = floor.tick(sensors.landing_sensor)
    assert names(request) == [VIEW, "raw/orders"]
    assert request.job_name == "landing_orders"
    assert (result := floor.execute(request)) and result.success
    requests, told = floor.tick(sensors.landing_sensor)
    assert requests == []
    assert RELOAD.format(name) in told
    assert told.startswith("No new file")
    assert not_loaded(floor.landing.home, sources=["orders", name], models=[]) == [name]
    requests, told = floor.tick(freshness.freshness_sensor)
    assert requests == []
    assert RELOAD.format(name) in told


def test_once_loaded_it_is_carried(floor: Floor) -> None:
    from mlops_assets.assets.landing_source import build_raw_asset

    add(floor, "added")
    floor.landing.land_days(DAYS)

    @dg.asset(name="feat_added", deps=[dg.AssetKey(["raw", "orders"]), dg.AssetKey(["raw", "added"])])
    def view() -> None:
        """Built."""

    floor.definitions = dg.Definitions.merge(
        floor.definitions, dg.Definitions(assets=[build_raw_asset(floor.landing.sources[-1]), view])
    )
    (request,), _ = floor.tick(sensors.landing_sensor)
    assert names(request) == ["feat_added", VIEW, "raw/added", "raw/orders"]


def test_a_model_that_is_not_loaded_joins_no_groups(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sources of two people; a third one writes a model over both."""
    from mlops_assets.world.landed.sources import DEFS

    model = next(iter(read_settings(DEFS, ModelSettings).values()))
    joining = model.model_copy(update={"name": "joining", "features": [VIEW]})
    monkeypatch.setattr(Platform, "models", lambda _: {"joining": joining})
    floor.landing.land_days(DAYS)
    (request,), _ = floor.tick(sensors.landing_sensor)
    assert (result := floor.execute(request)) and result.success
    assert RELOAD.format("joining") in floor.tick(sensors.landing_sensor)[1]
    assert not_loaded(floor.landing.home, sources=["orders"], models=["joining"]) == ["joining"]


def test_a_link_in_the_landing_folder_is_named_and_stops_no_tick(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_alarms, "SETTLING", timedelta(0))
    folder = floor.landing.home.landing / "orders"
    folder.mkdir(parents=True)
    (folder / f"orders_{DAYS[0]}.csv").symlink_to("/nowhere")
    (folder / "new\nline\x1b.txt").write_text("x")
    assert floor.tick(sensors.landing_sensor)[0] == []
    (alert,) = floor.sent()
    assert f"orders_{DAYS[0]}.csv is a link, and links are not followed; no partition claims 1 file: " in alert.happened
    assert alert.do.startswith("Put a copy of the file in its place. Rename to match ")
    assert alert.happened.isprintable()
