"""What a monitored model looks like in YAML: every field, its default and its meaning.

Here: the settings as strict pydantic models. Not here: sources (`core.sources.settings`), reading files
(`world.settings_files`), what is built from them (`assets`), the rules that read them (`core.decide.policy`,
`core.promote.gate_policy`, ...).
"""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import date, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic.dataclasses import dataclass

from mlops_assets.core.decide.agreed.fitting import Watched, refuse_unfit
from mlops_assets.core.decide.agreed.reading import measured_metrics
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
from mlops_assets.core.models.families import GOING_ON
from mlops_assets.core.models.training_settings import TrainingSettings
from mlops_assets.core.models.training_window import TrainingWindow
from mlops_assets.core.performance.against_baseline import OnFailing
from mlops_assets.core.performance.fairness_policy import FairnessPolicy
from mlops_assets.core.performance.policy import MetricLimit, PerformancePolicy
from mlops_assets.core.promote.gate_policy import GatePolicy, preset_fields
from mlops_assets.core.rollout.moves import RolloutPolicy
from mlops_assets.core.settings_limits import AgreedLimits
from mlops_assets.core.sources.settings import (
    ModelGrain,
    Settings,
    SourceSettings,
    known_zone,
    refuse_end_before_start,
)
from mlops_assets.core.sources.stream_settings import StreamSettings
from mlops_assets.core.stats.metrics import PROFIT, Metric, ProfitName, metric, metrics_for, profit
from mlops_assets.core.time.events import DeclaredEvent
from mlops_assets.core.time.rhythm import Rhythm, parse_rhythm
from mlops_assets.core.time.windows import parse_duration

Task = Literal["binary", "regression", "multiclass"]

_HELD = Range(0, 0.98, 0.9, above=True)
"""Share of labels inside bounds: of 100 rows, the fewest of a reference, no bounds hold more."""
_MONEY = Range(-LARGEST, LARGEST, 5)

ONLY_ACCEPTED = (
    "WARNING: labels exist only for accepted cases, so this says nothing about cases that were, or would be, rejected."
)


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
        name: _in_hours(name, field) if name in _HOURS and isinstance(field, str) else field
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


