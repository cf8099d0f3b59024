"""`mlops settings`: what holds for a model, and which file says it.

Here: the command, and laying the values out as YAML. Not here: where they come from (`steps.keep.settings_origins`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import typer
import yaml
from rich.markup import escape

from mlops_assets.commands.console import DEFS, AsJson, ModelName, example, known_model, say, say_json
from mlops_assets.world.project import PROJECT

if TYPE_CHECKING:
    from mlops_assets.core.decide.fleet.trainings_policy import TrainingsPolicy
    from mlops_assets.core.settings_defaults import FieldPlace, SettingValue


_WIDTH = 80
_COMMENTS_AT = 44
"""The column of comments beside values that leave room for it."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("mlops settings flight_delay", "mlops settings flight_delay --json"))(settings)


def settings(model: ModelName, as_json: AsJson = False) -> None:
    """Show all settings of a model as YAML, each value with the file and line that it comes from.

    Its own YAML wins over a `defaults.yaml` above it, a nearer one over a farther one, and all over the platform's own
    `default`. Files are named from the project's folder of declarations. In brackets: the field that decides a value.
    """
    from mlops_assets.core.settings import ModelSettings
    from mlops_assets.steps.keep.settings_origins import settings_origins
    from mlops_assets.world.runs.agreed_trainings import read_trainings_policy
    from mlops_assets.world.settings_files import read_settings

    declared = read_settings(DEFS, ModelSettings)[known_model(model)]
    values = settings_origins(DEFS, declared)
    shared = read_trainings_policy(PROJECT.root)
    if as_json:
        fields = {".".join(map(str, v.place)): {"value": v.value, "from": v.origin} for v in values}
        of_all = {"trainings_of_all_models": shared.to_dict()} if shared else {}
        say_json({"model": model, "folder": DEFS, "settings": fields, **of_all})
    else:
        say(escape(settings_as_yaml(values).rstrip("\n")))
        if shared:
            say(escape("\n".join(_of_all_models(shared))))


def _of_all_models(shared: TrainingsPolicy) -> Iterator[str]:
    """What holds for the trainings of all models together, as comments: it is no setting of the model."""
    from mlops_assets.core.decide.fleet.trainings_policy import PLACE

    yield f"# Of all models together (pyproject.toml, {PLACE}):"
    for name, value in shared.to_dict().items():
        yield f"#   {name}: {'no limit' if value is None else value}"


def settings_as_yaml(values: Sequence[SettingValue]) -> str:
    """The values as one YAML document; lines of more than 80 characters hold one word that is longer."""
    lines: list[str] = []
    before: FieldPlace = ()
    for value in values:
        sections = value.place[:-1]
        shared = next((n for n, (a, b) in enumerate(zip(sections, before, strict=False)) if a != b), None)
        depth = min(len(sections), len(before)) if shared is None else shared
        lines += [f"{'  ' * n}{_key(sections[n])}:" for n in range(depth, len(sections))]
        lines += _lines(value)
        before = sections
    return "\n".join(lines) + "\n"


def _key(name: str | int) -> str:
    return yaml.safe_dump({name: 0}).partition(": 0")[0]


def _lines(value: SettingValue) -> Iterator[str]:
    """A field, with the comment beside it or above."""
    indent = "  " * (len(value.place) - 1)
    first, *more = [f"{indent}{line}" for line in _written(value, _WIDTH - len(indent))]
    beside = f"{first:<{_COMMENTS_AT - 2}}  # {value.origin}"
    if more or len(beside) > _WIDTH:
        # Within a text of several lines a comment would be part of it.
        yield f"{indent}# {value.origin}"
        yield first
    else:
        yield beside
    yield from more


def _written(value: SettingValue, room: int) -> list[str]:
    """The lines of a field. PyYAML ends a line behind the word with which it is full: it is asked for shorter ones."""
    lines: list[str] = []
    for width in range(room, 0, -4):
        text = yaml.safe_dump(
            {value.place[-1]: value.value},
            default_flow_style=None if isinstance(value.value, list | dict) else False,
            sort_keys=False,
            allow_unicode=True,
            width=width,
        )
        lines = text.rstrip("\n").split("\n")
        if max(map(len, lines)) <= room:
            break
    return lines
