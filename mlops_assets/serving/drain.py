"""From the spool into the lake: the online file of each partition that the monitors read.

Here: the thread that does it every few seconds, and one round of it; the counts of requests go along. Not here: the
spool (`spool`), counting (`tally`), who reads the files (`resources.prediction_steps`).

A record has an id. A round merges by id, replaces the partition's file, and only then removes the spooled one: killed
in between it is done again, and each record is in the lake once. DuckDB reads and merges outside Python's lock, so
requests go on meanwhile.
"""

from __future__ import annotations

import fcntl
import json
import logging
import threading
import time
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa

from mlops_assets.resources.lake import Lake
from mlops_assets.resources.prediction_steps import ONLINE
from mlops_assets.serving.health import Health
from mlops_assets.serving.spool import Spool, closed_segments, types_file
from mlops_assets.serving.tally import Tally

logger = logging.getLogger("mlops.serving")

SECONDS = 10.0
"""Between two rounds; more when a round takes long, so that it never takes over a twentieth of the time."""
PART = "log"


class Drain:
    """Moves what was spooled into the lake."""

    def __init__(
        self, spool: Spool, lake: Lake, health: Health, *, tally: Tally | None = None, seconds: float = SECONDS
    ) -> None:
        self._spool, self._lake, self._health, self._seconds = spool, lake, health, seconds
        self._tally = tally
        self._stop = threading.Event()
        self._round = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="drain-log", daemon=True)

    def start(self) -> None:
        """Begin; what an earlier process left is moved first."""
        self._thread.start()

    def stop(self) -> None:
        """End after a last round."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self.round()
        self._spool.close()

    def round(self) -> int:
        """Move everything that was spooled up to now; the rows moved. A failure is told and leaves the spool."""
        with self._round:
            try:
                self._spool.rotate()
                moved, refused = move(self._spool.folder, self._lake)
                if self._tally is not None:
                    self._tally.write(self._lake)
                if refused:
                    raise duckdb.ConversionException(f"put aside, because it cannot be read: {refused[0]}")
            except (OSError, duckdb.Error, pa.ArrowException) as error:
                self._health.bad(
                    PART,
                    f"logged predictions cannot be moved into the lake ({str(error).splitlines()[0]}).",
                    did="They stay in the spool, which grows; answers go on.",
                    do=f"Make room or mend what the message names; the spool is {self._spool.folder}.",
                    runbook="prediction-log-behind",
                )
                return 0
            self._health.good(PART)
            return moved

    def _run(self) -> None:
        pause = 0.0
        while not self._stop.wait(pause):
            began = time.monotonic()
            try:
                self.round()
            except Exception:
                logger.exception("moving the prediction log failed")
            pause = max(self._seconds, 20 * (time.monotonic() - began))


def move(folder: Path, lake: Lake) -> tuple[int, list[Path]]:
    """Move all closed files of a spool into the lake.

    Returns:
        The rows that were new there, and the files that could not be read: they are put aside, so that others don't
        wait behind them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    moved, refused = 0, []
    with (folder / ".drain.lock").open("w") as lock:
        # Two services of one home take turns.
        fcntl.flock(lock, fcntl.LOCK_EX)
        for model, segments in closed_segments(folder).items():
            for segment in segments:
                try:
                    moved += _move_segment(segment, model, lake) if segment.stat().st_size else 0
                except (duckdb.ConversionException, duckdb.InvalidInputException):
                    logger.exception("%s cannot be read", segment)
                    refused.append(segment.rename(segment.with_suffix(".refused")))
                    continue
                segment.unlink()
                types_file(segment).unlink(missing_ok=True)
    return moved, refused


def _move_segment(segment: Path, model: str, lake: Lake) -> int:
    types: dict[str, str] = json.loads(types_file(segment).read_text(encoding="utf-8"))
    moved = 0
    with lake.connect() as connection:
        connection.execute("set threads = 1")
        connection.execute(
            "create temp table incoming as select * from read_json($file, format = 'newline_delimited', "
            "columns = $types, maximum_object_size = 67108864) "
            "qualify row_number() over (partition by prediction_id) = 1",
            {"file": str(segment), "types": types},
        )
        days = connection.execute('select distinct "partition" from incoming order by 1').fetchall()
        for (day,) in days:
            moved += _merge(connection, day, model, lake)
    return moved


def _merge(connection: duckdb.DuckDBPyConnection, day: date, model: str, lake: Lake) -> int:
    path = lake.file("predictions", model, partition=day, name=ONLINE)
    new = 'select * exclude ("partition") from incoming where "partition" = $day'
    if path.exists():
        old = "select * from read_parquet($file, hive_partitioning = false)"
        known = "select prediction_id from read_parquet($file, hive_partitioning = false)"
        sql = f"{old} union all by name ({new} and prediction_id not in ({known}))"
        table = connection.execute(sql, {"day": day, "file": str(path)}).to_arrow_table()
        before = connection.execute("select count(*) from read_parquet($file)", {"file": str(path)}).fetchall()[0][0]
    else:
        table, before = connection.execute(new, {"day": day}).to_arrow_table(), 0
    return lake.write(table, path) - int(before)
