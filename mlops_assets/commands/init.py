"""`mlops init`: a project of a person's own.

Here: the command. Not here: what a project has (`onboarding.projects.new_project`).
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from mlops_assets.commands.console import example, say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("mlops init acme", "mlops init acme --in ~/work"))(init)


def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the new folder and its package.")],
    parent: Annotated[
        Path, typer.Option("--in", metavar="FOLDER", help="Where it is made.", show_default="here")
    ] = Path(),
) -> None:
    """Make a project: a folder for your sources, models, SQL and tests; the platform stays in the installed library."""
    from mlops_assets.onboarding.projects.new_project import files, make

    root = make(name, parent.expanduser().resolve())
    module = name.replace("-", "_").lower()
    say(f"Made {root}:")
    for path in sorted(files(name, module)):
        say(f"  {path}")
    say(f"\nNext: cd {shlex.quote(str(root))} && mlops new-model NAME --from TABLE.csv")
