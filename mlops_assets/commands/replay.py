"""`mlops replay` and `mlops demo`: history through the same assets and sensors, and the report.

Here: the commands. Not here: the replay itself and its report (`replay/`).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from mlops_assets.commands.console import ModelName, example, known_model


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        epilog=example(
            "mlops replay flight_delay --start 2013-04-01 --end 2014-01-01 --every month --report reports",
        )
    )(replay)
    app.command(epilog=example("mlops demo", "mlops demo --trials 5"))(demo)


def replay(
    model: ModelName,
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], metavar="DAY", help="First day replayed.")],
    end: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], metavar="DAY", help="The day after the last.")
    ],
    report: Annotated[
        Path, typer.Option(metavar="DIR", file_okay=False, help="Where replay.json and .html go.")
    ],
    every: Annotated[Literal["day", "week", "month"], typer.Option(help="Length of a period.")] = "month",
    faithful: Annotated[
        bool, typer.Option("--faithful", help="dbt goes period by period too; slower, the same rows.")
    ] = False,
    resume: Annotated[
        str | None, typer.Option(metavar="ID", help="Go on with a replay that was stopped.")
    ] = None,
) -> None:
    """Run history through the same assets and sensors, and measure three lives side by side.

    The first champion never retrained, the platform's own, and retraining at every period without a gate. It
    runs in a home of its own under replays/; the landing folder is only read. `mlops up --home` shows it.
    """
    known_model(model)
    from mlops_assets.replay.driver import replay as run

    run(
        model,
        start=start.date(),
        end=end.date(),
        every=every,
        report=report,
        faithful=faithful,
        resume=resume,
    )


def demo(
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="Trials of each search.", show_default="fewer than in production"),
    ] = None,
) -> None:
    """Land a year of flights, train on January to March, replay April to December, and show where it led."""
    from mlops_assets.replay.demo import demo as run

    run(trials=trials)
