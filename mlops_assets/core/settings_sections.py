"""The sections of a model's YAML: every field, its default and its meaning.

Here: `label`, `training`, `monitoring`, `gate`, `rollout`, `serving` and `retrain` as strict pydantic models. Not here:
the model that they belong to (`core.settings`), the rules that read them (`core.decide.policy`,
`core.promote.gate_policy`, ...).
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic.dataclasses import dataclass

from mlops_assets.core.decide.probe_policy import ProbePolicy
from mlops_assets.core.decide.retrain_policy import SET_BY_PLATFORM, RetrainPolicy
from mlops_assets.core.drift.settings import Drift, DriftSpec
from mlops_assets.core.limits.ranges import (
    ANY_SHARE,
    LARGEST,
    TIME,
    Length,
    Range,
    refuse_outside,
)
from mlops_assets.core.limits.scientific_notation import as_number
from mlops_assets.core.models.families import GOING_ON
from mlops_assets.core.models.training_settings import TrainingSettings
from mlops_assets.core.models.training_window import TrainingWindow
from mlops_assets.core.performance.fairness_policy import FairnessPolicy
from mlops_assets.core.performance.policy import MetricLimit, PerformancePolicy
from mlops_assets.core.promote.gate_policy import GatePolicy, preset_fields
from mlops_assets.core.rollout.moves import RolloutPolicy
from mlops_assets.core.sources.settings import (
    Settings,
)
from mlops_assets.core.time.events import DeclaredEvent
from mlops_assets.core.time.rhythm import Rhythm, parse_rhythm
from mlops_assets.core.time.windows import parse_duration

_HELD = Range(0, 0.98, 0.9, above=True)
"""Share of labels inside bounds: of 100 rows, the fewest of a reference, no bounds hold more."""
_MONEY = Range(-LARGEST, LARGEST, 5)

ONLY_ACCEPTED = (
    "WARNING: labels exist only for accepted cases, so this says nothing about cases that were, or would be, rejected."
)


def _as_text(value: Any) -> Any:
    """A value of a column as text; of what YAML has read as something else nobody knows how it was written."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{value!r} is no text to YAML: put the value into quotes, as 'NO', '1.50' or '2024-01-01'")
    if value == "":
        raise ValueError("an empty text is no value: rows without one belong to the pooled model alone")
    return str(value)


RowValue = Annotated[str, BeforeValidator(_as_text)]
"""A value of a column, as text."""


class LabelSettings(Settings):
    """The label and when to stop waiting for it."""

    model: str = Field(description="The dbt label model.")
    column: str = Field(description="The label's column in it.")
    max_delay: Annotated[str, TIME] = Field(
        default="7d", description="A window is judged after this, whatever is still unlabelled."
    )
    mature_share: Annotated[float, Range(0, 1, 0.95, above=True)] = Field(
        default=0.95, description="... or as soon as this share has a label."
    )
    only_for_accepted: bool = Field(default=False, description="Whether labels exist only for accepted cases.")
    only: dict[str, RowValue] = Field(
        default_factory=dict, description="Rows with these values in columns of the label model; without it, all."
    )

    def noted(self, sentence: str) -> str:
        """A sentence on performance, with the warning that belongs to it where labels exist only for accepted cases."""
        return f"{sentence} {ONLY_ACCEPTED}" if self.only_for_accepted else sentence


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class TrainingSpec(TrainingSettings):
    """How a challenger is trained: the search of `TrainingSettings`, and on which rows.

    Attributes:
        window: `auto` (default): the one that has led in the probe's looks, all history until there are any;
            `expanding`: all history; `rolling: 90d`: the newest 90 days; `decay: 60d`: all history, each row counting
            half with every 60 days of age.
        pipeline: a file of skops beside the model's YAML, with transformers of scikit-learn that rows go through
            before any family sees them; none by default.
    """

    window: str = "auto"
    pipeline: str | None = None

    def __post_init__(self) -> None:
        TrainingSettings.__post_init__(self)
        TrainingWindow.parse(self.window)
        if self.pipeline is None:
            return
        if "/" in self.pipeline or not self.pipeline.endswith(".skops"):
            raise ValueError(
                f"training.pipeline is {self.pipeline!r}: name a file beside the model's YAML, for example scaled.skops"
            )
        if going_on := [name for name in self.families if name in GOING_ON]:
            raise ValueError(
                f"training.pipeline is fitted anew with each model, and {going_on[0]} goes on from one: leave one out"
            )


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ProbeSpec(ProbePolicy):
    """How other models are tried on the newest windows: the fields of `ProbePolicy`."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class EventSpec(DeclaredEvent):
    """Days that are not like others: the fields of `DeclaredEvent`."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class PerformanceSpec(PerformancePolicy):
    """When performance no longer holds: the fields of `PerformancePolicy`."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class LimitSpec(MetricLimit):
    """When a further metric no longer holds: the fields of `MetricLimit`."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class FairnessSpec(FairnessPolicy):
    """How far groups may differ: the fields of `FairnessPolicy`."""


