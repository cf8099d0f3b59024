"""Policies that people write down to try: a list in YAML, or fields of one, changing what a model's own YAML says.

Here: reading and checking such a file. Not here: what its fields were called before (`core.settings_changes`), what
they mean (`core.decide.policy`, `core.decide.probe`,
`core.promote.gate_policy`), trying them (`simulate.backtest`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from mlops_assets.core.decide.agreed.triggers import OnGain, Trigger
from mlops_assets.core.decide.policy import RetrainPolicy
from mlops_assets.core.decide.probe_policy import ProbePolicy
from mlops_assets.core.decide.retrain_policy import SET_BY_PLATFORM, as_fields
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_changes import hint_of, outdated_fields
from mlops_assets.core.settings_sections import GateSpec, ProbeSpec, with_preset
from mlops_assets.core.simulate.agreed_on_paper import is_on_paper
from mlops_assets.core.simulate.backtest import PRESENT
from mlops_assets.core.simulate.life_settings import LifePolicy
from mlops_assets.core.time.windows import parse_duration
from mlops_assets.world.project import PROJECT

NOT_ON_PAPER = ("mode", "quiet_hours", "price_money", "price_horizon")
"""Fields that a life on paper leaves at their defaults: nobody is there to approve, its clock knows ends of windows and
no hours, and its rows are a sample, which says nothing about money."""
WITHOUT_EFFECT = {
    "retrain": (*SET_BY_PLATFORM, "performance_breaches", "drift_breaches", *NOT_ON_PAPER),
    "probe": ("rows",),
    "gate": (
        "ship", "slice_margin", "slice_min_rows", "beat_baseline", "twin_correlation",
        "max_calibration_error", "calibration_margin", "max_size_mb", "max_latency_ms", "same_season", "golden_set",
    ),
}  # fmt: skip
"""Fields that change nothing on paper: there are no checks, slices, baselines, twins or further limits there, and rows
are sampled once for all (see also `NOT_ON_PAPER`)."""
ALLOWED = {
    section: tuple(f.name for f in fields(kind) if f.name not in WITHOUT_EFFECT[section])
    for section, kind in (("retrain", RetrainPolicy), ("probe", ProbePolicy), ("gate", GateSpec))
}
"""The fields that a policy may set, by section."""


def own_policy(model: ModelSettings) -> LifePolicy:
    """What the model's YAML says, as a life on paper takes it."""
    defaults = {name: getattr(RetrainPolicy(), name) for name in NOT_ON_PAPER}
    return LifePolicy(
        metric=model.metric,
        retrain=replace(model.retrain_policy, **defaults, on=_on_paper(model.retrain.on)),
        probe=model.probe,
        gate=model.gate,
        gate_window=parse_duration(model.gate.window),
        min_rows=model.training.min_rows,
        mature_share=model.label.mature_share,
        timezone=model.timezone,
    )


def _on_paper(triggers: tuple[Trigger, ...] | None) -> tuple[Trigger, ...] | None:
    """The triggers that can be lived on paper; what is measured where none can."""
    if triggers is None:
        return None
    return tuple(trigger for trigger in triggers if is_on_paper(trigger)) or (OnGain(),)


def not_lived(model: ModelSettings) -> list[str]:
    """The model's own triggers that a life on paper leaves out, by name."""
    return [trigger.name for trigger in model.retrain.on or () if not is_on_paper(trigger)]


def read_policies(file: Path, own: LifePolicy) -> dict[str, LifePolicy]:
    """The policies of a file by name: the model's own with the fields of each in their place.

    Raises:
        ValueError: the file is not there or says something that it cannot; the message names file and field and says
            what is allowed.
    """
    _require(file, "a list of policies")
    try:
        document = _document(file)
        if not isinstance(document, list) or not document:
            raise ValueError("it holds no list: write `- name: bold` and under it `retrain:`, `probe:` or `gate:`")
        policies: dict[str, LifePolicy] = {}
        for number, values in enumerate(document, start=1):
            name, policy = _policy(number, values, own)
            if name in policies or name == PRESENT:
                raise ValueError(f"the name {name!r} is taken: give each policy its own")
            policies[name] = policy
        return policies
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise ValueError(f"{file}: {error}. Nothing was written.") from error


