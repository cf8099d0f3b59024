"""What a source and a monitored model look like in YAML: every field, its default and its meaning.

Here: the settings as strict pydantic models. Not here: reading them from files (`resources.settings_files`), what is
built from them (`components`), the rules that read them (`core.policy`, `core.gate`, ...).
"""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic.dataclasses import dataclass

from mlops_assets.core.contract import Column, SourceContract
from mlops_assets.core.drift import DriftPolicy
from mlops_assets.core.events import DeclaredEvent
from mlops_assets.core.fairness_policy import FairnessPolicy
from mlops_assets.core.gate import GatePolicy
from mlops_assets.core.metrics import Metric, metric, profit
from mlops_assets.core.performance_policy import PerformancePolicy
from mlops_assets.core.probe import ProbePolicy
from mlops_assets.core.retrain_policy import SET_BY_PLATFORM, RetrainPolicy
from mlops_assets.core.rollout import RolloutPolicy
from mlops_assets.core.training_window import TrainingWindow
from mlops_assets.core.tuning import TrainingSettings
from mlops_assets.core.windows import parse_duration, parse_every

Grain = Literal["day", "week", "month", "none"]
Task = Literal["binary", "regression", "multiclass"]


class Settings(BaseModel):
    """Strict: an unknown field is an error that names it, and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ColumnSpec(Column):
    """The fields of `Column`; no missing value is allowed unless `max_null_share` says so."""

    max_null_share: float | None = 0.0


class RowsContract(Settings):
    """How many rows a partition may have."""

    min: int = Field(default=1, ge=0)
    max: int | None = Field(default=None, ge=1)


class ContractSettings(Settings):
    """What a partition must satisfy before it is written to the lake."""

    columns: dict[str, ColumnSpec] = Field(description="Name and rule of each column.")
    extra: Literal["forbid", "ignore"] = Field(default="forbid", description="What happens to undeclared columns.")
    unique: list[str] = Field(default_factory=list, description="Columns that together identify a row.")
    rows: RowsContract = Field(default_factory=RowsContract)
    no_future: bool = Field(default=True, description="Whether an event time later than now is a violation.")


class SourceSettings(Settings):
    """A raw table that lands as files, partitioned by event time."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="The asset is raw/<name>, the folder landing/<name>/.")
    description: str = Field(description="Begins with what one row is.")
    files: str = Field(
        description="File name pattern, e.g. orders_{partition}*.csv; {partition} stands for the first day, as "
        "2013-01-31. Of several files for one partition the newest holds it whole."
    )
    grain: Grain = Field(default="day", description="Length of a partition; none: one table, replaced whole.")
    event_time: str | None = Field(default=None, description="The column with the time of the event.")
    timezone: str = Field(default="UTC", description="Calendar days, weeks and months are those of this zone.")
    start: date | None = Field(default=None, description="First partition, as 2013-01-01; needed with a grain.")
    required: bool = Field(default=True, description="Whether models wait for this source (the data clock).")
    freshness: str = Field(default="36h", description="Stale when the newest good partition ended longer ago.")
    null_values: list[str] = Field(default_factory=lambda: ["", "NA"], description="Texts that mean missing in CSV.")
    owners: list[str] = Field(default_factory=list, description="E-mail addresses or team:<name>.")
    contract: ContractSettings

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{value!r} is no time zone. Write an IANA name such as America/New_York.") from error
        return value

    @field_validator("freshness")
    @classmethod
    def _is_duration(cls, value: str) -> str:
        parse_duration(value)
        return value

    @model_validator(mode="after")
    def _partitioned_sources_are_complete(self) -> SourceSettings:
        if self.grain == "none":
            return self
        if not self.event_time or not self.start or "{partition}" not in self.files:
            raise ValueError(
                f"source {self.name}: grain {self.grain} needs `event_time`, `start` and a {{partition}} in `files`."
            )
        if self.event_time not in self.contract.columns:
            raise ValueError(f"source {self.name}: event_time {self.event_time!r} is not in contract.columns; add it.")
        return self

    @property
    def rules(self) -> SourceContract:
        """The contract, told the source's event time and time zone."""
        contract = self.contract
        return SourceContract(
            columns=contract.columns,
            unique=tuple(contract.unique),
            min_rows=contract.rows.min,
            max_rows=contract.rows.max,
            event_time=self.event_time,
            tz=self.timezone,
            no_future=contract.no_future,
            extra=contract.extra,
        )

    @property
    def start_date(self) -> date:
        """First partition of a partitioned source."""
        if self.start is None:
            raise ValueError(f"source {self.name} has no partitions")
        return self.start

    def partition_of(self, day: date) -> date:
        """The first day of the partition that holds a calendar day (weeks begin on Monday)."""
        if self.grain == "week":
            return day - timedelta(days=day.weekday())
        return day.replace(day=1) if self.grain == "month" else day

    def end_of(self, partition: date) -> date:
        """The first day after a partition."""
        if self.grain == "week":
            return partition + timedelta(days=7)
        if self.grain == "month":
            return (partition.replace(day=1) + timedelta(days=32)).replace(day=1)
        return partition + timedelta(days=1)

    def midnight(self, day: date) -> datetime:
        """Local midnight of a day, as a moment."""
        return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(self.timezone))


