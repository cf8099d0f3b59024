"""How large a file is without its packing, and what is refused: a few bytes must not fill the memory.

Here: counting the bytes of packed CSV while they are unpacked, and what is too large. Not here: the limit
(`home.Limits`), those of Parquet (`parquet_rows`), reading CSV (`table_files`).

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
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

CHUNK = 2**20
DENSE = 100
"""So many times its size on disk no table of data unpacks to; CSV in gzip is 3 to 20 times as large."""


class TooLarge(ValueError):
    """A file that unpacks to more than the limit; the message says so, and what to do."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"it unpacks to more than {limit:,} bytes, the most that a file may have: send it in parts, or raise "
            '{"limits": {"file_bytes": ...}} in home.json'
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
    found = bytearray()
    try:
        with opened(io.BytesIO(content)) as stream:
            # Piece by piece: some of these make all at once of what they are asked for.
            while len(found) <= limit and (piece := stream.read(CHUNK)):
                found += piece
    except (OSError, EOFError, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise ValueError(f"it cannot be unpacked: {error}") from error
    if len(found) > limit:
        raise TooLarge(limit)
    return bytes(found)


def refuse_dense(path: Path, limit: int, *, with_texts: bool = False) -> None:
    """Refuse a file that is read piece by piece and unpacks to more than the limit, and to more than data do.

    Args:
        path: CSV or Parquet.
        limit: bytes.
        with_texts: whether texts of Parquet are counted as often as they stand in rows, as they are in memory.

    Raises:
        ValueError: naming the file.
    """
    most = max(limit, DENSE * path.stat().st_size)
    if path.suffix.lower() in (".parquet", ".pq"):
        from mlops_assets.world.files.parquet_rows import ParquetRows

        try:
            ParquetRows(path, limit).refuse_more_than(most, with_texts=with_texts)
        except TooLarge as error:
            raise _told(path, error) from error
    elif (opened := _OPENERS.get(path.suffix.lower())) is not None:
        with path.open("rb") as packed, opened(packed) as stream:
            count = 0
            while count <= most and (piece := stream.read(CHUNK)):
                count += len(piece)
        if count > most:
            raise _told(path, TooLarge(limit))


def _told(path: Path, error: TooLarge) -> ValueError:
    return ValueError(f"{path} cannot be read: {error}. Nothing was changed.")


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
