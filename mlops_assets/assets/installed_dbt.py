"""dbt as a resource: the dbt of this environment, run as a process of its own.

Here: which dbt that is, and its version. Not here: what is run (`assets.platform.dbt_models`), dbt in this process
(`world/dbt_runs.py`).
"""

from __future__ import annotations

import sys
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from dagster_dbt import DbtCliResource

if TYPE_CHECKING:
    from packaging.version import Version


class InstalledDbt(DbtCliResource):
    """The dbt that is installed beside this Python, also when its bin/ is not on PATH."""

    @classmethod
    def of(cls, project: Path) -> InstalledDbt:
        """Dbt on a project that brings its own profiles."""
        return cls(
            project_dir=str(project),
            profiles_dir=str(project),
            dbt_executable=str(Path(sys.executable).with_name("dbt")),
        )

    @cached_property
    def _cli_version(self) -> Version:
        from packaging.version import Version

        # dagster-dbt starts `dbt --version` in each run: 2 s, for what the package's own record says.
        return Version(version("dbt-core"))
