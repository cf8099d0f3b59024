"""What the lake and the quarantine hold of a source, partition by partition: the record in plain files.

Here: reading and writing that record, releasing a bad partition. Not here: matching and moving files
(`intake`), judging rows (`core.sources.contract`). Imports nothing heavy: `mlops quarantine` answers at once.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mlops_assets.world.atomic import write_text
from mlops_assets.world.files.state_files import read_state
from mlops_assets.world.home import Home


@dataclass(frozen=True)
class Taken:
    """What the lake (or the quarantine) holds of one partition, and which file it came from."""

    file: str
    size: int
    mtime_ns: int
    sha256: str
    status: str
    """`good`, `quarantined`, or `released` (a person let it in; the next run takes it)."""
    rows: int = 0
    reason: str = ""
    at: str = ""
    notes: str = ""
    """What is worth knowing of good rows, such as hours that the clocks have twice."""
    can_be_let_in: bool = True
    """Whether a person may let it in as it is; else a release tries it again, in vain while its cause lasts."""
    beside: tuple[tuple[str, int, int], ...] | None = None
    """Name, size and time of the other files of the partition that were known of when this one was taken in; None where
    nobody noted it."""

    @property
    def stamp(self) -> tuple[str, int, int]:
        """Name, size and time of its file."""
        return self.file, self.size, self.mtime_ns

    def rank(self, stamp: tuple[str, int, int]) -> int:
        """What a file of its partition is: 0 passed over before, 1 the one that was taken in, 2 one that came since.

        A file that came since may have an older time than the one taken in, as what a backup restores has.
        """
        if stamp == self.stamp:
            return 1
        came_since = stamp[2] > self.mtime_ns if self.beside is None else stamp not in self.beside
        return 2 if came_since else 0

    def remedy(self, source: str, partition: str) -> str:
        """What to do about it in quarantine; ends in a command."""
        release = f"mlops quarantine release {source} {partition} --reason '...'"
        if self.can_be_let_in:
            return f"Send a corrected file, or let it in as it is: {release}"
        return (
            "Send a corrected file. It cannot be let in as it is; where the cause lay elsewhere and is gone, this "
            f"tries it again: {release}"
        )


@dataclass(frozen=True)
class TakenRecord:
    """The record of one source in one home.

    Attributes:
        home: whose lake it is.
        source: the source's name.
    """

    home: Home
    source: str

    @property
    def file(self) -> Path:
        """Which file each partition was made of."""
        return self.home.lake / "raw" / self.source / "_taken.json"

    def quarantine(self, partition: str) -> Path:
        """The folder of a bad partition."""
        return self.home.lake / "quarantine" / self.source / partition

    def entries(self) -> dict[str, Taken]:
        """What was taken in, by partition.

        Raises:
            DamagedFile: the file was edited, or is damaged.
        """
        lost = f"the files of {self.source} in landing are then taken in again"
        return read_state(self.file, dict[str, Taken], lost=lost) or {}

    def quarantined(self) -> dict[str, Taken]:
        """The bad partitions, oldest first."""
        return {key: entry for key, entry in sorted(self.entries().items()) if entry.status == "quarantined"}

    def put(self, partition: str, entry: Taken) -> None:
        """Put on record what became of a partition."""
        self.put_all({partition: entry})

    def put_all(self, entries: Mapping[str, Taken]) -> None:
        """Put on record what became of many partitions, in one write."""
        if entries:
            with self._locked():
                self._write({**self.entries(), **entries})

    def seen_again(self, entries: Mapping[str, Taken]) -> None:
        """Note under which name and time known content lies in landing now; its hash need not be taken again.

        An entry whose content another process has changed in the meantime stays as it is.
        """
        if not entries:
            return
        with self._locked():
            known = self.entries()
            same = {
                key: replace(known[key], file=entry.file, size=entry.size, mtime_ns=entry.mtime_ns, beside=entry.beside)
                for key, entry in entries.items()
                if key in known and known[key].sha256 == entry.sha256
            }
            self._write({**known, **same})

    def release(self, partition: str, reason: str) -> Taken:
        """Let a quarantined partition in as it is; the next landing run takes it.

        Raises:
            ValueError: there is no such partition in quarantine.
        """
        with self._locked():
            entries = self.entries()
            entry = entries.get(partition)
            if entry is None or entry.status != "quarantined":
                raise ValueError(
                    f"{self.source}/{partition} is not in quarantine. `mlops quarantine list` shows what is."
                )
            released = replace(entry, status="released", reason=reason)
            self._write({**entries, partition: released})
        return released

    def _write(self, entries: Mapping[str, Taken]) -> None:
        plain = {key: asdict(value) for key, value in sorted(entries.items())}
        write_text(self.file, json.dumps(plain, indent=1))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with (self.file.parent / "._taken.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
