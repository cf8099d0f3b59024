"""Partitions in Dagster's words, and the range of partitions that a run is about.

Here: grain to partitions definition, the span of a run. Not here: which partitions are pending
(`resources.intake`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

import dagster as dg

from mlops_assets.core.source_settings import Grain, SourceSettings
from mlops_assets.core.spans import Span

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
PARTITION = "dagster/partition"
SPAN = "mlops/days"
"""First day and the day after the last, for partitions that are longer than a day."""


def partitions_of(grain: Grain, *, start: date, timezone: str, after: date | None) -> dg.PartitionsDefinition | None:
    """Dagster's partitions for a grain (keys are first days, weeks begin on Monday); None for `none`.

    Args:
        grain: length of a partition.
        start: first day.
        timezone: whose calendar it is.
        after: the first day after the last partition; None while data come.
    """
    span: dict[str, Any] = {
        "start_date": start.isoformat(), "end_date": after and after.isoformat(), "timezone": timezone
    }  # fmt: skip
    if grain == "day":
        return dg.DailyPartitionsDefinition(**span)
    if grain == "week":
        return dg.WeeklyPartitionsDefinition(**span, day_offset=1)
    if grain == "month":
        return dg.MonthlyPartitionsDefinition(**span)
    return None


def partitions_of_source(source: SourceSettings) -> dg.PartitionsDefinition | None:
    """The partitions of `raw/<source>`."""
    if source.grain == "none":
        return None
    after = source.end and source.end_of(source.partition_of(source.end))
    return partitions_of(source.grain, start=source.start_date, timezone=source.timezone, after=after)


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
    first = tags.get(RANGE_START) or tags.get(PARTITION)
    last = tags.get(RANGE_END) or tags.get(PARTITION)
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
