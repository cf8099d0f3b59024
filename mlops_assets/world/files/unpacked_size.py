"""How large a file is without its packing, and what is refused: a few bytes must not fill the memory.

Here: counting the bytes of packed CSV while they are unpacked, and those of Parquet before its rows are read. Not here:
the limit (`home.Limits`), reading rows (`parquet`, `table_files`).

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
import pyarrow.compute as pc
import pyarrow.parquet as pq

CHUNK = 2**20
DENSE = 100
"""So many times its size on disk no table of data unpacks to; CSV in gzip is 3 to 20 times as large."""
_WIDTHS: Mapping[str, int] = {
    "BOOLEAN": 1,
    "INT32": 4,
    "FLOAT": 4,
    "INT64": 8,
    "DOUBLE": 8,
    "INT96": 8,
    "BYTE_ARRAY": 4,
}
_ROWS = (1_024, 65_536)


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


def refuse_large_parquet(content: bytes, limit: int) -> None:
    """Refuse a landed Parquet file whose rows would be larger than the limit in memory.

    Raises:
        TooLarge: they would.
    """
    if _parquet_bytes(io.BytesIO(content), limit, with_texts=True) > limit:
        raise TooLarge(limit)


def refuse_dense(path: Path, limit: int, *, with_texts: bool = False) -> None:
    """Refuse a file that is read piece by piece and unpacks to more than the limit, and to more than data do.

    Args:
        path: CSV or Parquet.
        limit: bytes.
        with_texts: whether texts of Parquet are counted as often as they stand in rows, as they are in memory.

    Raises:
        ValueError: naming the file.
    """
    size = path.stat().st_size
    most = max(limit, DENSE * size)
    if path.suffix.lower() in (".parquet", ".pq"):
        large = _parquet_bytes(path, most, with_texts=with_texts) > most
    elif (opened := _OPENERS.get(path.suffix.lower())) is not None:
        with path.open("rb") as packed, opened(packed) as stream:
            count = 0
            while count <= most and (piece := stream.read(CHUNK)):
                count += len(piece)
            large = count > most
    else:
        return
    if large:
        raise ValueError(f"{path} cannot be read: {TooLarge(limit)}. Nothing was changed.")


def _parquet_bytes(source: Path | IO[bytes], most: int, *, with_texts: bool) -> int:
    """Bytes of the values of a file, or any number above `most`."""
    metadata = pq.read_metadata(source)
    chunks = [
        metadata.row_group(i).column(j) for i in range(metadata.num_row_groups) for j in range(metadata.num_columns)
    ]
    count = sum(max(chunk.total_uncompressed_size, chunk.num_values * _width(metadata, chunk)) for chunk in chunks)
    texts = sorted({chunk.path_in_schema for chunk in chunks if chunk.physical_type == "BYTE_ARRAY"})
    if count > most or not texts or not with_texts:
        return count
    # As dictionaries: each text stands in memory once, however often it is repeated.
    longest = max(chunk.total_uncompressed_size for chunk in chunks)
    rows = min(max(most // max(longest, 1), _ROWS[0]), _ROWS[1])
    with pq.ParquetFile(source, metadata=metadata, read_dictionary=texts, pre_buffer=False) as file:
        for batch in file.iter_batches(batch_size=rows, columns=texts):
            count += sum(_text_bytes(column) for column in batch.columns)
            if count > most:
                return count
    return count


def _width(metadata: pq.FileMetaData, chunk: Any) -> int:
    if chunk.physical_type == "FIXED_LEN_BYTE_ARRAY":
        columns = map(metadata.schema.column, range(metadata.num_columns))
        return next(column.length for column in columns if column.path == chunk.path_in_schema)
    return _WIDTHS[chunk.physical_type]


def _text_bytes(column: pa.Array) -> int:
    """Bytes of the texts of a column as often as they stand in it."""
    if pa.types.is_dictionary(column.type):
        lengths = pc.binary_length(column.dictionary).take(column.indices)
        return int(pc.sum(lengths).as_py() or 0)
    return int(column.nbytes)


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