class ModelSettings(Settings):
    """A monitored model: one YAML file."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,99}$", description="Name in the registry and prefix of its assets.")
    description: str = Field(description="Begins with what one prediction is.")
    task: Task = Field(description="binary, regression or multiclass.")
    label: LabelSettings
    features: list[str] = Field(min_length=1, description="Feature views (dbt models) it reads.")
    exclude: list[str] = Field(default_factory=list, description="Features of these views that are not trained on.")
    metric: str = Field(description="What gate and monitors judge by, e.g. roc_auc, log_loss, rmse.")
    grain: ModelGrain = Field(default="day", description="How often its sources land: length of a landing run.")
    timezone: str = Field(default="UTC", description="Days and windows are those of this zone.")
    start: date = Field(description="First day of predictions' partitions, as 2013-01-01.")
    end: date | None = Field(default=None, description="Last day of predictions, where the sources are over.")
    owners: list[str] = Field(default_factory=list)
    training: TrainingSpec = Field(default_factory=TrainingSpec, description="Fields of `TrainingSpec`.")
    monitoring: MonitoringSpec = Field(default_factory=MonitoringSpec)
    retrain: Retrain = Field(default_factory=RetrainPolicy, description="Fields of `RetrainPolicy`.")
    probe: ProbeSpec = Field(default_factory=ProbeSpec, description="Fields of `ProbePolicy`.")
    gate: Gate = Field(default_factory=GateSpec, description="Fields of `GateSpec`.")
    rollout: Rollout = Field(default=None, description="Fields of `RolloutSpec`; without it champions change at once.")
    on_failing: OnFailing = Field(default="keep", description="What answers while the champion is worse than guessing.")
    serving: ServingSpec = Field(default_factory=ServingSpec, description="Fields of `ServingSpec`.")
    events: list[EventSpec] = Field(default_factory=list, description="Holidays, outages, price changes: `EventSpec`.")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return known_zone(value)

    @model_validator(mode="after")
    def _it_ends_after_it_starts(self) -> ModelSettings:
        refuse_end_before_start(self.start, self.end)
        return self

    @model_validator(mode="after")
    def _costs_fit_the_task(self) -> ModelSettings:
        if self.monitoring.costs:
            profit(self.task, self.monitoring.costs)
        if self.metric == PROFIT:
            if not self.monitoring.costs:
                raise ValueError("metric: profit needs a cost table: set monitoring.costs, or another metric.")
            # The name brings its table along to wherever it is used; the model is frozen otherwise.
            self.__dict__["metric"] = ProfitName(self.task, self.monitoring.costs)
        elif not self.monitoring.costs and self.retrain.price_money is not None:
            raise ValueError("retrain.price_money needs a cost table: set monitoring.costs, or remove it.")
        return self

    @model_validator(mode="after")
    def _limits_fit_the_task(self) -> ModelSettings:
        self.monitoring.fairness.check(self.task)
        gate = self.gate
        for name in (self.metric, *self.monitoring.metrics):
            if self.task not in metric(name).tasks and name != PROFIT:
                known = ", ".join(metrics_for(self.task))
                raise ValueError(f"{name} is no metric of a {self.task} model: set one of {known}.")
        meant_for = gate.preset.partition("_")[0]
        if gate.preset != "better" and meant_for != self.metric:
            raise ValueError(f"gate.preset {gate.preset} is for {meant_for} and the metric is {self.metric}: set rule.")
        if self.task == "regression" and (gate.max_calibration_error, gate.calibration_margin) != (None, None):
            raise ValueError("gate.max_calibration_error and calibration_margin need probabilities: remove them.")
        return self

    @model_validator(mode="after")
    def _monitoring_fits_the_task(self) -> ModelSettings:
        if self.monitoring.interval is not None and self.task != "regression":
            raise ValueError(f"monitoring.interval is for a regression, and the task is {self.task}: remove it.")
        known = [*metrics_for(self.task), *([PROFIT] if self.monitoring.costs else [])]
        for name in self.limits:
            if name == self.metric or name not in known:
                others = ", ".join(other for other in known if other != self.metric)
                where = "the metric's own are under monitoring.performance" if name == self.metric else "it has no such"
                raise ValueError(f"monitoring.limits names {name}, and {where}: name some of {others}.")
        return self

    @model_validator(mode="after")
    def _limits_can_be_reached(self) -> ModelSettings:
        agreed = AgreedLimits(self.task, self.metric, self.monitoring.performance, self.limits, self.gate, self.rollout)
        agreed.refuse_out_of_reach()
        return self

    @model_validator(mode="after")
    def _triggers_fit_the_model(self) -> ModelSettings:
        performance = self.monitoring.performance
        drops = (performance.floor, performance.max_drop, performance.max_drop_from_previous)
        watched = Watched(
            task=self.task,
            metric=self.metric,
            views=self.features,
            exclude=self.exclude,
            has_costs=bool(self.monitoring.costs),
            drift=self.monitoring.drift,
            holds_performance=bool(self.limits) or any(limit is not None for limit in drops),
            by_hours=self.monitoring.rhythm.parts_days,
        )
        refuse_unfit(self.retrain.on or (), watched)
        return self

    @model_validator(mode="after")
    def _training_fits_the_task(self) -> ModelSettings:
        self.training.check_task(self.task, self.metric)
        return self

    @property
    def limits(self) -> dict[str, LimitSpec]:
        """Limits of the metrics beside the main one."""
        return self.monitoring.limits

    @property
    def reported_metrics(self) -> list[Metric]:
        """What the performance report shows: the main metric, the further ones, and profit where costs are set."""
        agreed = measured_metrics(self.retrain.on or ())
        costs, watched = self.monitoring.costs, [*self.monitoring.metrics, *self.limits, *agreed]
        further = [metric(name) for name in dict.fromkeys(watched) if name not in (self.metric, PROFIT)]
        money = [profit(self.task, costs)] if costs and self.metric != PROFIT else []
        return [metric(self.metric), *further, *money]

    @property
    def retrain_policy(self) -> RetrainPolicy:
        """The policy, told how long a monitoring window is and where its hours are."""
        return replace(self.retrain, window=self.monitoring.rhythm.length.approximately, timezone=self.timezone)

    @property
    def zone(self) -> ZoneInfo:
        """The zone that days are counted in."""
        return ZoneInfo(self.timezone)


COMPONENTS: dict[str, type[Settings]] = {
    "LandingSource": SourceSettings,
    "StreamSource": StreamSettings,
    "MonitoredModel": ModelSettings,
}
"""What each kind of YAML is validated by."""
