"""The list under `retrain.on`: presets by name, and reading it.

Here: what people write, as triggers. Not here: the triggers themselves (`triggers`), whether they fit a model
(`fitting`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mlops_assets.core.decide.agreed.triggers import (
    OnData,
    OnDrift,
    OnFreshness,
    OnGain,
    OnImportance,
    OnNovelty,
    OnPerformance,
    OnSchedule,
    Trigger,
)
from mlops_assets.core.drift.policy import KL_LIMIT
from mlops_assets.core.limits.ranges import read_numbers, refuse_outside

_KINDS: dict[str, type[Trigger]] = {
    kind.word: kind
    for kind in (OnGain, OnDrift, OnPerformance, OnImportance, OnNovelty, OnData, OnFreshness, OnSchedule)
}

PRESETS: dict[str, tuple[Trigger, ...]] = {
    "psi_0_2": (OnDrift(psi=0.2),),
    "ks_0_05": (OnDrift(ks_p=0.05, chi2_p=0.05),),
    "kl_0_15": (OnDrift(kl=KL_LIMIT),),
    "accuracy_0_9": (OnPerformance(metric="accuracy", floor=0.9),),
    "weekly_or_drift": (OnSchedule(every="7d"), OnDrift(psi=0.2)),
    "monthly_fallback": (OnGain(), OnSchedule(every="30d")),
}
"""What usual tutorials do, by name; each stands for the triggers that one would write out."""


def read_triggers(values: Any) -> tuple[Trigger, ...]:
    """The triggers of a list as in YAML: a kind or a preset by name, or a kind with its limits.

    Raises:
        ValueError: what can't be read; the message names the entry and ends in the remedy.
    """
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise ValueError(f"retrain.on is {values!r}: write a list, for example [gain, drift: {{psi: 0.2}}]")
    triggers = [trigger for value in values for trigger in _read(value)]
    return tuple(dict.fromkeys(triggers))


def _read(value: Any) -> tuple[Trigger, ...]:
    if isinstance(value, Trigger):
        return (value,)
    if isinstance(value, str) and value in PRESETS:
        return PRESETS[value]
    name, limits = (value, {}) if isinstance(value, str) else _single(value)
    if name not in _KINDS:
        known = f"one of {', '.join(_KINDS)}, or a preset: {', '.join(PRESETS)}"
        raise ValueError(f"retrain.on has no trigger {name!r}: write {known}")
    if isinstance(limits, Mapping):
        limits = read_numbers(_KINDS[name], limits)
        refuse_outside(_KINDS[name], limits, f"retrain.on: {name}")
    try:
        return (msgspec.convert(limits, _KINDS[name], strict=True),)
    except msgspec.ValidationError as error:
        message = str(error).replace("Object missing required", "it lacks the").replace("Object", "it")
        if "field" in message:
            message += f"; its fields are {', '.join(_KINDS[name].__struct_fields__) or 'none'}"
        raise ValueError(f"retrain.on: {name}: {message.replace('$.', '')}") from error


def _single(value: Any) -> tuple[Any, Any]:
    if not isinstance(value, Mapping) or len(value) != 1:
        raise ValueError(f"retrain.on has {value!r}: write one trigger an entry, for example drift: {{psi: 0.2}}")
    ((name, limits),) = value.items()
    return name, {} if limits is None else limits


def measured_metrics(triggers: Sequence[Trigger]) -> list[str]:
    """The metrics that triggers go by, beside the model's own."""
    return [trigger.metric for trigger in triggers if isinstance(trigger, OnPerformance) and trigger.metric]
