"""`mlops freeze`, `unfreeze`, `snooze` and `wake`: holding a model for a time, with an owner and an end.

Here: the commands, for one model. Not here: choosing several (`choosing`), what a freeze or a snooze holds back
(`core.decide.rules`), a pause (`control`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import typer

from mlops_assets.commands.choosing import for_chosen
from mlops_assets.commands.console import (
    By,
    Reason,
    example,
    given,
    minute,
    model_clock,
    person,
    say,
)
from mlops_assets.commands.on_record import parse_moment
from mlops_assets.core.record.entries import Freeze, Snooze
from mlops_assets.world.home import Home
from mlops_assets.world.record.record import ENDED_BY, Record

Until = Annotated[
    str,
    typer.Option(
        metavar="TIME",
        show_default=False,
        help="When it ends by the model's clock: ISO date (its first moment) or date-time; without a zone it is UTC.",
    ),
]
For = Annotated[
    str, typer.Option("--for", metavar="DURATION", show_default=False, help="How long by the model's clock: 12h, 7d.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        epilog=example(
            "mlops freeze flight_delay --until 2026-12-31 --by ana --reason 'year-end: no change'",
            "mlops freeze --all --until 2026-12-31 --reason 'year-end: no change'",
        ),
    )(for_chosen(freeze))
    app.command(
        epilog=example(
            "mlops unfreeze flight_delay --reason 'the books are closed'",
            "mlops unfreeze --all --reason 'the books are closed' --yes",
        )
    )(for_chosen(unfreeze))
    app.command(
        epilog=example(
            "mlops snooze flight_delay --for 7d --by ana --reason 'a storm; it will pass'",
            "mlops snooze --group europe --for 7d --reason 'a storm; it will pass'",
        )
    )(for_chosen(snooze))
    app.command(
        epilog=example(
            "mlops wake flight_delay --reason 'the storm is over'", "mlops wake --group europe --reason 'it is over'"
        )
    )(for_chosen(wake))


def freeze(model: str, until: Until, reason: Reason, by: By = None) -> None:
    """Let nothing change a model's champion until then: no training, no way back, no request.

    Predictions, monitors and the record of evidence go on. A request (mlops retrain) needs --force.
    """
    end = parse_moment(until)
    _hold(Freeze, model, end, reason, by)
    say(f"{model} is frozen until {minute(end)} UTC, or until `mlops unfreeze {model} --reason '...'`.")


def unfreeze(model: str, reason: Reason, by: By = None) -> None:
    """End a freeze before its time; the reason stands on record."""
    _end(Freeze, model, reason, by)
    say(f"{model} is no longer frozen: it is retrained and goes back by itself again.")


def snooze(model: str, duration: For, reason: Reason, by: By = None) -> None:
    """Let trainings wait for a while; evidence is still recorded, and the platform still goes back by itself.

    A request (mlops retrain) goes through.
    """
    end = model_clock(Home.from_environment(), model) + _length(duration)
    _hold(Snooze, model, end, reason, by)
    say(f"Trainings of {model} wait until {minute(end)} UTC, or until `mlops wake {model} --reason '...'`.")


def wake(model: str, reason: Reason, by: By = None) -> None:
    """End a snooze before its time; the reason stands on record."""
    _end(Snooze, model, reason, by)
    say(f"{model} is retrained by itself again when the evidence says so.")


def _hold(kind: type[Freeze] | type[Snooze], model: str, until: datetime, reason: str, by: str | None) -> None:
    home = Home.from_environment()
    given_reason, now = given(reason), model_clock(home, model)
    if until <= now:
        raise ValueError(
            f"{minute(until)} UTC is over: the clock of {model} stands at {minute(now)} UTC. Give a later end. "
            "Nothing was written."
        )
    Record(home.ledger).note(model, kind, reason=given_reason, by=by or person(), until=until)


def _end(kind: type[Freeze] | type[Snooze], model: str, reason: str, by: str | None) -> None:
    record = Record(Home.from_environment().ledger)
    if record.standing(model, kind) is None:
        what = "frozen" if kind is Freeze else "snoozed"
        raise ValueError(f"{model} is not {what}; nothing was written.")
    record.note(model, ENDED_BY[kind], reason=given(reason), by=by or person())


def _length(text: str) -> timedelta:
    """A duration as in YAML, above zero.

    Raises:
        ValueError: it is none.
    """
    from mlops_assets.core.time.windows import parse_duration

    length = parse_duration(text)
    if length <= timedelta(0):
        raise ValueError(f"--for is {text}: give a duration above zero, for example 7d. Nothing was written.")
    return length
