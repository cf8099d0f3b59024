"""`mlops evidently`: Evidently's page of a window, drawn when someone asks for it.

Here: the command. Not here: the page (`steps.watch.evidently_page`), the one that every window gets (`pages.drift`).
"""

from __future__ import annotations

from typing import Annotated

import typer

from mlops_assets.commands.console import ModelName, example, known_model, say
from mlops_assets.commands.on_record import parse_moment
from mlops_assets.world.home import Home


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("mlops evidently flight_delay", "mlops evidently flight_delay 2013-06-01"))(evidently)


def evidently(
    model: ModelName,
    day: Annotated[
        str | None,
        typer.Argument(metavar="[DAY]", help="A day of the window that is drawn.", show_default="the newest window"),
    ] = None,
) -> None:
    """Draw Evidently's drift page of a window, from a sample of its rows. The first one takes some 20 seconds.

    The page that each window gets by itself is drawn from all rows, and holds the numbers that decide.
    """
    home = Home.from_environment()
    known_model(model)
    moment = parse_moment(day) if day else None
    from mlops_assets.steps.watch.evidently_page import draw_evidently
    from mlops_assets.world.platform import Platform

    platform = Platform.of(home)
    say(f"Page: {draw_evidently(platform, platform.models()[model], moment)}")
