"""Settings as they stand in `defs/**/defs.yaml` and the `defaults.yaml` above it; Dagster reads them from here, too.

Here: all settings of one kind under a folder, the files that hold mistakes, which files a model's settings come from.
Not here: the files as YAML (`declared_files`), the fields (`core.settings`), how one lies over another
(`core.settings_defaults`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from pydantic import ValidationError

from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_changes import SETTINGS, hint_of, outdated_fields
from mlops_assets.core.settings_defaults import merge, unfit_defaults
from mlops_assets.core.settings_fleet import (
    FleetSettings,
    MemberSettings,
    member_fields,
    overridden,
    override_of,
)
from mlops_assets.core.settings_kinds import COMPONENTS
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.sources.stream_settings import StreamSettings
from mlops_assets.world.declared_files import (
    MODELS,
    OTHERS_GO_ON,
    BrokenFile,
    Document,
    SharedDefaults,
    defaults_above,
    read_defaults,
    read_files,
    stamp_of,
)
from mlops_assets.world.files.environment_values import put_in
from mlops_assets.world.home import Home
from mlops_assets.world.landed.declared_models import DeclaredModel, models_in
from mlops_assets.world.landed.fleet_values import BroughtValues, brought_values
from mlops_assets.world.project import PROJECT

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

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


def read_settings(folder: Path, kind: type[SettingsType], home: Home | None = None) -> Declared[SettingsType]:
    """All settings of one kind (or a kind of it) under a folder, by name; quick, because Dagster is not loaded.

    Args:
        folder: with the YAML.
        kind: of the settings.
        home: whose data have brought members to fleets; by default the one that the environment names.
    """
    settings, broken = _read(folder, stamp_of(folder), PROJECT.settings, _brought(home))
    chosen = {name: entry for (_, name), entry in settings.items() if isinstance(entry, kind)}
    own = {name for name, component in COMPONENTS.items() if issubclass(component, kind)}
    return Declared(chosen, [file for file in broken if not file.kind or file.kind in own])


def broken_files(folder: Path) -> list[BrokenFile]:
    """The files under a folder that declare nothing until they are corrected."""
    return list(_read(folder, stamp_of(folder), PROJECT.settings, _brought(None))[1])


def _brought(home: Home | None) -> tuple[BroughtValues, ...]:
    return brought_values(home or Home.from_environment())


def settings_file(folder: Path, name: str) -> Path:
    """The file under a folder that declares the model of this name.

    Raises:
        ValueError: there is none, or it is broken.
    """
    for file in read_files(folder):
        if isinstance(file, BrokenFile):
            if name in file.names:
                raise file.error()
        elif any(document.kind in MODELS and document.name == name for document in file):
            return file[0].path
    raise _undeclared(folder, name)


def model_settings(own: Mapping[str, Any], folder: Path, root: Path) -> ModelSettings:
    """The settings of the model whose own fields stand in a folder: those fields over the defaults above them.

    Args:
        own: its fields under `attributes`, as YAML has them.
        folder: where its file is.
        root: of all declarations.

    Raises:
        BrokenSettings: they, or the defaults, hold a mistake.
    """
    shared = defaults_above(folder, root)
    layers = [own, *(each.fields for each in shared if isinstance(each, SharedDefaults))]
    values, faults = put_in(merge(layers).values)
    if not faults and not any(_unfit(each, PROJECT.settings) for each in shared):
        with suppress(ValidationError):
            return ModelSettings.model_validate(values)
    # What is wrong is said with file and line, as by all readers.
    return read_settings(root, ModelSettings)[own["name"]]


def fleet_models(name: str, root: Path) -> list[ModelSettings]:
    """The pooled model of a fleet and its members, as the home of the environment has them.

    Raises:
        BrokenSettings: its file, or the defaults above it, hold a mistake.
    """
    declared = read_settings(root, ModelSettings)
    members = [each for each in declared.values() if isinstance(each, MemberSettings) and each.pool == name]
    return [declared[name], *members]


def layers_of(folder: Path, name: str) -> list[Document]:
    """The documents that say what holds for a model, the nearest first: its own, then the defaults above it.

    Raises:
        ValueError: no file declares it.
    """
    for document in _models(folder):
        if document.name == name:
            return _layers(document, folder)
    raise _undeclared(folder, name)


def models_given(folder: Path, field: str) -> list[str]:
    """The models under a folder that have a field of `attributes` by shared defaults."""
    models = _models(folder) if read_defaults(folder) else []
    return [model.name for model in models if any(field in layer.fields for layer in _layers(model, folder)[1:])]


def owners_of_models(folder: Path, models: Iterable[DeclaredModel]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The owners of each of the models under a folder, also of one whose other settings are wrong.

    Returns:
        Them by the model's name, and why they are not known, where a file that may name them cannot be read.
    """
    owners: dict[str, list[str]] = {}
    unknown: dict[str, str] = {}
    for model in models:
        document = model.document
        layers = [document, *defaults_above(document.path.parent, folder)]
        fields = [layer if isinstance(layer, BrokenFile) else layer.fields for layer in layers]
        if model.value is not None and isinstance(document.fields, dict):
            fields.insert(0, override_of(document.fields, model.value))
        for given in fields:
            if isinstance(given, BrokenFile):
                unknown[model.name] = given.sentence
                break
            if isinstance(given, dict) and "owners" in given:
                named, _ = put_in(given["owners"])
                owners[model.name] = [str(each) for each in named] if isinstance(named, list) else []
                break
    return owners, unknown


