"""`mlops alerts`: whether alerts arrive, what is open, what waits for the digest.

Here: the commands. Not here: noticing (`assets.platform.sensors`), the channels (`world.alerts.channels`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape

from mlops_assets.commands.console import AsJson, example, minute, person, say, say_json, say_table
from mlops_assets.core.record.incidents import SEVERITIES, Message, Report, Severity, digest_now
from mlops_assets.core.record.outgoing import Outgoing
from mlops_assets.world.alerts.channels import URLS, Channels
from mlops_assets.world.alerts.incidents import Incidents
from mlops_assets.world.alerts.webhooks import Webhooks, place_of
from mlops_assets.world.home import Home

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", help="Alerts: do they arrive, what is open, what waits."
)


@app.command(epilog=example("mlops alerts test", "mlops alerts test --severity page"))
def test(
    severity: Annotated[
        Severity | None, typer.Option(help="Only this route.", show_default="all three, each URL of each")
    ] = None,
) -> None:
    """Send a test message to every channel, and a test event to every webhook; exit code 1 if one did not take it."""
    channels, webhooks = Channels.from_environment(), Webhooks.from_environment(Home.from_environment().root)
    refused = sent = 0
    for route in (severity,) if severity else SEVERITIES:
        for channel in channels.routes(route).values():
            taken = channels.send(_trial(route), channel)
            sent, refused = sent + 1, refused + (not taken)
            where = channel.url(privacy=True).partition("?")[0] if channel else "a URL that Apprise does not know"
            say(escape(f"{route}: {where} {'took it' if taken else 'did not take it'}"))
    for number, url in enumerate(webhooks.urls if severity is None else (), start=1):
        why = webhooks.post(url, _trial_event())
        sent, refused = sent + 1, refused + bool(why)
        say(escape(f"webhook {number}: {place_of(url)} {f'did not take it: {why}' if why else 'took it'}"))
    if not sent:
        raise ValueError(
            f"No channel is set{f' for {severity}' if severity else ''}: alerts stand in $MLOPS_HOME/alerts.jsonl and "
            f"in the log alone. Set {URLS} (docs/monitoring.md), for example {URLS}='mailtos://user:pass@example.com'."
        )
    if refused:
        raise ValueError(f"{refused} of {sent} did not arrive. Check address and key; docs/monitoring.md has examples.")


def _trial(severity: Severity) -> Message:
    report = Report(
        fact="test",
        happened=f"{person()} typed mlops alerts test.",
        did="It sent this; nothing is wrong.",
        do="Nothing.",
        runbook="alerts-do-not-arrive",
        severity=severity,
    )
    return Message(0, "opened", severity, "a test", report, "", datetime.now(UTC))


def _trial_event() -> Outgoing:
    now = datetime.now(UTC)
    data = {"action": "wait", "rule": "test", "reasons": ["mlops alerts test was typed."], "window": None}
    return Outgoing(f"test/{now.isoformat()}", "decision", "test", now, {"decision": "test", **data})


@app.command("list", epilog=example("mlops alerts list", "mlops alerts list --json"))
def show(as_json: AsJson = False) -> None:
    """Show the open incidents and what waits to be sent."""
    state = Incidents(Home.from_environment().root).state()
    if as_json:
        say_json(state.to_dict())
        return
    if state.open:
        rows = [(i.severity, i.key, minute(i.opened_at), i.report.happened, i.report.do) for i in state.open]
        say_table("Open incidents", ["severity", "about", "since (UTC)", "what happened", "what to do"], rows)
    else:
        say("No open incident.")
    say(f"{len(state.outbox)} messages wait to be sent, {len(state.digest)} lines for the digest.")


@app.command(epilog=example("mlops alerts digest", "mlops alerts digest --send"))
def digest(send: Annotated[bool, typer.Option("--send", help="Send it now.")] = False) -> None:
    """Show the lines that wait for the next digest."""
    incidents = Incidents(Home.from_environment().root)
    for line in incidents.state().digest:
        say(escape(line))
    if not send:
        say(f"{len(incidents.state().digest)} lines wait for the digest.")
        return
    incidents.change(lambda state: digest_now(state, datetime.now(UTC)))
    say(f"{incidents.deliver(Channels.from_environment())} messages were sent.")
