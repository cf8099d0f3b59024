"""`mlops golden`: a golden set from the champion's predictions, for a person to review.

Here: the command. Not here: the rows and the file (`steps.promote.golden`), the gate's rule (`core.promote.golden`).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from mlops_assets.commands.console import ModelName, example, known_model, say, to_be_written
from mlops_assets.world.home import Home


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("mlops golden flight_delay --expires 2026-12-31"))(golden)


def golden(
    model: ModelName,
    expires: Annotated[
        datetime,
        typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="Last day they are held.", show_default=False),
    ],
    rows: Annotated[int, typer.Option(min=1, metavar="N", help="How many rows.")] = 20,
    tolerance: Annotated[
        float | None,
        typer.Option(min=0.0, metavar="X", help="How far a score may be off.", show_default="0.1 of a probability"),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            callback=to_be_written,
            metavar="FILE",
            help="The CSV to write.",
            show_default="<home>/golden/MODEL.csv",
            dir_okay=False,
        ),
    ] = None,
) -> None:
    """Write rows with what the champion says of them, for you to review: a golden set.

    Correct the expectations, keep the rows that matter, and name the file under gate.golden_set in the model's YAML.
    From then on every model that is to ship must predict these rows as agreed, until they expire.
    """
    known_model(model)
    from mlops_assets.steps.promote.golden import write_golden
    from mlops_assets.world.platform import Platform

    platform = Platform.of(Home.from_environment())
    file, count = write_golden(
        platform, platform.models()[model], rows=rows, expires=expires.date(), tolerance=tolerance, to=to
    )
    say(f"{count} rows, from the lowest score to the highest: {file}")
    say(f"Review them, put the file beside the YAML of {model} (or leave it there), and set")
    say(f"  gate: {{golden_set: {file.name}}}")
