"""The feature catalogue on disk: dbt's manifest kept fresh, and one small JSON derived from it.

What lives here: asking dbt to parse when its project has changed, and reading the catalogue in milliseconds
otherwise. What does not: what the catalogue means (`core/features/catalogue.py`). dbt is never imported here: it
takes seconds and is needed only when a file has changed, so it runs in a process of its own.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from mlops_assets.core.features.catalogue import Catalogue, from_json, to_json
from mlops_assets.core.features.dbt_meta import parse_manifest
from mlops_assets.world.atomic import write_text
from mlops_assets.world.dbt_runs import ANY_HOME, known_files
from mlops_assets.world.declared_files import once

LIBRARY = Path(__file__).resolve().parents[1] / "dbt"
"""Macros and generic tests for every dbt project, with the `lake` materialization."""
LIBRARY_LINK = "library"
"""Where a dbt project reads them: a link in its folder."""
CATALOGUE_FILE = "feature_catalogue.json"
_STAMP = "made_from_manifest_of_ns, sixth form"
_PARSE_LOCK = ".parse.lock"
_GENERATED = {"target", "logs", "dbt_packages"}


class DbtParseError(RuntimeError):
    """dbt could not read its project."""


def ensure_manifest(project_dir: Path) -> Path:
    """Return a manifest that is at least as new as every file of the dbt project, parsing it if need be.

    Safe with several processes at once: one parses, the others wait for it; a reader sees a whole old or a
    whole new manifest.

    Args:
        project_dir: The folder of dbt_project.yml.

    Raises:
        DbtParseError: If dbt cannot parse the project; the message carries dbt's own. The old manifest stays.
    """
    link_library(project_dir)
    manifest = project_dir / "target" / "manifest.json"
    if _is_fresh(manifest, project_dir):
        return manifest
    manifest.parent.mkdir(exist_ok=True)
    with _only_one(manifest.parent / _PARSE_LOCK):
        if not _is_fresh(manifest, project_dir):
            _parse(project_dir, manifest)
    return manifest


def stale_link(project_dir: Path) -> bool:
    """Whether a dbt project reads our macros and tests by a link that does not lead to where they are installed.

    A folder in its place, or a relative link, is somebody's own choice.

    Args:
        project_dir: The folder of dbt_project.yml.
    """
    link = project_dir / LIBRARY_LINK
    if link.is_dir() and (not link.is_symlink() or not link.readlink().is_absolute() or link.resolve() == LIBRARY):
        return False
    declared = yaml.safe_load((project_dir / "dbt_project.yml").read_text(encoding="utf-8"))
    return isinstance(declared, dict) and "library/macros" in (declared.get("macro-paths") or ())


def link_library(project_dir: Path) -> None:
    """Let a dbt project that reads our macros and tests find them: `library` links to where they are installed.

    Args:
        project_dir: The folder of dbt_project.yml.
    """
    if stale_link(project_dir):
        scratch = project_dir / f".library-{os.getpid()}"
        scratch.symlink_to(LIBRARY, target_is_directory=True)
        scratch.replace(project_dir / LIBRARY_LINK)


@contextmanager
def editing(project_dir: Path) -> Iterator[Callable[[], Catalogue]]:
    """Let several files of a project be written as one change: nobody else parses it before the block ends.

    Gives a function that reads the project as it stands inside the block. A change that it refuses is for the block to
    take back; others then never see it.
    """
    link_library(project_dir)
    manifest = project_dir / "target" / "manifest.json"
    manifest.parent.mkdir(parents=True, exist_ok=True)

    def read() -> Catalogue:
        if not _is_fresh(manifest, project_dir):
            _parse(project_dir, manifest)
        return _catalogue(manifest, manifest.stat().st_mtime_ns)

    with _only_one(manifest.parent / _PARSE_LOCK):
        yield read


def load_catalogue(project_dir: Path) -> Catalogue:
    """Return the catalogue of a dbt project, from memory or its JSON unless the project has changed.

    Beside the manifest lies `feature_catalogue.json`, which names the manifest it was made from.

    Args:
        project_dir: The folder of dbt_project.yml.

    Raises:
        CatalogueError: If a model's meta is missing or wrong.
        DbtParseError: If dbt cannot parse the project.
    """
    return once(("catalogue", project_dir), lambda: _newest_catalogue(project_dir))


def _newest_catalogue(project_dir: Path) -> Catalogue:
    manifest = ensure_manifest(project_dir)
    return _catalogue(manifest, manifest.stat().st_mtime_ns)


def manifest_stamp(project_dir: Path) -> int:
    """Changes when the catalogue of a dbt project may have.

    Args:
        project_dir: The folder of dbt_project.yml.

    Raises:
        DbtParseError: If dbt cannot parse the project.
    """
    return ensure_manifest(project_dir).stat().st_mtime_ns


def project_variables(project_dir: Path) -> dict[str, Any]:
    """Return the vars of dbt_project.yml with their values: those of all packages, over them the project's own.

    Args:
        project_dir: The folder of dbt_project.yml.
    """
    project = yaml.safe_load((project_dir / "dbt_project.yml").read_text(encoding="utf-8"))
    declared = project.get("vars") or {}
    return {**declared, **(declared.get(project["name"]) or {})}


@lru_cache(maxsize=8)
def _catalogue(manifest: Path, stamp: int) -> Catalogue:
    """Read the JSON made from the manifest of that time, or make it."""
    path = manifest.with_name(CATALOGUE_FILE)
    if path.exists():
        text = path.read_text(encoding="utf-8")
        # The stamp is the first line, so a stale file is not even parsed.
        if text.startswith(_first_line(stamp)):
            return from_json(text.removeprefix(_first_line(stamp)))
    catalogue = parse_manifest(
        json.loads(manifest.read_text(encoding="utf-8")), project_variables(manifest.parent.parent)
    )
    write_text(path, _first_line(stamp) + to_json(catalogue))
    return catalogue


def _first_line(stamp: int) -> str:
    """Return the line that says which manifest a catalogue was made from."""
    return json.dumps({_STAMP: stamp}) + "\n"


def _is_fresh(manifest: Path, project_dir: Path) -> bool:
    """Tell whether the manifest is whole and no file of the project is newer."""
    if not manifest.exists():
        return False
    made = manifest.stat().st_mtime_ns
    return all(path.stat().st_mtime_ns <= made for path in _project_files(project_dir))


def _project_files(project_dir: Path) -> Iterator[Path]:
    """Yield every file and folder that dbt reads; a folder's time tells that a file went away."""
    for folder, names, files in os.walk(project_dir, followlinks=True):
        here = Path(folder)
        names[:] = [name for name in names if name not in _GENERATED and not name.startswith(".")]
        # The project's own folder also holds target/ and logs/, whose coming and going says nothing.
        if here != project_dir:
            yield here
        yield from (here / name for name in files if name.endswith((".sql", ".yml", ".yaml", ".csv", ".md")))


