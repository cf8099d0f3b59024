"""`mlops pull`: sources that are fetched from a database or an object store, now.

Here: the command. Not here: fetching (`resources.pull`), the schedules that do it by themselves (`components.pulling`).
"""

from __future__ import annotations

from typing import Annotated

import typer

from mlops_assets.commands.console import example, known_source, say
from mlops_assets.resources.home import Home


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("mlops pull orders"))(pull)


def pull(source: Annotated[str, typer.Argument(metavar="SOURCE", help="A source with `pull` in its YAML.")]) -> None:
    """Fetch what is new or has changed of a source into its landing folder.

    Its schedule does the same while `mlops up` runs.
    """
    from mlops_assets.resources.platform import Platform
    from mlops_assets.resources.pull import pull as fetch

    home = Home.from_environment()
    say(fetch(home, Platform.of(home).sources.settings()[known_source(source)]).sentence)
