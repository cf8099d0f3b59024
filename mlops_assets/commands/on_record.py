"""`mlops record` and `mlops champion-at`: what stands on record, is it whole, and who was champion when.

Here: the commands. Not here: one entry in words (`commands.decisions`), the hashes (`world.record.chain`), reading the
record (`world.record.record`).
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape

from mlops_assets.commands.console import (
    AsJson,
    ModelName,
    example,
    known_model,
    minute,
    say,
    say_entry,
    say_json,
)
from mlops_assets.commands.decisions import entry_in_words
from mlops_assets.core.record.entries import Decision
from mlops_assets.world.home import Home
from mlops_assets.world.record.record import Record, Reign

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="The record of every decision, request, pause, promotion and rejection.",
)


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.add_typer(app, name="record")
    parent.command(
        "champion-at",
        epilog=example(
            "mlops champion-at flight_delay 2013-06-01", "mlops champion-at flight_delay 2013-06-01T12:00+02:00"
        ),
    )(champion_at)


@app.command(epilog=example("mlops record show flight_delay --limit 5"))
def show(
    model: ModelName,
    limit: Annotated[int, typer.Option(min=1, help="How many of the newest entries.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show what was decided about a model and why, the newest last; also what people said and what came of it.

    With --json each entry has its evidence, policy and counterfactuals.
    """
    home = Home.from_environment()
    entries = Record(home.ledger).entries(known_model(model))[-limit:]
    if as_json:
        say_json([entry.to_dict() for entry in entries])
    elif not entries:
        say(f"Nothing has been decided about {model} in this home yet.")
    else:
        clocks = " by the data's clock, what people said by the wall's" if home.settings.clock == "data" else ""
        say(f"{model}: the newest {len(entries)}, times in UTC{clocks}. mlops explain ID says more of a decision.")
        for entry in entries:
            what, reason = entry_in_words(entry)
            short_id = f", {entry.id[:8]}" if isinstance(entry, Decision) else ""
            say_entry(f"\n{minute(entry.at)}  [bold]{escape(what)}[/bold]{short_id}", reason)


@app.command(epilog=example("mlops record verify", "mlops record verify flight_delay --json"))
def verify(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="One model's record.", show_default="all records")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that no entry was edited, removed or moved: each holds the hash of the one before.

    Exit code 1 if one does not fit. A missing file of one model is found too, by the head that stands beside it.
    """
    record = Record(Home.from_environment().ledger)
    names = record.models() if model is None else [model if model in record.models() else known_model(model)]
    checks = [record.verify(name) for name in names]
    if as_json:
        say_json([checked.to_dict() for checked in checks])
    elif not checks:
        say("Nothing is on record in this home yet.")
    else:
        for checked in checks:
            end = f", head {checked.head[:16]}" if checked.whole and checked.head else ""
            say(escape(f"{checked.model}: {checked.sentence}{end}"))
    if not all(checked.whole for checked in checks):
        raise typer.Exit(1)


def champion_at(
    model: ModelName,
    time: Annotated[str, typer.Argument(metavar="TIME", help="ISO date or date-time; without a zone it is UTC.")],
    as_json: AsJson = False,
) -> None:
    """Say which version was champion at a moment of the model's clock, since when, why, and until when."""
    moment = parse_moment(time)
    record = Record(Home.from_environment().ledger)
    reign = record.champion_at(known_model(model), moment)
    if as_json:
        say_json({"model": model, "at": moment, "champion": asdict(reign) if reign else None})
    elif reign is None:
        say(_none(model, moment, record.reigns(model)))
    else:
        _say(model, moment, reign)


def parse_moment(text: str) -> datetime:
    """An ISO date or date-time as a moment; a date is its first moment, without a zone it is UTC.

    Raises:
        ValueError: it is neither.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ValueError(
            f"{text!r} is not a date or time. Write an ISO date or date-time such as 2013-06-01 or "
            "2013-06-01T12:00+02:00; without a zone it is UTC."
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _none(model: str, moment: datetime, reigns: list[Reign]) -> str:
    if not reigns:
        return f"{model} had no champion at {minute(moment)} UTC: none has been promoted in this home yet."
    first = reigns[0]
    return (
        f"{model} had no champion at {minute(moment)} UTC: the first, version {first.version}, was promoted at "
        f"{minute(first.since)} UTC."
    )


def _say(model: str, moment: datetime, reign: Reign) -> None:
    until = (
        f"until {minute(reign.until)} UTC, followed by version {reign.followed_by}" if reign.until else "and still is"
    )
    say(f"[bold]Version {reign.version}[/bold] was champion of {model} at {minute(moment)} UTC:")
    say(f"since  {minute(reign.since)} UTC, by a {reign.kind}, {until}")
    by = f"decision {reign.decision} (mlops explain {reign.decision})" if reign.decision else "no decision"
    say(f"by     {by}")
    say(f"reason {escape(reign.reason)}")
