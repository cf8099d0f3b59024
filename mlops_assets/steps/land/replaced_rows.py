"""Rows that a partition's newest file would take the place of, and does not hold again.

Here: the rows that the lake has of a partition, and those of files that landed together with the newest one, held
against it. Not here: when rows come again (`core.sources.partition_parts`), keys that two partitions share
(`repeated_keys`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.core.sources.contract import Failure, arrow_schema
from mlops_assets.core.sources.partition_parts import Parts, parts_of
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.values.display import shown
from mlops_assets.world.landed.intake import WHOLE, Intake, LandedFile
from mlops_assets.world.parquet import exact_frame

_MEANS = {
    "part": "it looks like another part of the {length}",
    "unclear": "whether these are other rows or the same ones corrected cannot be told",
}


def replaced_rows(
    intake: Intake,
    frames: Mapping[str, tuple[LandedFile, pd.DataFrame]],
    rows_of: Callable[[str, LandedFile], pd.DataFrame | None],
) -> dict[str, Failure]:
    """Partitions whose newest file lacks rows that stand in the lake, or in a file beside it, and why it does.

    Args:
        intake: the source; one whose files we write ourselves, each with all rows, has none.
        frames: the newest file of each partition that keeps the contract, with its rows.
        rows_of: the rows of a file of a partition; None where it is no table that keeps the contract.
    """
    source = intake.source
    if source.event_time is None or not source.is_sent:
        return {}
    good, beside = intake.good(), intake.files_beside()
    failures = {}
    for part, (file, new) in frames.items():
        if part == WHOLE:
            continue
        if part in good and intake.raw_file(part).exists():
            old = exact_frame(pq.ParquetFile(intake.raw_file(part)).read())
            failures[part] = _failure(source, part, file.name, new, good[part].file, old)
        for other in beside.get(part, ()):
            if not failures.get(part) and (rows := rows_of(part, other)) is not None:
                failures[part] = _failure(source, part, file.name, new, other.name, _as_stored(source, rows))
    return {part: failure for part, failure in failures.items() if failure is not None}


def _as_stored(source: SourceSettings, frame: pd.DataFrame) -> pd.DataFrame:
    return exact_frame(pa.Table.from_pandas(frame, schema=arrow_schema(source.rules), preserve_index=False))


def _failure(
    source: SourceSettings, part: str, name: str, new: pd.DataFrame, old_name: str, old: pd.DataFrame
) -> Failure | None:
    """What is said of two files of a partition; None where the newer one holds it whole."""
    time = str(source.event_time)
    parts = parts_of(old, _as_stored(source, new), time, source.contract.unique)
    if parts.verdict == "whole":
        return None
    length = "hour" if source.is_hourly else source.grain
    lost = int(parts.lost.sum())
    sentence = (
        f"{shown(name)} has {_rows(source, new)}, and {shown(old_name)} has {_rows(source, old)}, of which {lost:,} do "
        f"not come again, such as {first_lost(source, old, parts)}: {_MEANS[parts.verdict].format(length=length)}, and "
        f"a file takes the place of the {length} {part} whole. Put all rows of the {length} into one file; or let this "
        "one in, if the others are to go."
    )
    return Failure("replaced_rows", None, lost, (), sentence)


def _rows(source: SourceSettings, frame: pd.DataFrame) -> str:
    times = frame[str(source.event_time)]
    first, last = (moment.tz_convert(ZoneInfo(source.timezone)) for moment in (times.min(), times.max()))
    return f"{len(frame):,} rows from {first:%m-%d %H:%M:%S} to {last:%m-%d %H:%M:%S}"


def first_lost(source: SourceSettings, old: pd.DataFrame, parts: Parts) -> str:
    """The first row that would be lost, by its key and its time: `order_id 7 at 2024-03-10 00:05:00`."""
    row = old.iloc[int(np.flatnonzero(parts.lost)[0])]
    moment = pd.Timestamp(row[str(source.event_time)]).tz_convert(ZoneInfo(source.timezone))
    keys = ", ".join(f"{key} {shown(str(row[key]))}" for key in source.contract.unique if key != source.event_time)
    return f"{keys} at {moment:%Y-%m-%d %H:%M:%S}" if keys else f"that at {moment:%Y-%m-%d %H:%M:%S}"
