"""A model's settings as YAML that people read: each value with a comment that says where it comes from.

Here: laying it out. Not here: where values come from (`steps.keep.settings_origins`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import yaml

from mlops_assets.core.settings_defaults import FieldPlace, SettingValue

_WIDTH = 80
_COMMENTS_AT = 44
"""The column of comments beside values that leave room for it."""


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
