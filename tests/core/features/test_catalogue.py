"""The parser of dbt meta: what it reads, what it refuses, what it then says; and its file on disk."""

from __future__ import annotations

import copy
import json
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.core.features.catalogue import CatalogueError, Feature, from_json, to_json
from mlops_assets.core.features.code_version import variables_of
from mlops_assets.core.features.dbt_meta import parse_manifest
from mlops_assets.steps.features.dbt_ci import _readers
from mlops_assets.world import catalogue as on_disk
from tests.checkout import CHECKOUT

PROJECT = CHECKOUT / "dbt_project"


def column(name: str, data_type: str, **meta: Any) -> dict[str, Any]:
    return {"name": name, "data_type": data_type, "description": f"The {name}.", "config": {"meta": meta}}


def model(name: str, meta: dict[str, Any], columns: list[dict[str, Any]], above: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "alias": name,
        "resource_type": "model",
        "config": {
            "meta": meta,
            "materialized": "lake",
            "lake_folder": "features" if "feature_view" in meta else "labels",
        },
        "columns": {entry["name"]: entry for entry in columns},
        "description": "One row per shop\nand day.",
        "tags": ["history"],
        "patch_path": f"mlops://models/features/{name}.yml",
        "depends_on": {"nodes": above},
    }


@pytest.fixture
def manifest() -> dict[str, Any]:
    view = model(
        "feat_shop",
        {
            "feature_view": {
                "entity": "shop",
                "timestamp": "at",
                "created": "known_at",
                "ttl": "36h",
                "owner": "sales",
                "lookback_days": 7,
            }
        },
        [
            column("shop", "varchar"),
            column("at", "timestamptz"),
            column("known_at", "timestamptz"),
            column("visits_7d", "bigint"),
            column("region", "varchar"),
            column("zone", "integer", kind="categorical", trained=False),
            column("note", "varchar", feature=False),
            column("partition", "date"),
        ],
        ["model.x.stg_visits"],
    )
    label = model(
        "lbl_sales",
        {
            "label": {
                "entities": ["shop"],
                "timestamp": "at",
                "available_at": "known_at",
                "label": "sales",
                "owner": "sales",
            }
        },
        [
            column("shop", "varchar"),
            column("at", "timestamptz"),
            column("known_at", "timestamptz"),
            column("sales", "double"),
            column("outcome", "varchar"),
            column("partition", "date"),
        ],
        ["source.x.raw.sales"],
    )
    staging = {
        "name": "stg_visits",
        "resource_type": "model",
        "config": {"materialized": "view"},
        "depends_on": {"nodes": ["source.x.raw.visits", "source.x.raw.shops"]},
    }
    return {
        "nodes": {"model.x.feat_shop": view, "model.x.lbl_sales": label, "model.x.stg_visits": staging},
        "sources": {f"source.x.raw.{name}": {"name": name} for name in ("visits", "shops", "sales")},
    }


def test_a_feature_view_is_read_from_its_meta(manifest: dict[str, Any]) -> None:
    catalogue = parse_manifest(manifest)
    view = catalogue.view("feat_shop")
    assert view.entities == {"shop": "string"}
    assert (view.ttl, view.online, view.lookback_days) == (timedelta(hours=36), True, 7)
    assert view.features == (
        Feature("visits_7d", "int64", "numeric", "The visits_7d."),
        Feature("region", "string", "categorical", "The region."),
        Feature("zone", "int32", "categorical", "The zone.", trained=False),
    )
    assert [feature.name for feature in view.trained_features] == ["visits_7d", "region"]
    assert view.path_glob == "features/feat_shop/*/data.parquet"
    assert view.description == "One row per shop and day."
    assert catalogue.lookback_of([view.name]) == 7
    assert catalogue.lookback_of([]) == 0


def test_a_label_model_is_read_from_its_meta(manifest: dict[str, Any]) -> None:
    label = parse_manifest(manifest).label_model("lbl_sales")
    assert (label.entities, label.label, label.label_dtype) == ({"shop": "string"}, "sales", "float64")
    assert label.columns == {"outcome": "string"}
    assert label.path_glob == "labels/lbl_sales/*/data.parquet"


