"""The only assembly: what a project declares, what every project has, and the resources of one home."""

import glob
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import dagster as dg
from dagster.components.core.defs_module import EXPLICITLY_IGNORED_GLOB_PATTERNS

from mlops_assets.assets.platform import definitions as of_every_project
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.clock import Clock
from mlops_assets.world.home import Home
from mlops_assets.world.landed.sources import DEFS
from mlops_assets.world.mlflow.tracking import Tracking
from mlops_assets.world.platform import DBT_PROJECT, Platform
from mlops_assets.world.project import PROJECT
from mlops_assets.world.settings_files import broken_files


def build_resources(home: Home) -> dict[str, object]:
    """The resources of a home; tests and replays pass their own home."""
    from mlops_assets.assets.installed_dbt import InstalledDbt

    platform = Platform.of(home)
    return {
        "platform": platform,
        "lake": platform.lake,
        "sources": platform.sources,
        "clock": Clock(lake=platform.lake),
        "alerts": Alerts(root=str(home.root)),
        "tracking": Tracking(
            home=str(home.root),
            ui_url=os.environ.get("MLFLOW_UI_URL", "http://127.0.0.1:5000"),
        ),
        "dbt": InstalledDbt.of(DBT_PROJECT),
    }


@cache
def _declared() -> dg.Definitions:
    """What stands under the project's `defs/`, and what every project has; it knows no home.

    A file that is broken is left out and said: one person's mistake stops nobody else's models (ADR 0033).
    """
    PROJECT.require()
    broken = broken_files(DEFS)
    for file in broken:
        logging.getLogger("mlops_assets").error("Left out: %s", file.told)
    if str(PROJECT.root) not in sys.path:
        sys.path.append(str(PROJECT.root))
    with _ignored([glob.escape(file.path.parent.name) for file in broken]):
        declared = dg.load_from_defs_folder(path_within_project=PROJECT.root)
    return dg.Definitions.merge(declared, of_every_project())


@contextmanager
def _ignored(names: Sequence[str]) -> Iterator[None]:
    """Dagster's list of what it leaves out of a folder, with these names too."""
    EXPLICITLY_IGNORED_GLOB_PATTERNS.extend(names)
    try:
        yield
    finally:
        del EXPLICITLY_IGNORED_GLOB_PATTERNS[len(EXPLICITLY_IGNORED_GLOB_PATTERNS) - len(names) :]


def build_definitions(home: Home) -> dg.Definitions:
    """Everything that exists, over one home."""
    return dg.Definitions.merge(_declared(), dg.Definitions(resources=build_resources(home)))


@dg.definitions
def defs() -> dg.Definitions:
    """Everything that exists, over the home that `$MLOPS_HOME` names."""
    return build_definitions(Home.from_environment())