def other_policy(own: RetrainPolicy, file: Path) -> RetrainPolicy:
    """A model's own policy with the fields of a file, which may stand under `retrain:` as in a model's YAML.

    Raises:
        ValueError: the file is not there, or cannot be read as fields of a policy; the message names it.
    """
    _require(file, "fields of `retrain:`")
    try:
        values = _document(file)
        if isinstance(values, dict) and set(values) == {"retrain"}:
            values = values["retrain"]
        if not isinstance(values, dict):
            raise ValueError("it holds no fields: write fields of `retrain:`, for example cooldown: 3d")
        for name, other in SET_BY_PLATFORM.items():
            if name in values:
                raise ValueError(f"{name} follows {other} of the model: remove it")
        return own.changed(values)
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise ValueError(f"{file} is no policy: {error}. Nothing was written.") from error


def _require(file: Path, holding: str) -> None:
    if not file.is_file():
        raise ValueError(f"There is no file {file}. Name a YAML file with {holding}. Nothing was written.")


def _document(file: Path) -> Any:
    """What a file says, in today's fields."""
    text = file.read_text(encoding="utf-8")
    if outdated := outdated_fields(text, PROJECT.settings):
        raise ValueError(" ".join(field.sentence for field in outdated).rstrip("."))
    return yaml.safe_load(text)


def _policy(number: int, values: Any, own: LifePolicy) -> tuple[str, LifePolicy]:
    sections = ("name", *ALLOWED)
    if not isinstance(values, dict) or not isinstance(values.get("name"), str):
        raise ValueError(f"policy {number} has no name: give it one, and any of {', '.join(ALLOWED)}")
    name = values["name"]
    if unknown := [key for key in values if key not in sections]:
        raise ValueError(f"policy {name!r} has no field {unknown[0]!r}: use {', '.join(sections)}")
    given = {section: _fields(name, section, values.get(section)) for section in ALLOWED}
    try:
        retrain = own.retrain.changed(given["retrain"])
        probe = _made(ProbeSpec, "probe", own.probe, given["probe"])
        gate = _made(GateSpec, "gate", own.gate, with_preset(given["gate"]))
        if left_out := [trigger.name for trigger in retrain.on or () if not is_on_paper(trigger)]:
            raise ValueError(f"retrain.on: {left_out[0]} cannot be lived on paper (docs/triggers.md): remove it")
    except (ValueError, TypeError) as error:
        raise ValueError(f"policy {name!r}: {error}") from error
    return name, replace(own, retrain=retrain, probe=probe, gate=gate, gate_window=parse_duration(gate.window))


def _fields(name: str, section: str, given: Any) -> Mapping[str, Any]:
    if given is None:
        return {}
    allowed = ", ".join(ALLOWED[section])
    if not isinstance(given, dict):
        raise ValueError(f"policy {name!r}: {section} is {given!r}: write fields under it, any of {allowed}")
    given = as_fields(given)
    for field in given:
        if field in WITHOUT_EFFECT[section]:
            raise ValueError(f"policy {name!r}: {section}.{field} changes nothing on paper: use {allowed}")
        if field not in ALLOWED[section]:
            became = hint_of("MonitoredModel", (section, field))
            raise ValueError(f"policy {name!r}: {section} has no field {field!r}: {became or f'use {allowed}'}")
    return given


def _made(kind: Any, section: str, own: Any, given: Mapping[str, Any]) -> Any:
    try:
        return TypeAdapter(kind).validate_python({**asdict(own), **given})
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        where = ".".join(str(part) for part in (section, *first["loc"]))
        # A rule of the policy's own names its field itself.
        raise ValueError(f"{where}: {message}" if first["loc"] else message) from error
