"""From the spool into the lake: the online file of each partition that the monitors read.

Here: the thread that does it every few seconds, and one round of it; the counts of requests go along. Not here: the
spool (`spool`), counting (`tally`), who reads the files (`resources.prediction_steps`).

A round writes the partition's file anew, with the names of the spooled files in it, and only then removes those: killed
in between it finds the names there, and each record is in the lake once. DuckDB reads and merges outside Python's lock,
with memory of a fixed size, so requests go on meanwhile.
"""

from __future__ import annotations

import fcntl
import json
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby
from pathlib import Path

import duckdb
import pyarrow as pa

from mlops_assets.resources.atomic import replacing
from mlops_assets.resources.lake import FINGERPRINT, Lake
from mlops_assets.resources.prediction_steps import ONLINE
from mlops_assets.serving.health import Health
from mlops_assets.serving.spool import Spool, closed_segments, types_file
from mlops_assets.serving.tally import Tally

logger = logging.getLogger("mlops.serving")

SECONDS = 10.0
"""Between two rounds; more when a round takes long, so that it never takes over a twentieth of the time."""
PART = "log"
PORTION = 2**28
"""Bytes of spooled files that are moved at once."""
MEMORY = "400MB"
"""What DuckDB may hold; beyond it uses the disk."""
ROW_GROUP = 20_480


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
            for segment in (segment for segment in segments if not segment.stat().st_size):
                _forget(segment)
            for portion in portions([segment for segment in segments if segment.exists()]):
                try:
                    moved += _move_portion(portion, model, lake)
                except (duckdb.ConversionException, duckdb.InvalidInputException):
                    # One of them cannot be read; the others are, each by itself.
                    for segment in portion:
                        try:
                            moved += _move_portion([segment], model, lake)
                        except (duckdb.ConversionException, duckdb.InvalidInputException):
                            logger.exception("%s cannot be read", segment)
                            refused.append(segment.rename(segment.with_suffix(".refused")))
                            continue
                        _forget(segment)
                    continue
                for segment in portion:
                    _forget(segment)
    return moved, refused


def portions(segments: Sequence[Path]) -> Iterator[list[Path]]:
    """Files to move at once: of the same columns, and not too many bytes."""
    for _, same in groupby(segments, key=lambda segment: types_file(segment).read_bytes()):
        portion: list[Path] = []
        for segment in same:
            if portion and sum(path.stat().st_size for path in [*portion, segment]) > PORTION:
                yield portion
                portion = []
            portion.append(segment)
        yield portion


def _forget(segment: Path) -> None:
    segment.unlink()
    types_file(segment).unlink(missing_ok=True)


def _move_portion(segments: Sequence[Path], model: str, lake: Lake) -> int:
    types: dict[str, str] = json.loads(types_file(segments[0]).read_text(encoding="utf-8"))
    moved = 0
    with lake.connect() as connection:
        connection.execute("set threads = 1")
        connection.execute(f"set memory_limit = '{MEMORY}'")
        connection.execute("set temp_directory = $folder", {"folder": str(segments[0].parent / ".drain")})
        connection.execute("set preserve_insertion_order = false")
        connection.execute(
            "create temp table incoming as select * from read_json($files, format = 'newline_delimited', "
            "columns = $types, maximum_object_size = 67108864, filename = '_spooled_in')",
            {"files": [str(segment) for segment in segments], "types": types},
        )
        days = connection.execute('select distinct "partition" from incoming order by 1').fetchall()
        for (day,) in days:
            path = lake.file("predictions", model, partition=day, name=ONLINE)
            moved += _merge(connection, day, path, segments)
    return moved


def _merge(connection: duckdb.DuckDBPyConnection, day: date, path: Path, segments: Sequence[Path]) -> int:
    """Add a day's rows to its file, streaming: a large day takes no more memory than a small one."""
    # The file names the spooled ones that it was made of and that are not gone yet: what a kill left behind.
    known = json.loads(Lake.fingerprint(path) or "[]") if path.exists() else []
    fresh = [segment for segment in segments if segment.name not in known]
    left = [segment.name for segment in segments] + [name for name in known if (segments[0].parent / name).exists()]
    if not fresh:
        return 0
    new = f"""select * exclude ("partition", _spooled_in) from incoming where "partition" = {_text(day)}
        and _spooled_in in ({", ".join(map(_text, fresh))})"""
    old = (
        f"select * from read_parquet({_text(path)}, hive_partitioning = false) union all by name "
        if path.exists()
        else ""
    )
    with replacing(path) as temporary:
        connection.execute(
            f"""copy ({old}{new}) to {_text(temporary)} (format parquet, compression zstd, row_group_size {ROW_GROUP},
            kv_metadata {{{_text(FINGERPRINT.decode())}: {_text(json.dumps(sorted(set(left))))}}})"""
        )
    return int(connection.execute(f"select count(*) from ({new})").fetchall()[0][0])


def _text(value: object) -> str:
    """A value as an SQL text; `copy` takes no parameters."""
    return "'" + str(value).replace("'", "''") + "'"
