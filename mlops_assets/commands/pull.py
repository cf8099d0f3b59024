"""`mlops pull`: sources that are fetched from a database or an object store, now.

Here: the command. Not here: fetching (`steps.land.pull`), the schedules that do it by themselves (`assets.pull_job`).
"""

from __future__ import annotations

from typing import Annotated

import typer

from mlops_assets.commands.console import example, known_source, say
from mlops_assets.world.home import Home


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("mlops pull orders"))(pull)


def pull(source: Annotated[str, typer.Argument(metavar="SOURCE", help="A source with `pull` in its YAML.")]) -> None:
    """Fetch what is new or has changed of a source into its landing folder.

    Its schedule does the same while `mlops up` runs.
    """
    from mlops_assets.steps.land.pull import pull as fetch
    from mlops_assets.world.platform import Platform

    home = Home.from_environment()
    say(fetch(home, Platform.of(home).sources.settings()[known_source(source)]).sentence)
