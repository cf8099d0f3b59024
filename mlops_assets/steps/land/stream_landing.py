"""From the messages of a stream to the files that land: one a partition, or an hour, as if somebody had sent it whole.

Here: which partitions are over, their files, poison into quarantine, judging again. Not here: reading
(`stream_consumer`), the files of messages (`stream_log`), whether a message is sound (`core.sources.stream_rows`),
taking in (`intake`).

A landed file is a function of the messages and the YAML, and nothing else: after a kill at any moment the same call
makes the same bytes. It says in its metadata which offsets its rows came from, so that a message which comes late
finds the others of its partition, however long ago they were.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.core.sources.stream_rows import JudgedRows, judge_messages
from mlops_assets.core.sources.stream_settings import StreamSettings
from mlops_assets.core.time.windows import parse_duration
from mlops_assets.steps.land.stream_decoding import Decode, decode_all, decoder
from mlops_assets.steps.land.stream_log import Segment, StreamLog
from mlops_assets.steps.land.stream_poison import POISON
from mlops_assets.world.atomic import keep_time, replacing
from mlops_assets.world.home import Home
from mlops_assets.world.lake import file_hash

OFFSETS = b"mlops.offsets"
"""Key in a landed file's metadata: partition of the topic -> the first offset and the one after the last."""
AT_HAND = 4
"""Segments whose rows are kept in memory: one that spans many partitions is asked for each of them."""
Step = Callable[[str], None]


@dataclass(frozen=True)
class _Content:
    """What a segment holds.

    Attributes:
        partitions: that its sound messages belong to.
        newest: the newest event time in it.
    """

    partitions: frozenset[str]
    newest: datetime | None


@dataclass
class StreamLanding:
    """One stream's messages on their way into the landing folder.

    Attributes:
        home: whose.
        source: its settings.
    """

    home: Home
    source: StreamSettings
    _known: dict[Segment, _Content] = field(default_factory=dict)
    _judged: dict[Segment, JudgedRows] = field(default_factory=dict)
    _written: set[tuple[Segment, str]] = field(default_factory=set)
    """What this process has landed. Another one lands once more what is not moved yet, to the same bytes."""

    @property
    def folder(self) -> Path:
        """The landing folder of the source."""
        return self.home.landing / self.source.name

    @property
    def quarantine(self) -> Path:
        """Where poison is."""
        return self.home.lake / "quarantine" / self.source.name / POISON

    @property
    def log(self) -> StreamLog:
        """The messages as they were read."""
        return StreamLog(self.folder / "messages")

    @cached_property
    def _decode(self) -> Decode:
        return decoder(self.source.stream)

    def land(self, *, behind: Collection[int] = (), step: Step = lambda _: None) -> list[str]:
        """Write the file of each partition that is over and has new messages.

        Args:
            behind: partitions of the topic with unread messages: what they have read so far says how far time is.
            step: told what has just been done.

        Returns:
            The partitions written.
        """
        new = self.log.segments(self.log.new)
        for segment in new:
            if segment not in self._known:
                self._known[segment] = self._look(segment)
        over = self._over(behind)
        held = defaultdict[str, list[Segment]](list)
        for segment in new:
            for key in self._known[segment].partitions:
                held[key].append(segment)
        touched = sorted(k for k, of in held.items() if k in over and any((s, k) not in self._written for s in of))
        for key in touched:
            self._write(key, held[key])
            self._written |= {(segment, key) for segment in held[key]}
            step("after a landed file")
        done = {segment for segment in new if all(key in over for key in self._known[segment].partitions)}
        self.log.move(sorted(done), to=self.log.landed)
        step("after a move")
        self._forget(done)
        if done:
            self.log.merge()
        return touched

    def poison(self) -> pd.DataFrame:
        """What is in quarantine: `partition`, `offset`, `sent_at`, `reason`, `value` (bytes), one row a message."""
        files = sorted(self.quarantine.glob("*.parquet"))
        columns = ["partition", "offset", "sent_at", "reason", "value"]
        frames = [pq.read_table(f).to_pandas().assign(partition=_segment_of(f).partition)[columns] for f in files]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)

    def judge_again(self) -> int:
        """Have poison judged anew, by the YAML as it is now; the number of messages looked at.

        The files that hold it go back among the new ones. The next `land` takes from there what is sound now.
        """
        count = 0
        for file in sorted(self.quarantine.glob("*.parquet")):
            poisoned = _segment_of(file)
            segments = [s for s in self.log.segments() if s.meets(poisoned.partition, poisoned.first, poisoned.next)]
            count += pq.read_metadata(file).num_rows
            self.log.move(segments, to=self.log.new)
            file.unlink()
        return count

    # --- looking

    def _judge(self, segment: Segment) -> JudgedRows:
        """A segment's messages as rows; those of the newest few segments are at hand."""
        if segment not in self._judged:
            decoded = decode_all(self._decode, self.log.read(segment)["value"].to_pylist())
            self._judged[segment] = judge_messages(self.source, decoded, now=datetime.now(UTC))
            while len(self._judged) > AT_HAND:
                del self._judged[next(iter(self._judged))]
        return self._judged[segment]

    def _look(self, segment: Segment) -> _Content:
        """Judge a segment, put its poison into quarantine, and note what else is in it."""
        judged = self._judge(segment)
        self._set_aside(segment, judged.poison)
        keys = frozenset(pd.unique(judged.partition[judged.rows.index.to_numpy()]))
        newest = judged.rows[str(self.source.event_time)].max() if len(judged.rows) else None
        return _Content(keys, newest.to_pydatetime() if newest is not None else None)

    def _forget(self, segments: Collection[Segment]) -> None:
        for segment in segments:
            del self._known[segment]
            self._judged.pop(segment, None)
        self._written = {(segment, key) for segment, key in self._written if segment not in segments}

    def _set_aside(self, segment: Segment, poison: Mapping[int, str]) -> None:
        path = self.quarantine / segment.name
        for other in self.quarantine.glob("*.parquet"):
            # Of a part of this file, from before it was merged; or of itself, judged by another YAML.
            if segment.holds(_segment_of(other)):
                other.unlink()
        if poison:
            places = sorted(poison)
            rows = (
                self.log.read(segment)
                .take(places)
                .append_column("reason", pa.array([poison[place] for place in places]))
            )
            with replacing(path) as temporary:
                pq.write_table(rows, temporary, compression="zstd")

    def _over(self, behind: Collection[int]) -> _Over:
        """Partitions of the source whose time is over."""
        newest: dict[int, datetime] = {}
        for segment, content in self._known.items():
            if content.newest is not None:
                known = newest.get(segment.partition, content.newest)
                newest[segment.partition] = max(known, content.newest)
        waiting = [newest[partition] for partition in behind if partition in newest]
        unread = any(partition not in newest for partition in behind)
        now = datetime.now(UTC) if self.home.settings.clock == "wall" and not behind else None
        moments = [*([now] if now else []), *newest.values()]
        # Of partitions with unread messages the slowest counts: the others' next messages are of later days only.
        mark = None if unread else min(waiting) if waiting else max(moments, default=None)
        return _Over(self.source, mark)

    # --- writing

    def _write(self, key: str, new: list[Segment]) -> None:
        """The file of a partition: the rows it has, and those of new segments, in the order of their offsets."""
        day, _, hour = key.partition("T")
        path = self.folder / self.source.files.replace("{partition}", day).replace("{hour}", hour)
        before = _offsets(path)
        segments = sorted({*new, *(s for s in self.log.segments() if _is_of(s, before))})
        frames = list(self._rows(segments, key))
        rows = pd.concat(frames, ignore_index=True)
        self._refuse_less(path, len(rows))
        bounds = defaultdict[int, list[int]](list)
        for segment, frame in zip(segments, frames, strict=True):
            if len(frame):
                bounds[segment.partition] += [segment.first, segment.next]
        offsets = {str(partition): [min(ends), max(ends)] for partition, ends in sorted(bounds.items())}
        _place(rows, self.source, path, json.dumps(offsets).encode())

    def _rows(self, segments: list[Segment], key: str) -> Iterator[pd.DataFrame]:
        for segment in segments:
            judged = self._judge(segment)
            places = judged.rows.index.to_numpy()
            yield judged.rows[judged.partition[places] == key]

    def _refuse_less(self, path: Path, rows: int) -> None:
        """A file never loses rows.

        Raises:
            ValueError: messages that it was made of are gone.
        """
        if path.exists() and (before := pq.read_metadata(path).num_rows) > rows:
            raise ValueError(
                f"{path.name} has {before:,} rows, and the messages in {self.log.folder} make {rows:,} of that "
                "partition: some were removed, or the contract refuses what it took before. Put them back, correct the "
                "contract, or remove the file to have it made of what there is. Nothing was written."
            )


