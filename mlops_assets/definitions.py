"""The only assembly: what a project declares, what every project has, and the resources of one home."""

import logging
import os
import sys
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

import dagster as dg
from dagster.components.core import decl

from mlops_assets.assets.platform import definitions as of_every_project
from mlops_assets.assets.platform import of_one_run
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.clock import Clock
from mlops_assets.world.declared_files import files_without, looked_at_once
from mlops_assets.world.home import Home, collect_seldom, working_in
from mlops_assets.world.landed.fleet_values import BroughtValues, brought_values
from mlops_assets.world.landed.sources import DEFS
from mlops_assets.world.mlflow.own_assets import own_mlflow
from mlops_assets.world.mlflow.tracking import Tracking
from mlops_assets.world.platform import DBT_PROJECT, Platform
from mlops_assets.world.project import PROJECT
from mlops_assets.world.runs.own_run import own_run
from mlops_assets.world.settings_files import broken_files


def build_resources(home: Home) -> dict[str, object]:
    """The resources of a home; tests and replays pass their own home."""
    from mlops_assets.world.dbt_runs import Dbt

    platform = Platform.of(home)
    mlflow_ui = os.environ.get("MLFLOW_UI_URL", "http://127.0.0.1:5000")
    return {
        "platform": platform,
        "lake": platform.lake,
        "sources": platform.sources,
        "clock": Clock(lake=platform.lake),
        "alerts": Alerts(root=str(home.root)),
        "tracking": Tracking(
            home=str(home.root),
            ui_url=mlflow_ui,
        ),
        "mlflow": own_mlflow(home.root, mlflow_ui),
        "dbt": Dbt(DBT_PROJECT, home),
    }


@lru_cache(maxsize=2)
def _declared(brought: tuple[BroughtValues, ...]) -> dg.Definitions:
    """What stands under the project's `defs/`, with the members that data have brought, and what every project has.

    A file that is broken is left out and said: one person's mistake stops nobody else's models (ADR 0033). The process
    of a run that trains one model loads that model.
    """
    del brought  # Whoever declares the members reads them again: of the same home, of which this is the state.
    PROJECT.require()
    collect_seldom()
    if str(PROJECT.root) not in sys.path:
        sys.path.append(str(PROJECT.root))
    if (run := own_run()) is not None and (others := files_without(DEFS, run.models)):
        return dg.Definitions.merge(_loaded({file.parent for file in others}), of_one_run(run))
    broken = broken_files(DEFS)
    for file in broken:
        logging.getLogger("mlops_assets").error("Left out: %s", file.sentence)
    return dg.Definitions.merge(_loaded({folder for file in broken for folder in file.left_out}), of_every_project())


def _loaded(but: AbstractSet[Path]) -> dg.Definitions:
    """What stands under `defs/`, but for these folders. A sound project is loaded by Dagster as it comes."""
    with looked_at_once(), _left_out(but) if but else nullcontext():
        return dg.load_from_defs_folder(path_within_project=PROJECT.root)


@contextmanager
def _left_out(folders: AbstractSet[Path]) -> Iterator[None]:
    """Keep Dagster from looking into these folders.

    Dagster 1.13.27 has no way to be told so. `load_from_defs_folder` takes none; a `ComponentTree` declares all folders
    at once, through this function of its module, before anything can be taken out, and fails at the first broken file;
    its list of what it leaves out (`EXPLICITLY_IGNORED_GLOB_PATTERNS`) goes by the name of a folder, wherever that
    stands: a sound `us/churn` would go with a broken `eu/churn`.
    """
    look = decl.build_filesystem_component_decl_from_context

    def look_elsewhere(context: Any) -> Any:
        return None if context.path in folders else look(context)

    decl.build_filesystem_component_decl_from_context = look_elsewhere
    try:
        yield
    finally:
        decl.build_filesystem_component_decl_from_context = look


def build_definitions(home: Home) -> dg.Definitions:
    """Everything that exists, over one home."""
    with working_in(home):
        return over(_declared(brought_values(home)), home)


def over(declared: dg.Definitions, home: Home) -> dg.Definitions:
    """What is declared, over one home. A resource `mlflow` that a project has of its own stays."""
    ours = build_resources(home)
    if "mlflow" in (declared.resources or {}):
        del ours["mlflow"]
    return dg.Definitions.merge(declared, dg.Definitions(resources=ours))


def by_clock(definitions: dg.Definitions, home: Home) -> dg.Definitions:
    """The same, without policies of freshness where time is that of the data.

    Dagster holds them against the machine's clock: of data that is over they would all fail.
    """
    if home.settings.clock == "wall":
        return definitions
    return definitions.map_resolved_asset_specs(func=lambda spec: spec.replace_attributes(freshness_policy=None))


@dg.definitions
def defs() -> dg.Definitions:
    """Everything that exists, over the home that `$MLOPS_HOME` names."""
    home = Home.from_environment()
    return by_clock(build_definitions(home), home)
