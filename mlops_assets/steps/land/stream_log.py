"""Messages as they were read, in files that are named after their offsets.

Here: writing a batch whole or not at all, where to go on, finding the files of a range, merging small ones, the lock of
the one process that reads a stream. Not here: the broker (`stream_consumer`), what the messages say (`stream_landing`).

A file `<partition>.<first>-<next>.parquet` holds the messages of one partition of the topic from offset `first` up to,
not including, `next`. Its appearing under this name is the commit: what is stored and where to go on are one fact, so a
kill at any moment neither loses nor doubles a message (docs/adr/0019).
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.world.atomic import replacing

MERGED_ROWS = 200_000
"""Landed files are merged up to about this many messages."""
SCHEMA = pa.schema([("offset", pa.int64()), ("sent_at", pa.timestamp("ms", tz="UTC")), ("value", pa.binary())])
_NAME = re.compile(r"^(\d+)\.(\d+)-(\d+)\.parquet$")


class AlreadyRead(RuntimeError):
    """Another process reads this stream into this home."""


@dataclass(frozen=True, order=True)
class Segment:
    """One file: messages [first, next) of a partition of the topic.

    Attributes:
        partition: of the topic.
        first: offset of its first message.
        next: offset of the first message after it; offsets in between may be missing (transactions, compaction).
    """

    partition: int
    first: int
    next: int

    @property
    def name(self) -> str:
        """Of the file; names sort as segments do."""
        return f"{self.partition:04d}.{self.first:015d}-{self.next:015d}.parquet"

    @classmethod
    def of_name(cls, name: str) -> Segment | None:
        """The segment that a file name stands for."""
        match = _NAME.match(name)
        return cls(*map(int, match.groups())) if match else None

    def meets(self, partition: int, first: int, after: int) -> bool:
        """Whether it has messages of [first, after)."""
        return self.partition == partition and self.first < after and first < self.next

    def holds(self, other: Segment) -> bool:
        """Whether all of another are in it."""
        return self.partition == other.partition and self.first <= other.first and other.next <= self.next


@dataclass(frozen=True)
class StreamLog:
    """The files of one stream.

    Attributes:
        folder: `landing/<source>/messages`.
    """

    folder: Path

    @property
    def new(self) -> Path:
        """Segments with a partition that has not been landed."""
        return self.folder / "new"

    @property
    def landed(self) -> Path:
        """Segments all of whose rows stand in landed files."""
        return self.folder / "landed"

    def path(self, segment: Segment) -> Path:
        """Where a segment's file is: not landed yet, or landed."""
        new = self.new / segment.name
        return new if new.exists() else self.landed / segment.name

    def segments(self, *folders: Path) -> list[Segment]:
        """The segments in these folders (default all), in order; what a merged one holds is left out."""
        wanted = [folder for folder in folders or (self.new, self.landed) if folder.exists()]
        names = {path.name for folder in wanted for path in folder.iterdir()}
        segments = sorted(segment for name in names if (segment := Segment.of_name(name)))
        kept: list[Segment] = []
        for segment in sorted(segments, key=lambda each: (each.partition, each.first, -each.next)):
            if not kept or not kept[-1].holds(segment):
                kept.append(segment)
        return kept

    def positions(self) -> dict[int, int]:
        """Where to go on: partition of the topic -> the first offset that no file holds."""
        return {segment.partition: segment.next for segment in self.segments()}

    def write(self, segment: Segment, messages: pa.Table) -> None:
        """Commit a batch: its file is complete and on disk before it has its name.

        Raises:
            ValueError: some of it is stored already.
        """
        if (at := self.positions().get(segment.partition)) is not None and segment.first < at:
            raise ValueError(
                f"offsets of partition {segment.partition} from {segment.first} on were to be stored, and all below "
                f"{at} are: two processes read this stream. Stop one of them. Nothing was written."
            )
        _store(messages, self.new / segment.name)

    def read(self, segment: Segment) -> pa.Table:
        """The messages of a segment: `offset`, `sent_at` (UTC), `value` (bytes)."""
        return pq.read_table(self.path(segment), schema=SCHEMA)

    def move(self, segments: Sequence[Segment], *, to: Path) -> None:
        """Put segments into another of the two folders."""
        to.mkdir(parents=True, exist_ok=True)
        for segment in segments:
            if (source := self.path(segment)).parent != to:
                source.replace(to / segment.name)

    def merge(self) -> None:
        """Make few files of many landed ones; a kill on the way leaves both, and the larger counts."""
        run: list[Segment] = []
        for segment in self.segments(self.landed):
            if run and (run[-1].partition != segment.partition or run[-1].next != segment.first):
                run = []
            if segment.next - segment.first >= MERGED_ROWS:
                run = []  # Large enough as it is.
                continue
            run.append(segment)
            if segment.next - run[0].first >= MERGED_ROWS:
                whole = Segment(segment.partition, run[0].first, segment.next)
                _store(pa.concat_tables([self.read(each) for each in run]), self.landed / whole.name)
                run = []
        self.sweep()

    def sweep(self) -> None:
        """Remove what a merged file holds too."""
        kept = set(self.segments())
        for folder in (self.new, self.landed):
            for path in folder.iterdir() if folder.exists() else ():
                if (segment := Segment.of_name(path.name)) and segment not in kept:
                    path.unlink()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the one process that reads this stream.

        Raises:
            AlreadyRead: another one does.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise AlreadyRead(
                    f"another process reads into {self.folder}. One is enough: it reads all partitions. Stop it first "
                    "if you want to read here. Nothing was read."
                ) from error
            yield


def _store(messages: pa.Table, path: Path) -> None:
    """Write a file so that it is on disk when its name is: after a power cut nothing else says how far we were."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        pq.write_table(messages, temporary, compression="zstd")
        _to_disk(temporary)
    _to_disk(path.parent)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
