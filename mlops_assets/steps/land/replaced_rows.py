"""Rows that a partition's newest file would take the place of, and does not hold again.

Here: the rows that the lake has of a partition, and those of files that landed together with the newest one, held
against it. Not here: when rows come again (`core.sources.partition_parts`), keys that two partitions share
(`repeated_keys`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.core.sources.contract import Failure, arrow_schema
from mlops_assets.core.sources.partition_parts import Parts, parts_of
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.values.display import shown
from mlops_assets.world.landed.intake import Intake
from mlops_assets.world.landed.landed_files import WHOLE, LandedFile
from mlops_assets.world.parquet import exact_frame

_MEANS = {
    "part": "it looks like another part of the {length}",
    "unclear": "whether these are other rows or the same ones corrected cannot be told",
}


@dataclass
class Replaced:
    """What is said of the rows that new files do not hold again.

    Attributes:
        failures: partition -> why its file is held back.
        notes: partition -> what a correction leaves out.
    """

    failures: dict[str, tuple[Failure, ...]] = field(default_factory=dict)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)


def replaced_rows(
    intake: Intake,
    frames: Mapping[str, tuple[LandedFile, pd.DataFrame]],
    rows_of: Callable[[str, LandedFile], pd.DataFrame | None],
) -> Replaced:
    """Compare the newest file of each partition with the rows that stand in the lake, or in a file beside it.

    Args:
        intake: the source; one whose files we write ourselves, each with all rows, has none.
        frames: the newest file of each partition that keeps the contract, with its rows.
        rows_of: the rows of a file of a partition; None where it is no table that keeps the contract.
    """
    source = intake.source
    if source.event_time is None or not source.is_sent:
        return Replaced()
    good, beside = intake.good(), intake.files_beside()
    replaced = Replaced()
    for part, (file, new) in frames.items():
        if part == WHOLE:
            continue
        if part in good and intake.raw_file(part).exists():
            old = exact_frame(pq.ParquetFile(intake.raw_file(part)).read())
            # The file that came last may be in quarantine, and the rows those of one before it.
            name = shown(good[part].file) if good[part].status == "good" else "the lake"
            _compare(replaced, source, part, file.name, new, name, old)
        for other in beside.get(part, ()):
            if part not in replaced.failures and (rows := rows_of(part, other)) is not None:
                _compare(replaced, source, part, file.name, new, shown(other.name), _as_stored(source, rows))
    return replaced


def _as_stored(source: SourceSettings, frame: pd.DataFrame) -> pd.DataFrame:
    return exact_frame(pa.Table.from_pandas(frame, schema=arrow_schema(source.rules), preserve_index=False))


def _compare(
    replaced: Replaced, source: SourceSettings, part: str, name: str, new: pd.DataFrame, where: str, old: pd.DataFrame
) -> None:
    """Put down what is said of a file and older rows of its partition."""
    time = str(source.event_time)
    parts = parts_of(old, _as_stored(source, new), time, source.contract.unique)
    lost = int(parts.lost.sum())
    if parts.verdict == "whole":
        if lost:
            replaced.notes[part] = (_left_out(source, old, parts, where),)
        return
    length = "hour" if source.is_hourly else source.grain
    means = _MEANS[parts.verdict].format(length=length)
    sentence = (
        f"{shown(name)} has {_rows(source, new)}, and {where} has {_rows(source, old)}, of which {lost:,} do "
        f"not come again, such as {_first_lost(source, old, parts)}: {means}, and "
        f"a file takes the place of the {length} {part} whole. Put all rows of the {length} into one file; or let this "
        "one in, if the others are to go."
    )
    replaced.failures[part] = (Failure("replaced_rows", None, lost, (), sentence),)


def _left_out(source: SourceSettings, old: pd.DataFrame, parts: Parts, where: str) -> str:
    """What a correction leaves out of the rows before it."""
    lost = int(parts.lost.sum())
    return f"{lost:,} of the {len(old):,} rows of {where} do not come again, such as {_first_lost(source, old, parts)}."


def _rows(source: SourceSettings, frame: pd.DataFrame) -> str:
    times = frame[str(source.event_time)]
    first, last = (moment.tz_convert(ZoneInfo(source.timezone)) for moment in (times.min(), times.max()))
    return f"{len(frame):,} rows from {first:%m-%d %H:%M:%S} to {last:%m-%d %H:%M:%S}"


def _first_lost(source: SourceSettings, old: pd.DataFrame, parts: Parts) -> str:
    """The first row that would be lost, by its key and its time: `order_id 7 at 2024-03-10 00:05:00`."""
    row = old.iloc[int(np.flatnonzero(parts.lost)[0])]
    moment = pd.Timestamp(row[str(source.event_time)]).tz_convert(ZoneInfo(source.timezone))
    keys = ", ".join(f"{key} {shown(str(row[key]))}" for key in source.contract.unique if key != source.event_time)
    return f"{keys} at {moment:%Y-%m-%d %H:%M:%S}" if keys else f"that at {moment:%Y-%m-%d %H:%M:%S}"
