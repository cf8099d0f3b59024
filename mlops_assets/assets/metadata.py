"""What the materializations of assets have in common: their cost, numbers and paths that fit the page.

Here: a wrapper that puts the cost on each materialization and on record, and values as a person reads them. Not here:
measuring (`world.costs`).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import dagster as dg

from mlops_assets.core.values.display import ROOM, breakable, inert_markdown
from mlops_assets.world.costs import Cost, Costs, Meter
from mlops_assets.world.home import Home
from mlops_assets.world.runs.training_runs import TrainingRuns

MIB = 2**20
SHOWN_IN_PLACE = 1_000
"""Dagster shows Markdown in its place where it has fewer characters; longer one opens in a window."""
GAP = 2
"""Characters between two columns."""
_CELLS, _RULE = re.compile(r"(?<!\\)\|"), re.compile(r"\s*:?-+:?\s*")
_WORDS = re.compile(r"[^\s-]+-?")


def measured(body: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """Measure a body that yields results and takes the resource `platform` or `lake`, which knows the home.

    A materialization carries the cost up to it; the record has the whole step, also of one that failed.
    """

    @wraps(body)
    def counted(context: dg.AssetExecutionContext, **resources: Any) -> Iterator[Any]:
        meter, outcome = Meter.start(), "failed"
        try:
            for event in body(context, **resources):
                if isinstance(event, dg.MaterializeResult):
                    context.add_asset_metadata(_metadata(meter.read()), asset_key=event.asset_key)
                yield event
            outcome = "succeeded"
        finally:
            home, cost = (resources.get("platform") or resources["lake"]).home, meter.read()
            _note_training(home, context, cost)
            Costs(home.root).step(
                cost,
                run=context.run.run_id,
                job=context.run.job_name,
                step=context.op_execution_context.op.name,
                assets=sorted(key.to_user_string() for key in context.selected_asset_keys),
                outcome=outcome,
            )

    return counted


def _note_training(home: Home, context: dg.AssetExecutionContext, cost: Cost) -> None:
    """What a step of a training has taken: by that the next one's cost is expected."""
    model, decision = (context.run.tags.get(tag, "") for tag in ("mlops/model", "mlops/decision"))
    if model and decision:
        TrainingRuns(home.root).add_cpu(model, decision, context.run.run_id, round(cost.cpu_seconds, 3))


def _metadata(cost: Cost) -> dict[str, Any]:
    return {
        "step_seconds": round(cost.seconds, 3),
        "step_cpu_seconds": round(cost.cpu_seconds, 3),
        "step_peak_memory_mib": round(cost.peak_bytes / MIB, 1),
    }


def readable(value: Any) -> Any:
    """A number with the digits that a person reads; the report's files have all of them."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def link_to(path: str | Path) -> dg.MarkdownMetadataValue:
    """A file or folder as a link that shows its name alone, which may break where it is long, as a hash is.

    Dagster never breaks a path: one of 80 characters widens the table, and at 1,400 pixels pushes the reason off the
    page.
    """
    place = Path(path).resolve()
    return dg.MetadataValue.md(f"[{breakable(place.name).replace('_', chr(92) + '_')}]({place.as_uri()})")


def markdown_value(text: str) -> dg.MarkdownMetadataValue:
    """Markdown for Dagster's pages. Sentences quote values of the data: no HTML begins in them, no link but a picture.

    Cells of tables are escaped where the table is made (`pages.markdown`). A short text with a wide table is padded, so
    that it opens in a window of its own: in its place it would widen everything, and cut off what stands beside it.
    A long word in a sentence may break.
    """
    lines = (line if line.lstrip().startswith("|") else breakable(line) for line in text.split("\n"))
    shown = inert_markdown("\n".join(lines))
    return dg.MetadataValue.md(shown.ljust(SHOWN_IN_PLACE) if _least_width(shown) > ROOM else shown)


def _least_width(text: str) -> int:
    """Characters that the tables of a Markdown text take at least, with lines broken at blanks and hyphens."""
    rows = [_CELLS.split(line.strip().strip("|")) for line in text.splitlines() if line.lstrip().startswith("|")]
    cells = [row for row in rows if not all(_RULE.fullmatch(cell) for cell in row)]
    longest = [max(map(len, chain.from_iterable(map(_WORDS.findall, column))), default=0) for column in _columns(cells)]
    return sum(longest) + GAP * len(longest)


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[tuple[str, ...]]:
    return zip_longest(*rows, fillvalue="")
