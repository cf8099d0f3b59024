"""The terminal table of a replay.

Here: `replay.json` as values in, a table out. Not here: the page (`replay`), what both say (`replay_wording`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mlops_assets.core.record.plain_values import metric_name
from mlops_assets.pages.replay_charts import NAMES
from mlops_assets.pages.replay_tables import MEMBER_HEADS, member_rows
from mlops_assets.pages.replay_wording import (
    ACTIONS,
    COLUMNS,
    NOT_WORSE,
    best_life,
    decimals,
    headline,
    members_told,
    number_told,
    version_told,
    with_outcomes,
)

if TYPE_CHECKING:
    from rich.table import Table


_SHORT = {NOT_WORSE: "guessing"}
"""Names of checks, where the first word says nothing."""


def console_table(replay: Mapping[str, Any], *, details: Mapping[str, Any] = MappingProxyType({})) -> Table:
    """The replay for a terminal: a row per period, the means below, the best life in bold; `details` as in `replay`."""
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    periods, places = with_outcomes(replay), decimals(replay)
    title = f"{replay['model']}: {metric_name(replay['metric'])} by period"
    # Numbers stay whole on a terminal of 80 columns: of a week its first day is told.
    table = Table(
        title=title, caption=headline(replay, details), show_footer=True, title_justify="left", box=SIMPLE,
        padding=(0, 1, 0, 0), pad_edge=False, show_edge=False,
    )  # fmt: skip
    summary = replay["summary"]
    table.add_column("period", footer="mean", no_wrap=True)
    table.add_column("labels", justify="right", no_wrap=True)
    for life in COLUMNS:
        name = NAMES[life].split()[0]
        table.add_column(name, justify="right", footer=number_told(summary.get(life), places), no_wrap=True)
    table.add_column("failed", no_wrap=True)
    table.add_column("decision")
    table.add_column("by", justify="right", no_wrap=True)
    styles = {"promoted": "green", "quarantine": "red", "revert": "cyan"} | dict.fromkeys(
        ("rejected", "cannot_judge"), "yellow"
    )
    for p in periods:
        failed = [_SHORT.get(name, name.split("_")[0]) for name, passed in p["checks"].items() if passed is False]
        decision = ACTIONS.get(p["decision"], p["decision"])
        if p["outcome"] in ("promoted", "rejected"):
            decision = p["outcome"]
        best = best_life(p, bool(replay["greater_is_better"]))
        values = [Text(number_told(p.get(life), places), style="bold" if life == best else "") for life in COLUMNS]
        table.add_row(
            Text(p["label"].split("..")[0]),
            f"{p.get('labelled_rows') or 0:,}",
            *values,
            Text("\n".join(failed)),
            Text(decision, style=styles.get(p["outcome"], "")),
            Text(version_told(p.get("champion_version"))),
        )
    return table


def members_table(replay: Mapping[str, Any]) -> Table:
    """The members of a fleet for a terminal."""
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=f"{replay['model']}: members, mean {metric_name(replay['metric'])}", caption=members_told(replay),
        title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False,
    )  # fmt: skip
    for number, heading in enumerate(MEMBER_HEADS):
        table.add_column(heading, justify="right" if number in (1, 4, 5) else "left")
    for cells in member_rows(replay):
        table.add_row(*map(Text, cells))
    return table
