"""`mlops feature-report` and `mlops dbt-ci`: what a change of the dbt project makes, before it is merged.

Here: the commands. Not here: the build (`steps.features.dbt_ci`), the comparison (`pages.feature_report`), the page
(`pages.feature_report_page`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from mlops_assets.commands.console import AsJson, example, say, say_json, say_table, to_be_written
from mlops_assets.world.home import Home

_Against = Annotated[str, typer.Option(metavar="REF", help="Branch, tag or commit to compare with.")]
Start = Annotated[
    str | None,
    typer.Option(metavar="DAY", help="Build from this day on, as 2013-01-01.", show_default="all that has landed"),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        "feature-report",
        epilog=example("mlops feature-report", "mlops feature-report --against v1.2 --html change.html"),
    )(feature_report)
    app.command("dbt-ci", epilog=example("mlops dbt-ci", "mlops dbt-ci --against origin/main --start 2013-06-01"))(
        dbt_ci
    )


def feature_report(
    against: _Against = "main",
    start: Start = None,
    rows: Annotated[int, typer.Option(min=500, help="Labelled rows of each model to sample.")] = 20_000,
    html: Annotated[
        Path | None,
        typer.Option(
            callback=to_be_written,
            metavar="FILE",
            dir_okay=False,
            help="Where the page goes.",
            show_default="reports/features.html",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare the dbt models of the working tree with those of a git ref: values, drift, and what models gain.

    What changed is built aside, from this home's raw data; neither lake nor warehouse is touched. The page needs no
    network: attach it to the pull request. How to read it: docs/analytics-engineers.md.
    """
    from dataclasses import asdict

    from mlops_assets.pages.feature_report_page import feature_report_page, gain, lead, share
    from mlops_assets.steps.features.report import report
    from mlops_assets.world.atomic import write_text
    from mlops_assets.world.platform import DBT_PROJECT, Platform

    home = Home.from_environment()
    compared = report(Platform.of(home), DBT_PROJECT, against, start=start, rows=rows, progress=_tell(quiet=as_json))
    page = html or home.root / "reports" / "features.html"
    empty = compared.uncompared
    write_text(
        page,
        feature_report_page(compared.views, compared.models, against=against, notes=compared.notes, uncompared=empty),
    )
    if as_json:
        say_json({"against": against, **asdict(compared), "page": str(page)})
        return
    for view in compared.views:
        cells = [
            (
                feature.name,
                feature.state,
                "" if feature.changed is None else f"{feature.changed:,}",
                *map(share, feature.missing),
                "" if feature.psi is None else f"{feature.psi:.3f}",
            )
            for feature in view.shown
        ]
        heads = ["feature", "state", "rows with another value", "missing before", "after", "PSI"]
        title = f"{view.view}: {view.rows[0]:,} rows before, {view.rows[1]:,} after"
        if cells:
            say_table(title, heads, cells)
        else:
            say(f"[bold]{escape(title)}[/bold]")
        for sentence in filter(None, (view.unchanged, view.online, view.guard)):
            say(escape(sentence))
    if compared.models:
        gains = [(m.model, gain(m.against_before) or m.why, gain(m.against_without)) for m in compared.models]
        say_table("What models gain", ["model", "after against before", "with against without"], gains)
    for sentence in compared.notes:
        say(escape(sentence))
    say(escape(lead(compared.views, compared.models, empty)))
    say(f"Page: {page}")


def dbt_ci(against: _Against = "main", start: Start = None) -> None:
    """Build and test the dbt models that differ from a git ref, and what depends on them, in a scratch schema.

    Everything else is read where it stands (dbt's state and defer); neither lake nor warehouse is touched. A model that
    cannot be built, a test that fails, a feature that looks ahead, or a column gone that a version in production needs
    ends it with exit code 1.
    """
    from mlops_assets.steps.features.code_versions import refuse_missing_features
    from mlops_assets.steps.features.dbt_ci import changed
    from mlops_assets.steps.features.look_ahead import guard
    from mlops_assets.world.platform import DBT_PROJECT, Platform

    home = Home.from_environment()
    platform = Platform.of(home)
    refuse_missing_features(platform)
    with changed(home, DBT_PROJECT, against, start=start) as change:
        if not change.built:
            say(f"No model differs from {escape(against)}.")
            return
        say(f"Built {len(change.built)} models, {change.checks} tests passed: {escape(', '.join(change.built))}.")
        views = [view.name for view in change.after.views if view.name in change.built]
        sources = platform.sources.settings()
        checks = list(guard(home, DBT_PROJECT, change.after, sources, views=views)) if views else []
    for result in checks:
        say(escape(result.sentence))
    if any(result.peeks for result in checks):
        raise typer.Exit(1)


def _tell(*, quiet: bool) -> Callable[[str], None]:
    return lambda what: None if quiet else say(f"[dim]{escape(what)}[/dim]")
