"""A project of an older library brought to what the installed one writes and reads: `mlops upgrade`.

Here: what differs, file by file, and writing it. Not here: the changes of settings (`core.settings_changes`), what a
new project has (`new_project`).

What a person has changed is never written over: a file of the library's is rewritten only where it is, to the letter,
what some library wrote (`project/` today, `former/` before). Settings are edited field by field. The version is written
last, so whatever stops an upgrade, a second call goes on.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import yaml
from packaging.requirements import InvalidRequirement, Requirement

from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.settings_changes import SETTINGS, is_policies, migrated, outdated_fields
from mlops_assets.onboarding.projects.new_project import TEMPLATES, files
from mlops_assets.world.atomic import write_bytes
from mlops_assets.world.catalogue import link_library, stale_link
from mlops_assets.world.declared_files import BrokenFile, read_defaults, read_files
from mlops_assets.world.project import Project

FORMER = TEMPLATES.with_name("former")
"""What libraries before have written, where it was another text: a folder a change, in their order."""
NEEDED = (
    "workspace.yaml",
    "feature_repo/feature_store.yaml",
    "feature_repo/features.py",
    "dbt_project/dbt_project.yml",
    "dbt_project/profiles.yml",
)
"""The library's files that a project does not work without."""
OPTIONAL = (".env.example", ".gitignore", ".github/workflows/ci.yml", "tests/test_project.py")
"""The library's files that a person may have removed. All others that a new project has are its owner's at once."""
_NAME = "mlops-assets"
_State = Literal["good", "outdated", "yours", "by hand"]


@dataclass(frozen=True)
class UpgradePart:
    """A file of a project, or the link into the library, held against what the library wants.

    Attributes:
        path: in the project.
        state: `good`; `outdated`: `mlops upgrade` rewrites it; `yours`: changed or removed by its owner, left alone;
            `by hand`: to be changed by a person.
        sentence: what there is to say.
        text: what the library would write.
        there: what is written now.
    """

    path: str
    state: _State
    sentence: str
    text: str = ""
    there: str = ""

    @property
    def diff(self) -> str:
        """From what is there to what the library would write; empty where both are one."""
        if not self.text:
            return ""
        now, then = (each.splitlines(keepends=True) for each in (self.there, self.text))
        return "".join(difflib.unified_diff(now, then, f"{self.path} (now)", f"{self.path} (the library's)"))


@dataclass(frozen=True)
class Upgrade:
    """What a project needs."""

    project: Project
    parts: tuple[UpgradePart, ...]

    @property
    def to_do(self) -> tuple[UpgradePart, ...]:
        """What is not as today's library wants it; what is its owner's own is not among it."""
        return tuple(part for part in self.parts if part.state in ("outdated", "by hand"))

    @property
    def in_words(self) -> str:
        """All of it in a few words."""
        own, since = self.project.settings, f"settings {SETTINGS}, version {version(_NAME)} of the library"
        if not self.to_do:
            return f"as the library wants it: {since}"
        by_hand = sum(part.state == "by hand" for part in self.to_do)
        more = f", {by_hand} of them by hand" if by_hand else ""
        return f"settings {own}; {since}, wants {counted(len(self.to_do), 'file')} changed{more}"


def examine(project: Project) -> Upgrade:
    """Hold a project against what today's library writes and reads; nothing is changed.

    Raises:
        OtherSettings: it is of a newer library.
    """
    parts = [*_settings(project), *_written(project), _library(project)]
    needs_hand = any(part.state == "by hand" for part in parts)
    return Upgrade(project, (*parts, _pyproject(project, needs_hand=needs_hand)))


def apply(upgrade: Upgrade) -> list[UpgradePart]:
    """Write all that needs no person, settings first and their version last.

    Returns:
        What was written.
    """
    root = upgrade.project.root
    done = [part for part in upgrade.parts if part.state == "outdated"]
    for part in done:
        if part.text:
            # Behind a link, and with the mark of UTF-8 and the line ends that are there.
            path = (root / part.path).resolve()
            has_mark = path.exists() and path.read_bytes().startswith(b"\xef\xbb\xbf")
            write_bytes(path, part.text.encode("utf-8-sig" if has_mark else "utf-8"))
        else:
            link_library(upgrade.project.dbt)
    return done