@dataclass(frozen=True)
class _Over:
    """The partitions that ended so long before `mark` that nothing more is waited for."""

    source: StreamSettings
    mark: datetime | None

    def __contains__(self, key: object) -> bool:
        if self.mark is None:
            return False
        return self.source.ends(str(key)) + parse_duration(self.source.stream.lateness) <= self.mark


def _segment_of(path: Path) -> Segment:
    segment = Segment.of_name(path.name)
    if segment is None:
        raise ValueError(f"{path} is not named as the messages of a stream are: move it away.")
    return segment


def _offsets(path: Path) -> dict[int, tuple[int, int]]:
    """The offsets that a landed file was made of."""
    if not path.exists():
        return {}
    offsets = json.loads((pq.read_schema(path).metadata or {}).get(OFFSETS, b"{}"))
    return {int(partition): (first, after) for partition, (first, after) in offsets.items()}


def _is_of(segment: Segment, offsets: Mapping[int, tuple[int, int]]) -> bool:
    span = offsets.get(segment.partition)
    return span is not None and segment.meets(segment.partition, *span)


def _place(rows: pd.DataFrame, source: StreamSettings, path: Path, offsets: bytes) -> None:
    """Write a landed file, unless it is there with the same content."""
    from mlops_assets.core.sources.contract import arrow_schema

    table = pa.Table.from_pandas(rows, schema=arrow_schema(source.rules), preserve_index=False)
    before = file_hash(path) if path.exists() else None
    with replacing(path) as temporary:
        pq.write_table(table.replace_schema_metadata({OFFSETS: offsets}), temporary, compression="zstd")
        if before is not None and file_hash(temporary) == before:
            keep_time(path, temporary)
