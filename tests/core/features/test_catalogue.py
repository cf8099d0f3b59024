"""The parser of dbt meta: what it reads, what it refuses, what it then says."""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from typing import Any

import pytest

from mlops_assets.core.features.catalogue import CatalogueError, Feature, from_json, to_json
from mlops_assets.core.features.code_version import variables_of
from mlops_assets.core.features.dbt_meta import parse_manifest


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


def test_a_feature_may_go_by_the_calendar(manifest: dict[str, Any]) -> None:
    columns = manifest["nodes"]["model.x.feat_shop"]["columns"]
    columns["visits_7d"] = column("visits_7d", "bigint", cycle="week")
    catalogue = parse_manifest(manifest)
    assert {one.name: one.cycle for one in catalogue.view("feat_shop").features if one.cycle} == {"visits_7d": "week"}
    assert from_json(to_json(catalogue)) == catalogue
    columns["visits_7d"] = column("visits_7d", "bigint", cycle="fortnight")
    with pytest.raises(CatalogueError, match=r"says `cycle: fortnight`.*: write one of week, year"):
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
