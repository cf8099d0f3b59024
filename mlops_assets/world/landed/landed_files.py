"""The files in a source's landing folder: which partition each is of, and what it holds.

Here: matching names to partitions (or to hours of days), reading files. Not here: what becomes of them (`intake`).
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from shlex import quote

from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.values.display import shown, some
from mlops_assets.world.atomic import read_regular
from mlops_assets.world.lake import file_hash
from mlops_assets.world.landed.links import NAMED, Unclaimed, not_followed

WHOLE = "whole"
"""The key of an unpartitioned source's only partition."""


Stamp = tuple[str, int, int]


@dataclass(frozen=True)
class LandedFile:
    """A file in the landing folder as the folder tells it, unread.

    Attributes:
        path: the file.
        size: bytes.
        mtime_ns: when it was last written.
        beside: the other files of its partition that lay there at the same look, each as `stamp` has it.
    """

    path: Path
    size: int
    mtime_ns: int
    beside: tuple[Stamp, ...] = ()

    @property
    def stamp(self) -> Stamp:
        """What tells it from other files, and from itself once it is written anew: name, size and time."""
        return self.name, self.size, self.mtime_ns

    @property
    def name(self) -> str:
        """Its name in the folder."""
        return self.path.name

    @property
    def is_readable(self) -> bool:
        """Whether this process has the right to read it."""
        return may_read(self.path)

    @property
    def no_right(self) -> str:
        """What to do where it has not, in a sentence."""
        return f"{shown(self.name)} waits: nobody gave the right to read it. chmod u+r {quote(str(self.path))}"


def may_read(path: Path) -> bool:
    """Whether this process has the right to read a file, or to list a folder."""
    return os.access(path, os.R_OK | os.X_OK if path.is_dir() else os.R_OK)


@dataclass(frozen=True)
class Read:
    """A landed file with its bytes: what is judged, hashed and kept is one, whatever replaces the file.

    Attributes:
        file: as the folder tells it.
        content: its bytes; None where there are too many of them to be read.
        sha256: of them.
    """

    file: LandedFile
    content: bytes | None
    sha256: str


def newest_files(files: Mapping[str, Sequence[LandedFile]]) -> dict[str, LandedFile]:
    """The newest file of each partition, with those that lie beside it."""
    return {
        partition: replace(of[-1], beside=tuple(file.stamp for file in of[:-1])) if len(of) > 1 else of[-1]
        for partition, of in files.items()
    }


def partition_of_file(source: SourceSettings, name: str) -> str | None:
    """The partition that a file of this name holds; None if no partition claims it."""
    match = _expression(source.files).match(name)
    if match is None:
        return None
    if source.grain == "none":
        return WHOLE
    try:
        day = date.fromisoformat(match["partition"])
    except ValueError:
        return None
    if not source.has_partition(day):
        return None
    if not source.is_hourly:
        return match["partition"]
    key = f"{match['partition']}T{match['hour']}"
    # An hour that the clocks leave out has no rows: its file is misnamed.
    return key if int(match["hour"]) < 24 and source.begins(key) < source.ends(key) else None


def unclaimed(source: SourceSettings, folder: Path, names: Sequence[str]) -> list[Unclaimed]:
    """Why nothing is taken in from the files of these names: some are links, others are not named as they should be."""
    named = [name for name in names if partition_of_file(source, name)]
    links = tuple(name for name in named if (folder / name).is_symlink())
    special = tuple(name for name in named if name not in links)
    misnamed = tuple(name for name in names if name not in named)
    reasons = []
    if links:
        reasons.append(not_followed(links))
    if special:
        are = "is" if len(special) == 1 else "are"
        reasons.append(Unclaimed(special, f"{_few(special)} {are} no file but a pipe or a device", "Put a file there."))
    if misnamed:
        problem = f"no partition claims {counted(len(misnamed), 'file')}: {_few(misnamed)}"
        days = "the partition's first day, as 2013-01-31, not before the source's `start` or after its `end`"
        reasons.append(Unclaimed(misnamed, problem, f"Rename to match {source.files} ({days}), or remove."))
    return reasons


def _few(names: Sequence[str]) -> str:
    return some([*map(shown, names)], NAMED)


def unread_file(file: LandedFile) -> Read:
    """A landed file of too many bytes to be read: their hash alone."""
    return Read(file, None, file_hash(file.path))


def read_file(file: LandedFile) -> Read:
    """The bytes of a landed file and their hash.

    Raises:
        OSError: disk or share failed, or the file went away; nothing is known about its content.
    """
    content = read_regular(file.path)
    return Read(file, content, hashlib.sha256(content).hexdigest())


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    """A source's file pattern as a regular expression with the group `partition`."""
    translated = fnmatch.translate(pattern.replace("{partition}", "\0").replace("{hour}", "\1"))
    day, hour = r"(?P<partition>\d{4}-\d{2}-\d{2})", r"(?P<hour>\d{2})"
    return re.compile(translated.replace("\0", day).replace("\1", hour))
