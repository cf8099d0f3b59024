"""Keys that a source's partitions share, although each names one row of all days.

Here: finding them before the rows are in the lake, where they would end every later build of dbt. Not here: keys that
are there twice within one partition (`core.sources.contract_check`), quarantine (`intake`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.values.display import row_numbers, shown, some
from mlops_assets.core.values.sql import exact, quoted
from mlops_assets.world import parquet
from mlops_assets.world.landed.intake import Intake

_PART, ROW = "the partition", "the row"
"""Columns beside the key, called as no column of a contract is."""

_MOST = 5
"""Rows that a reason names."""


@dataclass(frozen=True)
class Repeated:
    """Rows of a partition whose key stands in another one.

    Attributes:
        reason: which key and which partitions, and what to do.
        rows: shape (n,), True for those rows.
    """

    reason: str
    rows: NDArray[np.bool_]


def repeated_keys(intake: Intake, frames: Mapping[str, pd.DataFrame]) -> dict[str, Repeated]:
    """Partitions some of whose keys stand in another one.

    What the lake has stays; of two partitions that come together the earlier is let in, and the other is told.

    Args:
        intake: the source.
        frames: rows that are about to be written, by partition; they replace what the lake has of theirs.
    """
    source = intake.source
    keys = source.contract.unique
    # With the time of the event in the key, each partition has keys of its own.
    if not keys or source.event_time in keys or source.grain == "none":
        return {}
    repeated: dict[str, Repeated] = {}
    coming = dict(sorted(frames.items()))
    while coming:
        new = pd.concat([_keys(part, frame, keys) for part, frame in coming.items()])
        files = [intake.raw_file(part) for part in intake.good() if part not in coming]
        landed, together = _shared(pa.Table.from_pandas(new, preserve_index=False), keys, files)
        clashes = {part: {row: others[0] for row, others in rows.items()} for part, rows in landed.items()}
        for part in () if clashes else sorted(together):
            # With one that is held back itself it shares nothing but, perhaps, what the lake had of that one.
            rows = {row: [other for other in others if other not in clashes] for row, others in together[part].items()}
            if shared := {row: others[0] for row, others in rows.items() if others}:
                clashes[part] = shared
        if not clashes:
            break
        # One that is held back leaves the rows that the lake had of it: the others are held against those as well.
        for part, shared in clashes.items():
            repeated[part] = _repeated(source, part, coming.pop(part), shared)
    return repeated


def _keys(part: str, frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame({**{key: frame[key] for key in keys}, _PART: part, ROW: np.arange(len(frame))})


Shared = dict[str, dict[int, list[str]]]
"""Partition -> row -> the other partitions that have its key."""


def _shared(new: pa.Table, keys: Sequence[str], files: Sequence[Path]) -> tuple[Shared, Shared]:
    """What new partitions share with files of the lake, and what with earlier new ones."""
    same = " and ".join(f"new.{quoted(key)} = old.{quoted(key)}" for key in keys)
    names = ", ".join(map(quoted, keys))
    with parquet.connected() as session:
        session.register("new", new)

        def look(relation: str, where: str, given: Mapping[str, object]) -> list[tuple[str, int, list[str]]]:
            return session.execute(
                f"select new.{quoted(_PART)}, new.{quoted(ROW)}, list(distinct old.{quoted(_PART)} "
                f"order by old.{quoted(_PART)}) from new join {relation} as old on {same} {where} "
                "group by all order by all",
                dict(given),
            ).fetchall()

        def read(paths: Sequence[Path]) -> list[tuple[str, int, list[str]]]:
            of_files = (
                f"(select {names}, filename as {quoted(_PART)} from read_parquet($files, filename = true, "
                "union_by_name = true, hive_partitioning = false))"
            )
            shared = look(of_files, "", {"files": [exact(path) for path in paths]})
            return [(part, row, list(map(_partition_of, files))) for part, row, files in shared]

        landed = parquet.read_steady(files, read) if files else []
        return _by_part(landed), _by_part(look("new", f"and old.{quoted(_PART)} < new.{quoted(_PART)}", {}))


def _by_part(matches: Sequence[tuple[str, int, list[str]]]) -> Shared:
    shared: Shared = {}
    for part, row, others in matches:
        shared.setdefault(part, {})[row] = others
    return shared


def _partition_of(file: str) -> str:
    return Path(file).parent.name.removeprefix("partition=")


def _repeated(source: SourceSettings, part: str, frame: pd.DataFrame, shared: Mapping[int, str]) -> Repeated:
    rows = np.zeros(len(frame), dtype=np.bool_)
    rows[list(shared)] = True
    row, other = next(iter(shared.items()))
    keys = source.contract.unique
    key = ", ".join(f"{name} {shown(str(frame[name].iloc[row]))}" for name in keys)
    others = sorted(set(shared.values()))
    days = some([*map(str, others)], 1)
    many = f"{len(shared):,} row{'' if len(shared) == 1 else 's'}"
    where, names = row_numbers(sorted(shared), _MOST), ", ".join(keys)
    reason = (
        f"{many} of {part} ({where}) share their key ({names}) with rows of {days}, such as {key} of {other}, and a "
        f"key names one row of all days: correct the file of one of them, or add {source.event_time} to `unique` if a "
        "key may come again."
    )
    return Repeated(reason, rows)
