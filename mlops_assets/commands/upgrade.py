"""`mlops upgrade`: a project brought to what the installed library writes and reads.

Here: the command. Not here: what differs and how it is changed (`onboarding.projects.upgrade`).
"""

from __future__ import annotations

from typing import Annotated

import typer

from mlops_assets.commands.console import AsJson, example, say, say_json, say_table
from mlops_assets.world.project import PROJECT


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("mlops upgrade --check", "mlops upgrade --check --diff", "mlops upgrade"))(upgrade)


def upgrade(
    check: Annotated[bool, typer.Option("--check", help="Say what would change, and change nothing.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show each difference to the library's files.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the project's settings and the library's files in it to the installed library.

    What you have changed is left alone. It ends with exit code 1 where something is left to do: with --check all that
    would change, without it what has to be changed by hand.
    """
    from mlops_assets.onboarding.projects.upgrade import apply, examine

    plan = examine(PROJECT)
    done = [] if check else apply(plan)
    left = [part for part in plan.to_do if part not in done]
    if as_json:
        say_json([{"path": p.path, "state": p.state, "what": p.sentence, "written": p in done} for p in plan.parts])
    else:
        rows = [(part.path, "written" if part in done else part.state, part.sentence) for part in plan.parts]
        say_table("Project", ["file", "state", "what"], rows)
        for text in (part.diff for part in plan.parts if diff and part.diff):
            typer.echo(text)
        if not plan.to_do:
            say(f"Nothing to do: {plan.in_words}.")
        elif check:
            say(f"{plan.in_words[0].upper()}{plan.in_words[1:]}.")
        if done:
            say("Restart mlops up, where it runs. Look at what changed and commit it.")
    if left:
        raise typer.Exit(1)
