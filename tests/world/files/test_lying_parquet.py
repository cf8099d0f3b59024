"""Parquet that lies about its size: memory stays bounded by the limit in every way in, and honest files are read."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.core.drift.policy import DriftPolicy
from mlops_assets.onboarding.reading.table import UnreadableTable, read_table
from mlops_assets.serving.drift import tables
from mlops_assets.steps.land.landed_rows import parse
from mlops_assets.steps.land.taking_in import take_in
from mlops_assets.steps.watch.drift_files import compare_files
from mlops_assets.world.files.parquet_pages import chunks_of
from mlops_assets.world.files.parquet_rows import ParquetRows
from mlops_assets.world.files.table_files import open_table
from mlops_assets.world.files.unpacked_size import TooLarge
from tests.landing_home import DAY, LIMIT, LandingHome, source
from tests.world.files.lying_parquet import Tree, few, of_flags, put, small, with_first_page, with_footer, written

BOUND = 16 * LIMIT
"""Of pyarrow's memory; each of the files holds 48 times the limit or more."""
SIZE = 48 * LIMIT
AT = "2024-03-01T00:00:00Z"
LONG = "x" * 99_999


def repeated(text: str, n: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, dtype="int32")), pa.array([text]))


def two(first: str, second: pa.Array) -> pa.Table:
    return pa.table({"at": repeated(first, len(second)), "shop": second})


def in_lists(texts: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(np.arange(len(texts) + 1), pa.int32()), texts)


def prefixed() -> bytes:
    """Each text is the one before it, by a few bytes."""
    texts = pa.array([LONG] * 500)
    options = {"use_dictionary": ["at"], "column_encoding": {"shop": "DELTA_BYTE_ARRAY"}, "write_statistics": False}
    return written(two(AT, texts), **options)


