"""The way of a source's files into the lake: what landed, what was taken in, what is in quarantine.

Here: writing good partitions into the lake, moving bad ones to quarantine. Not here: the files as they landed
(`landed_files`), the record of what each partition was made of (`partitions`), judging one
(`core.sources.contract`), the asset (`assets`).

The lake is written first and the record last. A kill in between leaves a record that knows less than the
lake: the same partitions are pending again and are taken in again, to the same result.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.world.atomic import replacing, write_text
from mlops_assets.world.lake import Lake, file_hash
from mlops_assets.world.landed.landed_files import (
    WHOLE,
    LandedFile,
    Read,
    newest_files,
    partition_of_file,
    read_file,
    unclaimed,
    unread_file,
)
from mlops_assets.world.landed.links import Unclaimed
from mlops_assets.world.landed.partitions import Taken, TakenRecord

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = [
    "WHOLE",
    "Intake",
    "IntakeState",
    "LandedFile",
    "Read",
    "Taken",
    "Verdict",
    "partition_of_file",
    "read_file",
    "unread_file",
]

SHAPE = b"mlops.shape"
"""Key in a partition's footer: its shape."""
ROWS = "rows.parquet"
"""In quarantine: the rows as they came, with the bad ones marked."""


@dataclass(frozen=True)
class Verdict:
    """What was found out about one partition.

    Attributes:
        partition: its key.
        read: the file it came in.
        reasons: why it is bad; none if it is good.
        frame: the rows: as they are stored if good, as they came, with `is_bad`, if bad; None if unreadable.
        released: the reason of the person who let it in.
        notes: what is worth knowing of a good one, in sentences.
        can_be_let_in: whether a person may let a bad one in as it is.
        shape: what later partitions are held against (`core.sources.partition_profile`), as text; of a bad one, what it
            was refused for, if that was its unit.
    """

    partition: str
    read: Read
    reasons: tuple[str, ...]
    frame: pd.DataFrame | None
    released: str = ""
    shape: str = ""
    notes: tuple[str, ...] = ()
    can_be_let_in: bool = True


@dataclass(frozen=True)
class IntakeState:
    """One look at a source: landing folder, record and lake, partition by partition.

    Attributes:
        landed: the file that holds each partition now.
        unmatched: names of files that no partition claims, and of links, which are not followed.
        taken: the record.
        good: partitions whose rows stand in the lake.
        pending: partitions whose file is new, corrected or released, or whose rows the lake has lost.
        no_right: those among them that wait: the file that nobody may read.
    """

    landed: Mapping[str, LandedFile]
    unmatched: tuple[str, ...]
    taken: Mapping[str, Taken]
    good: Mapping[str, Taken]
    pending: tuple[str, ...]
    no_right: Mapping[str, LandedFile]


