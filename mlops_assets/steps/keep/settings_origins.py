"""What holds for a model, value by value, and where each comes from.

Here: holding the settings against the files that give them. Not here: reading those (`world.settings_files`), showing
values and places (`commands.settings`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mlops_assets.core.decide.retrain_policy import RetrainPolicy
from mlops_assets.core.drift.settings import DriftSpec
from mlops_assets.core.rollout.moves import RolloutPolicy
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_defaults import FieldPlace, Merged, SettingValue, merge
from mlops_assets.core.settings_fleet import MemberSettings
from mlops_assets.core.settings_sections import GateSpec
from mlops_assets.world.declared_files import Document
from mlops_assets.world.settings_files import layers_of

_BY_DEFAULT: dict[FieldPlace, dict[str, Any]] = {
    ("retrain",): RetrainPolicy().to_dict(),
    ("gate",): asdict(GateSpec()),
    ("rollout",): asdict(RolloutPolicy.of_preset("careful")),
    ("monitoring", "drift"): asdict(DriftSpec()),
}
"""The sections in which one field decides what others are where they are left out."""


def settings_origins(folder: Path, model: ModelSettings) -> list[SettingValue]:
    """Each value that holds, in the order of the fields, with its file and line.

    Args:
        folder: of all declarations; files are named from there.
        model: one that is declared under it.
    """
    layers = layers_of(folder, model.pool if isinstance(model, MemberSettings) else model.name)
    written = merge([layer.fields for layer in layers])
    overridden = _overridden(written, model.value) if isinstance(model, MemberSettings) else {}
    written.layers.update({place: written.layers[there] for place, there in overridden.items()})
    return [_named(folder, layers, written, value, overridden) for value in _values(model.to_fields(), ())]


def _overridden(fleet: Merged, value: str) -> dict[FieldPlace, FieldPlace]:
    """The fields that a member's override gives, each with the place where it stands in the YAML of its fleet."""
    there = [place for place in fleet.layers if place[0] == "overrides" and len(place) > 2 and str(place[1]) == value]
    return {place[2:]: place for place in there}


def _values(fields: dict[str, Any], at: FieldPlace) -> Iterator[SettingValue]:
    """Each value by its place."""
    for name, value in fields.items():
        place = (*at, name)
        if isinstance(value, dict) and value:
            yield from _values(value, place)
        else:
            yield SettingValue(place, value)


def _named(
    folder: Path,
    layers: Sequence[Document],
    written: Merged,
    value: SettingValue,
    overridden: Mapping[FieldPlace, FieldPlace],
) -> SettingValue:
    """The value with where it comes from."""
    section, source, follows = value.place[:-1], value.place, ""
    if source not in written.layers:
        deciding = next((each for each in _deciding(value.place) if each in written.layers), None)
        if deciding is None or value.value == _BY_DEFAULT[section].get(str(value.place[-1])):
            return value
        source, follows = deciding, str(deciding[-1])
    layer = layers[written.layers[source]]
    file, line = layer.path.relative_to(folder).as_posix(), layer.line(layer.place(overridden.get(source, source)))
    return replace(value, file=file, line=line, follows=follows)


def _deciding(place: FieldPlace) -> Iterator[FieldPlace]:
    """The fields that may decide what this one is where it is left out."""
    section = place[:-1]
    if section in _BY_DEFAULT:
        if place == ("retrain", "budget_period"):
            yield ("retrain", "budget")
        yield (*section, "preset")
        yield (*section, "on")
