"""What the pages of a Parquet file say of their sizes: a reader allocates what they say, whatever the footer says.

Here: the footer and the headers of pages, in Thrift's compact protocol, and what they add up to for each chunk of a
column. Not here: what is too large (`unpacked_size`), values.

A footer is one claim about all pages, and nothing holds a reader to it. The header before each page is what pyarrow and
DuckDB go by: so many bytes are allocated, so many values decoded, and a page that unpacks to more ends in an error.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_PLAIN, _BY_DICTIONARY, _DELTA = 0, (2, 8), 7
_TYPE, _UNPACKED, _PACKED = 1, 2, 3
_HEAD = {_DATA: (5, 2), _DICTIONARY: (7, 2), _DATA_V2: (8, 4)}
"""Type of a page -> where its header has the details, and in them the encoding; the first is the number of values."""
_ENDS = (1, 2, 5, 6)
_DEEPEST = 8

Fields = dict[int, Any]


@dataclass(frozen=True)
class Chunk:
    """One column in one row group, by its pages; never less than the footer says.

    Attributes:
        path: of the column in the schema.
        row_group: number.
        physical_type: as Parquet has it.
        size: bytes of the pages without their packing.
        values: in its pages, the missing ones with them.
        largest: bytes of the largest page.
        dictionary: bytes of the dictionary; 0 without one.
        begins_by_dictionary: whether its first values are places in the dictionary.
        fits_dictionary: whether pyarrow can read all its pages as a dictionary.
        has_prefixes: whether values are written as a part of the value before them: a few bytes may stand for many.
        ends: the least and the greatest value, as far as the footer says.
    """

    path: str
    row_group: int
    physical_type: str
    size: int
    values: int
    largest: int
    dictionary: int
    begins_by_dictionary: bool
    fits_dictionary: bool
    has_prefixes: bool
    ends: tuple[Any, ...]


def chunks_of(source: Path | bytes, metadata: pq.FileMetaData) -> list[Chunk]:
    """Each column of each row group.

    The footer is read here once more: pyarrow ends the process where what it says of a column is damaged.

    Raises:
        ArrowInvalid: a page has no header that can be read, or there are other values than the footer says.
    """
    if isinstance(source, bytes):
        return list(_chunks(source, metadata))
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return list(_chunks(content, metadata))


def _chunks(content: bytes | mmap.mmap, metadata: pq.FileMetaData) -> Iterator[Chunk]:
    begin = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    footer, _ = _struct(content, max(begin, 0))
    columns = [metadata.schema.column(place) for place in range(metadata.num_columns)]
    for number, group in enumerate(_list(footer, 4, begin)):
        chunks = _list(group, 1, begin)
        if len(chunks) != len(columns):
            raise _unreadable(begin)
        for column, chunk in zip(columns, chunks, strict=True):
            if not isinstance(about := chunk.get(3), dict):
                raise _unreadable(begin)
            yield _chunk(content, number, group, about, column)


def _chunk(content: bytes | mmap.mmap, number: int, group: Fields, meta: Fields, column: pq.ColumnSchema) -> Chunk:
    end = len(content)
    rows, expected = _count(group, 3, end), _count(meta, 5, end)
    at = _count(meta, 9, end)
    if 11 in meta and 0 < (first := _count(meta, 11, end)) < at:
        at = first
    values, size, largest, dictionary, encodings = 0, 0, 0, 0, list[int]()
    # Not to the end that the footer names: DuckDB reads on until it has all rows.
    while values < max(expected, rows):
        header, begin = _struct(content, at)
        unpacked = _count(header, _UNPACKED, at)
        size, largest = size + unpacked + begin - at, max(largest, unpacked)
        if (page := _count(header, _TYPE, at)) in _HEAD:
            details, encoding = _HEAD[page]
            head = header.get(details)
            count = _count(head, 1, at)
            if page != _DICTIONARY:
                values += count
                encodings.append(_count(head, encoding, at))
            elif count > unpacked:
                raise _unreadable(at)
            else:
                dictionary = max(dictionary, unpacked)
        at = begin + _count(header, _PACKED, at)
    if values != expected:
        raise pa.ArrowInvalid(
            f"its footer contradicts its pages: column {column.path[:100]!r} has {values:,} values in row group "
            f"{number + 1}, and {expected:,} in {rows:,} rows by the footer"
        )
    ends = meta.get(12)
    return Chunk(
        column.path,
        number,
        column.physical_type,
        max(size, _count(meta, 6, end)),
        values,
        largest,
        dictionary,
        begins_by_dictionary=dictionary > 0 and encodings[0] in _BY_DICTIONARY,
        fits_dictionary=set(encodings) <= {_PLAIN, *_BY_DICTIONARY},
        has_prefixes=_DELTA in encodings,
        ends=tuple(ends[field] for field in _ENDS if field in ends) if isinstance(ends, dict) else (),
    )


# --- Thrift's compact protocol ------------------------------------------------------------------------------

_TRUE, _FALSE, _BYTE, _I64, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 6, 7, 8, 9, 10, 12


def _struct(content: bytes | mmap.mmap, at: int, depth: int = 0) -> tuple[Fields, int]:
    """The values of a structure by their field, and where it ends.

    Raises:
        ArrowInvalid: it is none.
    """
    fields: Fields = {}
    start, field = at, 0
    try:
        while (byte := content[at]) != 0:
            at += 1
            kind, step = byte & 15, byte >> 4
            if step:
                field += step
            else:
                field, at = _integer(content, at)
            if kind in (_TRUE, _FALSE):
                fields[field] = kind == _TRUE
            else:
                fields[field], at = _value(content, at, kind, depth)
    except IndexError:
        raise _unreadable(start) from None
    return fields, at + 1


def _value(content: bytes | mmap.mmap, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if _BYTE < kind <= _I64:
        return _integer(content, at)
    if kind == _STRUCT and depth < _DEEPEST:
        return _struct(content, at, depth + 1)
    if kind in (_LIST, _SET) and depth < _DEEPEST:
        count, kind, at = content[at] >> 4, content[at] & 15, at + 1
        if count == 15:
            count, at = _varint(content, at)
        items = []
        for _ in range(count):
            item, at = _value(content, at, _BYTE if kind in (_TRUE, _FALSE) else kind, depth + 1)
            items.append(item)
        return items, at
    if kind == _BINARY:
        length, at = _varint(content, at)
    elif kind in (_BYTE, _DOUBLE):
        length = 1 if kind == _BYTE else 8
    else:
        raise _unreadable(at)
    if at + length > len(content):
        raise _unreadable(at)
    return content[at : at + length], at + length


def _varint(content: bytes | mmap.mmap, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = content[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
        if shift > 63:
            raise _unreadable(at)


def _integer(content: bytes | mmap.mmap, at: int) -> tuple[int, int]:
    encoded, at = _varint(content, at)
    return (encoded >> 1) ^ -(encoded & 1), at


def _count(fields: Any, field: int, at: int) -> int:
    count = fields.get(field) if isinstance(fields, dict) else None
    if not isinstance(count, int) or count < 0:
        raise _unreadable(at)
    return count


def _list(fields: Any, field: int, at: int) -> list[Fields]:
    entries = fields.get(field) if isinstance(fields, dict) else None
    if not isinstance(entries, list) or not all(isinstance(item, dict) for item in entries):
        raise _unreadable(at)
    return entries


def _unreadable(at: int) -> pa.ArrowInvalid:
    return pa.ArrowInvalid(f"what it says of itself cannot be read at byte {at:,}")
