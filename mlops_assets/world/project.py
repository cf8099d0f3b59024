"""Which project is worked on: the folder with somebody's models and sources, dbt project and feature repository.

Here: finding it and the layout below it. Not here: what was made of it in a home (`home`), reading its YAML
(`settings_files`), its dbt project (`catalogue`).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops_assets.core.settings_changes import SETTINGS

VARIABLE = "MLOPS_PROJECT"
NEW = "mlops init <name>"


class NoProject(ValueError):
    """The process was started outside of any project; the message says how to go on."""


class OtherSettings(ValueError):
    """The project has settings of another version than the library; the message says how to go on."""


@dataclass(frozen=True)
class Project:
    """The folders of one project.

    Attributes:
        root: where its pyproject.toml is; where there is no project, the folder that the process was started in.
        module: its Python package, which has `defs/`; empty where there is no project.
        why: there is none.
        declared: what its pyproject.toml has under `[tool.mlops]`.
    """

    root: Path
    module: str
    why: str = ""
    declared: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def find(cls, start: Path, named: str | None = None) -> Project:
        """The project that is named, else the nearest one above a folder, as `dg` finds it: `[tool.dg.project]`.

        Args:
            start: a folder.
            named: a project's folder, as `$MLOPS_PROJECT` has it.
        """
        root = Path(named).expanduser().resolve() if named else start
        for folder in (root,) if named else (root, *root.parents):
            file = folder / "pyproject.toml"
            try:
                tools = _tools(file)
            except (tomllib.TOMLDecodeError, UnicodeDecodeError, PermissionError) as error:
                return cls(root, "", f"{file} cannot be read: {error}. Correct it")
            if module := str(_table(tools, "dg", "project").get("root_module", "")):
                return cls(folder, module, declared=_table(tools, "mlops"))
        return cls(root, "", f"{root} is {'no' if named else 'in no'} project: no pyproject.toml has [tool.dg.project]")

    @classmethod
    def here(cls) -> Project:
        """The project of this process."""
        try:
            start = Path.cwd()
        except FileNotFoundError:
            # The folder that the process stands in was removed.
            start = Path("/")
        return cls.find(start, os.environ.get(VARIABLE))

    @property
    def defs(self) -> Path:
        """Sources and monitored models in YAML."""
        return self.root / self.module / "defs"

    @property
    def dbt(self) -> Path:
        """The dbt project."""
        return self.root / "dbt_project"

    @property
    def feature_repo(self) -> Path:
        """Feast's repository."""
        return self.root / "feature_repo"

    @property
    def workspace(self) -> Path:
        """What Dagster loads."""
        return self.root / "workspace.yaml"

    @property
    def settings(self) -> int:
        """The version of the settings in its YAML; 1 where none is said, as before there were versions.

        Raises:
            OtherSettings: it is no version, or one that this library does not know yet.
        """
        said, place = self.declared.get("settings", 1), f"{self.root / 'pyproject.toml'}: [tool.mlops] settings"
        if type(said) is not int or said < 1:
            raise OtherSettings(f"{place} is {said!r} and no version: write a whole number, such as {SETTINGS}.")
        if said > SETTINGS:
            raise OtherSettings(
                f"{place} is {said}, and the installed mlops-assets reads versions up to {SETTINGS}. Upgrade the "
                "library: `pip install --upgrade mlops-assets`. Nothing was read or changed."
            )
        return said

    def require(self) -> None:
        """Refuse to work outside of a project, or in one of a newer library.

        Raises:
            NoProject: there is none here.
            OtherSettings: the library does not know its settings.
        """
        if not self.module:
            raise NoProject(f"{self.why}. Change into a project, name one ({VARIABLE}=<folder>), or make one: {NEW}.")
        _ = self.settings

    def require_current(self) -> None:
        """Refuse to add YAML of today to a project that has an older version, where it would be read as that.

        Raises:
            OtherSettings: it has.
        """
        if (said := self.settings) < SETTINGS:
            raise OtherSettings(
                f"{self.root} has settings of version {said}, and this library writes {SETTINGS}. Upgrade the project "
                "first: mlops upgrade. Nothing was written."
            )


def _tools(file: Path) -> Any:
    """What a pyproject.toml has under `[tool]`; nothing without one."""
    return tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}) if file.is_file() else {}


def _table(tools: Any, *names: str) -> Mapping[str, Any]:
    """A table in it, empty where there is none."""
    for name in names:
        tools = tools.get(name, {}) if isinstance(tools, dict) else {}
    return tools if isinstance(tools, dict) else {}


PROJECT = Project.here()
"""A process works on one project: the one that it was started in."""
