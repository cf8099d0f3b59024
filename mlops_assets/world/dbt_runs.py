"""dbt in this process: a project on a home.

Here: running dbt, a project parsed once for all homes, and a home of its own that reads another one's lake, so that
nothing of that one is touched.
Not here: what is run (`look_ahead`, `dbt_ci`, `assets.platform.dbt_models`), the project's manifest (`catalogue`).
"""

from __future__ import annotations

import io
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any

from mlops_assets.world.home import Home, working_in

ANY_HOME = Home(Path("/any-home-of-mlops"))
"""Stands for the home while dbt parses: what dbt knows of the files then holds for every home."""
_PLAIN = re.compile(r"[\w ./-]+")
"""A path that a project writes into its SQL as it is. Another one may be escaped, so it is parsed for itself."""
_NAMES_THE_HOME = ("sources", "nodes", "disabled", "exposures", "unit_tests", "flat_graph")


class DbtFailed(RuntimeError):
    """dbt has not done what it was asked to; the message is dbt's, with the remedy.

    Attributes:
        reasons: what dbt said, an error a line.
    """

    def __init__(self, command: str, reasons: list[str]) -> None:
        self.reasons = reasons
        said = "\n".join(reasons)
        super().__init__(
            f"dbt {command} has failed:\n{said[-4000:]}\nCorrect the model that dbt names. Lake, models and "
            "the champion are as they were."
        )


@dataclass(frozen=True)
class Dbt:
    """A dbt project on a home, run in this process: importing dbt costs seconds, a second run does not.

    Attributes:
        project: the folder of dbt_project.yml.
        home: where dbt works.
        target: where it writes its manifest, its log, and what it knows of the project's files; `dbt` in the home by
            default.
        profiles: the folder of profiles.yml; the project by default.
    """

    project: Path
    home: Home
    target: Path | None = None
    profiles: Path | None = None

    @property
    def folder(self) -> Path:
        """Where dbt writes its manifest."""
        return self.target or self.home.root / "dbt"

    def parsed(self) -> Any:
        """The project as dbt understands it now. Only files that changed since any home parsed them are parsed.

        Raises:
            DbtFailed: dbt cannot parse the project.
        """
        if not _PLAIN.fullmatch(str(self.home.root)):
            return self._invoke("parse", "--no-write-json")
        known = known_files(self.project)
        known.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".parse-", dir=known.parent) as scratch:
            anywhere = replace(self, home=ANY_HOME, target=Path(scratch))
            last_time = ("--partial-parse-file-path", str(known)) if known.exists() else ()
            manifest = anywhere._invoke("parse", "--no-write-json", *last_time, log=self.folder)
            # dbt writes it where something has changed; several processes may, and each leaves it whole. After another
            # profile it would parse every file anew, so what was parsed with one is not kept.
            if self.profiles is None and (learned := anywhere.folder / known.name).exists():
                learned.replace(known)
        for part in _NAMES_THE_HOME:
            _in_home(getattr(manifest, part), str(self.home.root))
        return manifest

    def parsed_to_manifest(self) -> dict[str, Any]:
        """The project as dbt understands it now, written as manifest.json, which `--state` reads.

        Raises:
            DbtFailed: dbt cannot parse the project.
        """
        self.parsed().write(str(self.folder / "manifest.json"))
        return self.manifest()

    def run(
        self,
        *arguments: str,
        variables: Mapping[str, str] | None = None,
        hear: Callable[[dict[str, Any]], None] | None = None,
        on: Any = None,
    ) -> list[Any]:
        """Run a dbt command that works on nodes; results by node, in dbt's order.

        Args:
            arguments: a command and its options.
            variables: dbt's vars, for what is read while a model is compiled. The project is parsed without them: dbt
                parses every file anew when they change.
            hear: called with each of dbt's events, in the shape of its JSON log.
            on: what `parsed` gave, here or in another home; used up by the run. Parsed here by default.

        Raises:
            DbtFailed: a node failed, or dbt could not begin.
        """
        arguments = (*arguments, "--vars", json.dumps(dict(variables or {})))
        return list(self._invoke(*arguments, on=self.parsed() if on is None else on, hear=hear))

    def manifest(self) -> dict[str, Any]:
        """The manifest of the last run, as JSON says it."""
        return json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))

    def _invoke(
        self,
        *arguments: str,
        on: Any = None,
        hear: Callable[[dict[str, Any]], None] | None = None,
        log: Path | None = None,
    ) -> Any:
        """What a command of dbt gives, on a manifest that was parsed before, if there is one."""
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.cli.main import dbtRunner
        from dbt_common.events.functions import msg_to_dict

        errors: list[str] = []

        def listen(event: Any) -> None:
            if event.info.level == "error":
                errors.append(str(event.info.msg).strip())
            if hear:
                hear(msg_to_dict(event))

        where = ["--project-dir", str(self.project), "--profiles-dir", str(self.profiles or self.project)]
        where += ["--target-path", str(self.folder), "--log-path", str(log or self.folder)]
        with working_in(self.home), redirect_stdout(io.StringIO()):
            # dbt keeps its connection between runs, and it may be that of another home.
            DuckDBConnectionManager.close_all_connections()
            try:
                ran = dbtRunner(manifest=on, callbacks=[listen]).invoke(
                    ["--no-use-colors", "--quiet", *arguments, *where]
                )
            finally:
                DuckDBConnectionManager.close_all_connections()
        if ran.exception is not None and not isinstance(ran.exception, Exception):
            # dbt hands back Ctrl-C and the end of a run as well: they are no failures of it.
            raise ran.exception
        if not ran.success:
            raise DbtFailed(arguments[0], list(dict.fromkeys(errors)) or [str(ran.exception or "")])
        return ran.result


def known_files(project: Path) -> Path:
    """What dbt knows of a project's files, for all homes. It can be deleted at any time.

    Args:
        project: the folder of dbt_project.yml.
    """
    return project / "target" / "any_home" / "partial_parse.msgpack"


def _in_home(part: Any, root: str) -> Any:
    """A part of a manifest, changed in place, with a home's path wherever `ANY_HOME` stands."""
    if isinstance(part, str):
        return part.replace(str(ANY_HOME.root), root) if str(ANY_HOME.root) in part else part
    if isinstance(part, list):
        part[:] = [_in_home(value, root) for value in part]
    elif isinstance(part, dict) or is_dataclass(part):
        fields = part if isinstance(part, dict) else vars(part)
        fields.update({name: _in_home(value, root) for name, value in fields.items()})
    return part


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
