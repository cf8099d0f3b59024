"""`mlops why`: why a model was, or was not, retrained, in one screen.

Here: the command, and one decision of the record in short. Not here: a decision with all its evidence (`explain`), what
would be decided now (`decisions`). Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
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
    say_facts,
    say_json,
)
from mlops_assets.commands.decisions import entry_in_words
from mlops_assets.commands.on_record import parse_moment
from mlops_assets.core.decide.requests import last_asked
from mlops_assets.core.record.entries import ACTED, Decision, OnRecord, only
from mlops_assets.core.record.wording import CANNOT_FIRE, NO_TRIGGER, answer_told, reasons_told
from mlops_assets.world.home import Home
from mlops_assets.world.record.record import Record
from mlops_assets.world.record.replayed import newest_replays

_LONGEST = 240
"""Characters of a sentence; `mlops explain` has the whole of it."""
_MOST = 2
"""Changes that would have led to another answer."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("mlops why flight_delay", "mlops why flight_delay 2013-06-01"))(why)


def why(
    model: ModelName,
    day: Annotated[
        str | None,
        typer.Argument(
            metavar="[DAY]",
            help="As things stood at its end by the model's clock: an ISO date or date-time, in UTC without a zone.",
            show_default="the newest decision",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say in one screen why a model was or was not retrained: the decision, its evidence, and what came of it."""
    home = Home.from_environment()
    record, replayed = Record(home.ledger), newest_replays(home).get(model)
    until = _end_of(day) if day else None
    entries = record.entries(known_model(model))
    taken = [e for e in only(entries, Decision) if until is None or e.at < until]
    if as_json:
        say_json({"model": model, "decision": taken[-1].to_dict() if taken else None})
    elif not taken:
        before = f" before {minute(until)} UTC" if until else ""
        say(f"Nothing has been decided about {model}{before}. `mlops decide {model} --dry-run` says what would be now.")
    else:
        _say(record, taken[-1], [e for e in entries if until is None or e.at < until])
    if replayed and not as_json:
        say(escape(f"Replay {replayed.in_words}"))


def _end_of(day: str) -> datetime:
    """The moment after a day, or after a moment."""
    moment = parse_moment(day)
    return moment + (timedelta(days=1) if len(day.strip()) == len("2013-06-01") else timedelta(microseconds=1))


def _say(record: Record, decision: Decision, entries: Sequence[OnRecord]) -> None:
    model, short_id = decision.model, decision.id[:8]
    answer = answer_told(decision.action, decision.rule)
    say(f"[bold]{escape(model)}: {escape(answer)}[/bold], at {minute(decision.at)} UTC")
    say_facts(_facts(record, decision, entries))
    say(escape(f"All of it: mlops explain {short_id}; what came before and after: mlops record show {model}"))


def _facts(record: Record, decision: Decision, entries: Sequence[OnRecord]) -> Iterator[tuple[str, str]]:
    reign = record.champion_at(decision.model, decision.at)
    if reign is not None:
        yield "Champion", f"version {reign.version}, since {minute(reign.since)} UTC"
    if asked := last_asked(entries):
        yield "Asked", _short(asked.in_words)
    stand = list(_triggers(decision, entries))
    for number, reason in enumerate(reasons_told(decision.action, decision.reasons)):
        # How each stands has lines of its own.
        shown = NO_TRIGGER if stand and reason.startswith(NO_TRIGGER) else _short(reason)
        yield "" if number else "Because", shown
    for number, line in enumerate(stand):
        yield "" if number else "Triggers", line
    checks = decision.evidence.get("checks", [])
    newest = [check for check in checks if check["window_end"] == checks[-1]["window_end"]]
    words = {True: "passed", False: "failed", None: "cannot judge"}
    for number, check in enumerate(newest):
        yield "" if number else "Checks", f"{check['name']} {words[check['passed']]} in {check['window']}"
    for number, change in enumerate(decision.counterfactuals[:_MOST]):
        yield "" if number else "Instead", _short(change.sentence)
    came = [entry for entry in entries if getattr(entry, "decision", None) == decision.id]
    if not came:
        acts = decision.action in ACTED
        yield "Since", "Nothing has come of it yet." if acts else "It asked for nothing."
    for number, entry in enumerate(came):
        what, reason = entry_in_words(entry)
        yield "" if number else "Since", _short(f"{minute(entry.at)} {what}: {reason}")


def _triggers(decision: Decision, entries: Sequence[OnRecord]) -> Iterator[str]:
    """How each agreed trigger stood, a line each, and why some cannot fire."""
    if not decision.policy.get("on"):
        return
    # Only they need numpy.
    from mlops_assets.core.decide.agreed.standings import standings
    from mlops_assets.core.decide.evidence import Evidence
    from mlops_assets.core.decide.history import History
    from mlops_assets.core.decide.retrain_policy import RetrainPolicy

    try:
        policy, evidence = RetrainPolicy.from_dict(decision.policy), Evidence.from_dict(decision.evidence)
    except ValueError as error:
        yield f"Another version of the platform wrote them, and this one cannot read them ({error})."
        return
    before = History.of_record([entry for entry in entries if entry.at < decision.at])
    for standing in standings(policy, evidence, before):
        yield standing.line
    newest = {result.name: result.sentence for result in evidence.triggers}
    for name, sentence in newest.items():
        if sentence.startswith(CANNOT_FIRE):
            yield f"{name} cannot fire: {sentence.removeprefix(CANNOT_FIRE).strip()}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1].rsplit(' ', 1)[0]} …"
