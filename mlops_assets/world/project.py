"""Which project is worked on: the folder with somebody's models and sources, dbt project and feature repository.

Here: finding it and the layout below it. Not here: what was made of it in a home (`home`), reading its YAML
(`settings_files`), its dbt project (`catalogue`).
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "MLOPS_PROJECT"
NEW = "mlops init <name>"


class NoProject(ValueError):
    """The process was started outside of any project; the message says how to go on."""


@dataclass(frozen=True)
class Project:
    """The folders of one project.

    Attributes:
        root: where its pyproject.toml is; where there is no project, the folder that the process was started in.
        module: its Python package, which has `defs/`; empty where there is no project.
        why: there is none.
    """

    root: Path
    module: str
    why: str = ""

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
                module = _declared(file)
            except (tomllib.TOMLDecodeError, UnicodeDecodeError, PermissionError) as error:
                return cls(root, "", f"{file} cannot be read: {error}. Correct it")
            if module:
                return cls(folder, module)
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

    def require(self) -> None:
        """Refuse to work outside of a project.

        Raises:
            NoProject: there is none here.
        """
        if not self.module:
            raise NoProject(f"{self.why}. Change into a project, name one ({VARIABLE}=<folder>), or make one: {NEW}.")


def _declared(file: Path) -> str:
    """The package that a pyproject.toml declares for dg; empty without one."""
    if not file.is_file():
        return ""
    declared = tomllib.loads(file.read_text(encoding="utf-8"))
    return str(declared.get("tool", {}).get("dg", {}).get("project", {}).get("root_module", ""))


PROJECT = Project.here()
"""A process works on one project: the one that it was started in."""
