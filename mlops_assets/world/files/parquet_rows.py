"""Rows of a Parquet file that somebody else wrote, in bounded memory, whatever its footer says.

Here: how large a file is once it is unpacked, by its pages; its rows, in batches or whole. Not here: the headers of
pages (`parquet_pages`), which files are read (`table_files`), the lake's own files (`world.parquet`).

Three things make many bytes of few: packing (a page's header says to how many), values of a fixed width that are
repeated (counted by their number), and texts that are repeated (a dictionary, or the beginning of the text before). The
last are counted while they are read, in batches so small that none of them can be larger than the limit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlops_assets.world.files.parquet_pages import Chunk, chunks_of
from mlops_assets.world.files.unpacked_size import TooLarge

READ_BUFFER = 2**18
"""Bytes of a column read at a time; by default pyarrow fetches whole row groups, several ahead."""
BATCH_BYTES = 32 * 2**20
_LONG_BYTES = 128 * 2**20
"""Texts that may be long are read in so many bytes at a time; pyarrow holds about four times as many meanwhile."""
_COUNTED_ROWS = 65_536
_TEXT = "BYTE_ARRAY"
_WIDTHS: Mapping[str, int] = {
    "BOOLEAN": 1,
    "INT32": 4,
    "FLOAT": 4,
    "INT64": 8,
    "DOUBLE": 8,
    "INT96": 8,
    _TEXT: 4,
}
_UNNAMED_INDEX = re.compile(r"__index_level_\d+__")


def row_numbers_in(schema: pa.Schema) -> list[str]:
    """Columns that are no data: the index without a name of a frame that pandas wrote, by pandas' own notes."""
    notes: object = None
    # Notes that are no JSON are not pandas'.
    with suppress(ValueError):
        notes = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    index = notes.get("index_columns") if isinstance(notes, dict) else None
    listed = index if isinstance(index, list) else []
    return [name for name in schema.names if name in listed and _UNNAMED_INDEX.fullmatch(name)]


