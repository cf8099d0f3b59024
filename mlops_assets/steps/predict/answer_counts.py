"""Requests of the online service: how many, how long they took and how many failed, by version and arm.

Here: the files, and reading them. Not here: counting (`serving.engine.request_counts`), what follows
(`core.rollout.moves`).

One row per minute, version, arm, outcome and bucket of time (`core.rollout.answer_counts`). The minute is the model's
clock's, as all that a rollout is judged by. Each service process has files of its own, which it replaces whole: a few
in the lake, `requests/<model>/partition=<day>/<writer>.parquet`, now and then; and a small live one,
`serving/counts/<writer>.json` in the home, twice a second, with what the lake does not have yet. So a guardrail sees an
answer at once, however long the log's way into the lake takes. A count only ever grows: where both have one, the larger
is the newer.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa

from mlops_assets.core.record.plain_values import Moment
from mlops_assets.core.rollout.answer_counts import Answering
from mlops_assets.core.values.sql import exact
from mlops_assets.world.atomic import write_text
from mlops_assets.world.files.state_files import read_state
from mlops_assets.world.lake import Lake
from mlops_assets.world.parquet import read_steady

LAYER = "requests"
_SCHEMA = pa.schema(
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
"""Values of the columns of `_SCHEMA`."""
_Counts = dict[str, list[tuple[Moment, int, str, bool, int, int]]]
Place = tuple[str, datetime, bool, int]
"""Writer, minute, whether it failed, bucket: what a count belongs to."""


def write(lake: Lake, model: str, day: date, writer: str, rows: Iterable[Row]) -> None:
    """Replace a writer's file of a day."""
    # Not by way of pandas: the service writes this every few seconds, and what keeps the interpreter keeps its answers.
    table = pa.Table.from_pylist([dict(zip(_SCHEMA.names, row, strict=True)) for row in rows], schema=_SCHEMA)
    lake.write(table, lake.file(LAYER, model, partition=day, name=writer))


def live_folder(lake: Lake) -> Path:
    """Where service processes say what the lake does not have yet."""
    return lake.home.root / "serving" / "counts"


def publish(lake: Lake, writer: str, rows: Mapping[str, Iterable[Row]]) -> None:
    """Replace a writer's live counts, by model."""
    plain = {model: [[at.isoformat(), *rest] for at, *rest in of] for model, of in rows.items()}
    write_text(live_folder(lake) / f"{writer}.json", json.dumps(plain))


def _live(lake: Lake, model: str, version: int, arms: Iterable[str], since: datetime) -> dict[Place, int]:
    """What the live files hold of a version in some arms, from the minute of a moment on."""
    lost = "answers that are not in the lake yet are not counted"
    first, wanted = since.replace(second=0, microsecond=0), set(arms)
    counts: dict[Place, int] = {}
    for path in live_folder(lake).glob("[!.]*.json"):
        for minute, of, arm, is_failed, bucket, count in (read_state(path, _Counts, lost=lost) or {}).get(model, ()):
            if of == version and arm in wanted and minute >= first:
                counts[path.stem, minute, is_failed, bucket] = count
    return counts


def files(lake: Lake, model: str, since: date) -> list[Path]:
    """Every writer's files from a day on."""
    paths = lake.folder(LAYER, model).glob("partition=*/*.parquet")
    return sorted(path for path in paths if path.parent.name >= f"partition={since}" and path.name[0] != ".")


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
    # The live ones first: what they drop in between is in the lake by then.
    live = _live(lake, model, version, list(arms), since)
    counts: Counter[tuple[bool, int]] = Counter()
    known: dict[Place, int] = {}
    for writer, minute, is_failed, bucket, count in _stored(
        lake, model, version, arms, since=since, day=day, live=live
    ):
        counts[is_failed, bucket] += count
        if minute is not None:
            known[writer, minute, is_failed, bucket] = count
    for place, count in live.items():
        counts[place[2], place[3]] += max(0, count - known.get(place, 0))
    times = {bucket: count for (is_failed, bucket), count in counts.items() if not is_failed and count}
    return Answering(times, sum(count for (is_failed, _), count in counts.items() if is_failed))


def _stored(
    lake: Lake, model: str, version: int, arms: Iterable[str], *, since: datetime, day: date, live: Iterable[Place]
) -> list[tuple[str, datetime | None, bool, int, int]]:
    """What the lake holds: writer, minute where it is one of the live ones, whether failed, bucket, requests."""
    paths = files(lake, model, day)
    if not paths:
        return []
    named = {"version": version, "arms": list(arms), "since": since, "live": sorted({minute for _, minute, *_ in live})}

    def read(files: Sequence[Path]) -> list[tuple[str, datetime | None, bool, int, int]]:
        with lake.connect() as connection:
            return connection.execute(
                "select parse_filename(filename, true), case when list_contains($live::timestamptz[], minute) "
                "then minute end, is_failed, bucket, sum(requests)::bigint "
                "from read_parquet($files, hive_partitioning = false, filename = true) "
                "where model_version = $version and list_contains($arms, arm) and minute >= date_trunc('minute', "
                "$since::timestamptz) group by all",
                {"files": [exact(path) for path in files], **named},
            ).fetchall()

    return read_steady(paths, read)
