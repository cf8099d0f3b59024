"""`mlops`: the platform from the command line.

Here: the application, its global options, and how an error is told. Not here: the commands (`commands/`, one
thin module a topic), what they call. Nothing heavy is imported before a command needs it, so that help and
the commands that only read or write the record answer at once.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mlops_assets.commands import (
    adopt,
    alerts,
    approval,
    backtest,
    clean,
    control,
    decisions,
    doctor,
    drift,
    drill,
    evidently,
    explain,
    feature_report,
    golden,
    hold,
    init,
    land,
    look_ahead,
    metrics,
    new_model,
    on_record,
    power,
    pull,
    quarantine,
    queue,
    replay,
    reproduce,
    rollout,
    serve,
    settings,
    status,
    stream,
    traffic,
    up,
    upgrade,
    upkeep,
    why,
)
from mlops_assets.commands.console import (
    example,
    in_words,
    is_expected,
    remedy,
    say_error,
    say_versions,
    use_home,
    use_project,
)

MOVED = {"decisions": ("record", "show"), "ledger": ("record",)}
"""Former names of commands, which go on working: what stands on record is called the record."""
LOOKS = {"status", "queue", "why", "record", *MOVED, "explain", "champion-at", "rollout", "alerts"}
"""What can only look at a home that is there; a mistyped one must not be made."""
ANYWHERE = {"init", "drift"}
"""What works outside of a project, too: it makes one, or compares two files."""
GROUPS = {
    "Look: status, decisions and their reasons": (
        "status", "queue", "why", "record", "explain", "decide", "champion-at", "rollout", "alerts", "drift",
        "evidently", "power", "settings",
    ),
    "Act: tell the platform what to do with a model": (
        "retrain", "rollback", "approve", "reject", "pause", "resume", "freeze", "unfreeze", "snooze", "wake",
    ),
    "Build: models and features": (
        "init", "new-model", "adopt", "look-ahead", "feature-report", "dbt-ci", "backtest", "golden",
    ),
    "Run: the platform, the service, history": (
        "up", "serve", "api-key", "traffic", "metrics", "demo", "replay", "drill",
    ),
    "Data: what comes in": ("land", "pull", "stream", "quarantine"),
    "Keep: home and project whole and sound": ("doctor", "backup", "migrate", "upgrade", "clean", "reproduce"),
}  # fmt: skip
"""Of the help page: heading -> commands, in this order."""


def _say_version(is_asked: bool) -> None:
    """Print what is installed, and end."""
    if is_asked:
        say_versions()
        raise typer.Exit


class Commands(TyperGroup):
    """Groups the commands, and tells an error that a person can fix in its own words, without a traceback."""

    def list_commands(self, ctx: Any) -> list[str]:
        """By their groups."""
        return [name for names in GROUPS.values() for name in names]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """A former name leads to the command that took its place; all but the help of one needs a project."""
        if not (args[0] in ANYWHERE or "--help" in args or ctx.resilient_parsing):
            use_project()
        return super().resolve_command(ctx, [*MOVED.get(args[0], (args[0],)), *args[1:]])

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an expected error ends it with exit code 1."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            todo = remedy(error)
            if ctx.params.get("traceback") or not (todo or is_expected(error)):
                raise
            say_error(f"{in_words(error).rstrip('.')}. {todo}" if todo and not is_expected(error) else str(error))
            raise typer.Exit(1) from error


app = typer.Typer(
    name="mlops",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    help="Keeps production models accurate. Inspect status and decisions, act on them, add models.",
    epilog=example("mlops status", "mlops --home /srv/mlops why flight_delay"),
)


@app.callback()
def main(
    context: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option(
            envvar="MLOPS_HOME",
            help="The home to work in.",
            show_default=".mlops in the project",
            file_okay=False,
        ),
    ] = None,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where in the code an error arose.")] = False,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Say what is installed.")
    ] = False,
) -> None:
    """Choose the home; every child process and Dagster work in the same one, on the same project."""
    source = context.get_parameter_source("home")
    is_typed = source is not None and source.name == "COMMANDLINE"
    if is_typed and home and not home.exists() and context.invoked_subcommand in LOOKS:
        raise ValueError(f"There is no home {home}: correct --home. Nothing was made there.")
    use_home(home, is_typed=is_typed)


for topic in (
    land,
    status,
    queue,
    doctor,
    decisions,
    explain,
    why,
    on_record,
    settings,
    reproduce,
    golden,
    control,
    hold,
    approval,
    replay,
    rollout,
    drift,
    evidently,
    backtest,
    power,
    metrics,
    look_ahead,
    feature_report,
    init,
    new_model,
    pull,
    adopt,
    up,
    serve,
    clean,
    traffic,
    upgrade,
    upkeep,
):
    topic.register(app)
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(stream.app, name="stream")
app.add_typer(alerts.app, name="alerts")
app.add_typer(drill.app, name="drill")


def _unwrapped(group: typer.Typer) -> None:
    """Make each paragraph of help one line: typer keeps a docstring's line breaks, and wraps what is between them."""
    for command in group.registered_commands:
        paragraphs = (inspect.getdoc(command.callback) or "").split("\n\n")
        command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    for sub in group.registered_groups:
        if sub.typer_instance:
            _unwrapped(sub.typer_instance)


_unwrapped(app)
for heading, names in GROUPS.items():
    for command in app.registered_commands:
        if (command.name or str(getattr(command.callback, "__name__", "")).replace("_", "-")) in names:
            command.rich_help_panel = heading
    for group in app.registered_groups:
        if group.name in names:
            group.rich_help_panel = heading
