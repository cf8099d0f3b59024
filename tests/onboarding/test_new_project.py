"""A project of a person's own: what `mlops init` writes, and what it refuses.

What lives here: files, names, the link to the library. What does not: a model in one, from the built wheel
(`tests.end_to_end.test_wheel`).
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from mlops_assets.onboarding.files import NothingOverwritten
from mlops_assets.onboarding.projects import new_project
from mlops_assets.onboarding.projects.new_project import make
from mlops_assets.world.catalogue import LIBRARY, link_library, load_catalogue
from mlops_assets.world.project import Project
from tests.checkout import CHECKOUT


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_a_new_project_is_found_and_read(tmp_path: Path) -> None:
    root = make("acme-shop", tmp_path / "work")
    found = Project.find(root / "acme_shop" / "defs")
    assert (found.root, found.module) == (root, "acme_shop")
    for folder in (found.defs, found.dbt, found.feature_repo, found.workspace):
        assert folder.exists()
    assert load_catalogue(found.dbt).views == ()
    declared = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    assert declared["project"]["dependencies"] == ["mlops-assets~=0.1.0"]
    locations = yaml.safe_load(found.workspace.read_text(encoding="utf-8"))["load_from"]
    assert locations[0]["python_module"]["module_name"] == "mlops_assets.definitions"


@pytest.mark.parametrize(
    "file", ["dbt_project/profiles.yml", "dbt_project/models/groups.yml", "feature_repo/features.py"]
)
def test_what_names_no_project_is_as_in_this_one(tmp_path: Path, file: str) -> None:
    assert (make("acme", tmp_path) / file).read_bytes() == (CHECKOUT / file).read_bytes(), "change both"


@pytest.mark.parametrize(
    "name", ["", "1st", "a b", "../up", "über", "a" * 65, "dbt", "mlops-assets", "{{ x }}", "-x", "json", "class"]
)
def test_a_name_that_cannot_be_one_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="a letter first"):
        make(name, tmp_path)
    assert not everything(tmp_path)


@pytest.mark.parametrize("place", [".", "acme_shop", "dbt_project/models/features", "new/folder"])
def test_a_project_stands_in_no_other(tmp_path: Path, place: str) -> None:
    outer = make("acme-shop", tmp_path)
    before = everything(tmp_path)
    with pytest.raises(
        ValueError, match=rf"is in the project {re.escape(str(outer))} already.*mlops new-model NAME"
    ) as said:
        make("inner", outer / place)
    assert f"mlops init inner --in {tmp_path}`. Nothing was written." in str(said.value)
    assert everything(tmp_path) == before
    assert make("beside", tmp_path).is_dir()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "mine.txt").write_text("mine")
    with pytest.raises(NothingOverwritten, match="Choose another name"):
        make("acme", tmp_path)
    assert everything(tmp_path) == {"acme", "acme/mine.txt"}
    # An empty folder is somebody's, too, and is filled.
    (tmp_path / "shop").mkdir()
    assert (make("shop", tmp_path) / "pyproject.toml").is_file()


def test_what_stops_in_the_middle_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(project_dir: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(new_project, "link_library", full)
    with pytest.raises(OSError, match="No space"):
        make("acme", tmp_path)
    assert not everything(tmp_path)
    monkeypatch.undo()
    assert make("acme", tmp_path).is_dir()


def test_the_link_to_the_library_follows_the_installed_one(tmp_path: Path) -> None:
    project = make("acme", tmp_path) / "dbt_project"
    link = project / "library"
    assert link.resolve() == LIBRARY
    assert (link / "macros" / "materializations" / "lake.sql").is_file()
    # The library has moved, or the link was never there.
    link.unlink()
    link.symlink_to(tmp_path / "gone")
    link_library(project)
    assert link.resolve() == LIBRARY
    # Somebody's own choice stays; a project that reads nothing of it gets no link.
    link.unlink()
    (tmp_path / "mine").mkdir()
    link.symlink_to("../../mine")
    link_library(project)
    assert link.resolve() == tmp_path / "mine"
    link.unlink()
    link.mkdir()
    link_library(project)
    assert not link.is_symlink()
    link.rmdir()
    (project / "dbt_project.yml").write_text("name: acme\nmacro-paths: [macros]\n")
    link_library(project)
    assert not link.exists()
