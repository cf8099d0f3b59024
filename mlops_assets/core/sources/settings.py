"""What a source looks like in YAML: every field, its default and its meaning.

Here: the settings as strict pydantic models. Not here: monitored models (`core.settings`), reading files
(`world.settings_files`), judging rows (`core.sources.contract`).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.dataclasses import dataclass

from mlops_assets.core.limits.ranges import ANY_SHARE, ROW_COUNT, SOME_TIME, Range
from mlops_assets.core.sources.contract import Column, SourceContract
from mlops_assets.core.sources.pull_settings import PullSpec
from mlops_assets.core.time.windows import parse_duration
from mlops_assets.core.values.column_names import fault_of_name
from mlops_assets.core.values.display import shown
from mlops_assets.core.values.sql import quoted
from mlops_assets.core.values.text_formats import MISSING

LATER = " later"
"""Ends a `known_at` that is a length of time after the event, such as `7d later`."""

Grain = Literal["day", "week", "month", "none"]
ModelGrain = Literal["day", "week", "month"]


def partition_of(day: date, grain: Grain) -> date:
    """The first day of the partition that holds a calendar day (weeks begin on Monday)."""
    if grain == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if grain == "month" else day


def partition_end(partition: date, grain: Grain) -> date:
    """The first day after a partition, which is given by its first day."""
    if grain == "week":
        return partition + timedelta(days=7)
    if grain == "month":
        return (partition.replace(day=1) + timedelta(days=32)).replace(day=1)
    return partition + timedelta(days=1)


def day_of(key: str) -> date:
    """The first day of a partition, by its key: `2013-01-31`, or `2013-01-31T13` for an hour of that day."""
    return date.fromisoformat(key[:10])


class Settings(BaseModel):
    """Strict: an unknown field is an error that names it, and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def known_zone(value: str) -> str:
    """The name of a time zone.

    Raises:
        ValueError: there is none of this name.
    """
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{value!r} is no time zone. Write an IANA name such as America/New_York.") from error
    return value


def refuse_end_before_start(start: date, end: date | None) -> None:
    """Hold the last day against the first.

    Raises:
        ValueError: the last one is earlier.
    """
    if end is not None and end < start:
        raise ValueError(f"end ({end}) is before start ({start}): write the last day, or leave it out while data come.")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ColumnSpec(Column):
    """The fields of `Column`; no missing value is allowed unless `max_null_share` says so."""

    max_null_share: Annotated[float | None, ANY_SHARE] = 0.0


class RowsContract(Settings):
    """How many rows a partition may have."""

    min: Annotated[int, ROW_COUNT] = 1
    max: Annotated[int | None, Range(1, 1e12, 100_000, whole=True)] = None

    @model_validator(mode="after")
    def _some_number_fits(self) -> RowsContract:
        if self.max is not None and self.max < self.min:
            raise ValueError(
                f"max ({self.max:,}) is below min ({self.min:,}): no partition has so many rows. Swap them."
            )
        return self


class ContractSettings(Settings):
    """What a partition must satisfy before it is written to the lake."""

    columns: dict[str, ColumnSpec] = Field(description="Name and rule of each column.")
    extra: Literal["forbid", "ignore"] = Field(default="forbid", description="What happens to undeclared columns.")
    unique: list[str] = Field(default_factory=list, description="Columns that together identify a row.")
    rows: RowsContract = Field(default_factory=RowsContract)
    no_future: bool = Field(default=True, description="Whether an event time later than now is a violation.")

    @field_validator("columns")
    @classmethod
    def _names_can_be(cls, columns: dict[str, ColumnSpec]) -> dict[str, ColumnSpec]:
        for place, name in enumerate(columns, start=1):
            if fault := fault_of_name(name):
                raise ValueError(f"column {place} of the contract ({shown(name)}) {fault}.")
        return columns


