"""A few bytes that unpack to many: refused by a stated limit before they fill the memory, by every way in."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.onboarding.reading.table import UnreadableTable, read_table
from mlops_assets.steps.land.landed_rows import parse
from mlops_assets.steps.land.taking_in import take_in
from mlops_assets.world.files.table_files import open_table
from mlops_assets.world.files.unpacked_size import TooLarge, unpacked
from mlops_assets.world.home import Home, HomeSettings, Limits
from tests.landing_home import DAY, HEADER, LIMIT, LandingHome, rows, source

TEXT = (HEADER + "\n" + "1,2024-03-01T00:00:00Z,north,1\n" * 700_000).encode()
AT = "2024-03-01T00:00:00Z"


def parquet(table: pa.Table, **options: object) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", **options)
    return buffer.getvalue()


def repeated(text: str, n: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, dtype="int32")), pa.array([text]))


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", TEXT)
    return buffer.getvalue()


PACKED: dict[str, Callable[[], bytes]] = {
    "csv.gz": lambda: gzip.compress(TEXT),
    "csv.bz2": lambda: bz2.compress(TEXT),
    "csv.xz": lambda: lzma.compress(TEXT),
    "csv.zst": lambda: pa.compress(TEXT, codec="zstd", asbytes=True),
    "csv.zip": zipped,
}
TABLES: dict[str, Callable[[], bytes]] = {
    "many rows of one value": lambda: parquet(pa.table({"at": repeated(AT, 2_000_000), "id": np.zeros(2_000_000)})),
    "a long text in each row": lambda: parquet(
        pa.table({"at": repeated(AT, 500), "shop": repeated("x" * 99_999, 500)})
    ),
    "one cell": lambda: parquet(pa.table({"at": [AT], "shop": ["x" * 2**24]}), use_dictionary=False),
}


def refused(limited: LandingHome) -> str:
    intake = limited.intake()
    return take_in(intake, intake.pending()).bad[str(DAY)][0]


@pytest.mark.parametrize("ending", PACKED)
def test_packed_text_is_counted_while_it_is_unpacked(limited: LandingHome, ending: str) -> None:
    content = PACKED[ending]()
    assert len(content) < LIMIT / 8
    limited.land(content, f"orders_{DAY}.{ending}")
    assert "it unpacks to more than 1,048,576 bytes" in refused(limited)
    tracemalloc.start()
    with pytest.raises(TooLarge, match=r'raise \{"limits": \{"file_bytes": \.\.\.\}\} in home\.json'):
        unpacked(f"a.{ending}", content, LIMIT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24 < len(TEXT)  # the window of xz is 8 MiB
    assert unpacked(f"a.{ending}", content, len(TEXT)) == TEXT


@pytest.mark.parametrize("kind", TABLES)
def test_parquet_is_counted_before_its_rows_are_read(limited: LandingHome, kind: str, tmp_path: Path) -> None:
    content = TABLES[kind]()
    assert len(content) < LIMIT / 8
    limited.land(content, f"orders_{DAY}.parquet")
    assert "it unpacks to more than 1,048,576 bytes" in refused(limited)
    before = pa.default_memory_pool().max_memory()
    file = tmp_path / "bomb.parquet"
    file.write_bytes(content)
    with pytest.raises(UnreadableTable, match=r"bomb\.parquet cannot be read: it unpacks to more than 1,048,576 bytes"):
        read_table(str(file))
    assert pa.default_memory_pool().max_memory() <= before + 64 * LIMIT


def test_drift_refuses_what_no_data_are(limited: LandingHome, tmp_path: Path) -> None:
    for name, content in (("b.csv.gz", PACKED["csv.gz"]()), ("b.parquet", TABLES["many rows of one value"]())):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=r"cannot be read: it unpacks to more than 1,048,576 bytes"):
            open_table(str(tmp_path / name))


def test_large_files_that_are_data_are_read_piece_by_piece(limited: LandingHome, tmp_path: Path) -> None:
    """Beyond the limit, and packed as numbers are: drift reads them in batches, whatever their size."""
    file = tmp_path / "large.parquet"
    pq.write_table(pa.table({"a": np.random.default_rng(1).normal(size=500_000)}), file)
    assert file.stat().st_size > LIMIT
    assert open_table(str(file)).kinds == {"a": "numeric"}


def test_a_file_within_the_limit_lands_and_a_large_plain_one_is_kept_aside(limited: LandingHome) -> None:
    limited.land(gzip.compress(rows(DAY).encode()), f"orders_{DAY}.csv.gz")
    intake = limited.intake()
    assert take_in(intake, intake.pending()).rows == {str(DAY): 3}
    limited.land(TEXT.decode(), f"orders_{DAY}_more.csv")
    assert "orders_2024-03-01_more.csv cannot be read (it unpacks to more than 1,048,576 bytes" in refused(limited)
    assert (limited.intake().quarantine(str(DAY)) / f"orders_{DAY}_more.csv").read_bytes() == TEXT


def test_the_limit_stands_in_the_settings_of_a_home(tmp_path: Path) -> None:
    settings = HomeSettings(limits=Limits(file_bytes=7))
    home = Home(tmp_path)
    home.configure(settings)
    assert home.settings == settings
    home.settings_file.write_text('{"clock": "wall"}')
    assert home.settings.limits == Limits()
    for wrong in ('{"limits": {"file_byte": 1}}', '{"limits": 3}', '{"limits": {"file_bytes": "much"}}'):
        home.settings_file.write_text(wrong)
        with pytest.raises(ValueError, match="cannot be read"):
            _ = home.settings


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_way_in_refuses_a_csv_with_a_nul_by_its_line(tmp_path: Path, name: str, end: str) -> None:
    lines = [f"{place},cust{place},{place}" for place in range(100_000)]
    lines[90_000] += "\0"
    content = end.join(["at,id,n", *lines]).encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    told = r"line 90,002 holds a NUL character.* write it without such, as UTF-8"
    with pytest.raises(ValueError, match=told):  # landing
        parse(name, path.read_bytes(), source())
    with pytest.raises(ValueError, match=told):  # drift
        open_table(str(path))
    with pytest.raises(UnreadableTable, match=told):  # new-model
        read_table(str(path))
