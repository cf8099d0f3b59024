"""The run that this process was started for, and the models that it is about.

Here: finding it out while definitions load. Not here: loading less because of it (`definitions`).

Dagster 1.13 starts a process for each run, which loads the whole code location to execute a few of its assets. It tells
a process its run in one of three ways: the code server gives it as an argument of the process, a launcher on the
command line, one on other machines in the environment.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache

from mlops_assets.world.atomic import json_value

_KINDS = ("ExecuteExternalPipelineArgs", "ExecuteRunArgs")
"""The classes of such arguments, as they are written."""
_SHARED = ("raw", "feast")
"""How the keys of assets begin that belong to no model."""


@dataclass(frozen=True)
class OwnRun:
    """What a run executes.

    Attributes:
        job: its name.
        assets: those that it was cut down to, as paths; none where it executes the whole job.
    """

    job: str
    assets: frozenset[tuple[str, ...]]

    @property
    def models(self) -> frozenset[str]:
        """The models whose assets are all that it executes; none where it executes others as well."""
        if any(len(path) != 2 or path[0] in _SHARED for path in self.assets):
            return frozenset()
        return frozenset(path[0] for path in self.assets)


def executes(group: str, assets: Collection[str]) -> bool:
    """Whether this process may be asked for one of these assets.

    Args:
        group: the model that they belong to; `raw` for sources.
        assets: their names in it.
    """
    run = own_run()
    return run is None or not run.models or any((group, asset) in run.assets for asset in assets)


@cache
def own_run() -> OwnRun | None:
    """The run of this process; None where it was started for something else."""
    serialized = next(_handed_over(), None)
    if serialized is None:
        return None
    from dagster import DagsterInstance

    values = json_value(serialized.encode())
    identity = values.get("run_id") or values.get("pipeline_run_id")
    with DagsterInstance.get() as instance:
        run = instance.get_run_by_id(identity) if identity else None
    if run is None:
        return None
    return OwnRun(run.job_name, frozenset(tuple(key.path) for key in run.asset_selection or ()))


def _handed_over() -> Iterator[str]:
    """The arguments of the run, wherever Dagster has put them."""
    of_process = getattr(multiprocessing.current_process(), "_args", ())
    if of_process and _names_a_run(of_process[0]):
        yield of_process[0]
    if sys.argv[1:3] == ["api", "execute_run"] or sys.argv[2:4] == ["api", "execute_run"]:
        yield from filter(_names_a_run, [*sys.argv[3:], os.environ.get("DAGSTER_EXECUTE_RUN_ARGS")])


def _names_a_run(text: object) -> bool:
    return isinstance(text, str) and text.startswith("{") and any(f'"{kind}"' in text[:200] for kind in _KINDS)