def _models(folder: Path) -> list[Document]:
    files = [file for file in read_files(folder) if not isinstance(file, BrokenFile)]
    return [document for file in files for document in file if document.kind in MODELS]


def _layers(document: Document, folder: Path) -> list[Document]:
    """A document, and the defaults that it lies over."""
    if document.kind not in MODELS or not isinstance(document.fields, dict):
        return [document]
    shared = defaults_above(document.path.parent, folder)
    return [document, *(each for each in shared if isinstance(each, SharedDefaults))]


def _undeclared(folder: Path, name: str) -> ValueError:
    return ValueError(f"No file under {folder} declares a monitored model {name!r}. Add it, or correct the name.")


@lru_cache(maxsize=8)
def _read(
    folder: Path, stamp: object, version: int, brought: tuple[BroughtValues, ...]
) -> tuple[dict[tuple[type, str], _Settings], tuple[BrokenFile, ...]]:
    """Everything under a folder by the kind of settings and name. A file is sound as a whole, or broken."""
    del stamp
    declared: dict[tuple[type, str], _Settings] = {}
    fleets: list[tuple[Document, dict[str, Any]]] = []
    damaged = {each.fleet: each.damage for each in brought if each.damage}
    broken = []
    unfit = {each.path: _unfit(each, version) for each in read_defaults(folder)}
    waiting: dict[Path, list[_Waiting]] = {path: [] for path, mistakes in unfit.items() if mistakes}
    for file in read_files(folder):
        if isinstance(file, BrokenFile):
            broken.append(file)
            continue
        has_model = any(document.kind in MODELS for document in file)
        above = defaults_above(file[0].path.parent, folder) if has_model and unfit else []
        mistakes = [mistake for each in above for mistake in unfit.get(each.path, ())] or _outdated(
            file[0].path, version
        )
        own: dict[tuple[type, str], _Settings] = {}
        own_fleets = []
        for document in () if mistakes else file:
            settings, values, wrong = _settings_of(document, folder)
            mistakes += wrong
            if settings is None:
                continue
            if isinstance(settings, FleetSettings):
                own_fleets.append((document, values))
                if settings.values is None and settings.name in damaged:
                    mistakes.append(_Mistake(document.path, damaged[settings.name]))
            key = (ModelSettings if isinstance(settings, ModelSettings) else SourceSettings, settings.name)
            if key in declared or key in own:
                line = document.line(["attributes", "name"])
                text = f"{document.path}:{line}: the name {settings.name!r} is taken by another file; give it another."
                mistakes.append(_Mistake(document.path, text))
            own[key] = settings
        if not mistakes:
            declared |= own
            fleets += own_fleets
        elif all(mistake.path != file[0].path for mistake in mistakes):
            waiting.setdefault(mistakes[0].path, []).append(_Waiting(file, mistakes))
        else:
            broken.append(_broken(file, mistakes))
    declared |= {(ModelSettings, member.name): member for member in _members(folder, fleets, brought)}
    return declared, (*broken, *(_broken_defaults(path, files, unfit.get(path, ())) for path, files in waiting.items()))


