"""`mlops drift`: how far two sets of files are apart, without any set-up.

Here: the command, its table and its sentence. Not here: the comparison (`steps.watch.drift_files`), the page
(`pages.drift`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mlops_assets.commands.console import AsJson, Terminal, example, say, say_error, say_json, to_be_written
from mlops_assets.core.values.display import some

if TYPE_CHECKING:
    from mlops_assets.core.drift.feature_drift import FeatureDrift
    from mlops_assets.core.drift.policy import DriftPolicy
    from mlops_assets.steps.watch.drift_files import FilesDrift

_SHOWN = 20
"""Features in the table, the worst ones, unless all are asked for."""
NAME_WIDTH = 12
"""Least width of a feature's name; longer ones lose their middle."""

Files = "A Parquet or CSV file, a folder of them, or a glob in quotes."


def register(app: typer.Typer) -> None:
    """Add the command."""
    by_month = "mlops drift 'january/*.parquet' february.parquet --html drift.html"
    app.command(epilog=example("mlops drift old.csv new.csv", by_month))(drift)


def drift(
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help=f"What to compare with. {Files}")],
    current: Annotated[str, typer.Argument(metavar="CURRENT", help=f"What to judge. {Files}")],
    preset: Annotated[
        Literal["default", "high_stakes", "low_stakes", "ks", "kl", "any_feature"],
        typer.Option(
            help="Limits: PSI 0.2, 0.1 or 0.3; p < 0.05 by Kolmogorov-Smirnov and chi-squared; Kullback-Leibler 0.15; "
            "PSI 0.2 of any feature."
        ),
    ] = "default",
    kl: Annotated[bool, typer.Option("--kl", help="Kullback-Leibler too, with a limit of 0.15.")] = False,
    columns: Annotated[
        list[str] | None, typer.Option(metavar="A,B", help="Only these columns.", show_default="all in both")
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(metavar="A,B", help="Leave these out.", show_default="none")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            callback=to_be_written, metavar="FILE", dir_okay=False, help="Write a page to look at.", show_default="none"
        ),
    ] = None,
    show_all: Annotated[bool, typer.Option("--all", help=f"All features, not the {_SHOWN} worst.")] = False,
    fail_on_drift: Annotated[
        bool,
        typer.Option(
            "--fail-on-drift",
            help="Exit code 1 if there is drift or nothing could be judged, 2 if a column is gone or of another type.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare two sets of Parquet or CSV files, column by column, with the statistics of the drift report.

    Nothing has to be set up. Files of any size are read in batches. What the numbers mean: docs/drift.md.
    """
    from mlops_assets.core.drift.policy import KL_LIMIT, DriftPolicy
    from mlops_assets.steps.watch.drift_files import NothingToCompare, compare_files

    policy = DriftPolicy.of_preset(preset)
    if kl:
        policy = DriftPolicy(**{**policy.to_dict(), "kl": KL_LIMIT})
    try:
        with _progress() as progress:
            compared = compare_files(
                reference, current, policy=policy, columns=_names(columns), ignore=_names(ignore), progress=progress
            )
    except NothingToCompare as error:
        if not (fail_on_drift and error.broken):
            raise
        say_error(str(error))
        raise typer.Exit(2) from None
    if html is not None:
        _write_page(html, compared, reference, current, kl=kl)
    if as_json:
        say_json(_plain(compared, reference, current, preset, policy))
    else:
        _say(compared, reference, current, kl=kl, shown=None if show_all else _SHOWN)
        if html is not None:
            say(f"Page: {html}")
    if fail_on_drift and compared.broken:
        raise typer.Exit(2)
    if fail_on_drift and not compared.verdict.passed:
        raise typer.Exit(1)


def _names(texts: Sequence[str] | None) -> list[str]:
    """Columns, said together (A,B) or one after the other."""
    return [name.strip() for text in texts or () for name in text.split(",") if name.strip()]


@contextmanager
def _progress() -> Iterator[Callable[[str, int], None]]:
    """Rows so far on a person's terminal; nothing elsewhere."""
    from rich.console import Console

    with Console(stderr=True).status("Looking at the files") as status:
        yield lambda what, rows: status.update(f"{what}: {rows:,} rows")


def _write_page(path: Path, compared: FilesDrift, reference: str, current: str, *, kl: bool) -> None:
    from html import escape

    from mlops_assets.pages.drift import drift_page
    from mlops_assets.world.atomic import write_text

    page = drift_page(
        names=(reference, current),
        profiles=(compared.reference, compared.current),
        drifts=compared.drifts,
        verdict=compared.verdict,
        left_out=compared.left_out,
        section="".join(f"<p class=intro>{escape(note)}</p>" for note in compared.notes),
        headline=compared.headline,
        kl=kl,
    )
    write_text(path, page)


def _plain(compared: FilesDrift, reference: str, current: str, preset: str, policy: DriftPolicy) -> dict[str, Any]:
    verdict = compared.verdict
    return {
        "reference": {"files": reference, "rows": compared.reference.rows},
        "current": {"files": current, "rows": compared.current.rows},
        "preset": preset,
        "policy": policy.to_dict(),
        "drift": None if verdict.passed is None else not verdict.passed,
        "headline": compared.headline,
        "reason": verdict.reason,
        "share": verdict.share,
        "drifted": list(verdict.drifted),
        "features": [
            {**asdict(d), "verdict": verdict_on(d, compared), "finding": compared.verdict.findings.get(d.feature)}
            for d in compared.drifts
        ],
        "left_out": dict(compared.left_out),
        "broken": list(compared.broken),
        "notes": list(compared.notes),
    }


# --- the table ---------------------------------------------------------------------------------------------


def verdict_on(drift: FeatureDrift, compared: FilesDrift) -> str:
    """One word on a feature."""
    if drift.feature in compared.verdict.findings:
        return "drifted"
    return "unjudged" if drift.feature in compared.verdict.unjudged else "stable"


def _say(compared: FilesDrift, reference: str, current: str, *, kl: bool, shown: int | None) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    console = Terminal()
    rows = [(d, _cells(d, kl=kl)) for d in compared.drifts[:shown]]
    heads = ["kind", "PSI", *(["KL"] if kl else []), "KS/χ²\np", "W\n(sd)", "JS", "miss.\nchange", "new or\nout"]
    widths = [
        max(len(text) for text in (*head.split("\n"), *(cells[i] for _, cells in rows))) for i, head in enumerate(heads)
    ]
    # Two blanks between columns; the verdict needs eight.
    room = max(console.width - sum(widths) - 8 - 2 * (len(widths) + 1), NAME_WIDTH)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("feature", no_wrap=True)
    for head in heads:
        table.add_column(head, no_wrap=True, justify="left" if head == "kind" else "right", vertical="bottom")
    table.add_column("verdict", no_wrap=True)
    for d, cells in rows:
        word = verdict_on(d, compared)
        style = {"drifted": "[bold red]", "stable": "", "unjudged": "[dim]"}[word]
        table.add_row(_short(escape(d.feature), room), *cells, f"{style}{word}")
    console.print(table)
    rest = len(compared.drifts) - len(rows)
    if rest:
        say(f"... and {rest} more, which moved less: --all shows them.")
    style = "bold red" if compared.broken or compared.verdict.passed is False else "bold"
    say(f"[{style}]{escape(compared.headline)}.[/] {escape(compared.verdict.reason)}")
    say(escape(f"{compared.current.rows:,} rows of {current} against {compared.reference.rows:,} of {reference}."))
    for note in compared.notes:
        say(escape(note))
    if compared.left_out:
        say(escape(_left_out(compared)))
    if compared.broken:
        names = escape(some(compared.broken, _SHOWN))
        say(f"[bold red]Gone, or of another type:[/bold red] {names}. Correct the files, or leave them out: --ignore.")


def _left_out(compared: FilesDrift) -> str:
    omitted = [f"{name} ({why})" for name, why in compared.left_out.items()]
    return f"Left out: {some(omitted, _SHOWN, between='; ')}."


def _cells(d: FeatureDrift, *, kl: bool) -> Sequence[str]:
    from mlops_assets.core.drift.statistics import figure, p_figure

    p = d.ks_p if d.ks_p is not None else d.chi2_p
    new = d.new_share if d.new_share is not None else d.outside_share
    return [
        {"numeric": "num", "categorical": "cat", None: ""}[d.kind],
        *("" if value is None else figure(value) for value in (d.psi, *([d.kl] if kl else []))),
        "" if p is None else p_figure(p),
        *("" if value is None else figure(value) for value in (d.wasserstein, d.js)),
        _percent(d.missing_change, sign="+"),
        _percent(new),
    ]


def _percent(value: float | None, *, sign: str = "") -> str:
    if value is None:
        return ""
    return f"{100 * value:{sign}.{0 if abs(value) > 0.999 else 1}f}%" if value else "0%"


def _short(name: str, width: int) -> str:
    """The name in this width: features of one view begin alike and those of one kind end alike."""
    if len(name) <= width:
        return name
    end = width // 2
    return f"{name[: width - 1 - end]}…{name[-end:]}"
