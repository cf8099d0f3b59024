"""`mlops decisions` and `mlops decide`: what was decided about a model and why, what would be now.

Here: the two commands. Not here: deciding (`core.policy`), gathering evidence (`resources.evidence`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_assets.commands.console import (
    AsJson,
    ModelName,
    example,
    known_model,
    minute,
    say,
    say_json,
    say_table,
)
from mlops_assets.resources.home import Home
from mlops_assets.resources.record import Record

if TYPE_CHECKING:
    from mlops_assets.core.policy import Decision


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=example("mlops decisions flight_delay --limit 5"))(decisions)
    app.command(epilog=example("mlops decide flight_delay --dry-run"))(decide)


def decisions(
    model: ModelName,
    limit: Annotated[int, typer.Option(min=1, help="How many of the newest entries.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show what was decided about a model and why, the newest last; requests, pauses, promotions too.

    With --json each entry has its evidence, policy and counterfactuals.
    """
    entries = Record(Home.from_environment().ledger).entries(known_model(model))[-limit:]
    if as_json:
        say_json(entries)
    elif not entries:
        say(f"Nothing has been decided about {model} in this home yet.")
    else:
        rows = [(minute(entry["at"]), *told(entry)) for entry in entries]
        say_table(f"{model}: the newest {len(rows)}", ["time (UTC)", "what", "rule", "reason"], rows)


def told(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    """What an entry of the record says: what happened, by which rule, why."""
    kind = entry["kind"]
    if kind == "decision":
        return entry["action"].replace("_", " "), entry["rule"], " ".join(entry["reasons"])
    what = f"{kind} of version {entry['version']}" if "version" in entry else kind
    by = f" ({entry['by']})" if "by" in entry else ""
    return what, "", f"{entry.get('reason', '')}{by}"


def decide(
    model: ModelName,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say it and write nothing; the only way.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what would be decided about a model now, with reasons and with what would have changed it.

    Only the sensor decides in earnest: a decision on record starts its run. To ask for a training yourself:
    mlops retrain.
    """
    known_model(model)
    if not dry_run:
        raise ValueError(
            "Only the retrain sensor puts decisions on record, because one to retrain starts a run. See what "
            "it would decide with --dry-run, or ask for a training: "
            f"mlops retrain {model} --reason '...'. Nothing was written."
        )
    from mlops_assets.resources.evidence import consider
    from mlops_assets.resources.platform import Platform

    platform = Platform.of()
    decision, _, news = consider(platform, platform.models()[model])
    if as_json:
        say_json({**decision.to_dict(), "is_news": news})
    else:
        _say_decision(decision, news=news)


def _say_decision(decision: Decision, *, news: bool) -> None:
    say(f"[bold]{decision.action.replace('_', ' ')}[/bold] by the rule {decision.rule}, at {minute(decision.at)} UTC")
    say_table("Because", ["reason"], [(reason,) for reason in decision.reasons])
    if decision.counterfactuals:
        say_table(
            "What would have changed it",
            ["counterfactual"],
            [(c.sentence,) for c in decision.counterfactuals],
        )
    say("This is news to the record." if news else "The record says so already.")
    say("Nothing was written.")
