"""`mlops power`: the smallest decay that would be seen.

Here: the command and its table. Not here: the formula (`core.decide.power`), reading recent windows
(`steps.decide.power`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from mlops_assets.commands.console import AsJson, ModelName, example, known_model, say, say_json, say_table
from mlops_assets.world.home import Home

if TYPE_CHECKING:
    from mlops_assets.core.decide.power import Seen


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("mlops power flight_delay"))(power)


def power(model: ModelName, as_json: AsJson = False) -> None:
    """Show the smallest decay of a model that would be seen with 95 % probability, per number of windows and slice.

    At today's label rate, by the performance check and by the probe. What no alarm means: docs/performance.md.
    """
    home = Home.from_environment()
    known_model(model)
    from mlops_assets.core.decide.power import sentence
    from mlops_assets.steps.decide.power import power as seen_today
    from mlops_assets.world.platform import Platform

    platform = Platform.of(home)
    settings = platform.models()[model]
    seen = seen_today(platform, settings)
    if as_json:
        summary = sentence(seen, settings.metric)
        say_json({"model": model, "metric": settings.metric, "told": summary, "seen": [row.to_dict() for row in seen]})
        return
    spans = sorted({row.windows for row in seen})
    over = [f"{span} window{'' if span == 1 else 's'}" for span in spans]
    title = f"{model}: decay of {settings.metric} that is seen with 95 % probability"
    names = list(dict.fromkeys(row.what for row in seen))
    say_table(title, ["by", "labels", *over], [_cells(name, seen, spans) for name in names])
    for row in seen:
        if row.why and row.windows == spans[0]:
            say(escape(f"{row.what}: {row.why}."))
    say(sentence(seen, settings.metric))


def _cells(name: str, seen: Sequence[Seen], spans: Sequence[int]) -> list[object]:
    mine = {row.windows: row for row in seen if row.what == name}
    shown = [_cell(mine[span]) if span in mine else "" for span in spans]
    return [name, f"{mine[spans[0]].labels:,}", *shown]


def _cell(decay: Seen) -> str:
    if decay.drop is None:
        return "cannot say"
    return f"{decay.drop:.3g}" + ("" if decay.share is None else f" ({decay.share:.0%})")