def _members(
    folder: Path, fleets: Sequence[tuple[Document, dict[str, Any]]], brought: Sequence[BroughtValues]
) -> Iterator[MemberSettings]:
    """The members of sound fleets. All documents are looked at, so that a name does not change when one breaks."""
    if not fleets:
        return
    files = [file for file in read_files(folder) if not isinstance(file, BrokenFile)]
    by_place = {(document.path, document.number): values for document, values in fleets}
    usual: dict[str, MemberSettings] = {}
    for model in models_in([document for file in files for document in file], brought):
        document = model.document
        values = by_place.get((document.path, document.number))
        if values is None or model.value is None:
            continue
        name = str(values["name"])
        fields = member_fields(values, model.value, model.name)
        if model.value in {str(key) for key in values.get("overrides") or {}}:
            yield MemberSettings.model_validate(fields)
            continue
        # They differ in these alone: validating a thousand takes seconds.
        known = usual.get(name) or usual.setdefault(name, MemberSettings.model_validate(fields))
        label = known.label.model_copy(update={"only": fields["label"]["only"]})
        own = {"name": model.name, "description": fields["description"], "label": label, "value": model.value}
        yield known.model_copy(update=own)


def _settings_of(document: Document, folder: Path) -> tuple[_Settings | None, dict[str, Any], list[_Mistake]]:
    """The settings that a document and the defaults above it declare, the fields they are of, or the mistakes."""
    if (component := COMPONENTS.get(document.kind)) is None:
        return None, {}, []
    layers = _layers(document, folder)
    merged = merge([layer.fields for layer in layers]) if layers[1:] else None
    values, faults = put_in(merged.values if merged else document.fields)
    if faults:
        return None, {}, [_mistake(layers[merged.layer_of(at) if merged else 0], at, why) for at, why in faults]
    try:
        settings: Any = component.model_validate(values)
    except ValidationError as error:
        return None, {}, list(_mistakes(layers, component, error))
    wrong = list[_Mistake]()
    for key, fields in overridden(values) if isinstance(settings, FleetSettings) else ():
        try:
            MemberSettings.model_validate(fields)
        except ValidationError as error:
            # Only a fleet's own file has overrides.
            wrong += [
                _mistake(document, ("overrides", key, *fault["loc"]), _message(ModelSettings, document.kind, fault))
                for fault in error.errors()
            ]
    return settings, values, wrong


@dataclass(frozen=True)
class _Mistake:
    """What is wrong in a file: `file:line: field: what is wrong`."""

    path: Path
    text: str


@dataclass(frozen=True)
class _Waiting:
    """A file that is sound but for the defaults above it."""

    file: tuple[Document, ...]
    mistakes: list[_Mistake]


def _broken(file: tuple[Document, ...], mistakes: Sequence[_Mistake]) -> BrokenFile:
    names = frozenset(document.name for document in file if document.name) | {file[0].path.parent.name}
    kind = file[0].kind if len(file) == 1 else ""
    has_model = any(document.kind in MODELS for document in file)
    return BrokenFile(file[0].path, names, _sentence(mistakes), kind, has_model)


def _broken_defaults(path: Path, files: Sequence[_Waiting], unfit: Sequence[_Mistake]) -> BrokenFile:
    """Defaults that are wrong by themselves, or for some of the models below them, which are left out."""
    documents = [document for waiting in files for document in waiting.file]
    names = frozenset(document.name for document in documents if document.name)
    kinds = {document.kind for document in documents}
    kind = kinds.pop() if len(kinds) == 1 and kinds <= {*MODELS} else ""
    below = frozenset(waiting.file[0].path.parent for waiting in files)
    mistakes = [*unfit, *(mistake for waiting in files for mistake in waiting.mistakes)]
    return BrokenFile(path, names, _sentence(mistakes), kind, has_model=bool(files), below=below)


