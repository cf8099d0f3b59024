"""`mlops backtest`: a model's past under several policies.

Here: the command, its table and its sentence. Not here: the lives and their comparison (`core.simulate.backtest`),
reading history (`simulate.backtest`), policies in files (`simulate.policy_files`), the page (`pages.backtest`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from mlops_assets.commands.console import (
    AsJson,
    ModelName,
    example,
    known_model,
    say,
    say_json,
    say_table,
    to_be_written,
)
from mlops_assets.world.home import Home

if TYPE_CHECKING:
    from mlops_assets.core.simulate.backtest import Backtest
    from mlops_assets.simulate.backtest import Past


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=example(
            "mlops backtest flight_delay", "mlops backtest flight_delay --policies policies.yaml --rows 50000"
        )
    )(backtest)


def backtest(
    model: ModelName,
    policies: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML with a list of policies to try: name, and fields of retrain:, probe: and gate:.",
            show_default="the rules of thumb alone",
        ),
    ] = None,
    rows: Annotated[
        int, typer.Option(min=500, help="Labelled rows of all history to sample; more is surer and slower.")
    ] = 20_000,
    first: Annotated[
        int | None,
        typer.Option(min=1, help="Windows that the first model is fitted on.", show_default="a quarter of them"),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            callback=to_be_written,
            metavar="FILE",
            dir_okay=False,
            help="Where the page goes.",
            show_default="reports/backtest/MODEL.html",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Live through a model's past under several policies; say what each costs, what it is worth, and which to take.

    The model's own policy, yours, and rules of thumb. Each period's candidates are trained once for all. Only the page
    is written: no version, no decision. How to read it: docs/decisions.md.
    """
    home = Home.from_environment()
    known_model(model)
    from mlops_assets.pages.backtest import backtest_page
    from mlops_assets.simulate.backtest import past, run, tried_policies
    from mlops_assets.simulate.policy_files import not_lived, own_policy, read_policies
    from mlops_assets.world.atomic import write_text
    from mlops_assets.world.platform import Platform

    platform = Platform.of(home)
    settings = platform.models()[model]
    wanted = read_policies(policies, own_policy(settings)) if policies else {}
    with _progress() as progress:
        progress("reading history", 0)
        history = past(platform, settings, rows=rows, first=first)
        tried = tried_policies(settings, history, wanted)
        total = len(tried) * (len(history.windows) - history.first)
        outcome = run(settings, history, tried, progress=lambda name: progress(name, total))
    basis = _basis_of(history, outcome)
    if left_out := not_lived(settings):
        basis.append(f"The present policy is lived without {', '.join(left_out)}: on paper there are no such checks.")
    page = html or home.root / "reports" / "backtest" / f"{model}.html"
    write_text(page, backtest_page(outcome, model=model, notes=basis))
    if as_json:
        say_json({"model": model, **outcome.to_dict(), "made_from": basis, "page": str(page)})
        return
    _say(model, outcome)
    say(escape(outcome.recommendation.sentence))
    for sentence in basis:
        say(f"[dim]{escape(sentence)}[/dim]")
    say(f"Page: {page}")


@contextmanager
def _progress() -> Iterator[Callable[[str, int], None]]:
    """A bar on a person's terminal, one step a window of a policy; nothing elsewhere."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def step(what: str, total: int) -> None:
            bar.update(task, description=what, total=total or None, advance=1 if total else 0)

        yield step


def _basis_of(history: Past, outcome: Backtest) -> list[str]:
    """What the numbers rest on."""
    scored = len(history.rows.y)
    sample = "all" if scored == history.known else "a sample"
    return [
        f"{scored:,} labelled rows, {sample} of {history.known:,}; the first model is fitted on {history.first} of "
        f"{len(history.windows)} windows.",
        *(
            ["On a sample, learning from more rows is worth more than on all: it flatters policies that train often."]
            if sample != "all"
            else []
        ),
        f"Models are made by the recipe of {history.recipe_of}, with at most probe.rounds rounds; nothing is tuned.",
        f"A window is one observation ({len(outcome.windows)} of them); all intervals hold together at 95 %.",
    ]


def _say(model: str, outcome: Backtest) -> None:
    money = any(policy.money is not None for policy in outcome.tried)
    heads = ["policy", "trainings", "updates", "CPU s", outcome.metric, *(["money/row"] if money else [])]
    rows = []
    for policy in outcome.tried:
        against = policy.against
        gain = "" if against is None else f"{against.gain:+.4f} ({against.lower:+.4f} to {against.upper:+.4f})"
        name = f"{policy.name} *" if policy.on_frontier else policy.name
        cells = [name, policy.trainings, policy.updates, f"{policy.seconds:.1f}", f"{policy.metric:.4f}"]
        rows.append([*cells, *([_money(policy.money)] if money else []), gain])
    say_table(f"{model}: {len(outcome.windows)} windows under {len(rows)} policies", [*heads, "gain (interval)"], rows)
    say("* on the frontier: no other is at least as good and trains less.")


def _money(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
