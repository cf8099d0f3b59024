"""The documents of `defs/**/defs.yaml` and `defaults.yaml` as YAML, file by file: a broken one hides no other.

Here: which files there are, what YAML says in them, why one cannot be read and which source or model it may be about.
Not here: their fields (`core.settings`), whether they are right (`settings_files`). Imports nothing heavy.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import yaml

T = TypeVar("T")
DECLARATIONS, DEFAULTS = "defs.yaml", "defaults.yaml"
_OURS = "mlops_assets."
FLEET = "MonitoredFleet"
MODELS = ("MonitoredModel", FLEET)
"""Components that declare models."""
_KINDS = ("LandingSource", "StreamSource", *MODELS)
_FIELDS = {"type", "attributes", "template_vars_module", "requirements", "post_processing"}
"""Of a document, as Dagster has them."""
_NAME = re.compile(r"^\s*name:\s*[\"']?([\w-]+)", re.MULTILINE)
_CONFLICT = re.compile(r"^(<{7}|={7}|>{7})( |$)")
_BRACES = "found unhashable key"
"""What PyYAML says of `{{ env.NAME }}` without quotes: a mapping that is the key of a mapping, or a list that is."""
OTHERS_GO_ON = "All else goes on."
_MOST_NAMES = 10
"""Of models that wait for one file, as many are named where all of them are meant."""


class _Twice(yaml.MarkedYAMLError):
    """A field stands twice in one place; YAML would take the last one without a word."""


class _Loader(yaml.SafeLoader):
    """YAML of which nothing is dropped."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if (name := str(key.value)) in lines:
                raise _Twice(problem=f"{name[:100]} stands in line {lines[name]} already", problem_mark=key.start_mark)
            lines[name] = key.start_mark.line + 1
        return super().construct_mapping(node, deep=deep)


class BrokenSettings(ValueError):
    """A source or model that is declared in a file that cannot be read, or holds a mistake."""


@dataclass(frozen=True)
class BrokenFile:
    """A file that declares nothing until it is corrected.

    Attributes:
        path: the file.
        names: the sources and models that it is about, as far as that can be seen.
        sentence: file, line where it is known, what is wrong and what to do.
        kind: of component, where that can be read.
        has_model: whether it declares a model, as far as that can be seen.
        below: of shared defaults, the folders that declare nothing because of it; empty: its own.
    """

    path: Path
    names: frozenset[str]
    sentence: str
    kind: str = ""
    has_model: bool = False
    below: frozenset[Path] = frozenset()

    @property
    def left_out(self) -> frozenset[Path]:
        """The folders that declare nothing until it is corrected."""
        return self.below if self.path.name == DEFAULTS else frozenset({self.path.parent})

    @property
    def subjects(self) -> str:
        """What it is about, in a few words."""
        names = sorted(self.names)
        if len(names) > _MOST_NAMES:
            return f"{', '.join(names[:_MOST_NAMES])} and {len(names) - _MOST_NAMES:,} more"
        return ", ".join(names) or self.path.name

    def error(self) -> BrokenSettings:
        """The same to be raised."""
        return BrokenSettings(self.sentence)