class ParquetRows:
    """A file, or the bytes of one. Only its footer and the headers of its pages are read to make one."""

    def __init__(self, source: Path | bytes, limit: int) -> None:
        """Look at its pages.

        Args:
            source: the file.
            limit: bytes that the texts of a batch may have, and a page, which may always have `BATCH_BYTES`.

        Raises:
            TooLarge: a page is larger.
            ArrowInvalid: the pages are no pages.
        """
        self.limit = limit
        self._source = source
        self.metadata = pq.read_metadata(self._open())
        self._chunks = chunks_of(source, self.metadata)
        if any(chunk.largest > max(limit, BATCH_BYTES) for chunk in self._chunks):
            raise TooLarge(limit)

    @cached_property
    def schema(self) -> pa.Schema:
        """Its columns, without what `row_numbers_in` names."""
        schema = self.metadata.schema.to_arrow_schema()
        for name in row_numbers_in(schema):
            schema = schema.remove(schema.get_field_index(name))
        return schema

    def refuse_more_than(self, most: int, *, with_texts: bool) -> None:
        """Refuse a file whose values have more bytes.

        Args:
            most: bytes.
            with_texts: whether texts are counted as often as they stand in rows.

        Raises:
            TooLarge: naming the limit.
        """
        count = sum(max(chunk.size, chunk.values * self._width(chunk)) for chunk in self._chunks)
        if count <= most and with_texts:
            texts = sorted({chunk.path for chunk in self._chunks if chunk.physical_type == _TEXT})
            dictionaries = [path for path in texts if self._fits_dictionary(path)]
            for batch in self._batches(texts, _COUNTED_ROWS, dictionaries) if texts else ():
                count += sum(map(_text_bytes, batch.columns))
                if count > most:
                    break
        if count > most:
            raise TooLarge(self.limit)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows of a file that is within the limit; some columns, or all that are data.

        Raises:
            TooLarge: it is not.
        """
        self.refuse_more_than(self.limit, with_texts=True)
        table = pq.read_table(self._open(), columns=columns and list(columns), partitioning=None)
        return table.drop_columns(row_numbers_in(table.schema))

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Rows of some columns, some texts as dictionaries.

        Args:
            columns: at the top of the schema.
            rows: at most so many a batch; fewer where their texts may be long.
        """
        return self._batches(columns, rows, [path for path in self._repetitive if path in columns])

    def ends(self, column: str) -> set[str]:
        """The least and the greatest texts of a column, as far as the footer says; of what is no text, nothing."""
        ends = (end for chunk in self._chunks if chunk.path == column for end in chunk.ends if isinstance(end, bytes))
        return {end.decode("utf-8", errors="replace") for end in ends}

    def _batches(self, columns: Sequence[str], rows: int, dictionaries: Sequence[str]) -> Iterator[pa.RecordBatch]:
        most = min(self.limit, _LONG_BYTES)
        at_once = max(1, min(rows, most // max(1, self._longest(columns, dictionaries))))
        with self._file(dictionaries) as file:
            held, size = list[pa.RecordBatch](), 0
            for batch in file.iter_batches(batch_size=at_once, columns=list(columns)):
                held.append(batch)
                size += batch.nbytes
                if at_once == rows or size >= min(self.limit, BATCH_BYTES) or len(held) * at_once >= rows:
                    yield _as_one(held)
                    held, size = [], 0
            if held:
                yield _as_one(held)

    def _longest(self, columns: Sequence[str], dictionaries: Sequence[str]) -> int:
        """So many bytes may the texts of one row have, without those that are read as dictionaries."""
        longest: dict[str, int] = {}
        for chunk in self._chunks:
            if chunk.physical_type == _TEXT and chunk.path not in dictionaries and _is_of(chunk.path, columns):
                longest[chunk.path] = max(longest.get(chunk.path, 0), self._longest_text(chunk))
        return sum(longest.values())

    def _longest_text(self, chunk: Chunk) -> int:
        """0 where all texts together are within the limit."""
        if chunk.has_prefixes or chunk.size > self.limit:
            return chunk.largest
        if not chunk.dictionary or chunk.values * chunk.dictionary <= self.limit:
            return 0
        if not chunk.begins_by_dictionary:
            return chunk.dictionary
        with self._file([chunk.path]) as file:
            first = next(file.iter_batches(batch_size=1, row_groups=[chunk.row_group], columns=[chunk.path]))
        (column,) = first.columns
        known = pa.types.is_dictionary(column.type) and len(column.dictionary)
        return int(pc.max(pc.binary_length(column.dictionary)).as_py()) if known else chunk.dictionary

    @cached_property
    def _repetitive(self) -> list[str]:
        """Text columns of few values, by their size: four bytes a row or less.

        Read as dictionaries they are several times as fast; of identifiers, a dictionary would fill the memory.
        """
        texts = {field.name for field in self.metadata.schema.to_arrow_schema() if pa.types.is_string(field.type)}
        size = dict.fromkeys(texts, 0)
        for chunk in self._chunks:
            if chunk.path in texts:
                size[chunk.path] += chunk.size
        few = (name for name in texts if size[name] <= 4 * self.metadata.num_rows)
        return sorted(name for name in few if self._fits_dictionary(name))

    def _fits_dictionary(self, path: str) -> bool:
        return all(chunk.fits_dictionary for chunk in self._chunks if chunk.path == path)

    def _width(self, chunk: Chunk) -> int:
        if chunk.physical_type == "FIXED_LEN_BYTE_ARRAY":
            columns = map(self.metadata.schema.column, range(self.metadata.num_columns))
            return next(column.length for column in columns if column.path == chunk.path)
        return _WIDTHS[chunk.physical_type]

    def _open(self) -> Path | pa.BufferReader:
        return pa.BufferReader(self._source) if isinstance(self._source, bytes) else self._source

    def _file(self, dictionaries: Sequence[str]) -> pq.ParquetFile:
        options = {"read_dictionary": list(dictionaries), "pre_buffer": False, "buffer_size": READ_BUFFER}
        return pq.ParquetFile(self._open(), metadata=self.metadata, **options)


def _is_of(path: str, columns: Sequence[str]) -> bool:
    """Whether a path in the schema is one of these columns, or is inside one."""
    return any(path == column or path.startswith(f"{column}.") for column in columns)


def _as_one(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    return pa.Table.from_batches(batches).unify_dictionaries().combine_chunks().to_batches()[0]


def _text_bytes(column: pa.Array) -> int:
    """Bytes of the texts of a column as often as they stand in it."""
    if pa.types.is_dictionary(column.type):
        lengths = pc.binary_length(column.dictionary).take(column.indices)
        return int(pc.sum(lengths).as_py() or 0)
    if pa.types.is_map(column.type):
        return _text_bytes(column.keys) + _text_bytes(column.items)
    if pa.types.is_struct(column.type):
        return sum(map(_text_bytes, column.flatten()))
    if pa.types.is_nested(column.type):
        return _text_bytes(column.flatten())
    return int(column.nbytes)
