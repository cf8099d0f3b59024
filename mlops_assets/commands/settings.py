"""`mlops settings`: what holds for a model, and which file says it.

Here: the command. Not here: where values come from (`steps.keep.settings_origins`), the page (`pages.settings`).
"""

from __future__ import annotations

import typer
from rich.markup import escape

from mlops_assets.commands.console import DEFS, AsJson, ModelName, example, known_model, say, say_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("mlops settings flight_delay", "mlops settings flight_delay --json"))(settings)


def settings(model: ModelName, as_json: AsJson = False) -> None:
    """Show all settings of a model as YAML, each value with the file and line that it comes from.

    Its own YAML wins over a `defaults.yaml` above it, a nearer one over a farther one, and all over the platform's own
    `default`. Files are named from the project's folder of declarations. In brackets: the field that decides a value.
    """
    from mlops_assets.core.settings import ModelSettings
    from mlops_assets.pages.settings import settings_as_yaml
    from mlops_assets.steps.keep.settings_origins import settings_origins
    from mlops_assets.world.settings_files import read_settings

    declared = read_settings(DEFS, ModelSettings)[known_model(model)]
    values = settings_origins(DEFS, declared)
    if as_json:
        fields = {".".join(map(str, v.place)): {"value": v.value, "from": v.origin} for v in values}
        say_json({"model": model, "folder": DEFS, "settings": fields})
    else:
        say(escape(settings_as_yaml(values).rstrip("\n")))