class SourceSettings(Settings):
    """A raw table that lands as files, partitioned by event time."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,99}$", description="The asset is raw/<name>, the folder landing/<name>/."
    )
    description: str = Field(description="Begins with what one row is.")
    files: str = Field(
        default="",
        description="File name pattern, by default <name>_{partition}*; {partition} stands for the first day, as "
        "2013-01-31. Of several files for one partition the newest holds it whole. With {hour} too, as in "
        "orders_{partition}T{hour}*.csv, a file holds one hour of its day, 00 to 23.",
    )
    grain: Grain = Field(default="day", description="Length of a partition; none: one table, replaced whole.")
    event_time: str | None = Field(default=None, description="The column with the time of the event.")
    timezone: str = Field(default="UTC", description="Calendar days, weeks and months are those of this zone.")
    start: date | None = Field(default=None, description="First partition, as 2013-01-01; needed with a grain.")
    end: date | None = Field(default=None, description="Last day of a source that is over: its partitions end there.")
    required: bool = Field(default=True, description="Whether models wait for this source (the data clock).")
    freshness: Annotated[str | None, SOME_TIME] = Field(
        default=None, description="Stale when the newest good partition ended longer ago; None: by the grain."
    )
    known_at: str | None = Field(
        default=None, description="When a row becomes known, as for a column; None: at its event_time."
    )
    moments: dict[str, str] = Field(
        default_factory=dict, description="Names for `known_at`: SQL over a row's own columns that gives a TIMESTAMPTZ."
    )
    null_values: list[str] = Field(
        default_factory=lambda: list(MISSING),
        description="Texts that mean missing in CSV; where it is said, in Parquet too.",
    )
    owners: list[str] = Field(default_factory=list, description="E-mail addresses or team:<name>.")
    pull: PullSpec | None = Field(default=None, description="Where its files are fetched from, if nobody sends them.")
    contract: ContractSettings

    @model_validator(mode="before")
    @classmethod
    def _files_follow_the_name(cls, values: Any) -> Any:
        """Files are called after their source where nothing else is said, and the days are in their names."""
        if not isinstance(values, dict) or values.get("files") or values.get("grain") == "none":
            return values
        return {**values, "files": f"{values.get('name')}_{{partition}}*"}

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return known_zone(value)

    @model_validator(mode="after")
    def _partitioned_sources_are_complete(self) -> SourceSettings:
        if self.grain == "none":
            if not self.files:
                raise ValueError(f"source {self.name}: grain none needs `files`, the name of its file, as planes*.csv.")
            return self
        if not self.event_time or not self.start or "{partition}" not in self.files:
            raise ValueError(
                f"source {self.name}: grain {self.grain} needs `event_time`, `start` and a {{partition}} in `files`."
            )
        if self.event_time not in self.contract.columns:
            raise ValueError(f"source {self.name}: event_time {self.event_time!r} is not in contract.columns; add it.")
        if self.is_hourly and self.grain != "day":
            raise ValueError(
                f"source {self.name}: {{hour}} in `files` needs grain day, not {self.grain}: hours are parts of days."
            )
        refuse_end_before_start(self.start, self.end)
        return self

    @model_validator(mode="after")
    def _tables_are_read_by_partition(self) -> SourceSettings:
        if self.pull is not None and self.pull.kind == "sql":
            name = self.files.replace("{partition}", "").replace("*", "")
            if self.grain == "none" or not name.endswith(".parquet") or "?" in name or self.is_hourly:
                raise ValueError(
                    f"source {self.name}: pull from sql writes Parquet, a file a partition: set a grain, and `files` "
                    f"to {self.name}_{{partition}}.parquet."
                )
        return self

    @model_validator(mode="after")
    def _known_at_is_a_moment(self) -> SourceSettings:
        said = {name: column.known_at for name, column in self.contract.columns.items()} | {"": self.known_at}
        for name, known_at in said.items():
            if known_at is not None:
                try:
                    self.moment_sql(known_at)
                except ValueError as error:
                    raise ValueError(f"source {self.name}: {f'{name}: ' if name else ''}{error}") from error
        return self

    @property
    def event_sql(self) -> str | None:
        """SQL over a row: the time of its event; None for a source without."""
        return self._time_sql(self.event_time) if self.event_time else None

    def moment_sql(self, known_at: str) -> str:
        """SQL over a row that gives the moment which a `known_at` means, a TIMESTAMPTZ.

        Raises:
            ValueError: it means none.
        """
        if known_at in self.moments:
            return self.moments[known_at]
        if known_at.endswith(LATER) and self.event_sql:
            seconds = parse_duration(known_at.removesuffix(LATER)).total_seconds()
            return f"{self.event_sql} + to_microseconds({round(seconds * 1e6)})"
        column = self.contract.columns.get(known_at)
        if column is not None and column.type in ("timestamp", "date"):
            return self._time_sql(known_at)
        raise ValueError(
            f"known_at is {known_at!r}: write a name under `moments`, a timestamp column, or a time after the event "
            "such as `7d later`."
        )

    def _time_sql(self, column: str) -> str:
        """A time column as a TIMESTAMPTZ; a date is known when its day is over."""
        if self.contract.columns[column].type == "date":
            return f"({quoted(column)} + 1)::timestamp at time zone '{self.timezone}'"
        return quoted(column)

    @property
    def says_missing(self) -> bool:
        """Whether the YAML says which texts mean missing, and not the default."""
        return "null_values" in self.model_fields_set

    @property
    def is_hourly(self) -> bool:
        """Whether a file holds an hour of its day, so that a day is known as far as its hours have come."""
        return "{hour}" in self.files

    @property
    def is_sent(self) -> bool:
        """Whether others write its files; else each is written here, with all rows of its partition."""
        return self.pull is None or self.pull.kind != "sql"

    @property
    def fresh_for(self) -> str:
        """How long ago the newest good partition may have ended: as declared, else a partition and some slack."""
        return self.freshness or ("3h" if self.is_hourly else {"week": "9d", "month": "35d"}.get(self.grain, "36h"))

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

    def has_partition(self, day: date) -> bool:
        """Whether a partition begins on this day."""
        return self.partition_of(day) == day >= self.start_date and (self.end is None or day <= self.end)

    def is_over(self, newest_end: datetime | None) -> bool:
        """Whether nothing more is to come: the newest partition, which ends then, holds the last day."""
        return self.end is not None and newest_end is not None and newest_end > self.midnight(self.end)

    def partition_of(self, day: date) -> date:
        """The first day of the partition that holds a calendar day."""
        return partition_of(day, self.grain)

    def end_of(self, partition: date) -> date:
        """The first day after a partition."""
        return partition_end(partition, self.grain)

    def begins(self, key: str) -> datetime:
        """The moment a partition, or an hour, begins, in UTC."""
        midnight = self.midnight(day_of(key))
        return (midnight.replace(hour=int(key[11:])) if len(key) > 10 else midnight).astimezone(UTC)

    def ends(self, key: str) -> datetime:
        """The moment a partition, or an hour, ends, in UTC.

        An hour that the clocks have twice is one of two hours; one that they leave out ends when it begins.
        """
        day = day_of(key)
        if len(key) == 10:
            return self.midnight(self.end_of(day)).astimezone(UTC)
        hour = int(key[11:])
        end = self.midnight(day).replace(hour=hour + 1) if hour < 23 else self.midnight(day + timedelta(days=1))
        return end.astimezone(UTC)

    def midnight(self, day: date) -> datetime:
        """Local midnight of a day, as a moment."""
        return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(self.timezone))