def _sentence(mistakes: Sequence[_Mistake]) -> str:
    """All mistakes, each once, with the remedy."""
    texts = "\n".join(dict.fromkeys(mistake.text for mistake in mistakes))
    return texts if texts.endswith(OTHERS_GO_ON) else texts.rstrip(".") + f". Correct the file. {OTHERS_GO_ON}"


def _unfit(defaults: SharedDefaults | BrokenFile, version: int) -> list[_Mistake]:
    """What is wrong with defaults whatever model they are for."""
    if isinstance(defaults, BrokenFile):
        return [_Mistake(defaults.path, defaults.sentence)]
    wrong = [_mistake(defaults, place, why) for place, why in unfit_defaults(defaults.values)]
    return _outdated(defaults.path, version) or wrong


def _outdated(path: Path, version: int) -> list[_Mistake]:
    """What a file of an older version says that would be refused or misread: `file:line:column: field: why`."""
    if version == SETTINGS:
        return []
    fields = outdated_fields(path.read_text(encoding="utf-8-sig"), version)
    return [_Mistake(path, f"{path}:{field.sentence}") for field in fields]


def _mistakes(layers: Sequence[Document], kind: type[Any], error: ValidationError) -> Iterator[_Mistake]:
    """Each mistake, in the layer that it comes from."""
    for fault in error.errors():
        layer = layers[_layer_at_fault(layers, kind, fault)]
        message = _message(kind, layer.kind, fault)
        named = _NAMED_FIELD.match(message)
        place = named[1].split(".") if named else []
        if named and place[0] in _fields(kind, ()) and place[: len(fault["loc"])] == list(fault["loc"]):
            # A rule about several fields names the one to change: that one's line is shown.
            named_layer = layers[merge([each.fields for each in layers]).layer_of(place)] if layers[1:] else layer
            yield _mistake(named_layer, place, f"it {message[named.end() :]}")
        else:
            yield _mistake(layer, fault["loc"], message)


def _message(kind: type[Any], component: str, fault: ErrorDetails) -> str:
    """What is wrong; a rule of our own ends in the remedy, pydantic's name what they expect."""
    if fault["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        became = hint_of("MonitoredModel" if issubclass(kind, ModelSettings) else component, fault["loc"])
        return f"there is no such field; {became or 'there are ' + ', '.join(_fields(kind, fault['loc'][:-1]))}"
    return fault["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")


def _layer_at_fault(layers: Sequence[Document], kind: type[Any], fault: ErrorDetails) -> int:
    """The layer whose value is wrong; of a section that several have, the nearest one with which the fault arises."""
    if not layers[1:]:
        return 0
    fields = [layer.fields for layer in layers]
    merged = merge(fields)
    if not merged.is_section(fault["loc"]):
        return merged.layer_of(fault["loc"])
    for number in range(1, len(layers)):
        try:
            kind.model_validate(put_in(merge(fields[:number]).values)[0])
        except ValidationError as error:
            wrong = [(each["type"], each["loc"], each["msg"]) for each in error.errors()]
            if (fault["type"], fault["loc"], fault["msg"]) in wrong:
                return number - 1
    return len(layers) - 1


def _mistake(document: Document, place: Sequence[str | int], message: str) -> _Mistake:
    fields = document.place(place)
    text = f"{document.path}:{document.line(fields)}: {'.'.join(map(str, fields))}: {message}"
    return _Mistake(document.path, text)


def _fields(kind: Any, place: Sequence[str | int]) -> list[str]:
    """The fields that there are at a place in the settings."""
    for part in place:
        known = getattr(kind, "__pydantic_fields__", {})
        if part in known:
            kind = known[str(part)].annotation
    return sorted(getattr(kind, "__pydantic_fields__", {}))
