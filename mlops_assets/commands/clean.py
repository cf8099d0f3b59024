"""`mlops clean`: what a home no longer needs.

Here: the command. Not here: what may go (`steps.keep.cleaning`).
"""

from __future__ import annotations

from typing import Annotated

import typer

from mlops_assets.commands.console import example, say, say_table
from mlops_assets.world.home import Home


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("mlops clean --dry-run", "mlops clean --older-than 30d --keep 5"))(clean)


def clean(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; remove nothing.")] = False,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="LENGTH", help="What is younger stays, such as 30d.")
    ] = "90d",
    keep: Annotated[int, typer.Option(min=1, help="Newest versions of a model whose files stay.")] = 3,
) -> None:
    """Remove old training sets, candidates, replays and Dagster's runs that nothing needs any more.

    Landed files, the lake's tables, versions in the registry and the record of decisions are never touched, nor what
    a version with an alias needs.
    """
    from mlops_assets.core.time.windows import parse_duration
    from mlops_assets.steps.keep.cleaning import removable, remove

    home = Home.from_environment()
    unused = removable(home, keep=keep, older_than=parse_duration(older_than))
    kinds = list(dict.fromkeys(thing.kind for thing in unused))
    rows = [
        (kind, sum(t.kind == kind for t in unused), f"{sum(t.size for t in unused if t.kind == kind) / 1e6:,.1f}")
        for kind in kinds
    ]
    if not rows:
        say(f"Nothing in {home.root} is older than {older_than} and needed by nobody.")
        return
    if not dry_run:
        remove(home, unused)
    say_table("Would be removed" if dry_run else "Removed", ["what", "how many", "MB"], rows)
