"""`mlops status`: where everything stands, on one page.

Here: laying it out. Not here: gathering it (`steps.keep.standing`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import typer
from rich.markup import escape

from mlops_assets.commands import running
from mlops_assets.commands.choosing import Group, Owner, chosen
from mlops_assets.commands.console import AsJson, example, minute, say, say_facts, say_json, say_table
from mlops_assets.core.record.plain_values import as_plain
from mlops_assets.core.record.wording import answer_told, reasons_told
from mlops_assets.world.home import Home
from mlops_assets.world.record.replayed import newest_replays

COLOURS = {"fine": "green", "not fine": "bold red", "paused": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("mlops status", "mlops status --owner team:fraud", "mlops status --json"))(status)


def status(owner: Owner = None, group: Group = None, as_json: AsJson = False) -> None:
    """Show where everything stands: each model, why it was or was not retrained, what comes next; sources, alerts.

    With --owner or --group these models alone; sources and alerts are those of all.
    """
    from mlops_assets.steps.keep.standing import standing

    if owner is not None and group is not None:
        raise ValueError("Choose by `--owner WHO` or `--group FOLDER`, for example `mlops status --group europe`.")
    names = None
    if owner is not None or group is not None:
        models = chosen(owner=owner, group=group)
        names = [*models.names, *(name for about in models.unread for name in about.split(", "))]
    home = Home.from_environment()
    up = running.of(home)
    overview = {
        **standing(home, names),
        "up": {"pid": up.pid, "dagster": up.dagster, "mlflow": up.mlflow} if up else None,
        "replays": [asdict(replay) | {"told": replay.in_words} for replay in running.replays(home)],
        "replayed": {
            name: as_plain(replay) | {"told": replay.in_words} for name, replay in newest_replays(home).items()
        },
    }
    if as_json:
        say_json(overview)
    else:
        _say(overview)


def _say(overview: Mapping[str, Any]) -> None:
    clock, up = overview["clock"], overview["up"]
    say(f"Home   {overview['home']}")
    say(f"Clock  {clock['kind']}, " + (f"now {minute(clock['now'])} UTC" if clock["now"] else "unknown: no data yet"))
    idle = "no" if overview["replays"] else "no: nothing runs by itself until `mlops up`"
    say(f"Up     {'at ' + up['dagster'] if up else idle}")
    for replay in overview["replays"]:
        say(escape(f"Runs   {replay['told']}"))
    for name, model in overview["models"].items():
        say("")
        _say_model(name, model, overview["replayed"].get(name))
    for name, why in overview["broken_models"].items():
        say("")
        say(f"[bold]{escape(name)}[/bold]: [{COLOURS['not fine']}]not fine[/], its file is broken")
        say_facts([("State", why), ("Next", "It decides nothing until the file is corrected.")])
    if not overview["models"] and not overview["broken_files"]:
        say("\nNo models yet. A table becomes the first: mlops new-model NAME --from TABLE.csv")
    _say_sources(overview)
    if why := overview["unread_alerts"]:
        say(f"[bold red]Alerts[/bold red]: {escape(why)}")
    else:
        _say_alerts(overview["alerts"])


def _say_alerts(alerts: Sequence[Mapping[str, Any]]) -> None:
    say("[bold]Open alerts[/bold]" if alerts else "No open alert.")
    for alert in alerts:
        say(escape(f"{alert['about']} since {minute(alert['at'])} UTC, {alert['runbook']}"))
        say_facts([("What", alert["happened"]), ("Did", alert["did"]), ("Do", alert["do"])])


def _say_sources(overview: Mapping[str, Any]) -> None:
    if overview["sources"]:
        say_table(
            "Sources",
            ["source", "newest good", "pending", "in quarantine", "fresh"],
            [_source_row(name, source) for name, source in overview["sources"].items()],
        )
    for name, view in overview["views"].items():
        if view["lag_hours"]:
            say(escape(f"{name} lacks {view['lag_hours']:,.0f} h that its sources have, from {view['lacks_from']} on."))
    for name, source in overview["sources"].items():
        for partition, note in (source["notes"] | source["no_right"]).items():
            say(escape(f"{name}, {partition}: {note}"))
        for sentence in source["unclaimed"]:
            say(escape(f"{name}: {sentence}"))
    for name, why in overview["damaged_sources"].items():
        say(f"[bold red]{escape(name)}[/bold red]: {escape(why)}")
    for why in overview["broken_files"].values():
        if why not in overview["broken_models"].values():
            say(f"[bold red]Broken[/bold red]: {escape(why)}")


def _say_model(name: str, model: Mapping[str, Any], replayed: Mapping[str, Any] | None) -> None:
    state = f"[{COLOURS[model['state']]}]{model['state']}[/]"
    say(f"[bold]{escape(name)}[/bold]: {state}, {escape(_champion(model['champion'], model['pool']))}")
    say_facts([*_facts(model), *([("Replay", replayed["told"])] if replayed else [])])


def _facts(model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    state = model["trouble"] or [model["quality"]]
    for number, sentence in enumerate((*state, *_held_back(model))):
        yield "" if number else "State", sentence
    if window := model["newest_window"]:
        answers = (f"{check} {_answer(of['passed'])}" for check, of in window["checks"].items())
        yield "Checks", f"{window['window']}: {'; '.join(answers)}"
    if model["asked"]:
        yield "Asked", model["asked"]
    if last := model["last_decision"]:
        said = answer_told(last["action"], last["rule"])
        reasons = reasons_told(last["action"], last["reasons"])
        over = "No longer so. It was: " if model["outdated"] else ""
        yield "Why", f"{over}{minute(last['at'])} UTC, {said} ({last['id'][:8]}): {' '.join(reasons)}"
    else:
        yield "Why", "Nothing has been decided yet."
    for name, why in (model["cannot_fire"] or {}).items():
        if why not in " ".join(last["reasons"] if last else ()):
            yield "Trigger", f"{name} cannot fire: {why}"
    yield "Next", model["next"]


def _champion(champion: Mapping[str, Any] | None, pool: str | None) -> str:
    if champion is None:
        return f"part of the pool {pool}" if pool else "no champion yet"
    days, hours = champion["age_days"], champion["lag_hours"]
    age = "" if days is None else f", {days:.0f} days old" if days >= 2 else f", {hours:.0f} hours old"
    whose = (
        f"version {champion['pooled']} of the pool {pool}" if champion["pooled"] else f"version {champion['version']}"
    )
    return f"{whose}{age}"


def _source_row(name: str, source: Mapping[str, Any]) -> Sequence[object]:
    newest = source["newest_good"]
    return (name, newest or "never", _few(source["pending"]), _few(list(source["quarantined"])), _fresh(source))


def _fresh(source: Mapping[str, Any]) -> str:
    """Whether its newest data is as new as agreed, and how old it is."""
    if source["newest_good"] is None:
        return "no: never came" if source["stale"] else "no data yet"
    if source["stale"]:
        return f"no: {source['missed_hours']:,.0f} h over {source['fresh_for']}"
    if source["is_over"]:
        return "yes, it is over"
    return "yes" if source["lag_hours"] is None else f"yes, {source['lag_hours']:,.0f} h old"


def _held_back(model: Mapping[str, Any]) -> Iterator[str]:
    """By whom, until when and why."""
    for name in ("frozen", "snoozed"):
        if held := model[name]:
            yield f"It is {name} until {minute(held['until'])} UTC: {held['reason']} ({held['by']})"


def _answer(passed: bool | None) -> str:
    return {True: "passed", False: "failed", None: "cannot judge"}[passed]


def _few(partitions: Sequence[str]) -> str:
    """The partitions, or how many and from when to when."""
    if len(partitions) <= 3:
        return ", ".join(partitions) or "none"
    return f"{len(partitions)}: {min(partitions)} to {max(partitions)}"
