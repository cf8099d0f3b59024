"""`mlops new-model`: a table becomes a source, dbt models and a monitored model, written as files.

Here: the command and what it says. Not here: how it decides and what it writes (`onboarding/`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from mlops_assets.commands.console import example, say, say_table
from mlops_assets.core.member_names import member_names
from mlops_assets.core.record.plain_values import counted
from mlops_assets.world.home import Home
from mlops_assets.world.project import PROJECT

if TYPE_CHECKING:
    from mlops_assets.onboarding.plan import Plan

_Column = Annotated[str | None, typer.Option(metavar="COL")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "new-model",
        epilog=example(
            "mlops new-model churn --from customers.csv --time signed_up --label churned --label-delay 30d",
            "mlops new-model demand --from 'hours/*.parquet' --task regression --grain day",
            "mlops new-model delay --from flights.csv --per carrier",
        ),
    )(new_model)


def new_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the model is called: small letters, digits, _.")],
    files: Annotated[
        str, typer.Option("--from", metavar="FILES", help="CSV or Parquet: a file, a folder, or a glob in quotes.")
    ],
    time: Annotated[
        str | None, typer.Option(metavar="COL", help="When a row is about.", show_default="the likeliest")
    ] = None,
    label: Annotated[
        str | None, typer.Option(metavar="COL", help="What is predicted.", show_default="one named so, or the last")
    ] = None,
    entity: Annotated[
        str | None,
        typer.Option(metavar="COL", help="Whom a row is about: its history is added.", show_default="rows stand alone"),
    ] = None,
    task: Annotated[
        Literal["binary", "regression", "multiclass"] | None,
        typer.Option(help="What kind of label.", show_default="by its values"),
    ] = None,
    label_delay: Annotated[
        str, typer.Option("--label-delay", metavar="LENGTH", help="From a row to its label, such as 12h or 30d.")
    ] = "0d",
    grain: Annotated[
        Literal["hour", "day", "week", "month"] | None,
        typer.Option(help="How often files land.", show_default="by how the rows lie in time"),
    ] = None,
    timezone: Annotated[
        str, typer.Option(metavar="ZONE", help="Whose days are counted, such as Europe/Berlin.")
    ] = "UTC",
    labels: Annotated[
        str | None,
        typer.Option(metavar="FILES", help="Labels that land by themselves.", show_default="they are in the rows"),
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="COL", help="What rows and labels share.", show_default="the only one")
    ] = None,
    label_time: Annotated[
        str | None,
        typer.Option("--label-time", metavar="COL", help="When a label became known.", show_default="the likeliest"),
    ] = None,
    missing: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[COL=]WORD",
            help="A text that means missing, in all columns or in one, beside those known.",
            show_default="NULL, N/A, ...",
        ),
    ] = None,
    not_missing: Annotated[
        list[str] | None,
        typer.Option("--not-missing", metavar="WORD", help="A known one that is a value here.", show_default=False),
    ] = None,
    date_order: Annotated[
        Literal["dmy", "mdy"] | None,
        typer.Option("--date-order", help="What stands first in 04/05/2024.", show_default="by the other rows"),
    ] = None,
    decimal: Annotated[
        Literal["point", "comma"] | None,
        typer.Option(help="The decimal mark in 1,234.", show_default="by the other rows"),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(metavar="COL", help="A column that stays text: codes as 1.10 or 00105.", show_default=False),
    ] = None,
    moment: Annotated[
        list[str] | None,
        typer.Option(metavar="COL", help="A column of numbers that are times, too.", show_default=False),
    ] = None,
    per: Annotated[
        str | None,
        typer.Option(metavar="COL", help="A model for each value of it (docs/fleets.md).", show_default="one model"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over files of that name.")] = False,
) -> None:
    """Look at a table, and write the source, the dbt models and the monitored model that make of it a model.

    It lands the rows too, so `mlops replay NAME` works at once. The files are yours: read and change them.
    """
    from mlops_assets.core.sources.settings import SourceSettings
    from mlops_assets.onboarding.asked import Asked
    from mlops_assets.onboarding.files import entities_beside, lines_beyond_columns, refuse_written, render, write
    from mlops_assets.onboarding.fleet_column import MOST_MEMBERS
    from mlops_assets.onboarding.landing import land
    from mlops_assets.onboarding.plan import make_plan
    from mlops_assets.world.landed.fleet_values import add_values
    from mlops_assets.world.settings_files import read_settings

    PROJECT.require_current()
    length = "day" if grain == "hour" else grain
    asked = Asked(
        name, files, time, label, task, entity, label_delay, length, timezone, labels, key, label_time,
        is_hourly=grain == "hour", missing=tuple(missing or ()), not_missing=tuple(not_missing or ()),
        date_order=date_order, decimal=decimal, moments=tuple(moment or ()), texts=tuple(text or ()), per=per,
    )  # fmt: skip
    if not force:
        refuse_written(name, PROJECT.root)
    plan = make_plan(asked, entities_beside(name, PROJECT.root))
    _say_plan(plan)
    texts = render(plan)
    paths = write(texts, force=force)
    say(f"\nWritten, {counted(lines_beyond_columns(texts), 'line')} beyond the lists of columns:")
    for path in paths:
        say(f"  {path.relative_to(PROJECT.root)}")
    home = Home.from_environment()
    sources = read_settings(paths[0].parent, SourceSettings)
    parts = [(sources[name], plan.table, plan.time)]
    if plan.late is not None:
        parts.append((sources[f"{name}_labels"], plan.late.table, plan.late.time))
    for source, table, at in parts:
        landed = land(table, at, source, home.landing)
        say(f"Landed {counted(landed.rows, 'row')} as {counted(len(landed.written), 'new file')} in {landed.folder}.")
    if plan.per is not None and plan.per.facts.values:
        # The landing runs find them, too (all of them, where there are many); known now, they can be replayed at once.
        members = member_names(name, add_values(home, name, sorted(plan.per.facts.values), most=MOST_MEMBERS))
        say(f"Members: {', '.join(members.values())}.")
    say(f"\nNext: mlops replay {name}")


def _say_plan(plan: Plan) -> None:
    """What was seen, what was assumed, what to look at."""
    becomes = {c.facts.name: f"{c.role}: {c.why}" if c.why else c.role for c in plan.columns}
    becomes[plan.time.name] = "time: when a row is about"
    facts = {**plan.table.facts, **{c.facts.name: c.facts for c in plan.columns}}
    rows = [(name, of.dtype.lower(), becomes[name]) for name, of in facts.items()]
    say_table(f"{plan.table.rows:,} rows of {plan.asked.pattern}", ["column", "type", "becomes"], rows)
    say("Assumed:")
    for note in plan.notes:
        say(escape(f"  - {note}"))
    if plan.warnings:
        say("Look at this:")
        for warning in plan.warnings:
            say(escape(f"  - {warning}"))
