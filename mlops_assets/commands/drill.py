"""`mlops drill rollback`: rehearsing the way back on a throw-away copy, with its seconds and failed requests.

Here: the command. Not here: the rehearsals (`serving.rehearsal.drill`), the copy (`serving.rehearsal.drill_home`).
"""

from __future__ import annotations

import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mlops_assets.commands.console import AsJson, ModelName, chatter_to, example, known_model, say, say_json, say_table

if TYPE_CHECKING:
    from pathlib import Path

    from mlops_assets.serving.rehearsal.drill import DrillKind, Rehearsal
    from mlops_assets.serving.rehearsal.drill_home import Production

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="Rehearse what should work on the day it must.")

Kinds = Literal["worse-model", "slow-model", "bad-data"]


@app.callback()
def drill() -> None:
    """Rehearse what should work on the day it must."""


@app.command(
    epilog=example("mlops drill rollback flight_delay", "mlops drill rollback flight_delay --kind slow-model --keep")
)
def rollback(
    model: ModelName,
    kind: Annotated[
        Kinds | None, typer.Option(help="What is wrong with the candidate.", show_default="each in turn")
    ] = None,
    rate: Annotated[float, typer.Option(min=1.0, max=200.0, help="Requests a second meanwhile.")] = 10.0,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the copies, to look into them.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let a bad candidate into service under load, see the platform go back, and print seconds and failed requests.

    Each kind has a throw-away home of its own with the production's data and champion, a registry and a record of its
    own, and a real service on a free port of this machine. Production is only read. Exit code 1 if one did not go back,
    or a request failed.
    """
    from mlops_assets.serving.rehearsal.drill import KINDS
    from mlops_assets.serving.rehearsal.drill_home import Production
    from mlops_assets.world.home import Home
    from mlops_assets.world.platform import Platform

    platform = Platform.of(Home.from_environment())
    production = Production.of(platform, platform.models()[known_model(model)])
    folder = platform.home.root / "drills" / f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    done = []
    try:
        for each in [kind] if kind else KINDS:
            done.append(_rehearsed(production, each, folder, rate=rate))
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        say_json([asdict(rehearsal) for rehearsal in done])
    else:
        _show(model, done)
        if keep:
            say(f"The copies are in {folder}.")
    if failed := sum(rehearsal.failed for rehearsal in done):
        raise ValueError(f"{failed} requests failed. Rehearse again with --keep and read drill.log in the copy.")


def _rehearsed(production: Production, kind: DrillKind, folder: Path, *, rate: float) -> Rehearsal:
    from mlops_assets.serving.rehearsal.drill import rehearse
    from mlops_assets.serving.rehearsal.drill_home import make_drill_home
    from mlops_assets.world.home import Home, working_in

    home = Home(folder / kind)
    with working_in(home, own_store=True), chatter_to(home.root / "drill.log"):
        return rehearse(make_drill_home(production, home.root), kind, rate=rate)


def _show(model: str, done: list[Rehearsal]) -> None:
    columns = ["candidate", "stage", "by", "found", "alias", "servers", "back", "sent", "failed"]
    rows = [
        (
            each.kind,
            each.stage,
            ", ".join(each.guardrails),
            f"{each.look_seconds:.2f}",
            f"{each.alias_seconds:.2f}",
            f"{each.servers_seconds:.2f}",
            f"{each.back_seconds:.2f}",
            f"{each.requests:,}",
            each.failed,
        )
        for each in done
    ]
    say_table(f"Going back, rehearsed for {model} (seconds, requests)", columns, rows)
    for each in done:
        say(f"{each.kind}: {each.reason}")