class MonitoringSpec(Settings):
    """What is watched, by which windows."""

    window: str = Field(
        default="7d", description="day, week, month, 7d, sliding: 7d every 1d, hours: 6h, 24h every 1h."
    )
    slices: list[str] = Field(default_factory=list, description="Columns of the label model or features to judge by.")
    metrics: list[str] = Field(default_factory=list, description="Further metrics to report beside the main one.")
    limits: dict[str, LimitSpec] = Field(
        default_factory=dict, description="Further metrics -> when they no longer hold: fields of `MetricLimit`."
    )
    interval: Annotated[float | None, _HELD] = Field(
        default=None, description="Share of the labels that bounds beside each prediction shall hold."
    )
    max_skew: Annotated[float, ANY_SHARE] = Field(
        default=0.01, description="Share of the online answers in which a feature may differ from training's."
    )
    costs: dict[str, Annotated[float, _MONEY]] = Field(
        default_factory=dict,
        description="Cost table; with one, profit per row is reported (`core.stats.metrics.profit`).",
    )
    drift: Drift = Field(default_factory=DriftSpec, description="Fields of `DriftPolicy`.")
    performance: PerformanceSpec = Field(default_factory=PerformanceSpec, description="Fields of `PerformancePolicy`.")
    fairness: FairnessSpec = Field(default_factory=FairnessSpec, description="Fields of `FairnessPolicy`.")

    @field_validator("window")
    @classmethod
    def _is_rhythm(cls, value: str) -> str:
        parse_rhythm(value)
        return value

    @model_validator(mode="after")
    def _hours_have_hours_to_compare_with(self) -> MonitoringSpec:
        if self.rhythm.hours and (self.drift.reference, self.drift.levels) != ("promotion", "preset"):
            raise ValueError(
                f"monitoring.window {self.window} is held against the same hours of what the champion was trained on, "
                "by preset levels: remove drift.reference and drift.levels, or set a window of days."
            )
        return self

    @property
    def rhythm(self) -> Rhythm:
        """How long windows are and how often one ends."""
        return parse_rhythm(self.window)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class GateSpec(GatePolicy):
    """When a challenger becomes champion: the rules of `GatePolicy`, and what they are applied to.

    Attributes:
        preset: what `rule` and `min_gain` are where they are left out: `better` (default), `f1_2_percent`,
            `accuracy_1_point` or `rmse_5_percent`, each for the metric that it names.
        window: length of the newest matured window that champion and challenger are both judged on; more where the
            probe has looked at more, and the newest days where it found the gain there.
        ship: `refit` (default): what is promoted is the same recipe fitted on all rows known now; `judged`: the
            very model that was judged, without the newest rows.
    """

    preset: Literal["better", "f1_2_percent", "accuracy_1_point", "rmse_5_percent"] = "better"
    window: Annotated[str, Length("0d", "3650d", "28d", above=True)] = "28d"
    ship: Literal["refit", "judged"] = "refit"

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_outside(GateSpec, vars(self), "gate")


def with_preset(value: Any) -> Any:
    """A gate's fields as in YAML, with its preset's where others are not given."""
    return {**preset_fields(str(value["preset"])), **value} if isinstance(value, dict) and "preset" in value else value


Gate = Annotated[GateSpec, BeforeValidator(with_preset)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class RolloutSpec(RolloutPolicy):
    """How a version that passed the gate becomes champion: the fields of `RolloutPolicy`.

    Attributes:
        preset: what the fields that are left out are: `careful` (default), `quick` (an hour each, a day of watch), or
            `direct` (no shadow, no canary, no watch).
    """

    preset: Literal["careful", "quick", "direct"] = "careful"


_HOURS = ("shadow", "step", "watch", "pause")


def _rollout_policy(value: Any) -> Any:
    """A rollout from its YAML: its preset's fields where others are not given; lengths in hours, or as 1d."""
    if not isinstance(value, dict):
        return value
    preset = RolloutPolicy.of_preset(str(value.get("preset", "careful")))
    given = {
        name: _in_hours(name, field) if name in _HOURS and isinstance(as_number(field), str) else field
        for name, field in value.items()
    }
    return {**asdict(preset), **given}


def _in_hours(name: str, length: str) -> float:
    TIME.refuse(f"rollout.{name}", length)
    return parse_duration(length) / timedelta(hours=1)


Rollout = Annotated[RolloutSpec | None, BeforeValidator(_rollout_policy)]


class ServingSpec(Settings):
    """How the online service answers."""

    on_missing: Literal["refuse", "warn", "allow"] = Field(
        default="warn",
        description="What follows where the online store has nothing for a row's keys. warn: the answer is marked "
        "`degraded` and names the views; refused where no view has anything. refuse: refused where any view has not. "
        "allow: answered, unmarked.",
    )


def _retrain_policy(value: Any) -> Any:
    """A policy from its YAML.

    Raises:
        ValueError: an unknown field, or one that follows from another section.
    """
    if not isinstance(value, dict):
        return value
    for name, other in SET_BY_PLATFORM.items():
        if name in value:
            raise ValueError(f"retrain.{name} follows {other}: remove it and set that.")
    return RetrainPolicy.from_dict(value)


Retrain = Annotated[RetrainPolicy, BeforeValidator(_retrain_policy)]