@dataclass(frozen=True)
class Intake:
    """One source's files on their way into one lake.

    Attributes:
        lake: the lake.
        source: whose files.
        known: what was taken in, by partition, where that was read a moment ago; otherwise it is read when it is asked.
    """

    lake: Lake
    source: SourceSettings
    known: Mapping[str, Taken] | None = None

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
        """The Parquet file of a partition; the hours of a day stand beside each other."""
        day, _, hour = partition.partition("T")
        name = f"data.{hour}" if hour else "data"
        return self.lake.file("raw", self.source.name, partition=None if partition == WHOLE else day, name=name)

    # --- looking

    def state(self) -> IntakeState:
        """One look at everything; reads names, sizes and times, and the content of touched files alone."""
        files, unmatched = self._look()
        landed = newest_files(files)
        taken = self.taken()
        good = self._standing(taken)
        pending, touched, no_right = [], {}, {}
        for partition, file in landed.items():
            entry = taken.get(partition)
            is_new = entry is None or entry.status == "released" or (entry.status == "good" and partition not in good)
            if not is_new and entry and entry.stamp == file.stamp:
                continue
            if not file.is_readable:
                no_right[partition] = file
            elif entry and not is_new and entry.size == file.size and file_hash(file.path) == entry.sha256:
                touched[partition] = replace(entry, file=file.name, mtime_ns=file.mtime_ns, beside=file.beside)
            else:
                pending.append(partition)
        self.record.seen_again(touched)
        return IntakeState(landed, tuple(unmatched), taken, good, tuple(pending), no_right)

    def landed(self) -> dict[str, Path]:
        """The file that holds each partition now: of several the one that came last, by time and then name."""
        return {partition: file.path for partition, file in self.landed_files().items()}

    def landed_files(self) -> dict[str, LandedFile]:
        """The file that holds each partition now, with size and time."""
        return newest_files(self._look()[0])

    def files_beside(self) -> dict[str, list[LandedFile]]:
        """Files of each partition beside the one that holds it, that came since it was taken in last; newest first."""
        taken = self.taken()
        return {
            part: [f for f in reversed(files[:-1]) if part not in taken or taken[part].rank(f.stamp) == 2]
            for part, files in self._look()[0].items()
            if len(files) > 1
        }

    def unmatched(self) -> list[str]:
        """Files in the landing folder that no partition claims: misnamed, most likely, or links to other places."""
        return self._look()[1]

    def unclaimed(self) -> list[Unclaimed]:
        """The same by reason, with what to do."""
        return unclaimed(self.source, self.folder, self.unmatched())

    def taken(self) -> dict[str, Taken]:
        """What was taken in, by partition."""
        return self.record.entries() if self.known is None else dict(self.known)

    def pending(self) -> list[str]:
        """Partitions whose file is new, corrected or released; the same content landing twice is not."""
        return list(self.state().pending)

    def good(self) -> dict[str, Taken]:
        """Partitions whose rows stand in the lake; a quarantined correction leaves the old rows in."""
        return self._standing(self.taken())

    def newest_end(self) -> datetime | None:
        """The end of the newest good partition."""
        good = [partition for partition in self.good() if partition != WHOLE]
        return self.end(max(good)) if good else None

    def end(self, partition: str) -> datetime:
        """The moment a partition ends."""
        return self.source.ends(partition)

    def start(self, partition: str) -> datetime:
        """The moment a partition begins."""
        return self.source.begins(partition)

    def is_visible(self, partition: str, until: datetime | None) -> bool:
        """Whether a home whose time stands at `until` knows of a partition: it has ended by then."""
        return until is None or partition == WHOLE or self.end(partition) <= until

    # --- writing

    def settle(self, verdicts: Sequence[Verdict], *, schema: pa.Schema) -> None:
        """Write good partitions in place of the old, move bad ones to quarantine, then put all on record.

        Args:
            verdicts: of any number of partitions, each at most once.
            schema: the Parquet schema of the source.
        """
        good = [verdict for verdict in verdicts if not verdict.reasons and verdict.frame is not None]
        bad = [verdict for verdict in verdicts if verdict.reasons]
        entries: dict[str, Taken] = {}
        if good:
            import pandas as pd
            import pyarrow as pa

            # One conversion for all, cut afterwards: to Arrow costs as much for a day as for a month.
            frames = [verdict.frame for verdict in good if verdict.frame is not None]
            table = pa.Table.from_pandas(pd.concat(frames, ignore_index=True), schema=schema, preserve_index=False)
            offset = 0
            for verdict, frame in zip(good, frames, strict=True):
                rows = table.slice(offset, len(frame))
                notes = {SHAPE: verdict.shape.encode()}
                self.lake.write(rows, self.raw_file(verdict.partition), fingerprint=verdict.read.sha256, notes=notes)
                self._drop_other_form(verdict.partition)
                entries[verdict.partition] = _taken(verdict, status="good", rows=len(frame))
                offset += len(frame)
        for verdict in bad:
            entries[verdict.partition] = self._set_aside(verdict)
        for verdict in good:
            shutil.rmtree(self.quarantine(verdict.partition), ignore_errors=True)
        self.record.put_all(entries)

    def release(self, partition: str, reason: str) -> Taken:
        """Let a quarantined partition in as it is; the next landing run takes it.

        Raises:
            ValueError: there is no such partition in quarantine.
        """
        return self.record.release(partition, reason)

    def _drop_other_form(self, partition: str) -> None:
        """Of a source that once landed by the day and now by the hour, or the other way round, the rows count once."""
        if partition != WHOLE:
            folder, is_hour = self.raw_file(partition).parent, "T" in partition
            for other in folder.glob("data.parquet" if is_hour else "data.*.parquet"):
                other.unlink()

    def _set_aside(self, verdict: Verdict) -> Taken:
        """Put a bad partition into quarantine: file as it came, rows with the bad ones marked, why."""
        folder, name = self.quarantine(verdict.partition), verdict.read.file.name
        # Beside our own files; a file that landed under the name of one keeps its content under another.
        name = f"landed_{name}" if name in ("reason.json", ROWS) else name
        with replacing(folder / name) as temporary:
            if verdict.read.content is None:
                shutil.copyfile(verdict.read.file.path, temporary)
            else:
                temporary.write_bytes(verdict.read.content)
        kept = {name, "reason.json"}
        rows = 0
        if verdict.frame is not None:
            marked = verdict.frame.rename(columns=str)
            cells = marked.select_dtypes(object).map(
                lambda cell: cell.decode(errors="backslashreplace") if isinstance(cell, bytes) else cell
            )
            as_text = marked.assign(**cells).astype(
                {column: "string" for column in marked.columns if column != "is_bad"}
            )
            rows = self.lake.write(as_text, folder / ROWS, notes={SHAPE: verdict.shape.encode()})
            kept.add(ROWS)
        entry = _taken(verdict, status="quarantined", rows=rows)
        report = {"partition": verdict.partition, "reasons": list(verdict.reasons), **asdict(entry)}
        write_text(folder / "reason.json", json.dumps(report, indent=2))
        for stale in folder.iterdir():
            # Of an earlier bad file: it is no longer what this partition waits for.
            if stale.name not in kept:
                stale.unlink()
        return entry

    def _standing(self, taken: Mapping[str, Taken]) -> dict[str, Taken]:
        """Entries whose rows are in the lake: one listing, since a look at each file adds up."""
        folder = self.lake.folder("raw", self.source.name)
        if self.source.grain == "none":
            return {key: entry for key, entry in taken.items() if self.raw_file(key).exists()}
        with os.scandir(folder) if folder.exists() else nullcontext(()) as entries:
            folders = {entry.name.removeprefix("partition=") for entry in entries}
        if self.source.is_hourly:
            parts = ((day, file) for day in folders for file in (folder / f"partition={day}").glob("data.*.parquet"))
            folders = {f"{day}T{file.name.split('.')[1]}" for day, file in parts}
        return {
            key: entry
            for key, entry in taken.items()
            # A partition that never was good may have left an empty folder behind.
            if key in folders and (entry.status == "good" or self.raw_file(key).exists())
        }

    def _look(self) -> tuple[dict[str, list[LandedFile]], list[str]]:
        """The files of each partition that has ended by now, the newest last, and the names that match nothing.

        What has come since a partition was taken in is newer than what lay there then, whatever its time says.
        """
        until = self.lake.home.settings.until
        by_partition: dict[str, list[LandedFile]] = {}
        unmatched = []
        folder = self.folder
        with os.scandir(folder) if folder.exists() else nullcontext(()) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.is_dir(follow_symlinks=False):
                    continue
                partition = partition_of_file(self.source, entry.name)
                if partition is None or not entry.is_file(follow_symlinks=False):
                    unmatched.append(entry.name)
                    continue
                stat = entry.stat(follow_symlinks=False)
                file = LandedFile(folder / entry.name, stat.st_size, stat.st_mtime_ns)
                by_partition.setdefault(partition, []).append(file)
        taken = self.taken() if any(len(files) > 1 for files in by_partition.values()) else {}
        for partition, files in by_partition.items():
            files.sort(key=partial(_arrival, taken.get(partition)))
        return {p: by_partition[p] for p in sorted(by_partition) if self.is_visible(p, until)}, sorted(unmatched)


def _arrival(known: Taken | None, file: LandedFile) -> tuple[int, int, str]:
    """In which order the files of a partition came, by what was known when it was taken in, by time, and by name."""
    return known.rank(file.stamp) if known else 0, file.mtime_ns, file.name


def _taken(verdict: Verdict, *, status: str, rows: int) -> Taken:
    file = verdict.read.file
    return Taken(
        file=file.name,
        size=file.size,
        mtime_ns=file.mtime_ns,
        beside=file.beside,
        sha256=verdict.read.sha256,
        status=status,
        rows=rows,
        reason=" ".join(verdict.reasons) or verdict.released,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        notes=" ".join(verdict.notes),
        can_be_let_in=verdict.can_be_let_in,
    )
