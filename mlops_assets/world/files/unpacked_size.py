"""How large a file is without its packing, and what is refused: a few bytes must not fill the memory.

Here: counting the bytes of packed CSV while they are unpacked, what is too large, and the byte that no CSV has. Not
here: the limit (`home.Limits`), those of Parquet (`parquet_rows`), reading CSV (`table_files`).

A kilobyte of gzip or Parquet can stand for gigabytes: repetitions cost nothing in either. What lands is read whole and
may not be larger than the limit; what is read piece by piece may, unless it is packed as no data are.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

_CHUNK = 2**20


class TooLarge(ValueError):
    """A file that unpacks to more than the limit; the message says so, and what to do."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"it unpacks to more than {limit:,} bytes, the most that a file may have: send it in parts, or raise "
            '{"limits": {"file_bytes": ...}} in home.json'
        )


class HoldsNul(ValueError):
    """A text file with a NUL: pandas ends a cell there, and what differs behind it becomes one."""

    def __init__(self, line: int) -> None:
        super().__init__(
            f"its line {line:,} holds a NUL character, at which programs cut a cell: write it without such, as UTF-8"
        )


def unpacked(name: str, content: bytes, limit: int) -> bytes:
    """The bytes of a landed text file without its packing, which its name tells.

    Raises:
        TooLarge: there are more than `limit`.
        ValueError: it is not packed so, or cut short.
    """
    opened = _OPENERS.get(Path(name).suffix.lower())
    if opened is None:
        return content
    decompressed = bytearray()
    try:
        with opened(io.BytesIO(content)) as stream:
            # Piece by piece: some of these make all at once of what they are asked for.
            while len(decompressed) <= limit and (piece := stream.read(_CHUNK)):
                decompressed += piece
    except (OSError, EOFError, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise ValueError(f"it cannot be unpacked: {error}") from error
    if len(decompressed) > limit:
        raise TooLarge(limit)
    return bytes(decompressed)


def unpacks_to_more(path: Path, most: int) -> bool:
    """Whether a packed text file has more bytes without its packing; no more are counted than it takes to know."""
    opened = _OPENERS.get(path.suffix.lower())
    if opened is None:
        return False
    with path.open("rb") as packed, opened(packed) as stream:
        count = 0
        while count <= most and (piece := stream.read(_CHUNK)):
            count += len(piece)
    return count > most


def refuse_nul(name: str, content: IO[bytes]) -> None:
    """Refuse a text file with a NUL, packed as its name tells or not at all.

    Raises:
        HoldsNul: naming the line.
    """
    opened = _OPENERS.get(Path(name).suffix.lower())
    feeds = returns = 0
    with opened(content) if opened else nullcontext(content) as stream:
        while piece := stream.read(_CHUNK):
            end = piece.find(b"\0")
            before = piece if end < 0 else piece[:end]
            feeds, returns = feeds + before.count(b"\n"), returns + before.count(b"\r")
            if end >= 0:
                raise HoldsNul((feeds or returns) + 1)


def _first_of_zip(packed: IO[bytes]) -> IO[bytes]:
    archive = zipfile.ZipFile(packed)
    names = archive.namelist()
    if len(names) != 1:
        raise ValueError(f"it holds {len(names)} files and must hold one")
    return archive.open(names[0])


_OPENERS: Mapping[str, Callable[[IO[bytes]], Any]] = {
    ".gz": lambda packed: gzip.GzipFile(fileobj=packed),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": lambda packed: pa.CompressedInputStream(packed, "zstd"),
    ".zip": _first_of_zip,
}
