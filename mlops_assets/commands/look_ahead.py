"""`mlops look-ahead`: whether features use what was not known yet.

Here: the command and its tables. Not here: the guard (`steps.features.look_ahead`), what is compared
(`core.features.look_ahead`).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from mlops_assets.commands.console import AsJson, example, minute, say, say_json, say_table
from mlops_assets.world.home import Home

if TYPE_CHECKING:
    from mlops_assets.core.features.look_ahead import LookAhead


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "look-ahead", epilog=example("mlops look-ahead", "mlops look-ahead feat_carrier_history --days 60 --moments 20")
    )(look_ahead)


def look_ahead(
    views: Annotated[
        list[str] | None, typer.Argument(metavar="[VIEW]...", help="Feature views; all of them by default.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="The newest days of a view that are computed again.")] = 14,
    moments: Annotated[int, typer.Option(min=1, help="As of how many moments of these days.")] = 6,
    as_json: AsJson = False,
) -> None:
    """Compute feature views as of moments of the past, from what was known then, and compare with today's values.

    Rows and column values that became known later (known_at in the sources' YAML) are hidden. A feature that differs
    looks ahead: it is named, with rows and what it reads, and the command ends with exit code 1. Nothing is written.
    """
    from mlops_assets.steps.features.look_ahead import guard
    from mlops_assets.world.platform import DBT_PROJECT, Platform

    home = Home.from_environment()
    checks, platform = [], Platform.of(home)
    sources, catalogue = platform.sources.settings(), platform.catalogue
    for result in guard(home, DBT_PROJECT, catalogue, sources, views=views or [], days=days, moments=moments):
        checks.append(result)
        if not as_json:
            _say(result)
    if as_json:
        say_json([{**asdict(result), "passed": result.passed, "sentence": result.sentence} for result in checks])
    if any(result.peeks for result in checks):
        raise typer.Exit(1)


def _say(result: LookAhead) -> None:
    say(escape(result.sentence))
    for peek in result.peeks:
        rows = [
            [f"{value:%Y-%m-%d %H:%M:%S}" if name == "as_of" else _cell(value) for name, value in row.items()]
            for row in peek.sample
        ]
        say_table(f"{result.view}.{peek.feature}", list(peek.sample[0]), rows)


def _cell(value: object) -> str:
    return minute(value) if hasattr(value, "isoformat") else "" if value is None else str(value)  # type: ignore[arg-type]
