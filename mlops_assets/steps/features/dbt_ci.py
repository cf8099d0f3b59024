"""What a change of the dbt project makes: only the changed models and what depends on them, on a scratch home.

Here: the project as it stands at a git ref, and the build of what differs from it (dbt's state and defer). Not here:
running dbt (`dbt_runs`), comparing what was built with what stands in the lake (`report`).

What has not changed is read where it is: in the warehouse and the lake of the home, which are opened to read only.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mlops_assets.core.features.catalogue import Catalogue
from mlops_assets.core.features.code_version import variables_of
from mlops_assets.core.features.dbt_meta import parse_manifest
from mlops_assets.world.catalogue import LIBRARY_LINK, project_variables
from mlops_assets.world.dbt_runs import Dbt, known_files, scratch_home
from mlops_assets.world.home import Home

_SCHEMA = "ci"
CHANGED = tuple(f"state:{what}+" for what in ("new", *(f"modified.{part}" for part in ("body", "configs", "macros"))))
"""All that dbt calls modified except its place: the scratch database makes every source look moved."""


class NothingToCompare(ValueError):
    """There is no state to hold the change against; the message says how to get one."""


@dataclass(frozen=True)
class Change:
    """A build of what has changed.

    Attributes:
        home: the scratch home that holds it.
        built: names of the models that were built, in dbt's order.
        checks: how many tests of them passed.
        before: feature views and label models at the git ref.
        after: those of the working tree.
    """

    home: Home
    built: tuple[str, ...]
    checks: int
    before: Catalogue
    after: Catalogue


@contextmanager
def changed(
    home: Home,
    project: Path,
    ref: str,
    *,
    start: str | None = None,
    tests: bool = True,
    without: Sequence[str] = (),
) -> Iterator[Change]:
    """Build what differs between a git ref and the working tree; it is thrown away with the block.

    Args:
        home: whose raw data are read, and whose warehouse and lake stand for what has not changed.
        project: the folder of dbt_project.yml, in a git checkout.
        ref: what to compare with, such as `main`.
        start: the first day to build, as 2013-01-01; everything without.
        tests: whether tests and unit tests of what is built are run.
        without: models that are not built, nor what depends on them.

    Raises:
        NothingToCompare: no such ref, no checkout, or nothing was ever built in this home.
        DbtFailed: a model cannot be built, or a test fails; the message is dbt's.
    """
    if not home.warehouse.exists():
        raise NothingToCompare(
            f"{home.warehouse} is not there: nothing was built in this home, so there is nothing to defer to. Land "
            "data and build once (`mlops up`), or name another home with --home. Nothing was changed."
        )
    with scratch_home(home) as scratch:
        old = _at(project, ref, scratch.root / "before")
        state = Dbt(old, scratch, target=scratch.root / "state").parsed_to_manifest()
        dbt = Dbt(project, scratch, profiles=_profiles(home, project, scratch))
        was, now = project_variables(old), project_variables(project)
        readers = _readers(state, {name for name in was.keys() | now.keys() if was.get(name) != now.get(name)})
        results = dbt.run(
            *("build" if tests else "run", "--select", *CHANGED, *(f"{model}+" for model in readers)),
            *(("--exclude", *(f"{model}+" for model in without)) if without else ()),
            *("--defer", "--state", str(scratch.root / "state")),
            variables={"start": start} if start else {},
        )
        kinds = [(result.node.resource_type, result.node.name) for result in results]
        built = tuple(name for kind, name in kinds if kind == "model")
        checks = sum(kind in ("test", "unit_test") for kind, _ in kinds)
        yield Change(scratch, built, checks, parse_manifest(state, was), parse_manifest(dbt.manifest(), now))


def _readers(state: Mapping[str, Any], variables: set[str]) -> list[str]:
    """The models that read one of these vars, which dbt's state does not see; those new to it have other SQL."""
    models = {node["name"]: node for node in state["nodes"].values() if node["resource_type"] == "model"}
    return sorted(name for name, node in models.items() if variables & variables_of(node, state))


def _at(project: Path, ref: str, to: Path) -> Path:
    """The project as it is at a git ref, written to a folder of its own, with the macros that it reads by links."""
    try:
        root = Path(_git(project, "rev-parse", "--show-toplevel").decode().strip())
        folder = project.resolve().relative_to(root.resolve())
        _extract(root, ref, folder, to)
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise NothingToCompare(
            f"The project at {ref!r} cannot be read: {said}. Name a branch, tag or commit of this checkout with "
            "--against, and fetch it if git does not have it. Nothing was changed."
        ) from error
    old = to / folder
    _extract_linked(root, ref, old, to)
    _same_library(project, old, to)
    # Then dbt parses only the files in which the two differ: 0.5 s in place of 3 for the demo's 20 models.
    if (known := known_files(project)).exists():
        known_files(old).parent.mkdir(parents=True)
        shutil.copy(known, known_files(old))
    return old


def _extract(root: Path, ref: str, path: Path, to: Path) -> None:
    """Write a folder or file of a checkout as it is at a ref; links stay what they are, wherever they lead."""
    archive = _git(root, "archive", "--format=tar", ref, str(path))
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(to, filter="tar")


def _extract_linked(root: Path, ref: str, old: Path, to: Path) -> None:
    """Write what the project's links lead to elsewhere in the checkout: it too is what it was at the ref."""
    for link in [path for path in old.rglob("*") if path.is_symlink() and not path.exists()]:
        target = Path(os.path.normpath(link.parent / link.readlink()))
        if target.is_relative_to(to) and _git(root, "ls-tree", ref, str(target.relative_to(to))):
            _extract(root, ref, target.relative_to(to), to)


def _same_library(project: Path, old: Path, to: Path) -> None:
    """Let the old side read the library's macros where the working tree reads them, unless git holds its own.

    They belong to the installation: git ignores the link in a project of `mlops init`, so a ref has none, and by
    macros that one side lacks every model would count as changed.
    """
    there = old / LIBRARY_LINK
    if (project / LIBRARY_LINK).is_dir() and not (there.is_dir() and there.resolve().is_relative_to(to.resolve())):
        there.unlink(missing_ok=True)
        there.symlink_to((project / LIBRARY_LINK).resolve(), target_is_directory=True)


def _git(folder: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=True).stdout


def _profiles(home: Home, project: Path, scratch: Home) -> Path:
    """The project's profile with a database and a schema of its own, and the home's warehouse beside it to read."""
    profiles: dict[str, Any] = yaml.safe_load((project / "profiles.yml").read_text(encoding="utf-8"))
    for profile in profiles.values():
        output: Mapping[str, Any] = profile["outputs"][profile["target"]]
        attached = [{"path": str(home.warehouse).replace("'", "''"), "alias": home.warehouse.stem, "read_only": True}]
        here = {"path": str(scratch.root / "changed.duckdb"), "schema": _SCHEMA, "attach": attached}
        profile["outputs"] = {_SCHEMA: {**output, **here}}
        profile["target"] = _SCHEMA
    folder = scratch.root / "profiles"
    folder.mkdir()
    (folder / "profiles.yml").write_text(yaml.safe_dump(profiles), encoding="utf-8")
    return folder
