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
    rerun = train_again(platform, platform.models()[model], version)
    if as_json:
        say_json(rerun.to_dict())
    else:
        _say(rerun)
    if not rerun.agrees:
        raise typer.Exit(1)


def _say(rerun: Reproduction) -> None:
    what = f"{rerun.model} version {rerun.version}"
    rows = f"{rerun.rows:,} rows of the {rerun.ships} set {rerun.trained_on[:12]}" if rerun.rows else "nothing"
    if rerun.agrees:
        say(f"[bold]{what} agrees[/bold]: trained again on {rows}, it is the same file, byte for byte.")
        say(f"sha256 {rerun.registered}")
    elif rerun.agrees is None:
        say(f"[bold]{what} cannot be trained again.[/bold]")
    else:
        say(f"[bold]{what} differs[/bold]: trained again on {rows}, it is another file.")
        say(f"sha256 registered {rerun.registered}\n       now        {rerun.refitted}")
    if rerun.differences:
        title = "Different now, without consequence" if rerun.agrees else "What differs"
        say_table(title, ["what"], [(difference,) for difference in rerun.differences])
    if rerun.remedy:
        say(escape(rerun.remedy))
