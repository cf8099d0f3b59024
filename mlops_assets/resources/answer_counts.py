"""Requests of the online service in the lake: how many, how long they took and how many failed, by version and arm.

Here: the files, `requests/<model>/partition=<day>/<writer>.parquet`, and reading them. Not here: counting
(`serving.tally`), what follows (`core.rollout`).

One row per minute, version, arm, outcome and bucket of time (`core.answering`). The minute is the model's clock's, as
all that a rollout is judged by; each service process has a file of its own, which it replaces whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa

from mlops_assets.core.answering import Answering
from mlops_assets.resources.lake import Lake
from mlops_assets.resources.parquet import read_steady

LAYER = "requests"
SCHEMA = pa.schema(
    {
        "minute": pa.timestamp("us", tz="UTC"),
        "model_version": pa.int64(),
        "arm": pa.string(),
        "is_failed": pa.bool_(),
        "bucket": pa.int64(),
        "requests": pa.int64(),
    }
)
Row = tuple[datetime, int, str, bool, int, int]
"""Values of the columns of `SCHEMA`."""


def write(lake: Lake, model: str, day: date, writer: str, rows: Iterable[Row]) -> None:
    """Replace a writer's file of a day."""
    # Not by way of pandas: the service writes this every few seconds, and what keeps the interpreter keeps its answers.
    table = pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in rows], schema=SCHEMA)
    lake.write(table, lake.file(LAYER, model, partition=day, name=writer))


def files(lake: Lake, model: str, since: date) -> list[Path]:
    """Every writer's files from a day on."""
    found = lake.folder(LAYER, model).glob("partition=*/*.parquet")
    return sorted(path for path in found if path.parent.name >= f"partition={since}" and path.name[0] != ".")


def answering(lake: Lake, model: str, version: int, arms: Iterable[str], *, since: datetime, day: date) -> Answering:
    """What a version did in some arms since a moment.

    Args:
        lake: of the home.
        model: the monitored model.
        version: whose requests.
        arms: in which it was asked.
        since: the minute that this lies in counts whole.
        day: the partition of `since`.
    """
    paths = files(lake, model, day)
    if not paths:
        return Answering({})
    named = {"version": version, "arms": list(arms), "since": since}

    def read(files: Sequence[Path]) -> list[tuple[bool, int, int]]:
        with lake.connect() as connection:
            return connection.execute(
                "select is_failed, bucket, sum(requests)::bigint from read_parquet($files, hive_partitioning = false) "
                "where model_version = $version and list_contains($arms, arm) and minute >= date_trunc('minute', "
                "$since::timestamptz) group by all",
                {"files": [str(path) for path in files], **named},
            ).fetchall()

    found = read_steady(paths, read)
    times = {int(bucket): int(count) for is_failed, bucket, count in found if not is_failed}
    return Answering(times, sum(int(count) for is_failed, _, count in found if is_failed))
