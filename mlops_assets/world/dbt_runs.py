"""dbt on a home of its own that reads the lake of another one, so that nothing of that one is touched.

Here: such a home, and running dbt in this process: importing dbt costs seconds, a second run in the process does not.
Not here: what is run (`look_ahead`, `dbt_ci`), the project's manifest (`catalogue`), dbt in a Dagster run (`defs`).
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_assets.world.home import Home, working_in


class DbtFailed(RuntimeError):
    """dbt has not done what it was asked to; the message is dbt's, with the remedy."""


@dataclass(frozen=True)
class ScratchDbt:
    """A dbt project on a scratch home.

    Attributes:
        project: the folder of dbt_project.yml.
        home: where dbt works.
        target: where it writes its manifest; `target` in the home by default.
        profiles: the folder of profiles.yml; the project by default.
    """

    project: Path
    home: Home
    target: Path | None = None
    profiles: Path | None = None

    @property
    def folder(self) -> Path:
        """Where dbt writes its manifest."""
        return self.target or self.home.root / "target"

    def run(self, *arguments: str, variables: Mapping[str, str] | None = None) -> list[Any]:
        """Run dbt; results by node, in dbt's order.

        Raises:
            DbtFailed: a node failed, or dbt could not begin.
        """
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.cli.main import dbtRunner

        told: list[str] = []

        def hear(event: Any) -> None:
            if event.info.level == "error":
                told.append(str(event.info.msg).strip())

        where = ["--project-dir", str(self.project), "--profiles-dir", str(self.profiles or self.project)]
        where += ["--target-path", str(self.folder), "--log-path", str(self.folder)]
        with working_in(self.home), redirect_stdout(io.StringIO()):
            # dbt keeps its connection between runs, and it may be that of another home.
            DuckDBConnectionManager.close_all_connections()
            try:
                ran = dbtRunner(callbacks=[hear]).invoke(
                    [*("--no-use-colors", "--quiet", *arguments), "--vars", json.dumps(dict(variables or {})), *where]
                )
            finally:
                DuckDBConnectionManager.close_all_connections()
        results: Any = ran.result
        if not ran.success:
            said = "\n".join(dict.fromkeys(told)) or str(ran.exception or "")
            raise DbtFailed(
                f"dbt {arguments[0]} has failed:\n{said[-4000:]}\nCorrect the model that dbt names. Lake, models and "
                "the champion are as they were."
            )
        return list(results) if isinstance(results, list) or hasattr(results, "results") else []

    def manifest(self) -> dict[str, Any]:
        """The manifest of the last run, as parsed JSON."""
        return json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))


@contextmanager
def scratch_home(home: Home, *, layers: tuple[str, ...] = ("raw",), at: Path | None = None) -> Iterator[Home]:
    """A home that is thrown away, whose lake reads these layers of another home's lake and has its own of the rest.

    Args:
        home: whose data are read.
        layers: `raw`, `features`, `labels`: what is read there and never written by the run.
        at: a folder to keep it in, instead of throwing it away.
    """
    with tempfile.TemporaryDirectory(prefix="mlops-") as temporary:
        scratch = Home((at or Path(temporary)).resolve())
        scratch.lake.mkdir(parents=True, exist_ok=True)
        for layer in layers:
            link = scratch.lake / layer
            link.unlink(missing_ok=True)
            link.symlink_to(home.lake / layer, target_is_directory=True)
        yield scratch