def test_sources_are_found_through_the_models_between(manifest: dict[str, Any]) -> None:
    catalogue = parse_manifest(manifest)
    assert catalogue.sources_of(["feat_shop"]) == {"visits", "shops"}
    assert catalogue.sources_of(["feat_shop", "lbl_sales"]) == {"visits", "shops", "sales"}


def test_json_brings_the_same_catalogue_back(manifest: dict[str, Any]) -> None:
    catalogue = parse_manifest(manifest)
    assert from_json(to_json(catalogue)) == catalogue


def test_broken_json_says_what_to_delete() -> None:
    with pytest.raises(CatalogueError, match=r"Delete dbt_project/target/feature_catalogue\.json"):
        from_json('{"views": [{}], "labels": []}')


def _meta(node: dict[str, Any]) -> dict[str, Any]:
    return node["config"]["meta"]["feature_view"]


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda node: node["config"].update(meta={}), "neither `config.meta.feature_view` nor"),
        (lambda node: _meta(node).pop("ttl"), "a `feature_view` without ttl.*add ttl"),
        (lambda node: _meta(node).update(tll="7d"), "unknown tll"),
        (lambda node: _meta(node).update(ttl="a week"), "ttl 'a week'.*7d"),
        (lambda node: _meta(node).update(lookback_days="7"), "lookback_days '7'.*whole number"),
        (lambda node: _meta(node).pop("entity"), "without entity"),
        (lambda node: _meta(node).update(entity="shopp"), "names `shopp` in its meta.*- name: shopp"),
        (lambda node: _meta(node).update(created="visits_7d"), "`visits_7d` is int64.*timestamptz"),
        (
            lambda node: node["columns"]["visits_7d"].pop("data_type"),
            r"`visits_7d` with `data_type: \(none\)`",
        ),
        (lambda node: node["columns"].update(day=column("day", "date")), "date column `day`.*feature: false"),
        (
            lambda node: node["columns"].update(z=column("z", "varchar", kind="numeric")),
            "`kind: numeric` at the string",
        ),
        (
            lambda node: node["columns"].update(z=column("z", "double", knd="x")),
            "unknown meta knd at the column `z`",
        ),
        (lambda node: node.update(description=" "), "no description.*One row per"),
        (
            lambda node: [node["columns"].pop(name) for name in ("visits_7d", "region", "zone")],
            "has no feature",
        ),
    ],
)
def test_a_wrong_meta_names_the_file_and_the_remedy(manifest: dict[str, Any], break_it: Any, says: str) -> None:
    broken = copy.deepcopy(manifest)
    break_it(broken["nodes"]["model.x.feat_shop"])
    with pytest.raises(CatalogueError, match=says) as caught:
        parse_manifest(broken)
    assert str(caught.value).startswith("feat_shop ")
    assert "In dbt_project/models/features/feat_shop.yml: " in str(caught.value)


def test_an_entity_has_one_type_in_all_views(manifest: dict[str, Any]) -> None:
    other = copy.deepcopy(manifest["nodes"]["model.x.feat_shop"])
    other.update(name="feat_till", alias="feat_till")
    other["columns"]["shop"]["data_type"] = "bigint"
    manifest["nodes"]["model.x.feat_till"] = other
    with pytest.raises(CatalogueError, match="feat_till has the entity `shop` as int64, feat_shop has it as string"):
        parse_manifest(manifest)


