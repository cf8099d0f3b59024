"""Partitions in Dagster's words, and the range of partitions that a run is about.

Here: grain to partitions definition, the span of a run. Not here: which partitions are pending
(`world.landed.intake`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import dagster as dg

from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.sources.settings import Grain, SourceSettings, partition_end, partition_of
from mlops_assets.core.time.spans import Span
from mlops_assets.world.declared_files import stamp_of
from mlops_assets.world.landed.sources import DEFS
from mlops_assets.world.settings_files import read_settings

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
_PARTITION = "dagster/partition"
SPAN = "mlops/days"
"""First day and the day after the last, for partitions that are longer than a day."""


@dataclass(frozen=True)
class PartitionCalendar:
    """The partitions of one or several assets of a grain.

    Attributes:
        grain: length of a partition; keys are first days, weeks begin on Monday.
        start: first day.
        after: the first day after the last partition; None while data come.
        timezone: whose midnights close a partition; None where the assets have several zones.
    """

    grain: Grain
    start: date
    after: date | None
    timezone: str | None

    @classmethod
    def of_source(cls, source: SourceSettings) -> PartitionCalendar:
        """A partitioned source's own."""
        after = source.end and source.end_of(source.partition_of(source.end))
        return cls(source.grain, source.start_date, after, source.timezone)

    @classmethod
    def of_predictions(cls, model: ModelSettings) -> PartitionCalendar:
        """That of a model's predictions."""
        after = model.end and partition_end(partition_of(model.end, model.grain), model.grain)
        return cls(model.grain, model.start, after, model.timezone)

    @classmethod
    def shared(cls, calendars: Sequence[PartitionCalendar]) -> PartitionCalendar:
        """From the first day of any to the last of any: Dagster takes only one set of partitions into a job."""
        zones = {calendar.timezone for calendar in calendars}
        ends = [calendar.after for calendar in calendars]
        known = [end for end in ends if end is not None]
        return cls(
            calendars[0].grain,
            min(calendar.start for calendar in calendars),
            max(known) if len(known) == len(ends) else None,
            zones.pop() if len(zones) == 1 else None,
        )

    def partitions(self) -> dg.PartitionsDefinition:
        """In Dagster's words. With several zones, the days of UTC, each there from its beginning on."""
        span: dict[str, Any] = {
            "start_date": self.start.isoformat(),
            "end_date": self.after and self.after.isoformat(),
            "timezone": self.timezone or "UTC",
            "end_offset": 1 if self.timezone is None and self.after is None else 0,
        }
        if self.grain == "week":
            return dg.WeeklyPartitionsDefinition(**span, day_offset=1)
        if self.grain == "month":
            return dg.MonthlyPartitionsDefinition(**span)
        return dg.DailyPartitionsDefinition(**span)


def declared_calendar(grain: Grain, folder: Path = DEFS) -> PartitionCalendar:
    """The calendar that all sources and models of a grain share, as declared in the YAML under a folder."""
    return _shared_calendar(grain, folder, stamp_of(folder))


@lru_cache(maxsize=16)
def _shared_calendar(grain: Grain, folder: Path, stamp: object) -> PartitionCalendar:
    del stamp
    sources = [source for source in read_settings(folder, SourceSettings).values() if source.grain == grain]
    calendars = [PartitionCalendar.of_source(source) for source in sources]
    models = read_settings(folder, ModelSettings).values()
    calendars += [PartitionCalendar.of_predictions(model) for model in models if model.grain == grain]
    return PartitionCalendar.shared(calendars)


def span_tags(span: Span) -> dict[str, str]:
    """Run tags that say which days a run is about.

    Not Dagster's own range tags: with those, each unpartitioned asset of the run gets an event for every
    partition of the range, and a year of dbt models would cost minutes of events alone.
    """
    return {SPAN: f"{span.start}/{span.end}"}


def span_of_run(tags: Mapping[str, str]) -> Span | None:
    """The days a run is about, read from its tags; None for a run over everything.

    Runs started by hand on daily partitions carry Dagster's tags.
    """
    if SPAN in tags:
        start, end = tags[SPAN].split("/")
        return Span(date.fromisoformat(start), date.fromisoformat(end))
    first = tags.get(RANGE_START) or tags.get(_PARTITION)
    last = tags.get(RANGE_END) or tags.get(_PARTITION)
    if not first or not last:
        return None
    return Span(date.fromisoformat(first), date.fromisoformat(last) + timedelta(days=1))


def is_partitioned_run(context: dg.AssetExecutionContext) -> bool:
    """Whether Dagster knows the partitions of this run (a person chose them in the UI)."""
    return bool(context.has_partition_key or context.has_partition_key_range)


def keys_of_run(context: dg.AssetExecutionContext, following: Callable[[date], date]) -> list[str]:
    """The partitions that a run is about: those a person chose, or those of the run's days.

    Args:
        context: of the asset.
        following: the first day of the partition after one.

    Raises:
        dagster.Failure: the run says neither.
    """
    if is_partitioned_run(context):
        return list(context.partition_keys)
    span = span_of_run(context.run.tags)
    if span is None:
        raise dg.Failure(
            description=f"This run names no partitions: choose some in the UI, or set the tag {SPAN} to "
            "first-day/day-after-the-last. Nothing was changed.",
            allow_retries=False,
        )
    keys, day = [], span.start
    while day < span.end:
        keys.append(day.isoformat())
        day = following(day)
    return keys


def report_partitions(context: dg.AssetExecutionContext, key: dg.AssetKey, rows: Mapping[str, int]) -> None:
    """Tell Dagster which partitions were written, so that its calendar of partitions is right."""
    for partition, count in rows.items():
        metadata = {"dagster/row_count": count}
        context.log_event(dg.AssetMaterialization(key, partition=partition, metadata=metadata))