@dataclass(frozen=True)
class Document:
    """One YAML document of a file: its place, counted from 0, and what it says."""

    path: Path
    number: int
    values: dict[str, Any]

    @property
    def kind(self) -> str:
        """The component's name."""
        return str(self.values.get("type", "")).rsplit(".", 1)[-1]

    @property
    def name(self) -> str:
        """Of the source or model; empty without one."""
        attributes = self.values.get("attributes")
        return str(attributes.get("name", "")) if isinstance(attributes, dict) else ""

    @property
    def fields(self) -> Any:
        """What stands under `attributes`: a mapping, where it is right."""
        return self.values.get("attributes") or {}

    def place(self, fields: Sequence[str | int]) -> list[str | int]:
        """Where a field of `attributes` stands in the document."""
        return ["attributes", *fields]

    @cached_property
    def _root(self) -> yaml.Node:
        text = self.path.read_text(encoding="utf-8-sig")
        root: yaml.Node = list(yaml.compose_all(text, Loader=yaml.SafeLoader))[self.number]
        return root

    def line(self, fields: Sequence[str | int]) -> int:
        """The line of a place in the document, or of the nearest one around it that is there."""
        node = self._root
        line = node.start_mark.line
        for field in fields:
            if isinstance(node, yaml.MappingNode):
                matches = [(key, value) for key, value in node.value if key.value == str(field)]
                if not matches:
                    break
                line, node = matches[0][0].start_mark.line, matches[0][1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(field, int):
                node = node.value[field]
                line = node.start_mark.line
        return line + 1


class SharedDefaults(Document):
    """A `defaults.yaml`: fields of the models in its folder and below, at the top of the file."""

    @property
    def fields(self) -> Any:
        """The whole document."""
        return self.values

    def place(self, fields: Sequence[str | int]) -> list[str | int]:
        """The same."""
        return list(fields)


Read = tuple[Document, ...] | BrokenFile


def read_files(folder: Path) -> list[Read]:
    """Each `defs.yaml` under a folder, in the order of their paths: its documents, or why it cannot be read."""
    return [file if isinstance(file, BrokenFile) else _parsed(file, _stamp(file)) for file in _files(folder)]


def read_defaults(folder: Path) -> list[SharedDefaults | BrokenFile]:
    """Each `defaults.yaml` under a folder: what it says, or why it cannot be read."""
    return [_parsed_defaults(file, _stamp(file)) for file in _files(folder, DEFAULTS) if isinstance(file, Path)]


def defaults_above(folder: Path, root: Path) -> list[SharedDefaults | BrokenFile]:
    """Each `defaults.yaml` in a folder and those around it, up to a root, the nearest first."""
    around = [at / DEFAULTS for at in (folder, *folder.parents) if at.is_relative_to(root)]
    return [_parsed_defaults(file, _stamp(file)) for file in around if os.path.lexists(file)]


Stamp = tuple[tuple[str, object], ...]
_SEEN: ContextVar[dict[Hashable, Any] | None] = ContextVar("what was looked at", default=None)


@contextmanager
def looked_at_once() -> Iterator[None]:
    """Within it what is declared is looked at once: a load, a tick or a report asks for it model by model."""
    token = None if _SEEN.get() is not None else _SEEN.set({})
    try:
        yield
    finally:
        if token is not None:
            _SEEN.reset(token)


def once(what: Hashable, look: Callable[[], T]) -> T:
    """What a look gives; within `looked_at_once` what the first one gave."""
    seen = _SEEN.get()
    if seen is None:
        return look()
    if what not in seen:
        seen[what] = look()
    value: T = seen[what]
    return value


def stamp_of(folder: Path) -> Stamp:
    """Changes when one of the files does; every tick of every sensor asks for them."""
    return once(("files", folder), lambda: _stamp_of(folder))


def _stamp_of(folder: Path) -> Stamp:
    return tuple(
        (str(file.path), 0) if isinstance(file, BrokenFile) else (str(file), _stamp(file))
        for file in _files(folder, DECLARATIONS, DEFAULTS)
    )


def files_without(folder: Path, names: AbstractSet[str]) -> list[Path]:
    """The files under a folder that declare nothing of these names, as far as a look at their text can tell.

    Where there are no names, or one stands in no file, nothing is left out: then everything is to be read.
    """
    texts = {
        file: file.read_text(encoding="utf-8-sig", errors="replace")
        for file in _files(folder)
        if isinstance(file, Path)
    }
    named = {file: _named(text, names) for file, text in texts.items()}
    if not names or names - set().union(*named.values()):
        return []
    return [file for file, those in named.items() if not those]


def _named(text: str, names: AbstractSet[str]) -> set[str]:
    """Those of some names that a text may declare; a fleet's are also those that begin with its name."""
    there = set(_NAME.findall(text))
    fleets = tuple(f"{name}_" for name in there) if FLEET in text else ()
    return {name for name in names if name in there or name.startswith(fleets)}


def _files(folder: Path, *names: str) -> Iterator[Path | BrokenFile]:
    """The files of these names under a folder, by default those that declare; then the folders that cannot be read."""
    shut: list[OSError] = []
    paths = [
        Path(at, name)
        for at, *entries in os.walk(folder, onerror=shut.append)
        for name in {*(names or [DECLARATIONS])} & {*chain(*entries)}
    ]
    yield from sorted(paths)
    for error in shut:
        if (place := Path(error.filename)) != folder:
            message = f"{place} cannot be opened ({error.strerror}). Let it be read, or remove it. {OTHERS_GO_ON}"
            yield BrokenFile(place / DECLARATIONS, frozenset({place.name}), message)


def _stamp(path: Path) -> tuple[int, ...]:
    stat = path.lstat()
    if path.is_symlink() and path.exists():
        stat = path.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_mode


@cache
def _parsed(path: Path, stamp: tuple[int, ...]) -> Read:
    del stamp
    content, parts = _loaded(path)
    if isinstance(parts, BrokenFile):
        return parts
    documents = tuple(Document(path, number, values) for number, values in enumerate(parts) if isinstance(values, dict))
    if len(documents) < len(parts):
        number = next(number for number, values in enumerate(parts) if not isinstance(values, dict))
        message = f"document {number + 1} of it is no settings: they begin with type. Correct it."
        return _broken(path, content, 0, message)
    for document in documents:
        if fault := _fault(document):
            kind = document.kind if document.kind in _KINDS else ""
            return _broken(path, content, document.line(["type"]), f"{fault} Correct it.", kind)
    return documents


@cache
def _parsed_defaults(path: Path, stamp: tuple[int, ...]) -> SharedDefaults | BrokenFile:
    del stamp
    content, parts = _loaded(path)
    if isinstance(parts, BrokenFile):
        return parts
    if len(parts) != 1 or not isinstance(parts[0], dict):
        return _broken(path, content, 0, "it is no mapping of fields, such as owners: [team:pricing]. Correct it.")
    return SharedDefaults(path, 0, parts[0])


def _loaded(path: Path) -> tuple[bytes, list[Any] | BrokenFile]:
    """What a file holds, and its documents."""
    content = b""
    try:
        content = path.read_bytes()
        parts = list(yaml.load_all(content.decode("utf-8-sig"), Loader=_Loader))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        return content, _broken(path, content, *_why(error, content))
    if not any(part is not None for part in parts):
        return content, _broken(path, content, 0, "it is empty. Write the settings into it, or remove it.")
    return content, parts


def _why(error: Exception, content: bytes) -> tuple[int, str]:
    """The line, 0 where nobody knows it, and what is wrong there."""
    if isinstance(error, OSError):
        return 0, f"it cannot be read ({error.strerror}). Let it be read, or remove it."
    if isinstance(error, UnicodeDecodeError):
        return content[: error.start].count(b"\n") + 1, "it is not UTF-8. Save it as UTF-8."
    if isinstance(error, RecursionError):
        return 0, "it is nested without end. Correct it."
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        if isinstance(error, _Twice):
            return line, f"{error.problem}. Keep one of the two."
        if error.problem == _BRACES and "{{" in content.decode("utf-8-sig").splitlines()[line - 1]:
            return line, 'braces in braces are no YAML. Quote what stands in the environment: "{{ env.NAME }}".'
        return line, f"this is no YAML ({error.problem or error.context}). Correct the line."
    if isinstance(error, yaml.reader.ReaderError):
        line = content.decode("utf-8-sig")[: error.position].count("\n") + 1
        return line, f"this is no YAML ({error.reason}). Correct the line."
    # Such as a day that there is not: YAML does not say where.
    return 0, f"it cannot be read ({error}). Correct it."


def _fault(document: Document) -> str:
    """What Dagster would not take; the fields of a component are looked at elsewhere."""
    if other := sorted(map(str, document.values.keys() - _FIELDS)):
        return f"there is no such field beside type and attributes: {', '.join(other)[:200]}."
    kind = document.values.get("type")
    if not isinstance(kind, str):
        return "it does not say its type, such as mlops_assets.components.LandingSource."
    if kind.startswith(_OURS) and document.kind not in _KINDS:
        return f"there is no type {kind[:100]}; there are {', '.join(f'mlops_assets.components.{k}' for k in _KINDS)}."
    return ""


def _broken(path: Path, content: bytes, line: int, why: str, kind: str = "") -> BrokenFile:
    text = content.decode("utf-8", errors="replace")
    marks = [number for number, of in enumerate(text.splitlines(), start=1) if _CONFLICT.match(of)]
    if marks and line:
        line, why = marks[0], "two versions of it were merged and neither was chosen. Keep one, without the marks."
    place = f"{path}:{line}" if line else f"{path}"
    names = frozenset(_NAME.findall(text)) | {path.parent.name}
    return BrokenFile(path, names, f"{place}: {why} {OTHERS_GO_ON}", kind, any(model in text for model in MODELS))
