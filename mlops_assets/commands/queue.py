"""`mlops queue`: which trainings wait for their turn, and when each starts.

Here: the command. Not here: the queue (`steps.decide.fleet`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer
from rich.markup import escape

from mlops_assets.commands.console import AsJson, example, minute, say, say_json, say_table
from mlops_assets.core.record.plain_values import counted
from mlops_assets.world.home import Home

_MOST = 20
"""Models whose gain is not certain enough, as many are named."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("mlops queue", "mlops queue --json"))(queue)


def queue(as_json: AsJson = False) -> None:
    """Show the trainings that wait for their turn: what each is expected to gain and to cost, and when it starts.

    They wait where the project has a budget for all of them: the table tool.mlops.trainings of its pyproject.toml.
    """
    from mlops_assets.steps.decide.fleet.overview import queue_overview
    from mlops_assets.world.platform import Platform

    overview = queue_overview(Platform.of(Home.from_environment()))
    if as_json:
        say_json(overview)
        return
    if overview["waiting"]:
        columns = ["model", "place", "decision", "since", "expected gain", "cost", "starts"]
        say_table("Trainings that wait", columns, map(_row, overview["waiting"]))
    else:
        say("No training waits.")
    say(escape(_spent(overview)))
    for held in overview["not_certain"][:_MOST]:
        say(escape(f"{held['model']} is not trained. {held['why']}"))
    if (more := len(overview["not_certain"]) - _MOST) > 0:
        say(f"And {counted(more, 'more model')} whose gain is not certain enough; --json names them.")


def _row(waiting: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        waiting["model"],
        waiting["place"],
        f"{waiting['rule']} ({waiting['decision'][:8]})",
        f"{minute(waiting['since'])} UTC",
        _gain(waiting),
        f"{waiting['cpu_hours']:.2g} CPU hours",
        waiting["why"],
    )


def _gain(waiting: Mapping[str, Any]) -> str:
    if waiting["money_per_day"] is not None:
        return f"{waiting['money_per_day']:,.2f} a day"
    if waiting["gain"] is None:
        return "not measured"
    return f"{waiting['gain']:.1%} of the loss of {waiting['rows_per_day']:,.0f} rows a day"


def _spent(overview: Mapping[str, Any]) -> str:
    """What has started today, of what may."""
    agreed = overview["agreed"]
    if agreed is None:
        return (
            "All trainings start at once: the project has no budget for them. "
            "Set one under [tool.mlops.trainings] in its pyproject.toml."
        )
    started, hours = overview["started_today"], overview["cpu_hours_today"]
    of_runs = "" if agreed["runs_a_day"] is None else f" of {agreed['runs_a_day']:,}"
    of_hours = "" if agreed["cpu_hours_a_day"] is None else f" of {agreed['cpu_hours_a_day']:g}"
    return f"Started on {overview['today']} (UTC): {started:,}{of_runs} trainings, {hours:.2g}{of_hours} CPU hours."
