"""What readers of the record take for granted in the plain parts of an entry: evidence, guardrails, gains.

Here: their shapes, and holding an entry's values against them. Not here: the entries (`entries`), what evidence is
(`core.decide.evidence`).

The plain parts stay as they were written, by whatever version: a shape has only the fields that are read of every one.
A decision without evidence knew nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import msgspec

from mlops_assets.core.record.gain import Gain
from mlops_assets.core.record.plain_values import Moment


class _Check(TypedDict):
    name: str
    window: str
    window_end: Moment
    passed: bool | None
    sentence: str


class _Hold(TypedDict):
    until: Moment
    by: str
    reason: str


class _Answer(TypedDict):
    approved: bool
    by: str
    decision: str
    reason: str


class _Novelty(TypedDict):
    share: float
    window: str


class _Probe(TypedDict):
    sentence: str


class _Evidence(TypedDict, total=False):
    checks: list[_Check]
    matured_labels: int
    labels_at_fit: int
    champion_since: Moment | None
    probe: _Probe | None
    frozen: _Hold | None
    snoozed: _Hold | None
    answer: _Answer | None
    novelty: _Novelty | None
    cannot_judge: list[str]
    events: list[str]
    notes: list[str]


class _Guardrail(TypedDict):
    holds: bool
    sentence: str


_SHAPES: Mapping[str, Any] = {
    "evidence": _Evidence,
    "guardrails": list[_Guardrail],
    "promised": Gain | None,
    "realised": Gain | None,
}


def check_shapes(values: Mapping[str, Any]) -> None:
    """Hold the plain parts of an entry against what is read of them.

    Raises:
        ValueError: one has another shape; the message names it.
    """
    for name, shape in _SHAPES.items():
        if name in values:
            try:
                msgspec.convert(values[name], shape)
            except ValueError as error:
                raise ValueError(f"its {name}: {error}") from error
