"""What a monitored model looks like in YAML, and what its sections must be to each other.

Here: the model as a strict pydantic model. Not here: its sections (`core.settings_sections`), sources
(`core.sources.settings`), reading files (`world.settings_files`), what is built from them (`assets`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from mlops_assets.core.decide.agreed.fitting import NEEDS_BOUNDS, Watched, refuse_unfit
from mlops_assets.core.decide.agreed.reading import measured_metrics
from mlops_assets.core.decide.retrain_policy import SET_BY_PLATFORM, RetrainPolicy
from mlops_assets.core.performance.against_baseline import OnFailing
from mlops_assets.core.settings_limits import AgreedLimits
from mlops_assets.core.settings_sections import (
    EventSpec,
    Gate,
    GateSpec,
    LabelSettings,
    LimitSpec,
    MonitoringSpec,
    ProbeSpec,
    Retrain,
    Rollout,
    ServingSpec,
    TrainingSpec,
)
from mlops_assets.core.sources.settings import (
    ModelGrain,
    Settings,
    known_zone,
    refuse_end_before_start,
)
from mlops_assets.core.stats.metrics import PROFIT, Metric, ProfitName, Task, metric, metrics_for, profit


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
        if metric(self.metric).of_bounds:
            points = next(name for name in metrics_for(self.task) if not metric(name).of_bounds)
            raise ValueError(
                f"metric: {self.metric} is measured on bounds, and trainings and the gate score predictions: set "
                f"metric: {points}, for example, and hold {self.metric} under monitoring.limits, with "
                "monitoring.interval."
            )
        known = [*metrics_for(self.task), *([PROFIT] if self.monitoring.costs else [])]
        if self.monitoring.interval is None and (bounds := [m for m in self.monitoring.metrics if metric(m).of_bounds]):
            raise ValueError(f"monitoring.metrics names {bounds[0]} without effect: {NEEDS_BOUNDS.format(bounds[0])}")
        for name in self.limits:
            if name == self.metric or name not in known:
                others = ", ".join(other for other in known if other != self.metric)
                where = "the metric's own are under monitoring.performance" if name == self.metric else "it has no such"
                raise ValueError(f"monitoring.limits names {name}, and {where}: name some of {others}.")
            if metric(name).of_bounds and self.monitoring.interval is None:
                raise ValueError(f"monitoring.limits.{name} is without effect: {NEEDS_BOUNDS.format(name)}")
        return self

    @model_validator(mode="after")
    def _limits_can_be_reached(self) -> ModelSettings:
        monitoring = self.monitoring
        table = {PROFIT: ProfitName(self.task, monitoring.costs)} if monitoring.costs else {}
        further = {table.get(name, name): limit for name, limit in self.limits.items()}
        agreed = AgreedLimits(self.task, self.metric, monitoring.performance, further, self.gate, self.rollout)
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
            costs=self.monitoring.costs,
            has_bounds=self.monitoring.interval is not None,
            drift=self.monitoring.drift,
            is_calibrated=self.monitoring.drift.levels != "preset",
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

    def to_fields(self) -> dict[str, Any]:
        """All fields with their values as YAML has them: what it is validated from again."""
        retrain = {name: value for name, value in self.retrain.to_dict().items() if name not in SET_BY_PLATFORM}
        own_form = {"start": self.start, "end": self.end, "retrain": retrain}
        plain = {**self.model_dump(mode="json", exclude={*own_form}), **own_form}
        return {name: plain[name] for name in type(self).model_fields}
