"""What dbt's models show of themselves in Dagster: rows, days and place of what a run built."""

from __future__ import annotations

import dagster as dg
import pytest

from mlops_assets.world.home import Home
from mlops_assets.world.platform import Platform
from tests.real_slice import LAST_DAY
from tests.support import linked


@pytest.mark.parametrize(("layer", "model"), [("features", "feat_carrier_history"), ("labels", "lbl_flight_delay")])
def test_a_model_shows_the_rows_it_built(slice_home: Home, layer: str, model: str) -> None:
    lake = Platform.of(slice_home).lake
    with dg.DagsterInstance.from_config(str(slice_home.dagster)) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(model))
    assert event is not None
    assert event.asset_materialization is not None
    shown = event.asset_materialization.metadata
    assert shown["dagster/row_count"].value == len(lake.read(layer, model))
    assert shown["days"].value == f"2013-01-01 to {LAST_DAY}"
    assert linked(shown["path"]) == lake.folder(layer, model)


def test_a_view_shows_no_rows(slice_home: Home) -> None:
    with dg.DagsterInstance.from_config(str(slice_home.dagster)) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("stg_flights"))
    assert event is not None
    assert event.asset_materialization is not None
    assert "dagster/row_count" not in event.asset_materialization.metadata


def test_the_code_version_of_a_view_is_that_of_all_it_is_computed_by() -> None:
    from mlops_assets.assets.platform.dbt_models import dbt_models

    shown = {spec.key.path[-1]: spec.code_version for spec in dbt_models.specs}
    views = Platform.of().catalogue.views
    assert {view.name: shown[view.name] for view in views} == {view.name: view.code for view in views}
    assert len({shown[view.name] for view in views}) == len(views)
