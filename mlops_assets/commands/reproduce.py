"""`mlops reproduce`: train a registered version again and compare the bytes.

Here: the command. Not here: the training (`steps.promote.reproduction`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from mlops_assets.commands.console import AsJson, ModelName, example, known_model, say, say_json, say_table
from mlops_assets.world.home import Home

if TYPE_CHECKING:
    from mlops_assets.steps.promote.reproduction import Reproduction


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("mlops reproduce flight_delay 2"))(reproduce)


def reproduce(
    model: ModelName,
    version: Annotated[int, typer.Argument(metavar="VERSION", min=1, help="A registered version, as in MLflow.")],
    as_json: AsJson = False,
) -> None:
    """Train a version again from its stored rows, recipe and seed, and compare the bytes with the registered ones.

    Nothing is registered and nothing changes. Exit code 1 if the bytes differ, or it cannot be trained again.
    """
    known_model(model)
    from mlops_assets.steps.promote.reproduction import reproduce as train_again
    from mlops_assets.world.platform import Platform

    platform = Platform.of(Home.from_environment())
    found = train_again(platform, platform.models()[model], version)
    if as_json:
        say_json(found.to_dict())
    else:
        _say(found)
    if not found.agrees:
        raise typer.Exit(1)


def _say(found: Reproduction) -> None:
    what = f"{found.model} version {found.version}"
    rows = f"{found.rows:,} rows of the {found.ships} set {found.trained_on[:12]}" if found.rows else "nothing"
    if found.agrees:
        say(f"[bold]{what} agrees[/bold]: trained again on {rows}, it is the same file, byte for byte.")
        say(f"sha256 {found.registered}")
    elif found.agrees is None:
        say(f"[bold]{what} cannot be trained again.[/bold]")
    else:
        say(f"[bold]{what} differs[/bold]: trained again on {rows}, it is another file.")
        say(f"sha256 registered {found.registered}\n       now        {found.found}")
    if found.differences:
        title = "Different now, without consequence" if found.agrees else "What differs"
        say_table(title, ["what"], [(told,) for told in found.differences])
    if found.remedy:
        say(escape(found.remedy))
