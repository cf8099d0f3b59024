"""`mlops backup` and `mlops migrate`: a copy of a home, and a home in the formats of newer tools.

Here: the commands. Not here: how (`steps.keep.upkeep`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlops_assets.commands import running
from mlops_assets.commands.console import example, say
from mlops_assets.world.home import Home


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=example("mlops backup /srv/copies/monday"))(backup)
    app.command(epilog=example("mlops migrate"))(migrate)


def backup(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder, outside the home.")],
) -> None:
    """Copy the home, whole or not at all, also while it is at work.

    To go back, stop `mlops up` and put the copy in the home's place, or work in the copy: mlops --home DIR. Replays and
    what is rebuilt at need are left out.
    """
    from mlops_assets.steps.keep.upkeep import backup as copy

    home = Home.from_environment()
    count = copy(home, folder.expanduser())
    say(f"{count:,} files of {home.root} are in {folder}. To go back, put it in the place of the home.")


def migrate() -> None:
    """Bring the home's databases to the installed Dagster and MLflow, after an update of the platform.

    They are copied first, into the home's backups/. A second call changes nothing.
    """
    home = Home.from_environment()
    if up := running.of(home):
        raise ValueError(f"mlops up runs in {home.root}: stop it first (kill {up.pid}). Nothing was changed.")
    from mlops_assets.steps.keep.upkeep import migrate as bring

    for sentence in bring(home):
        say(sentence)
