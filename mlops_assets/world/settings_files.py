"""Settings as they stand in `defs/**/defs.yaml`, read without Dagster.

Here: all settings of one kind under a folder, which file declares a model, and the line of a mistake. Not here: the
fields (`core.settings`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from mlops_assets.core.settings import COMPONENTS, ModelSettings
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.sources.stream_settings import StreamSettings

SettingsType = TypeVar("SettingsType", SourceSettings, StreamSettings, ModelSettings)


@dataclass(frozen=True)
class _Document:
    """One YAML document of a file: its place, counted from 0, and what it says."""

    path: Path
    number: int
    values: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.values.get("type", "")).rsplit(".", 1)[-1]

    def line(self, fields: Sequence[str | int]) -> int:
        """The line of a field, or of the nearest one around it that is there."""
        text = self.path.read_text(encoding="utf-8")
        node = list(yaml.compose_all(text, Loader=yaml.SafeLoader))[self.number]
        line = node.start_mark.line
        for field in fields:
            if isinstance(node, yaml.MappingNode):
                found = [(key, value) for key, value in node.value if key.value == str(field)]
                if not found:
                    break
                line, node = found[0][0].start_mark.line, found[0][1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(field, int):
                node = node.value[field]
                line = node.start_mark.line
        return line + 1


def read_settings(folder: Path, kind: type[SettingsType]) -> dict[str, SettingsType]:
    """All settings of one kind (or a kind of it) under a folder, by name; quick, because Dagster is not loaded.

    Raises:
        ValueError: a file is broken; the message names file, line and field of each mistake.
    """
    found: dict[str, SettingsType] = {}
    for document in _documents(folder):
        own = COMPONENTS.get(document.kind)
        if own is None or not issubclass(own, kind):
            continue
        try:
            settings = own.model_validate(document.values.get("attributes") or {})
        except ValidationError as error:
            raise ValueError("\n".join(_mistakes(document, own, error))) from error
        if settings.name in found:
            line = document.line(["attributes", "name"])
            raise ValueError(
                f"{document.path}:{line}: the name {settings.name!r} is taken by another file; give it another."
            )
        found[settings.name] = settings
    return found


def settings_file(folder: Path, name: str) -> Path:
    """The file under a folder that declares the model of this name.

    Raises:
        ValueError: there is none.
    """
    for document in _documents(folder):
        if document.kind == "MonitoredModel" and document.values["attributes"]["name"] == name:
            return document.path
    raise ValueError(f"No file under {folder} declares a monitored model {name!r}. Add it, or correct the name.")


def _documents(folder: Path) -> Iterable[_Document]:
    for path in sorted(folder.rglob("defs.yaml")):
        for number, values in enumerate(_parsed(path, path.stat().st_mtime_ns)):
            if isinstance(values, dict):
                yield _Document(path, number, values)


@lru_cache(maxsize=1024)
def _parsed(path: Path, stamp: int) -> list[Any]:
    """A file's documents; every tick of every sensor asks for them, and they change when a person edits them."""
    del stamp
    try:
        return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ValueError(f"{path}:{line}: this is no YAML ({error.problem}). Correct the line.") from error


def _mistakes(document: _Document, kind: type[Any], error: ValidationError) -> Iterator[str]:
    """A line of text for each mistake: `file:line: field: what is wrong`."""
    for one in error.errors():
        fields = ["attributes", *one["loc"]]
        field = ".".join(str(part) for part in fields)
        # A rule of our own ends in the remedy; pydantic's name what they expect.
        told = one["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        if one["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            told = f"there is no such field; there are {', '.join(_fields(kind, one['loc'][:-1]))}"
        yield f"{document.path}:{document.line(fields)}: {field}: {told}"


def _fields(kind: Any, place: Sequence[str | int]) -> list[str]:
    """The fields that there are at a place in the settings."""
    for part in place:
        known = getattr(kind, "__pydantic_fields__", {})
        if part in known:
            kind = known[str(part)].annotation
    return sorted(getattr(kind, "__pydantic_fields__", {}))
