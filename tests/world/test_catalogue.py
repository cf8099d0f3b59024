"""The catalogue on disk: dbt is asked when its project has changed, and Feast registers what it says."""

from __future__ import annotations

import json
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from mlops_assets.steps.features.dbt_ci import _readers
from mlops_assets.world import catalogue as on_disk
from tests.checkout import CHECKOUT

PROJECT = CHECKOUT / "dbt_project"


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
