"""Logged answers into the lake: the online file of each partition that the monitors read.

Here: moving the closed files of a spool. Not here: the process that does it (`mover`), when (`drain`), the spool
(`spool`), who reads the files (`steps.predict.predictions`).

A partition's file is written anew, with the names of the spooled files in it, and only then those are removed: killed
in between it finds the names there, and each record is in the lake once. DuckDB reads and merges with memory of a fixed
size.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby
from pathlib import Path

import duckdb

from mlops_assets.core.values.sql import exact, literal
from mlops_assets.serving.log.spool import closed_segments, types_file
from mlops_assets.world.atomic import replacing
from mlops_assets.world.files.state_files import read_state
from mlops_assets.world.parquet import FINGERPRINT, file_of, fingerprint

logger = logging.getLogger("mlops.serving")

PORTION = 2**28
"""Bytes of spooled files that are moved at once."""
MEMORY = "400MB"
"""What DuckDB may hold; beyond it uses the disk."""
ROW_GROUP = 20_480
UNREADABLE = (duckdb.ConversionException, duckdb.InvalidInputException)


def move(folder: Path, predictions: Path, writer: str) -> tuple[int, list[Path]]:
    """Move all closed files of a spool into the lake.

    Args:
        folder: of the spool.
        predictions: the lake's folder of them; a table a model.
        writer: name of the files that are replaced, in each partition.

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
                    moved += _move_portion(portion, predictions / model, writer)
                except UNREADABLE:
                    # One of them cannot be read; the others are, each by itself.
                    for segment in portion:
                        try:
                            moved += _move_portion([segment], predictions / model, writer)
                        except UNREADABLE:
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


def _move_portion(segments: Sequence[Path], table: Path, writer: str) -> int:
    lost = "its rows in the spool are then not moved, and stay there"
    types = read_state(types_file(segments[0]), dict[str, str], lost=lost)
    if types is None:
        raise FileNotFoundError(f"{types_file(segments[0])} is missing: bring it from a backup. {lost.capitalize()}.")
    moved = 0
    # An engine of its own, for its memory and threads are bounded here.
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("set threads = 1")
        connection.execute(f"set memory_limit = '{MEMORY}'")
        connection.execute("set temp_directory = $folder", {"folder": str(segments[0].parent / ".drain")})
        connection.execute("set preserve_insertion_order = false")
        connection.execute(
            "create temp table incoming as select * from read_json($files, format = 'newline_delimited', "
            "columns = $types, maximum_object_size = 67108864, filename = '_spooled_in')",
            {"files": [exact(segment) for segment in segments], "types": types},
        )
        days = connection.execute('select distinct "partition" from incoming order by 1').fetchall()
        for (day,) in days:
            moved += _merge(connection, day, file_of(table, day, writer), segments)
    return moved


def _merge(connection: duckdb.DuckDBPyConnection, day: date, path: Path, segments: Sequence[Path]) -> int:
    """Add a day's rows to its file, streaming: a large day takes no more memory than a small one."""
    # The file names the spooled ones that it was made of and that are not gone yet: what a kill left behind.
    known = json.loads(fingerprint(path) or "[]") if path.exists() else []
    fresh = [segment for segment in segments if segment.name not in known]
    left = [segment.name for segment in segments] + [name for name in known if (segments[0].parent / name).exists()]
    if not fresh:
        return 0
    new = f"""select * exclude ("partition", _spooled_in) from incoming where "partition" = {literal(day)}
        and _spooled_in in ({", ".join(map(literal, fresh))})"""
    old = (
        f"select * from read_parquet({literal(exact(path))}, hive_partitioning = false) union all by name "
        if path.exists()
        else ""
    )
    with replacing(path) as temporary:
        connection.execute(
            f"""copy ({old}{new}) to {literal(temporary)} (format parquet, compression zstd, row_group_size {ROW_GROUP},
            kv_metadata {{{literal(FINGERPRINT.decode())}: {literal(json.dumps(sorted(set(left))))}}})"""
        )
        # On the disk before the spooled files go, which never were.
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
    return int(connection.execute(f"select count(*) from ({new})").fetchall()[0][0])
