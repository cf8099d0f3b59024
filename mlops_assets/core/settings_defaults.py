"""Settings that several models share: which fields may be given for many, and what holds where several files say it.

Here: the fields that only one model can have, laying one file's fields over another's, and which of them a value comes
from. Not here: the fields themselves (`core.settings`), the files (`world.declared_files`).

Mappings are merged field by field; lists and single values are replaced, and null is a single value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_changes import hint_of

FieldPlace = tuple[str | int, ...]
_LABEL = "it says what the model predicts"
_DAYS = "the days that it predicts are its own"
OWN_FIELDS = {
    "name": "its assets, its record and its versions are called by it",
    "description": _LABEL,
    "label": _LABEL,
    "features": "they are joined by the keys of its label",
    "start": _DAYS,
    "end": _DAYS,
}
"""What only one model can have, each with the reason."""


@dataclass(frozen=True)
class Merged:
    """Fields that hold, and where they come from.

    Attributes:
        values: the fields, as in YAML.
        layers: the number of the layer that a place comes from; a mapping comes from the nearest one that has it.
    """

    values: dict[str, Any]
    layers: dict[FieldPlace, int]

    def layer_of(self, place: Sequence[str | int]) -> int:
        """The number of the layer that has a place, or the nearest place around it; 0 where none has."""
        return self.layers.get(self._known(place), 0)

    def is_section(self, place: Sequence[str | int]) -> bool:
        """Whether a place, or the nearest place around it, is a mapping, which several layers may have."""
        value: Any = self.values
        for part in (known := self._known(place)):
            value = value[part]
        return bool(known) and isinstance(value, dict)

    def _known(self, place: Sequence[str | int]) -> FieldPlace:
        lengths = range(len(place), 0, -1)
        return next((tuple(place[:n]) for n in lengths if tuple(place[:n]) in self.layers), ())


def merge(layers: Sequence[Mapping[Any, Any]]) -> Merged:
    """What holds of several layers of fields.

    Args:
        layers: the fields of `attributes` as YAML has them, the nearest first.
    """
    merged = Merged({}, {})
    for number in range(len(layers) - 1, -1, -1):
        _lay_over(merged, merged.values, layers[number], (), number)
    return merged


def _lay_over(merged: Merged, below: dict[Any, Any], above: Mapping[Any, Any], place: FieldPlace, number: int) -> None:
    for key, value in above.items():
        # YAML 1.1 reads the bare word `on` as true: both are one field.
        name = "on" if key is True else key
        here = (*place, name)
        if isinstance(value, Mapping):
            if not isinstance(below.get(name), dict):
                below[name] = {}
            merged.layers[here] = number
            _lay_over(merged, below[name], value, here, number)
            continue
        if isinstance(below.get(name), dict):
            for covered in [each for each in merged.layers if each[: len(here)] == here]:
                del merged.layers[covered]
        below[name] = deepcopy(value)
        merged.layers[here] = number


def unfit_defaults(values: Mapping[Any, Any]) -> Iterator[tuple[FieldPlace, str]]:
    """What cannot be given for many models: each place and why. The values are judged with each model's."""
    known = ModelSettings.model_fields
    for name in values:
        if name in OWN_FIELDS:
            reason, own = OWN_FIELDS[name], ", ".join(OWN_FIELDS)
            yield (name,), f"only one model can have it: {reason}. Write it into its defs.yaml, as all of {own}"
        elif name not in known:
            known_fields = ", ".join(sorted(known.keys() - OWN_FIELDS.keys()))
            hint = hint_of("MonitoredModel", [name]) or f"there are {known_fields}"
            if name in ("type", "attributes"):
                hint = f"the fields of attributes stand at the top of this file: {known_fields}"
            yield (str(name),), f"there is no such field; {hint}"


@dataclass(frozen=True)
class SettingValue:
    """A value that holds for a model.

    Attributes:
        place: of its field.
        value: as YAML has it.
        file: that gives it, from the folder of all declarations; empty: the platform's own default.
        line: in it, counted from 1.
        follows: the field of the same section whose value decides this one; empty where the file says it itself.
    """

    place: FieldPlace
    value: Any
    file: str = ""
    line: int = 0
    follows: str = ""

    @property
    def origin(self) -> str:
        """Where it comes from."""
        if not self.file:
            return "default"
        return f"{self.file}:{self.line}" + (f" ({self.follows})" if self.follows else "")
