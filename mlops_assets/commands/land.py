"""`mlops land`: real data placed in the landing folder as if it had just arrived.

Here: the command. Not here: cutting the tables into files (`landing`), taking them in (the landing sensor).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from mlops_assets.commands.console import example, say
from mlops_assets.resources.home import Home, HomeSettings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("mlops land flights --through 2013-03-31"))(land)


def land(
    data: Annotated[str, typer.Argument(metavar="DATA", help="What to land: flights.")],
    through: Annotated[
        datetime,
        typer.Option(formats=["%Y-%m-%d"], metavar="DAY", help="Last day to land.", show_default=False),
    ],
    start: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], metavar="DAY", help="First day.", show_default="the data's first"),
    ] = None,
) -> None:
    """Place real files in the landing folder: New York's flights of 2013, and the tables around them.

    Landing the same days twice changes nothing. The landing sensor carries new files from there.
    """
    if data != "flights":
        raise ValueError(f"There is no data set {data!r} to land. Known: flights.")
    from mlops_assets.landing import nycflights13

    home = Home.from_environment()
    if not home.settings_file.exists():
        home.configure(HomeSettings(clock="data"))
        say(f"The flights are of 2013, so this home's clock is set to that of its data ({home.settings_file}).")
    landing = home.landing
    summary = nycflights13.land(landing, through.date(), start.date() if start else None)
    new = dict.fromkeys(summary.rows, 0)
    for path in summary.written:
        new[path.parent.name] += 1
    for source, rows in summary.rows.items():
        say(f"{source}: {rows:,} rows, {new[source]} new or changed files in {landing / source}")
    if summary.unchanged:
        say(f"{summary.unchanged} files were there already and were not touched.")
