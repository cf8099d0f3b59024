"""The way of a source's files into the lake: what landed, what was taken in, what is in quarantine.

Here: matching file names to partitions, writing good ones into the lake, moving bad ones to quarantine.
Not here: the record of what each partition was made of (`taken`), judging one (`core.contract`), the asset
(`components`).
"""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

import pandas as pd
import pyarrow as pa

from mlops_assets.core.settings import SourceSettings
from mlops_assets.resources.atomic import write_text
from mlops_assets.resources.lake import Lake, file_hash
from mlops_assets.resources.taken import Taken, TakenRecord

__all__ = ["WHOLE", "Intake", "Taken", "fingerprints"]

WHOLE = "whole"
"""The key of an unpartitioned source's only partition."""


@dataclass(frozen=True)
class Intake:
    """One source's files on their way into one lake."""

    lake: Lake
    source: SourceSettings

    @property
    def folder(self) -> Path:
        """Where the files of this source land."""
        return self.lake.home.landing / self.source.name

    @property
    def record(self) -> TakenRecord:
        """What became of each partition."""
        return TakenRecord(self.lake.home, self.source.name)

    @property
    def record_file(self) -> Path:
        """Which file each partition was made of."""
        return self.record.file

    def quarantine(self, partition: str) -> Path:
        """The folder of a bad partition."""
        return self.record.quarantine(partition)

    def raw_file(self, partition: str) -> Path:
        """The Parquet file of a partition."""
        return self.lake.file("raw", self.source.name, partition=None if partition == WHOLE else partition)

    def landed(self) -> dict[str, Path]:
        """The file that holds each partition now: of several the newest, by time and then name."""
        until = self.lake.home.settings.until
        found: dict[str, tuple[int, str, Path]] = {}
        for path in self.folder.iterdir() if self.folder.exists() else ():
            partition = self._partition_of_file(path.name)
            if partition is None or (until and partition != WHOLE and self.end(partition) > until):
                continue
            entry = (path.stat().st_mtime_ns, path.name, path)
            if partition not in found or entry[:2] > found[partition][:2]:
                found[partition] = entry
        return {partition: entry[2] for partition, entry in sorted(found.items())}

    def unmatched(self) -> list[str]:
        """Files in the landing folder that no partition claims: misnamed, most likely."""
        return sorted(
            path.name
            for path in (self.folder.iterdir() if self.folder.exists() else ())
            if not path.name.startswith(".") and self._partition_of_file(path.name) is None
        )

    def taken(self) -> dict[str, Taken]:
        """What was taken in, by partition."""
        return self.record.entries()

    def pending(self) -> list[str]:
        """Partitions whose file is new, corrected or released; the same content landing twice is not."""
        taken = self.taken()
        return [
            partition for partition, path in self.landed().items() if self._is_new(path, taken.get(partition))
        ]

    def good(self) -> dict[str, Taken]:
        """Partitions whose rows stand in the lake; a quarantined correction leaves the old rows in."""
        return {key: entry for key, entry in self.taken().items() if self.raw_file(key).exists()}

    def newest_end(self) -> datetime | None:
        """The end of the newest good partition."""
        good = [partition for partition in self.good() if partition != WHOLE]
        return self.end(max(good)) if good else None

    def end(self, partition: str) -> datetime:
        """The moment a partition ends."""
        return self.source.midnight(self.source.end_of(date.fromisoformat(partition))).astimezone(UTC)

    def start(self, partition: str) -> datetime:
        """The moment a partition begins."""
        return self.source.midnight(date.fromisoformat(partition)).astimezone(UTC)

    def accept(self, partition: str, path: Path, frame: pd.DataFrame, *, schema: pa.Schema) -> Taken:
        """Write a good partition in place of the old one and put it on record."""
        entry = _taken(path, status="good", rows=len(frame))
        self.lake.write(frame, self.raw_file(partition), fingerprint=entry.sha256, schema=schema)
        self.record.put(partition, entry)
        shutil.rmtree(self.quarantine(partition), ignore_errors=True)
        return entry

    def reject(self, partition: str, path: Path, reasons: list[str], rows: pd.DataFrame | None) -> Taken:
        """Move a bad partition to quarantine: the file as it came, its rows, the bad ones marked, and why."""
        folder = self.quarantine(partition)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, folder / path.name)
        if rows is not None:
            as_text = rows.astype({column: "string" for column in rows.columns if column != "is_bad"})
            self.lake.write(as_text, folder / "rows.parquet")
        count = 0 if rows is None else len(rows)
        entry = _taken(path, status="quarantined", rows=count, reason=" ".join(reasons))
        told = {"partition": partition, "reasons": reasons, **asdict(entry)}
        write_text(folder / "reason.json", json.dumps(told, indent=2))
        self.record.put(partition, entry)
        return entry

    def release(self, partition: str, reason: str) -> Taken:
        """Let a quarantined partition in as it is; the next landing run takes it.

        Raises:
            ValueError: there is no such partition in quarantine.
        """
        return self.record.release(partition, reason)

    def _partition_of_file(self, name: str) -> str | None:
        match = re.match(_expression(self.source.files), name)
        if match is None:
            return None
        if self.source.grain == "none":
            return WHOLE
        try:
            day = date.fromisoformat(match["partition"])
        except ValueError:
            return None
        return match["partition"] if self.source.partition_of(day) == day >= self.source.start_date else None

    @staticmethod
    def _is_new(path: Path, taken: Taken | None) -> bool:
        if taken is None or taken.status == "released":
            return True
        stat = path.stat()
        if (taken.size, taken.mtime_ns, taken.file) == (stat.st_size, stat.st_mtime_ns, path.name):
            return False
        return file_hash(path) != taken.sha256


@cache
def _expression(pattern: str) -> str:
    """A source's file pattern as a regular expression with the group `partition`."""
    translated = fnmatch.translate(pattern.replace("{partition}", "\0"))
    return translated.replace("\0", r"(?P<partition>\d{4}-\d{2}-\d{2})")


def _taken(path: Path, *, status: str, rows: int, reason: str = "") -> Taken:
    stat = path.stat()
    return Taken(
        file=path.name,
        size=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        sha256=file_hash(path),
        status=status,
        rows=rows,
        reason=reason,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def fingerprints(entries: Mapping[str, Taken]) -> dict[str, str]:
    """The content each partition was made of, by partition."""
    return {partition: entry.sha256 for partition, entry in entries.items()}
