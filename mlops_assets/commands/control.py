"""`mlops retrain`, `pause` and `resume`: a person's word, put on record.

Here: the commands, for one model. Not here: choosing several (`choosing`), acting on the word (the retrain sensor).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from mlops_assets.commands import running
from mlops_assets.commands.choosing import for_chosen
from mlops_assets.commands.console import (
    AsJson,
    Reason,
    chatter_to,
    example,
    given,
    model_clock,
    person,
    say,
)
from mlops_assets.core.record.entries import JUDGED, Pause, Resume
from mlops_assets.steps.decide.retrain_events import TrainingWish, ask, event
from mlops_assets.world.home import Home
from mlops_assets.world.record.record import Record


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        epilog=example(
            "mlops retrain flight_delay --reason 'new feature feat_route_history'",
            "mlops retrain --group europe --reason 'new feature feat_route_history' --yes",
        )
    )(for_chosen(retrain))
    app.command(
        epilog=example(
            "mlops pause flight_delay --reason 'the airport feed is being moved'",
            "mlops pause --owner team:flights --reason 'the airport feed is being moved'",
        )
    )(for_chosen(pause))
    app.command(
        epilog=example(
            "mlops resume flight_delay --reason 'the feed is back'", "mlops resume --all --reason 'the feed is back'"
        )
    )(for_chosen(resume))


def retrain(
    model: str,
    reason: Reason,
    now: Annotated[bool, typer.Option("--now", help="Run it in this process; for a home where nothing runs.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Insist on it: while frozen, and above the budget of all.")
    ] = False,
    parameter: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD=VALUE", help="A field of training: for this candidate alone; may be repeated."),
    ] = None,
    key: Annotated[str, typer.Option(help="The same key is the same request, however often it is sent.")] = "",
    as_json: AsJson = False,
) -> Any:
    """Ask for a training: the gate still judges the challenger, and only a better one is promoted.

    The request goes on record and the model's retrain sensor starts the run. It ignores pause, snooze, cooldown,
    budget and quiet hours, but never trains on data in quarantine, and not on a frozen model without --force. It waits
    until enough labels have come since the champion was fitted to judge a challenger on.
    """
    home = Home.from_environment()
    parameters = _parameters(home, model, parameter or [])
    answer, is_new = ask(
        home,
        model,
        TrainingWish(person(), given(reason), force, parameters),
        now=lambda: model_clock(home, model),
        key=key,
        joins_training=False,
    )
    up = running.of(home)
    if as_json:
        if now and not up:
            _run_here(home, model)
        return (event(home, answer.id) or answer).to_plain()
    if not is_new and not (now and not up):
        say(f"A training of {model} is on its way: {answer.state}, by {answer.by} ({answer.reason}). {answer.id}")
        return None
    say(
        f"On record: a request to retrain {model}." if is_new else f"The request of {answer.by} waits: {answer.reason}."
    )
    if up:
        say(f"The retrain sensor starts it within a minute, or says what it waits for: {up.dagster}")
    elif now:
        _run_here(home, model)
    else:
        say(
            "The retrain sensor starts it as soon as a Dagster daemon runs. `mlops up` is not running in "
            f"{home.root}: start it with `mlops up`, or run the training in this process: "
            f"mlops retrain {model} --reason '...' --now"
        )
    return None


def pause(model: str, reason: Reason) -> None:
    """Keep the platform from retraining a model by itself; predictions and monitors go on."""
    record, given_reason = Record(Home.from_environment().ledger), given(reason)
    # A record that cannot be read takes a pause, too: nobody knows whether one stands there.
    if not record.damage(model) and (why := record.paused(model)):
        raise ValueError(f"{model} is paused already: {why}. Nothing was written.")
    record.note(model, Pause, reason=given_reason, by=person())
    say(f"{model} is paused: it is not retrained by itself until `mlops resume {model} --reason '...'`.")


def resume(model: str, reason: Reason) -> None:
    """Let the platform retrain a paused model by itself again."""
    record = Record(Home.from_environment().ledger)
    if record.paused(model) is None:
        raise ValueError(f"{model} is not paused; nothing was written.")
    record.note(model, Resume, reason=given(reason), by=person())
    say(f"{model} is retrained by itself again when the evidence says so.")


def _parameters(home: Home, model: str, given_fields: Sequence[str]) -> dict[str, Any]:
    """FIELD=VALUE as fields of `training:`; a value is read as YAML has it.

    Raises:
        ValueError: one has no =, is no such field, or cannot be had.
    """
    if not given_fields:
        return {}
    import yaml

    from mlops_assets.steps.decide.asked_parameters import with_parameters
    from mlops_assets.world.platform import Platform

    fields = {}
    for text in given_fields:
        name, separator, value = text.partition("=")
        if not separator:
            raise ValueError(f"--parameter {text} has no =: write FIELD=VALUE, such as trials=30. Nothing was written.")
        fields[name.strip()] = yaml.safe_load(value)
    with_parameters(Platform.of(home).models()[model], fields)
    return fields


def _run_here(home: Home, model: str) -> None:
    """One look of the retrain sensor at the model in this process, and the run that it asks for."""
    import dagster as dg

    from mlops_assets.definitions import build_definitions
    from mlops_assets.simulate.engine import Engine
    from mlops_assets.world.platform import Platform

    home.prepare()
    log = home.root / "logs" / "retrain.log"
    say(f"Training in this process; what the tools say goes to {log}. `mlops up` shows the run.")
    with chatter_to(log), dg.DagsterInstance.get() as instance:
        settings = Platform.of(home).models()[model]
        tick = Engine(definitions=build_definitions(home), instance=instance).decide(settings)
    if not tick.runs:
        raise ValueError(f"No run was started: {tick.skipped} The request stays on record.")
    outcome = next(e for e in reversed(Record(home.ledger).entries(model)) if isinstance(e, JUDGED))
    say(f"{outcome.kind.capitalize()} of version {outcome.version}: {outcome.reason}")
