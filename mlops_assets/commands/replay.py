"""`mlops replay` and `mlops demo`: history through the same assets and sensors, and the report.

Here: the commands, the progress bar and the table at the end. Not here: the replay itself and its report
(`simulate/`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from mlops_assets.commands import running
from mlops_assets.commands.console import ModelName, Terminal, chatter_to, example, known_model, say, to_be_written
from mlops_assets.world.home import Home

if TYPE_CHECKING:
    from mlops_assets.simulate.replay import Replayed

Trials = Annotated[
    int | None,
    typer.Option(min=1, help="Trials of each search.", show_default="what the models or the demo say"),
]


_MOST = 8
"""Kinds of reasons for a quarantine that are told."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    by_month = "mlops replay flight_delay --start 2013-04-01 --end 2014-01-01 --every month --report reports"
    app.command(epilog=example(by_month))(replay)
    app.command(epilog=example("mlops demo", "mlops demo fraud", "mlops demo fleet", "mlops demo --trials 2"))(demo)


def replay(
    model: ModelName,
    start: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="DAY", help="First day replayed.", show_default="after a third"),
    ] = None,
    end: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="DAY", help="The day after the last.", show_default="the newest"),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            callback=to_be_written,
            metavar="DIR",
            file_okay=False,
            help="Where the report goes.",
            show_default="reports/MODEL",
        ),
    ] = None,
    every: Annotated[
        Literal["day", "week", "month"] | None,
        typer.Option(help="Length of a period.", show_default="by the length of history"),
    ] = None,
    faithful: Annotated[
        bool, typer.Option("--faithful", help="dbt goes period by period too; slower, the same rows.")
    ] = False,
    trials: Trials = None,
    resume: Annotated[str | None, typer.Option(metavar="ID", help="Go on with one that was stopped.")] = None,
) -> None:
    """Run history through the same assets and sensors, and measure four lives side by side.

    The first champion never retrained, the platform's own, and retraining at every period without a gate, on all
    history (always) or on the newest period alone (newest). It runs in a home of its own under replays/; the landing
    folder is only read. `mlops up --home` shows it.
    """
    known_model(model)
    from mlops_assets.simulate import replay as driver

    parent = Home.from_environment()
    first, last, period = _period(parent, model, start, end, every)
    settings = driver.ReplaySettings(model=model, start=first, end=last, every=period, faithful=faithful, trials=trials)
    home = driver.replay_home(parent, settings, resume=resume)
    report = report or parent.root / "reports" / model
    say(f"In {home.root}. If it is stopped, the same command with `--resume {home.root.name}` goes on.")
    with shown_progress(home, home.root.name) as progress:
        replayed = driver.replay(settings, home=home, report=report, progress=progress)
    _say_result(replayed)


def _period(
    home: Home, model: str, start: datetime | None, end: datetime | None, every: str | None
) -> tuple[date, date, str]:
    """What was asked for; where nothing was, what suits the data."""
    if start and end:
        return start.date(), end.date(), every or "month"
    from mlops_assets.simulate.usual_range import usual_period
    from mlops_assets.world.platform import Platform

    platform = Platform.of(home)
    first, last, period = usual_period(platform, platform.models()[model], every)
    first, last = start.date() if start else first, end.date() if end else last
    say(f"Replaying {model} from {first} to {last}, by {period} (--start, --end, --every).")
    return first, last, period


def demo(
    story: Annotated[Literal["flights", "fraud", "fleet"], typer.Argument(help="Which of the three.")] = "flights",
    trials: Trials = None,
) -> None:
    """Land a year of flights, train on January to March, replay April to December, and show where it led.

    `fraud`: stream half a year of made-up card payments, with changes on known days, train on seven weeks, replay
    sixteen. `fleet`: a model per airline on half a year of flights, beside a pooled one. All work in the main home.
    Stopped and started again, they go on.
    """
    home = Home.from_environment()
    if up := running.of(home):
        raise ValueError(
            f"mlops up runs in {home.root} and would start the same runs. Stop it (kill {up.pid}), or take "
            "another home: mlops --home DIR demo. Nothing was started."
        )
    if story == "fraud":
        from mlops_assets.simulate.fraud_demo import demo_fraud as run
    elif story == "fleet":
        from mlops_assets.simulate.fleet_demo import demo_fleet as run
    else:
        from mlops_assets.simulate.demo import demo as run

    say(f"In {home.root}. If it is stopped, the same command goes on.")
    with shown_progress(home, "demo") as progress:
        replayed = run(home=home, trials=trials, progress=progress)
    _say_result(replayed)
    for change in replayed.result.get("changes", ()):
        detection = f"found after {change['days']} days" if change["found"] else "no check failed that had held before"
        promoted = f", a model that knows of it promoted by {change['promoted']}" if change["promoted"] else ""
        say(f"{change['first']}: {change['story']}: {detection}{promoted}.")


@contextmanager
def shown_progress(home: Home, name: str = "replay") -> Iterator[Callable[[str, int, int], None]]:
    """A function that is told of progress, shows it and notes it for `status`; what the tools say goes to a log."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    log = home.root / "logs" / "replay.log"
    with running.replaying(home, name) as note, chatter_to(log) as console:
        console.print(f"What the tools say goes to {log}", soft_wrap=True)

        def progress(show: Callable[[str, int, int], None], what: str, done: int, steps: int) -> None:
            note(what, done, steps)
            show(what, done, steps)

        if not console.is_terminal:
            yield partial(progress, lambda what, *of: console.print(f"[{of[0]}/{of[1]}] {what}", markup=False))
            return
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        # Left to itself, rich would show above the bar what this process prints: the dbt log, warnings of libraries.
        with Progress(*columns, console=console, redirect_stdout=False, redirect_stderr=False) as bar:
            task = bar.add_task("starting")
            yield partial(progress, lambda what, *of: bar.update(task, description=what, completed=of[0], total=of[1]))


def _say_result(replayed: Replayed) -> None:
    from mlops_assets.pages.replay_console import console_table, members_table
    from mlops_assets.pages.replay_wording import not_judged_told, set_aside_told

    Terminal().print(console_table(replayed.result, details=replayed.details))
    if replayed.result.get("members"):
        Terminal().print(members_table(replayed.result))
    for sentence in not_judged_told(replayed.result, details=replayed.details):
        say(escape(sentence))
    set_aside = set_aside_told(replayed.result)
    for sentence, _ in set_aside[:_MOST]:
        say(escape(sentence))
    if set_aside:
        more = f"There are {len(set_aside)} kinds of reasons; all" if len(set_aside) > _MOST else "All"
        say(escape(f"{more} that is set aside: {replayed.home.said('mlops quarantine list')}"))
    if left_out := replayed.result["left_out"]:
        say(f"No first champion before {replayed.result['periods'][0]['start']}: {', '.join(left_out)} left out.")
    say(f"Report: {replayed.report}")
    say(escape(f"All runs are in Dagster's UI: {replayed.home.said('mlops up')}"))
