"""An edited feature: the lake is built by its code, whole, the policy hears of it, and what is needed cannot go."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import dagster as dg
import pytest

from mlops_assets.assets.partitions import span_tags
from mlops_assets.assets.platform import dbt_models
from mlops_assets.core.features.catalogue import Catalogue
from mlops_assets.core.time.spans import Span
from mlops_assets.definitions import build_definitions
from mlops_assets.simulate.engine import Engine, RunFailed
from mlops_assets.steps.decide.model_changes import changed_definition
from mlops_assets.steps.features.code_versions import (
    FEATURE_CODE,
    built_alone,
    built_code,
    gone,
    mark_code,
    missing_features,
    outdated,
)
from mlops_assets.steps.features.online_store import materialize_online
from mlops_assets.world.features import Features
from mlops_assets.world.platform import Platform
from tests.real_slice import LAST_DAY, World

WEATHER = "feat_origin_weather"
NEWEST = dg.RunRequest(job_name="landing_flights", tags=span_tags(Span(LAST_DAY, LAST_DAY + timedelta(days=1))))


def edited(catalogue: Catalogue, view: str, *, without: str = "", code: str = "edited") -> Catalogue:
    """The catalogue after an edit of a view."""
    old = catalogue.view(view)
    new = replace(old, code=code, features=tuple(one for one in old.features if one.name != without))
    return replace(catalogue, views=tuple(new if one is old else one for one in catalogue.views))


def test_what_the_lake_was_built_by_is_known(world: World) -> None:
    lake, catalogue = world.platform.lake, world.platform.catalogue
    views = [view.name for view in catalogue.views]
    declared = {entry.name: entry.code for entry in catalogue.models}
    built = [path.name for layer in ("features", "labels") for path in lake.folder(layer).iterdir()]
    assert built_code(lake) == {name: declared[name] for name in built}
    assert (outdated(lake, catalogue, views), gone(lake, catalogue)) == ([], [])
    after = edited(catalogue, WEATHER)
    assert outdated(lake, after, views) == [WEATHER]
    assert outdated(lake, after, ["feat_flight"]) == []
    # The warehouse's views above may be of an older code unless they are built too.
    assert built_alone(after, [WEATHER, "feat_flight", "stg_flights"]) == {WEATHER, "feat_flight"}
    assert built_alone(after, [WEATHER, "stg_weather"]) == set()
    mark_code(lake, after, [WEATHER])
    assert outdated(lake, after, views) == []
    fewer = replace(catalogue, views=tuple(view for view in catalogue.views if view.name != WEATHER))
    assert gone(lake, fewer) == [WEATHER]
    mark_code(lake, fewer, [])
    assert gone(lake, fewer) == []


def test_edited_sql_is_a_changed_definition_once_the_lake_is_built_by_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = world.platform.catalogue
    tags = world.platform.registry.version("flight_delay", 1).tags
    assert json.loads(tags[FEATURE_CODE]).keys() == set(world.model.features)
    assert changed_definition(world.platform, world.model) == ""
    after = edited(catalogue, "feat_flight")
    monkeypatch.setattr(Platform, "catalogue", after)
    assert changed_definition(world.platform, world.model) == "", "what is trained now is made by the old code"
    mark_code(world.platform.lake, after, ["feat_flight"])
    told = "The definition has changed since version 1 was trained: the SQL of feat_flight."
    assert changed_definition(world.platform, world.model) == told
    # A view that the model does not read is no change of its definition.
    monkeypatch.setattr(Platform, "catalogue", edited(catalogue, WEATHER))
    mark_code(world.platform.lake, catalogue, ["feat_flight"])
    assert changed_definition(world.platform, world.model) == ""


def test_a_column_that_the_champion_needs_cannot_go(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_features(world.platform) == []
    after = edited(world.platform.catalogue, "feat_flight", without="distance_miles")
    monkeypatch.setattr(Platform, "catalogue", after)
    monkeypatch.setattr(dbt_models, "load_catalogue", lambda _: after)
    told = "flight_delay version 1 (champion) needs feat_flight__distance_miles, which is gone."
    assert missing_features(world.platform) == [told]
    engine = Engine(build_definitions(world.home), world.instance)
    with pytest.raises(
        RunFailed, match=r"version 1 \(champion\) needs feat_flight__distance_miles(?s:.*)retired: true"
    ):
        engine.execute(NEWEST, only=[dg.AssetKey("stg_flights"), dg.AssetKey("feat_flight")])


def test_the_online_store_is_made_anew_by_the_new_code(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    rebuilt = []
    monkeypatch.setattr(Features, "materialize", lambda _, views, now, *, rebuild: rebuilt.append(rebuild) or {})
    for code in ("before", "before", "after", "after"):
        mark_code(world.platform.lake, edited(world.platform.catalogue, WEATHER, code=code), [WEATHER])
        materialize_online(world.platform)
    assert rebuilt == [False, False, True, False]


@pytest.mark.slow
def test_edited_code_builds_every_day_and_not_only_the_new_one(world: World) -> None:
    lake = world.platform.lake
    before = lake.partitions("features", WEATHER)
    inodes = {day: path.stat().st_ino for day, path in before.items()}
    lake.folder("_code.json").write_text(json.dumps({**built_code(lake), WEATHER: "before the edit"}))
    engine = Engine(build_definitions(world.home), world.instance)
    engine.execute(NEWEST, only=[dg.AssetKey("stg_weather"), dg.AssetKey(WEATHER)])
    after = lake.partitions("features", WEATHER)
    assert after.keys() == before.keys()
    assert [day for day, path in after.items() if path.stat().st_ino == inodes[day]] == []
    assert built_code(lake)[WEATHER] == world.platform.catalogue.view(WEATHER).code