def test_an_unknown_name_lists_what_there_is(manifest: dict[str, Any]) -> None:
    with pytest.raises(CatalogueError, match="no feature view 'feat_shops'; there are feat_shop"):
        parse_manifest(manifest).view("feat_shops")
    with pytest.raises(CatalogueError, match="'nothing'; there are feat_shop, lbl_sales"):
        parse_manifest(manifest).sources_of(["nothing"])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the real dbt project, without anything that dbt has made of it."""
    folder = tmp_path_factory.mktemp("dbt") / "dbt_project"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("target", "logs"))
    return folder


def test_the_projects_catalogue_is_made_once_and_again_when_a_file_changes(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parses = []
    real = on_disk._parse
    monkeypatch.setattr(on_disk, "_parse", lambda *arguments: (parses.append(1), real(*arguments)))
    with ThreadPoolExecutor(4) as pool:
        first = list(pool.map(on_disk.load_catalogue, [project] * 4))
    assert len(parses) == 1
    assert all(catalogue == first[0] for catalogue in first)
    assert len(first[0].views) >= 6
    assert sum(len(view.features) for view in first[0].views) >= 30
    assert all(view.description.startswith("One row per ") for view in (*first[0].views, *first[0].labels))
    assert first[0].sources_of(["feat_flight"]) == {"flights", "planes"}

    # A new process finds the JSON and neither parses nor opens the manifest.
    on_disk._catalogue.cache_clear()
    monkeypatch.setattr(on_disk, "parse_manifest", lambda *_: pytest.fail("the manifest was read again"))
    assert on_disk.load_catalogue(project) == first[0]
    monkeypatch.undo()

    yaml = project / "models" / "features" / "feat_origin_weather.yml"
    yaml.write_text(yaml.read_text().replace("ttl: 6h", "ttl: 5h"))
    variables = project / "dbt_project.yml"
    variables.write_text(variables.read_text().replace("late_after_minutes: 15", "late_after_minutes: 30"))
    after = on_disk.load_catalogue(project)
    assert after.view("feat_origin_weather").ttl == timedelta(hours=5)
    # A var is code of the models that read it, or are built from one that does.
    codes = {entry.name: entry.code for entry in first[0].models}
    changed = {entry.name for entry in after.models if entry.code != codes[entry.name]}
    assert {"feat_carrier_history", "lbl_flight_delay"} <= changed
    assert not changed & {"feat_flight", "feat_origin_weather", "feat_payment", "lbl_card_fraud"}
    manifest = json.loads(on_disk.ensure_manifest(project).read_text())
    assert _readers(manifest, {"late_after_minutes"}) == sorted(changed | {"int_landings"})


def test_a_project_that_dbt_cannot_parse_keeps_its_manifest(project: Path) -> None:
    manifest = on_disk.ensure_manifest(project)
    before = manifest.read_bytes()
    broken = project / "models" / "features" / "feat_broken.sql"
    broken.write_text("select * from {{ ref('nowhere') }}")
    try:
        with pytest.raises(on_disk.DbtParseError, match=r"(?s)nowhere.*`dbt parse`.*unchanged"):
            on_disk.ensure_manifest(project)
    finally:
        broken.unlink()
    assert manifest.read_bytes() == before


def test_nobody_sees_a_change_of_several_files_before_it_is_whole(project: Path) -> None:
    """Two people in one checkout: one writes a model, which dbt refuses at first, the other looks meanwhile."""
    before = on_disk.load_catalogue(project)
    view, upstream = project / "models" / "staging" / "stg_a_new.sql", project / "models" / "staging" / "stg_b_new.sql"
    began = threading.Event()

    def look() -> int:
        began.wait()
        return len(on_disk.load_catalogue(project).views)

    try:
        with ThreadPoolExecutor(1) as pool:
            found = pool.submit(look)
            with on_disk.editing(project) as read:
                view.write_text("select * from {{ ref('stg_b_new') }}")
                began.set()
                with pytest.raises(on_disk.DbtParseError, match="stg_b_new"):
                    read()
                assert not found.done()
                upstream.write_text("select 1 as id")
                assert len(read().views) == len(before.views)
            assert found.result(timeout=120) == len(before.views)
    finally:
        view.unlink()
        upstream.unlink()


def test_plain_feast_commands_register_what_the_catalogue_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from feast import FeatureStore
    from feast.repo_config import load_repo_config
    from feast.repo_operations import apply_total

    repo = CHECKOUT / "feature_repo"
    home = tmp_path / "home"
    monkeypatch.setenv("MLOPS_HOME", str(home))
    monkeypatch.syspath_prepend(str(repo))
    old = os.getcwd()  # noqa: PTH109 apply changes the directory
    try:
        apply_total(load_repo_config(repo, repo / "feature_store.yaml"), repo, skip_source_validation=False)
    finally:
        os.chdir(old)
    views = {view.name: view for view in FeatureStore(repo_path=str(repo)).list_feature_views()}
    catalogue = on_disk.load_catalogue(PROJECT)
    assert views.keys() == {view.name for view in catalogue.views}
    for view in catalogue.views:
        assert [field.name for field in views[view.name].features] == [feature.name for feature in view.features]
        assert [field.name for field in views[view.name].entity_columns] == list(view.entities)
        assert views[view.name].ttl == view.ttl
        assert views[view.name].batch_source.path == str(home / "lake" / view.path_glob)
        assert views[view.name].batch_source.created_timestamp_column == view.created
    assert {"online.db", "registry.db"} <= {path.name for path in (home / "feast").iterdir()}


def test_an_unset_home_is_the_one_in_the_checkout() -> None:
    from mlops_assets.feast_store.home import HomeSqliteOnlineStoreConfig, in_home

    expected = CHECKOUT / ".mlops" / "feast" / "online.db"
    assert HomeSqliteOnlineStoreConfig(path="${MLOPS_HOME}/feast/online.db").path == str(expected)
    assert in_home("/srv/mlops/feast/registry.db") == "/srv/mlops/feast/registry.db"


def test_a_retired_feature_is_computed_and_not_trained_on(manifest: dict[str, Any]) -> None:
    columns = manifest["nodes"]["model.x.feat_shop"]["columns"]
    columns["visits_7d"] = column("visits_7d", "bigint", retired="visits_28d says more")
    columns["region"] = column("region", "varchar", retired=True)
    view = parse_manifest(manifest).view("feat_shop")
    assert [(one.name, one.retired) for one in view.features] == [
        ("visits_7d", "visits_28d says more"), ("region", "true"), ("zone", "")
    ]  # fmt: skip
    assert view.trained_features == ()
    columns["region"] = column("region", "varchar", retired=True, trained=True)
    with pytest.raises(CatalogueError, match="remove one of the two"):
        parse_manifest(manifest)


def test_the_code_of_a_view_is_that_of_all_it_is_computed_by(manifest: dict[str, Any]) -> None:
    view, staging = (manifest["nodes"][f"model.x.{name}"] for name in ("feat_shop", "stg_visits"))
    view |= {"package_name": "x", "raw_code": "select '--1' as a from t -- why\n where b"}
    view["depends_on"]["macros"] = ["macro.x.used", "macro.dbt.theirs"]
    staging["raw_code"] = "select 1"
    manifest["macros"] = {
        "macro.x.used": {"package_name": "x", "macro_sql": "{# what #} 1", "depends_on": {"macros": ["macro.x.below"]}},
        "macro.x.below": {"package_name": "x", "macro_sql": "2", "depends_on": {"macros": []}},
        "macro.dbt.theirs": {"package_name": "dbt", "macro_sql": "3", "depends_on": {"macros": []}},
    }

    variables = {"least": 1, "other": 1}

    def code() -> str:
        return parse_manifest(manifest, variables).view("feat_shop").code

    before = code()
    view["raw_code"] = "select '--1' as a\nfrom t /* for\nno reason */ where b"
    manifest["macros"]["macro.x.used"]["macro_sql"] = "1 {# so #}"
    manifest["macros"]["macro.dbt.theirs"]["macro_sql"] = "4"
    view["columns"]["region"] |= {"description": "Where.", "config": {"meta": {"trained": False}}}
    assert code() == before, "comments, blanks, words and dbt's own macros change no value"
    assert parse_manifest(manifest, {"least": 1}).view("feat_shop").code == before, "nothing reads that var"
    moved = json.loads(
        json.dumps(manifest).replace("macro.x.", "macro.acme.").replace('package_name": "x"', 'package_name": "acme"')
    )
    assert parse_manifest(moved, variables).view("feat_shop").code == before, "in another project it is the same code"
    seen = {before}
    for change in (
        lambda: view.update(raw_code="select '--2' as a from t where b"),
        lambda: staging.update(raw_code="select 2"),
        lambda: manifest["macros"]["macro.x.below"].update(macro_sql="5"),
        lambda: view["columns"].pop("region"),
        lambda: manifest["macros"]["macro.x.below"].update(macro_sql='{{ var("least") }}'),
        lambda: variables.update(least=2),
    ):
        change()
        assert code() not in seen
        seen.add(code())
    view["raw_code"] += "-- var('most')"
    assert variables_of(view, manifest) == {"least"}
