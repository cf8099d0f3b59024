"""Settings as they stand in `defs/**/defs.yaml`, read without Dagster.

Here: all settings of one kind under a folder, the files that hold mistakes, which file declares a model. Not here: the
files as YAML (`declared_files`), the fields (`core.settings`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

from pydantic import ValidationError

from mlops_assets.core.settings import COMPONENTS, ModelSettings
from mlops_assets.core.settings_changes import SETTINGS, hint_of, outdated_fields
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.sources.stream_settings import StreamSettings
from mlops_assets.world.declared_files import OTHERS_GO_ON, BrokenFile, Document, read_files, stamp_of
from mlops_assets.world.files.environment_values import put_in
from mlops_assets.world.project import PROJECT

SettingsType = TypeVar("SettingsType", SourceSettings, StreamSettings, ModelSettings)
_Settings = SourceSettings | ModelSettings
_T = TypeVar("_T")
_NAMED_FIELD = re.compile(r"([a-z_]+(?:\.\w+)+) (?=is )")


class Declared(dict[str, _T], Generic[_T]):
    """Settings by name, without those in broken files: whoever asks for one of them gets what is wrong with it.

    Attributes:
        broken: the files that may be about settings of this kind.
    """

    def __init__(self, settings: Mapping[str, _T], broken: Sequence[BrokenFile]) -> None:
        """Put settings and broken files together."""
        super().__init__(settings)
        self.broken = tuple(broken)

    @property
    def unread(self) -> dict[str, BrokenFile]:
        """The broken files by the names that they may be about."""
        return {name: file for file in self.broken for name in file.names if name not in self}

    def __missing__(self, name: str) -> NoReturn:
        """Say why it is not there.

        Raises:
            BrokenSettings: its file is broken.
            KeyError: nothing is declared under this name.
        """
        if (file := self.unread.get(name)) is not None:
            raise file.error()
        raise KeyError(name)


def read_settings(folder: Path, kind: type[SettingsType]) -> Declared[SettingsType]:
    """All settings of one kind (or a kind of it) under a folder, by name; quick, because Dagster is not loaded."""
    settings, broken = _read(folder, stamp_of(folder), PROJECT.settings)
    chosen = {name: entry for (_, name), entry in settings.items() if isinstance(entry, kind)}
    own = {name for name, component in COMPONENTS.items() if issubclass(component, kind)}
    return Declared(chosen, [file for file in broken if not file.kind or file.kind in own])


def broken_files(folder: Path) -> list[BrokenFile]:
    """The files under a folder that declare nothing until they are corrected."""
    return list(_read(folder, stamp_of(folder), PROJECT.settings)[1])


def settings_file(folder: Path, name: str) -> Path:
    """The file under a folder that declares the model of this name.

    Raises:
        ValueError: there is none, or it is broken.
    """
    for file in read_files(folder):
        if isinstance(file, BrokenFile):
            if name in file.names:
                raise file.error()
        elif any(document.kind == "MonitoredModel" and document.name == name for document in file):
            return file[0].path
    raise ValueError(f"No file under {folder} declares a monitored model {name!r}. Add it, or correct the name.")


@lru_cache(maxsize=8)
def _read(
    folder: Path, stamp: object, version: int
) -> tuple[dict[tuple[type, str], _Settings], tuple[BrokenFile, ...]]:
    """Everything under a folder by the kind of settings and name. A file is sound as a whole, or broken."""
    del stamp
    declared: dict[tuple[type, str], _Settings] = {}
    broken = []
    for file in read_files(folder):
        if isinstance(file, BrokenFile):
            broken.append(file)
            continue
        own: dict[tuple[type, str], _Settings] = {}
        mistakes = _outdated(file[0].path, version)
        for document in () if mistakes else file:
            if (component := COMPONENTS.get(document.kind)) is None:
                continue
            values, faults = put_in(document.values.get("attributes") or {})
            if faults:
                mistakes += [_mistake(document, place, why) for place, why in faults]
                continue
            try:
                settings: Any = component.model_validate(values)
            except ValidationError as error:
                mistakes += _mistakes(document, component, error)
                continue
            key = (ModelSettings if isinstance(settings, ModelSettings) else SourceSettings, settings.name)
            if key in declared or key in own:
                line = document.line(["attributes", "name"])
                mistakes.append(
                    f"{document.path}:{line}: the name {settings.name!r} is taken by another file; give it another."
                )
            own[key] = settings
        if mistakes:
            names = frozenset(document.name for document in file if document.name) | {file[0].path.parent.name}
            kind = file[0].kind if len(file) == 1 else ""
            message = "\n".join(mistakes).rstrip(".") + f". Correct the file. {OTHERS_GO_ON}"
            has_model = any(document.kind == "MonitoredModel" for document in file)
            broken.append(BrokenFile(file[0].path, names, message, kind, has_model))
        else:
            declared |= own
    return declared, tuple(broken)


def _outdated(path: Path, version: int) -> list[str]:
    """What a file of an older version says that would be refused or misread: `file:line:column: field: why`."""
    if version == SETTINGS:
        return []
    return [f"{path}:{field.sentence}" for field in outdated_fields(path.read_text(encoding="utf-8-sig"), version)]


def _mistakes(document: Document, kind: type[Any], error: ValidationError) -> Iterator[str]:
    """A line of text for each mistake: `file:line: field: what is wrong`."""
    for fault in error.errors():
        # A rule of our own ends in the remedy; pydantic's name what they expect.
        message = fault["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        if fault["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            became = hint_of(document.kind, fault["loc"])
            message = f"there is no such field; {became or 'there are ' + ', '.join(_fields(kind, fault['loc'][:-1]))}"
        named = _NAMED_FIELD.match(message)
        place = named[1].split(".") if named else []
        if named and place[0] in _fields(kind, ()) and place[: len(fault["loc"])] == list(fault["loc"]):
            # A rule about several fields names the one to change: that one's line is shown.
            yield _mistake(document, place, f"it {message[named.end() :]}")
        else:
            yield _mistake(document, fault["loc"], message)


def _mistake(document: Document, place: Sequence[str | int], message: str) -> str:
    fields = ["attributes", *place]
    return f"{document.path}:{document.line(fields)}: {'.'.join(map(str, fields))}: {message}"


def _fields(kind: Any, place: Sequence[str | int]) -> list[str]:
    """The fields that there are at a place in the settings."""
    for part in place:
        known = getattr(kind, "__pydantic_fields__", {})
        if part in known:
            kind = known[str(part)].annotation
    return sorted(getattr(kind, "__pydantic_fields__", {}))
