"""Parquet files whose footer or page headers say something else than what is in them.

Here: Thrift's compact protocol, read and written as a tree that a test changes. Not here: the tests.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

MAGIC = b"PAR1"
Tree = dict[int, tuple[int, Any]]
"""Field -> kind and value; a list's value is the kind of its items and they."""


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def byte(self) -> int:
        self.at += 1
        return self.content[self.at - 1]

    def varint(self) -> int:
        found = shift = 0
        while (byte := self.byte()) > 127:
            found, shift = found | (byte & 127) << shift, shift + 7
        return found | byte << shift

    def integer(self) -> int:
        found = self.varint()
        return (found >> 1) ^ -(found & 1)

    def tree(self) -> Tree:
        fields, field = Tree(), 0
        while (byte := self.byte()) != 0:
            field = field + (byte >> 4) if byte >> 4 else self.integer()
            fields[field] = (byte & 15, self.value(byte & 15))
        return fields

    def value(self, kind: int) -> Any:
        if kind in (1, 2):
            return None
        if kind == 3:
            return self.byte()
        if kind in (4, 5, 6):
            return self.integer()
        if kind == 7 or kind == 8:
            length = 8 if kind == 7 else self.varint()
            self.at += length
            return self.content[self.at - length : self.at]
        if kind == 12:
            return self.tree()
        assert kind == 9, kind
        head = self.byte()
        count = head >> 4 if head >> 4 < 15 else self.varint()
        return head & 15, [self.value(head & 15) for _ in range(count)]


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _value(kind: int, value: Any) -> bytes:
    if kind in (1, 2):
        return b""
    if kind == 3:
        return bytes([value])
    if kind in (4, 5, 6):
        return _varint(value << 1 if value >= 0 else (-value << 1) - 1)
    if kind == 7:
        return bytes(value)
    if kind == 8:
        return _varint(len(value)) + value
    if kind == 12:
        return encoded(value)
    item, items = value
    head = bytes([len(items) << 4 | item]) if len(items) < 15 else bytes([0xF0 | item]) + _varint(len(items))
    return head + b"".join(_value(item, one) for one in items)


def encoded(tree: Tree) -> bytes:
    """A tree as Thrift has it."""
    out, last = b"", 0
    for field, (kind, value) in sorted(tree.items()):
        out += bytes([(field - last) << 4 | kind]) if field - last < 16 else bytes([kind]) + _value(4, field)
        out, last = out + _value(kind, value), field
    return out + b"\0"


def written(table: pa.Table, **options: Any) -> bytes:
    """A file as pyarrow writes it."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **{"compression": "zstd", **options})
    return buffer.getvalue()


def with_footer(content: bytes, change: Callable[[Tree], None]) -> bytes:
    """The file with a changed footer."""
    (length,) = struct.unpack("<I", content[-8:-4])
    tree = _Reader(content[-8 - length : -8]).tree()
    change(tree)
    footer = encoded(tree)
    return content[: -8 - length] + footer + struct.pack("<I", len(footer)) + MAGIC


def with_first_page(content: bytes, change: Callable[[Tree], None]) -> bytes:
    """The file with a changed header of its first page; that of a file with one page only may change its length."""
    reader = _Reader(content[4:])
    tree = reader.tree()
    change(tree)
    header = encoded(tree)
    changed = content[:4] + header + content[4 + reader.at :]
    grown = len(header) - reader.at

    def longer(footer: Tree) -> None:
        for column in _columns(footer):
            put(column, 7, column[7][1] + grown)

    return with_footer(changed, longer) if grown else changed


def put(tree: Tree, field: int, value: Any) -> None:
    """Another value in a field that is there."""
    tree[field] = (tree[field][0], value)


def _columns(footer: Tree) -> list[Tree]:
    return [chunk[3][1] for group in footer[4][1][1] for chunk in group[1][1][1]]


def small(footer: Tree) -> None:
    """Say that everything is a few bytes large."""
    for group in footer[4][1][1]:
        put(group, 2, 9)
    for column in _columns(footer):
        put(column, 6, 9)


def few(footer: Tree) -> None:
    """Say so, and that there are ten rows."""
    small(footer)
    put(footer, 3, 10)
    for group in footer[4][1][1]:
        put(group, 3, 10)
    for column in _columns(footer):
        put(column, 5, 10)


def of_flags(footer: Tree) -> None:
    """Say that the least and the greatest text of each column are `false` and `true`."""
    small(footer)
    for column in _columns(footer):
        column[12] = (12, {1: (8, b"true"), 2: (8, b"false"), 5: (8, b"true"), 6: (8, b"false")})