def _parse(project_dir: Path, manifest: Path) -> None:
    """Let dbt parse into a folder of its own and rename the manifest into place."""
    newest = max(path.stat().st_mtime_ns for path in _project_files(project_dir))
    with tempfile.TemporaryDirectory(prefix=".parse-", dir=manifest.parent) as scratch:
        known = known_files(project_dir)
        known.parent.mkdir(exist_ok=True)
        if known.exists():
            shutil.copy(known, Path(scratch) / known.name)
        run = subprocess.run(
            [
                *(sys.executable, "-m", "dbt.cli.main", "--no-use-colors", "parse"),
                *("--project-dir", str(project_dir), "--profiles-dir", str(project_dir)),
                *("--target-path", scratch, "--log-path", scratch),
            ],
            cwd=project_dir,
            env={**os.environ, **ANY_HOME.environment()},
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            raise DbtParseError(
                f"dbt cannot parse {project_dir}:\n{run.stdout.strip()[-4000:]}\n"
                f"{run.stderr.strip()[-2000:]}\n"
                "Correct the file that dbt names; `dbt parse` in that folder checks it. The old manifest, "
                "the lake and the champion are unchanged."
            )
        # What dbt has learned makes the next parse, of one changed file, three times as fast, and that of a new home.
        (Path(scratch) / known.name).replace(known)
        parsed = Path(scratch) / "manifest.json"
        # Whatever was edited while dbt was reading is newer than this, and will be parsed next time.
        os.utime(parsed, ns=(newest, newest))
        parsed.replace(manifest)


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """Hold an advisory lock; the kernel releases it if the process dies."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def tests_of(project_dir: Path, models: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of the dbt data tests on each model, which are the names of their asset checks.

    Args:
        project_dir: The folder of dbt_project.yml.
        models: Names of dbt models.
    """
    manifest = json.loads(ensure_manifest(project_dir).read_text(encoding="utf-8"))
    names = {key: node["name"] for key, node in manifest["nodes"].items() if node["resource_type"] == "model"}
    tests: dict[str, list[str]] = {model: [] for model in models}
    for node in manifest["nodes"].values():
        model = names.get(node.get("attached_node") or "")
        if node["resource_type"] == "test" and model in tests:
            tests[model].append(node["name"])
    return tests


def exposures_of(project_dir: Path) -> dict[str, set[str]]:
    """Return the models that each dbt exposure names, which are where dbt's lineage ends.

    Args:
        project_dir: The folder of dbt_project.yml.
    """
    manifest = json.loads(ensure_manifest(project_dir).read_text(encoding="utf-8"))
    names = {key: node["name"] for key, node in manifest["nodes"].items()}
    exposures = manifest.get("exposures", {}).values()
    return {entry["name"]: {names[key] for key in entry["depends_on"]["nodes"] if key in names} for entry in exposures}