LIES: dict[str, Callable[[], bytes]] = {
    "one cell": lambda: with_footer(written(two(AT, pa.array(["x" * SIZE])), use_dictionary=False), small),
    "many rows": lambda: with_footer(written(two(AT, pa.array(np.zeros(SIZE // 8)))), small),
    "few rows, it says": lambda: with_footer(written(two(AT, pa.array(np.zeros(SIZE // 8)))), few),
    "a long text in each row": lambda: with_footer(written(two(AT, repeated(LONG, 500))), small),
    "a long text in lists": lambda: with_footer(written(two(AT, in_lists(repeated(LONG, 500)))), small),
    "flags, it says": lambda: with_footer(written(two(LONG, repeated(LONG, 500))), of_flags),
    "beginnings of texts": lambda: with_footer(prefixed(), small),
}


_POOLS: list[pa.MemoryPool] = []
"""What was read in them may outlive the test."""


@contextmanager
def bounded(most: int = BOUND) -> Iterator[None]:
    """Fails where pyarrow takes more memory meanwhile."""
    before = pa.default_memory_pool()
    counting = pa.proxy_memory_pool(before)
    _POOLS.append(counting)
    pa.set_memory_pool(counting)
    try:
        yield
    finally:
        pa.set_memory_pool(before)
    assert counting.max_memory() <= most


@pytest.mark.parametrize("lie", LIES)
def test_no_way_in_believes_the_footer(
    limited: LandingHome, lie: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = LIES[lie]()
    assert len(content) < LIMIT / 4
    file = tmp_path / "lie.parquet"
    file.write_bytes(content)
    monkeypatch.setattr(tables, "MAX_UNPACKED", LIMIT)
    told = r"unpacks to more than 1,048,576 bytes|too large once it is unpacked|footer contradicts its pages"
    with bounded():
        limited.land(content, f"orders_{DAY}.parquet")
        intake = limited.intake()
        (reason,) = take_in(intake, intake.pending()).bad[str(DAY)]
        assert re.search(told, reason)
        assert reason.endswith("Send it again; the old partition is unchanged.")
        with pytest.raises(UnreadableTable, match=told):
            read_table(str(file))
        with pytest.raises(tables.WrongTable, match=told):
            tables.frame_of_parquet(content, 10**9)
        with pytest.raises(ValueError, match=told):
            ParquetRows(file, LIMIT).table()


@pytest.mark.parametrize("lie", LIES)
def test_drift_reads_piece_by_piece_or_not_at_all(limited: LandingHome, lie: str, tmp_path: Path) -> None:
    file = tmp_path / "lie.parquet"
    file.write_bytes(LIES[lie]())
    with bounded():
        try:
            table = open_table(str(file))
            rows = sum(len(batch) for batch in table.batches(table.kinds))
            assert rows == pq.read_metadata(file).num_rows
            assert compare_files(str(file), str(file), policy=DriftPolicy()).drifts
        except ValueError as error:
            assert re.search("unpacks to more than|footer contradicts its pages", str(error))


def change(field: int, value: int, inside: int | None = None) -> Callable[[Tree], None]:
    return lambda tree: put(tree if inside is None else tree[inside][1], field, value)


@pytest.mark.parametrize(
    ("name", "changed"),
    {
        "less than it unpacks to": change(2, 9),
        "less than none": change(2, -1),
        "more than there is": change(3, 2**30),
        "gigabytes": change(2, 2**31 - 1),
        "a billion values": change(1, 2**30, inside=5),
        "values below none": change(1, -5, inside=5),
        "other values": change(1, 3, inside=5),
        "deep": lambda tree: tree.__setitem__(9, (12, {1: (12, {1: (12, {1: (12, {1: (12, {1: (12, {})})})})})})),
    }.items(),
)
def test_headers_of_pages_that_lie_end_in_a_sentence(
    limited: LandingHome, name: str, changed: Callable[[Tree], None], tmp_path: Path
) -> None:
    table = pa.table({"amount": np.random.default_rng(5).normal(size=2_000)})
    content = with_first_page(written(table, use_dictionary=False), changed)
    file = tmp_path / "lie.parquet"
    file.write_bytes(content)
    if name == "deep":
        assert len(parse("a.parquet", content, source(), LIMIT)) == 2_000
        return
    with bounded():
        with pytest.raises((ValueError, OSError)):
            parse("a.parquet", content, source(), LIMIT)
        with pytest.raises(ValueError, match=r"cannot be read"):
            compare_files(str(file), str(file), policy=DriftPolicy())


def test_any_changed_byte_ends_in_a_sentence(tmp_path: Path) -> None:
    """2,000 files, each with one byte of header, page or footer changed (seed 7)."""
    rng = np.random.default_rng(7)
    content = bytearray(written(pa.table({"a": np.arange(50), "b": [f"t{i % 7}" for i in range(50)]})))
    for place, byte in zip(rng.integers(4, len(content) - 8, 3_000), rng.integers(0, 256, 3_000), strict=True):
        before, content[place] = content[place], byte
        with contextlib.suppress(ValueError, OSError, pa.ArrowException):
            ParquetRows(bytes(content), LIMIT).table()
        content[place] = before


@pytest.mark.parametrize("version", ["V1", "V2"])
@pytest.mark.parametrize("codec", ["uncompressed", "snappy", "zstd", "gzip"])
def test_honest_files_of_two_writers_are_read_as_they_are(tmp_path: Path, version: str, codec: str) -> None:
    """Pages of both versions and all encodings add up to what the footer says, and the rows to DuckDB's."""
    file = tmp_path / "honest.parquet"
    duckdb.sql(
        "copy (select range as id, 'customer ' || range as name, (range % 3)::varchar as shop, range * 0.5 as amount, "
        "case when range % 2 = 0 then 'x' end as gap, [range::varchar, 'b'] as l, {'a': 'q' || range} as s, "
        "range % 2 = 0 as flag from range(25000)) "
        f"to '{file}' (format parquet, parquet_version {version}, codec {codec}, row_group_size 10240)"
    )
    parts = [file]
    options = {"DELTA_BYTE_ARRAY": "name", "DELTA_LENGTH_BYTE_ARRAY": "gap", "DELTA_BINARY_PACKED": "id"}
    for page in ("1.0", "2.0"):
        parts.append(tmp_path / f"pyarrow{page}.parquet")
        pq.write_table(
            pq.read_table(file),
            parts[-1],
            compression=codec if codec != "uncompressed" else "none",
            data_page_version=page,
            # Several groups and pages, without the rows that they have by default.
            row_group_size=10_240,
            data_page_size=2**14,
            use_dictionary=["shop"],
            column_encoding={column: encoding for encoding, column in options.items()},
        )
    for part in parts:
        metadata = pq.read_metadata(part)
        for chunk in chunks_of(part, metadata):
            told = metadata.row_group(chunk.row_group)
            columns = {told.column(i).path_in_schema: told.column(i) for i in range(told.num_columns)}
            assert chunk.size == columns[chunk.path].total_uncompressed_size
        table = ParquetRows(part, 2**28).table()
        expected = duckdb.sql(f"from '{part}'").to_arrow_table()
        assert table.cast(expected.schema).equals(expected)
        drift = open_table(str(part))
        frame = pd.concat([batch.astype(object) for batch in drift.batches(drift.kinds)], ignore_index=True)
        assert frame["name"].tolist() == expected["name"].to_pylist()
        assert frame["amount"].sum() == pytest.approx(0.5 * 24_999 * 25_000 / 2)


def test_long_texts_that_are_honest_are_read_in_small_batches(tmp_path: Path) -> None:
    """Drift has no limit on a large file of true data: 50 MB of texts are read with a limit of 1 MiB for each batch."""
    rng = np.random.default_rng(3)
    file = tmp_path / "texts.parquet"
    texts = ["".join(map(chr, rng.integers(33, 120, 50_000))) for _ in range(40)]
    pq.write_table(pa.table({"text": [texts[i % 40] for i in range(1_000)]}), file, data_page_size=2**16)
    with bounded():
        assert sum(map(len, ParquetRows(file, LIMIT).batches(["text"], 131_072))) == 1_000


def test_too_large_is_said_in_the_words_of_the_limit() -> None:
    with pytest.raises(TooLarge, match=r'raise \{"limits": \{"file_bytes": \.\.\.\}\} in home\.json'):
        ParquetRows(written(pa.table({"a": np.arange(1_000)})), 1_000).table()