def _settings(project: Project) -> Iterator[UpgradePart]:
    """Each YAML file of sources, models, their defaults and policies that is not of today."""
    declared = [
        *read_files(project.defs),
        *(each if isinstance(each, BrokenFile) else (each,) for each in read_defaults(project.defs)),
    ]
    for broken in (file for file in declared if isinstance(file, BrokenFile)):
        yield UpgradePart(_within(project, broken.path), "by hand", broken.sentence)
    for file in [*(file[0].path for file in declared if not isinstance(file, BrokenFile)), *_policy_files(project)]:
        path, text = _within(project, file), _read(file)
        outdated = outdated_fields(text, project.settings)
        new = migrated(text, project.settings)
        by_hand = [old for old in outdated if not old.edits]
        if by_hand and new == text:
            yield UpgradePart(path, "by hand", " ".join(f"{path}:{old.sentence}" for old in by_hand))
        elif outdated:
            hints = " ".join(f"{old.place}: {old.change.hint}." for old in outdated if old.edits)
            yield UpgradePart(path, "outdated", hints, new, text)
            for old in by_hand:
                yield UpgradePart(path, "by hand", f"{path}:{old.sentence}")


def _policy_files(project: Project) -> Iterator[Path]:
    """Files of policies to try, wherever they stand; what tools keep in folders of their own is not looked into."""
    for at, folders, names in os.walk(project.root):
        here = Path(at)
        own = {project.defs, project.dbt, project.root / "feature_repo"}
        folders[:] = sorted(name for name in folders if not name.startswith(".") and here / name not in own)
        if "pyvenv.cfg" in names:
            folders.clear()
            continue
        for file in (here / name for name in sorted(names) if name.endswith((".yaml", ".yml"))):
            with suppress(OSError, ValueError, RecursionError, yaml.YAMLError):  # no file of ours
                if is_policies(_read(file)):
                    yield file


def _written(project: Project) -> Iterator[UpgradePart]:
    """The library's files."""
    name = _project_name(project)
    today = {path.as_posix(): text for path, text in files(name, project.module).items()}
    former = [files(name, project.module, templates=folder) for folder in sorted(FORMER.iterdir())]
    for path in (*NEEDED, *OPTIONAL):
        place, text = project.root / path, today[path]
        if not place.is_file() or place.is_symlink():
            yield _unwritten(place, path, text)
            continue
        there, before = place.read_bytes(), [each[Path(path)] for each in former if Path(path) in each]
        shown = there.decode("utf-8", errors="replace")
        if _is_text(there, text):
            yield UpgradePart(path, "good", "up to date")
        elif any(_is_text(there, each) for each in before):
            yield UpgradePart(path, "outdated", "as an older library wrote it", text, shown)
        else:
            more = "; the library's has changed since, see --diff" if before else ""
            yield UpgradePart(path, "yours", f"changed by you{more}", text, shown)


def _unwritten(place: Path, path: str, text: str) -> UpgradePart:
    """A file of the library's that is not there, or is a link: its owner's choice where the project works without."""
    if place.is_symlink() or place.exists():
        return UpgradePart(path, "yours", "a link or folder of yours")
    if path in NEEDED:
        return UpgradePart(path, "outdated", "it is missing, and nothing works without it", text)
    return UpgradePart(path, "yours", "removed by you", text)


def _is_text(there: bytes, text: str) -> bool:
    """Whether a file holds a text, whatever its line ends are."""
    return there.replace(b"\r\n", b"\n") == text.encode()