ONLY_ACCEPTED = (
    "WARNING: labels exist only for accepted cases, so this says nothing about cases that were, or would be, rejected."
)


class LabelSettings(Settings):
    """The label and when to stop waiting for it."""

    model: str = Field(description="The dbt label model.")
    column: str = Field(description="The label's column in it.")
    max_delay: str = Field(default="7d", description="A window is judged after this, whatever is still unlabelled.")
    mature_share: float = Field(default=0.95, gt=0, le=1, description="... or as soon as this share has a label.")
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
    """

    window: str = "auto"

    def __post_init__(self) -> None:
        TrainingSettings.__post_init__(self)
        TrainingWindow.parse(self.window)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ProbeSpec(ProbePolicy):
    """How other models are tried on the newest windows: the fields of `ProbePolicy`."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class DriftSpec(DriftPolicy):
    """When a window's inputs or predictions no longer look like the reference: the fields of `DriftPolicy`.

    Attributes:
        levels: `preset` (default): these limits; `calibrated`: each feature's own, from how much the reference moves
            by itself; `auto`: calibrated where the reference holds at least 52 windows.
        reference: what inputs are compared with. `promotion` (default): the rows that the champion was trained on;
            `season`: the same window a year ago; `2013-01-01/2013-03-31`: these days, both included.
    """

    levels: Literal["preset", "calibrated", "auto"] = "preset"
    reference: str = "promotion"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reference not in ("promotion", "season"):
            pinned_days(self.reference)
        if self.reference != "promotion" and self.levels != "preset":
            raise ValueError(
                f"drift.levels is {self.levels} and drift.reference {self.reference}: levels are calibrated on the "
                "rows that the champion was trained on. Set drift.reference to promotion, or drift.levels to preset."
            )


def pinned_days(days: str) -> tuple[date, date]:
    """The first day of a pinned reference, and the first day after it.

    Raises:
        ValueError: the text names no days.
    """
    first, _, last = days.partition("/")
    try:
        start, end = date.fromisoformat(first), date.fromisoformat(last) + timedelta(days=1)
    except ValueError as error:
        raise ValueError(
            f"drift.reference is {days!r}: write promotion, season, or two days such as 2013-01-01/2013-03-31."
        ) from error
    if end <= start:
        raise ValueError(f"drift.reference is {days!r} and ends before it begins: write the earlier day first.")
    return start, end


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class EventSpec(DeclaredEvent):
    """Days that are not like others: the fields of `DeclaredEvent`."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class PerformanceSpec(PerformancePolicy):
    """When performance no longer holds: the fields of `PerformancePolicy`."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class FairnessSpec(FairnessPolicy):
    """How far groups may differ: the fields of `FairnessPolicy`."""


