"""Partitions in Dagster's words, and the range of partitions that a run is about.

Here: grain to partitions definition, the span of a run. Not here: which partitions are pending (`resources.intake`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
import dagster as dg

from mlops_assets.core.settings import Grain, SourceSettings
from mlops_assets.core.spans import Span

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
PARTITION = "dagster/partition"
SPAN = "mlops/days"
"""First day and the day after the last, for partitions that are longer than a day."""


def partitions_of(grain: Grain, *, start: date, timezone: str) -> dg.PartitionsDefinition | None:
    """Dagster's partitions for a grain (keys are first days, weeks begin on Monday); None for an unpartitioned table."""
    text = start.isoformat()
    if grain == "day":
        return dg.DailyPartitionsDefinition(start_date=text, timezone=timezone)
    if grain == "week":
        return dg.WeeklyPartitionsDefinition(start_date=text, timezone=timezone, day_offset=1)
    if grain == "month":
        return dg.MonthlyPartitionsDefinition(start_date=text, timezone=timezone)
    return None


def partitions_of_source(source: SourceSettings) -> dg.PartitionsDefinition | None:
    """The partitions of `raw/<source>`."""
    if source.grain == "none":
        return None
    return partitions_of(source.grain, start=source.start_date, timezone=source.timezone)


def range_tags(first: str, last: str, span: Span) -> dict[str, str]:
    """Run tags that make one run of the partitions first to last, both included, and say which days they cover."""
    return {RANGE_START: first, RANGE_END: last, SPAN: f"{span.start}/{span.end}"}


def span_of_run(tags: Mapping[str, str]) -> Span | None:
    """The days a run is about, read from its tags; None for a run over everything.

    Unpartitioned assets (dbt models, reports) use this: Dagster gives them no partition of their own. Runs
    started by hand on a range of daily partitions carry Dagster's tags only.
    """
    if SPAN in tags:
        start, end = tags[SPAN].split("/")
        return Span(date.fromisoformat(start), date.fromisoformat(end))
    first = tags.get(RANGE_START) or tags.get(PARTITION)
    last = tags.get(RANGE_END) or tags.get(PARTITION)
    if not first or not last:
        return None
    return Span(date.fromisoformat(first), date.fromisoformat(last) + timedelta(days=1))