def _library(project: Project) -> UpgradePart:
    """The link to the library's macros."""
    path = "dbt_project/library"
    try:
        # A project that lacks its dbt_project.yml gets that first, and with it the link.
        is_stale = not (project.dbt / "dbt_project.yml").exists() or stale_link(project.dbt)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return UpgradePart(path, "by hand", f"dbt_project/dbt_project.yml cannot be read: {error}. Correct it.")
    if is_stale:
        return UpgradePart(path, "outdated", "it does not lead to the installed library")
    link = project.dbt / "library"
    if link.is_symlink() and link.readlink().is_absolute():
        return UpgradePart(path, "good", "up to date")
    return UpgradePart(path, "yours", "your own" if link.exists() else "not used by you")


def _pyproject(project: Project, *, needs_hand: bool) -> UpgradePart:
    """What the project says of the library: the version of its settings, the releases that it takes."""
    path, there = "pyproject.toml", _read(project.root / "pyproject.toml")
    text, todo = there, []
    if (wanted := _pinned_out(there)) is not None:
        new, is_ours = re.subn(rf"({_NAME}(?:\[[\w, -]+\])?~=)[\d.]+", rf"\g<1>{version(_NAME)}", wanted)
        text, now = text.replace(f'"{wanted}"', f'"{new}"'), f"{version(_NAME)} is installed"
        if not is_ours or text == there:
            return UpgradePart(path, "by hand", f"it wants {wanted}, and {now}. Change it, or install what it wants.")
        todo.append(f"it wants {wanted}, and {now}")
    if project.settings < SETTINGS:
        if needs_hand:
            return UpgradePart(path, "by hand", f"its settings stay at {project.settings} until the rest is changed.")
        new = _with_version(text)
        if not _adds_the_version_alone(text, new):
            return UpgradePart(path, "by hand", f"write settings = {SETTINGS} under [tool.mlops].")
        text = new
        todo.append(f"settings {project.settings} become {SETTINGS}")
    return (
        UpgradePart(path, "outdated", "; ".join(todo), text, there) if todo else UpgradePart(path, "good", "up to date")
    )


def _pinned_out(pyproject: str) -> str | None:
    """The requirement of the library that the installed one does not meet."""
    for text in tomllib.loads(pyproject).get("project", {}).get("dependencies", ()):
        try:
            requirement = Requirement(str(text))
        except InvalidRequirement:
            continue  # its owner's matter, and pip's
        if requirement.name.replace("_", "-").lower() == _NAME:
            return None if requirement.specifier.contains(version(_NAME), prereleases=True) else str(text)
    return None


def _with_version(pyproject: str) -> str:
    """The text with today's version of settings under `[tool.mlops]`."""
    line = f"settings = {SETTINGS}"
    table = re.search(r"(?m)^\[tool\.mlops\][^\S\n]*(#.*)?$", pyproject)
    if table is None:
        return f"{pyproject.rstrip()}\n\n[tool.mlops]\n{line}\n"
    head, rest = pyproject[: table.end()], pyproject[table.end() :]
    body, *others = re.split(r"(?m)^(?=\[)", rest, maxsplit=1)
    changed, count = re.subn(r"(?m)^settings\s*=\s*\d+", line, body)
    return head + (changed if count else f"\n{line}{body}") + "".join(others)


def _adds_the_version_alone(before: str, after: str) -> bool:
    """Whether a pyproject.toml reads as before, with today's version of settings."""
    wanted = tomllib.loads(before)
    try:
        actual = tomllib.loads(after)
        wanted["tool"].setdefault("mlops", {})["settings"] = SETTINGS
    except (tomllib.TOMLDecodeError, TypeError, AttributeError):
        return False  # written in a way that a line does not add to, such as an inline table
    return actual == wanted


def _project_name(project: Project) -> str:
    """As its pyproject.toml has it."""
    declared = tomllib.loads(_read(project.root / "pyproject.toml"))
    return str(declared.get("project", {}).get("name", project.root.name))


def _within(project: Project, path: Path) -> str:
    return path.relative_to(project.root).as_posix()


def _read(path: Path) -> str:
    """A text with the line ends that it has."""
    return path.read_bytes().decode("utf-8-sig")