class MonitoringSpec(Settings):
    """What is watched, by which windows."""

    window: str = Field(default="7d", description="day, week, month or a number of days such as 7d.")
    slices: list[str] = Field(default_factory=list, description="Columns of the label model or features to judge by.")
    metrics: list[str] = Field(default_factory=list, description="Further metrics to report beside the main one.")
    costs: dict[str, float] = Field(
        default_factory=dict, description="Cost table; with one, profit per row is reported (`core.metrics.profit`)."
    )
    drift: DriftSpec = Field(default_factory=DriftSpec, description="Fields of `DriftPolicy`.")
    performance: PerformanceSpec = Field(default_factory=PerformanceSpec, description="Fields of `PerformancePolicy`.")
    fairness: FairnessSpec = Field(default_factory=FairnessSpec, description="Fields of `FairnessPolicy`.")

    @field_validator("window")
    @classmethod
    def _is_rhythm(cls, value: str) -> str:
        parse_every(value)
        return value


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class GateSpec(GatePolicy):
    """When a challenger becomes champion: the rules of `GatePolicy`, and what they are applied to.

    Attributes:
        window: length of the newest matured window that champion and challenger are both judged on.
        ship: `refit` (default): what is promoted is the same recipe fitted on all rows known now; `judged`: the
            very model that was judged, without the newest rows.
    """

    window: str = "28d"
    ship: Literal["refit", "judged"] = "refit"


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
        name: parse_duration(field) / timedelta(hours=1) if name in _HOURS and isinstance(field, str) else field
        for name, field in value.items()
    }
    return {**asdict(preset), **given}


Rollout = Annotated[RolloutSpec | None, BeforeValidator(_rollout_policy)]


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

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Name in the registry and prefix of its assets.")
    description: str = Field(description="Begins with what one prediction is.")
    task: Task = Field(description="binary, regression or multiclass.")
    label: LabelSettings
    features: list[str] = Field(min_length=1, description="Feature views (dbt models) it reads.")
    exclude: list[str] = Field(default_factory=list, description="Features of these views that are not trained on.")
    metric: str = Field(description="What gate and monitors judge by, e.g. roc_auc, log_loss, rmse.")
    timezone: str = Field(default="UTC", description="Days and windows are those of this zone.")
    start: date = Field(description="First day of predictions' partitions, as 2013-01-01.")
    owners: list[str] = Field(default_factory=list)
    training: TrainingSpec = Field(default_factory=TrainingSpec, description="Fields of `TrainingSpec`.")
    monitoring: MonitoringSpec = Field(default_factory=MonitoringSpec)
    retrain: Retrain = Field(default_factory=RetrainPolicy, description="Fields of `RetrainPolicy`.")
    probe: ProbeSpec = Field(default_factory=ProbeSpec, description="Fields of `ProbePolicy`.")
    gate: GateSpec = Field(default_factory=GateSpec, description="Fields of `GateSpec`.")
    rollout: Rollout = Field(default=None, description="Fields of `RolloutSpec`; without it champions change at once.")
    events: list[EventSpec] = Field(default_factory=list, description="Holidays, outages, price changes: `EventSpec`.")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return SourceSettings._known_zone(value)

    @model_validator(mode="after")
    def _costs_fit_the_task(self) -> ModelSettings:
        if self.monitoring.costs:
            profit(self.task, self.monitoring.costs)
        elif self.retrain.price_money is not None:
            raise ValueError("retrain.price_money needs a cost table: set monitoring.costs, or remove it.")
        return self

    @model_validator(mode="after")
    def _limits_fit_the_task(self) -> ModelSettings:
        self.monitoring.fairness.check(self.task)
        gate = self.gate
        if self.task == "regression" and (gate.max_calibration_error, gate.calibration_margin) != (None, None):
            raise ValueError("gate.max_calibration_error and calibration_margin need probabilities: remove them.")
        return self

    @model_validator(mode="after")
    def _training_fits_the_task(self) -> ModelSettings:
        self.training.check_task(self.task, self.metric)
        return self

    @property
    def reported_metrics(self) -> list[Metric]:
        """What the performance report shows: the main metric, the further ones, and profit where costs are set."""
        costs = self.monitoring.costs
        further = [metric(name) for name in self.monitoring.metrics if name != self.metric]
        return [metric(self.metric), *further, *([profit(self.task, costs)] if costs else [])]

    @property
    def retrain_policy(self) -> RetrainPolicy:
        """The policy, told how long a monitoring window is and where its hours are."""
        return replace(self.retrain, window=parse_every(self.monitoring.window).approximately, timezone=self.timezone)

    @property
    def zone(self) -> ZoneInfo:
        """The zone that days are counted in."""
        return ZoneInfo(self.timezone)


COMPONENTS: dict[str, type[Settings]] = {"LandingSource": SourceSettings, "MonitoredModel": ModelSettings}
